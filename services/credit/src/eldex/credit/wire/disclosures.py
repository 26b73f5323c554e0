"""Records on their way to a platform."""

from __future__ import annotations

from datetime import date

from eldex.api.credit.v1 import credit_service_pb2 as pb
from eldex.api.credit.v1 import disclosure_pb2
from eldex.common.dates import optional_day, proto_day
from eldex.common.identifiers import RegionCode
from eldex.common.store import Document
from eldex.credit.domain.disclosure import CreditRecord, DisclosureState
from eldex.credit.handlers import disclosures as handlers
from eldex.credit.wire.terms import DISCLOSURE_STATES, PLATFORMS, RECORD_KINDS, proto_subject


def confirm_disclosure(request: pb.ConfirmDisclosureRequest) -> handlers.ConfirmDisclosure:
    """Read the request."""
    on = optional_day(request.confirmed_on, "confirmed_on")
    return handlers.ConfirmDisclosure(request.record_key, request.receipt, on, request.etag)


def list_disclosures(request: pb.ListDisclosuresRequest, today: date) -> Document:
    """The condition that the wanted records match."""
    where: Document = {}
    if request.subject_key:
        where["subject.key"] = request.subject_key
    if request.platform:
        where["platform"] = PLATFORMS.member(request.platform).value
    if request.region_code:
        where["lineage"] = str(RegionCode.parse(request.region_code))
    wanted = DISCLOSURE_STATES.optional(request.state)
    states = [state for state in DisclosureState if wanted in {None, state}]
    if request.overdue_only:
        states = [state for state in states if state.is_due]
        where["due_on"] = {"$lt": today.isoformat()}
    if len(states) < len(DisclosureState):
        where["state"] = {"$in": [state.value for state in states]}
    return where


def disclosure(found: CreditRecord, today: date) -> disclosure_pb2.Disclosure:
    """A record, for a reply."""
    return disclosure_pb2.Disclosure(
        record_key=found.key,
        subject=proto_subject(found.subject),
        record_kind=RECORD_KINDS.number(found.record_kind),
        source_key=found.source_key,
        happened_on=proto_day(found.happened_on),
        region_code=str(found.region_code),
        platform=PLATFORMS.number(found.platform),
        state=DISCLOSURE_STATES.number(found.state),
        due_on=proto_day(found.due_on),
        overdue=found.overdue(today),
        disclosed_on=proto_day(found.disclosed_on),
        receipt=found.receipt,
        withdrawn_on=proto_day(found.withdrawn_on),
        withdrawal_receipt=found.withdrawal_receipt,
        etag=found.etag,
    )
