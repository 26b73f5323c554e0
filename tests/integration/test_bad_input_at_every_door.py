"""Bad input at every door: made from the contract, not by hand.

Every rpc of every department gets its golden request with one field at a time missing, oversized,
out of range, of an impossible day, contradicting another, stale, or quoting an identity number. The
answer is always one of the documented errors, never ours to blame; what is refused leaves no mark in
any database; and the number that was put everywhere is nowhere afterwards: not in a log, an event, a
span, an error, a database, a topic or the message log.
"""

from __future__ import annotations

import asyncio
import copy
import importlib
import itertools
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.json_format import Parse
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2
from google.type.date_pb2 import Date

from eldex.common import mongo
from eldex.common.rpc.client import channel
from eldex.common.rpc.trunk import Trunk, failure_of
from eldex.local.field import Field
from eldex.local.stack import SERVICES, Stack

EXAMPLES = Path(__file__).parents[2] / "proto" / "examples"
DEPARTMENTS = tuple(name for name in SERVICES if name not in {"console", "exchange"})
OF_THE_EXCHANGE = ("access", "catalogue", "delivery", "evidence", "exchange", "membership")
"""The exchange's own services; it is asked as members ask it, not on a trunk."""
NUMBER = "511790194912310023"  # fictional: no such code was ever given out
QUOTING, STALE = "an identity number", "of a version that never was"
DOCUMENTED = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.ABORTED,
}
IMPOSSIBLE_DAYS = (
    Date(year=2026, month=2, day=30),
    Date(year=2026),
    Date(year=9999, month=12, day=31),
    Date(year=-5, month=1, day=1),
)


@dataclass(frozen=True)
class Bad:
    """One bad request."""

    department: str
    method: str
    what: str
    payload: bytes


def methods(department: str) -> Iterator[Any]:
    services = OF_THE_EXCHANGE if department == "exchange" else (department,)
    for service in services:
        importlib.import_module(f"eldex.api.{department}.v1.{service}_service_pb2")
        name = f"eldex.api.{department}.v1.{service.capitalize()}Service"
        yield from descriptor_pool.Default().FindServiceByName(name).methods


def golden(department: str, method: Any) -> Message:
    message = message_factory.GetMessageClass(method.input_type)()
    snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in method.name).lstrip("_")
    example = EXAMPLES / department / f"{snake}_request.json"
    return Parse(example.read_text(), message) if example.exists() else message


def broken(message: Message, path: str = "") -> Iterator[tuple[str, Message]]:
    """The message with one thing wrong at a time, at any depth."""
    yield from _contradicting(message, path)
    for field in message.DESCRIPTOR.fields:
        name = f"{path}{field.name}"
        if field.is_repeated:
            yield f"{name} × 3000", _many(message, field)
            yield from _in_a_list(message, field, name)
            continue
        yield f"{name} missing", _without(message, field.name)
        for what, value in _wrong_values(field):
            mutant = copy.deepcopy(message)
            if field.message_type:
                getattr(mutant, field.name).CopyFrom(value)
            else:
                setattr(mutant, field.name, value)
            yield f"{name} {what}", mutant
        if field.message_type and message.HasField(field.name):
            for what, inner in broken(getattr(message, field.name), f"{name}."):
                mutant = copy.deepcopy(message)
                getattr(mutant, field.name).CopyFrom(inner)
                yield what, mutant
        elif field.message_type and field.message_type.file.package.startswith("eldex."):
            for what, inner in _quoting(field.message_type, f"{name}."):
                mutant = copy.deepcopy(message)
                getattr(mutant, field.name).CopyFrom(inner)
                yield what, mutant


def _quoting(kind: Any, path: str) -> Iterator[tuple[str, Message]]:
    """A message of a kind that has nothing but an identity number in one of its texts."""
    for field in kind.fields:
        if field.type == field.TYPE_STRING and not field.is_repeated:
            made = message_factory.GetMessageClass(kind)()
            setattr(made, field.name, NUMBER)
            yield f"{path}{field.name} {QUOTING}", made


