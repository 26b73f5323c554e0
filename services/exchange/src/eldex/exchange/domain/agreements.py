"""Agreements: who may call what and have which events, and what is refused without one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

from eldex.common.aggregate import Aggregate
from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers import RegionCode


class NoAgreement(DomainError):
    """Nothing lets the caller do this; says which right is missing and never anything of a person."""

    kind, reason = Kind.DENIED, "ACCESS_DENIED"
    zh = "{subsystem} 无权{what}：{missing_zh}。如需要，请向该数据的提供部门和交换平台运营方申请共享协议。"
    en = (
        "{subsystem} may not {what_en}: {missing}. To get the right, ask the providing department "
        "and the operator of the exchange for an agreement."
    )

    def __init__(self, subsystem: str, what: str, missing: str, missing_zh: str) -> None:
        super().__init__(
            subsystem=subsystem,
            what=f"使用 {what}",
            what_en=f"use {what}",
            missing=missing,
            missing_zh=missing_zh,
        )


class PurposeMissing(DomainError):
    """Every look has a reason; this call named none."""

    kind, reason = Kind.INVALID, "PURPOSE_REQUIRED"
    zh = "未说明用途：请在元数据 eldex-purpose 中填写协议约定的用途代码"
    en = "no purpose: give the purpose code of your agreement in the metadata eldex-purpose"


@dataclass(kw_only=True)
class Agreement(Aggregate):
    """Who may call what for which purpose, and which events they may have (M000-36, 809 号令)."""

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

    def holds(self, on: date) -> bool:
        """Whether it is in force on a day."""
        return self.valid_from <= on and (self.valid_to is None or on < self.valid_to)

    def covers(self, method: str) -> bool:
        """Whether it names the method, or all of its service's."""
        service = method.rpartition("/")[0]
        return method in self.methods or f"{service}/*" in self.methods


def decide_call(
    agreements: Iterable[Agreement], subsystem: str, method: str, purpose: str, on: date
) -> Agreement:
    """The agreement that allows a call; raises `NoAgreement` naming the right that is missing.

    Nothing is allowed that no agreement in force allows.
    """
    if not purpose:
        raise PurposeMissing
    mine = [a for a in agreements if a.subsystem == subsystem]
    covering = [a for a in mine if a.covers(method)]
    in_force = [a for a in covering if a.holds(on)]
    for agreement in in_force:
        if purpose in agreement.purposes:
            return agreement
    if in_force:
        missing = f"your agreements cover the call, but not for the purpose {purpose}"
        missing_zh = f"协议允许该调用，但不包括用途 {purpose}"
    elif covering:
        missing = f"the agreement {covering[0].key} is not in force on {on}"
        missing_zh = f"协议 {covering[0].key} 在 {on} 未生效或已终止"
    else:
        missing, missing_zh = "no agreement covers this call", "没有涵盖此调用的共享协议"
    raise NoAgreement(subsystem, method, missing, missing_zh)


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
