"""The story of two cities: a question and events across the border, a cut, and a proof for either side.

City A's department asks city B's registry through both exchanges; each city's people follow the other's
events as its member; B's exchange is away for a while and nothing is lost; either exchange gets from the
other the record of what they exchanged, and both records are of the same messages. Each city has
co-signed the head of the other's log that covers it: neither can tell another story later.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import grpc
from google.protobuf.message import Message

from eldex.api.exchange.v1 import evidence_service_pb2 as evidence_pb
from eldex.api.registry.v1 import registry_service_pb2 as registry_pb
from eldex.api.registry.v1 import resident_events_pb2 as events_pb
from eldex.api.registry.v1 import resident_pb2
from eldex.common.contract import load_contract
from eldex.common.rpc.client import channel
from eldex.evidence.policy import Policy, Trusted
from eldex.evidence.receipts import Bundle, Receipt
from eldex.evidence.records import Record, message_digest
from eldex.exchange.domain.message_log import NoCosignature
from eldex.local import acts
from eldex.local.field import Department, Refused, Told, Watcher
from eldex.local.narrating import CIVIL_AFFAIRS, POLICE, Narrator, Words
from eldex.local.stack import Stack

FIND = "RegistryService/FindResident"
_PURPOSE = "cross-city-settlement"
_BACK_WITHIN_SECONDS = 90.0
_ASKED_AGAIN_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Side:
    """One of two cities: its departments, who follows its events abroad, what its partner may ask it."""

    stack: Stack
    police: Department
    civil_affairs: Department
    followed: Watcher
    """The other city follows this one's events, as its member."""
    partner: Department
    """The other city's exchange, as this one's member."""

    @property
    def city(self) -> str:
        """Its division code."""
        return self.stack.settings.city


@asynccontextmanager
async def side_of(stack: Stack, other: Stack) -> AsyncIterator[Side]:
    """The people of a city that is up, beside another."""
    load_contract()
    opened = []
    mine, theirs = stack.settings.city, other.settings.city

    def member(path: str, purpose: str, tls: Any = None) -> Department:
        opened.append(channel(stack.address("exchange"), tls or stack.identity(path)))
        return Department(opened[-1], path, purpose)

    abroad = member(f"member/partner-{theirs}/elder-care", _PURPOSE)
    watcher = Watcher(abroad, "what-happens-there")
    watcher.start(since=datetime.now(UTC))
    try:
        yield Side(
            stack,
            member("member/police/household-registration", "residence-registration"),
            member("member/civil-affairs/elder-care", _PURPOSE),
            watcher,
            member(f"member/partner-{theirs}/exchange", _PURPOSE, other.neighbour_identity(mine)),
        )
    finally:
        await watcher.stop()
        for each in opened:
            await each.close()


@dataclass(frozen=True, slots=True)
class Exchanged:
    """A call from one city to the other, with what each exchange has logged of it."""

    told: Told
    request: bytes
    reply: bytes
    records: tuple[Record, Record]
    """Of the caller's city, and of the other."""
    heads: tuple[Trusted, Trusted]
    """The heads of their logs, each co-signed by the other city."""


async def register(side: Side, number: str, name: str, region: str, hukou: str) -> Told:
    """A city's police register somebody; asked again while its exchange is away."""
    request = registry_pb.RegisterResidentRequest(
        request_id=str(uuid.uuid4()),
        document=_paper(number),
        name=name,
        region_code=region,
        hukou_region_code=hukou,
        resident_since=acts.on("2020-01-01"),
    )
    return await until_answered(
        lambda: side.police.ask("RegistryService/RegisterResident", request)
    )


async def until_answered(ask: Callable[[], Awaitable[Told]]) -> Told:
    """Ask, and the same again while an exchange is away: safe, for the request keeps its id."""
    async with asyncio.timeout(_BACK_WITHIN_SECONDS):
        while True:
            try:
                return await ask()
            except Refused as refused:
                if refused.code is not grpc.StatusCode.UNAVAILABLE:
                    raise
            await asyncio.sleep(0.2)


async def ask_abroad(home: Side, away: Side, number: str) -> Told:
    """A's civil affairs ask B's registry about somebody, by number."""
    request = registry_pb.FindResidentRequest(document=_paper(number))
    return await home.civil_affairs.ask(FIND, request, city=away.city)


