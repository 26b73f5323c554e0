"""Asking another service: with a deadline, and without making its bad day worse."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.message import Message

from eldex.api.operations.v1 import operations_service_pb2 as pb
from eldex.common.errors import NotFound, Unavailable
from eldex.common.rpc.call import Call
from eldex.common.rpc.client import Peer, channel
from eldex.common.testing.doors import GET, Desk, open_door
from eldex.local.authority import Authority
from eldex.local.ports import HOST, reserve


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
async def peer(tmp_path: Path, desk: Desk) -> AsyncIterator[Peer]:
    """The subsidies department's way to ask the registry."""
    authority = Authority.open(tmp_path)
    async with (
        open_door(authority.issue("511700/service/registry"), desk) as port,
        channel(f"localhost:{port}", authority.issue("511700/service/subsidies")) as opened,
    ):
        yield Peer(opened, "registry", timeout_seconds=2.0)


async def ask(peer: Peer) -> pb.GetFlowsResponse:
    return await peer.ask(GET, pb.GetFlowsRequest(), pb.GetFlowsResponse, {"eldex-purpose": "p"})


async def test_an_answer(peer: Peer, desk: Desk) -> None:
    assert (await ask(peer)).outbox_events == 3
    assert desk.calls[0].metadata["eldex-purpose"] == "p"
    assert str(desk.calls[0].caller) == "511700/service/subsidies"


async def test_a_passing_trouble_is_tried_again(peer: Peer, desk: Desk) -> None:
    healthy = desk.answer

    async def twice_away(request: Message, call: Call) -> Message:
        if len(desk.calls) < 3:
            raise Unavailable("MongoDB")
        return await healthy(request, call)

    desk.answer = twice_away
    assert (await ask(peer)).outbox_events == 3
    assert len(desk.calls) == 3


async def test_a_refusal_is_not_tried_again(peer: Peer, desk: Desk) -> None:
    async def refuse(_: Message, __: Call) -> Message:
        raise NotFound("Resident", "res_1")

    desk.answer = refuse
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await ask(peer)
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert len(desk.calls) == 1


async def test_when_a_service_is_down_calls_to_it_are_not_multiplied(
    peer: Peer, desk: Desk
) -> None:
    healthy = desk.answer

    async def away(_: Message, __: Call) -> Message:
        raise Unavailable("MongoDB")

    desk.answer = away
    for _ in range(20):
        with pytest.raises(Unavailable, match="registry is not available"):
            await ask(peer)
    # Twenty calls and the ten retries of the budget; without it there would be sixty.
    assert len(desk.calls) == 30

    # Answers earn the budget back, a tenth of a retry each.
    desk.answer = healthy
    for _ in range(11):
        await ask(peer)
    desk.answer, before = away, len(desk.calls)
    with pytest.raises(Unavailable):
        await ask(peer)
    assert len(desk.calls) - before == 2


async def test_silence_ends_at_the_deadline_and_is_not_repeated(peer: Peer, desk: Desk) -> None:
    async def silent(_: Message, __: Call) -> Message:
        await asyncio.Event().wait()
        return pb.GetFlowsResponse()

    desk.answer = silent
    impatient = Peer(peer._channel, "registry", timeout_seconds=0.2)
    with pytest.raises(Unavailable):
        await ask(impatient)
    assert len(desk.calls) == 1


async def test_a_service_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    home = Authority.open(tmp_path).issue("511700/service/subsidies")
    async with channel(f"{HOST}:{reserve()}", home) as opened:
        with pytest.raises(Unavailable, match="registry is not available"):
            await ask(Peer(opened, "registry"))
