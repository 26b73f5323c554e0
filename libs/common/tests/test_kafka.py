"""Records on a real broker: in order per key, none lost, one partition's trouble is not another's."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from eldex.common import metrics
from eldex.common.errors import InvalidRequest, Unavailable, Violation
from eldex.common.kafka import Consumer, Producer, Record, TopicPlan, create_topics
from eldex.common.kafka import consumer as consumer_module
from eldex.common.kafka import topics as topics_module
from eldex.local.kafka import Kafka
from eldex.local.ports import HOST, reserve

MakeTopic = Callable[[int], Awaitable[str]]


class Reader:
    """Applies records by noting them; what a test wants to go wrong goes wrong here."""

    def __init__(self) -> None:
        self.applied: list[Record] = []
        self._changed = asyncio.Condition()
        self.trouble: dict[str, Exception] = {}
        """By value: what applying it raises, until it is taken out."""
        self.tries: dict[str, int] = defaultdict(int)

    async def apply(self, record: Record) -> None:
        value = record.value.decode(errors="replace")
        self.tries[value] += 1
        if value in self.trouble:
            async with self._changed:
                self._changed.notify_all()
            raise self.trouble[value]
        self.applied.append(record)
        async with self._changed:
            self._changed.notify_all()

    async def until(self, holds: Callable[[], bool], seconds: float = 30) -> None:
        """Wait until something holds; looked at after every record."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(holds)

    def values(self) -> list[str]:
        return [record.value.decode() for record in self.applied]

    def by_key(self) -> dict[str, list[str]]:
        found = defaultdict(list)
        for record in self.applied:
            found[record.key].append(record.value.decode())
        return found


@asynccontextmanager
async def member(
    kafka: Kafka, group: str, topic: str, reader: Reader, types: Collection[str] | None = None
) -> AsyncIterator[Consumer]:
    """One consumer of a group, for the length of a block; it has partitions when the block begins."""
    consumer = Consumer(kafka.bootstrap, group, [topic], reader.apply, types)
    running = asyncio.create_task(consumer.run())
    try:
        async with asyncio.timeout(30):
            await consumer.assigned.wait()
        yield consumer
    finally:
        running.cancel()
        await asyncio.wait([running])


async def caught_up(consumer: Consumer) -> None:
    """Wait until nothing is left to apply; nothing tells of it but the flows."""
    async with asyncio.timeout(10):
        while any(flow.lag_events for flow in consumer.flows()):
            await asyncio.sleep(0.01)


@pytest.fixture
def producer(kafka: Kafka, unique: str) -> Iterable[Producer]:
    made = Producer(kafka.bootstrap, unique)
    yield made
    made.close()


def records(topic: str, keys: Sequence[str], each: int) -> list[Record]:
    """`each` records for every key, numbered per key, keys in turn."""
    return [Record(topic, key, f"{key}:{i}".encode(), {}) for i in range(each) for key in keys]


async def test_a_record_arrives_as_it_was_written(
    kafka: Kafka, topic: MakeTopic, producer: Producer, unique: str
) -> None:
    name, reader = await topic(1), Reader()
    headers = {"ce_id": "evt_1", "traceparent": "", "note": "王秀英"}
    await producer.publish([Record(name, "res_1", b"\x00\xff\x01", headers)])
    async with member(kafka, unique, name, reader):
        await reader.until(lambda: len(reader.applied) == 1)
    (found,) = reader.applied
    assert (found.key, found.value, found.headers) == ("res_1", b"\x00\xff\x01", headers)
    assert (found.topic, found.partition, found.offset) == (name, 0, 0)
    assert found.written_at > 1_700_000_000


async def test_one_persons_records_are_applied_in_order_also_when_one_of_them_must_be_retried(
    kafka: Kafka, topic: MakeTopic, producer: Producer, unique: str
) -> None:
    name, reader = await topic(3), Reader()
    keys = [f"res_{i}" for i in range(8)]
    reader.trouble["res_3:7"] = Unavailable("MongoDB")
    await producer.publish(records(name, keys, 40))
    async with member(kafka, unique, name, reader):
        await reader.until(lambda: reader.tries["res_3:7"] >= 3)
        assert reader.by_key()["res_3"] == [f"res_3:{i}" for i in range(7)]
        del reader.trouble["res_3:7"]
        await reader.until(lambda: len(reader.applied) == 320)
    assert reader.by_key() == {key: [f"{key}:{i}" for i in range(40)] for key in keys}