def _in_a_list(message: Message, field: Any, name: str) -> Iterator[tuple[str, Message]]:
    there = getattr(message, field.name)
    if field.type == field.TYPE_STRING:
        mutant = copy.deepcopy(message)
        getattr(mutant, field.name).append(NUMBER)
        yield f"{name}[{len(there)}] {QUOTING}", mutant
    elif field.message_type and not field.message_type.GetOptions().map_entry:
        inner = broken(there[0], f"{name}[0].") if there else _quoting(field.message_type, name)
        for what, part in inner:
            mutant = copy.deepcopy(message)
            values: Any = getattr(mutant, field.name)
            if not there:
                values.add()
            values[0].CopyFrom(part)
            yield what, mutant


def _contradicting(message: Message, path: str) -> Iterator[tuple[str, Message]]:
    """Each day before the one that it should follow; and what is based on a version that never was."""
    days = [f.name for f in message.DESCRIPTOR.fields if _is_day(f) and message.HasField(f.name)]
    for first, second in itertools.pairwise(days):
        mutant = copy.deepcopy(message)
        early, late = getattr(mutant, first), getattr(mutant, second)
        late.CopyFrom(early)
        late.year -= 1
        yield f"{path}{second} a year before {first}", mutant
    if "etag" in message.DESCRIPTOR.fields_by_name:
        mutant = copy.deepcopy(message)
        mutant.etag = "v999999"  # type: ignore[attr-defined]
        yield f"{path}etag {STALE}", mutant


def _is_day(field: Any) -> bool:
    kind = field.message_type
    return kind is not None and kind.full_name == "google.type.Date" and not field.is_repeated


def _wrong_values(field: Any) -> Iterator[tuple[str, Any]]:
    if field.enum_type:
        yield "not defined", 999
        yield "unspecified", 0
    elif field.message_type:
        if _is_day(field):
            for day in IMPOSSIBLE_DAYS:
                yield f"is {day.year}-{day.month}-{day.day}", day
    elif field.type == field.TYPE_STRING:
        yield "oversized", "长" * 5_000
        yield QUOTING, NUMBER
        yield "a NUL and markup", "\x00<script>' or 1=1 --"
    elif field.type == field.TYPE_BYTES:
        yield "oversized", b"x" * 100_000
    elif field.cpp_type in {field.CPPTYPE_INT32, field.CPPTYPE_INT64}:
        yield "negative", -1
        yield "huge", 2**31 - 1 if field.cpp_type == field.CPPTYPE_INT32 else 2**62


def _without(message: Message, name: str) -> Message:
    mutant = copy.deepcopy(message)
    mutant.ClearField(name)
    return mutant


def _many(message: Message, field: Any) -> Message:
    mutant = copy.deepcopy(message)
    values = getattr(mutant, field.name)
    for _ in range(3_000):
        if field.message_type:
            values.add()
        else:
            values.append({field.TYPE_STRING: "x", field.TYPE_BYTES: b"x"}.get(field.type, 1))
    return mutant


def all_bad(departments: Sequence[str] = DEPARTMENTS) -> list[Bad]:
    found = []
    for department in departments:
        for method in methods(department):
            path = f"/{method.containing_service.full_name}/{method.name}"
            request = golden(department, method)
            for what, mutant in broken(request):
                found.append(Bad(department, path, what, mutant.SerializeToString()))
            found.append(Bad(department, path, "not a message", b"\xff\xff\xff\xff"))
            found.append(Bad(department, path, "cut short", request.SerializeToString()[:-1]))
    return found


