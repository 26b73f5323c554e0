"""The facts this department tells, on its two topics."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import Enum

from eldex.common.identifiers import CreditCode, RegionCode


class InstitutionKind(Enum):
    """What kind of institution it is (机构类别)."""

    ELDER_CARE_HOME = "elder_care_home"
    """养老机构"""
    DAY_CARE_CENTRE = "day_care_centre"
    """日间照料中心"""
    RURAL_MUTUAL_AID_HOME = "rural_mutual_aid_home"
    """农村互助养老设施（幸福院）"""
    SOJOURN_MEDICAL_CARE = "sojourn_medical_care"
    """旅居医养型养老服务机构 (M000-30)"""
    CHILDCARE = "childcare"
    """托育机构"""


class ProfitNature(Enum):
    """Nature of the operation (经营性质)."""

    PUBLIC = "public"
    """公办"""
    NON_PROFIT = "non_profit"
    """民办非营利"""
    FOR_PROFIT = "for_profit"
    """营利"""


class BedClass(Enum):
    """What a bed is for (床位类别)."""

    GENERAL = "general"
    """普通床位"""
    NURSING = "nursing"
    """护理型床位"""
    DEMENTIA = "dementia"
    """认知障碍照护床位"""
    DAY = "day"
    """日间床位"""
    CHILDCARE_PLACE = "childcare_place"
    """托位"""


class ReleaseCause(Enum):
    """Why a bed was released."""

    DISCHARGE = "discharge"
    DEATH = "death"
    TRANSFER = "transfer"


@dataclass(frozen=True, slots=True, kw_only=True)
class _OfInstitution:
    institution_key: str
    credit_code: CreditCode
    region_code: RegionCode


@dataclass(frozen=True, slots=True, kw_only=True)
class InstitutionFiled(_OfInstitution):
    """The filing is complete."""

    institution_kind: InstitutionKind
    profit_nature: ProfitNature
    filed_on: date
    opened_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class InstitutionOpened(_OfInstitution):
    """It operates."""

    opened_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class InstitutionSuspended(_OfInstitution):
    """It does not operate for a time."""

    suspended_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class InstitutionResumed(_OfInstitution):
    """It operates again."""

    resumed_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class InstitutionClosed(_OfInstitution):
    """It has left the field."""

    closed_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class InstitutionGraded(_OfInstitution):
    """It has been graded (GB/T 37276)."""

    grade: int
    points: int
    graded_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionsHalted(_OfInstitution):
    """It may admit nobody."""

    halted_on: date
    listing_key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AdmissionsReopened(_OfInstitution):
    """It may admit again: no listing stands against it any more."""

    reopened_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectionRecorded(_OfInstitution):
    """It has been inspected."""

    inspection_key: str
    inspected_on: date
    passed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class HazardOpened(_OfInstitution):
    """A hazard must be put right."""

    hazard_key: str
    due_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class HazardRectified(_OfInstitution):
    """A hazard has been put right."""

    hazard_key: str
    rectified_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class PenaltyImposed(_OfInstitution):
    """A penalty was imposed."""

    penalty_key: str
    imposed_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class BedOccupied:
    """A person has a bed."""

    institution_key: str
    bed_key: str
    admission_key: str
    resident_key: str
    bed_class: BedClass
    occupied_on: date
    region_code: RegionCode


@dataclass(frozen=True, slots=True, kw_only=True)
class BedReleased:
    """A bed is free again."""

    institution_key: str
    bed_key: str
    admission_key: str
    resident_key: str
    bed_class: BedClass
    released_on: date
    cause: ReleaseCause
    region_code: RegionCode


@dataclass(frozen=True, slots=True, kw_only=True)
class BedConverted:
    """A bed is for something else."""

    institution_key: str
    bed_key: str
    from_bed_class: BedClass
    bed_class: BedClass
    converted_on: date
    region_code: RegionCode


Event = (
    InstitutionFiled
    | InstitutionOpened
    | InstitutionSuspended
    | InstitutionResumed
    | InstitutionClosed
    | InstitutionGraded
    | AdmissionsHalted
    | AdmissionsReopened
    | InspectionRecorded
    | HazardOpened
    | HazardRectified
    | PenaltyImposed
    | BedOccupied
    | BedReleased
    | BedConverted
)
