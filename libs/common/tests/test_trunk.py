"""The trunk: many calls on one stream, each on its own; when it breaks it opens again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from eldex.api.operations.v1 import operations_service_pb2 as pb
from eldex.api.trunk.v1 import trunk_service_pb2 as trunk_pb
from eldex.api.trunk.v1.trunk_service_pb2_grpc import TrunkServiceStub
from eldex.common.errors import Unavailable
from eldex.common.rpc.call import Call
from eldex.common.rpc.trunk import failure_of
from eldex.common.testing.doors import GET, LIST, REPLAY, Caller, Desk, caller, open_door
from eldex.local.authority import Authority
from eldex.local.ports import reserve


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.open(tmp_path)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def port() -> int:
    return reserve()


@pytest.fixture
async def exchange(authority: Authority, desk: Desk, port: int) -> AsyncIterator[Caller]:
    registry = authority.issue("511700/service/registry")
    async with (
        open_door(registry, desk, port=port, max_in_flight=2_000),
        caller("trunk", port, authority.issue("511700/service/exchange")) as opened,
    ):
        yield opened


async def test_a_thousand_calls_at_once_get_each_their_own_answer(
    exchange: Caller, desk: Desk
) -> None:
    async def echo(request: pb.ListDeadLettersRequest, _: Call) -> Message:
        return pb.ListDeadLettersResponse(next_page_token=request.page_token)

    desk.answer = echo
    tokens = [f"{n:04}" * 60 for n in range(1_000)]
    replies = await asyncio.gather(
        *(exchange.ask(LIST, pb.ListDeadLettersRequest(page_token=token)) for token in tokens)
    )
    assert [
        pb.ListDeadLettersResponse.FromString(r.response).next_page_token for r in replies
    ] == tokens


async def test_a_slow_call_holds_back_nobody(exchange: Caller, desk: Desk) -> None:
    going = asyncio.Event()

    async def slow_lists(_: Message, call: Call) -> Message:
        if call.method == LIST:
            await going.wait()
        return pb.GetFlowsResponse()

    desk.answer = slow_lists
    slow = asyncio.create_task(exchange.ask(LIST, pb.ListDeadLettersRequest()))
    for _ in range(20):
        assert (await exchange.ask(GET, pb.GetFlowsRequest())).code == "OK"
    assert not slow.done()
    going.set()
    assert (await slow).code == "OK"


async def test_large_answers_of_many_calls_do_not_break_the_stream(
    exchange: Caller, desk: Desk
) -> None:
    async def large(_: Message, __: Call) -> Message:
        return pb.GetFlowsResponse(service="x" * 2_000_000)

    desk.answer = large
    calls = [exchange.ask(GET, b"\xfa\x07\x80\x89\x7a" + b"x" * 2_000_000) for _ in range(8)]
    assert [reply.code for reply in await asyncio.gather(*calls)] == ["OK"] * 8


async def is_answered(opened: Caller) -> bool:
    try:
        return (await opened.ask(GET, b"")).code == "OK"
    except Unavailable:
        return False


async def test_a_break_fails_what_was_under_way_and_the_next_call_opens_it_again(
    authority: Authority, desk: Desk, port: int
) -> None:
    registry = authority.issue("511700/service/registry")
    exchange_home = authority.issue("511700/service/exchange")

    async def endless(_: Message, __: Call) -> Message:
        await asyncio.Event().wait()
        return pb.GetFlowsResponse()

    healthy, desk.answer = desk.answer, endless
    async with AsyncExitStack() as first_life, caller("trunk", port, exchange_home) as opened:
        await first_life.enter_async_context(open_door(registry, desk, port=port))
        under_way = [asyncio.create_task(opened.ask(GET, b"")) for _ in range(3)]
        async with asyncio.timeout(10):
            while len(desk.calls) < 3:
                await asyncio.sleep(0.005)
        await first_life.aclose()
        outcomes = await asyncio.gather(*under_way, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [Unavailable] * 3
        with pytest.raises(Unavailable):
            await opened.ask(GET, b"")

        desk.answer = healthy
        async with open_door(registry, desk, port=port), asyncio.timeout(15):
            while not await is_answered(opened):
                await asyncio.sleep(0.05)  # the channel waits a little before it tries again
            replies = await asyncio.gather(*(opened.ask(GET, b"") for _ in range(50)))
            assert {reply.code for reply in replies} == {"OK"}


async def test_a_server_that_stops_answers_what_it_has_taken_and_takes_no_more(
    authority: Authority, desk: Desk, port: int
) -> None:
    going = asyncio.Event()
    asked: set[str] = set()

    async def slow(_: Message, call: Call) -> Message:
        asked.add(call.metadata["number"])
        await going.wait()
        return pb.GetFlowsResponse()

    desk.answer = slow
    home = authority.issue("511700/service/exchange")
    async with AsyncExitStack() as life, caller("trunk", port, home) as opened:
        registry = authority.issue("511700/service/registry")
        await life.enter_async_context(open_door(registry, desk, port=port, drain_seconds=60))
        before = [asyncio.create_task(opened.ask(GET, b"", {"number": str(n)})) for n in range(50)]
        async with asyncio.timeout(10):
            while len(asked) < 50:
                await asyncio.sleep(0.005)
        stopping = asyncio.create_task(life.aclose())
        async with asyncio.timeout(10):
            while True:  # until the caller has been told, its calls are still taken, and answered
                late = asyncio.create_task(opened.ask(GET, b"", {"number": "late"}))
                done, _ = await asyncio.wait({late}, timeout=0.05)
                if done:
                    break
                before.append(late)
        assert isinstance(late.exception(), Unavailable)
        assert not stopping.done()
        going.set()
        assert {reply.code for reply in await asyncio.gather(*before)} == {"OK"}
        await asyncio.wait_for(stopping, 10)  # long before its 60 seconds


async def test_an_idle_trunk_does_not_hold_up_its_server(
    authority: Authority, desk: Desk, port: int
) -> None:
    home = authority.issue("511700/service/exchange")
    async with AsyncExitStack() as life, caller("trunk", port, home) as opened:
        registry = authority.issue("511700/service/registry")
        await life.enter_async_context(open_door(registry, desk, port=port, drain_seconds=60))
        assert (await opened.ask(GET, b"")).code == "OK"
        await asyncio.wait_for(life.aclose(), 10)


async def test_a_trunk_to_nobody_is_unavailable(authority: Authority) -> None:
    home = authority.issue("511700/service/exchange")
    async with caller("trunk", reserve(), home) as opened:
        with pytest.raises(Unavailable, match="trunk is not available"):
            await opened.ask(GET, b"")


async def test_metadata_that_is_not_text_does_not_cost_the_answer(exchange: Caller) -> None:
    stream = TrunkServiceStub(exchange.channel).Carry()
    odd = trunk_pb.Call(call_id=1, method=GET, timeout_seconds=5)
    odd.metadata.add(key="grpc-trace-bin", value=b"\xff\x00")
    odd.metadata.add(key="eldex-purpose", value=b"\xff")
    await stream.write(trunk_pb.CarryRequest(calls=[odd]))
    await stream.done_writing()
    replies = [reply async for message in stream for reply in message.replies]
    assert [(reply.call_id, reply.code) for reply in replies] == [(1, 0)]


async def test_a_frame_that_is_none_ends_the_stream_after_the_answers_and_says_why(
    exchange: Caller,
) -> None:
    carry: Any = exchange.channel.stream_stream("/eldex.api.trunk.v1.TrunkService/Carry")
    stream = carry()
    call = trunk_pb.Call(call_id=1, method=GET, timeout_seconds=5)
    await stream.write(trunk_pb.CarryRequest(calls=[call]).SerializeToString())
    await stream.write(b"\xff" * 11)
    answered = trunk_pb.CarryResponse.FromString(await stream.read())
    assert [(reply.call_id, reply.code) for reply in answered.replies] == [(1, 0)]
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await stream.read()
    assert ended.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (await exchange.ask(GET, b"")).code == "OK"


async def test_the_far_end_may_close_when_it_has_asked_all_and_still_gets_every_answer(
    exchange: Caller, desk: Desk
) -> None:
    async def later(_: Message, __: Call) -> Message:
        await asyncio.sleep(0.05)
        return pb.GetFlowsResponse()

    desk.answer = later
    stream = TrunkServiceStub(exchange.channel).Carry()
    calls = [trunk_pb.Call(call_id=n, method=GET) for n in range(5)]
    await stream.write(trunk_pb.CarryRequest(calls=calls))
    await stream.done_writing()
    replies = [reply async for message in stream for reply in message.replies]
    assert sorted(reply.call_id for reply in replies) == [0, 1, 2, 3, 4]


async def test_a_carried_refusal_reads_like_a_refusal(exchange: Caller) -> None:
    carried = await exchange.trunk.call(REPLAY, b"")
    failed = failure_of(carried)
    assert failed is not None
    assert (failed.code.name, failed.reason) == ("INVALID_ARGUMENT", "REQUEST_INVALID")
    assert failure_of(await exchange.trunk.call(GET, b"")) is None


async def test_a_trunk_is_not_carried_on_a_trunk(exchange: Caller) -> None:
    reply = await exchange.ask("/eldex.api.trunk.v1.TrunkService/Carry", b"")
    assert (reply.code, reply.reason) == ("UNIMPLEMENTED", "METHOD_UNKNOWN")
