"""A stream ends when its server does, says so, and leaves nothing running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2

from eldex.common.clock import system_clock
from eldex.common.rpc.call import Call
from eldex.common.rpc.client import channel
from eldex.common.rpc.server import Dispatcher, GrpcDoor, grpc_server
from eldex.common.rpc.status import DETAILS_KEY, reason_of
from eldex.common.rpc.streams import until
from eldex.common.rpc.tls import server_credentials
from eldex.common.service import service_descriptor
from eldex.local.authority import Authority


class Watching:
    """Tells something, and then nothing for ever."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def check(self, _: Any, __: Call) -> health_pb2.HealthCheckResponse:
        return health_pb2.HealthCheckResponse()

    async def watch(self, _: Any, __: Call) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        try:
            yield health_pb2.HealthCheckResponse(status=1)
            await asyncio.Event().wait()
        finally:
            self.ended.set()

    list = check


async def test_a_standing_stream_does_not_hold_up_its_server(tmp_path: Path) -> None:
    authority, desk = Authority.open(tmp_path), Watching()
    descriptor = service_descriptor(health_pb2, "Health")
    dispatcher = Dispatcher([(descriptor, desk)], system_clock)
    server = grpc_server([GrpcDoor(dispatcher)])
    tls = server_credentials(authority.issue("511700/service/registry"))
    port = server.add_secure_port("localhost:0", tls)
    await server.start()
    home = authority.issue("511700/service/exchange")
    async with channel(f"localhost:{port}", home) as opened:
        rpc: Any = opened.unary_stream("/grpc.health.v1.Health/Watch")
        stream = rpc(b"")
        assert await stream.read() == health_pb2.HealthCheckResponse(status=1).SerializeToString()
        dispatcher.leaving.set()
        await asyncio.wait_for(server.stop(60), 10)
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await stream.read()
    trailing: dict[str, Any] = dict(ended.value.trailing_metadata() or ())
    assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
    assert reason_of(trailing[DETAILS_KEY]) == "SERVER_LEAVES"
    assert desk.ended.is_set()


async def test_what_ends_by_itself_is_given_whole() -> None:
    async def three() -> AsyncIterator[int]:
        for number in range(3):
            yield number

    assert [each async for each in until(asyncio.Event(), three())] == [0, 1, 2]
    ended = asyncio.Event()
    ended.set()
    assert [each async for each in until(ended, three())] == []
