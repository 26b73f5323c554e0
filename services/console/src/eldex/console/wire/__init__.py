"""OpenTelemetry's and the contract's messages ↔ the console's nouns.

What looks like an identity number is masked here, before anything is kept: the house never writes
one into a span, but a partner's client might.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from eldex.api.operations.v1 import operations_service_pb2 as operations
from eldex.common.dates import instant
from eldex.common.privacy import masked
from eldex.console.domain.flows import DeadLetter, Flow
from eldex.console.domain.spans import Kind, Span, SpanEvent, SpanLink, Tags

_KINDS = {
    OtlpSpan.SPAN_KIND_SERVER: Kind.SERVER,
    OtlpSpan.SPAN_KIND_CLIENT: Kind.CLIENT,
    OtlpSpan.SPAN_KIND_PRODUCER: Kind.PRODUCER,
    OtlpSpan.SPAN_KIND_CONSUMER: Kind.CONSUMER,
}
_MOST_TAGS, _MOST_EVENTS, _LONGEST = 64, 32, 1_000
"""A span that exceeds these is kept, cut to them."""
_LATEST_US = 4_102_444_800_000_000
"""2100-01-01. A time after it is a broken clock's, and would never be forgotten."""


def spans(request: ExportTraceServiceRequest) -> tuple[list[Span], int]:
    """The spans of an export, and how many had to be left out for want of ids or a time."""
    found: list[Span] = []
    refused = 0
    for resource_spans in request.resource_spans:
        process = _tags(resource_spans.resource.attributes)
        service = next((value for key, value in process if key == "service.name"), "unknown")
        for scope_spans in resource_spans.scope_spans:
            for each in scope_spans.spans:
                if _usable(each):
                    found.append(_span(each, service, process))
                else:
                    refused += 1
    return found, refused


def _usable(span: OtlpSpan) -> bool:
    start = span.start_time_unix_nano // 1_000
    end = span.end_time_unix_nano // 1_000
    ids = len(span.trace_id) == 16 and len(span.span_id) == 8
    return ids and len(span.parent_span_id) in {0, 8} and 0 < start <= end < _LATEST_US


def _span(span: OtlpSpan, service: str, process: Tags) -> Span:
    start_us = span.start_time_unix_nano // 1_000
    error = span.status.code == Status.STATUS_CODE_ERROR
    return Span(
        trace_id=span.trace_id.hex(),
        span_id=span.span_id.hex(),
        parent_id=span.parent_span_id.hex(),
        service=service,
        name=_text(span.name),
        kind=_KINDS.get(span.kind, Kind.INTERNAL),
        start_us=start_us,
        duration_us=span.end_time_unix_nano // 1_000 - start_us,
        error=error,
        message=_text(span.status.message) if error else "",
        tags=_tags(span.attributes),
        events=tuple(
            SpanEvent(each.time_unix_nano // 1_000, _text(each.name), _tags(each.attributes))
            for each in span.events[:_MOST_EVENTS]
        ),
        links=tuple(
            SpanLink(each.trace_id.hex(), each.span_id.hex(), _tags(each.attributes))
            for each in span.links[:_MOST_EVENTS]
        ),
        process=process,
    )


def _tags(attributes: Sequence[KeyValue]) -> Tags:
    return tuple((_text(each.key), _value(each.value)) for each in attributes[:_MOST_TAGS])


def _value(value: AnyValue) -> str:
    kind = value.WhichOneof("value")
    if kind is None:
        return ""
    plain = getattr(value, kind)
    match kind:
        case "bool_value":
            text = "true" if plain else "false"
        case "bytes_value":
            text = plain[:_LONGEST].hex()
        case "array_value":
            text = ", ".join(_value(each) for each in plain.values[:_MOST_TAGS])
        case "kvlist_value":
            pairs = plain.values[:_MOST_TAGS]
            text = ", ".join(f"{_text(each.key)}={_value(each.value)}" for each in pairs)
        case _:
            text = str(plain)
    return _text(text)


@lru_cache(maxsize=20_000)
def _text(text: str) -> str:
    # Cut after masking, so that no half of a number is left at the end.
    clean = masked(text)
    return clean if len(clean) <= _LONGEST else clean[: _LONGEST - 1] + "…"


# --- what the departments tell --------------------------------------------------------------------


def flow(message: operations.Flow) -> Flow:
    """One partition as its reader stands."""
    return Flow(
        message.topic,
        message.partition,
        message.lag_events,
        message.lag_seconds,
        message.held_because,
    )


def dead_letter(message: operations.DeadLetter, department: str) -> DeadLetter:
    """One dead letter."""
    replayed, closed = message.HasField("replayed_at"), message.HasField("closed_at")
    return DeadLetter(
        department=department,
        key=message.dead_letter_key,
        topic=message.topic,
        partition=message.partition,
        offset=message.offset,
        event_id=message.event_id,
        event_type=message.event_type,
        subject=message.subject,
        reason=message.reason,
        detail=message.detail,
        detail_zh=message.detail_zh,
        set_aside_at=instant(message.set_aside_at),
        replayed_at=instant(message.replayed_at) if replayed else None,
        closed_at=instant(message.closed_at) if closed else None,
        closed_by=message.closed_by,
        closing_reason=message.closing_reason,
        trace_id=message.trace_id,
    )
