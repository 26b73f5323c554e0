"""Traces come in by OTLP, are kept, found and shown."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from opentelemetry.trace import SpanKind
from structlog.testing import capture_logs

from eldex.common import mongo
from eldex.console import wire
from eldex.console.domain.spans import Span
from eldex.console.handlers import Spans
from eldex.console.rpc import Intake, otlp_server
from eldex.console.store import spans as span_store

if TYPE_CHECKING:
    from services.console.tests.conftest import Console, Death


def an_export(spans: int, first: int = 0, **attributes: str) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "registry"
    scope = resource.scope_spans.add()
    now = time.time_ns()
    for number in range(first, first + spans):
        span = scope.spans.add(
            trace_id=(number // 10 + 1).to_bytes(16, "big"),
            span_id=(number + 1).to_bytes(8, "big"),
            name="eldex.api.registry.v1.RegistryService/GetResident",
            kind=2,
            start_time_unix_nano=now + number * 1000,
            end_time_unix_nano=now + number * 1000 + 5_000_000,
        )
        for key, value in {"rpc.system": "grpc", **attributes}.items():
            span.attributes.add(key=key).value.string_value = value
    return request


async def test_a_death_is_found_by_service_operation_tag_duration_and_error(
    console: Console, death: Death
) -> None:
    reader = await console.signed_in()
    fits = [
        "",
        "?service=subsidies",
        "?service=registry&operation=send%20registry-residents",
        f"?tags=messaging.message.id%3D{death.event_id}%20eldex.outcome%3Ddead",
        "?min=20ms&max=25ms&service=registry",
        "?errors=1",
    ]
    for query in fits:
        page = await reader.get(f"/traces{query}")
        assert f"/traces/{death.trace_id}" in page.text, query
    misses = [
        "?service=credit",
        "?service=medical&errors=1",
        "?tags=eldex.outcome%3Drepeated",
        "?min=10s",
        "?window=custom&since=2020-01-01T00:00&until=2020-01-02T00:00",
    ]
    for query in misses:
        page = await reader.get(f"/traces{query}")
        assert page.status == 200
        assert death.trace_id not in page.text, query


async def test_the_waterfall_shows_every_span_under_its_parent_with_tags_events_and_links(
    console: Console, death: Death
) -> None:
    reader = await console.signed_in()
    page = (await reader.get(f"/traces/{death.trace_id}")).text
    levels = [int(level) for level in re.findall(r'<li data-level="(\d+)"', page)]
    # Exchange, registry, what it sent; institutions, subsidies, medical and what it sent, the partner.
    assert levels == [0, 1, 2, 3, 3, 3, 4, 3]
    for shown in (
        "NO_POLICY_FOR_DIVISION",
        "journal flushed",
        "eldex.attempt",
        "Follows from",
        "service.instance.id",
        "registry-residents",
        "31 ms",
    ):
        assert shown in page, shown
    assert (await reader.get(f"/traces/{'0' * 31}1")).status == 404


async def test_a_search_that_cannot_be_understood_says_what_to_correct(console: Console) -> None:
    reader = await console.signed_in()
    page = (await reader.get("/traces?min=fast&tags=alone&window=custom&since=yesterday")).text
    assert "such as 500us, 10ms or 1.2s" in page
    assert "Write tags as key=value" in page
    assert "Give a day and a time" in page
    reader.language = "zh-CN"
    assert "请填写带单位的时长" in (await reader.get("/traces?min=fast")).text


async def test_identity_numbers_are_masked_before_anything_is_kept(
    console: Console, channel_to_otlp: grpc.aio.Channel
) -> None:
    # Fictional: code 511790 was never given out.
    number = "511790194307121230"
    request = an_export(1, note=f"resident {number} asked")
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.name = f"look up {number}"
    span.events.add(name=number)
    span.links.add().attributes.add(key=number)
    span.status.code = Status.STATUS_CODE_ERROR
    span.status.message = f"no such {number}"
    values = span.attributes.add(key="many").value.array_value.values
    values.add().string_value = number
    values.add(int_value=int(number))
    request.resource_spans[0].resource.attributes.add(key="who").value.string_value = number
    async with channel_to_otlp as channel:
        await TraceServiceStub(channel).Export(request)  # type: ignore[no-untyped-call]
    settings = console.settings
    async with mongo.connect(settings.mongo_uri, f"{settings.mongo_prefix}_console") as backend:
        kept = [str(d) for name in ("spans", "operations") for d in await backend.query(name, {})]
    assert kept
    assert not [text for text in kept if number in text]
    assert any("<identity-number>" in text for text in kept)


async def test_a_span_sent_twice_is_kept_once_and_a_broken_one_is_refused_by_number(
    console: Console, channel_to_otlp: grpc.aio.Channel
) -> None:
    request = an_export(20)
    request.resource_spans[0].scope_spans[0].spans[7].trace_id = b"short"
    async with channel_to_otlp as channel:
        stub: Any = TraceServiceStub(channel)  # type: ignore[no-untyped-call]
        first = await stub.Export(request)
        again = await stub.Export(request)
    assert first.partial_success.rejected_spans == again.partial_success.rejected_spans == 1
    settings = console.settings
    async with mongo.connect(settings.mongo_uri, f"{settings.mongo_prefix}_console") as backend:
        assert await backend.count("spans", {}) == 19


async def test_more_spans_than_one_command_takes_are_kept_in_several(
    console: Console, channel_to_otlp: grpc.aio.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(span_store, "_MOST_AT_ONCE", 30)
    async with channel_to_otlp as channel:
        stub: Any = TraceServiceStub(channel)  # type: ignore[no-untyped-call]
        reply = await stub.Export(an_export(100))
    assert reply.partial_success.rejected_spans == 0
    settings = console.settings
    async with mongo.connect(settings.mongo_uri, f"{settings.mongo_prefix}_console") as backend:
        assert await backend.count("spans", {}) == 100


class FirstUnstorable:
    """A store that cannot take what comes first, for a reason that nobody thought of."""

    def __init__(self) -> None:
        self.tries = 0

    async def add(self, spans: Sequence[Span]) -> None:
        self.tries += 1
        if self.tries == 1:
            raise OverflowError(f"of {len(spans)} spans")


async def test_what_cannot_be_kept_is_given_up_by_its_sender_and_the_next_is_kept() -> None:
    intake = Intake(cast(Spans, FirstUnstorable()))
    running = asyncio.create_task(intake.run())
    server, port = await otlp_server("127.0.0.1:0", intake)
    with capture_logs() as lines:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub: Any = TraceServiceStub(channel)  # type: ignore[no-untyped-call]
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.Export(an_export(3))
            assert refused.value.code() is grpc.StatusCode.INTERNAL
            await stub.Export(an_export(3))
    assert not running.done()
    running.cancel()
    await server.stop(None)
    (told,) = lines
    assert (told["event"], told["spans"]) == ("spans_not_stored", 3)


async def test_spans_are_forgotten_by_the_database_after_the_days_that_are_set(
    console: Console, death: Death
) -> None:
    settings = console.settings
    async with mongo.connect(settings.mongo_uri, f"{settings.mongo_prefix}_console") as backend:
        indexes = await backend.ask(lambda db: db["spans"].index_information())
        assert indexes["expires_at"]["expireAfterSeconds"] == 0
        for span in await backend.query("spans", {}):
            assert 6.9 < (span["expires_at"] - span["at"]).total_seconds() / 86_400 < 7.1
    assert death.trace_id


async def test_thousands_of_spans_a_second_are_received_and_kept(
    console: Console, channel_to_otlp: grpc.aio.Channel
) -> None:
    requests = [an_export(500, first) for first in range(0, 12_000, 500)]
    async with channel_to_otlp as channel:
        stub: Any = TraceServiceStub(channel)  # type: ignore[no-untyped-call]
        began = time.perf_counter()
        await asyncio.gather(*(stub.Export(request) for request in requests))
        took = time.perf_counter() - began
    settings = console.settings
    async with mongo.connect(settings.mongo_uri, f"{settings.mongo_prefix}_console") as backend:
        assert await backend.count("spans", {}) == 12_000
    # A floor against accidents only: the machine is shared with whatever else runs.
    assert 12_000 / took > 1_000, f"{12_000 / took:,.0f} spans/s"


async def test_the_map_shows_who_called_whom_and_who_told_whom_by_which_topic(
    console: Console, death: Death
) -> None:
    reader = await console.signed_in()
    page = (await reader.get("/map")).text
    rows = [
        re.sub(r"<[^>]+>|\s+", " ", row) for row in re.findall(r"<tr>.*?</tr>", page, re.DOTALL)
    ]
    rows = [" ".join(row.split()) for row in rows[1:]]
    assert "civil-affairs/elder-care Exchange calls 1 0 31 ms" in rows
    assert "Exchange Registry calls 1 0 22 ms" in rows
    assert "Registry Medical insurance registry-residents 1 0 14 ms" in rows
    assert "Registry Subsidies registry-residents 1 1 · 100.0 % 9 ms" in rows
    assert "Exchange partner-500100/elder-care deliveries 1 0 200 µs" in rows
    assert len(rows) == 6
    assert death.trace_id


async def test_a_map_of_more_than_can_be_counted_says_what_was_counted(
    console: Console, death: Death, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = await console.signed_in()
    assert "Counted:" not in (await reader.get("/map")).text
    monkeypatch.setattr(span_store, "_MOST_EDGES", 2)
    page = (await reader.get("/map")).text
    assert "Counted: the newest 2 of 6 calls and events of this time." in page
    assert death.trace_id


@pytest.mark.parametrize("kind", list(SpanKind))
async def test_every_kind_of_span_is_read(kind: SpanKind) -> None:
    request = an_export(1)
    request.resource_spans[0].scope_spans[0].spans[0].kind = kind.value + 1  # type: ignore[assignment]
    spans, refused = wire.spans(request)
    assert (spans[0].kind.value.upper(), refused) == (kind.name, 0)
