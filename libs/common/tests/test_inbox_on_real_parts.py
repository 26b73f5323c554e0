"""The reading half of a service on a real broker and a real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from eldex.api.registry.v1.resident_events_pb2 import ResidentDeceased
from eldex.common.clock import system_clock
from eldex.common.inbox import Inbox
from eldex.common.kafka import Consumer, Producer, Record
from eldex.common.mongo import connect
from eldex.common.outbox import Relay, record_of
from eldex.common.store import DEAD_LETTERS, UnitOfWork, collections_of
from eldex.common.testing.homes import Homes, death, fresh, home_of, move_out, opening, publish
from eldex.local.kafka import Kafka
from eldex.local.mongod import Mongod

MakeTopic = Callable[[int], Awaitable[str]]


async def effects(work: UnitOfWork[Homes], resident: str) -> list[str]:
    return (await home_of(work, f"home-of-{resident}")).guests


class Department:
    """A service's reading half on the real parts."""

    def __init__(self, kafka: Kafka, topic: str, group: str, work: UnitOfWork[Homes]) -> None:
        self.work = work
        self.inbox = Inbox(group, {ResidentDeceased: move_out}, work)
        self.consumer = Consumer(kafka.bootstrap, group, [topic], self.inbox.apply)
        self._running = asyncio.create_task(self.consumer.run())

    async def end(self) -> None:
        self._running.cancel()
        await asyncio.wait([self._running])

    async def until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        """Wait until something holds in the database; nothing tells of it but the database."""
        async with asyncio.timeout(30):
            while not await holds():
                await asyncio.sleep(0.02)


@pytest.fixture
async def real_work(mongod: Mongod, database: str) -> AsyncIterator[UnitOfWork[Homes]]:
    async with connect(mongod.uri, database) as backend:
        await backend.prepare(collections_of([Homes]))
        yield UnitOfWork(backend, Homes, publish, system_clock)


@pytest.fixture
def producer(kafka: Kafka, unique: str) -> Iterator[Producer]:
    made = Producer(kafka.bootstrap, unique)
    yield made
    made.close()


async def test_events_published_twice_by_a_crash_have_one_effect_each(
    kafka: Kafka,
    topic: MakeTopic,
    producer: Producer,
    unique: str,
    real_work: UnitOfWork[Homes],
) -> None:
    name = await topic(2)
    residents = [f"res_{i}" for i in range(6)]
    for resident in residents:
        await real_work.write(fresh(), opening(f"home-of-{resident}", beds=100))
    told_once = [
        record_of(death(name, resident, f"evt_{resident}_{n:02}"))
        for n in range(20)
        for resident in residents
    ]
    await producer.publish([*told_once[:70], *told_once[30:], *told_once])
    department = Department(kafka, name, unique, real_work)

    async def all_there() -> bool:
        return await real_work.backend.count("homes", {"free": 80}) == 6

    await department.until(all_there)
    await department.end()
    for resident in residents:
        expected = [f"evt_{resident}_{n:02}" for n in range(20)]
        assert await effects(real_work, resident) == expected


async def test_a_reader_that_died_between_effect_and_offset_repeats_nothing(
    kafka: Kafka,
    topic: MakeTopic,
    producer: Producer,
    unique: str,
    real_work: UnitOfWork[Homes],
) -> None:
    name = await topic(1)
    await real_work.write(fresh(), opening("home-of-res_1", beds=100))
    records = [record_of(death(name, "res_1", f"evt_{n:02}")) for n in range(10)]
    await producer.publish(records)
    # Another replica of the group applied the first six and was killed before it told the broker.
    dead = Inbox(unique, {ResidentDeceased: move_out}, real_work)
    for record in records[:6]:
        await dead.apply(record)
    department = Department(kafka, name, unique, real_work)

    async def all_there() -> bool:
        return len(await effects(real_work, "res_1")) == 10

    await department.until(all_there)
    await department.end()
    assert await effects(real_work, "res_1") == [f"evt_{n:02}" for n in range(10)]


async def test_a_poison_message_goes_to_the_dead_letters_and_the_partition_goes_on(
    kafka: Kafka,
    topic: MakeTopic,
    producer: Producer,
    unique: str,
    real_work: UnitOfWork[Homes],
) -> None:
    name = await topic(1)
    await real_work.write(fresh(), opening("home-of-res_1", beds=100))
    await producer.publish(
        [
            record_of(death(name, "res_1", "evt_1")),
            Record(name, "res_1", b"\xff\xff", record_of(death(name, "res_1", "evt_2")).headers),
            Record(name, "", b"", {}),
            record_of(death(name, "res_1", "evt_3")),
        ]
    )
    department = Department(kafka, name, unique, real_work)

    async def goes_on() -> bool:
        return await effects(real_work, "res_1") == ["evt_1", "evt_3"]

    await department.until(goes_on)
    backend = real_work.backend
    letters = await backend.query(DEAD_LETTERS, {}, [("_id", 1)])
    assert [letter["_id"] for letter in letters] == [f"{name}/0/1", f"{name}/0/2"]
    assert {letter["reason"] for letter in letters} == {"REQUEST_INVALID"}
    await department.end()

    # The effects' own events are not for this relay: what is left is the dead letters'.
    bundles = await backend.outgoing(0)
    await backend.delivered([b for b in bundles if not b.entries[0]["_id"].startswith("dead/")])
    await Relay(backend, producer, "institutions-0").drain()
    arrived: asyncio.Queue[Record] = asyncio.Queue()
    reader = Consumer(kafka.bootstrap, f"{unique}-dead", [f"{name}-dead-letters"], arrived.put)
    reading = asyncio.create_task(reader.run())
    async with asyncio.timeout(30):
        found = [await arrived.get(), await arrived.get()]
    reading.cancel()
    await asyncio.wait([reading])
    by_key = {r.headers["dead_letter_key"]: r for r in found}
    poison = by_key[f"{name}/0/1"]
    assert poison.value == b"\xff\xff"
    assert poison.headers["ce_id"] == "evt_2"
    assert poison.headers["dead_letter_reason"] == "REQUEST_INVALID"


async def test_too_many_dead_letters_stop_the_consumer_rather_than_empty_the_topic(
    kafka: Kafka,
    topic: MakeTopic,
    producer: Producer,
    unique: str,
    real_work: UnitOfWork[Homes],
) -> None:
    name = await topic(1)
    await producer.publish([record_of(death(name, f"res_{n}")) for n in range(150)])
    department = Department(kafka, name, unique, real_work)

    async def stopped() -> bool:
        return bool(department.consumer.broken)

    await department.until(stopped)
    assert department.consumer.broken.endswith("TooManyDeadLetters")

    async def settled() -> bool:
        return await real_work.backend.count(DEAD_LETTERS, {}) == 100

    await department.until(settled)
    (flow,) = department.consumer.flows()
    assert (flow.held_because, flow.lag_events) == ("DEFECT", 150)
    await department.end()