async def test_whoever_gives_a_partition_up_tells_no_figures_of_it_any_more(
    kafka: Kafka, topic: MakeTopic, producer: Producer, unique: str
) -> None:
    name, reader = await topic(2), Reader()
    reader.trouble["res_1:0"] = Unavailable("MongoDB")
    await producer.publish(records(name, ["res_1", "res_2", "res_3"], 1))
    async with member(kafka, unique, name, reader) as consumer:
        await reader.until(lambda: reader.tries["res_1:0"] >= 2)
        consumer.flows()
        told = metrics.exposition().decode()
        assert [e for e in told.splitlines() if "_held{" in e and name in e and e.endswith(" 1.0")]
    told = metrics.exposition().decode()
    gauges = ("eldex_lag_events{", "eldex_lag_seconds{", "eldex_partition_held{")
    assert not [e for e in told.splitlines() if e.startswith(gauges) and name in e]


async def test_a_held_partition_holds_nobody_else(
    kafka: Kafka, topic: MakeTopic, producer: Producer, unique: str
) -> None:
    name, reader = await topic(2), Reader()
    keys = [f"res_{i}" for i in range(12)]
    await producer.publish(records(name, keys, 1))
    async with member(kafka, unique, name, reader) as consumer:
        await reader.until(lambda: len(reader.applied) == 12)
        home = {r.key: r.partition for r in reader.applied}
        held = home["res_0"]
        reader.trouble["res_0:late"] = Unavailable("subsidies")
        await producer.publish([Record(name, "res_0", b"res_0:late", {})])
        await reader.until(lambda: reader.tries["res_0:late"] >= 2)
        flows = {f.partition: f for f in consumer.flows()}
        assert flows[held].held_because == "UNAVAILABLE"
        assert flows[held].lag_events >= 1
        assert flows[1 - held].held_because == ""

        elsewhere = [k for k in keys if home[k] != held]
        await producer.publish([Record(name, k, b"goes on", {}) for k in elsewhere])
        await reader.until(lambda: reader.values().count("goes on") == len(elsewhere))
        assert "res_0:late" not in reader.values()

        del reader.trouble["res_0:late"]
        await reader.until(lambda: "res_0:late" in reader.values())
        await caught_up(consumer)
        assert [f.held_because for f in consumer.flows()] == ["", ""]
        assert consumer.broken == ""


def typed(topic: str, value: str, kind: str | None, key: str = "res_1") -> Record:
    return Record(topic, key, value.encode(), {"ce_type": kind} if kind else {})


async def test_records_of_other_types_are_passed_over_unread_and_their_offsets_committed(
    kafka: Kafka, topic: MakeTopic, producer: Producer, unique: str
) -> None:
    name, first, second = await topic(1), Reader(), Reader()
    mine, other = "eldex.test.v1.GuestAdmitted", "eldex.test.v1.BedPainted"
    kinds = [other, mine, other, None, other, mine, other, other]
    await producer.publish([typed(name, f"{n}", kind) for n, kind in enumerate(kinds)])
    async with member(kafka, unique, name, first, {mine}) as consumer:
        # What tells no type is for the inbox to complain of, not for the consumer to lose.
        await first.until(lambda: first.values() == ["1", "3", "5"])
        await caught_up(consumer)
        (flow,) = consumer.flows()
        assert (flow.lag_events, flow.held_because) == (0, "")

        # Nothing but others' records: they are done with as they come.
        await producer.publish([typed(name, f"others' {n}", other) for n in range(20)])
        await _seen(consumer, 28)
        await caught_up(consumer)
    await producer.publish([typed(name, "next", mine)])
    async with member(kafka, unique, name, second) as consumer:  # this one would take any type
        await second.until(lambda: bool(second.applied))
    assert second.values() == ["next"]
    assert first.values() == ["1", "3", "5"]


