"""The city is attacked by those who can reach it: what is refused, and that others are served meanwhile."""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
import sys
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import h2.exceptions
import pytest
from google.protobuf.json_format import Parse

from eldex.api.exchange.v1 import exchange_service_pb2 as exchange_pb
from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.api.registry.v1 import resident_pb2
from eldex.common.rpc.client import channel
from eldex.common.testing import fuzzing
from eldex.local.field import Field, Refused
from eldex.local.stack import Stack

REGISTRY, OWN = "/eldex.api.registry.v1.RegistryService", "/eldex.api.exchange.v1.ExchangeService"
GET, LIST = f"{REGISTRY}/GetResident", f"{REGISTRY}/ListResidents"
RESIDENT = pb.GetResidentRequest(resident_key="res_0").SerializeToString()
CIVIL, PURPOSE = "civil-affairs/elder-care", "elder-care-administration"
EXAMPLES = Path(__file__).parents[3] / "proto" / "examples" / "registry"
CITY = "spiffe://eldex.local/511700"
DOCUMENTED = {
    "OK",
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "FAILED_PRECONDITION",
    "ABORTED",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
}


async def code_of(
    opened: grpc.aio.Channel,
    method: str,
    request: bytes = b"",
    *more: tuple[str, str | bytes],
    timeout_seconds: float = 20,
) -> str:
    """The status code of a call, by name."""
    call: Any = opened.unary_unary(method)
    try:
        await call(request, metadata=more, timeout=timeout_seconds)
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


async def newest_calls(stack: Stack, **where: Any) -> list[Any]:
    """The newest records of the message log, as operations see them."""
    request = exchange_pb.ListCallsRequest(page_size=50, **where)
    opened = channel(stack.address("exchange"), stack.identity("service/console"))
    call: Any = opened.unary_unary(
        f"{OWN}/ListCalls",
        request_serializer=type(request).SerializeToString,
        response_deserializer=exchange_pb.ListCallsResponse.FromString,
    )
    try:
        return list((await call(request)).calls)
    finally:
        await opened.close()


# --- who one is ----------------------------------------------------------------------------------


@pytest.mark.parametrize("door", ["exchange", "registry"])
@pytest.mark.parametrize(
    "how",
    [
        {"begins": timedelta(days=-2), "ends": timedelta(days=-1)},
        {"begins": timedelta(days=1), "ends": timedelta(days=2)},
        {"signed_by": "itself"},
        {"signed_by": "another authority of the same name"},
    ],
    ids=["expired", "not valid yet", "self-signed", "of another authority"],
)
async def test_a_certificate_that_does_not_hold_opens_no_door(
    field: Field, forger: Any, door: str, how: dict[str, Any]
) -> None:
    home = forger.make(f"{CITY}/service/exchange", **how)
    opened = channel(field.stack.address(door), home)
    code = await code_of(opened, GET, RESIDENT, ("eldex-purpose", PURPOSE), timeout_seconds=5)
    await opened.close()
    assert code in {"UNAVAILABLE", "DEADLINE_EXCEEDED"}  # no connection, so no answer


@pytest.mark.parametrize(
    "uris",
    [
        [],
        [f"https://eldex.local/511700/member/{CIVIL}"],
        [f"{CITY}/member/civil-affairs"],
        [f"{CITY}/member/{CIVIL}/more"],
        [f"{CITY}/member/{CIVIL}", f"{CITY}/service/console"],
        [f"spiffe://eldex.local/member/{CIVIL}"],
        [f"spiffe://eldex.local/nowhere/member/{CIVIL}"],
        ["spiffe://eldex.local/500100/service/console"],
        [f"{CITY}/service/registry"],
        [f"{CITY}/services/console"],
    ],
    ids=str,
)
async def test_a_certificate_of_ours_with_a_name_that_fits_nobody_gets_nowhere(
    field: Field, forger: Any, uris: list[str]
) -> None:
    opened = channel(field.stack.address("exchange"), forger.make(*uris))
    purpose = ("eldex-purpose", PURPOSE)
    change = exchange_pb.PutAgreementRequest(request_id=str(uuid.uuid4())).SerializeToString()
    codes = {
        await code_of(opened, LIST, b"", purpose),
        await code_of(opened, f"{OWN}/ListCalls", b"", purpose),
        await code_of(opened, f"{OWN}/PutAgreement", change, purpose),
    }
    await opened.close()
    # The field rules come before the handler: who is a member may hear that its request is malformed.
    assert codes <= {"PERMISSION_DENIED", "INVALID_ARGUMENT"}
    assert "PERMISSION_DENIED" in codes


