"""Between the contract's messages and the exchange's nouns; nothing else knows both."""

from __future__ import annotations

from typing import Never

from google.protobuf.message import Message

from eldex.api.exchange.v1 import agreement_pb2 as pb
from eldex.common.dates import day, instant, optional_day, proto_day, proto_instant
from eldex.common.identifiers import RegionCode
from eldex.exchange.domain.agreements import Agreement
from eldex.exchange.domain.message_log import LogEntry, LoggedCall
from eldex.exchange.domain.subscriptions import FeedEvent, Subscription


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
        region_codes=[RegionCode.parse(code) for code in message.region_codes],
    )


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
        etag=found.etag,
    )


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


def logged_call(call: LoggedCall) -> pb.LoggedCall:
    """An entry of the log: what is chained, kept and shown."""
    entry = call.entry
    return pb.LoggedCall(
        log_index=call.index,
        answered_at=proto_instant(entry.at),
        subsystem=entry.subsystem,
        method=entry.method,
        purpose=entry.purpose,
        agreement_key=entry.agreement_key,
        agreement_version=entry.agreement_version,
        legal_basis=entry.legal_basis,
        request_digest=entry.request_digest,
        reply_digest=entry.reply_digest,
        code=entry.code,
        reason=entry.reason,
        trace_id=entry.trace_id,
        previous_hash=call.previous_hash,
    )


def logged_call_in(message: pb.LoggedCall) -> LoggedCall:
    """An entry as it was kept."""
    entry = LogEntry(
        at=instant(message.answered_at),
        subsystem=message.subsystem,
        method=message.method,
        purpose=message.purpose,
        agreement_key=message.agreement_key,
        agreement_version=message.agreement_version,
        legal_basis=message.legal_basis,
        request_digest=message.request_digest,
        reply_digest=message.reply_digest,
        code=message.code,
        reason=message.reason,
        trace_id=message.trace_id,
    )
    return LoggedCall(message.log_index, entry, message.previous_hash)


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


def event(fact: Never) -> Message:
    """The exchange publishes no events of its own yet."""
    raise AssertionError(fact)