class Doors:
    """Every department's trunk, entered as the exchange."""

    def __init__(self, stack: Stack) -> None:
        identity = stack.identity("service/exchange")
        self._channels = {d: channel(stack.address(d), identity) for d in DEPARTMENTS}
        self._trunks = {d: Trunk(opened) for d, opened in self._channels.items()}

    async def try_all(
        self, requests: list[Bad], trace_ids: Sequence[str] = ()
    ) -> list[tuple[Bad, grpc.StatusCode, bytes]]:
        """What each was answered; each in a trace of its own, if there are ids for them."""
        limit = asyncio.Semaphore(64)

        async def one(bad: Bad, trace_id: str) -> tuple[Bad, grpc.StatusCode, bytes]:
            metadata = {"traceparent": f"00-{trace_id}-{'1' * 16}-01"} if trace_id else {}
            async with limit:
                trunk = self._trunks[bad.department]
                reply = await trunk.call(bad.method, bad.payload, metadata, timeout_seconds=30)
            failed = failure_of(reply)
            if failed is None:
                return bad, grpc.StatusCode.OK, b""
            # The details hold the message too (google.rpc.Status).
            return bad, failed.code, failed.details

        traced = zip(requests, trace_ids or [""] * len(requests), strict=True)
        return await asyncio.gather(*(one(bad, trace_id) for bad, trace_id in traced))

    async def close(self) -> None:
        for trunk in self._trunks.values():
            await trunk.close()
        for opened in self._channels.values():
            await opened.close()


async def fingerprints(stack: Stack) -> dict[str, dict[str, str]]:
    """The hash of every collection of every department, but for what keeps time by itself."""
    prints = {}
    for department in DEPARTMENTS:
        name = f"eldex_{stack.settings.city}_{department}"
        async with mongo.connect(stack.mongod.uri, name) as backend:
            hashes = (await backend.ask(lambda database: database.command("dbHash")))["collections"]
            prints[department] = {k: v for k, v in hashes.items() if k != "leases"}
    return prints


@pytest.mark.timeout(300)
async def test_bad_input_gets_a_documented_error_and_leaves_nothing_behind(field: Field) -> None:
    doors = Doors(field.stack)
    try:
        requests = all_bad()
        answers = await doors.try_all(requests)
        ours = [(b.method, b.what, code) for b, code, _ in answers if code not in DOCUMENTED]
        assert not ours, f"{len(ours)} of {len(requests)}: {ours[:20]}"

        # What is malformed stays so; "not found" may be found once a neighbour has been entered.
        refused = [bad for bad, code, _ in answers if code is grpc.StatusCode.INVALID_ARGUMENT]
        assert len(refused) > len(requests) // 3
        before = await fingerprints(field.stack)
        again = await doors.try_all(refused)
        after = await fingerprints(field.stack)
        accepted = [b for b, code, _ in again if code is not grpc.StatusCode.INVALID_ARGUMENT]
        assert not accepted
        assert after == before
    finally:
        await doors.close()
    told = Counter(code.name for _, code, _ in answers)
    print(f"\n{len(requests)} bad requests: {dict(told)}")  # noqa: T201 - the figure of the run


@pytest.mark.timeout(300)
async def test_bad_input_to_the_exchange_itself_gets_a_documented_error(field: Field) -> None:
    """As a member sends it; what is the operators' alone is refused by its field rules or its role."""
    requests, limit = all_bad(["exchange"]), asyncio.Semaphore(32)
    raw = field["finance"].exchange
    metadata = (("eldex-purpose", "subsidy-payment"),)

    async def one(bad: Bad) -> tuple[Bad, grpc.StatusCode, str]:
        call: Any = raw.unary_unary(bad.method)
        async with limit:
            try:
                await call(bad.payload, metadata=metadata, timeout=30)
            except grpc.aio.AioRpcError as error:
                return bad, error.code(), f"{error.details()}{error.trailing_metadata()}"
        return bad, grpc.StatusCode.OK, ""

    answers = await asyncio.gather(*map(one, requests))
    allowed = DOCUMENTED | {grpc.StatusCode.PERMISSION_DENIED}
    ours = [(b.method, b.what, code) for b, code, _ in answers if code not in allowed]
    assert not ours, f"{len(ours)} of {len(requests)}: {ours[:20]}"
    assert [bad for bad, _, said in answers if NUMBER in said] == []
    told = Counter(code.name for _, code, _ in answers)
    assert told["INVALID_ARGUMENT"] > len(requests) // 3
    assert NUMBER not in (field.stack.logs / "exchange.log").read_text("utf-8")
    print(f"\n{len(requests)} bad requests to the exchange itself: {dict(told)}")  # noqa: T201


