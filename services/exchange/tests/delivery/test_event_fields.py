"""What of an event reaches a partner: the granted fields at every depth, by stream and by webhook, and no other.

Every type of event of the contract is told once with values that are nowhere else. What is due is
looked up in plain rows of granted paths and compared as JSON.
"""

from __future__ import annotations

import random
import uuid
from base64 import b64decode
from collections.abc import Iterator
from contextlib import aclosing
from typing import Any

import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.json_format import MessageToDict

from eldex.api.exchange.v1 import delivery_pb2
from eldex.api.exchange.v1 import delivery_service_pb2 as pb
from eldex.api.exchange.v1 import exchange_service_pb2 as streams_pb
from eldex.api.topics import load_topics
from eldex.common.clock import system_clock
from eldex.common.contract import load_contract
from eldex.common.errors import InvalidRequest
from eldex.common.rpc.call import Call
from eldex.exchange.domain.agreements import ALL, EventGrant
from eldex.exchange.domain.delivery.attributes import GRANTED, FilterNotGranted
from eldex.exchange.rpc.masking import EventFields
from eldex.exchange.rpc.service import ExchangeService

SEED = 20261125


def types() -> list[str]:
    load_contract()
    return sorted({name for topic in load_topics().values() for name in topic.events})


def kind_of(name: str) -> Any:
    return descriptor_pool.Default().FindMessageTypeByName(name)


def paths_of(kind: Any, depth: int = 3) -> Iterator[str]:
    for field in kind.fields:
        yield field.name
        inner = field.message_type
        if inner is not None and depth and inner.file.package.startswith("eldex."):
            yield from (f"{field.name}.{below}" for below in paths_of(inner, depth - 1))


class Filler:
    """Fills messages with values that are nowhere else."""

    def __init__(self) -> None:
        self.count = 0

    def message(self, kind: Any, depth: int = 4) -> Any:
        made = message_factory.GetMessageClass(kind)()
        for field in kind.fields:
            choice = field.containing_oneof
            if choice is not None and made.WhichOneof(choice.name):
                continue
            if field.message_type is not None and (
                field.message_type.GetOptions().map_entry or not depth
            ):
                continue
            values = [self.value(field, depth) for _ in range(2 if field.is_repeated else 1)]
            if field.is_repeated:
                getattr(made, field.name).extend(values)
            elif field.message_type is not None:
                getattr(made, field.name).CopyFrom(values[0])
            else:
                setattr(made, field.name, values[0])
        return made

    def value(self, field: Any, depth: int) -> Any:
        self.count += 1
        if field.message_type is not None:
            return self.message(field.message_type, depth - 1)
        if field.enum_type is not None:
            return field.enum_type.values[-1].number
        by_type: dict[int, Any] = {
            field.TYPE_STRING: f"secret-{self.count}-value",
            field.TYPE_BYTES: f"secret-{self.count}-value".encode(),
            field.TYPE_BOOL: True,
            field.TYPE_DOUBLE: float(self.count),
        }
        return by_type.get(field.type, 1 + self.count % 9_000)


