"""Admissions (入住): who has which bed from when to when, and what is known of the person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

from eldex.common.aggregate import Aggregate
from eldex.common.errors import AlreadyExists, DomainError, Kind
from eldex.common.identifiers import RegionCode
from eldex.institutions.domain import events
from eldex.institutions.domain.bed import Bed
from eldex.institutions.domain.days import not_before
from eldex.institutions.domain.events import BedClass, ReleaseCause


class AlreadyAdmitted(DomainError):
    """The person has a bed; two at once would be paid for twice."""

    kind, reason = Kind.CONFLICT, "ALREADY_ADMITTED"
    zh = "居民 {resident_key} 已有床位（{admission_key}）：请先办理出院或转床"
    en = "resident {resident_key} has a bed already ({admission_key}): discharge or transfer first"


class ResidentDaySettled(DomainError):
    """What lies before that day is settled: a person's nights are never given twice."""

    kind, reason = Kind.CONFLICT, "RESIDENT_DAY_SETTLED"
    zh = "居民 {resident_key} 在 {settled_on} 之前的床位已有记录，{day} 不可再办理入住"
    en = (
        "the beds of resident {resident_key} are settled up to {settled_on}: {day} lies before it;"
        " admit from that day on or later"
    )


class ResidentUnknown(DomainError):
    """The registry has not announced such a person; a bed for nobody would be paid for."""

    kind, reason = Kind.NOT_FOUND, "RESIDENT_UNKNOWN"
    zh = "未收到户籍部门关于居民 {resident_key} 的登记信息；请核对编号，刚登记的请稍候再办"
    en = (
        "the registry has not announced a resident {resident_key}: check the key;"
        " if the person was entered just now, try again in a moment"
    )


class ResidentIsDeceased(DomainError):
    """Nobody is admitted after death."""

    kind, reason = Kind.CONFLICT, "RESIDENT_DECEASED"
    zh = "居民 {resident_key} 已登记死亡，不能办理入住"
    en = "resident {resident_key} is registered as deceased and cannot be admitted"


class AdmissionEnded(DomainError):
    """The admission is over."""

    kind, reason = Kind.CONFLICT, "ADMISSION_ENDED"
    zh = "该入住已于 {ended_on} 结束"
    en = "the admission ended on {ended_on}"


def is_residential(bed_class: BedClass) -> bool:
    """Whether one such bed is all a person can have; day places are the exception."""
    return bed_class is not BedClass.DAY


class BedGiven(AlreadyExists):
    """A bed is never given twice, whatever the rules above it have seen."""

    what = "bed"
    zh = "该床位已有人入住：请用 ListBeds 查询空闲床位"
    en = "somebody has this bed already: find a free one with ListBeds"


@dataclass(kw_only=True)
class Admission(Aggregate):
    """A person has one bed: `admitted_on` ≤ day < `ended_on`. Another bed is another admission."""

    institution_key: str
    bed_key: str
    bed_class: BedClass
    region_code: RegionCode
    resident_key: str
    admitted_on: date
    agreement_number: str = ""
    ended_on: date | None = None
    cause: ReleaseCause | None = None
    note: str = ""
    previous_key: str = ""
    """The admission it continues after a transfer."""
    carried_from: list[str] = field(default_factory=list)
    """Merged records under which it stood before, oldest first."""

    def end(self, day: date, cause: ReleaseCause, note: str = "") -> None:
        """End it; the day is the first without the bed."""
        if self.ended_on is not None:
            raise AdmissionEnded(ended_on=self.ended_on)
        not_before(day, self.admitted_on, "入住之日", "the admission")
        self.ended_on, self.cause, self.note = day, cause, note

    def cut_by_death(self, died_on: date, bed: Bed) -> bool:
        """Have it end by a death told after its end: no bed day counts for the dead.

        The bed is told free once more, from the earlier day; what was given since is untouched.
        False if it ended by then.
        """
        day = max(died_on, self.admitted_on)
        if self.ended_on is None or self.ended_on <= day:
            return False
        self.ended_on, self.cause = day, ReleaseCause.DEATH
        self.record(
            events.BedReleased(
                institution_key=self.institution_key,
                bed_key=self.bed_key,
                admission_key=self.key,
                resident_key=self.resident_key,
                bed_class=bed.class_on(day),
                released_on=day,
                cause=ReleaseCause.DEATH,
                region_code=self.region_code,
            )
        )
        return True

    def carry_over(self, path: list[str]) -> None:
        """Stand for the record that survives a merge; `path` leads to it."""
        for key in path:
            self.carried_from.append(self.resident_key)
            self.resident_key = key

    def give_back(self, resident_key: str) -> bool:
        """Stand again for a record whose merge was wrong; False if it never stood for it."""
        if resident_key not in self.carried_from:
            return False
        self.carried_from = self.carried_from[: self.carried_from.index(resident_key)]
        self.resident_key = resident_key
        return True


