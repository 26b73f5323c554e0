"""A fictional city of elder care, from a seed number: `generate(seed, scale, as_of)`.

Nobody in it exists, and every number says so: see `eldex.local.city.fictional`.
"""

from eldex.local.city.fictional import FICTIONAL, credit_code, is_fictional
from eldex.local.city.generate import CityPlan, FictionalCity, generate
from eldex.local.city.records import (
    ABILITY_ITEMS,
    BedClass,
    FictionalAssessment,
    FictionalEligibility,
    FictionalEnrolment,
    FictionalHousehold,
    FictionalInstitution,
    FictionalResident,
    FictionalStay,
    InstitutionKind,
    ProfitNature,
    Relation,
)
from eldex.local.city.shape import Eligibility, Scheme

__all__ = [
    "ABILITY_ITEMS",
    "FICTIONAL",
    "BedClass",
    "CityPlan",
    "Eligibility",
    "FictionalAssessment",
    "FictionalCity",
    "FictionalEligibility",
    "FictionalEnrolment",
    "FictionalHousehold",
    "FictionalInstitution",
    "FictionalResident",
    "FictionalStay",
    "InstitutionKind",
    "ProfitNature",
    "Relation",
    "Scheme",
    "credit_code",
    "generate",
    "is_fictional",
]
