"""The numbers that give the fictional city its shape, each with where it comes from.

`M002-..` rows are those of the 2021-2025 plan for elder and child care of a city in 四川 with 5.3854
million people, inferred to be 达州 (5117). Where the plan is silent the figure is an assumption of
ours, marked so: plausible, not measured, and no statement about the real place.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

POPULATION = 5_385_400
"""常住人口 (M002-09)."""
PREFECTURE = "5117"
PARTNER_CITY = "50"
"""重庆: the partner city across the border, with which subsidies are settled (M002-65)."""
PARTNER_COUNTIES = ("500101", "500154", "500155", "500229", "500231")
"""万州 开州 梁平 城口 垫江: the counties of the partner city that border on this one."""

BANDS: tuple[tuple[int, int, float], ...] = (
    (0, 14, 0.172874),  # 931,000 (M002-09)
    (15, 59, 0.603484),  # the rest
    (60, 64, 0.044008),  # 60+ 1,204,400 less 65+ 967,400 (M002-09)
    (65, 69, 0.062),
    (70, 74, 0.049),
    (75, 79, 0.037106),  # 65-79: 65+ less 80+, split by assumption
    (80, 84, 0.017800),  # 80+: 14.1 % of the elders (map §3.3), split by assumption
    (85, 89, 0.009300),
    (90, 94, 0.003550),
    (95, 99, 0.000818),
    (100, 108, 0.000060),
)
"""First and last age of a band and its share of the population."""
ELDER_AGE = 60
MALE_SHARE_BY_AGE = ((0, 0.525), (15, 0.510), (60, 0.500), (80, 0.450), (90, 0.380), (100, 0.280))
"""From an age on, the share of men (assumption)."""


@dataclass(frozen=True, slots=True)
class CountyShape:
    """A county unit's weight in the city, and how old it is beside the city."""

    code: str
    population_weight: int
    elder_factor: float


COUNTIES = (
    CountyShape("511702", 165, 0.74),
    CountyShape("511703", 170, 1.05),
    CountyShape("511722", 178, 1.05),
    CountyShape("511723", 77, 1.05),
    CountyShape("511724", 156, 1.06),
    CountyShape("511725", 170, 1.07),
    CountyShape("511781", 75, 1.05),
    CountyShape("511778", 7, 0.94),
    CountyShape("511779", 2, 0.96),
)
"""The seven county units and the two functional zones (map §3.8). Weights are assumptions; the
factors keep 60+ above 20 % everywhere but in 通川区 (M002-11)."""
STREET_WEIGHT, TOWN_WEIGHT, TOWNSHIP_WEIGHT = 30, 11, 5
"""How many people a 街道, a 镇 and a 乡 have, beside each other (assumption)."""

HUKOU_ELSEWHERE_IN_CITY = 0.035
HUKOU_IN_PARTNER_CITY = 0.015
"""户口 elsewhere (assumption): who lives here but is registered there."""


class Scheme(Enum):
    """Insurance schemes (险种)."""

    PENSION_EMPLOYEE = "pension_employee"
    """城镇职工基本养老保险"""
    PENSION_RESIDENT = "pension_resident"
    """城乡居民基本养老保险"""
    MEDICAL_EMPLOYEE = "medical_employee"
    """职工基本医疗保险"""
    MEDICAL_RESIDENT = "medical_resident"
    """城乡居民基本医疗保险"""
    LONG_TERM_CARE = "long_term_care"
    """长期护理保险"""


PENSION_COVERAGE = 0.895
"""基本养老保险参保率, of those aged 16 and over (indicator 1 of 002)."""
MEDICAL_COVERAGE = 0.99
"""基本医疗保险参保率 (indicator 2 of 002)."""
EMPLOYEE_SHARE = 0.27
"""Share of the insured adults in the employees' schemes (assumption); these also have long-term
care insurance (assumption)."""


