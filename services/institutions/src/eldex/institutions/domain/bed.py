"""Beds and childcare places: what they are for, and who has them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from eldex.common.aggregate import Aggregate
from eldex.common.errors import AlreadyExists, DomainError, Kind
from eldex.common.identifiers import RegionCode
from eldex.institutions.domain import events
from eldex.institutions.domain.days import not_before, past_or_today
from eldex.institutions.domain.events import BedClass, InstitutionKind, ReleaseCause

_CHILDCARE = frozenset({BedClass.CHILDCARE_PLACE})
_CLASSES = {
    InstitutionKind.CHILDCARE: _CHILDCARE,
    InstitutionKind.DAY_CARE_CENTRE: frozenset({BedClass.DAY}),
}
_FOR_ELDERS = frozenset(BedClass) - _CHILDCARE


class BedOccupiedAlready(DomainError):
    """The bed is somebody's: it is never given twice."""

    kind, reason = Kind.CONFLICT, "BED_OCCUPIED"
    zh = "床位 {bed_key} 已有人入住"
    en = "bed {bed_key} is occupied"


class BedWithdrawn(DomainError):
    """The bed is out of service."""

    kind, reason = Kind.CONFLICT, "BED_WITHDRAWN"
    zh = "床位 {bed_key} 已自 {withdrawn_on} 起停用"
    en = "bed {bed_key} is out of service since {withdrawn_on}"


class BedDaySettled(DomainError):
    """What lies before that day is settled: a bed's days are never given again."""

    kind, reason = Kind.CONFLICT, "BED_DAY_SETTLED"
    zh = "床位 {bed_key} 在 {settled_on} 之前的日期已有记录，{day} 不可再办理"
    en = "bed {bed_key} is settled up to {settled_on}: {day} lies before it"


class BedClassForbidden(DomainError):
    """Such an institution has no such beds, or an occupied bed may not become one."""

    kind, reason = Kind.CONFLICT, "BED_CLASS_FORBIDDEN"
    zh = "该机构（或已入住的该床位）不能设为此类床位：{bed_class}"
    en = "a bed here, or one occupied like this, cannot be of class {bed_class}"


class BedLabelTaken(DomainError):
    """Another bed in service has the label."""

    kind, reason = Kind.CONFLICT, "BED_LABEL_TAKEN"
    zh = "床位编号 {label} 已被使用"
    en = "a bed in service has the label {label} already"


class LabelInService(AlreadyExists):
    """The same, where another clerk was faster."""

    what = "label"
    zh = "该机构已有同一编号的在用床位：请用 ListBeds 查询，并改用其他编号"
    en = "a bed in service here has this label already: see ListBeds, and choose another"


def must_suit(kind: InstitutionKind, bed_class: BedClass) -> None:
    """Raise `BedClassForbidden` for a class that such an institution does not have.

    A childcare institution has places and nothing else, and nobody else has them: a site for both
    (老少乐园, M004-34) is filed as two.
    """
    if bed_class not in _CLASSES.get(kind, _FOR_ELDERS):
        raise BedClassForbidden(bed_class=bed_class.value)


@dataclass(frozen=True, slots=True)
class Conversion:
    """A change of what a bed is for, from a day on."""

    from_bed_class: BedClass
    bed_class: BedClass
    converted_on: date


@dataclass(slots=True)
class Occupant:
    """Who has the bed, under which admission, from when."""

    admission_key: str
    resident_key: str
    occupied_on: date


@dataclass(kw_only=True)
class Bed(Aggregate):
    """A bed (床位) or a childcare place (托位); admissions to different beds never meet.

    `settled_on` only moves forward: everything that is dated before it has been told to others.
    """

    institution_key: str
    institution_kind: InstitutionKind
    region_code: RegionCode
    label: str
    bed_class: BedClass
    in_service_on: date
    settled_on: date
    occupant: Occupant | None = None
    conversions: list[Conversion] = field(default_factory=list)
    withdrawn_on: date | None = None

    def occupy(self, admission_key: str, resident_key: str, day: date) -> None:
        """Give the bed to a person from a day on."""
        self._must_be_free(day)
        self.occupant = Occupant(admission_key, resident_key, day)
        self.settled_on = day
        self.record(
            events.BedOccupied(
                institution_key=self.institution_key,
                bed_key=self.key,
                admission_key=admission_key,
                resident_key=resident_key,
                bed_class=self.bed_class,
                occupied_on=day,
                region_code=self.region_code,
            )
        )

    def release(self, day: date, cause: ReleaseCause) -> None:
        """Have the bed back from a day on; it may lie before a conversion told meanwhile."""
        occupant = self.occupant
        if occupant is None:
            return
        self.occupant = None
        self.settled_on = max(self.settled_on, day)
        self.record(
            events.BedReleased(
                institution_key=self.institution_key,
                bed_key=self.key,
                admission_key=occupant.admission_key,
                resident_key=occupant.resident_key,
                bed_class=self.class_on(day),
                released_on=day,
                cause=cause,
                region_code=self.region_code,
            )
        )

    def convert(self, bed_class: BedClass, day: date, today: date) -> None:
        """Use the bed for something else from a day on."""
        past_or_today(day, today)
        self._must_be_in_service()
        must_suit(self.institution_kind, bed_class)
        if bed_class is self.bed_class:
            return
        if self.occupant is not None and BedClass.DAY in {bed_class, self.bed_class}:
            # Its occupant may have a bed for the night elsewhere, or may need one here.
            raise BedClassForbidden(bed_class=bed_class.value)
        self._must_not_be_settled(day)
        self.conversions.append(Conversion(self.bed_class, bed_class, day))
        self.settled_on = day
        self.record(
            events.BedConverted(
                institution_key=self.institution_key,
                bed_key=self.key,
                from_bed_class=self.bed_class,
                bed_class=bed_class,
                converted_on=day,
                region_code=self.region_code,
            )
        )
        self.bed_class = bed_class

    def withdraw(self, day: date, today: date) -> None:
        """Take the bed out of service."""
        past_or_today(day, today)
        self._must_be_free(day)
        self.withdrawn_on = self.settled_on = day

    def class_on(self, day: date) -> BedClass:
        """What the bed was for on a day."""
        for conversion in self.conversions:
            if day < conversion.converted_on:
                return conversion.from_bed_class
        return self.bed_class

    def _must_be_in_service(self) -> None:
        if self.withdrawn_on is not None:
            raise BedWithdrawn(bed_key=self.key, withdrawn_on=self.withdrawn_on)

    def _must_be_free(self, day: date) -> None:
        self._must_be_in_service()
        if self.occupant is not None:
            raise BedOccupiedAlready(bed_key=self.key)
        self._must_not_be_settled(day)

    def _must_not_be_settled(self, day: date) -> None:
        not_before(day, self.in_service_on, "床位启用之日", "the bed came into service")
        if day < self.settled_on:
            raise BedDaySettled(bed_key=self.key, settled_on=self.settled_on, day=day)