async def test_what_is_passed_over_behind_a_record_that_waits_is_not_committed_before_it(
    kafka: Kafka, topic: MakeTopic, producer: Producer, unique: str
) -> None:
    name, first, second = await topic(1), Reader(), Reader()
    mine, other = "eldex.test.v1.GuestAdmitted", "eldex.test.v1.BedPainted"
    first.trouble["held"] = Unavailable("MongoDB")
    await producer.publish([typed(name, "held", mine)])
    await producer.publish([typed(name, f"others' {n}", other) for n in range(20)])
    async with member(kafka, unique, name, first, {mine}) as consumer:
        await first.until(lambda: first.tries["held"] >= 2)
        await _seen(consumer, 21)
        (flow,) = consumer.flows()
        assert (flow.lag_events, flow.held_because) == (21, "UNAVAILABLE")
    assert first.values() == []
    async with member(kafka, unique, name, second, {mine}) as consumer:
        await second.until(lambda: second.values() == ["held"])
        await _seen(consumer, 21)
        await caught_up(consumer)


async def _seen(consumer: Consumer, end: int) -> None:
    """Wait until the one partition was read so far; what is passed over tells nobody else."""
    async with asyncio.timeout(20):
        while [p.seen for p in consumer._partitions.values()] != [end]:
            await asyncio.sleep(0.01)


class OurBug(Exception):
    """A defect."""


@pytest.mark.parametrize(
    "defect",
    [
        OurBug("text that may quote 王秀英"),
        InvalidRequest(Violation("payload", "", "not retryable, and nobody set it aside")),
    ],
    ids=["a defect", "a refusal that was let through"],
)
async def test_a_defect_stops_the_partition_without_committing_past_it(
    kafka: Kafka, topic: MakeTopic, producer: Producer, unique: str, defect: Exception
) -> None:
    name, reader = await topic(1), Reader()
    await producer.publish(records(name, ["res_1"], 5))
    reader.trouble["res_1:3"] = defect
    with capture_logs() as lines:
        async with member(kafka, unique, name, reader) as consumer:
            await reader.until(lambda: reader.tries["res_1:3"] == 1)
            await asyncio.sleep(0)
            assert consumer.broken == f"{name}/0 stopped at offset 3: {type(defect).__name__}"
            (flow,) = consumer.flows()
            assert (flow.held_because, flow.lag_events) == ("DEFECT", 5)
    assert reader.values() == ["res_1:0", "res_1:1", "res_1:2"]
    (told,) = [line for line in lines if line["event"] == "consumer_stopped"]
    assert (told["offset"], told["exc_info"]) == (3, defect)

    # After the mend the next process goes on before the place where this one stopped.
    mended = Reader()
    async with member(kafka, unique, name, mended):
        await mended.until(lambda: len(mended.applied) == 5)
    assert mended.values() == [f"res_1:{i}" for i in range(5)]


async def test_what_was_applied_is_not_read_again_by_the_next_process(
    kafka: Kafka, topic: MakeTopic, producer: Producer, unique: str
) -> None:
    name, first, second = await topic(2), Reader(), Reader()
    await producer.publish(records(name, ["res_1", "res_2", "res_3"], 10))
    async with member(kafka, unique, name, first) as consumer:
        await first.until(lambda: len(first.applied) == 30)
        await caught_up(consumer)
    await producer.publish([Record(name, "res_1", b"new", {})])
    async with member(kafka, unique, name, second):
        await second.until(lambda: "new" in second.values())
    assert second.values() == ["new"]


async def test_members_that_come_and_go_lose_nothing(
    kafka: Kafka, topic: MakeTopic, producer: Producer, unique: str
) -> None:
    name, early, late = await topic(6), Reader(), Reader()
    keys = [f"res_{i}" for i in range(30)]
    written: list[str] = []
    enough = asyncio.Event()

    async def keep_writing() -> None:
        while not enough.is_set():
            number = len(written) // len(keys)
            batch = [Record(name, key, f"{key}:{number}".encode(), {}) for key in keys]
            await producer.publish(batch)
            written.extend(record.value.decode() for record in batch)

    async with member(kafka, unique, name, late):
        writing = asyncio.create_task(keep_writing())
        await late.until(lambda: len(late.applied) > 60)
        async with member(kafka, unique, name, early):
            await early.until(lambda: len(early.applied) > 60)
        told = len(late.applied)
        await late.until(lambda: len(late.applied) > told + 60)
        enough.set()
        await writing
        await late.until(lambda: set(late.values()) | set(early.values()) == set(written))
    # At least once, and whoever applies a person's records applies them in order.
    for reader in (early, late):
        for key, values in reader.by_key().items():
            numbers = [int(v.removeprefix(f"{key}:")) for v in dict.fromkeys(values)]
            assert numbers == sorted(numbers)


