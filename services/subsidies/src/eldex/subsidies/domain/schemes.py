"""Schemes and their parameters: which amount, under which conditions, where, from when, by which clause.

No number of a plan stands in code (M001-71, M002-34): a parameter version belongs to one division
and one period, with its document and clause; the nearest division above a place wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from functools import lru_cache

from eldex.common.aggregate import Aggregate
from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers import RegionCode, RegionLevel


class Payee(Enum):
    """Who is paid, and how it is reckoned."""

    RESIDENT_MONTHLY = "resident_monthly"
    """A person, by entitled days of the month; found without an application."""
    RESIDENT_ONCE = "resident_once"
    """A person, once."""
    INSTITUTION_BED_DAYS = "institution_bed_days"
    """An institution, by beds actually occupied (M001-49); found without an application."""
    INSTITUTION_ONCE = "institution_once"
    """An institution, once."""


class EligibilityClass(Enum):
    """A class of people with a claim of their own (mission map 3.5)."""

    THREE_WITHOUTS = "three_withouts"
    DESTITUTE = "destitute"
    MINIMUM_LIVING = "minimum_living"
    LOW_INCOME = "low_income"
    ECONOMIC_DIFFICULTY = "economic_difficulty"
    DEMENTIA = "dementia"
    SEVERE_DISABILITY = "severe_disability"
    FAMILY_PLANNING_SPECIAL = "family_planning_special"
    LIVING_ALONE = "living_alone"
    EMPTY_NEST = "empty_nest"
    LEFT_BEHIND = "left_behind"
    PREFERENTIAL_TREATMENT = "preferential_treatment"
    MARTYR_FAMILY = "martyr_family"
    DESTITUTE_WANDERER = "destitute_wanderer"
    SOJOURNER = "sojourner"


class AbilityLevel(Enum):
    """Level of ability, GB/T 42195-2022: the higher the number, the less a person can do."""

    INTACT = 0
    MILD = 1
    MODERATE = 2
    SEVERE = 3
    COMPLETE = 4


class CarerGrade(Enum):
    """Vocational grade of a care worker (养老护理员职业资格), M001-53."""

    JUNIOR = "junior"
    """初级工"""
    INTERMEDIATE = "intermediate"
    """中级工"""
    SENIOR = "senior"
    """高级工"""
    TECHNICIAN = "technician"
    """技师"""


class InstitutionKind(Enum):
    """What kind of institution it is."""

    ELDER_CARE_HOME = "elder_care_home"
    DAY_CARE_CENTRE = "day_care_centre"
    RURAL_MUTUAL_AID_HOME = "rural_mutual_aid_home"
    SOJOURN_MEDICAL_CARE = "sojourn_medical_care"
    CHILDCARE = "childcare"


class ProfitNature(Enum):
    """Nature of an institution's operation."""

    PUBLIC = "public"
    NON_PROFIT = "non_profit"
    FOR_PROFIT = "for_profit"


class BedClass(Enum):
    """What a bed is for."""

    GENERAL = "general"
    NURSING = "nursing"
    DEMENTIA = "dementia"
    DAY = "day"
    CHILDCARE_PLACE = "childcare_place"


class UnknownScheme(DomainError):
    """There is no such scheme, or it is not of the kind that the act is about."""

    kind, reason = Kind.INVALID, "SCHEME_UNKNOWN"
    zh = "没有适用于此项业务的补贴项目 {scheme_code}，可用：{known}"
    en = "there is no scheme {scheme_code} for this act; there are: {known}"


