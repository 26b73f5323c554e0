"""Traces: one matter is one trace, across gRPC and Kafka, as the semantic conventions say.

Spans of calls and events are written here by hand, in one place, because the instrumentation
packages start a new trace at a Kafka consumer. Only ids travel: no span attribute carries a
request's content.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_propagator = TraceContextTextMapPropagator()
_tracer = trace.get_tracer("eldex")
_NOT_SAMPLED = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-00")
"""A valid `traceparent` whose trace is not kept (W3C Trace Context, version 00)."""


def configure(
    service: str, instance: str, city: str, endpoint: str, ratio: float
) -> TracerProvider:
    """Set up tracing for the process, once, in `main`; without an endpoint spans stay inside."""
    resource = Resource.create(
        {
            "service.name": service,
            "service.namespace": f"eldex-{city}",
            "service.instance.id": instance,
        }
    )
    provider = TracerProvider(resource=resource, sampler=ParentBased(TraceIdRatioBased(ratio)))
    if endpoint:
        exporter = OTLPSpanExporter(endpoint=f"http://{endpoint}", insecure=True)
        provider.add_span_processor(
            BatchSpanProcessor(exporter, schedule_delay_millis=500, max_export_batch_size=512)
        )
    trace.set_tracer_provider(provider)
    return provider


@contextmanager
def span(
    name: str,
    kind: SpanKind,
    parent: Mapping[str, str] | None = None,
    attributes: Mapping[str, str | int | float | bool] | None = None,
) -> Iterator[Span]:
    """A span around a call or an event; `parent` is a carrier with `traceparent`, if any."""
    given = parent.get("traceparent", "") if parent else ""
    if _NOT_SAMPLED.fullmatch(given):
        # Nobody keeps this trace, which is so for most: its ids go on, and that is all.
        unkept = NonRecordingSpan(_context_of(given))
        token = context.attach(trace.set_span_in_context(unkept))
        try:
            yield unkept
        finally:
            context.detach(token)
        return
    remote = _propagator.extract(parent) if parent and given else None
    with _tracer.start_as_current_span(
        name,
        context=remote,
        kind=kind,
        attributes=attributes,
        record_exception=False,  # an exception's text may quote the request
        set_status_on_exception=False,
    ) as current:
        try:
            yield current
        except BaseException as error:
            failed(current, type(error).__name__)
            raise


def is_sampled(parent: str) -> bool:
    """Whether a `traceparent` asks for its trace to be kept (its flags may say more than that)."""
    flags = parent.rpartition("-")[2]
    try:
        return len(flags) == 2 and int(flags, 16) & 1 == 1
    except ValueError:
        return False


def failed(current: Span, reason: str) -> None:
    """Mark a span as failed, with a stable reason and nothing else."""
    current.set_attribute("error.type", reason)
    current.set_status(Status(StatusCode.ERROR, reason))


def _context_of(given: str) -> SpanContext:
    _, trace_id, span_id, _ = given.split("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True)


def traceparent() -> str:
    """The current span as a W3C `traceparent`; empty outside of any."""
    found = trace.get_current_span().get_span_context()
    if not found.is_valid:
        return ""
    return f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"


def trace_id() -> str:
    """The current trace's id in hex; empty outside of any."""
    found = trace.get_current_span().get_span_context()
    return f"{found.trace_id:032x}" if found.is_valid else ""
