"""Who may what (成员、协议、目录): members, agreements with their versions, the catalogue, as the exchange tells it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of a list, and where it goes on; empty: that was all."""

    items: tuple[T, ...] = ()
    following: str = ""


class Standing(StrEnum):
    """Whether an agreement counts on a day."""

    IN_FORCE = "in-force"
    NOT_YET = "not-yet"
    ENDED = "ended"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a subsystem was given (协议), in one of its versions."""

    key: str
    subsystem: str
    version: int
    """0 where only the etag is told."""
    etag: str
    legal_basis: str
    valid_from: date
    valid_to: date | None
    """First day without; None: open."""
    suspended: bool
    terms: Mapping[str, tuple[str, ...]]
    """All that it says, by the name of the field; what it does not say is missing."""

    def standing(self, on: date) -> Standing:
        """Whether it counts on a day."""
        if self.valid_to is not None and on >= self.valid_to:
            return Standing.ENDED
        if self.suspended:
            return Standing.SUSPENDED
        return Standing.NOT_YET if on < self.valid_from else Standing.IN_FORCE


@dataclass(frozen=True, slots=True)
class AgreementVersion:
    """A version, and when it came into force."""

    agreement: Agreement
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """What one field of an agreement lost and got between two versions."""

    term: str
    removed: tuple[str, ...]
    added: tuple[str, ...]
    opened: bool = False
    """That it is not limited any more: what an agreement does not name it does not restrict."""


_OPEN_WITHOUT: Final = {
    "valid_to": "valid_from",
    "reply_fields": "methods",
    "request_fields": "methods",
    "event_fields": "event_types",
    "subject_region_codes": "methods",
    "rows_per_call": "methods",
    "rows_per_day": "methods",
}
"""What is not limited where it is not named → what it would limit."""


def _is_open(agreement: Agreement, term: str) -> bool:
    return term not in agreement.terms and _OPEN_WITHOUT.get(term) in agreement.terms


def changes(older: Agreement | None, newer: Agreement) -> list[Change]:
    """What changed, field by field; without an older one, all that the new one says and leaves open."""
    found = []
    said = older.terms if older else {}
    for term in dict.fromkeys((*said, *newer.terms, *_OPEN_WITHOUT)):
        before, after = said.get(term, ()), newer.terms.get(term, ())
        removed = tuple(each for each in before if each not in after)
        added = tuple(each for each in after if each not in before)
        opened = _is_open(newer, term) and not (older and _is_open(older, term))
        if removed or added or opened:
            found.append(Change(term, removed, added, opened))
    return found


CONSOLE_SEAT: Final = "service/console"
"""The seat that the console's certificate proves, whoever is signed in."""


@dataclass(frozen=True, slots=True)
class AgreementChange:
    """The newest change that an operator asked for of an agreement (协议变更)."""

    wanted: Agreement
    based_on: str
    """Etag of the agreement it changes; empty: a new one."""
    etag: str
    state: str
    """`waiting`, `approved` or `refused`."""
    proposed_by: str
    proposed_with: str
    """The seat."""
    proposed_at: datetime
    decided_by: str
    decided_with: str
    decided_at: datetime | None
    reason: str

    @property
    def waits(self) -> bool:
        """Whether it is still to be decided."""
        return self.state == "waiting"

    @property
    def is_own(self) -> bool:
        """Whether it was asked for from this seat, which then cannot approve it."""
        return self.proposed_with == CONSOLE_SEAT

    def is_stale(self, present: Agreement | None) -> bool:
        """Whether the agreement has changed since: then it can be refused alone."""
        return self.waits and self.based_on != (present.etag if present else "")


@dataclass(frozen=True, slots=True)
class Approval:
    """That somebody approved or refused access, in which role."""

    role: str
    """`provider` or `operator`."""
    approved: bool
    official_code: str
    decided_on: date
    reason: str


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition of a decision, and whether it was met."""

    code: str
    met: bool
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a call was decided as it was, by the version in force then."""

    allowed: bool
    agreement: Agreement | None
    legal_basis: str
    conditions: tuple[Condition, ...]
    reply_fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Subsystem:
    """A member's system (业务系统): what it has."""

    path: str
    """`member/<member>/<subsystem>`."""
    agreements: int
    in_force: int
    subscriptions: int


@dataclass(frozen=True, slots=True)
class Member:
    """A department, a partner city or a platform (成员)."""

    name: str
    subsystems: tuple[Subsystem, ...]
    provides: int
    """Resources of the catalogue of which it is the source."""


def members(
    agreements: Sequence[Agreement],
    subscribers: Iterable[str],
    providers: Iterable[str],
    today: date,
) -> list[Member]:
    """The members by name: all whom an agreement, a subscription or the catalogue names."""
    subscribed, provided = list(subscribers), list(providers)
    by_member: dict[str, list[Subsystem]] = {name: [] for name in provided if name}
    for path in sorted({each.subsystem for each in agreements} | set(subscribed)):
        own = [each for each in agreements if each.subsystem == path]
        in_force = sum(each.standing(today) is Standing.IN_FORCE for each in own)
        subsystem = Subsystem(path, len(own), in_force, subscribed.count(path))
        by_member.setdefault(path.split("/")[1] if "/" in path else path, []).append(subsystem)
    return [
        Member(name, tuple(found), provided.count(name))
        for name, found in sorted(by_member.items())
    ]


# --- the catalogue --------------------------------------------------------------------------------


class SharingClass(StrEnum):
    """共享类型."""

    UNCONDITIONAL = "unconditional"
    CONDITIONAL = "conditional"
    NOT_SHARED = "not-shared"


@dataclass(frozen=True, slots=True)
class Item:
    """信息项."""

    path: str
    name_zh: str
    type_zh: str
    sharing_class: SharingClass
    personal: str
    """`personal`, `sensitive`, or empty."""
    law: str
    """What forbids to share it; empty if it is shared."""


@dataclass(frozen=True, slots=True)
class Resource:
    """政务信息资源."""

    code: str
    name_zh: str
    name_en: str
    abstract: str
    provider: str
    """The member's name."""
    provider_zh: str
    credit_code: str
    items: tuple[Item, ...]
    sharing_class: SharingClass
    conditions: str
    mode: str
    update_cycle: str
    is_open: bool
    methods: tuple[str, ...]
    event_types: tuple[str, ...]
    published_on: date | None
    changed_on: date | None
    withdrawn_on: date | None

    @property
    def laws(self) -> tuple[str, ...]:
        """The laws that forbid to share some of it, each once."""
        return tuple(dict.fromkeys(each.law for each in self.items if each.law))

    def of_class(self, sharing_class: SharingClass) -> tuple[Item, ...]:
        """Its items of a class."""
        return tuple(each for each in self.items if each.sharing_class is sharing_class)


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """共享申请: who asks for what, and by when it must be answered."""

    key: str
    resource_code: str
    subsystem: str
    purpose: str
    legal_basis: str
    need: str
    paths: tuple[str, ...]
    with_events: bool
    official_code: str
    requested_on: date
    state: str
    """`pending`, `granted` or `denied`."""
    due_on: date | None
    working_days: int
    rule: str
    """Document and clause of the deadline."""
    overdue: bool
    awaits: tuple[str, ...]
    """Roles that have yet to decide."""
    decisions: tuple[Approval, ...]
    agreement_key: str
