"""Gradings, inspections, hazards and penalties on the wire."""

from __future__ import annotations

from eldex.api.institutions.v1 import supervision_calls_pb2 as pb
from eldex.api.institutions.v1 import supervision_pb2
from eldex.common.dates import day, proto_day
from eldex.institutions.domain.grading import Grade, Points
from eldex.institutions.domain.supervision import Finding, Hazard, Inspection, Penalty
from eldex.institutions.handlers.supervision import (
    GradeInstitution,
    ImposePenalty,
    OpenHazard,
    RecordInspection,
    RectifyHazard,
)
from eldex.institutions.wire.codes import (
    HAZARD_STATES,
    HAZARDS,
    INSPECTIONS,
    PENALTIES,
    SEVERITIES,
)


def points(message: supervision_pb2.GradePoints) -> Points:
    """Read points."""
    return Points(message.environment, message.equipment, message.management, message.service)


def points_message(found: Points) -> supervision_pb2.GradePoints:
    """Points as replies show them."""
    return supervision_pb2.GradePoints(**dict(found.parts()))


def grade_institution(request: pb.GradeInstitutionRequest) -> GradeInstitution:
    """Read the request."""
    graded_on = day(request.graded_on, "graded_on")
    return GradeInstitution(
        request.institution_key, points(request.points), graded_on, request.assessor
    )


def record_inspection(request: pb.RecordInspectionRequest) -> RecordInspection:
    """Read the request."""
    return RecordInspection(
        request.institution_key,
        INSPECTIONS.read(request.inspection_kind),
        day(request.inspected_on, "inspected_on"),
        request.authority,
        request.document,
        tuple(finding(each) for each in request.findings),
    )


def finding(message: supervision_pb2.Finding) -> Finding:
    """Read a finding."""
    return Finding(
        HAZARDS.read(message.hazard_class),
        SEVERITIES.read(message.severity),
        message.description,
        message.legal_basis,
        message.working_days,
    )


def open_hazard(request: pb.OpenHazardRequest) -> OpenHazard:
    """Read the request."""
    return OpenHazard(
        request.institution_key,
        request.inspection_key,
        finding(request.finding),
        day(request.opened_on, "opened_on"),
    )


def rectify_hazard(request: pb.RectifyHazardRequest) -> RectifyHazard:
    """Read the request."""
    rectified_on = day(request.rectified_on, "rectified_on")
    return RectifyHazard(request.hazard_key, request.etag, rectified_on, request.evidence)


def impose_penalty(request: pb.ImposePenaltyRequest) -> ImposePenalty:
    """Read the request."""
    return ImposePenalty(
        request.institution_key,
        PENALTIES.read(request.penalty_kind),
        request.amount_fen,
        request.legal_basis,
        request.document,
        day(request.imposed_on, "imposed_on"),
        request.inspection_key,
    )


def grade(found: Grade) -> supervision_pb2.Grade:
    """A grading as replies show it."""
    return supervision_pb2.Grade(
        grade_key=found.key,
        institution_key=found.institution_key,
        points=points_message(found.points),
        grade=found.grade,
        graded_on=proto_day(found.graded_on),
        ends_on=proto_day(found.ends_on),
        assessor=found.assessor,
        rule_document=found.rule_document,
        missing=found.missing,
    )


def inspection(found: Inspection) -> supervision_pb2.Inspection:
    """An inspection as replies show it."""
    return supervision_pb2.Inspection(
        inspection_key=found.key,
        institution_key=found.institution_key,
        inspection_kind=INSPECTIONS.write(found.inspection_kind),
        inspected_on=proto_day(found.inspected_on),
        authority=found.authority,
        document=found.document,
        passed=found.passed,
        hazard_keys=found.hazard_keys,
        region_code=str(found.region_code),
    )


def hazard(found: Hazard) -> supervision_pb2.Hazard:
    """A hazard as replies show it."""
    return supervision_pb2.Hazard(
        hazard_key=found.key,
        institution_key=found.institution_key,
        inspection_key=found.inspection_key,
        finding=supervision_pb2.Finding(
            hazard_class=HAZARDS.write(found.finding.hazard_class),
            severity=SEVERITIES.write(found.finding.severity),
            description=found.finding.description,
            legal_basis=found.finding.legal_basis,
            working_days=found.finding.working_days,
        ),
        opened_on=proto_day(found.opened_on),
        due_on=proto_day(found.due_on),
        state=HAZARD_STATES.write(found.state),
        rectified_on=proto_day(found.rectified_on),
        evidence=found.evidence,
        region_code=str(found.region_code),
        etag=found.etag,
    )


def penalty(found: Penalty) -> supervision_pb2.Penalty:
    """A penalty as replies show it."""
    return supervision_pb2.Penalty(
        penalty_key=found.key,
        institution_key=found.institution_key,
        penalty_kind=PENALTIES.write(found.penalty_kind),
        amount_fen=found.amount_fen,
        legal_basis=found.legal_basis,
        document=found.document,
        imposed_on=proto_day(found.imposed_on),
        inspection_key=found.inspection_key,
        region_code=str(found.region_code),
    )