async def test_whoever_one_claims_to_be_in_the_metadata_one_is_whom_the_certificate_names(
    field: Field,
) -> None:
    claims = (
        ("eldex-member", "member/police/household-registration"),
        ("eldex-agreement", "police-household-registration@1"),
        ("eldex-caller", f"{CITY}/service/console"),
        ("x-forwarded-client-cert", f"URI={CITY}/service/exchange"),
        ("x-forwarded-for", "127.0.0.1"),
        ("authorization", "Bearer console"),
        ("eldex-region", "511702"),
        ("eldex-city", "511700"),
    )
    raw = field["finance"].exchange
    purpose = ("eldex-purpose", "residence-registration")
    assert await code_of(raw, GET, RESIDENT, purpose, *claims) == "PERMISSION_DENIED"
    newest = (await newest_calls(field.stack, denied_only=True))[0]
    assert (newest.subsystem, newest.agreement_key) == ("member/finance/payments", "")
    assert await code_of(raw, f"{OWN}/ListCalls", b"", purpose, *claims) == "PERMISSION_DENIED"


# --- the exchange as somebody's deputy -----------------------------------------------------------


@pytest.mark.parametrize(
    "method",
    [
        "/eldex.api.trunk.v1.TrunkService/Carry",
        "/eldex.api.registry.v1.TrunkService/Carry",
        "/eldex.api.registry.v1.OperationsService/ReplayDeadLetter",
        "/eldex.api.operations.v1.OperationsService/ListDeadLetters",
        f"{REGISTRY}/../../eldex.api.operations.v1.OperationsService/ListDeadLetters",
        f"{REGISTRY}/GetResident/../../x",
        f"{REGISTRY}/%47etResident",
        f"/{REGISTRY}/GetResident",
        f"{REGISTRY}/",
        f"{REGISTRY}/*",
        "/eldex.api.registry.v1.RegistryService\x00/GetResident",
        "/ELDEX.API.REGISTRY.V1.RegistryService/GetResident",
        "/eldex.api.exchange.v1.RegistryService/GetResident",
        "/grpc.health.v1.Health/../x",
    ],
)
async def test_a_path_leads_to_the_method_that_was_agreed_or_nowhere(
    field: Field, wire: Any, method: str
) -> None:
    home = field.stack.identity(f"member/{CIVIL}")
    for authority in ("localhost", field.stack.address("registry"), "registry"):
        async with wire(field.stack, home) as opened:
            code = await opened.call(method, RESIDENT, [("host", authority)], purpose=PURPOSE)
        name = next((c.name for c in grpc.StatusCode if str(c.value[0]) == code), code)
        told = {"UNIMPLEMENTED", "PERMISSION_DENIED", "INVALID_ARGUMENT"}
        # What is no path at all is no call: the stream ends without an answer.
        assert name in told or ("\x00" in method and name in {"INTERNAL", "RESET"}), name


def registration(number: str, name: str = "王秀英") -> pb.RegisterResidentRequest:
    return pb.RegisterResidentRequest(
        request_id=str(uuid.uuid4()),
        document=resident_pb2.PersonDocument(
            kind=resident_pb2.DOCUMENT_KIND_RESIDENT_IDENTITY_CARD, number=number
        ),
        name=name,
        region_code="511702001",
    )


