"""Between the contract's messages and the exchange's nouns; nothing else knows both."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from google.protobuf.message import Message

from eldex.api.exchange.v1 import agreement_pb2 as pb
from eldex.common.dates import day, optional_day, proto_day, proto_instant
from eldex.common.identifiers import RegionCode
from eldex.exchange.domain.agreement_changes import AgreementChange, ChangeState
from eldex.exchange.domain.agreements import Agreement, EventGrant, FieldGrant, PurposeTerms
from eldex.exchange.domain.break_glass import BreakGlassReviewed, BreakGlassUsed
from eldex.exchange.domain.membership import MembershipFact
from eldex.exchange.domain.message_log import LoggedRecord
from eldex.exchange.domain.subscriptions import (
    FeedEvent,
    Subscription,
    SubscriptionPaused,
    SubscriptionResumed,
)
from eldex.exchange.wire import deliveries
from eldex.exchange.wire.access import access_event
from eldex.exchange.wire.catalogue import CatalogueFact, catalogue_event
from eldex.exchange.wire.membership import membership_event

CHANGE_STATES: Final = {
    ChangeState.WAITING: pb.AGREEMENT_CHANGE_STATE_WAITING,
    ChangeState.APPROVED: pb.AGREEMENT_CHANGE_STATE_APPROVED,
    ChangeState.REFUSED: pb.AGREEMENT_CHANGE_STATE_REFUSED,
}


def agreement_in(message: pb.Agreement) -> Agreement:
    """Read an agreement of a request."""
    return Agreement(
        key=message.agreement_key,
        subsystem=message.subsystem,
        methods=list(message.methods),
        purposes=list(message.purposes),
        legal_basis=message.legal_basis,
        valid_from=day(message.valid_from, "agreement.valid_from"),
        valid_to=optional_day(message.valid_to, "agreement.valid_to"),
        event_types=list(message.event_types),
        region_codes=_regions(message.region_codes),
        purpose_terms=[
            PurposeTerms(each.purpose, each.legal_basis, each.requires_consent)
            for each in message.purpose_terms
        ],
        field_grants=[
            FieldGrant(each.method, tuple(each.reply_fields), tuple(each.request_fields))
            for each in message.field_grants
        ],
        event_grants=[
            EventGrant(each.event_type, tuple(each.fields)) for each in message.event_grants
        ],
        caller_regions=_regions(message.caller_region_codes),
        subject_regions=_regions(message.subject_region_codes),
        checks_subjects=message.checks_subjects,
        permits_break_glass=message.permits_break_glass,
        conceals_existence=message.conceals_existence,
        rows_per_call=message.rows_per_call,
        rows_per_day=message.rows_per_day,
        suspended=message.suspended,
    )


def _regions(codes: Iterable[str]) -> list[RegionCode]:
    return [RegionCode.parse(code) for code in codes]


def agreement(found: Agreement) -> pb.Agreement:
    """An agreement as replies show it."""
    return pb.Agreement(
        agreement_key=found.key,
        subsystem=found.subsystem,
        methods=found.methods,
        purposes=found.purposes,
        legal_basis=found.legal_basis,
        valid_from=proto_day(found.valid_from),
        valid_to=proto_day(found.valid_to),
        event_types=found.event_types,
        region_codes=[str(code) for code in found.region_codes],
        purpose_terms=[
            pb.PurposeTerms(
                purpose=each.purpose,
                legal_basis=each.legal_basis,
                requires_consent=each.requires_consent,
            )
            for each in found.purpose_terms
        ],
        field_grants=[
            pb.FieldGrant(
                method=each.method,
                reply_fields=each.reply_fields,
                request_fields=each.request_fields,
            )
            for each in found.field_grants
        ],
        event_grants=[
            pb.EventGrant(event_type=each.event_type, fields=each.fields)
            for each in found.event_grants
        ],
        caller_region_codes=[str(code) for code in found.caller_regions],
        subject_region_codes=[str(code) for code in found.subject_regions],
        checks_subjects=found.checks_subjects,
        permits_break_glass=found.permits_break_glass,
        conceals_existence=found.conceals_existence,
        rows_per_call=found.rows_per_call,
        rows_per_day=found.rows_per_day,
        suspended=found.suspended,
        etag=found.etag,
    )


def agreement_change(found: AgreementChange) -> pb.AgreementChange:
    """A change of an agreement as replies show it."""
    return pb.AgreementChange(
        wanted=agreement(found.wanted),
        based_on_etag=found.based_on,
        state=CHANGE_STATES[found.state],
        proposed_by=found.proposed_by,
        proposed_with=found.proposed_with,
        proposed_at=proto_instant(found.proposed_at),
        decided_by=found.decided_by,
        decided_with=found.decided_with,
        decided_at=proto_instant(found.decided_at),
        reason=found.reason,
        etag=found.etag,
    )


def outcome(made: Agreement | None, change: AgreementChange | None) -> dict[str, Any]:
    """What became of a change, as the fields of a reply: the agreement in force, the change."""
    return {
        "agreement": None if made is None else agreement(made),
        "change": None if change is None else agreement_change(change),
    }


def subscription(
    found: Subscription, lag_events: int, lag_seconds: float, connected: bool
) -> pb.Subscription:
    """A subscription as replies show it."""
    return pb.Subscription(
        subsystem=found.subsystem,
        subscription_name=found.name,
        event_types=found.event_types,
        region_codes=[str(code) for code in found.region_codes],
        acknowledged_cursor=found.acknowledged,
        lag_events=lag_events,
        lag_seconds=lag_seconds,
        seen_at=proto_instant(found.seen_at),
        connected=connected,
    )


def logged_call(found: LoggedRecord) -> pb.LoggedCall:
    """A record of the log as `ListCalls` shows it."""
    record = found.record
    return pb.LoggedCall(
        log_index=found.index,
        answered_at=proto_instant(record.answered_at),
        subsystem=record.subsystem,
        method=record.method,
        purpose=record.purpose,
        agreement_key=record.agreement_key,
        agreement_version=record.agreement_version,
        legal_basis=record.legal_basis,
        request_digest=record.request_digest,
        reply_digest=record.reply_digest,
        code=record.code,
        reason=record.reason,
        trace_id=record.trace_id,
    )


def delivered(event: FeedEvent) -> pb.DeliveredEvent:
    """An event as a subscriber gets it."""
    return pb.DeliveredEvent(
        cursor=event.cursor,
        event_id=event.event_id,
        event_type=event.type,
        source=event.source,
        subject=event.subject,
        occurred_at=proto_instant(event.occurred_at),
        region_codes=[str(code) for code in event.regions],
        payload=event.payload,
        traceparent=event.traceparent,
    )


def event(
    fact: BreakGlassUsed
    | BreakGlassReviewed
    | CatalogueFact
    | MembershipFact
    | SubscriptionPaused
    | SubscriptionResumed,
) -> Message:
    """What the exchange itself tells."""
    if isinstance(fact, CatalogueFact):
        return catalogue_event(fact)
    if isinstance(fact, MembershipFact):
        return membership_event(fact)
    if isinstance(fact, SubscriptionPaused | SubscriptionResumed):
        return deliveries.event(fact)
    return access_event(fact)
