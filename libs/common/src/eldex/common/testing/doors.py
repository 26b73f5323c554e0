"""A service with one desk on a real socket, with mutual TLS, asked by unary call or by trunk."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from eldex.api.operations.v1 import operations_service_pb2 as pb
from eldex.api.trunk.v1 import trunk_service_pb2
from eldex.common.clock import system_clock
from eldex.common.rpc.call import Call
from eldex.common.rpc.client import channel
from eldex.common.rpc.server import Dispatcher, GrpcDoor, grpc_server
from eldex.common.rpc.status import DETAILS_KEY
from eldex.common.rpc.tls import server_credentials
from eldex.common.rpc.trunk import Trunk, TrunkService

SERVICE = "/eldex.api.operations.v1.OperationsService"
GET, LIST, REPLAY = (
    f"{SERVICE}/{name}" for name in ("GetFlows", "ListDeadLetters", "ReplayDeadLetter")
)

Road = Literal["unary", "trunk"]


class Desk:
    """Answers the methods of `OperationsService` as the test wants."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

        async def flows(_: Any, __: Call) -> Message:
            return pb.GetFlowsResponse(service="registry", outbox_events=3)

        self.answer: Callable[[Any, Call], Awaitable[Message]] = flows

    async def _asked(self, request: Message, call: Call) -> Message:
        self.calls.append(call)
        return await self.answer(request, call)

    get_flows = list_dead_letters = replay_dead_letter = close_dead_letter = _asked


@asynccontextmanager
async def open_door(
    tls_dir: Path,
    desk: Desk,
    *,
    port: int = 0,
    max_in_flight: int = 100,
    drain_seconds: float | None = None,
) -> AsyncIterator[int]:
    """Serve the desk; yields the port. At the end what is under way is cut off, or drained."""
    trunk = TrunkService()
    services = [
        (pb.DESCRIPTOR.services_by_name["OperationsService"], desk),
        (trunk_service_pb2.DESCRIPTOR.services_by_name["TrunkService"], trunk),
    ]
    dispatcher = Dispatcher(services, system_clock, max_in_flight=max_in_flight)
    trunk.dispatcher = dispatcher
    server = grpc_server([GrpcDoor(dispatcher)])
    bound = server.add_secure_port(f"127.0.0.1:{port}", server_credentials(tls_dir))
    await server.start()
    try:
        yield bound
    finally:
        if drain_seconds is not None:
            dispatcher.leaving.set()
        await server.stop(drain_seconds)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, by whichever road."""

    code: str
    message: str
    response: bytes
    trailing: Mapping[str, str | bytes]

    def details(self, kind: type[Message]) -> list[Any]:
        """The rich details of one kind."""
        raw = self.trailing.get(DETAILS_KEY, b"")
        assert isinstance(raw, bytes)
        found = []
        for packed in status_pb2.Status.FromString(raw).details:
            detail = kind()
            if packed.Unpack(detail):
                found.append(detail)
        return found

    @property
    def reason(self) -> str:
        """The stable reason."""
        (info,) = self.details(error_details_pb2.ErrorInfo)
        return str(info.reason)


class Caller:
    """One end that asks, with a certificate of its own."""

    def __init__(self, road: Road, opened: grpc.aio.Channel) -> None:
        self.road, self.channel = road, opened
        self.trunk = Trunk(opened)

    async def ask(
        self,
        method: str,
        request: Message | bytes,
        metadata: Mapping[str, str] | None = None,
        timeout_seconds: float = 10.0,
    ) -> Reply:
        """Call and give back whatever came."""
        payload = request if isinstance(request, bytes) else request.SerializeToString()
        if self.road == "trunk":
            carried = await self.trunk.call(method, payload, metadata, timeout_seconds)
            code = next(c for c in grpc.StatusCode if c.value[0] == carried.code)
            trailing = {
                e.key: e.value if e.key.endswith("-bin") else e.value.decode()
                for e in carried.trailing_metadata
            }
            return Reply(code.name, carried.message, carried.response, trailing)
        rpc: Any = self.channel.unary_unary(method)
        calling = rpc(payload, metadata=[*(metadata or {}).items()], timeout=timeout_seconds)
        try:
            response: bytes = await calling
        except grpc.aio.AioRpcError as error:
            trailing = dict(error.trailing_metadata() or ())
            return Reply(error.code().name, error.details() or "", b"", trailing)
        return Reply("OK", "", response, dict(await calling.trailing_metadata() or ()))


@asynccontextmanager
async def caller(road: Road, port: int, tls_dir: Path) -> AsyncIterator[Caller]:
    """A caller with the certificate of a folder."""
    opened = channel(f"localhost:{port}", tls_dir)
    made = Caller(road, opened)
    try:
        yield made
    finally:
        await made.trunk.close()
        await opened.close()