def cells(tree: Any, path: str = "", place: str = "") -> Iterator[tuple[str, str, Any]]:
    """Of a message as JSON: the path of names, the place with its numbers, the value."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            yield from cells(value, f"{path}.{name}".strip("."), f"{place}.{name}")
    elif isinstance(tree, list):
        for number, value in enumerate(tree):
            yield from cells(value, path, f"{place}[{number}]")
    else:
        yield path, place, tree


def shown(name: str, payload: bytes) -> dict[tuple[str, str], Any]:
    message = message_factory.GetMessageClass(kind_of(name)).FromString(payload)
    tree = MessageToDict(message, preserving_proto_field_name=True)
    return {(path, place): value for path, place, value in cells(tree)}


def is_granted(path: str, granted: tuple[str, ...]) -> bool:
    return ALL in granted or any(path == each or path.startswith(f"{each}.") for each in granted)


def drawn(pick: random.Random) -> dict[str, tuple[str, ...]]:
    rows = {}
    for name in types():
        paths = list(paths_of(kind_of(name)))
        chance = pick.random()
        some = tuple(pick.sample(paths, pick.randint(0, min(4, len(paths)))))
        rows[name] = (ALL,) if chance < 0.1 else () if chance < 0.2 else some
    return rows


async def test_no_field_that_is_not_granted_leaves_by_stream_or_webhook(
    bus: Any, receiver: Any
) -> None:
    pick = random.Random(SEED)
    checked = leaked = given = rounds = received = 0
    payloads: list[tuple[str, bytes]] = []
    for rounds in range(1, 6):
        rows = drawn(pick)
        await bus.agree(event_grants=[EventGrant(*row) for row in rows.items()])
        filler = Filler()
        told = {name: filler.message(kind_of(name)).SerializeToString() for name in rows}
        if rounds == 1:
            await bus.subscribe(receiver.url)
        start = bus.feed.newest
        for name, payload in told.items():
            await bus.tell(kind=name, payload=payload)
        received += len(told)
        got = await receiver.have(received)
        by_webhook = [each.event for each in got[-len(told) :]]
        payloads = [(each["type"], b64decode(each["data_base64"])) for each in by_webhook]
        no_log: Any = None
        service = ExchangeService(
            bus.work,
            bus.agreements,
            bus.feed,
            no_log,
            system_clock,
            bus.dispatch,
            EventFields(),
            bus.evidence,
            bus.roles,
        )
        request = streams_pb.SubscribeRequest(subscription_name="s", after_cursor=start)
        stream = service.subscribe(request, bus.call())
        by_stream: list[Any] = []
        async with aclosing(stream):  # type: ignore[type-var]
            while len(by_stream) < len(told):
                by_stream += (await anext(stream)).events
        payloads += [(each.event_type, each.payload) for each in by_stream]
        assert len(payloads) == 2 * len(told)
        for name, payload in payloads:
            full = shown(name, told[name])
            due = {cell: value for cell, value in full.items() if is_granted(cell[0], rows[name])}
            came = shown(name, payload)
            checked += len(full)
            given += len(due)
            leaked += len(came.keys() - due.keys())
            assert came == due, name
            secret = [v for c, v in full.items() if c not in due and str(v).startswith("secret-")]
            assert not any(str(value).encode() in payload for value in secret), name
    print(  # noqa: T201 - the numbers are what is asked for
        f"\nevents: {checked} cells of {len(types())} types in {rounds} rounds by stream and webhook, "
        f"{given} given, {leaked} leaked"
    )
    assert checked > 5_000
    assert given > 500
    # What is proven is what was shown.
    proven = {fact.event.payload for fact in bus.evidence.facts}
    assert {payload for _, payload in payloads} <= proven
    assert {e.payload for fact in bus.evidence.streams for e in fact.events} == proven


async def test_a_filter_reads_no_field_of_any_event(bus: Any) -> None:
    names = {
        path.rpartition(".")[2].replace("_", "") for t in types() for path in paths_of(kind_of(t))
    }
    call = Call(
        "/eldex.api.exchange.v1.DeliveryService/CreateSubscription",
        bus.call().caller,
        system_clock(),
    )
    refused = 0
    for name in sorted(names - GRANTED):
        for expression in (f"EXISTS {name}", f"{name} = 'x'"):
            if not name.isalnum() or name[0].isdigit():
                continue
            with pytest.raises(FilterNotGranted):
                await bus.service.create_subscription(
                    pb.CreateSubscriptionRequest(
                        request_id=str(uuid.uuid4()),
                        subscription_name="curious",
                        kind=delivery_pb2.DELIVERY_KIND_STREAM,
                        filter=delivery_pb2.EventFilter(expression=expression),
                    ),
                    call,
                )
            refused += 1
    assert refused > 100


@pytest.mark.parametrize(
    "grants",
    [
        [EventGrant("eldex.api.registry.v1.ResidentDied", ("nonsense",))],
        [EventGrant("eldex.api.registry.v1.ResidentDied"), EventGrant("eldex.api.x.v1.Y")],
        [EventGrant("eldex.api.registry.v1.ResidentDied")] * 2,
    ],
)
async def test_a_grant_of_what_is_not_there_is_no_agreement(bus: Any, grants: Any) -> None:
    load_contract()
    with pytest.raises(InvalidRequest):
        await bus.agree(event_grants=grants)
