"""What subsidies know of a person: facts with the days from which they hold, in any order of arrival.

Facts of different departments arrive in any order; each is kept with its days, and what follows is
always computed from all of them. So the order of arrival leaves no trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from eldex.common.aggregate import Aggregate
from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers import RegionCode
from eldex.subsidies.domain.days import FOREVER
from eldex.subsidies.domain.schemes import AbilityLevel, EligibilityClass


class NotHeld(DomainError):
    """Only what was stopped or ended by hand is resumed by hand."""

    kind, reason = Kind.CONFLICT, "NOT_STOPPED_BY_HAND"
    zh = "该待遇未被人工停发或终止，不能人工恢复：条件满足时系统会自动恢复发放"
    en = "it was not stopped or ended by hand: it goes on by itself when its conditions hold"


class HeldAlready(DomainError):
    """It is stopped or ended by hand from an earlier day on."""

    kind, reason = Kind.CONFLICT, "ALREADY_STOPPED_BY_HAND"
    zh = "该待遇自 {began_on} 起已人工停发或终止"
    en = "it is stopped or ended by hand already, from {began_on} on"


class DayTooEarly(DomainError):
    """It cannot be resumed before it was stopped."""

    kind, reason = Kind.INVALID, "RESUMED_BEFORE_STOPPED"
    zh = "恢复日必须晚于停发日 {began_on}"
    en = "it was stopped on {began_on}: resume it from a later day on"


@dataclass(slots=True)
class Residence:
    """Where a person lives from a day on (居住地)."""

    began_on: date
    region_code: RegionCode
    hukou_region_code: RegionCode


@dataclass(slots=True)
class Membership:
    """A person belongs to an eligibility class; `valid_from` None: only its end is known so far."""

    key: str
    eligibility_class: EligibilityClass
    valid_from: date | None = None
    valid_to: date | None = None
    ended_on: date | None = None

    def holds(self, day: date) -> bool:
        """Whether it holds on a day."""
        end = min(self.valid_to or FOREVER, self.ended_on or FOREVER)
        return self.valid_from is not None and self.valid_from <= day < end

    def end(self, ended_on: date) -> None:
        """Learn of an end; of several the earliest counts: an end never moves to a later day."""
        self.ended_on = min(ended_on, self.ended_on or ended_on)


@dataclass(slots=True)
class Assessment:
    """An assessed level of ability; `assessed_on` None: only its annulment is known so far."""

    key: str
    assessed_on: date | None = None
    level: AbilityLevel | None = None
    supersedes_key: str = ""
    annulled: bool = False


@dataclass(slots=True)
class Benefit:
    """A long-term-care insurance benefit (长期护理保险待遇); half-open.

    It may be granted anew after it ended, when a death is revoked or a merge undone: what was told
    by its later version counts, in whatever order it is heard. What one version tells of one record
    comes in order: the last of it counts.
    """

    key: str
    began_on: date | None = None
    ended_on: date | None = None
    granted_by: int = 0
    """Version of the benefit that told its first day."""
    ended_by: int = 0
    """Version of the benefit that told its end."""

    def grant(self, began_on: date, version: int) -> None:
        """Learn that it is paid from a day on."""
        if version >= self.granted_by:
            self.began_on, self.granted_by = began_on, version
            if version >= self.ended_by:
                self.ended_on = None

    def end(self, ended_on: date, version: int) -> None:
        """Learn that it is paid no longer."""
        if version >= max(self.granted_by, self.ended_by):
            self.ended_on, self.ended_by = ended_on, version

    def holds(self, day: date) -> bool:
        """Whether it is paid on a day."""
        return self.began_on is not None and self.began_on <= day < (self.ended_on or FOREVER)


@dataclass(slots=True)
class Hold:
    """One scheme is stopped, or ended, by hand (人工停发、终止). It goes along when the person moves."""

    scheme_code: str
    began_on: date
    final: bool
    note: str
    ended_on: date | None = None

    def holds(self, day: date) -> bool:
        """Whether it applies on a day."""
        return self.began_on <= day < (self.ended_on or FOREVER)


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a decision about a person may rest on; of merged records, what all of them know."""

    born_on: date | None
    died_on: date | None
    merged: bool
    residences: tuple[Residence, ...]
    memberships: tuple[Membership, ...]
    assessments: tuple[Assessment, ...]
    long_term_care: tuple[Benefit, ...]
    holds: tuple[Hold, ...]

    def residence_on(self, day: date) -> Residence | None:
        """Where the person lives; None before anything is known."""
        begun = [r for r in self.residences if r.began_on <= day]
        return begun[-1] if begun else None

    def classes_on(self, day: date) -> set[EligibilityClass]:
        """The classes to which the person belongs."""
        return {m.eligibility_class for m in self.memberships if m.holds(day)}

    def level_on(self, day: date) -> AbilityLevel | None:
        """The level of ability in force: the newest assessment's; an annulled one never counted."""
        level = None
        for each in self.assessments:
            assert each.assessed_on is not None
            if each.assessed_on > day:
                break
            level = level if each.annulled else each.level
        return level

    def long_term_care_on(self, day: date) -> bool:
        """Whether long-term-care insurance pays for the day (M004-11)."""
        return any(benefit.holds(day) for benefit in self.long_term_care)

    def hold_on(self, scheme_code: str, day: date) -> Hold | None:
        """What was stopped or ended by hand."""
        found = [h for h in self.holds if h.scheme_code == scheme_code and h.holds(day)]
        return next((h for h in found if h.final), found[0] if found else None)

    def days_of_change(self, scheme_code: str) -> set[date]:
        """The days on which anything that counts for a scheme may change, but for birthdays."""
        days = {r.began_on for r in self.residences}
        days |= {d for m in self.memberships for d in (m.valid_from, m.valid_to, m.ended_on) if d}
        days |= {a.assessed_on for a in self.assessments if a.assessed_on}
        days |= {d for b in self.long_term_care for d in (b.began_on, b.ended_on) if d}
        for hold in self.holds:
            if hold.scheme_code == scheme_code:
                days |= {d for d in (hold.began_on, hold.ended_on) if d}
        return days | ({self.died_on} if self.died_on else set())


