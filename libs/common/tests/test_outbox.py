"""What was committed is published: in order per person, at least once, by one replica at a time."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from google.type.date_pb2 import Date

from eldex.api.registry.v1.resident_events_pb2 import ResidentDeceased, ResidentMoved
from eldex.api.subsidies.v1.entitlement_events_pb2 import EntitlementEnded
from eldex.api.topics import load_topics
from eldex.common import outbox
from eldex.common.errors import Unavailable
from eldex.common.identifiers import is_key
from eldex.common.kafka import Consumer, Producer, Record
from eldex.common.mongo import MongoBackend, connect
from eldex.common.outbox import Relay, UnknownEvent, publisher, record_of
from eldex.common.store import (
    LEASES,
    OUTBOX,
    Backend,
    Bundle,
    ChangeSet,
    Document,
    GroupCommit,
    Write,
)
from eldex.common.testing.homes import death
from eldex.common.testing.memory import MemoryBackend
from eldex.local.kafka import Kafka
from eldex.local.mongod import Mongod

MakeTopic = Callable[[int], Awaitable[str]]
NOW = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)


def moved(resident: str, old: str, new: str) -> ResidentMoved:
    return ResidentMoved(
        resident_key=resident,
        from_region_code=old,
        region_code=new,
        hukou_region_code=new,
        moved_on=Date(year=2026, month=11, day=1),
    )


# --- a domain event as a document, a document as a record -----------------------------------------


def test_an_event_becomes_a_document_that_debezium_could_route_too() -> None:
    publish = publisher("511700", "registry", load_topics(), lambda event: event)
    document = publish(moved("res_1", "511702001", "511725"), 7, NOW)
    assert is_key(document.pop("_id"), "evt")
    assert ResidentMoved.FromString(document.pop("payload")).region_code == "511725"
    assert document == {
        "aggregatetype": "registry-residents",
        "aggregateid": "res_1",
        "type": "eldex.api.registry.v1.ResidentMoved",
        "timestamp": NOW,
        "sequence": 7,
        "source": "//511700/registry",
        "regions": "511702001,511725",
        "traceparent": "",
    }


def test_an_event_that_no_topic_of_the_service_carries_is_a_defect() -> None:
    publish = publisher("511700", "registry", load_topics(), lambda event: event)
    with pytest.raises(UnknownEvent, match=r"no topic of registry carries google\.type\.Date"):
        publish(Date(year=2026), 1, NOW)
    with pytest.raises(UnknownEvent, match="EntitlementEnded"):
        publish(EntitlementEnded(), 1, NOW)


def test_a_record_is_a_cloud_event_in_binary_mode() -> None:
    entry = death("registry-residents", "res_1", "evt_1", traceparent="00-aa-bb-01")
    record = record_of(entry)
    assert (record.topic, record.key) == ("registry-residents", "res_1")
    assert ResidentDeceased.FromString(record.value).resident_key == "res_1"
    assert record.headers == {
        "ce_specversion": "1.0",
        "ce_id": "evt_1",
        "ce_source": "//511700/registry",
        "ce_type": "eldex.api.registry.v1.ResidentDeceased",
        "ce_time": "2026-11-22T02:00:00.000+00:00",
        "ce_subject": "res_1",
        "ce_sequence": "1",
        "ce_regions": "511702,511702001",
        "content-type": "application/protobuf",
        "traceparent": "00-aa-bb-01",
    }


# --- the relay ------------------------------------------------------------------------------------


class Topic:
    """Everything that a topic holds, as it comes."""

    def __init__(self, kafka: Kafka, name: str) -> None:
        self.name = name
        self.records: list[Record] = []
        self._changed = asyncio.Condition()
        self._consumer = Consumer(kafka.bootstrap, f"all-of-{name}", [name], self._note)
        self._running = asyncio.create_task(self._consumer.run())

    async def _note(self, record: Record) -> None:
        self.records.append(record)
        async with self._changed:
            self._changed.notify_all()

    async def until(self, count: int) -> list[Record]:
        async with asyncio.timeout(30), self._changed:
            await self._changed.wait_for(lambda: len(self.records) >= count)
        return self.records

    async def close(self) -> None:
        self._running.cancel()
        await asyncio.wait([self._running])


@pytest.fixture
async def backend(mongod: Mongod, database: str) -> AsyncIterator[MongoBackend]:
    async with connect(mongod.uri, database) as backend:
        await backend.prepare({OUTBOX: [], LEASES: []})
        yield backend


@pytest.fixture
async def all_of(kafka: Kafka, topic: MakeTopic) -> AsyncIterator[Topic]:
    found = Topic(kafka, await topic(3))
    yield found
    await found.close()


class Replica:
    """One replica's relay, running until it is ended."""

    def __init__(self, backend: Backend, kafka: Kafka, instance: str) -> None:
        self.producer = Producer(kafka.bootstrap, instance)
        self.relay = Relay(backend, self.producer, instance)
        self.running = asyncio.create_task(self.relay.run())

    async def end(self) -> None:
        self.relay.stop()
        self.running.cancel()
        await asyncio.wait([self.running])
        self.producer.close()


async def empty(backend: Backend) -> None:
    """Wait until the outbox is empty; nothing tells of it but the outbox."""
    async with asyncio.timeout(30):
        while (await backend.backlog()).events:
            await asyncio.sleep(0.01)


def entered(*entries: Document) -> ChangeSet:
    return ChangeSet([Write(OUTBOX, entry) for entry in entries])


