"""Cases and commitment letters."""

from __future__ import annotations

from eldex.api.credit.v1 import case_pb2
from eldex.api.credit.v1 import credit_service_pb2 as pb
from eldex.common.dates import optional_day, proto_day
from eldex.common.errors import InvalidRequest, Violation
from eldex.common.identifiers import RegionCode
from eldex.common.store import Document
from eldex.credit.domain.cases import Case, CaseKind
from eldex.credit.domain.terms import Subject
from eldex.credit.handlers import cases as handlers
from eldex.credit.wire.terms import (
    AREAS,
    CASE_KINDS,
    CASE_STATES,
    proto_subject,
    subject,
)


def open_case(request: pb.OpenCaseRequest) -> handlers.OpenCase:
    """Read the request; a breach of commitment must say of which."""
    kind, area = CASE_KINDS.member(request.kind), AREAS.optional(request.area)
    if kind is CaseKind.COMMITMENT_BREACH and area is None:
        raise InvalidRequest(
            Violation(
                "area",
                "违反承诺的案件必须指明责任事项",
                "is required: say which responsibility the commitment was for",
                "AREA_REQUIRED",
            )
        )
    return handlers.OpenCase(
        subject(request.subject),
        kind,
        area,
        request.authority,
        RegionCode.parse(request.region_code),
        request.source,
        request.summary,
        optional_day(request.opened_on, "opened_on"),
    )


def close_case(request: pb.CloseCaseRequest) -> handlers.CloseCase:
    """Read the request."""
    return handlers.CloseCase(
        request.case_key,
        request.substantiated,
        request.document,
        optional_day(request.closed_on, "closed_on"),
        request.finding,
        request.etag,
    )


def record_commitment(request: pb.RecordCommitmentRequest) -> handlers.RecordCommitment:
    """Read the request."""
    return handlers.RecordCommitment(
        Subject.organisation(request.credit_code),
        [AREAS.member(area) for area in request.areas],
        request.document,
        optional_day(request.signed_on, "signed_on"),
    )


def list_cases(request: pb.ListCasesRequest) -> Document:
    """The condition that the wanted cases match."""
    where: Document = {}
    if request.subject_key:
        where["subject.key"] = request.subject_key
    if request.kind:
        where["kind"] = CASE_KINDS.member(request.kind).value
    if request.state:
        where["state"] = CASE_STATES.member(request.state).value
    if request.region_code:
        where["lineage"] = str(RegionCode.parse(request.region_code))
    return where


def case(found: Case) -> case_pb2.Case:
    """A case, for a reply."""
    return case_pb2.Case(
        case_key=found.key,
        subject=proto_subject(found.subject),
        kind=CASE_KINDS.number(found.kind),
        area=AREAS.number(found.area),
        authority=found.authority,
        region_code=str(found.region_code),
        source=found.source,
        summary=found.summary,
        opened_on=proto_day(found.opened_on),
        state=CASE_STATES.number(found.state),
        closed_on=proto_day(found.closed_on),
        document=found.document,
        finding=found.finding,
        etag=found.etag,
    )


def responsibility(found: handlers.Responsibility) -> case_pb2.Responsibility:
    """One of the six responsibilities, for a reply."""
    letter = found.commitment
    return case_pb2.Responsibility(
        area=AREAS.number(found.area),
        document=letter.document if letter else "",
        signed_on=proto_day(letter.signed_on) if letter else None,
        open_cases=found.open_cases,
        substantiated_cases=found.substantiated_cases,
    )
