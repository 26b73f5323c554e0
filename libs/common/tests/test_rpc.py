"""Every error reaches the caller as what it is, in their language; by unary call and trunk alike."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from structlog.testing import capture_logs

from eldex.api.operations.v1 import operations_service_pb2 as pb
from eldex.common.errors import (
    AlreadyExists,
    Denied,
    DomainError,
    Kind,
    NotFound,
    Overloaded,
    RequestIdReused,
    StaleVersion,
    Unavailable,
)
from eldex.common.rpc.call import Call, Identity, current_call
from eldex.common.rpc.policy import at_home, services_only
from eldex.common.rpc.server import Dispatcher, MissingHandler
from eldex.common.rpc.status import CODES
from eldex.common.testing.doors import GET, LIST, REPLAY, SERVICE, Caller, Desk, caller, open_door
from eldex.common.testing.harness import FrozenClock
from eldex.local.authority import Authority

EXCHANGE = "511700/service/exchange"
NUMBER = "11010519491231002X"  # the standard's own example (GB 11643), nobody's


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.open(tmp_path)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture(params=["unary", "trunk"])
async def exchange(
    request: pytest.FixtureRequest, authority: Authority, desk: Desk
) -> AsyncIterator[Caller]:
    """The exchange, calling a service of this house by either road."""
    registry = authority.issue("511700/service/registry")
    async with (
        open_door(registry, desk, max_in_flight=2) as port,
        caller(request.param, port, authority.issue(EXCHANGE)) as opened,
    ):
        yield opened


def raising(error: Exception) -> object:
    async def answer(_: Message, __: Call) -> Message:
        raise error

    return answer


async def test_an_answer_comes_back_with_what_the_desk_adds(exchange: Caller, desk: Desk) -> None:
    async def answer(_: Message, call: Call) -> Message:
        call.reply_metadata["eldex-receipt"] = "r1"
        assert current_call.get() is call
        return pb.GetFlowsResponse(service="registry", outbox_events=3)

    desk.answer = answer
    reply = await exchange.ask(GET, pb.GetFlowsRequest(), {"eldex-member": "511700/member/x/y"})
    assert (reply.code, reply.message) == ("OK", "")
    assert pb.GetFlowsResponse.FromString(reply.response).outbox_events == 3
    assert reply.trailing["eldex-receipt"] == "r1"
    (call,) = desk.calls
    assert (call.method, str(call.caller), call.behalf) == (GET, EXCHANGE, "511700/member/x/y")


class DailyLimit(DomainError):
    kind, reason = Kind.EXHAUSTED, "DAILY_LIMIT"
    zh, en = "今日次数已用完", "today's calls are used up"


ERRORS: list[DomainError] = [
    RequestIdReused(),
    NotFound("Resident", "res_1"),
    AlreadyExists("licence"),
    StaleVersion("Resident"),
    Denied("an agreement for this purpose", "缺少该用途的协议"),
    DailyLimit(),
    Unavailable("MongoDB"),
]


@pytest.mark.parametrize("language", ["zh-CN,zh;q=0.9", "en"])
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.kind.name)
async def test_each_kind_of_error_is_a_status_with_a_reason_in_the_callers_language(
    exchange: Caller, desk: Desk, error: DomainError, language: str
) -> None:
    desk.answer = raising(error)  # type: ignore[assignment]
    reply = await exchange.ask(GET, pb.GetFlowsRequest(), {"accept-language": language})
    assert reply.code == CODES[error.kind].name
    assert reply.message == error.message("zh" if language.startswith("zh") else "en")
    (info,) = reply.details(error_details_pb2.ErrorInfo)
    assert (info.reason, info.domain) == (error.reason, "eldex")
    assert dict(info.metadata) == {name: str(value) for name, value in error.facts.items()}
    assert reply.response == b""


def test_no_kind_of_error_is_left_out() -> None:
    assert {error.kind for error in ERRORS} == set(Kind) == set(CODES)


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("zh", {"request_id": "必须是 UUID 格式的编号", "dead_letter_key": "不得超过 200 个字符"}),
        (
            "en",
            {
                "request_id": "must be a UUID",
                "dead_letter_key": "must not be longer than 200 characters",
            },
        ),
    ],
)
async def test_fields_that_break_the_contract_are_named_one_by_one(
    exchange: Caller, desk: Desk, language: str, words: dict[str, str]
) -> None:
    request = pb.ReplayDeadLetterRequest(request_id=NUMBER, dead_letter_key=NUMBER * 12)
    reply = await exchange.ask(REPLAY, request, {"accept-language": language})
    assert (reply.code, reply.reason) == ("INVALID_ARGUMENT", "REQUEST_INVALID")
    (bad,) = reply.details(error_details_pb2.BadRequest)
    assert {v.field: v.description for v in bad.field_violations} == words
    assert [v.reason for v in bad.field_violations] == ["STRING_UUID", "STRING_MAX_LEN"]
    assert NUMBER not in str(reply)
    assert desk.calls == []


async def test_bytes_that_are_no_message_are_refused(exchange: Caller, desk: Desk) -> None:
    for payload in (b"\xff\xff\xff", b"\x0a\x05ab", b"\x12\x02\xff\xfe"):
        reply = await exchange.ask(REPLAY, payload)
        assert (reply.code, reply.reason) == ("INVALID_ARGUMENT", "REQUEST_INVALID")
        (bad,) = reply.details(error_details_pb2.BadRequest)
        assert bad.field_violations[0].reason == "MALFORMED"
    assert desk.calls == []


async def test_fields_of_a_later_contract_are_passed_over(exchange: Caller) -> None:
    reply = await exchange.ask(GET, pb.GetFlowsRequest().SerializeToString() + b"\xf8\x07\x01")
    assert reply.code == "OK"


async def test_our_own_bug_is_told_without_detail_and_recorded_without_text(
    exchange: Caller, desk: Desk
) -> None:
    desk.answer = raising(ValueError(f"王秀英 {NUMBER}"))  # type: ignore[assignment]
    with capture_logs() as lines:
        reply = await exchange.ask(GET, pb.GetFlowsRequest())
    assert (reply.code, reply.reason) == ("INTERNAL", "INTERNAL")
    assert reply.message == "an error of ours; it has been recorded"
    assert "王秀英" not in str(reply)
    broke = next(line for line in lines if line["event"] == "call_broke")
    assert broke["method"] == GET
    answered = next(line for line in lines if line["event"] == "call_answered")
    assert (answered["code"], answered["reason"]) == ("INTERNAL", "INTERNAL")
    assert answered["caller"] == EXCHANGE


async def test_a_deadline_ends_the_work(exchange: Caller, desk: Desk) -> None:
    ended = asyncio.Event()

    async def endless(_: Message, __: Call) -> Message:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return pb.GetFlowsResponse()

    desk.answer = endless
    reply = await exchange.ask(GET, pb.GetFlowsRequest(), timeout_seconds=0.2)
    assert reply.code == "DEADLINE_EXCEEDED"
    await asyncio.wait_for(ended.wait(), 5)


async def test_more_calls_than_can_be_answered_are_told_when_to_come_back(
    exchange: Caller, desk: Desk
) -> None:
    going = asyncio.Event()

    async def slow(_: Message, __: Call) -> Message:
        await going.wait()
        return pb.GetFlowsResponse()

    desk.answer = slow
    two = [asyncio.create_task(exchange.ask(GET, pb.GetFlowsRequest())) for _ in range(2)]
    async with asyncio.timeout(5):
        while len(desk.calls) < 2:
            await asyncio.sleep(0.005)
    reply = await exchange.ask(GET, pb.GetFlowsRequest(), {"accept-language": "zh"})
    assert (reply.code, reply.reason) == ("RESOURCE_EXHAUSTED", Overloaded.reason)
    (retry,) = reply.details(error_details_pb2.RetryInfo)
    assert retry.retry_delay.ToJsonString() == "0.500s"
    going.set()
    assert [r.code for r in await asyncio.gather(*two)] == ["OK", "OK"]
    assert (await exchange.ask(GET, pb.GetFlowsRequest())).code == "OK"


async def test_of_a_crowd_everybody_is_answered_or_told_when_to_come_back(
    authority: Authority, desk: Desk
) -> None:
    """gRPC itself would throw a good part of them out as CANCELLED."""
    registry = authority.issue("511700/service/registry")
    async with (
        open_door(registry, desk, max_in_flight=2) as port,
        caller("unary", port, authority.issue(EXCHANGE)) as exchange,
    ):
        asking = (exchange.ask(GET, pb.GetFlowsRequest(), timeout_seconds=60) for _ in range(2_000))
        codes = Counter(reply.code for reply in await asyncio.gather(*asking))
    assert codes["OK"] > 0
    assert set(codes) <= {"OK", "RESOURCE_EXHAUSTED"}


async def test_a_method_that_nobody_answers(exchange: Caller) -> None:
    for method in (f"{SERVICE}/GetFlow", "/no.such.Service/Get", "nonsense"):
        assert (await exchange.ask(method, b"")).code == "UNIMPLEMENTED"


async def test_a_request_that_is_too_large_harms_nobody_else(exchange: Caller, desk: Desk) -> None:
    large = pb.ListDeadLettersRequest(page_token="x" * (4 * 1024 * 1024 + 70_000))
    small = [exchange.ask(GET, pb.GetFlowsRequest()) for _ in range(2)]
    reply, *others = await asyncio.gather(exchange.ask(LIST, large), *small)
    assert reply.code == "RESOURCE_EXHAUSTED"
    assert [other.code for other in others] == ["OK", "OK"]
    assert [call.method for call in desk.calls] == [GET, GET]


async def test_a_reply_that_is_too_large_says_what_to_do(exchange: Caller, desk: Desk) -> None:
    async def everything(_: Message, __: Call) -> Message:
        return pb.GetFlowsResponse(service="x" * (4 * 1024 * 1024 + 1))

    desk.answer = everything
    reply = await exchange.ask(GET, pb.GetFlowsRequest())
    assert (reply.code, reply.reason) == ("INVALID_ARGUMENT", "REPLY_TOO_LARGE")
    assert "smaller page" in reply.message


async def test_a_request_just_within_the_limit_passes(exchange: Caller) -> None:
    size = 4 * 1024 * 1024 - 100
    reply = await exchange.ask(GET, b"\xfa\x07" + _length(size) + b"x" * size)
    assert reply.code == "OK"


def _length(size: int) -> bytes:
    """A protobuf length."""
    out = b""
    while size > 0x7F:
        out, size = out + bytes([size & 0x7F | 0x80]), size >> 7
    return out + bytes([size])


async def test_a_member_does_not_call_a_department_past_the_exchange(
    authority: Authority, desk: Desk
) -> None:
    registry = authority.issue("511700/service/registry")
    member = authority.issue("511700/member/partner-city/elder-care")
    async with open_door(registry, desk) as port, caller("unary", port, member) as opened:
        request = pb.ReplayDeadLetterRequest(request_id=str(uuid.uuid4()))
        reply = await opened.ask(REPLAY, request, {"accept-language": "zh"})
    assert (reply.code, reply.reason) == ("PERMISSION_DENIED", "ACCESS_DENIED")
    assert "511700/member/partner-city/elder-care" in reply.message
    assert "请通过交换总线调用" in reply.message
    assert desk.calls == []


def test_a_method_without_anybody_to_answer_it_is_found_at_the_start() -> None:
    service = pb.DESCRIPTOR.services_by_name["OperationsService"]
    with pytest.raises(MissingHandler, match="object has no method get_flows"):
        Dispatcher([(service, object())], FrozenClock())


async def test_standard_clients_see_the_contract_of_grpc(exchange: Caller) -> None:
    """A generated stub of any language: code, message and details where gRPC has them."""
    ask = exchange.channel.unary_unary(
        REPLAY,
        request_serializer=pb.ReplayDeadLetterRequest.SerializeToString,
        response_deserializer=pb.ReplayDeadLetterResponse.FromString,
    )
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await ask(pb.ReplayDeadLetterRequest(request_id=str(uuid.uuid4())))
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "dead_letter_key" in json.dumps(refused.value.details())


def test_a_service_of_another_city_is_a_stranger() -> None:
    policy = at_home("511700", services_only)
    for path, is_let_in in (
        ("511700/service/exchange", True),
        ("150200/service/exchange", False),
        ("5117/service/exchange", False),
        ("511700/member/police/household-registration", False),
    ):
        assert policy(Identity("eldex.local", path), GET) is is_let_in, path
