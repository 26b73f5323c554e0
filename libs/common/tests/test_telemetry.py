"""One matter is one trace: from the call through the outbox and the topic to the effect elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from eldex.api.operations.v1 import operations_service_pb2 as pb
from eldex.api.registry.v1.resident_events_pb2 import ResidentDeceased
from eldex.api.topics import load_topics
from eldex.common import telemetry
from eldex.common.errors import NotFound
from eldex.common.inbox import Inbox
from eldex.common.kafka import Record
from eldex.common.outbox import Relay, publisher
from eldex.common.rpc.call import Call, Identity
from eldex.common.rpc.server import Dispatcher
from eldex.common.store import UnitOfWork
from eldex.common.testing.doors import GET, Desk
from eldex.common.testing.harness import FrozenClock
from eldex.common.testing.homes import Home, Homes, Watched, fresh, move_out, opening

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
EXCHANGE = Identity("eldex.local", "511700/service/exchange")


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    """Spans, kept here; a process has one provider, whoever set it up first."""
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        telemetry.configure("tests", "tests-0", "511700", "", 1.0)
    provider, kept = trace.get_tracer_provider(), InMemorySpanExporter()
    assert isinstance(provider, TracerProvider)
    provider.add_span_processor(SimpleSpanProcessor(kept))
    return kept


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> InMemorySpanExporter:
    exporter.clear()
    return exporter


class Broker:
    """Takes records."""

    def __init__(self) -> None:
        self.taken: list[Record] = []

    async def publish(self, records: Sequence[Record]) -> None:
        self.taken += records


def named(spans: InMemorySpanExporter, name: str) -> ReadableSpan:
    (found,) = [span for span in spans.get_finished_spans() if span.name == name]
    return found


async def test_one_trace_crosses_the_call_the_topic_and_the_effect(
    spans: InMemorySpanExporter, backend: Watched, work: UnitOfWork[Homes], clock: FrozenClock
) -> None:
    await work.write(fresh(), opening("home-of-res_1", beds=5))
    publish = publisher("511700", "registry", load_topics(), lambda event: event)
    registry: UnitOfWork[Homes] = UnitOfWork(backend, Homes, publish, clock)

    async def register_death(_: object, __: Call) -> pb.GetFlowsResponse:
        async def act(homes: Homes, _: object) -> None:
            home = Home(key="registry-side", licence="r")
            home.record(ResidentDeceased(resident_key="res_1", region_code="511702"))
            homes.save(home)

        await registry.write(fresh(), act)
        return pb.GetFlowsResponse()

    desk, broker = Desk(), Broker()
    desk.answer = register_death
    service = pb.DESCRIPTOR.services_by_name["OperationsService"]
    answer = await Dispatcher([(service, desk)], clock).answer(GET, b"", EXCHANGE, SAMPLED, None)
    assert answer.failure is None
    relay = Relay(backend, broker, "registry-0")  # type: ignore[arg-type]
    await relay.drain()
    (record,) = broker.taken
    await Inbox("institutions", {ResidentDeceased: move_out}, work).apply(record)

    call = named(spans, GET[1:])
    sent = named(spans, "send registry-residents")
    applied = named(spans, "process registry-residents")
    assert [span.kind for span in (call, sent, applied)] == [
        SpanKind.SERVER,
        SpanKind.PRODUCER,
        SpanKind.CONSUMER,
    ]
    for span in (call, sent, applied):
        assert f"{span.context.trace_id:032x}" == TRACE
    parents = [span.parent and f"{span.parent.span_id:016x}" for span in (call, sent, applied)]
    ids = [f"{span.context.span_id:016x}" for span in (call, sent)]
    assert parents == [PARENT, *ids]

    assert dict(call.attributes or {}) == {
        "rpc.system": "grpc",
        "eldex.caller": "511700/service/exchange",
        "rpc.grpc.status_code": "OK",
    }
    told = dict(applied.attributes or {})
    assert told["messaging.system"] == "kafka"
    assert told["messaging.operation.type"] == "process"
    assert told["messaging.destination.name"] == "registry-residents"
    assert told["messaging.consumer.group.name"] == "institutions"
    assert told["messaging.message.id"] == record.headers["ce_id"]
    assert told["eldex.event.type"] == "eldex.api.registry.v1.ResidentDeceased"
    assert (told["eldex.subject"], told["eldex.outcome"]) == ("res_1", "applied")


async def test_a_trace_that_the_caller_did_not_sample_is_not_sampled_here(
    spans: InMemorySpanExporter, clock: FrozenClock
) -> None:
    service = pb.DESCRIPTOR.services_by_name["OperationsService"]
    quiet = {"traceparent": f"00-{TRACE}-{PARENT}-00"}
    await Dispatcher([(service, Desk())], clock).answer(GET, b"", EXCHANGE, quiet, None)
    assert spans.get_finished_spans() == ()


def test_what_goes_on_for_ever_is_kept_in_no_trace_here_or_where_it_calls(
    spans: InMemorySpanExporter,
) -> None:
    with telemetry.span("a matter", SpanKind.SERVER):
        matter = telemetry.traceparent()
        with telemetry.untraced(), telemetry.span("again and again", SpanKind.CLIENT):
            assert not telemetry.is_sampled(telemetry.traceparent())
            assert telemetry.trace_id() != matter[3:35]
        assert telemetry.traceparent() == matter
    assert [span.name for span in spans.get_finished_spans()] == ["a matter"]


async def test_a_failure_is_marked_with_its_reason_and_nothing_else(
    spans: InMemorySpanExporter, clock: FrozenClock
) -> None:
    async def refuse(_: Any, __: Call) -> pb.GetFlowsResponse:
        raise NotFound("王秀英", "res_1")

    desk = Desk()
    desk.answer = refuse
    service = pb.DESCRIPTOR.services_by_name["OperationsService"]
    await Dispatcher([(service, desk)], clock).answer(GET, b"", EXCHANGE, SAMPLED, None)
    span = named(spans, GET[1:])
    assert span.status.status_code is StatusCode.ERROR
    assert span.status.description == "NOT_FOUND"
    assert span.attributes is not None
    assert span.attributes["error.type"] == "NOT_FOUND"
    assert span.attributes["rpc.grpc.status_code"] == "NOT_FOUND"
    assert span.events == ()
    assert "王秀英" not in span.to_json()


async def test_side_by_side_acts_keep_their_traces_apart() -> None:
    async def one(number: int) -> tuple[str, str]:
        parent = {"traceparent": f"00-{number:032x}-{PARENT}-01"}
        with telemetry.span("act", SpanKind.SERVER, parent):
            await asyncio.sleep(0)
            return telemetry.trace_id(), telemetry.traceparent()

    for number, (trace_id, parent) in enumerate(
        await asyncio.gather(*(one(n) for n in range(1, 20))), start=1
    ):
        assert trace_id == f"{number:032x}"
        assert parent.startswith(f"00-{number:032x}-")


def test_outside_of_any_span_there_is_no_trace() -> None:
    assert (telemetry.trace_id(), telemetry.traceparent()) == ("", "")


@pytest.mark.parametrize("odd", ["", "nonsense", "00-0-0-01", f"00-{'0' * 32}-{PARENT}-01"])
def test_a_traceparent_that_is_none_starts_a_trace_of_its_own(odd: str) -> None:
    with telemetry.span("act", SpanKind.SERVER, {"traceparent": odd}):
        assert telemetry.trace_id() not in {"", "0" * 32}


@pytest.mark.parametrize(
    ("flags", "kept"), [("01", True), ("03", True), ("00", False), ("02", False), ("zz", False)]
)
def test_a_trace_is_kept_by_the_lowest_flag_whatever_the_others_say(flags: str, kept: bool) -> None:
    assert telemetry.is_sampled(f"00-{'a' * 32}-{'b' * 16}-{flags}") is kept


def test_a_text_that_is_no_traceparent_asks_for_nothing() -> None:
    assert not telemetry.is_sampled("")
