"""The registry's gRPC service as a whole."""

from __future__ import annotations

from eldex.registry.rpc.assessments import AssessmentCalls
from eldex.registry.rpc.deaths import DeathCalls
from eldex.registry.rpc.eligibility import EligibilityCalls
from eldex.registry.rpc.households import HouseholdCalls
from eldex.registry.rpc.relations import RelationCalls
from eldex.registry.rpc.residents import ResidentCalls


class RegistryService(
    ResidentCalls,
    DeathCalls,
    HouseholdCalls,
    RelationCalls,
    EligibilityCalls,
    AssessmentCalls,
):
    """Answers all of the registry's calls."""
