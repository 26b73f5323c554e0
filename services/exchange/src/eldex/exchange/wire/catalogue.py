"""The catalogue, requests for access and correction requests between the contract and the domain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from typing import Final

from google.protobuf.message import Message

from eldex.api.exchange.v1 import catalogue_events_pb2 as events
from eldex.api.exchange.v1 import catalogue_pb2 as pb
from eldex.api.exchange.v1 import catalogue_service_pb2 as calls
from eldex.api.sharing.v1 import sharing_pb2 as sharing
from eldex.common.dates import optional_day, proto_day
from eldex.common.identifiers import RegionCode
from eldex.exchange.domain.access_requests import (
    AccessDenied,
    AccessGranted,
    AccessRequest,
    AccessRequested,
    AccessRequestState,
    DecisionRole,
)
from eldex.exchange.domain.agreements import ALL, Agreement
from eldex.exchange.domain.answer_deadlines import Deadline
from eldex.exchange.domain.catalogue import (
    CatalogResourcePublished,
    Item,
    PersonalInformation,
    Resource,
    SharingClass,
)
from eldex.exchange.domain.corrections import Correction, CorrectionState
from eldex.exchange.handlers.catalogue import (
    Actor,
    DecideAccessRequest,
    DecideCorrection,
    RequestAccess,
    RequestCorrection,
)
from eldex.exchange.wire.catalogue_export import type_zh
from eldex.exchange.wire.contract_catalogue import methods_of

CatalogueFact = CatalogResourcePublished | AccessRequested | AccessGranted | AccessDenied

CLASSES: Final = {
    SharingClass.UNCONDITIONAL: pb.SHARING_CLASS_UNCONDITIONAL,
    SharingClass.CONDITIONAL: pb.SHARING_CLASS_CONDITIONAL,
    SharingClass.NOT_SHARED: pb.SHARING_CLASS_NOT_SHARED,
}
_PERSONAL: Final = {
    PersonalInformation.NONE: pb.PERSONAL_INFORMATION_UNSPECIFIED,
    PersonalInformation.PERSONAL: pb.PERSONAL_INFORMATION_PERSONAL,
    PersonalInformation.SENSITIVE: pb.PERSONAL_INFORMATION_SENSITIVE,
}
REQUEST_STATES: Final = {
    AccessRequestState.PENDING: pb.ACCESS_REQUEST_STATE_PENDING,
    AccessRequestState.GRANTED: pb.ACCESS_REQUEST_STATE_GRANTED,
    AccessRequestState.DENIED: pb.ACCESS_REQUEST_STATE_DENIED,
}
CORRECTION_STATES: Final = {
    CorrectionState.OPEN: pb.CORRECTION_STATE_OPEN,
    CorrectionState.CORRECTED: pb.CORRECTION_STATE_CORRECTED,
    CorrectionState.REJECTED: pb.CORRECTION_STATE_REJECTED,
}
ROLES: Final = {
    DecisionRole.PROVIDER: pb.DECISION_ROLE_PROVIDER,
    DecisionRole.OPERATOR: pb.DECISION_ROLE_OPERATOR,
}


def request_access(request: calls.RequestAccessRequest, subsystem: str) -> RequestAccess:
    """The command of a request."""
    return RequestAccess(
        resource_code=request.resource_code,
        subsystem=subsystem,
        purpose=request.purpose,
        legal_basis=request.legal_basis,
        need=request.need,
        paths=tuple(request.paths),
        with_events=request.with_events,
        region_codes=tuple(RegionCode.parse(code) for code in request.region_codes),
        valid_to=optional_day(request.valid_to, "valid_to"),
        official_code=request.official_code,
    )


def decide_access_request(
    request: calls.DecideAccessRequestRequest, actor: Actor
) -> DecideAccessRequest:
    """The command of a request."""
    return DecideAccessRequest(
        request.request_key,
        actor,
        request.approved,
        request.reason,
        request.official_code,
        request.etag,
    )


def request_correction(
    request: calls.RequestCorrectionRequest, subsystem: str
) -> RequestCorrection:
    """The command of a request."""
    return RequestCorrection(
        resource_code=request.resource_code,
        record_key=request.record_key,
        path=request.path,
        finding=request.finding,
        evidence=request.evidence,
        subsystem=subsystem,
        official_code=request.official_code,
    )


def decide_correction(request: calls.DecideCorrectionRequest, actor: Actor) -> DecideCorrection:
    """The command of a request."""
    return DecideCorrection(
        request.correction_key,
        actor,
        request.corrected,
        request.answer,
        request.official_code,
        request.etag,
    )


def resource(found: Resource) -> pb.CatalogueResource:
    """A resource as replies show it."""
    told = found.description
    return pb.CatalogueResource(
        resource_code=found.key,
        name_zh=told.name_zh,
        name_en=told.name_en,
        abstract=told.abstract,
        provider=pb.ResourceProvider(
            member=told.provider.member,
            name_zh=told.provider.name_zh,
            credit_code=told.provider.credit_code,
        ),
        items=[_item(each) for each in told.items],
        sharing_class=CLASSES[found.sharing_class],
        conditions=told.conditions,
        mode=sharing.SharingMode.Value(f"SHARING_MODE_{told.mode.name}"),
        update_cycle=sharing.UpdateCycle.Value(f"UPDATE_CYCLE_{told.update_cycle.name}"),
        open_to_public=told.open_to_public,
        methods=sorted({door.method for door in told.doors}),
        event_types=told.event_types,
        published_on=proto_day(found.published_on),
        changed_on=proto_day(found.changed_on),
        withdrawn_on=proto_day(found.withdrawn_on),
        etag=found.etag,
    )


def _item(item: Item) -> pb.InformationItem:
    return pb.InformationItem(
        path=item.path,
        name_zh=item.name_zh,
        type_zh=type_zh(item.type),
        type=item.type,
        sharing_class=CLASSES[item.sharing_class],
        personal_information=_PERSONAL[item.personal_information],
        law=item.law,
    )


def _deadline(deadline: Deadline) -> pb.AnswerDeadline:
    return pb.AnswerDeadline(
        due_on=proto_day(deadline.due_on),
        working_days=deadline.working_days,
        document=deadline.document,
        clause=deadline.clause,
        verified=deadline.verified,
    )


def access_request(found: AccessRequest, today: date) -> pb.AccessRequest:
    """A request for access as it stands on a day."""
    return pb.AccessRequest(
        request_key=found.key,
        resource_code=found.resource_code,
        subsystem=found.subsystem,
        purpose=found.purpose,
        legal_basis=found.legal_basis,
        need=found.need,
        paths=found.paths,
        with_events=found.with_events,
        region_codes=[str(code) for code in found.region_codes],
        valid_to=proto_day(found.valid_to),
        official_code=found.official_code,
        requested_on=proto_day(found.requested_on),
        state=REQUEST_STATES[found.state],
        deadline=_deadline(found.deadline),
        overdue=found.is_overdue(today),
        awaits=[ROLES[role] for role in found.awaits],
        decisions=[
            pb.AccessDecision(
                role=ROLES[each.role],
                approved=each.approved,
                official_code=each.official_code,
                decided_on=proto_day(each.decided_on),
                reason=each.reason,
            )
            for each in found.decisions
        ],
        agreement_key=found.agreement_key,
        etag=found.etag,
    )


def correction(found: Correction, today: date) -> pb.Correction:
    """A correction request as it stands on a day."""
    return pb.Correction(
        correction_key=found.key,
        resource_code=found.resource_code,
        record_key=found.record_key,
        path=found.path,
        finding=found.finding,
        evidence=found.evidence,
        subsystem=found.subsystem,
        official_code=found.official_code,
        requested_on=proto_day(found.requested_on),
        deadline=_deadline(found.deadline),
        overdue=found.is_overdue(today),
        state=CORRECTION_STATES[found.state],
        answer=found.answer,
        decided_by=found.decided_by,
        decided_on=proto_day(found.decided_on),
        etag=found.etag,
    )


def right(agreement: Agreement, resource_of: dict[str, str], wanted: str) -> pb.Right:
    """What an agreement gives: every method by name, of one resource if one is wanted."""
    found = []
    for method in _methods(agreement.methods):
        grant = agreement.grant(method)
        code = resource_of.get(method, "")
        if grant is None or (wanted and code != wanted):
            continue
        found.append(
            pb.CallableMethod(
                method=method,
                resource_code=code,
                reply_fields=_fields(grant.reply_fields),
                request_fields=_fields(grant.request_fields),
            )
        )
    return pb.Right(
        agreement_key=agreement.key,
        purposes=agreement.purposes,
        legal_basis=agreement.legal_basis,
        valid_from=proto_day(agreement.valid_from),
        valid_to=proto_day(agreement.valid_to),
        methods=found,
        event_types=agreement.event_types,
        region_codes=[str(code) for code in agreement.region_codes],
    )


def _methods(patterns: Iterable[str]) -> list[str]:
    return sorted({method for pattern in patterns for method in methods_of(pattern)})


def _fields(granted: Sequence[str]) -> list[str]:
    return [ALL] if ALL in granted else list(granted)


def catalogue_event(fact: CatalogueFact) -> Message:
    """The contract's message of a fact about the catalogue."""
    match fact:
        case CatalogResourcePublished():
            return events.CatalogResourcePublished(
                resource_code=fact.resource_code,
                release=fact.release,
                provider=fact.provider,
                published_on=proto_day(fact.published_on),
                region_code=str(fact.region_code),
            )
        case AccessRequested():
            return events.AccessRequested(
                resource_code=fact.resource_code,
                request_key=fact.request_key,
                subsystem=fact.subsystem,
                provider=fact.provider,
                due_on=proto_day(fact.due_on),
                region_code=str(fact.region_code),
            )
        case AccessGranted():
            return events.AccessGranted(
                resource_code=fact.resource_code,
                request_key=fact.request_key,
                subsystem=fact.subsystem,
                agreement_key=fact.agreement_key,
                granted_on=proto_day(fact.granted_on),
                valid_to=proto_day(fact.valid_to),
                region_code=str(fact.region_code),
            )
        case AccessDenied():
            return events.AccessDenied(
                resource_code=fact.resource_code,
                request_key=fact.request_key,
                subsystem=fact.subsystem,
                denied_on=proto_day(fact.denied_on),
                region_code=str(fact.region_code),
            )
