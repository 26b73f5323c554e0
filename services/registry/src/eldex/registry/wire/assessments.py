"""Assessments, their findings and what follows from them."""

from __future__ import annotations

from datetime import date

from eldex.api.registry.v1 import assessment_pb2
from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.common.dates import day, optional_day, proto_day, proto_instant
from eldex.common.errors import Language
from eldex.common.identifiers import CreditCode
from eldex.registry.domain.assessments import Assessment, Dispute
from eldex.registry.domain.residents import Resident
from eldex.registry.domain.scoring import (
    ITEMS,
    AssessmentRule,
    Block,
    CareRiskEvent,
    Diagnosis,
    Findings,
    Outcome,
)
from eldex.registry.handlers import assessments as handlers
from eldex.registry.wire.enums import (
    DECISION_NUMBERS,
    DECISIONS,
    REASON_NUMBERS,
    REASONS,
    RISK_NUMBERS,
    RISKS,
    STATE_NUMBERS,
    level,
)

_BLOCK_FIELDS = {
    Block.SELF_CARE: "self_care",
    Block.MOBILITY: "mobility",
    Block.MENTAL_STATE: "mental_state",
    Block.PARTICIPATION: "perception_and_participation",
}


def record(request: pb.RecordAssessmentRequest) -> handlers.RecordAssessment:
    """Read the request; the assessing body's credit code is checked."""
    return handlers.RecordAssessment(
        request.resident_key,
        REASONS[request.reason],
        day(request.assessed_on, "assessed_on"),
        CreditCode.parse(request.assessor_credit_code),
        list(request.assessor_certificates),
        findings(request.findings),
    )


def dispute(request: pb.DisputeAssessmentRequest) -> handlers.DisputeAssessment:
    """Read the request."""
    disputed_on: date | None = optional_day(request.disputed_on, "disputed_on")
    return handlers.DisputeAssessment(
        request.assessment_key, request.grounds, disputed_on, request.etag
    )


def decide(request: pb.DecideDisputeRequest) -> handlers.DecideDispute:
    """Read the request."""
    return handlers.DecideDispute(
        request.assessment_key,
        DECISIONS[request.decision],
        request.grounds,
        optional_day(request.decided_on, "decided_on"),
        request.etag,
    )


def findings(message: assessment_pb2.Findings) -> Findings:
    """Read findings; an item that is not given is missing, not 0."""
    scores: dict[str, int] = {}
    for block, field in _BLOCK_FIELDS.items():
        given = getattr(message.scores, field)
        scores |= {item: getattr(given, item) for item in ITEMS[block] if given.HasField(item)}
    return Findings(
        scores=scores,
        in_coma=message.in_coma,
        diagnoses=[Diagnosis(each.icd10_code, each.by_psychiatrist) for each in message.diagnoses],
        care_risk_events=[
            CareRiskEvent(RISKS[each.risk], day(each.happened_on, "findings.care_risk_events"))
            for each in message.care_risk_events
        ],
    )


def findings_message(found: Findings) -> assessment_pb2.Findings:
    """Findings as replies show them."""
    scores = assessment_pb2.AbilityScores()
    for block, field in _BLOCK_FIELDS.items():
        part = getattr(scores, field)
        for item in ITEMS[block]:
            setattr(part, item, found.scores[item])
    return assessment_pb2.Findings(
        scores=scores,
        in_coma=found.in_coma,
        diagnoses=[
            assessment_pb2.Diagnosis(
                icd10_code=each.icd10_code, by_psychiatrist=each.by_psychiatrist
            )
            for each in found.diagnoses
        ],
        care_risk_events=[
            assessment_pb2.CareRiskEvent(
                risk=RISK_NUMBERS[each.risk], happened_on=proto_day(each.happened_on)
            )
            for each in found.care_risk_events
        ],
    )


def outcome(found: Outcome, language: Language) -> assessment_pb2.AssessmentOutcome:
    """What follows, with its steps in the caller's language."""
    return assessment_pb2.AssessmentOutcome(
        self_care_points=found.points.self_care,
        mobility_points=found.points.mobility,
        mental_state_points=found.points.mental_state,
        perception_and_participation_points=found.points.participation,
        total_points=found.points.total,
        level_by_points=level(found.level_by_points),
        ability_level=level(found.level),
        steps=[
            assessment_pb2.AssessmentStep(
                clause=step.clause,
                text=step.zh if language == "zh" else step.en,
                ability_level=level(step.level),
            )
            for step in found.steps
        ],
        rule_code=found.rule_code,
    )


def assessment(
    found: Assessment, holder: Resident, language: Language
) -> assessment_pb2.Assessment:
    """An assessment as replies show it, and where it stands among its holder's."""
    return assessment_pb2.Assessment(
        assessment_key=found.key,
        resident_key=found.resident_key,
        reason=REASON_NUMBERS[found.reason],
        assessed_on=proto_day(found.assessed_on),
        region_code=str(found.region_code),
        assessor_credit_code=str(found.assessor),
        assessor_certificates=found.assessor_certificates,
        findings=findings_message(found.findings),
        outcome=outcome(found.outcome, language),
        supersedes_key=found.supersedes_key,
        superseded_by_key=found.superseded_by(holder),
        state=STATE_NUMBERS[found.state(holder)],
        disputes=[_dispute(each) for each in found.disputes],
        updated_at=proto_instant(found.updated_at),
        reassess_on=proto_day(found.reassess_on),
        etag=found.etag,
    )


def _dispute(found: Dispute) -> assessment_pb2.Dispute:
    undecided = assessment_pb2.DISPUTE_DECISION_UNSPECIFIED
    return assessment_pb2.Dispute(
        disputed_on=proto_day(found.disputed_on),
        grounds=found.grounds,
        decision=DECISION_NUMBERS[found.decision] if found.decision else undecided,
        decided_on=proto_day(found.decided_on),
        decision_grounds=found.decision_grounds,
    )


def rule(found: AssessmentRule) -> assessment_pb2.AssessmentRule:
    """A rule as replies show it."""
    return assessment_pb2.AssessmentRule(
        rule_code=found.code,
        document=found.document,
        clause=found.clause,
        valid_from=proto_day(found.valid_from),
        valid_to=proto_day(found.valid_to),
        region_code=str(found.region_code) if found.region_code else "",
        least_points=found.least_points,
        coma_level=level(found.coma_level),
        risk_events=found.risk_events,
        risk_window_days=found.risk_window_days,
        raises_add_up=found.raises_add_up,
        minimum_assessors=found.minimum_assessors,
        bowel_control_3=found.bowel_control_3,
        reassess_after_months=found.reassess_after_months,
    )
