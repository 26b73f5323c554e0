"""OTLP in: traces from every service, by gRPC, without TLS (on the loopback or a pod network).

An export is answered when its spans are kept, so that nothing acknowledged is lost; exports that
arrive meanwhile share the next write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import (
    TraceServiceServicer,
    add_TraceServiceServicer_to_server,
)

from eldex.common.errors import Unavailable
from eldex.common.logs import logger
from eldex.console import wire
from eldex.console.domain.spans import Span
from eldex.console.handlers import Spans

_MOST_PER_WRITE: Final = 4_000
_MOST_BYTES_PER_WRITE: Final = 8 * 1024 * 1024
_MOST_WAITING_BYTES: Final = 64 * 1024 * 1024
_MAX_MESSAGE_BYTES: Final = 8 * 1024 * 1024


class Overfull(Exception):
    """More spans wait than are worth keeping in memory; the sender tries again."""


class NotKept(Exception):
    """An error of ours; it has been recorded."""


class Intake:
    """Gathers spans of concurrent exports into few writes."""

    def __init__(self, spans: Spans) -> None:
        self._spans = spans
        self._waiting: list[tuple[Sequence[Span], int, asyncio.Future[None]]] = []
        self._bytes = 0
        self._wake = asyncio.Event()

    async def take(self, spans: Sequence[Span], size_bytes: int) -> None:
        """Return when the spans are kept; raises `Overfull`, `NotKept`, or `Unavailable` without database."""
        if self._bytes + size_bytes > _MOST_WAITING_BYTES:
            raise Overfull
        kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((spans, size_bytes, kept))
        self._bytes += size_bytes
        self._wake.set()
        await kept

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                await self._write(self._next())

    def _next(self) -> list[tuple[Sequence[Span], int, asyncio.Future[None]]]:
        spans = size = taken = 0
        for found, size_bytes, _ in self._waiting:
            spans, size = spans + len(found), size + size_bytes
            if taken and (spans > _MOST_PER_WRITE or size > _MOST_BYTES_PER_WRITE):
                break
            taken += 1
        batch = self._waiting[:taken]
        del self._waiting[:taken]
        return batch

    async def _write(self, batch: list[tuple[Sequence[Span], int, asyncio.Future[None]]]) -> None:
        failed: Unavailable | NotKept | None = None
        try:
            await self._spans.add([span for spans, _, _ in batch for span in spans])
        except Unavailable as error:
            failed = error
        except Exception as error:  # noqa: BLE001 - what somebody sent must not stop the console
            logger().error(
                "spans_not_stored", spans=sum(len(s) for s, _, _ in batch), exc_info=error
            )
            failed = NotKept()
        finally:
            self._bytes -= sum(size for _, size, _ in batch)
        for _, _, kept in batch:
            if kept.done():
                continue  # the sender went away
            if failed:
                kept.set_exception(failed)
            else:
                kept.set_result(None)


class TraceReceiver(TraceServiceServicer):
    """OpenTelemetry's `TraceService`."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def Export(  # noqa: N802 - the name in OpenTelemetry's contract
        self,
        request: ExportTraceServiceRequest,
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> ExportTraceServiceResponse:
        """Keep the spans; those without usable ids or times are refused and counted."""
        spans, refused = wire.spans(request)
        try:
            if spans:
                await self._intake.take(spans, request.ByteSize())
        except (Overfull, Unavailable):
            logger().warning("spans_refused", spans=len(spans))
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the span store is busy: try again")
        except NotKept:
            # A code that makes the sender give these spans up: sent again, they would fail again.
            await context.abort(grpc.StatusCode.INTERNAL, "an error of ours; it has been recorded")
        response = ExportTraceServiceResponse()
        if refused:
            response.partial_success.rejected_spans = refused
            response.partial_success.error_message = "a span needs a trace id of 16 bytes, a span id of 8 bytes, and a start before its end"
        return response


async def otlp_server(listen: str, intake: Intake) -> tuple[grpc.aio.Server, int]:
    """A started server for traces, and its port."""
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
            ("grpc.so_reuseport", 0),
        ]
    )
    add_TraceServiceServicer_to_server(TraceReceiver(intake), server)  # type: ignore[no-untyped-call]
    port = server.add_insecure_port(listen)
    await server.start()
    return server, port
