"""The feed: every event numbered once, in the order of taking over, whoever tells it again."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from eldex.common.identifiers import RegionCode
from eldex.common.inbox import EventMeta
from eldex.common.kafka import Record
from eldex.common.testing.memory import MemoryBackend
from eldex.exchange.domain.agreements import Scope
from eldex.exchange.store.feed import COLLECTIONS, Feed

DECEASED = "eldex.api.registry.v1.ResidentDeceased"
NOON = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)


def told(number: int, region: str = "511702", minutes: int = 0) -> Record:
    at = NOON + timedelta(minutes=minutes)
    headers = {
        "ce_id": f"evt_{number}",
        "ce_type": DECEASED,
        "ce_source": "//511700/registry",
        "ce_time": at.isoformat(),
        "ce_subject": f"res_{number}",
        "ce_regions": region,
    }
    return Record("registry-residents", f"res_{number}", b"", headers)


def scope(*codes: str) -> list[Scope]:
    return [Scope(frozenset({DECEASED}), frozenset(RegionCode.parse(c) for c in codes))]


async def append(feed: Feed, record: Record) -> None:
    await feed.append(record, EventMeta.of(record))


async def started(backend: MemoryBackend) -> Feed:
    await backend.prepare(COLLECTIONS)
    feed = Feed(backend)
    await feed.start()
    return feed


async def test_an_event_told_twice_is_in_the_feed_once() -> None:
    feed = await started(MemoryBackend())
    await asyncio.gather(*(append(feed, told(i % 50)) for i in range(200)))
    await append(feed, told(7))
    events = await feed.read(0, scope("51"), 1_000)
    assert sorted(e.event_id for e in events) == sorted(f"evt_{i}" for i in range(50))
    assert [e.cursor for e in events] == list(range(1, 51))


async def test_numbers_go_on_after_a_restart() -> None:
    backend = MemoryBackend()
    feed = await started(backend)
    await append(feed, told(1))
    feed = await started(backend)
    await append(feed, told(1))
    await append(feed, told(2))
    assert [e.cursor for e in await feed.read(0, scope("51"), 10)] == [1, 2]


async def test_a_reader_gets_its_divisions_and_counts_what_is_still_to_come() -> None:
    feed = await started(MemoryBackend())
    for i in range(10):
        await append(feed, told(i, "500101" if i % 2 else "511702001"))
    assert [e.event_id for e in await feed.read(4, scope("50"), 10)] == ["evt_5", "evt_7", "evt_9"]
    assert await feed.count(4, scope("50")) == 3
    assert await feed.count(4, scope("5117", "50")) == 6


async def test_reading_can_begin_at_a_time() -> None:
    feed = await started(MemoryBackend())
    for i in range(5):
        await append(feed, told(i, minutes=i))
    cursor = await feed.cursor_at(NOON + timedelta(minutes=3))
    assert [e.event_id for e in await feed.read(cursor, scope("51"), 10)] == ["evt_3", "evt_4"]
    assert await feed.cursor_at(NOON + timedelta(hours=1)) == feed.newest