async def test_a_request_that_is_replayed_gives_another_caller_nothing_and_another_body_nothing(
    field: Field, new_number: Callable[[str], str]
) -> None:
    mine = registration(new_number("19430101"))
    told = await field["police"].ask("RegistryService/RegisterResident", mine)
    again = await field["police"].ask("RegistryService/RegisterResident", mine)
    assert again.reply == told.reply

    other = registration(new_number("19430102"), "李建国")
    other.request_id = mine.request_id
    with pytest.raises(Refused) as refused:
        await field["police"].ask("RegistryService/RegisterResident", other)
    assert refused.value.reason == "REQUEST_ID_REUSED"

    # Overheard by somebody with a right of its own: it is that caller's first request of this id.
    with pytest.raises(Refused) as overheard:
        await field["civil-affairs"].ask("RegistryService/RegisterResident", mine)
    assert overheard.value.code is grpc.StatusCode.FAILED_PRECONDITION
    # And by somebody without one.
    with pytest.raises(Refused) as stranger:
        await field["finance"].ask("RegistryService/RegisterResident", mine)
    assert stranger.value.code is grpc.StatusCode.PERMISSION_DENIED


# --- what is smuggled in -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more",
    [
        [("eldex-purpose-bin", "AAAA")],
        [("eldex-break-glass", "x" * 5_000)],
        [("eldex-receipt", "1"), ("eldex-trace-id", "0" * 32)],
        [("grpc-status", "0"), ("grpc-message", "ok"), ("grpc-status-details-bin", "AAAA")],
        [("grpc-timeout", "-1S")],
        [("grpc-timeout", "99999999999999H")],
        [("grpc-encoding", "nonsense")],
        [("grpc-trace-bin", "%%%")],
        [("traceparent", "00-" + "0" * 32 + "-" + "0" * 16 + "-01")],
        [("traceparent", "x\r\ny")],
        [("x-evil", "a\r\neldex-purpose: residence-registration")],
        [("x-evil\r\neldex-purpose", "residence-registration")],
        [("X-Upper", "case"), ("x-nul", "a\x00b")],
        [("accept-language", 'zh\r\n{"level":"forged"}')],
        [("accept-language", "zh;q=" + "9" * 4_000)],
        [(":path", GET), (":authority", "twice")],
        [("transfer-encoding", "chunked"), ("content-length", "3")],
        [(f"x-{n}", "y" * 100) for n in range(400)],
        [(f"x-long-{n}", "y" * 1_000) for n in range(300)],
    ],
    ids=lambda more: f"{more[0][0][:20]!r}={more[0][1][:12]!r} x{len(more)}",
)
async def test_headers_that_no_client_sends_change_nothing_and_break_nothing(
    field: Field, wire: Any, healthy: Any, more: list[tuple[str, str]]
) -> None:
    home = field.stack.identity("member/finance/payments")
    async with wire(field.stack, home) as opened:
        code = await opened.call(GET, RESIDENT, more, purpose="subsidy-payment")
    # Not what was asked for: the agreement of this caller does not know the method.
    assert code != "0"
    assert (await healthy.work(4)).failed == []


async def test_a_purpose_that_is_given_twice_is_decided_and_logged_as_one(
    field: Field, wire: Any
) -> None:
    listing = pb.ListResidentsRequest(region_code="511702").SerializeToString()
    for first, second, is_allowed in (
        (PURPOSE, "curiosity", False),
        ("curiosity", PURPOSE, True),
        (PURPOSE, "a\r\nb", False),
    ):
        async with wire(field.stack, field.stack.identity(f"member/{CIVIL}")) as opened:
            code = await opened.call(LIST, listing, [("eldex-purpose", second)], purpose=first)
        newest = (await newest_calls(field.stack, subsystem=f"member/{CIVIL}"))[0]
        if code == "RESET":  # what no header may hold was not taken: nothing was decided or logged
            assert "\r\n" in second
            continue
        # The last one counts, in the decision and in the record alike.
        assert (code == "0") is is_allowed
        assert newest.purpose == second.replace("\r\n", "\ufffd\ufffd")


