"""Where the spans go: receives OTLP and counts, so that the cost of sending them is real."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from bench.child import Job, serve


async def main(listen: str) -> None:
    """Receive until the input ends."""
    spans = 0

    async def export(request: ExportTraceServiceRequest, _: Any) -> ExportTraceServiceResponse:
        nonlocal spans
        spans += sum(len(s.spans) for r in request.resource_spans for s in r.scope_spans)
        return ExportTraceServiceResponse()

    handler = grpc.unary_unary_rpc_method_handler(
        export, ExportTraceServiceRequest.FromString, ExportTraceServiceResponse.SerializeToString
    )
    name = "opentelemetry.proto.collector.trace.v1.TraceService"
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(name, {"Export": handler}),)
    )
    server.add_insecure_port(listen)
    await server.start()

    async def do(_: Job) -> Job:
        return {"spans": spans}

    await serve(do)
    await server.stop(0)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