class ParametersContradictory(DomainError):
    """A parameter version that cannot be applied."""

    kind, reason = Kind.INVALID, "PARAMETERS_CONTRADICTORY"
    zh = "补贴标准有误：{why_zh}"
    en = "the parameters cannot be applied: {why}"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a rule comes from (依据): a document and the clause in it."""

    document: str
    clause: str = ""

    def __str__(self) -> str:
        return f"{self.document} {self.clause}".strip()


class ConditionKind(Enum):
    """What a condition asks."""

    AGE_FROM = "age_from"
    CLASS_ANY = "class_any"
    ABILITY_FROM = "ability_from"


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that must hold of a person on a day (条件). Which field counts depends on `kind`."""

    kind: ConditionKind
    age: int = 0
    """Full years (周岁)."""
    classes: tuple[EligibilityClass, ...] = ()
    """One of them is enough."""
    level: AbilityLevel = AbilityLevel.INTACT
    """This level or a higher number."""
    source: Source | None = None
    """If it rests on another clause than the version as a whole."""


@dataclass(frozen=True, slots=True)
class Grade:
    """An amount and what it takes to get it (档次)."""

    code: str
    monthly_fen: int
    conditions: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class MonthlyRule:
    """An allowance by the month: all `conditions`, then the first grade whose conditions hold."""

    grades: tuple[Grade, ...]
    """Best first. None at all: the scheme is not offered here."""
    conditions: tuple[Condition, ...] = ()
    excluded_by_long_term_care: bool = False
    """Nothing for days of a long-term-care benefit (M004-11)."""
    offset_recoveries: bool = False
    """What was overpaid may be held back from the next payment (抵扣)."""


@dataclass(frozen=True, slots=True)
class CarerRule:
    """A one-off award for care workers (M001-53, M001-54)."""

    amounts_fen: dict[str, int]
    """By `CarerGrade` value."""
    years_in_post: int
    """Uninterrupted years in a care post of the division."""


@dataclass(frozen=True, slots=True)
class InstitutionRule:
    """A subsidy to institutions (M001-48, M001-49)."""

    kinds: tuple[InstitutionKind, ...]
    natures: tuple[ProfitNature, ...]
    months_open: int = 0
    """It must have been open for so many months."""
    bed_fen: dict[str, int] = field(default_factory=dict)
    """By `BedClass` value: what a bed occupied for a whole month is worth."""
    unit_fen: int = 0
    """One-off: per bed or place built."""
    fixed_fen: int = 0
    """One-off: whatever the size."""
    recount_months: int = 12
    """So many months back, bed days are counted again when facts arrive late."""

    def check(self, payee: Payee) -> None:
        """Raise `ParametersContradictory` for an amount that such a scheme would never pay."""
        once = self.unit_fen or self.fixed_fen
        if self.bed_fen if payee is Payee.INSTITUTION_ONCE else once:
            raise ParametersContradictory(
                why_zh="按床位占用天数的标准与一次性标准不能混用",
                why="a rate by bed days and a one-off amount do not belong in one scheme",
            )


@dataclass(frozen=True, slots=True)
class Version:
    """Parameters of one scheme in one division from a day on (标准)."""

    valid_from: date
    source: Source
    valid_to: date | None = None
    """First day without; then what the division above says applies again."""
    monthly: MonthlyRule | None = None
    carer: CarerRule | None = None
    institution: InstitutionRule | None = None

    def in_force(self, day: date) -> bool:
        """Whether the day lies in its period."""
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to)

    def check(self, payee: Payee) -> None:
        """Raise `ParametersContradictory` unless it is a whole rule for schemes of that kind."""
        wanted = {
            Payee.RESIDENT_MONTHLY: self.monthly,
            Payee.RESIDENT_ONCE: self.carer,
            Payee.INSTITUTION_BED_DAYS: self.institution,
            Payee.INSTITUTION_ONCE: self.institution,
        }[payee]
        given = [rule for rule in (self.monthly, self.carer, self.institution) if rule]
        if given != [wanted]:
            raise ParametersContradictory(
                why_zh=f"该项目需要的规则类型为 {payee.value}",
                why=f"the scheme needs a rule of the kind {payee.value}, and no other",
            )
        if self.institution is not None:
            self.institution.check(payee)
        if self.valid_to is not None and self.valid_to <= self.valid_from:
            raise ParametersContradictory(
                why_zh="失效日必须晚于生效日", why="valid_to must come after valid_from"
            )
        codes = [grade.code for grade in self.monthly.grades] if self.monthly else []
        if len(set(codes)) != len(codes):
            raise ParametersContradictory(
                why_zh="档次代码重复", why="two grades have the same code"
            )