async def test_a_broken_field_rule_names_the_field_in_the_callers_language(field: Field) -> None:
    doors = Doors(field.stack)
    try:
        missing = [b for b in all_bad() if b.what == "request_id missing"]
        answers = await doors.try_all(missing)
    finally:
        await doors.close()
    assert len(missing) > 50
    for bad, code, details in answers:
        assert code is grpc.StatusCode.INVALID_ARGUMENT, bad
        status = status_pb2.Status.FromString(details)
        request = error_details_pb2.BadRequest()
        assert any(detail.Unpack(request) for detail in status.details)
        assert "request_id" in [v.field for v in request.field_violations], bad


def in_topics(bootstrap: str) -> Iterator[tuple[str, bytes]]:
    """Every record of every topic, as one text of bytes."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"reader-{uuid.uuid4().hex}",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    topics = consumer.list_topics(timeout=10).topics
    places = [
        TopicPartition(topic.topic, partition, OFFSET_BEGINNING)
        for topic in topics.values()
        for partition in topic.partitions
        if not topic.topic.startswith("__")
    ]
    consumer.assign(places)
    left = len(places)
    while left:
        for message in consumer.consume(500, timeout=1.0):
            error = message.error()
            if error is None:
                headers = repr(message.headers()).encode()
                record = (message.key() or b"") + (message.value() or b"") + headers
                yield str(message.topic()), record
            else:
                assert error.code() == KafkaError._PARTITION_EOF, error
                left -= 1
    consumer.close()


async def test_the_identity_number_that_was_put_everywhere_is_nowhere(
    field: Field, traced: Callable[[set[str]], Awaitable[None]]
) -> None:
    doors = Doors(field.stack)
    try:
        quoting = [b for b in all_bad() if b.what.endswith(QUOTING)]
        trace_ids = [uuid.uuid4().hex for _ in quoting]
        answers = await doors.try_all(quoting, trace_ids)
    finally:
        await doors.close()
    assert len(quoting) > 500
    # Where it belongs it is sealed; wherever else it stands, the door refuses it.
    passed = [
        (bad.method, bad.what)
        for bad, code, _ in answers
        if code is not grpc.StatusCode.INVALID_ARGUMENT
        and not bad.what.startswith("document.number ")
    ]
    assert passed == []
    number = NUMBER.encode()
    assert [bad for bad, _, said in answers if number in said] == []
    for seen in field.watcher.seen:
        assert number not in seen.delivered.SerializeToString()
    written = [*field.stack.logs.glob("*.log"), *field.stack.settings.root.rglob("*.segment")]
    assert {path.suffix for path in written} == {".log", ".segment"}
    for path in written:
        assert number not in path.read_bytes(), path.name
    records = await asyncio.to_thread(lambda: list(in_topics(field.stack.kafka.bootstrap)))
    assert "registry-residents" in {topic for topic, _ in records}
    assert [topic for topic, record in records if number in record] == []
    await traced(set(trace_ids))
    for service in SERVICES:
        name = f"eldex_{field.stack.settings.city}_{service}"
        async with mongo.connect(field.stack.mongod.uri, name) as backend:
            for collection in await backend.ask(lambda database: database.list_collection_names()):
                for document in await backend.query(collection, {}):
                    assert NUMBER not in str(document), (service, collection)
