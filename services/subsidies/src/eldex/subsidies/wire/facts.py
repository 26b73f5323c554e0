"""Events of other departments as facts for the handlers."""

from __future__ import annotations

from eldex.api.institutions.v1 import bed_events_pb2, institution_events_pb2
from eldex.api.medical.v1 import medical_events_pb2 as medical
from eldex.api.registry.v1 import resident_events_pb2 as registry
from eldex.common.dates import day, optional_day
from eldex.common.identifiers import RegionCode
from eldex.subsidies.domain.schemes import (
    AbilityLevel,
    BedClass,
    EligibilityClass,
    InstitutionKind,
    ProfitNature,
)
from eldex.subsidies.handlers.facts import Assessed, Belongs, Care, Settled
from eldex.subsidies.handlers.institutions import BedFact, Filed
from eldex.subsidies.wire.enums import read


def registered(told: registry.ResidentRegistered) -> Settled:
    """Where a person lives since the registration, and when the person was born."""
    return Settled(
        told.resident_key,
        RegionCode.parse(told.region_code),
        RegionCode.parse(told.hukou_region_code or told.region_code),
        day(told.resident_since, "resident_since"),
        day(told.born_on, "born_on"),
    )


def moved(told: registry.ResidentMoved) -> Settled:
    """Where a person lives since a move."""
    return Settled(
        told.resident_key,
        RegionCode.parse(told.region_code),
        RegionCode.parse(told.hukou_region_code or told.region_code),
        day(told.moved_on, "moved_on"),
    )


def belongs(told: registry.EligibilityGranted) -> Belongs:
    """A membership in a class."""
    return Belongs(
        told.resident_key,
        told.eligibility_key,
        eligibility_class(told.eligibility_class),
        day(told.valid_from, "valid_from"),
        optional_day(told.valid_to, "valid_to"),
    )


def eligibility_class(number: int) -> EligibilityClass:
    """A class of the contract."""
    return read(EligibilityClass, number, "eligibility_class")


def assessed(told: registry.AssessmentCompleted) -> Assessed:
    """A level of ability."""
    return Assessed(
        told.resident_key,
        told.assessment_key,
        read(AbilityLevel, told.ability_level, "ability_level"),
        day(told.assessed_on, "assessed_on"),
        told.supersedes_key,
    )


def care_granted(told: medical.LongTermCareGranted, version: int) -> Care:
    """From when on long-term-care insurance pays."""
    began_on = day(told.began_on, "began_on")
    return Care(told.resident_key, told.benefit_key, began_on, version)


def care_ended(told: medical.LongTermCareEnded, version: int) -> Care:
    """From when on it pays no longer."""
    ended_on = day(told.ended_on, "ended_on")
    return Care(told.resident_key, told.benefit_key, ended_on, version)


def filed(told: institution_events_pb2.InstitutionFiled) -> Filed:
    """An institution's kind, nature and place."""
    return Filed(
        told.institution_key,
        told.credit_code,
        read(InstitutionKind, told.institution_kind, "institution_kind"),
        read(ProfitNature, told.profit_nature, "profit_nature"),
        RegionCode.parse(told.region_code),
    )


def bed_class(number: int) -> BedClass:
    """A bed class of the contract."""
    return read(BedClass, number, "bed_class")


def occupied(told: bed_events_pb2.BedOccupied) -> BedFact:
    """Somebody has a bed."""
    return BedFact(
        told.institution_key,
        told.admission_key,
        told.bed_key,
        bed_class(told.bed_class),
        day(told.occupied_on, "occupied_on"),
        occupied=True,
    )


def released(told: bed_events_pb2.BedReleased) -> BedFact:
    """A bed is free again."""
    return BedFact(
        told.institution_key,
        told.admission_key,
        told.bed_key,
        bed_class(told.bed_class),
        day(told.released_on, "released_on"),
        occupied=False,
    )
