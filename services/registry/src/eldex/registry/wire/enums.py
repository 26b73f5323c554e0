"""The contract's enums and ours: the contract's names are ours with a prefix."""

from __future__ import annotations

from enum import Enum
from typing import Any, TypeVar

from eldex.api.registry.v1 import assessment_pb2, eligibility_pb2, household_pb2, relation_pb2
from eldex.registry.domain.assessments import AssessmentReason, AssessmentState, DisputeDecision
from eldex.registry.domain.eligibility_class import EligibilityClass
from eldex.registry.domain.guardianships import GuardianshipKind
from eldex.registry.domain.households import LeaveCause
from eldex.registry.domain.relations import FamilyRelation
from eldex.registry.domain.scoring import AbilityLevel, CareRisk

E = TypeVar("E", bound=Enum)


def _numbers(kind: type[E], contract: Any, prefix: str) -> dict[E, Any]:
    """Our members → the contract's numbers; a name on one side only is a `ValueError` at the start."""
    ours = {f"{prefix}_{member.name}" for member in kind} | {f"{prefix}_UNSPECIFIED"}
    if ours != set(contract.keys()):
        raise ValueError(f"{prefix}: {sorted(ours ^ set(contract.keys()))}")
    return {member: contract.Value(f"{prefix}_{member.name}") for member in kind}


def _back(numbers: dict[E, Any]) -> dict[int, E]:
    return {number: member for member, number in numbers.items()}


CLASS_NUMBERS = _numbers(EligibilityClass, eligibility_pb2.EligibilityClass, "ELIGIBILITY_CLASS")
CLASSES = _back(CLASS_NUMBERS)
LEVEL_NUMBERS = _numbers(AbilityLevel, assessment_pb2.AbilityLevel, "ABILITY_LEVEL")
LEVELS = _back(LEVEL_NUMBERS)
REASON_NUMBERS = _numbers(AssessmentReason, assessment_pb2.AssessmentReason, "ASSESSMENT_REASON")
REASONS = _back(REASON_NUMBERS)
RISK_NUMBERS = _numbers(CareRisk, assessment_pb2.CareRisk, "CARE_RISK")
RISKS = _back(RISK_NUMBERS)
STATE_NUMBERS = _numbers(AssessmentState, assessment_pb2.AssessmentState, "ASSESSMENT_STATE")
DECISION_NUMBERS = _numbers(DisputeDecision, assessment_pb2.DisputeDecision, "DISPUTE_DECISION")
DECISIONS = _back(DECISION_NUMBERS)
RELATION_NUMBERS = _numbers(FamilyRelation, household_pb2.FamilyRelation, "FAMILY_RELATION")
RELATIONS = _back(RELATION_NUMBERS)
CAUSE_NUMBERS = _numbers(LeaveCause, household_pb2.LeaveCause, "LEAVE_CAUSE")
GUARDIANSHIP_NUMBERS = _numbers(
    GuardianshipKind, relation_pb2.GuardianshipKind, "GUARDIANSHIP_KIND"
)
GUARDIANSHIP_KINDS = _back(GUARDIANSHIP_NUMBERS)


def level(found: AbilityLevel | None) -> Any:
    """A level as the contract numbers it; None is unspecified."""
    return assessment_pb2.ABILITY_LEVEL_UNSPECIFIED if found is None else LEVEL_NUMBERS[found]
