"""Agreements: who may call what and have which events, and what is refused without one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from eldex.common.aggregate import Aggregate
from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers import RegionCode

ALL: Final = "*"
"""In a grant: every field."""
HOW_TO_ASK: Final = "/eldex.api.exchange.v1.CatalogueService/RequestAccess"


class NoAgreement(DomainError):
    """Nothing lets the caller do this; says which right is missing and never anything of a person."""

    kind, reason = Kind.DENIED, "ACCESS_DENIED"
    zh = (
        "{subsystem} 无权{what}：{missing_zh}。如需要，请通过 {how} "
        "向该数据的提供部门和交换平台运营方申请共享协议。"
    )
    en = (
        "{subsystem} may not {what_en}: {missing}. To get the right, ask the providing department "
        "and the operator of the exchange for an agreement, by {how}."
    )

    def __init__(
        self, subsystem: str, what: str, missing: str, missing_zh: str, right: str = "AGREEMENT"
    ) -> None:
        super().__init__(
            subsystem=subsystem,
            what=f"使用 {what}",
            what_en=f"use {what}",
            missing=missing,
            missing_zh=missing_zh,
            right=right,
            how=HOW_TO_ASK,
        )


class PurposeMissing(DomainError):
    """Every look has a reason; this call named none."""

    kind, reason = Kind.INVALID, "PURPOSE_REQUIRED"
    zh = "未说明用途：请在元数据 eldex-purpose 中填写协议约定的用途代码"
    en = "no purpose: give the purpose code of your agreement in the metadata eldex-purpose"


class PurposeMalformed(DomainError):
    """What was given as purpose is no code, and is not repeated to anybody."""

    kind, reason = Kind.INVALID, "PURPOSE_INVALID"
    zh = "用途代码格式有误：2 至 64 个小写字母、数字或连字符"
    en = "the purpose is no code: 2 to 64 small letters, digits or hyphens"


@dataclass(frozen=True, slots=True)
class PurposeTerms:
    """What a purpose rests on, and whether the person must have consented (PIPL 13, 23, 29)."""

    purpose: str
    legal_basis: str = ""
    """Empty: the agreement's."""
    requires_consent: bool = False


@dataclass(frozen=True, slots=True)
class FieldGrant:
    """Which fields of a method's replies are given, and which of its request may be used.

    Paths are field names joined by dots, through repeated fields; a message that is named is
    granted whole; `*` grants all.
    """

    method: str
    """A full method name, or `/<service>/*` for all of its methods without a grant of their own."""
    reply_fields: tuple[str, ...] = ()
    request_fields: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class EventGrant:
    """Which fields of an event's message are given; paths as in `FieldGrant`, none: that it happened."""

    event_type: str
    fields: tuple[str, ...] = ()


@dataclass(kw_only=True)
class Agreement(Aggregate):
    """Who may call what for which purpose, and which events they may have (M000-36, 809 号令).

    What is left empty restricts nothing that older agreements allowed: no grants mean all fields,
    no divisions mean persons from anywhere, limits of 0 mean none. One thing is never open: without
    `caller_regions` only members of the exchange's own city may call.
    """

    subsystem: str
    """`member/<member>/<subsystem>`."""
    methods: list[str]
    """Full method names, or `/<service>/*`."""
    purposes: list[str]
    legal_basis: str
    valid_from: date
    valid_to: date | None = None
    event_types: list[str] = field(default_factory=list)
    region_codes: list[RegionCode] = field(default_factory=list)
    purpose_terms: list[PurposeTerms] = field(default_factory=list)
    field_grants: list[FieldGrant] = field(default_factory=list)
    caller_regions: list[RegionCode] = field(default_factory=list)
    subject_regions: list[RegionCode] = field(default_factory=list)
    checks_subjects: bool = False
    """Hold persons against `subject_regions` by key; else only divisions that requests name."""
    permits_break_glass: bool = False
    conceals_existence: bool = False
    """What is not there and what may not be known get the same answer."""
    event_grants: list[EventGrant] = field(default_factory=list)
    rows_per_call: int = 0
    rows_per_day: int = 0
    suspended: bool = False

    def holds(self, on: date) -> bool:
        """Whether it is in force on a day."""
        is_its_time = self.valid_from <= on and (self.valid_to is None or on < self.valid_to)
        return is_its_time and not self.suspended

    def covers(self, method: str) -> bool:
        """Whether it names the method, or all of its service's."""
        return method in self.methods or every_method_of(method) in self.methods

    def terms(self, purpose: str) -> PurposeTerms:
        """What a purpose rests on, with the agreement's basis where it has none of its own."""
        for terms in self.purpose_terms:
            if terms.purpose == purpose:
                basis = terms.legal_basis or self.legal_basis
                return PurposeTerms(purpose, basis, terms.requires_consent)
        return PurposeTerms(purpose, self.legal_basis)

    def grant(self, method: str) -> FieldGrant | None:
        """The fields of a method; None: there are grants, and none is for it."""
        if not self.field_grants:
            return FieldGrant(method, (ALL,), (ALL,))
        by_name = {grant.method: grant for grant in self.field_grants}
        return by_name.get(method) or by_name.get(every_method_of(method))

    def event_fields(self, event_type: str) -> tuple[str, ...]:
        """The fields of an event that are granted; all, where no event has a grant."""
        if not self.event_grants:
            return (ALL,)
        granted = {grant.event_type: grant.fields for grant in self.event_grants}
        return granted.get(event_type, ())


def every_method_of(method: str) -> str:
    """How an agreement names all methods of this method's service."""
    return f"{method.rpartition('/')[0]}/*"


@dataclass(frozen=True, slots=True)
class Scope:
    """The events a subscriber has a right to: these types, of these divisions."""

    event_types: frozenset[str]
    regions: frozenset[RegionCode]

    def permits(self, event_type: str, regions: Sequence[RegionCode]) -> bool:
        """Whether an event is within it."""
        return event_type in self.event_types and any(
            allowed.contains(region) for allowed in self.regions for region in regions
        )


def decide_events(
    agreements: Iterable[Agreement],
    subsystem: str,
    wanted_types: Sequence[str],
    wanted_regions: Sequence[RegionCode],
    on: date,
) -> list[Scope]:
    """What a subscriber may have of what it wants, a scope per agreement.

    Wanting nothing in particular means wanting all that is allowed; wanting by name what no
    agreement allows raises `NoAgreement`.
    """
    mine = [a for a in agreements if a.subsystem == subsystem and a.holds(on) and a.event_types]
    scopes = []
    for agreement in mine:
        types = frozenset(agreement.event_types)
        regions = frozenset(agreement.region_codes)
        if wanted_types:
            types &= frozenset(wanted_types)
        if wanted_regions:
            regions = frozenset(
                inner
                for allowed in agreement.region_codes
                for wanted in wanted_regions
                if (inner := _narrower(allowed, wanted)) is not None
            )
        if types and regions:
            scopes.append(Scope(types, regions))
    allowed_types = frozenset[str]().union(*(a.event_types for a in mine))
    refused = [t for t in wanted_types if t not in allowed_types]
    if refused or not scopes:
        what = ", ".join(refused) or "events"
        raise NoAgreement(
            subsystem,
            what,
            "no agreement in force covers these events",
            "没有涵盖这些事件的共享协议",
        )
    return scopes


def _narrower(one: RegionCode, other: RegionCode) -> RegionCode | None:
    if one.contains(other):
        return other
    return one if other.contains(one) else None