@dataclass(kw_only=True)
class Person(Aggregate):
    """What is known here of a resident: open admissions, death, merges. The key is the registry's.

    There is one document for a person and one place in it for a bed for the night, written with
    each admission: neither a second bed nor a death told at the same moment can slip by. It begins
    with the first thing the registry tells of the person, whatever that is: facts come in any order.
    """

    died_on: date | None = None
    survivor_key: str = ""
    merged_keys: list[str] = field(default_factory=list)
    """Records merged directly into this one."""
    night_admission: str = ""
    """The open admission to a bed for the night, or to a childcare place."""
    day_admissions: list[str] = field(default_factory=list)
    """Open admissions to day places."""
    settled_on: date | None = None
    """Every night before it is settled: whether or not in a bed, it is not given again."""

    @property
    def admission_keys(self) -> list[str]:
        """All open admissions."""
        return [*filter(None, [self.night_admission]), *self.day_admissions]

    def enter(self, admission: Admission) -> None:
        """Have a bed; at most one at a time, and no night twice, day places aside."""
        if self.died_on is not None:
            raise ResidentIsDeceased(resident_key=self.key)
        self.must_be_free(admission.bed_class, admission.admitted_on)
        self._take(admission)

    def must_be_free(self, bed_class: BedClass, day: date) -> None:
        """Raise what forbids such a bed from a day on: another one, now or on a night since."""
        if not is_residential(bed_class):
            return
        if self.night_admission:
            raise AlreadyAdmitted(resident_key=self.key, admission_key=self.night_admission)
        if self.settled_on is not None and day < self.settled_on:
            raise ResidentDaySettled(resident_key=self.key, settled_on=self.settled_on, day=day)

    def leave(self, admission: Admission) -> None:
        """Have it no more."""
        if self.night_admission == admission.key:
            self.night_admission = ""
        self.day_admissions = [key for key in self.day_admissions if key != admission.key]
        self.settle(admission)

    def hand_over(self, admission: Admission, to: Person) -> None:
        """Let another record of the same person have it, with the nights that are settled by it."""
        if admission.ended_on is not None:
            to.settle(admission)
            return
        self.leave(admission)
        to._take(admission)

    def settle(self, admission: Admission) -> None:
        """Give no night again that it has taken."""
        if is_residential(admission.bed_class):
            day = admission.ended_on or admission.admitted_on
            self.settled_on = max(self.settled_on or day, day)

    def settle_anew(self, admissions: Iterable[Admission]) -> None:
        """Forget the nights that were another's: these admissions are all it ever had."""
        self.settled_on = None
        for admission in admissions:
            self.settle(admission)

    def _take(self, admission: Admission) -> None:
        if is_residential(admission.bed_class):
            self.night_admission = admission.key
        else:
            self.day_admissions.append(admission.key)
        self.settle(admission)
