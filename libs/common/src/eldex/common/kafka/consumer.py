"""Reading records and having them applied."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from threading import Thread
from typing import Any, Final

from confluent_kafka import TIMESTAMP_NOT_AVAILABLE, KafkaException, Message, TopicPartition
from confluent_kafka import Consumer as _Consumer

from eldex.common import metrics, steps
from eldex.common.errors import DomainError
from eldex.common.kafka.record import QUIET, Record, Troubles
from eldex.common.logs import logger

_MOST_PER_POLL: Final = 500
_POLL_SECONDS: Final = 0.05
_COMMIT_EVERY_SECONDS: Final = 0.2
_LOOK_EVERY_SECONDS: Final = 0.5
"""How old the known ends of the partitions may be."""
_LEAVE_SECONDS: Final = 5.0
_MOST_WAITING: Final = 2_000
"""Records of one partition held in memory before its fetching pauses."""
_DEFECT: Final = "DEFECT"

Apply = Callable[[Record], Awaitable[None]]
"""Applies one record, durably. Raises a retryable `DomainError` to have the partition held and the
record tried again; any other exception stops the consumer."""


@dataclass(slots=True)
class _Partition:
    topic: str
    number: int
    waiting: list[Record] = field(default_factory=list)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    paused: bool = False
    applied: int = -1
    """Offset of the next record to be applied; -1: none seen yet."""
    seen: int = -1
    """Offset after the last record that was read."""
    held_because: str = ""


@dataclass(frozen=True, slots=True)
class FlowState:
    """How far one partition has come."""

    topic: str
    partition: int
    lag_events: int
    lag_seconds: float
    held_because: str


class Consumer:
    """Reads topics as one member of a group and applies every record at least once, in order per key.

    Each assigned partition has a worker that takes all that waits, applies different keys side by
    side (they share commits), and then has the offset committed (a moment later, together with the
    other partitions'). A held partition holds nobody else.
    """

    def __init__(
        self,
        bootstrap: str,
        group: str,
        topics: Sequence[str],
        apply: Apply,
        types: Collection[str] | None = None,
    ) -> None:
        """`types` (CloudEvents): what says that it is of another type is passed over unread."""
        self._topics, self._apply, self.group = list(topics), apply, group
        self._types = types
        self._troubles = Troubles()
        self._consumer = _Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": group,
                "group.protocol": "consumer",
                "client.id": group,
                # Not the driver's own: with it, `close` waits for a broker that is away.
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.queue.backoff.ms": 5,
                "queued.min.messages": 5_000,
                "error_cb": self._troubles,
                **QUIET,
            }
        )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kafka-consumer")
        self._partitions: dict[tuple[str, int], _Partition] = {}
        self._to_commit: dict[tuple[str, int], int] = {}
        self._owned: set[tuple[str, int]] = set()
        self._orders: deque[Callable[[], object]] = deque()
        self._highs: dict[tuple[str, int], int] = {}
        self._looked_at = 0.0
        self.broken: str = ""
        """Why the consumer stopped; empty while it runs."""
        self.assigned = asyncio.Event()

    async def run(self) -> None:
        """Read and apply until cancelled."""
        loop = asyncio.get_running_loop()

        def revoked(_: Any, partitions: list[TopicPartition]) -> None:
            asyncio.run_coroutine_threadsafe(self._give_up(partitions), loop).result(30)

        def assigned(_: Any, partitions: list[TopicPartition]) -> None:
            loop.call_soon_threadsafe(self._take, partitions)

        self._consumer.subscribe(
            self._topics, on_assign=assigned, on_revoke=revoked, on_lost=revoked
        )
        committing = asyncio.create_task(self._commit_regularly())
        try:
            while True:
                for message in await loop.run_in_executor(self._thread, self._turn):
                    self._accept(message)
        finally:
            committing.cancel()
            await self._drop([TopicPartition(*place) for place in self._partitions])
            self._commit()
            await self._leave()

    async def _leave(self) -> None:
        """Leave the group. The driver waits for a broker that is away; this process does not."""
        loop, left = asyncio.get_running_loop(), asyncio.Event()
        await loop.run_in_executor(self._thread, self._obey)
        self._thread.shutdown(wait=False)

        def close() -> None:
            self._consumer.close()
            with suppress(RuntimeError):  # nobody waits any more
                loop.call_soon_threadsafe(left.set)

        Thread(target=close, name="kafka-leave", daemon=True).start()
        try:
            async with asyncio.timeout(_LEAVE_SECONDS):
                await left.wait()
        except TimeoutError:
            logger().warning("group_not_left", group=self.group)

    def _turn(self) -> list[Message]:
        """What the consumer's own thread does in one turn.

        Only this thread calls the driver: any other would wait for as long as this one polls, and the
        event loop would stand still.
        """
        self._obey()
        now = time.monotonic()
        if now - self._looked_at > _LOOK_EVERY_SECONDS:
            self._looked_at = now
            for place in tuple(self._owned):
                known = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
                self._highs[place] = known[1]
        # A plain consume(n, timeout) would wait for n records or the whole timeout.
        first = self._consumer.poll(_POLL_SECONDS)
        if first is None:
            return []
        rest: list[Message] = self._consumer.consume(_MOST_PER_POLL, 0)
        return [first, *rest]

    def _obey(self) -> None:
        while self._orders:
            order = self._orders.popleft()
            try:
                order()
            except KafkaException as error:
                # A partition that is another's by now; or a lost offset, which costs a repeat: the
                # effects are durable and known by their marks.
                logger().warning("kafka_refused", reason=error.args[0].name())

    def _accept(self, message: Any) -> None:
        error = message.error()
        if error is not None:
            # Connection troubles are librdkafka's to mend; it goes on by itself.
            self._troubles(error)
            return
        place = (message.topic(), message.partition())
        if place not in self._owned:
            return  # fetched before another member got the partition: it is theirs now
        partition = self._partitions.get(place)
        if partition is None:
            partition = self._partitions[place] = _Partition(*place)
            partition.task = asyncio.create_task(self._work(partition))
        partition.seen = message.offset() + 1
        if self._types is not None and (kind := _type_of(message)) and kind not in self._types:
            metrics.consumed.labels(place[0], "skipped").inc()
            if not partition.waiting:
                self._applied(partition, partition.seen)
            return
        partition.waiting.append(_record(message))
        partition.wake.set()
        if len(partition.waiting) > _MOST_WAITING and not partition.paused:
            partition.paused = True
            self._orders.append(partial(self._consumer.pause, [TopicPartition(*place)]))

    async def _work(self, partition: _Partition) -> None:
        while True:
            await partition.wake.wait()
            partition.wake.clear()
            while partition.waiting:
                batch = partition.waiting[:_MOST_PER_POLL]
                await self._apply_batch(partition, batch)
                del partition.waiting[: len(batch)]
                steps.reached("between-apply-and-offset")
                # With nothing left, what was passed over behind the batch is done with as well.
                end = batch[-1].offset + 1 if partition.waiting else partition.seen
                self._applied(partition, end)
                if partition.paused and len(partition.waiting) < _MOST_WAITING // 2:
                    partition.paused = False
                    place = TopicPartition(partition.topic, partition.number)
                    self._orders.append(partial(self._consumer.resume, [place]))

    def _applied(self, partition: _Partition, end: int) -> None:
        partition.applied = end
        self._to_commit[partition.topic, partition.number] = end

    async def _commit_regularly(self) -> None:
        """Commit offsets of all partitions together: each commit costs the broker a write."""
        while True:
            await asyncio.sleep(_COMMIT_EVERY_SECONDS)
            self._commit()

    def _commit(self) -> None:
        if self._to_commit:
            self._orders.append(partial(self._commit_now, self._to_commit))
            self._to_commit = {}

    def _commit_now(self, offsets: Mapping[tuple[str, int], int]) -> None:
        mine = [TopicPartition(*p, offset) for p, offset in offsets.items() if p in self._owned]
        if mine:
            self._consumer.commit(offsets=mine, asynchronous=True)

    async def _apply_batch(self, partition: _Partition, batch: Sequence[Record]) -> None:
        by_key: dict[str, list[Record]] = {}
        for record in batch:
            by_key.setdefault(record.key, []).append(record)

        async def chain(records: list[Record]) -> None:
            for record in records:
                await self._insist(partition, record)

        await asyncio.gather(*(chain(records) for records in by_key.values()))

    async def _insist(self, partition: _Partition, record: Record) -> None:
        pause, held = 0.05, False
        while True:
            try:
                await self._apply(record)
            except Exception as error:  # noqa: BLE001 - retryable, or a defect: it stops, loudly
                if isinstance(error, DomainError) and error.kind.retryable:
                    partition.held_because, held = error.reason, True
                else:
                    self._stop(partition, record, error)
                    await asyncio.Event().wait()
            else:
                # Only who held it lets it go: another key of the partition may be stopped.
                if held and partition.held_because != _DEFECT:
                    partition.held_because = ""
                return
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            pause = min(pause * 2, 15.0)

    def _stop(self, partition: _Partition, record: Record, error: Exception) -> None:
        self.broken = (
            f"{record.topic}/{record.partition} stopped at offset {record.offset}: "
            f"{type(error).__name__}"
        )
        partition.held_because = _DEFECT
        logger().error(
            "consumer_stopped",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            exc_info=error,
        )

    def _take(self, partitions: Sequence[TopicPartition]) -> None:
        self._owned |= {(each.topic, each.partition) for each in partitions}
        self.assigned.set()

    async def _give_up(self, partitions: Sequence[TopicPartition]) -> None:
        self._owned -= {(each.topic, each.partition) for each in partitions}
        await self._drop(partitions)
        # A commit in the middle of a change of members would hold it up; and a later one might set
        # back the next owner. What was not committed yet is read again, and known by its marks.
        for each in partitions:
            self._to_commit.pop((each.topic, each.partition), None)

    async def _drop(self, partitions: Sequence[TopicPartition]) -> None:
        tasks = []
        for each in partitions:
            dropped = self._partitions.pop((each.topic, each.partition), None)
            if dropped is not None and dropped.task is not None:
                tasks.append(dropped.task)
            # Another member tells of it from now on; our last figure would stand beside its for ever.
            for gauge in (metrics.lag_events, metrics.lag_seconds, metrics.partition_held):
                gauge.remove(each.topic, str(each.partition))
        await _ended(tasks)

    def flows(self) -> list[FlowState]:
        """How far each partition has come, as far as it is known without asking the broker."""
        states = []
        for place, partition in sorted(self._partitions.items()):
            high = max(self._highs.get(place, -1), partition.seen)
            position = partition.waiting[0].offset if partition.waiting else partition.applied
            lag = max(0, high - position) if high >= 0 and position >= 0 else len(partition.waiting)
            age = time.time() - partition.waiting[0].written_at if partition.waiting else 0.0
            age = max(0.0, age)
            states.append(FlowState(*place, lag, age, partition.held_because))
            labels = (place[0], str(place[1]))
            metrics.lag_events.labels(*labels).set(lag)
            metrics.lag_seconds.labels(*labels).set(age)
            metrics.partition_held.labels(*labels).set(1 if partition.held_because else 0)
        return states


async def _ended(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel and wait."""
    ending = list(tasks)
    for task in ending:
        task.cancel()
    if ending:
        await asyncio.wait(ending)


def _type_of(message: Any) -> str | None:
    """The CloudEvents type; None if it tells none, which is for the inbox to complain of."""
    for name, value in message.headers() or ():
        if name == "ce_type":
            return _text(value)
    return None


def _record(message: Any) -> Record:
    kind, milliseconds = message.timestamp()
    return Record(
        topic=message.topic(),
        key=_text(message.key()),
        value=message.value() or b"",
        headers=_headers(message.headers()),
        partition=message.partition(),
        offset=message.offset(),
        written_at=milliseconds / 1000 if kind != TIMESTAMP_NOT_AVAILABLE else 0.0,
    )


def _headers(pairs: Sequence[tuple[str, bytes | str | None]] | None) -> dict[str, str]:
    try:
        return {name: value.decode() for name, value in pairs or ()}  # type: ignore[union-attr]
    except (UnicodeDecodeError, AttributeError):
        return {name: _text(value) for name, value in pairs or ()}


def _text(value: bytes | str | None) -> str:
    """Keys and headers are text; what is not UTF-8 shows as such and is set aside by the inbox."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value or ""
