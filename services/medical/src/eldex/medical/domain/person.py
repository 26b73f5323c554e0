"""Residents as medical insurance needs to know them: told by the registry, never asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import Enum

from eldex.common.aggregate import Aggregate
from eldex.common.calendar import age_on
from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers import RegionCode, RegionLevel


class EligibilityClass(Enum):
    """Classes of people with a claim of their own (mission map 3.5); the registry decides them."""

    THREE_WITHOUTS = "three-withouts"
    DESTITUTE = "destitute"
    MINIMUM_LIVING = "minimum-living"
    LOW_INCOME = "low-income"
    ECONOMIC_DIFFICULTY = "economic-difficulty"
    DEMENTIA = "dementia"
    SEVERE_DISABILITY = "severe-disability"
    FAMILY_PLANNING_SPECIAL = "family-planning-special"
    LIVING_ALONE = "living-alone"
    EMPTY_NEST = "empty-nest"
    LEFT_BEHIND = "left-behind"
    PREFERENTIAL_TREATMENT = "preferential-treatment"
    MARTYR_FAMILY = "martyr-family"
    DESTITUTE_WANDERER = "destitute-wanderer"
    SOJOURNER = "sojourner"


class ResidentUnknown(DomainError):
    """The registry has not announced such a person."""

    kind, reason = Kind.NOT_FOUND, "RESIDENT_UNKNOWN"
    zh = "未收到户籍部门关于居民 {resident_key} 的登记信息；请核对编号，刚登记的请稍候再办"
    en = (
        "the registry has not announced a resident {resident_key}: check the key;"
        " if the person was entered just now, try again in a moment"
    )


class ResidentMerged(DomainError):
    """The record no longer stands for a person."""

    kind, reason = Kind.CONFLICT, "RESIDENT_MERGED"
    zh = "居民 {resident_key} 的档案已并入 {survivor_key}，请以后者办理"
    en = "the record {resident_key} was merged into {survivor_key}: use that one"


class ResidentDeceased(DomainError):
    """What begins after a death cannot be."""

    kind, reason = Kind.CONFLICT, "RESIDENT_DECEASED"
    zh = "该居民已于 {died_on} 死亡，不能自 {day} 起办理"
    en = "the resident died on {died_on}: nothing can begin on {day}"


@dataclass(slots=True)
class Residence:
    """Where the person lives from a day on."""

    region_code: RegionCode
    began_on: date


@dataclass(slots=True)
class Membership:
    """Belonging to an eligibility class: `valid_from` ≤ day < `valid_to`.

    `valid_from` None: only its end is known so far.
    """

    eligibility_key: str
    eligibility_class: EligibilityClass
    valid_from: date | None
    valid_to: date | None = None

    def holds_on(self, day: date) -> bool:
        """Whether it holds on the day."""
        begun = self.valid_from is not None and self.valid_from <= day
        return begun and (self.valid_to is None or day < self.valid_to)

    def end(self, ended_on: date) -> None:
        """Hold no longer from a day on; of several ends the earliest counts."""
        self.valid_to = min(ended_on, self.valid_to or ended_on)


@dataclass(kw_only=True)
class Person(Aggregate):
    """What is known of a resident here; `key` is the registry's resident key.

    Saved with everything that begins for the person, so that two clerks who open two things at
    once, each unaware of the other, cannot both succeed: the second is decided again.
    """

    born_on: date | None = None
    died_on: date | None = None
    residences: list[Residence] = field(default_factory=list)
    """By first day; a later one takes the place of an earlier one."""
    memberships: list[Membership] = field(default_factory=list)
    survivor_key: str = ""
    """The record this one was merged into."""
    absorbed_keys: list[str] = field(default_factory=list)
    """The records that were merged into this one."""

    @property
    def first_day_after_life(self) -> date | None:
        """The day after the death: the day of death is the last one with any right."""
        return self.died_on + timedelta(days=1) if self.died_on else None

    def may_begin(self, day: date) -> None:
        """Raise what forbids that something begins for this person on a day."""
        if self.survivor_key:
            raise ResidentMerged(resident_key=self.key, survivor_key=self.survivor_key)
        if self.died_on is not None and day > self.died_on:
            raise ResidentDeceased(died_on=self.died_on, day=day)

    def live_in(self, region_code: RegionCode, since: date) -> None:
        """Live in a division from a day on; told twice, it changes nothing."""
        kept = [each for each in self.residences if each.began_on != since]
        kept.append(Residence(region_code, since))
        self.residences = sorted(kept, key=lambda each: each.began_on)

    def first_day_outside(
        self, area: RegionCode, level: RegionLevel, since: date
    ) -> tuple[date, RegionCode] | None:
        """The first day from `since` on on which the person lives in another division of a level.

        None if there is none, or nothing is known of where the person lives.
        """
        home = area.at(level) or area
        latest = [each for each in self.residences if each.began_on <= since][-1:]
        later = [each for each in self.residences if each.began_on > since]
        for each in [*latest, *later]:
            # A fund or team of a whole city reaches beyond a level below it.
            if not home.contains(each.region_code.at(level) or each.region_code):
                return max(each.began_on, since), each.region_code
        return None

    def belong(self, membership: Membership) -> None:
        """Belong to a class; what is told anew of the same membership takes its place, but for its end."""
        key = membership.eligibility_key
        for known in [m for m in self.memberships if m.eligibility_key == key]:
            self.memberships.remove(known)
            if known.valid_to is not None:
                membership.end(known.valid_to)
        self.memberships.append(membership)

    def classes_on(self, day: date) -> frozenset[EligibilityClass]:
        """The classes the person belongs to on a day."""
        return frozenset(m.eligibility_class for m in self.memberships if m.holds_on(day))

    def age_on(self, day: date) -> int | None:
        """Full years on a day; None while the date of birth has not been told."""
        return None if self.born_on is None or day < self.born_on else age_on(self.born_on, day)


def share_ends(records: Iterable[Person]) -> None:
    """Let an end that was told under one of some records count for the membership of another.

    The registry tells it of the record that stands for the person by then, and news of two records
    come in no order between them.
    """
    memberships = [m for record in records for m in record.memberships]
    for told in [m for m in memberships if m.valid_from is None and m.valid_to is not None]:
        for each in memberships:
            if each.eligibility_key == told.eligibility_key:
                assert told.valid_to is not None
                each.end(told.valid_to)