class Eligibility(Enum):
    """Classes that entitle an elder to something (map §3.5)."""

    EXTREME_POVERTY = "extreme_poverty"
    """特困人员 (五保)"""
    MINIMUM_LIVING = "minimum_living"
    """最低生活保障"""
    LOW_INCOME = "low_income"
    """低收入家庭"""
    SEVERE_DISABILITY = "severe_disability"
    """重度残疾"""
    DEMENTIA = "dementia"
    """失智"""
    ADVANCED_AGE = "advanced_age"
    """高龄 (80+)"""
    CENTENARIAN = "centenarian"
    """百岁老人"""
    LIVING_ALONE = "living_alone"
    """独居"""
    EMPTY_NEST = "empty_nest"
    """空巢"""
    LEFT_BEHIND = "left_behind"
    """留守"""
    FAMILY_PLANNING_SPECIAL = "family_planning_special"
    """计划生育特殊家庭"""
    PREFERENTIAL = "preferential"
    """优抚对象"""


@dataclass(frozen=True, slots=True)
class ClassShape:
    """How many elders of an age on are in a class, and which department says so."""

    kind: Eligibility
    source: str
    from_age: int
    share: float


DRAWN_CLASSES = (
    ClassShape(Eligibility.EXTREME_POVERTY, "civil-affairs", 60, 0.020),
    ClassShape(Eligibility.MINIMUM_LIVING, "civil-affairs", 60, 0.055),
    ClassShape(Eligibility.LOW_INCOME, "civil-affairs", 60, 0.030),
    ClassShape(Eligibility.SEVERE_DISABILITY, "disabled-persons-federation", 60, 0.025),
    ClassShape(Eligibility.DEMENTIA, "health", 65, 0.050),
    ClassShape(Eligibility.FAMILY_PLANNING_SPECIAL, "health", 60, 0.008),
    ClassShape(Eligibility.PREFERENTIAL, "veterans-affairs", 60, 0.015),
    ClassShape(Eligibility.ADVANCED_AGE, "civil-affairs", 80, 1.0),
    ClassShape(Eligibility.CENTENARIAN, "civil-affairs", 100, 1.0),
)
"""Shares among the elders of that age and above (assumptions; the age classes follow from age).
The first three exclude each other: nobody draws two of them. 独居, 空巢 and 留守 follow from the
household."""

LIVING_ARRANGEMENTS = (("alone", 0.42), ("grandchildren", 0.50), ("children", 1.0))
"""What an elder or an elderly couple lives with, cumulative: nobody else, grandchildren whose
parents work elsewhere (留守), or children (assumption)."""
ELDER_COUPLES = 0.62
"""Share of the elders who live with their spouse (assumption)."""

ASSESSED = ((60, 0.10), (70, 0.20), (80, 0.60))
"""From an age on, the share with an ability assessment (assumption)."""
LEVEL_SHARES = (
    (60, (0.80, 0.14, 0.03, 0.02, 0.01)),
    (70, (0.62, 0.25, 0.07, 0.04, 0.02)),
    (80, (0.35, 0.36, 0.15, 0.09, 0.05)),
    (90, (0.14, 0.34, 0.24, 0.17, 0.11)),
)
"""From an age on, the shares of the levels 0 完好 to 4 完全失能 among the assessed (assumption)."""

CARE_INSTITUTIONS, DAY_CENTRES, RURAL_HOMES = 189, 445, 508
BEDS = 25_000
NURSING_SHARE = 0.30
"""养老机构, 社区日间照料中心, 农村幸福院, all their beds, the nursing share in institutions (M002-01)."""
PUBLIC_CARE_INSTITUTIONS, PUBLIC_BEDS = 69, 6_538
"""公办养老机构 and their beds (M002-04)."""
MEETING_STANDARD = 126
"""Institutions that meet the national basic standard (M002-03)."""
MEDICAL_CARE_INSTITUTIONS = 14
"""示范性医养结合机构 (M002-08)."""
DAY_CENTRE_BEDS, RURAL_HOME_BEDS = 2_670, 2_460
"""Their part of the 25,000 beds (assumption)."""
PRIVATE_CHILDCARE, PUBLIC_CHILDCARE = 488, 188
CHILDCARE_PLACES = 7_001
"""托育机构 and their places: 1.3 for 1,000 people (M002-02, map §3.3)."""
FOR_PROFIT_SHARE = 0.35
"""Share of the private institutions that seek profit (assumption)."""
OCCUPANCY = 0.55
"""Share of the institutions' beds that are taken (assumption; the plan calls vacancy high)."""
