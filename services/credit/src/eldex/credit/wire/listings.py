"""Listings."""

from __future__ import annotations

from typing import Protocol

from google.type.date_pb2 import Date

from eldex.api.credit.v1 import credit_service_pb2 as pb
from eldex.api.credit.v1 import listing_pb2
from eldex.common.dates import optional_day, proto_day, proto_instant
from eldex.common.identifiers import RegionCode
from eldex.common.store import Document
from eldex.credit.domain.listing import Listing, Notice
from eldex.credit.domain.repair import Repair
from eldex.credit.domain.terms import Colour
from eldex.credit.handlers import listings as handlers
from eldex.credit.wire.terms import (
    BENEFITS,
    CAUSES,
    COLOURS,
    LISTING_STATES,
    MEASURES,
    REPAIR_STATES,
    proto_source,
    proto_subject,
    subject,
)


class _Judged(Protocol):
    """A request that brings a decision with the days of a listing."""

    document: str
    reason: str

    @property
    def decided_on(self) -> Date: ...
    @property
    def began_on(self) -> Date: ...
    @property
    def ends_on(self) -> Date: ...


def _judgement(request: _Judged) -> handlers.Judgement:
    return handlers.Judgement(
        request.document,
        optional_day(request.decided_on, "decided_on"),
        request.reason,
        optional_day(request.began_on, "began_on"),
        optional_day(request.ends_on, "ends_on"),
    )


def propose_listing(
    request: pb.ProposeListingRequest | pb.EnterListingRequest,
) -> handlers.ProposeListing:
    """Read the request."""
    return handlers.ProposeListing(
        subject(request.subject),
        COLOURS.member(request.colour),
        request.ground_code,
        request.authority,
        RegionCode.parse(request.region_code),
        list(request.evidence),
        request.summary,
        request.case_key,
    )


def enter_listing(request: pb.EnterListingRequest) -> handlers.EnterListing:
    """Read the request."""
    return handlers.EnterListing(propose_listing(request), _judgement(request))


def notify_party(request: pb.NotifyPartyRequest) -> handlers.NotifyParty:
    """Read the request."""
    on = optional_day(request.notified_on, "notified_on")
    return handlers.NotifyParty(request.listing_key, request.document, on, request.etag)


def record_statement(request: pb.RecordStatementRequest) -> handlers.RecordStatement:
    """Read the request."""
    return handlers.RecordStatement(
        request.listing_key,
        optional_day(request.received_on, "received_on"),
        request.document,
        request.summary,
        request.waived,
        request.etag,
    )


def decide_listing(request: pb.DecideListingRequest) -> handlers.DecideListing:
    """Read the request."""
    lists = request.outcome == pb.LISTING_OUTCOME_LIST
    return handlers.DecideListing(request.listing_key, lists, _judgement(request), request.etag)


def revoke_listing(request: pb.RevokeListingRequest) -> handlers.RevokeListing:
    """Read the request."""
    on = optional_day(request.revoked_on, "revoked_on")
    return handlers.RevokeListing(
        request.listing_key, request.document, on, request.reason, request.etag
    )


def apply_for_repair(request: pb.ApplyForRepairRequest) -> handlers.ApplyForRepair:
    """Read the request."""
    return handlers.ApplyForRepair(
        request.listing_key,
        optional_day(request.applied_on, "applied_on"),
        request.commitment,
        list(request.evidence),
        request.etag,
    )


def record_repair_step(request: pb.RecordRepairStepRequest) -> handlers.RecordRepairStep:
    """Read the request."""
    return handlers.RecordRepairStep(
        request.listing_key,
        request.step == pb.REPAIR_STEP_VERIFIED,
        optional_day(request.done_on, "done_on"),
        list(request.evidence),
        request.etag,
    )


def decide_repair(request: pb.DecideRepairRequest) -> handlers.DecideRepair:
    """Read the request."""
    return handlers.DecideRepair(
        request.listing_key,
        request.approved,
        request.document,
        optional_day(request.decided_on, "decided_on"),
        request.reason,
        request.etag,
    )


def list_listings(request: pb.ListListingsRequest) -> Document:
    """The condition that the wanted listings match."""
    where: Document = {}
    if request.subject_key:
        where["subject.key"] = request.subject_key
    if request.colour:
        where["colour"] = COLOURS.member(request.colour).value
    if request.region_code:
        where["lineage"] = str(RegionCode.parse(request.region_code))
    if request.states:
        where["state"] = {"$in": [LISTING_STATES.member(s).value for s in request.states]}
    if on := optional_day(request.in_force_on, "in_force_on"):
        where["in_force_from"] = {"$lte": on.isoformat()}
        where["in_force_to"] = {"$gt": on.isoformat()}
    return where


def listing(found: Listing) -> listing_pb2.Listing:
    """A listing, for a reply."""
    decision = found.decision
    return listing_pb2.Listing(
        listing_key=found.key,
        subject=proto_subject(found.subject),
        colour=COLOURS.number(found.colour),
        ground_code=found.ground_code,
        state=LISTING_STATES.number(found.state),
        authority=found.authority,
        region_code=str(found.region_code),
        legal_basis=proto_source(found.legal_basis),
        evidence=found.evidence,
        summary=found.summary,
        case_key=found.case_key,
        notice=_notice(found.notice) if found.notice else None,
        decision=listing_pb2.Decision(
            document=decision.document,
            decided_on=proto_day(decision.decided_on),
            reason=decision.reason,
        )
        if decision
        else None,
        began_on=proto_day(found.began_on),
        ends_on=proto_day(found.ends_on),
        measures=[MEASURES.number(measure) for measure in found.measures],
        benefits=[BENEFITS.number(benefit) for benefit in found.benefits],
        repair_from=proto_day(found.repair_from),
        repairs=[_repair(repair) for repair in found.repairs],
        delisted_on=proto_day(found.delisted_on),
        delisting_cause=CAUSES.number(found.delisting_cause),
        delisting_document=found.delisting_document,
        delisting_reason=found.delisting_reason,
        updated_at=proto_instant(found.updated_at),
        etag=found.etag,
    )


def _notice(notice: Notice) -> listing_pb2.Notice:
    said = notice.statement
    return listing_pb2.Notice(
        document=notice.document,
        notified_on=proto_day(notice.notified_on),
        statement_until=proto_day(notice.statement_until),
        statement=listing_pb2.Statement(
            received_on=proto_day(said.received_on),
            document=said.document,
            summary=said.summary,
            waived=said.waived,
        )
        if said
        else None,
    )


def _repair(repair: Repair) -> listing_pb2.Repair:
    return listing_pb2.Repair(
        repair_key=repair.key,
        state=REPAIR_STATES.number(repair.state),
        applied_on=proto_day(repair.applied_on),
        commitment=repair.commitment,
        evidence=repair.evidence,
        accepted_on=proto_day(repair.accepted_on),
        verified_on=proto_day(repair.verified_on),
        verification=repair.verification,
        decided_on=proto_day(repair.decided_on),
        document=repair.document,
        reason=repair.reason,
    )


def check_subject(verdict: handlers.Verdict) -> pb.CheckSubjectResponse:
    """Where a party stands, for a reply; responsibilities are added by the door."""
    return pb.CheckSubjectResponse(
        black_listed=verdict.listed(Colour.BLACK),
        red_listed=verdict.listed(Colour.RED),
        measures=[MEASURES.number(measure) for measure in verdict.measures],
        benefits=[BENEFITS.number(benefit) for benefit in verdict.benefits],
        listings=[listing(each) for each in verdict.listings],
    )
