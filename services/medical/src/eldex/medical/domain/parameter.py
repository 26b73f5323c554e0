"""Policy numbers of medical insurance: what they are about, where and when they hold, who says so.

The plans contradict each other on purpose (mission map 3.4): a number is never a constant, but a
value for a division (down to the township) and a stretch of days, with its document and clause.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import Enum

from eldex.common.aggregate import Aggregate
from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers import RegionCode, RegionLevel
from eldex.medical.domain.enrolment import Scheme
from eldex.medical.domain.person import EligibilityClass
from eldex.medical.domain.rights import CareDisabilityLevel
from eldex.medical.domain.tenure import Days

WHOLE = 10_000
"""A ratio is written in ten-thousandths: 8500 is 85 %."""

_MONTHS, _DAYS = 120, 3_660
"""Ten years: what is longer was meant in another unit."""


class Name(Enum):
    """What a parameter is about."""

    DEDUCTIBLE = "deductible"
    RATIO = "ratio"
    CEILING = "ceiling"
    MAJOR_ILLNESS_DEDUCTIBLE = "major-illness-deductible"
    MAJOR_ILLNESS_RATIO = "major-illness-ratio"
    MAJOR_ILLNESS_CEILING = "major-illness-ceiling"
    ASSISTANCE_DEDUCTIBLE = "assistance-deductible"
    ASSISTANCE_RATIO = "assistance-ratio"
    ASSISTANCE_CEILING = "assistance-ceiling"
    LONG_TERM_CARE_DAILY_AMOUNT = "long-term-care-daily-amount"
    POOLING_LEVEL = "pooling-level"
    LONG_TERM_CARE_RESIDENCE_LEVEL = "long-term-care-residence-level"
    FAMILY_DOCTOR_RESIDENCE_LEVEL = "family-doctor-residence-level"
    FAMILY_DOCTOR_TERM_MONTHS = "family-doctor-term-months"
    CLAIM_DEADLINE_DAYS = "claim-deadline-days"

    @property
    def is_ratio(self) -> bool:
        """Whether it is in ten-thousandths."""
        return self.value.endswith("ratio")

    @property
    def is_level(self) -> bool:
        """Whether it is a level of division."""
        return self.value.endswith("level")

    @property
    def lower_is_better(self) -> bool:
        """Whether a smaller value is better for the person."""
        return self.value.endswith("deductible")


class CareKind(Enum):
    """The kind of care that is claimed (med_type)."""

    INPATIENT = "inpatient"
    OUTPATIENT = "outpatient"
    CHRONIC_OUTPATIENT = "chronic-outpatient"


class HospitalLevel(Enum):
    """The level of a hospital (医院等级)."""

    PRIMARY = "primary"
    SECONDARY = "secondary"
    TERTIARY = "tertiary"


class CarePlace(Enum):
    """Where care was given, seen from the fund that pays."""

    LOCAL = "local"
    REMOTE_FILED = "remote-filed"
    REMOTE_UNFILED = "remote-unfiled"


class ParameterInvalid(DomainError):
    """The value cannot be one of that parameter."""

    kind, reason = Kind.INVALID, "PARAMETER_INVALID"
    zh = "参数 {name} 的取值 {value} 有误：{why_zh}"
    en = "{value} cannot be the value of {name}: {why}"


class ParameterNotSet(DomainError):
    """No division that answers for this one has set the number."""

    kind, reason = Kind.CONFLICT, "PARAMETER_NOT_SET"
    zh = "{region_code} 及其上级区划在 {day} 没有适用的参数 {name}（{case}），请先由政策部门设定"
    en = (
        "neither {region_code} nor a division above it has a value of {name} for this case on"
        " {day} ({case}): have it set first"
    )


@dataclass(frozen=True, slots=True)
class Conditions:
    """For whom and what a number is; None: for all."""

    scheme: Scheme | None = None
    care_kind: CareKind | None = None
    hospital_level: HospitalLevel | None = None
    care_place: CarePlace | None = None
    from_age: int = 0
    eligibility_class: EligibilityClass | None = None
    disability_level: CareDisabilityLevel | None = None

    def label(self) -> str:
        """A stable text, part of the key."""
        named = (
            self.scheme,
            self.care_kind,
            self.hospital_level,
            self.care_place,
            self.eligibility_class,
            self.disability_level,
        )
        return "/".join(
            [*(each.value if each else "-" for each in named), str(self.from_age)],
        )

    @property
    def specificity(self) -> tuple[int, int]:
        """How much they narrow: how many are said, then from which age on."""
        said = (
            self.scheme,
            self.care_kind,
            self.hospital_level,
            self.care_place,
            self.eligibility_class,
            self.disability_level,
            self.from_age or None,
        )
        return sum(each is not None for each in said), self.from_age


@dataclass(frozen=True, slots=True)
class Case:
    """The case a number is wanted for."""

    scheme: Scheme | None = None
    care_kind: CareKind | None = None
    hospital_level: HospitalLevel | None = None
    care_place: CarePlace | None = None
    age: int | None = None
    classes: frozenset[EligibilityClass] = frozenset()
    disability_level: CareDisabilityLevel | None = None

    def fits(self, conditions: Conditions) -> bool:
        """Whether the conditions hold in this case. An age that is not known fulfils none."""
        pairs: tuple[tuple[object, object], ...] = (
            (conditions.scheme, self.scheme),
            (conditions.care_kind, self.care_kind),
            (conditions.hospital_level, self.hospital_level),
            (conditions.care_place, self.care_place),
            (conditions.disability_level, self.disability_level),
        )
        return (
            all(wanted is None or wanted is given for wanted, given in pairs)
            and (not conditions.from_age or (self.age or 0) >= conditions.from_age)
            and (conditions.eligibility_class or None) in {None, *self.classes}
        )

    def label(self) -> str:
        """The case in an error: no personal data but what the rule depends on."""
        named = (
            self.scheme,
            self.care_kind,
            self.hospital_level,
            self.care_place,
            self.disability_level,
        )
        return " ".join(each.value for each in named if each is not None) or "-"


@dataclass(frozen=True, slots=True)
class Value:
    """A number for a stretch of days, and who says so."""

    began_on: date
    ended_on: date | None
    value: int
    document: str
    clause: str

    @property
    def days(self) -> Days:
        """The days on which it holds."""
        return Days(self.began_on, self.ended_on)


def parameter_key(name: Name, conditions: Conditions, region_code: RegionCode) -> str:
    """The key of a parameter: there is one for each name, conditions and division."""
    return f"{region_code}/{name.value}/{conditions.label()}"


@dataclass(kw_only=True)
class Parameter(Aggregate):
    """One policy number in one division, over time."""

    name: Name
    conditions: Conditions
    region_code: RegionCode
    values: list[Value] = field(default_factory=list)
    """By first day, without overlaps."""

    def on(self, day: date) -> Value | None:
        """The value in force on a day."""
        return next((each for each in self.values if each.days.contains(day)), None)

    def set(self, value: Value) -> Value:
        """Have a value hold from its first day until its last, or until the next one begins.

        What held before holds until the day before, and again after it if that has an end.
        Returns the value as it holds now. One that begins on the same day is replaced.
        """
        self._check(value.value)
        following = [v.began_on for v in self.values if v.began_on > value.began_on]
        if value.ended_on is None and following:
            value = replace(value, ended_on=min(following))
        kept = [
            replace(old, began_on=piece.began_on, ended_on=piece.ended_on)
            for old in self.values
            for piece in old.days.without([value.days])
        ]
        self.values = sorted([*kept, value], key=lambda each: each.began_on)
        return value

    def _check(self, value: int) -> None:
        why = None
        if self.name.is_ratio and value > WHOLE:
            why = ("比例不能超过 10000（100 %）", f"a share is at most {WHOLE} (100 %)")
        if self.name.is_level and value not in {level.value for level in RegionLevel}:
            why = ("区划级次为 1（省）至 5（村）", "a level is 1 (province) to 5 (village)")
        if self.name is Name.FAMILY_DOCTOR_TERM_MONTHS and not 1 <= value <= _MONTHS:
            why = (f"应为 1 至 {_MONTHS} 个月", f"give 1 to {_MONTHS} months")
        if self.name is Name.CLAIM_DEADLINE_DAYS and value > _DAYS:
            why = (f"不能超过 {_DAYS} 天", f"give at most {_DAYS} days")
        if why is not None:
            raise ParameterInvalid(name=self.name.value, value=value, why_zh=why[0], why=why[1])


@dataclass(frozen=True, slots=True)
class Found:
    """The number that answers, with the parameter it was found in: to be cited."""

    name: Name
    conditions: Conditions
    region_code: RegionCode
    value: Value

    @property
    def amount(self) -> int:
        """The number itself."""
        return self.value.value


class Policy:
    """The parameters of a division and of all divisions above it, nearest first."""

    def __init__(self, region_code: RegionCode, parameters: Sequence[Parameter]) -> None:
        self.region_code = region_code
        lineage = region_code.lineage()
        self._by_division = [
            [each for each in parameters if each.region_code == division] for division in lineage
        ]

    def find(self, name: Name, case: Case, day: date) -> Found | None:
        """The nearest division's most specific value for a case on a day.

        Among equally specific ones (a person of two classes) the one that is better for the person.
        """
        for parameters in self._by_division:
            found = [
                Found(name, each.conditions, each.region_code, value)
                for each in parameters
                if each.name is name and case.fits(each.conditions)
                if (value := each.on(day)) is not None
            ]
            if found:
                sign = -1 if name.lower_is_better else 1
                return max(found, key=lambda f: (f.conditions.specificity, sign * f.amount))
        return None

    def get(self, name: Name, case: Case, day: date) -> Found:
        """The same; raises `ParameterNotSet`."""
        found = self.find(name, case, day)
        if found is None:
            raise ParameterNotSet(
                region_code=self.region_code, name=name.value, day=day, case=case.label()
            )
        return found

    def level(self, name: Name, day: date, scheme: Scheme | None = None) -> RegionLevel | None:
        """A parameter that is a level of division; None if it is not set."""
        found = self.find(name, Case(scheme=scheme), day)
        return None if found is None else RegionLevel(found.amount)

    def in_force(self, day: date) -> list[Found]:
        """All that hold on a day, nearest division first."""
        return [
            Found(each.name, each.conditions, each.region_code, value)
            for parameters in self._by_division
            for each in sorted(parameters, key=lambda p: p.key)
            if (value := each.on(day)) is not None
        ]
