"""Institutions and their filing on the wire."""

from __future__ import annotations

from datetime import date

from eldex.api.institutions.v1 import filing_calls_pb2 as pb
from eldex.api.institutions.v1 import institution_record_pb2 as record_pb
from eldex.common.dates import day, optional_day, proto_day, proto_instant
from eldex.common.identifiers import CreditCode, RegionCode
from eldex.institutions.domain.filing import Details, FilingPaper, FilingStep
from eldex.institutions.domain.institution import Institution
from eldex.institutions.handlers.filing import (
    AmendFiling,
    ChangeInstitution,
    CloseInstitution,
    FileInstitution,
    PlanClosure,
)
from eldex.institutions.wire.codes import ACTS, KINDS, LEVELS, NATURES, PAPERS, STATUSES


def details(message: record_pb.InstitutionDetails) -> Details:
    """Read what an institution says of itself."""
    return Details(
        institution_name=message.institution_name,
        site=message.site,
        address=message.address,
        profit_nature=NATURES.read(message.profit_nature),
        inclusive=message.inclusive,
        opens_on=day(message.opens_on, "details.opens_on"),
        papers=tuple(
            FilingPaper(PAPERS.read(paper.kind), paper.number, paper.issuer)
            for paper in message.papers
        ),
        established_on=optional_day(message.established_on, "details.established_on"),
    )


def file_institution(request: pb.FileInstitutionRequest) -> FileInstitution:
    """Read the request."""
    return FileInstitution(
        CreditCode.parse(request.credit_code),
        KINDS.read(request.institution_kind),
        RegionCode.parse(request.region_code),
        details(request.details),
    )


def accept_filing(request: pb.AcceptFilingRequest) -> ChangeInstitution:
    """Read the request."""
    authority = RegionCode.parse(request.authority_code)
    return ChangeInstitution(
        request.institution_key,
        request.etag,
        lambda found, today: found.accept(authority, request.document, today),
    )


def return_filing(request: pb.ReturnFilingRequest) -> ChangeInstitution:
    """Read the request."""
    authority = RegionCode.parse(request.authority_code)
    return ChangeInstitution(
        request.institution_key,
        request.etag,
        lambda found, today: found.send_back(
            authority, request.corrections, request.document, today
        ),
    )


def amend_filing(request: pb.AmendFilingRequest) -> AmendFiling:
    """Read the request."""
    return AmendFiling(
        request.institution_key, request.etag, details(request.details), request.note
    )


def review_filing(request: pb.ReviewFilingRequest) -> ChangeInstitution:
    """Read the request."""
    authority = RegionCode.parse(request.authority_code)
    return ChangeInstitution(
        request.institution_key,
        request.etag,
        lambda found, today: found.review(
            authority, request.approved, request.document, request.corrections, today
        ),
    )


def start_operation(request: pb.StartOperationRequest) -> ChangeInstitution:
    """Read the request."""
    opened_on = day(request.opened_on, "opened_on")
    return ChangeInstitution(
        request.institution_key,
        request.etag,
        lambda found, today: found.start(opened_on, today),
    )


def suspend_institution(request: pb.SuspendInstitutionRequest) -> ChangeInstitution:
    """Read the request."""
    suspended_on = day(request.suspended_on, "suspended_on")
    return ChangeInstitution(
        request.institution_key,
        request.etag,
        lambda found, today: found.suspend(suspended_on, request.reason, today),
    )


def resume_institution(request: pb.ResumeInstitutionRequest) -> ChangeInstitution:
    """Read the request."""
    resumed_on = day(request.resumed_on, "resumed_on")
    return ChangeInstitution(
        request.institution_key,
        request.etag,
        lambda found, today: found.resume(resumed_on, today),
    )


def plan_closure(request: pb.PlanClosureRequest) -> PlanClosure:
    """Read the request."""
    return PlanClosure(
        request.institution_key,
        request.etag,
        day(request.closes_on, "closes_on"),
        request.reason,
        request.resettlement_plan,
    )


def close_institution(request: pb.CloseInstitutionRequest) -> CloseInstitution:
    """Read the request."""
    closed_on = day(request.closed_on, "closed_on")
    return CloseInstitution(request.institution_key, request.etag, closed_on)


def institution(found: Institution, today: date) -> record_pb.Institution:
    """An institution as replies show it."""
    message = record_pb.Institution(
        institution_key=found.key,
        credit_code=str(found.credit_code),
        institution_kind=KINDS.write(found.institution_kind),
        region_code=str(found.region_code),
        details=_details(found.details),
        status=STATUSES.write(found.status),
        awaits=[LEVELS.write(level) for level in found.awaits],
        steps=[_step(step) for step in found.steps],
        filed_on=proto_day(found.filed_on),
        opened_on=proto_day(found.opened_on),
        suspensions=[
            record_pb.Suspension(
                suspended_on=proto_day(each.suspended_on),
                resumed_on=proto_day(each.resumed_on),
                reason=each.reason,
            )
            for each in found.suspensions
        ],
        halts=[
            record_pb.AdmissionHalt(
                listing_key=each.listing_key,
                halted_on=proto_day(each.halted_on),
                lifted_on=proto_day(each.lifted_on),
            )
            for each in found.halts
        ],
        admits=found.admits(today),
        closed_on=proto_day(found.closed_on),
        grade=found.grade,
        grade_ends_on=proto_day(found.grade_ends_on),
        bed_count=found.bed_count,
        updated_at=proto_instant(found.updated_at),
        etag=found.etag,
    )
    if found.closure is not None:
        message.closure.CopyFrom(
            record_pb.ClosurePlan(
                planned_on=proto_day(found.closure.planned_on),
                closes_on=proto_day(found.closure.closes_on),
                reason=found.closure.reason,
                resettlement_plan=found.closure.resettlement_plan,
            )
        )
    return message


def _details(found: Details) -> record_pb.InstitutionDetails:
    return record_pb.InstitutionDetails(
        institution_name=found.institution_name,
        site=found.site,
        address=found.address,
        profit_nature=NATURES.write(found.profit_nature),
        inclusive=found.inclusive,
        opens_on=proto_day(found.opens_on),
        papers=[
            record_pb.FilingPaper(
                kind=PAPERS.write(paper.kind), number=paper.number, issuer=paper.issuer
            )
            for paper in found.papers
        ],
        established_on=proto_day(found.established_on),
    )


def _step(found: FilingStep) -> record_pb.FilingStep:
    return record_pb.FilingStep(
        act=ACTS.write(found.act),
        level=LEVELS.write(found.level),
        authority_code=str(found.authority_code or ""),
        acted_on=proto_day(found.acted_on),
        document=found.document,
        note=found.note,
    )
