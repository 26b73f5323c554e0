"""Traces: one matter is one trace, across gRPC and Kafka, as the semantic conventions say.

Spans of calls and events are written here by hand, in one place, because the instrumentation
packages start a new trace at a Kafka consumer. Only ids travel: no span attribute carries a
request's content.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from types import TracebackType

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_propagator = TraceContextTextMapPropagator()
_tracer = trace.get_tracer("eldex")
_current: ContextVar[str] = ContextVar("traceparent", default="")
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


Attributes = Mapping[str, str | int | float | bool]


class span:  # noqa: N801 - reads as what it is: `with telemetry.span(...)`
    """A span around a call or an event; `parent` is a carrier with `traceparent`, if any.

    Most traces are not kept. Then no span is made: the ids go on as they came, and that is all.
    """

    __slots__ = ("_arguments", "_before", "_given", "_kept")

    def __init__(
        self,
        name: str,
        kind: SpanKind,
        parent: Mapping[str, str] | None = None,
        attributes: Attributes | Callable[[], Attributes] | None = None,
    ) -> None:
        """`attributes` may be a function, called only if the span is kept."""
        self._arguments = (name, kind, attributes)
        self._given = parent.get("traceparent", "") if parent else ""
        self._kept: AbstractContextManager[Span] | None = None

    def __enter__(self) -> Span:
        """Begin; the current span is told by `traceparent()`."""
        given = self._given or _current.get()
        if given[-3:] == "-00" and _NOT_SAMPLED.fullmatch(given):
            self._before = _current.set(given)
            return INVALID_SPAN
        name, kind, attributes = self._arguments
        remote = _propagator.extract({"traceparent": self._given}) if self._given else None
        self._kept = _tracer.start_as_current_span(
            name,
            context=remote,
            kind=kind,
            attributes=attributes() if callable(attributes) else attributes,
            record_exception=False,  # an exception's text may quote the request
            set_status_on_exception=False,
        )
        begun = self._kept.__enter__()
        self._before = _current.set(_traceparent_of(begun))
        return begun

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace_back: TracebackType | None,
    ) -> None:
        """End; an error marks the span, by its kind alone."""
        _current.reset(self._before)
        if self._kept is not None:
            if kind is not None:
                failed(trace.get_current_span(), kind.__name__)
            self._kept.__exit__(kind, error, trace_back)


@contextmanager
def untraced() -> Iterator[None]:
    """What is done within is kept in no trace, here and where it calls.

    For what goes on by itself for ever: nobody follows it, and it would hide what people do.
    """
    before = _current.set(f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00")
    try:
        yield
    finally:
        _current.reset(before)


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


def traceparent() -> str:
    """The current span as a W3C `traceparent`; empty outside of any."""
    return _current.get()


def trace_id() -> str:
    """The current trace's id in hex; empty outside of any."""
    return _current.get()[3:35]


def span_id() -> str:
    """The current span's id in hex; empty outside of any."""
    return _current.get()[36:52]


def _traceparent_of(begun: Span) -> str:
    found = begun.get_span_context()
    if not found.is_valid:
        return ""
    return f"00-{found.trace_id:032x}-{found.span_id:016x}-{found.trace_flags:02x}"