async def test_a_broker_that_was_killed_is_waited_out_by_producer_and_consumer(
    kafka: Kafka, topic: MakeTopic, producer: Producer, unique: str
) -> None:
    name, reader = await topic(2), Reader()
    keys = [f"res_{i}" for i in range(5)]
    before, during, after = (records(name, [f"{k}{when}" for k in keys], 20) for when in "abc")
    async with member(kafka, unique, name, reader):
        await producer.publish(before)
        await reader.until(lambda: len(reader.applied) == 100)
        await kafka.kill()
        waiting = asyncio.create_task(producer.publish(during))
        await asyncio.sleep(0.5)  # the broker is away: nothing else to wait for
        assert not waiting.done()
        await kafka.start()
        await asyncio.wait_for(waiting, 30)
        await producer.publish(after)
        expected = {r.value.decode() for r in (*before, *during, *after)}
        await reader.until(lambda: set(reader.values()) == expected)
    for key, values in reader.by_key().items():
        first_of_each = list(dict.fromkeys(values))
        assert first_of_each == [f"{key}:{i}" for i in range(20)]


async def test_more_than_fits_the_memory_waits_at_the_broker_and_is_applied_in_the_end(
    kafka: Kafka, topic: MakeTopic, producer: Producer, unique: str
) -> None:
    name, reader = await topic(1), Reader()
    await producer.publish(records(name, [f"res_{i}" for i in range(10)], 700))
    reader.trouble["res_0:0"] = Unavailable("MongoDB")
    async with member(kafka, unique, name, reader) as consumer:
        (partition,) = await _paused(consumer)
        assert len(partition.waiting) < 3_000
        del reader.trouble["res_0:0"]
        await reader.until(lambda: len(reader.applied) == 7_000)
        assert not partition.paused


async def _paused(consumer: Consumer) -> list[consumer_module._Partition]:
    async with asyncio.timeout(20):
        while not (found := [p for p in consumer._partitions.values() if p.paused]):
            await asyncio.sleep(0.01)
    return found


async def test_the_event_loop_never_waits_for_the_drivers_poll(
    kafka: Kafka, topic: MakeTopic, producer: Producer, unique: str
) -> None:
    """The driver lets nobody else in while it polls, and on a quiet topic it polls all the time."""
    name, reader = await topic(4), Reader()
    await producer.publish(records(name, [f"res_{i}" for i in range(20)], 1))
    async with member(kafka, unique, name, reader) as consumer:
        await reader.until(lambda: len(reader.applied) == 20)
        await caught_up(consumer)
        held_up = []
        for _ in range(15):
            await asyncio.sleep(0.03)
            began = time.perf_counter()
            consumer.flows()
            consumer._to_commit = {(name, 0): 1}
            consumer._commit()
            held_up.append(time.perf_counter() - began)
    assert statistics.median(held_up) < 0.02


async def test_topics_are_made_once_and_left_as_they_are(kafka: Kafka, unique: str) -> None:
    plans = [TopicPlan(f"a-{unique}", 3, 3600), TopicPlan(f"b-{unique}", 1, 3600)]
    assert await create_topics(kafka.bootstrap, plans[:1]) == [f"a-{unique}"]
    assert await create_topics(kafka.bootstrap, plans) == [f"b-{unique}"]
    with capture_logs() as lines:
        assert await create_topics(kafka.bootstrap, [TopicPlan(f"a-{unique}", 6, 3600)]) == []
    (told,) = lines
    assert (told["event"], told["partitions"], told["planned"]) == ("topic_differs", 3, 6)


async def test_two_who_make_the_same_topics_at_once_do_not_trouble_each_other(
    kafka: Kafka, unique: str
) -> None:
    plans = [TopicPlan(f"{name}-{unique}", 1, 3600) for name in "abcd"]
    await asyncio.gather(*(create_topics(kafka.bootstrap, plans) for _ in range(3)))
    assert await create_topics(kafka.bootstrap, plans) == []


async def test_a_broker_that_is_not_there_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics_module, "_ANSWER_SECONDS", 1)
    with pytest.raises(Unavailable, match="Kafka is not available"):
        await create_topics(f"{HOST}:{reserve()}", [TopicPlan("residents", 1, 3600)])