@dataclass(kw_only=True)
class Recipient(Aggregate):
    """A person as subsidies know them; the key is the resident's."""

    born_on: date | None = None
    died_on: date | None = None
    residences: list[Residence] = field(default_factory=list)
    memberships: list[Membership] = field(default_factory=list)
    assessments: list[Assessment] = field(default_factory=list)
    long_term_care: list[Benefit] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    merged_into: str = ""
    """The record that stands for the person instead."""
    decided_at: datetime | None = None
    """When entitlements were last decided from these facts."""
    next_change_on: date | None = None
    """First day that is not decided yet on which something changes as things stand."""

    def live_in(self, region_code: RegionCode, began_on: date, hukou: RegionCode) -> None:
        """Learn where the person lives from a day on."""
        kept = [r for r in self.residences if r.began_on != began_on]
        self.residences = sorted(
            [*kept, Residence(began_on, region_code, hukou)], key=lambda r: r.began_on
        )

    def membership(self, key: str, eligibility_class: EligibilityClass) -> Membership:
        """The membership of a key, known from now on."""
        for each in self.memberships:
            if each.key == key:
                return each
        self.memberships.append(Membership(key, eligibility_class))
        return self.memberships[-1]

    def assessment(self, key: str) -> Assessment:
        """The assessment of a key, known from now on."""
        for each in self.assessments:
            if each.key == key:
                return each
        self.assessments.append(Assessment(key))
        return self.assessments[-1]

    def benefit(self, key: str) -> Benefit:
        """The long-term-care benefit of a key, known from now on."""
        for each in self.long_term_care:
            if each.key == key:
                return each
        self.long_term_care.append(Benefit(key))
        return self.long_term_care[-1]

    def entered(self, key: str) -> bool:
        """Whether a membership or assessment was entered under this record."""
        return any(m.key == key and m.valid_from for m in self.memberships) or any(
            a.key == key and a.assessed_on for a in self.assessments
        )

    def hold(self, scheme_code: str, began_on: date, note: str, *, final: bool) -> None:
        """Stop a scheme by hand from a day on, or end it."""
        for each in self.holds:
            if each.scheme_code == scheme_code and each.ended_on is None:
                if each.final or not final:
                    raise HeldAlready(began_on=each.began_on)
                break
        self.holds.append(Hold(scheme_code, began_on, final, note))


def release(records: Iterable[Recipient], scheme_code: str, resumed_on: date) -> None:
    """Let a scheme go on that was stopped or ended by hand, under whichever record of the person."""
    held = [h for r in records for h in r.holds if h.scheme_code == scheme_code]
    open_ones = [each for each in held if each.ended_on is None]
    if not open_ones:
        raise NotHeld
    for each in open_ones:
        if resumed_on <= each.began_on:
            raise DayTooEarly(began_on=each.began_on)
        each.ended_on = resumed_on


def share_ends(records: Iterable[Recipient]) -> None:
    """Let an end or an annulment, told under one of some records, count for what another holds.

    The registry tells them of the record that stands for the person by then. They are kept with
    what they end, so that they stay with it when a merge is reversed.
    """
    records = tuple(records)
    memberships = [m for r in records for m in r.memberships]
    for told in [m for m in memberships if m.ended_on]:
        assert told.ended_on is not None
        for each in memberships:
            if each.key == told.key:
                each.end(told.ended_on)
    assessments = [a for r in records for a in r.assessments]
    annulled = {a.key for a in assessments if a.annulled}
    for assessment in assessments:
        assessment.annulled = assessment.key in annulled


def facts_of(person: Recipient, merged: Iterable[Recipient] = ()) -> Facts:
    """The facts of a person, with what is known under records merged into theirs.

    Whether the person lives is told of the record that stands for them, and of no other.
    """
    merged = tuple(merged)
    records = [person, *merged]
    assessed = [a for r in records for a in r.assessments if a.assessed_on is not None]
    return Facts(
        born_on=next((r.born_on for r in records if r.born_on), None),
        died_on=person.died_on,
        merged=bool(person.merged_into),
        residences=_residences(person, merged),
        memberships=tuple(m for r in records for m in r.memberships),
        assessments=tuple(sorted(assessed, key=_order_of(assessed))),
        long_term_care=tuple(b for r in records for b in r.long_term_care),
        holds=tuple(h for r in records for h in r.holds),
    )


def _residences(person: Recipient, merged: Iterable[Recipient]) -> tuple[Residence, ...]:
    """Where a person lived; of days before their own record begins, what merged ones know.

    A second record often begins with a move: what the first was paid until then was due.
    """
    known = list(person.residences)
    lived = [r for r in merged if r.residences]
    for record in sorted(lived, key=lambda r: (r.residences[0].began_on, r.key), reverse=True):
        before = known[0].began_on if known else FOREVER
        known = [r for r in record.residences if r.began_on < before] + known
    return tuple(known)


def _order_of(
    assessed: Sequence[Assessment],
) -> Callable[[Assessment], tuple[date, bool, str]]:
    """By day; of two on one day the one that supersedes comes last, whichever was heard of first."""
    superseded = {a.supersedes_key for a in assessed if a.supersedes_key}
    return lambda a: (a.assessed_on or FOREVER, a.key not in superseded, a.key)
