"""What the city consists of, as pure data; each service's loader says it in its own words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import Enum

from eldex.common.identifiers import CreditCode, RegionCode, ResidentId, Sex
from eldex.local.city.shape import Eligibility, Scheme

ABILITY_ITEMS: tuple[tuple[str, int], ...] = (
    ("进食", 4), ("修饰", 4), ("洗澡", 4), ("穿/脱上衣", 4), ("穿/脱裤子和鞋袜", 4),
    ("小便控制", 4), ("大便控制", 4), ("如厕", 4),
    ("床上体位转移", 4), ("床椅转移", 4), ("平地行走", 4), ("上下楼梯", 3),
    ("时间定向", 4), ("空间定向", 4), ("人物定向", 4), ("记忆", 4), ("理解能力", 4),
    ("表达能力", 4), ("攻击行为", 1), ("抑郁症状", 1), ("意识水平", 2),
    ("视力", 2), ("听力", 2), ("执行日常事务", 4), ("使用交通工具外出", 3), ("社会交往能力", 4),
)  # fmt: skip
"""The 26 items of GB/T 42195-2022 in the order of its table B, with their most points; sum 90."""


class Relation(Enum):
    """Relation to the head of the household (与户主关系, GB/T 4761)."""

    HEAD = "head"
    """户主"""
    SPOUSE = "spouse"
    """配偶"""
    CHILD = "child"
    """子女"""
    GRANDCHILD = "grandchild"
    """孙子女"""
    PARENT = "parent"
    """父母"""


@dataclass(frozen=True, slots=True)
class FictionalEligibility:
    """A class somebody belongs to, who says so and since when."""

    kind: Eligibility
    source: str
    since: date


@dataclass(frozen=True, slots=True)
class FictionalEnrolment:
    """Membership of an insurance scheme from a day on."""

    scheme: Scheme
    began_on: date


@dataclass(frozen=True, slots=True)
class FictionalAssessment:
    """What an assessor wrote down: points by item, in the order of `ABILITY_ITEMS`.

    The level is for the registry to find: dementia and risk events raise it (GB/T 42195 C.4).
    """

    assessed_on: date
    points: tuple[int, ...]
    dementia: bool
    risk_events_30_days: int

    @property
    def total(self) -> int:
        """Sum of the points, 0 to 90."""
        return sum(self.points)


class BedClass(Enum):
    """Kinds of beds."""

    NURSING = "nursing"
    """护理型床位"""
    ORDINARY = "ordinary"
    """普通床位"""


@dataclass(frozen=True, slots=True)
class FictionalStay:
    """A bed that somebody occupies."""

    institution: int
    """Serial of the institution."""
    bed_class: BedClass
    bed_number: int
    """Counted within the class, from 1."""
    admitted_on: date


@dataclass(frozen=True, slots=True)
class FictionalResident:
    """Somebody who does not exist."""

    serial: int
    name: str
    sex: Sex
    born_on: date
    identity: ResidentId
    region: RegionCode
    """Where they live: the village; in a functional zone, which has none of its own, the zone."""
    hukou: RegionCode
    """County of the household registration (户籍地), some in the partner city."""
    household: int
    relation: Relation
    eligibility: tuple[FictionalEligibility, ...]
    enrolments: tuple[FictionalEnrolment, ...]
    assessment: FictionalAssessment | None
    stay: FictionalStay | None


@dataclass(frozen=True, slots=True)
class FictionalHousehold:
    """People who live together; the first is the head."""

    serial: int
    region: RegionCode
    members: tuple[FictionalResident, ...]


class InstitutionKind(Enum):
    """Kinds of institutions."""

    CARE_INSTITUTION = "care_institution"
    """养老机构"""
    DAY_CENTRE = "day_centre"
    """社区日间照料中心"""
    RURAL_HOME = "rural_home"
    """农村幸福院"""
    CHILDCARE = "childcare"
    """托育机构"""


class ProfitNature(Enum):
    """Nature of operation (经营性质): decides where its records are disclosed (M004-72)."""

    PUBLIC = "public"
    """公办 (事业单位)"""
    NON_PROFIT = "non_profit"
    """民办非营利"""
    FOR_PROFIT = "for_profit"
    """民办营利"""
    COLLECTIVE = "collective"
    """村集体"""


@dataclass(frozen=True, slots=True)
class FictionalInstitution:
    """An institution that does not exist, with what its filing (备案) holds."""

    serial: int
    credit_code: CreditCode
    name: str
    kind: InstitutionKind
    nature: ProfitNature
    region: RegionCode
    nursing_beds: int
    ordinary_beds: int
    places: int
    """Childcare places (托位); 0 for the others."""
    legal_representative: str
    filing_number: str
    filed_on: date
    fire_accepted_on: date
    meets_standard: bool
    medical_care: bool
    """Whether it combines medical and elder care (医养结合)."""

    @property
    def beds(self) -> int:
        """Beds of all classes."""
        return self.nursing_beds + self.ordinary_beds