def set_key(scheme_code: str, region_code: RegionCode) -> str:
    """The key of the parameters of one scheme in one division."""
    return f"{scheme_code}@{region_code}"


@dataclass(kw_only=True)
class ParameterSet(Aggregate):
    """All versions of one scheme's parameters in one division."""

    scheme_code: str
    region_code: RegionCode
    versions: list[Version] = field(default_factory=list)
    """By `valid_from`, oldest first; no two begin on one day."""

    def put(self, version: Version) -> bool:
        """Enter a version, in place of one that begins on the same day; False if it is there."""
        if version in self.versions:
            return False
        kept = [v for v in self.versions if v.valid_from != version.valid_from]
        self.versions = sorted([*kept, version], key=lambda v: v.valid_from)
        return True

    def on(self, day: date) -> Version | None:
        """What applies on a day; the later begun goes before the earlier."""
        begun = [v for v in self.versions if v.valid_from <= day]
        return begun[-1] if begun and begun[-1].in_force(day) else None


@dataclass(frozen=True, slots=True)
class Applicable:
    """A version with the division that it was found in."""

    region_code: RegionCode
    version: Version

    @property
    def reference(self) -> str:
        """Names it: division and first day."""
        return f"{self.region_code}/{self.version.valid_from}"


@lru_cache(maxsize=16_384)
def lineage(region_code: RegionCode) -> tuple[RegionCode, ...]:
    """The division and those above it, nearest first."""
    return region_code.lineage()


@lru_cache(maxsize=16_384)
def payer(region_code: RegionCode) -> RegionCode:
    """Who pays for a place: its county, or its prefecture where there is none between (M001-71)."""
    return (
        region_code.at(RegionLevel.COUNTY) or region_code.at(RegionLevel.PREFECTURE) or region_code
    )


class Tables:
    """The parameters that a decision may need: those of some divisions and all above them."""

    def __init__(self, sets: Iterable[ParameterSet]) -> None:
        self._sets: Mapping[str, ParameterSet] = {found.key: found for found in sets}

    def find(self, scheme_code: str, region_code: RegionCode, day: date) -> Applicable | None:
        """What applies in a place on a day: the nearest division that says anything wins."""
        for code in lineage(region_code):
            found = self._sets.get(set_key(scheme_code, code))
            version = found.on(day) if found else None
            if version is not None:
                return Applicable(code, version)
        return None

    def versions(self, scheme_code: str, region_code: RegionCode) -> list[Version]:
        """All versions that may ever apply in a place."""
        return [
            version
            for code in lineage(region_code)
            if (found := self._sets.get(set_key(scheme_code, code)))
            for version in found.versions
        ]


@dataclass(frozen=True, slots=True)
class Scheme:
    """A kind of subsidy (补贴项目)."""

    code: str
    name_zh: str
    name_en: str
    payee: Payee
    source: Source


class Catalogue:
    """The schemes there are, in the order in which they are told."""

    def __init__(self, schemes: Iterable[Scheme]) -> None:
        self._schemes = {scheme.code: scheme for scheme in schemes}

    def of(self, *payees: Payee) -> list[Scheme]:
        """Those of some kinds; of all kinds, if none is given."""
        return [s for s in self._schemes.values() if not payees or s.payee in payees]

    def get(self, code: str, *payees: Payee) -> Scheme:
        """One of some kinds; raises `UnknownScheme` with the codes there are."""
        found = self._schemes.get(code)
        if found is None or (payees and found.payee not in payees):
            known = ", ".join(scheme.code for scheme in self.of(*payees))
            raise UnknownScheme(scheme_code=code, known=known)
        return found