async def test_nothing_that_was_smuggled_in_forged_a_line_of_a_log(field: Field) -> None:
    for log in (field.stack.logs / "exchange.log", field.stack.logs / "registry.log"):
        for line in log.read_text("utf-8").splitlines():
            if line.startswith("{"):
                assert json.loads(line)["level"] != "forged"


# --- what is too much ----------------------------------------------------------------------------

Attack = Callable[[Field, Any], Awaitable[str]]


async def rapid_reset(field: Field, wire: Any) -> str:
    """CVE-2023-44487: streams are opened and reset at once."""
    streams = connections = 0
    while streams < 4_000:
        async with wire(field.stack, field.stack.identity("member/finance/payments")) as opened:
            connections += 1
            try:
                while streams < 4_000 and not opened.is_closed:
                    for _ in range(50):
                        stream = opened.begin(LIST, purpose="subsidy-payment")
                        opened.http.reset_stream(stream)
                        streams += 1
                    await opened.flush()
                    await asyncio.sleep(0)
            except (ConnectionError, ssl.SSLError, h2.exceptions.ProtocolError):
                continue
    return f"{streams} streams reset on {connections} connection(s)"


async def slow_loris(field: Field, wire: Any) -> str:
    """Connections and calls that are begun and never ended, and replies that are never taken."""
    home = field.stack.identity("member/finance/payments")
    thrown_out = 0
    async with AsyncExitStack() as closing:
        for _ in range(50):
            opened = await closing.enter_async_context(wire(field.stack, home))
            opened.http.update_settings({0x4: 0})  # a window of nothing: no reply can be written
            for _ in range(20):
                stream = opened.begin(GET, purpose="subsidy-payment")
                opened.http.send_data(stream, b"\x00\x00\x00")  # half of a message's head
            try:
                await opened.flush()
            except ConnectionError:
                thrown_out += 1
        await asyncio.sleep(2)  # it is time itself that this attack spends
    return f"50 connections with 20 calls each that never end, {thrown_out} of them closed at once"


async def oversize(field: Field, wire: Any) -> str:
    """Messages beyond the limit, sent and merely announced."""
    codes: Counter[str] = Counter()
    home = field.stack.identity(f"member/{CIVIL}")
    for _ in range(6):
        async with wire(field.stack, home) as opened:
            codes[await opened.call(LIST, b"\x0a" * 6_000_000, purpose=PURPOSE)] += 1
    assert set(codes) <= {"8", "RESET 200", "CLOSED"}, codes
    return f"6 messages of 6 MB: {dict(codes)}"


async def bombs(field: Field, wire: Any) -> str:
    """200 MB of nothing in 200 kB."""
    bomb = gzip.compress(bytes(200_000_000), 9)
    codes: Counter[str] = Counter()
    home = field.stack.identity(f"member/{CIVIL}")
    before = memory_mb(field.stack)
    for _ in range(6):
        async with wire(field.stack, home) as opened:
            more = [("grpc-encoding", "gzip")]
            codes[await opened.call(LIST, bomb, more, purpose=PURPOSE, compressed=True)] += 1
    grown = memory_mb(field.stack) - before
    assert "0" not in codes
    return (
        f"6 bombs of {len(bomb) // 1000} kB: {dict(codes)}, the peak of memory grew by {grown} MB"
    )