async def test_what_concurrent_acts_committed_is_published_in_order_per_person(
    backend: MongoBackend, kafka: Kafka, all_of: Topic
) -> None:
    group = GroupCommit(backend)
    replica = Replica(backend, kafka, "registry-0")
    group.on_commit = replica.relay.wake

    async def life(resident: str) -> None:
        for sequence in range(1, 31):
            await group.submit(entered(death(all_of.name, resident, sequence=sequence)))

    residents = [f"res_{i}" for i in range(12)]
    await asyncio.gather(*map(life, residents))
    records = await all_of.until(360)
    await empty(backend)
    await replica.end()
    told = defaultdict(list)
    for record in records:
        told[record.key].append(int(record.headers["ce_sequence"]))
    assert told == {resident: list(range(1, 31)) for resident in residents}


async def test_events_of_one_act_leave_in_the_order_in_which_they_happened(
    backend: MongoBackend, kafka: Kafka, all_of: Topic
) -> None:
    entries = [death(all_of.name, "res_1", f"evt_{9 - i}") for i in range(9)]
    await backend.commit([entered(*entries)])
    replica = Replica(backend, kafka, "registry-0")
    records = await all_of.until(9)
    await replica.end()
    assert [r.headers["ce_id"] for r in records] == [f"evt_{9 - i}" for i in range(9)]


class DiesBeforeMarking(MongoBackend):
    """The process ends between publishing and removing from the outbox."""

    async def delivered(self, bundles: Sequence[Bundle]) -> None:
        raise SystemExit(f"died with {len(bundles)} bundles published")


async def test_what_was_published_and_not_marked_is_published_again_under_the_same_id(
    backend: MongoBackend, database: str, kafka: Kafka, all_of: Topic
) -> None:
    await backend.commit([entered(*(death(all_of.name, "res_1") for _ in range(5)))])
    dying = DiesBeforeMarking(backend._client, database, backend._threads)
    producer = Producer(kafka.bootstrap, "registry-0")
    relay = Relay(dying, producer, "registry-0")
    with pytest.raises(SystemExit):
        await relay._round()
    producer.close()
    assert (await backend.backlog()).events == 5

    risen = Replica(backend, kafka, "registry-0")
    records = await all_of.until(10)
    await empty(backend)
    await risen.end()
    ids = [r.headers["ce_id"] for r in records]
    assert ids[:5] == ids[5:]
    assert len(set(ids)) == 5


async def test_one_of_two_replicas_publishes_and_the_other_takes_over_when_it_is_gone(
    backend: MongoBackend, kafka: Kafka, all_of: Topic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_LEASE_SECONDS", 1.0)
    first = Replica(backend, kafka, "registry-0")
    await backend.commit([entered(death(all_of.name, "res_1", "evt_a"))])
    await all_of.until(1)
    second = Replica(backend, kafka, "registry-1")
    await backend.commit([entered(*(death(all_of.name, "res_1") for _ in range(50)))])
    await all_of.until(51)
    (lease,) = await backend.fetch(LEASES, "_id", ["relay"])
    assert lease["owner"] == "registry-0"

    await first.end()
    await backend.commit([entered(*(death(all_of.name, "res_1") for _ in range(50)))])
    records = await all_of.until(101)
    await empty(backend)
    await second.end()
    (lease,) = await backend.fetch(LEASES, "_id", ["relay"])
    assert lease["owner"] == "registry-1"
    assert len({r.headers["ce_id"] for r in records}) == len(records) == 101


async def test_what_is_committed_while_the_broker_is_away_is_published_when_it_is_back(
    backend: MongoBackend, kafka: Kafka, all_of: Topic
) -> None:
    replica = Replica(backend, kafka, "registry-0")
    await kafka.kill()
    await backend.commit([entered(*(death(all_of.name, "res_1") for _ in range(20)))])
    replica.relay.wake()
    assert (await backend.backlog()).events == 20
    await kafka.start()
    records = await all_of.until(20)
    await empty(backend)
    await replica.end()
    assert len({r.headers["ce_id"] for r in records}) == 20


async def test_a_process_that_ends_publishes_what_is_left(
    backend: MongoBackend, kafka: Kafka, all_of: Topic
) -> None:
    await backend.commit([entered(*(death(all_of.name, "res_1") for _ in range(3)))])
    producer = Producer(kafka.bootstrap, "registry-0")
    await Relay(backend, producer, "registry-0").drain()
    assert (await backend.backlog()).events == 0
    assert len(await all_of.until(3)) == 3
    producer.close()


class Refusing:
    """A producer whose broker refuses once, and then takes everything."""

    def __init__(self) -> None:
        self.refusals = 1
        self.taken: list[Record] = []

    async def publish(self, records: Sequence[Record]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise Unavailable("Kafka")
        self.taken += records


async def test_what_the_broker_refused_stays_in_the_outbox_and_is_tried_again() -> None:
    backend, producer = MemoryBackend(), Refusing()
    await backend.prepare({OUTBOX: [], LEASES: []})
    await backend.commit([entered(death("residents", "res_1", "evt_1"))])
    relay = Relay(backend, producer, "registry-0")  # type: ignore[arg-type]
    running = asyncio.create_task(relay.run())
    await empty(backend)
    running.cancel()
    assert [r.headers["ce_id"] for r in producer.taken] == ["evt_1"]


def test_the_topics_of_the_contract_say_who_may_write_them() -> None:
    topics = load_topics()
    one = topics["registry-residents"]
    foreign = {one.name: replace(one, producer="medical")}
    publish = publisher("511700", "registry", foreign, lambda event: event)
    with pytest.raises(UnknownEvent):
        publish(moved("res_1", "511702", "511725"), 1, NOW)