async def prove(home: Side, away: Side, number: str, told: Told) -> Exchanged:
    """Each exchange hands out the record of a call with its proof; raises `AssertionError` if they differ.

    The caller's city redeems the receipt of the other exchange as that one's member. Each bundle is
    verified with the key of the log that it is from, and must be co-signed by the other city.
    """
    request = registry_pb.FindResidentRequest(document=_paper(number)).SerializeToString()
    reply = told.reply.SerializeToString()
    records, heads = [], []
    for side, other, asker, text in (
        (home, away, home.civil_affairs, told.receipt),
        (away, home, away.partner, told.partner_receipt),
    ):
        receipt = Receipt.parse(text)
        if receipt.origin != f"{side.city}/exchange":
            raise AssertionError(f"the receipt is of {receipt.origin}, not of {side.city}")
        bundle = await _co_signed_bundle(asker, text)
        heads.append(bundle.verify(await _trusting(side, co_signed_by=other)))
        record = Record.parse(bundle.record)
        if message_digest(receipt.salt, request) != record.request_digest:
            raise AssertionError(f"the log of {side.city} holds another request")
        if message_digest(receipt.salt, reply) != record.reply_digest:
            raise AssertionError(f"the log of {side.city} holds another reply")
        records.append(record)
    ours, theirs = records
    if not ours.trace_id == theirs.trace_id == told.trace_id:
        raise AssertionError("the two exchanges logged different traces")
    return Exchanged(told, request, reply, (ours, theirs), (heads[0], heads[1]))


async def _trusting(side: Side, co_signed_by: Side) -> Policy:
    """Whom an auditor of a city's log trusts: its key, and the other city's as the witness it must have.

    Each key is told by the exchange that it belongs to.
    """
    log, witness = [
        (await each.police.ask("EvidenceService/GetLogKey", evidence_pb.GetLogKeyRequest())).reply
        for each in (side, co_signed_by)
    ]
    name = co_signed_by.city
    return Policy.parse(
        f"log {log.verifier_key}\nwitness {name} {witness.witness_verifier_key}\nquorum {name}\n"
    )


async def _co_signed_bundle(asker: Department, receipt: str) -> Bundle:
    """What a receipt is redeemed for, once a partner has co-signed a head that covers the record."""
    index, deadline = Receipt.parse(receipt).index, time.monotonic() + _BACK_WITHIN_SECONDS
    while (covered := await _co_signed_size(asker)) <= index:
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"not seen within {_BACK_WITHIN_SECONDS:.0f} s: a partner's signature under record {index}; "
                f"it has co-signed {covered} records"
            )
        await asyncio.sleep(_ASKED_AGAIN_SECONDS)
    request = evidence_pb.GetBundleRequest(receipt=receipt, cosigned=True)
    told = await asker.ask("EvidenceService/GetBundle", request)
    return Bundle.parse(told.reply.bundle)


async def _co_signed_size(asker: Department) -> int:
    """How many records the newest head covers that a partner has co-signed; 0: none has yet."""
    request = evidence_pb.GetCheckpointRequest(cosigned=True)
    try:
        told = await asker.ask("EvidenceService/GetCheckpoint", request)
    except Refused as refused:
        if refused.reason != NoCosignature.reason:
            raise
        return 0
    return int(told.reply.log_size)


async def followed(side: Side, kind: type[Message], key: str) -> Any:
    """The other city sees an event of this one."""
    return await side.followed.until(kind, resident_key=key, timeout_seconds=_BACK_WITHIN_SECONDS)