async def deep_nesting(field: Field, wire: Any) -> str:
    """Messages within messages, some 1,500 deep, and groups ten thousand deep."""
    nested = b""
    for _ in range(1_500):
        nested = b"\x0a" + varint(len(nested)) + nested
    codes: Counter[str] = Counter()
    home = field.stack.identity(f"member/{CIVIL}")
    async with wire(field.stack, home) as opened:
        for payload in (nested, b"\x0b" * 10_000, b"\x9b\x06" * 10_000, b"\xff" * 10_000) * 5:
            codes[await opened.call(LIST, payload, purpose=PURPOSE)] += 1
    assert set(codes) <= {"3", "7"}, codes
    return f"20 messages: {dict(codes)}"


def varint(number: int) -> bytes:
    found = b""
    while number > 127:
        found += bytes([number & 127 | 128])
        number >>= 7
    return found + bytes([number])


def memory_mb(stack: Stack) -> int:
    """The most memory that the exchange has had, and what it has before it."""
    pid = stack.parts["exchange"].pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    found = [Path(f"/proc/{each}/status").read_text() for each in (pid, *children)]
    return sum(int(status.partition("VmHWM:")[2].split()[0]) for status in found) // 1024


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    "attack",
    [rapid_reset, slow_loris, oversize, bombs, deep_nesting],
    ids=lambda attack: str(attack.__name__),
)
async def test_healthy_callers_are_all_answered_beside_an_attack(
    field: Field, wire: Any, healthy: Any, attack: Attack, capsys: pytest.CaptureFixture[str]
) -> None:
    pid = field.stack.parts["exchange"].pid
    alone, beside, told = await healthy.beside(lambda: attack(field, wire))
    with capsys.disabled():
        ratio = beside.p99_milliseconds / alone.p99_milliseconds
        sys.stdout.write(
            f"\n{attack.__name__}: {told}; healthy callers' p99 {alone.p99_milliseconds:.0f} → "
            f"{beside.p99_milliseconds:.0f} ms, ratio {ratio:.2f}, {beside.answered} answered\n"
        )
    assert (alone.failed, beside.failed) == ([], [])
    assert field.stack.parts["exchange"].pid == pid


# --- ten thousand and a million ------------------------------------------------------------------


def golden() -> list[tuple[str, bytes]]:
    """The methods of the registry with their golden requests, as bytes."""
    found = []
    for method in pb.DESCRIPTOR.services_by_name["RegistryService"].methods:
        snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in method.name).lstrip("_")
        example = EXAMPLES / f"{snake}_request.json"
        if example.exists():
            message = Parse(example.read_text(), getattr(pb, f"{method.name}Request")())
            found.append((f"{REGISTRY}/{method.name}", message.SerializeToString()))
    return found


async def fuzz_the_proxy(
    field: Field, healthy: Any, count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    methods = golden()
    told: Counter[str] = Counter()
    numbers = iter(range(count))
    raw = field["civil-affairs"].exchange

    async def attack() -> str:
        async def attacker() -> None:
            for number in numbers:
                method, good = methods[number % len(methods)]
                payload = fuzzing.spoilt("proxy", number, [good])
                code = await code_of(raw, method, payload, ("eldex-purpose", PURPOSE))
                told[code] += 1
                assert code in DOCUMENTED, f"proxy #{number} {method}: {code}"

        await asyncio.gather(*(attacker() for _ in range(16)))
        return f"{count} spoilt messages: {dict(told)}"

    alone, beside, said = await healthy.beside(attack)
    with capsys.disabled():
        ratio = beside.p99_milliseconds / alone.p99_milliseconds
        sys.stdout.write(f"\n{said}; healthy callers' p99 ratio {ratio:.2f}\n")
    assert (sum(told.values()), alone.failed, beside.failed) == (count, [], [])


async def test_two_thousand_spoilt_messages_at_the_proxy_are_answered_as_documented(
    field: Field, healthy: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    await fuzz_the_proxy(field, healthy, 2_000, capsys)


@pytest.mark.exhaustive
@pytest.mark.timeout(14_400)
async def test_a_million_spoilt_messages_at_the_proxy_are_answered_as_documented(
    field: Field, healthy: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    await fuzz_the_proxy(field, healthy, 1_000_000, capsys)
