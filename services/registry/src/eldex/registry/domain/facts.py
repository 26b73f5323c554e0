"""What happens in the registry, as facts in the past tense: opaque keys, days, places, no person.

`region_code` is where the person lives, or lived last, when the fact is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from eldex.common.identifiers import RegionCode, Sex
from eldex.registry.domain.eligibility_class import EligibilityClass
from eldex.registry.domain.scoring import AbilityLevel


@dataclass(frozen=True, slots=True)
class ResidentRegistered:
    """A person has been entered in the registry."""

    resident_key: str
    born_on: date
    sex: Sex
    region_code: RegionCode
    hukou_region_code: RegionCode
    resident_since: date


@dataclass(frozen=True, slots=True)
class ResidentMoved:
    """A person has moved, or where they live since `moved_on` has been corrected."""

    resident_key: str
    from_region_code: RegionCode
    region_code: RegionCode
    moved_on: date
    hukou_region_code: RegionCode


@dataclass(frozen=True, slots=True)
class ResidentDeceased:
    """A person has died; `corrected_from` is the day told before, if this corrects it."""

    resident_key: str
    died_on: date
    region_code: RegionCode
    hukou_region_code: RegionCode
    corrected_from: date | None = None


@dataclass(frozen=True, slots=True)
class ResidentDeathRevoked:
    """A registered death was wrong: the person lives."""

    resident_key: str
    died_on: date
    region_code: RegionCode
    hukou_region_code: RegionCode


@dataclass(frozen=True, slots=True)
class ResidentMerged:
    """Two records were one person: this one no longer stands for it."""

    resident_key: str
    survivor_key: str
    region_code: RegionCode
    hukou_region_code: RegionCode


@dataclass(frozen=True, slots=True)
class ResidentMergeReversed:
    """A merge was wrong: the record stands for a person of its own again."""

    resident_key: str
    survivor_key: str
    region_code: RegionCode
    hukou_region_code: RegionCode


@dataclass(frozen=True, slots=True)
class EligibilityGranted:
    """A person belongs to an eligibility class from a day on."""

    resident_key: str
    eligibility_key: str
    eligibility_class: EligibilityClass
    valid_from: date
    valid_to: date | None
    region_code: RegionCode


@dataclass(frozen=True, slots=True)
class EligibilityEnded:
    """A membership in an eligibility class has ended."""

    resident_key: str
    eligibility_key: str
    eligibility_class: EligibilityClass
    ended_on: date
    region_code: RegionCode


@dataclass(frozen=True, slots=True)
class AssessmentCompleted:
    """A person's ability has been assessed."""

    resident_key: str
    assessment_key: str
    ability_level: AbilityLevel
    assessed_on: date
    supersedes_key: str
    region_code: RegionCode


@dataclass(frozen=True, slots=True)
class AssessmentDisputed:
    """An assessment is doubted; its level stays in force."""

    resident_key: str
    assessment_key: str
    disputed_on: date
    region_code: RegionCode


@dataclass(frozen=True, slots=True)
class AssessmentAnnulled:
    """A dispute was upheld; `ability_level` counts now, None if no assessment is left."""

    resident_key: str
    assessment_key: str
    ability_level: AbilityLevel | None
    region_code: RegionCode


@dataclass(frozen=True, slots=True)
class AssessmentConfirmed:
    """A dispute was rejected."""

    resident_key: str
    assessment_key: str
    ability_level: AbilityLevel
    region_code: RegionCode


@dataclass(frozen=True, slots=True)
class GuardianAppointed:
    """Somebody has become, or is again, a person's guardian."""

    resident_key: str
    guardian_key: str
    guardianship_key: str
    began_on: date
    region_code: RegionCode


@dataclass(frozen=True, slots=True)
class GuardianshipEnded:
    """A guardianship has ended."""

    resident_key: str
    guardian_key: str
    guardianship_key: str
    ended_on: date
    region_code: RegionCode


@dataclass(frozen=True, slots=True)
class HouseholdChanged:
    """A household was formed, or who belongs to it has changed; no members: it is dissolved."""

    household_key: str
    head_key: str
    member_keys: tuple[str, ...]
    region_code: RegionCode


Fact = (
    ResidentRegistered
    | ResidentMoved
    | ResidentDeceased
    | ResidentDeathRevoked
    | ResidentMerged
    | ResidentMergeReversed
    | EligibilityGranted
    | EligibilityEnded
    | AssessmentCompleted
    | AssessmentDisputed
    | AssessmentAnnulled
    | AssessmentConfirmed
    | GuardianAppointed
    | GuardianshipEnded
    | HouseholdChanged
)
"""All that the registry tells."""