async def two_cities(
    home: Side,
    away: Side,
    tell: Narrator,
    cut: Callable[[], Awaitable[None]],
    mend: Callable[[], Awaitable[None]],
) -> str:
    """Story 5; the trace of the call. `cut` takes B's exchange away, `mend` waits until it is back."""
    a, b = home.city, away.city
    tell.begin(
        Words(
            "两市互联互通，跨市可查可证，互为见证",
            "Two cities ask each other, and each is the other's witness",
        )
    )
    number, entered = await acts.with_new_number(
        "1940-05-17", lambda number: register(away, number, "刘德福", "500101", "511702")
    )
    key = entered.reply.resident.resident_key
    tell.act(
        _of(b, POLICE),
        Words(
            f"登记刘德福，户籍在 {a[:4]}02", f"register 刘德福, household registration in {a[:4]}02"
        ),
        entered,
    )
    began = time.perf_counter()
    seen = await followed(away, events_pb.ResidentRegistered, key)
    tell.effect(
        Words(a, a), Words(f"经在 {b} 的订阅获知", f"told by its subscription in {b}"), seen, began
    )
    told = await ask_abroad(home, away, number)
    if told.reply.resident.resident_key != key or told.reply.resident.name:
        raise AssertionError("the other city's agreement grants the key, and no name")
    tell.act(
        _of(a, CIVIL_AFFAIRS),
        Words(f"向 {b} 居民登记查询此人", f"ask the registry of {b} about him"),
        told,
    )
    proof = await prove(home, away, number, told)
    tell.remark(
        Words(
            f"两次授权决定：{a} 依据 {proof.records[0].agreement_key}，"
            f"{b} 依据 {proof.records[1].agreement_key}；同一链路",
            f"two decisions: {proof.records[0].agreement_key} in {a}, "
            f"{proof.records[1].agreement_key} in {b}; one trace",
        )
    )
    tell.remark(
        Words(
            "两张回执分别在两个平台兑换：存证证明成立，摘要为同一报文",
            "two receipts, redeemed at both exchanges: proofs hold, digests are of the same messages",
        )
    )
    for log, witness, head in ((a, b, proof.heads[0]), (b, a, proof.heads[1])):
        size, at = head.checkpoint.size, _clock_time(head.witnesses[witness])
        tell.remark(
            Words(
                f"{witness} 于 {at} 联署了 {log} 日志前 {size} 条记录的检查点，eldex.evidence 验证通过",
                f"{witness} co-signed the checkpoint of {log}'s first {size} records at {at}: "
                "verified by eldex.evidence",
            )
        )
    await cut()
    tell.remark(Words(f"{b} 的交换平台中断", f"the exchange of {b} is cut off"))
    try:
        await ask_abroad(home, away, number)
    except Refused as refused:
        answer = refused.reason
        tell.remark(
            Words(
                f"调用得到 {answer}：可以重试", f"a call is answered {answer}: it may be repeated"
            )
        )
    else:
        raise AssertionError("a city that is cut off answered")
    began = time.perf_counter()
    _, moved = await acts.with_new_number(
        "1943-09-02", lambda number: register(home, number, "何素芬", "511702001", "500101")
    )
    tell.act(
        _of(a, POLICE),
        Words("登记何素芬，户籍在 500101", "register 何素芬, household registration in 500101"),
        moved,
    )
    waiting = asyncio.create_task(
        acts.with_new_number(
            "1939-12-01", lambda number: register(away, number, "邓国强", "500101", "511702")
        )
    )
    await mend()
    _, late = await waiting
    tell.act(
        _of(b, POLICE),
        Words(
            "登记邓国强，重试至平台恢复为止",
            "register 邓国强, asked again until the exchange is back",
        ),
        late,
    )
    for side, sees, event in ((away, home, late), (home, away, moved)):
        seen = await followed(side, events_pb.ResidentRegistered, event.reply.resident.resident_key)
        tell.effect(
            Words(sees.city, sees.city),
            Words(f"未漏收 {side.city} 的任何事件", f"missed nothing of {side.city}"),
            seen,
            began,
        )
    again = await until_answered(lambda: ask_abroad(home, away, number))
    await prove(home, away, number, again)
    for side in (home, away):
        await side.followed.acknowledge()
    tell.act(
        _of(a, CIVIL_AFFAIRS), Words("再次查询，再次查证", "ask again, and prove it again"), again
    )
    return told.trace_id


def _of(city: str, department: Words) -> Words:
    return Words(f"{city} {department.zh}", f"{department.en} of {city}")


def _clock_time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%H:%M:%S")


def _paper(number: str) -> resident_pb2.PersonDocument:
    return resident_pb2.PersonDocument(
        kind=resident_pb2.DOCUMENT_KIND_RESIDENT_IDENTITY_CARD, number=number
    )
