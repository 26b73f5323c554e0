"""The feed: every event of every department, numbered once, for subscribers to follow.

One writer numbers the events in the order in which it took them from the topics and commits them in
batches, one after the other: whoever has read up to a number will never see a lower one appear.

The newest events are kept in memory too: a reader that keeps up costs the database nothing, however
many there are, and one that is far behind reads for itself.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final

from eldex.common.errors import Unavailable
from eldex.common.identifiers import RegionCode
from eldex.common.inbox import EventMeta
from eldex.common.kafka import Record
from eldex.common.store import Backend, ChangeSet, Document, Index, Write
from eldex.exchange.domain.agreements import Scope
from eldex.exchange.domain.subscriptions import FeedEvent

FEED: Final = "feed"
HEAD: Final = "feed_head"
COLLECTIONS: Final = {
    FEED: [
        Index((("event_id", 1),), unique=True),
        Index((("type", 1), ("_id", 1))),
        Index((("subject", 1), ("_id", 1))),
        Index((("occurred_at", 1),), expire_after_seconds=90 * 86_400),
    ],
    HEAD: [],
}
_MOST_AT_ONCE = 500
_KEPT_EVENTS: Final = 4_096
_KEPT_BYTES: Final = 16 * 1024 * 1024
"""Of the newest events, what is kept in memory (payloads alone are counted)."""

Beside = Callable[[Sequence[Document]], Awaitable[list[Write]]]
"""What else must be written with events, in their commit: projections that are never behind the feed."""


class Feed:
    """Takes events over from the topics, and gives them out by number."""

    def __init__(self, backend: Backend, beside: Beside | None = None) -> None:
        self._backend, self._beside = backend, beside
        self._waiting: list[tuple[Document, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        self.newest = 0
        self._grown = asyncio.Condition()
        self._recent: list[FeedEvent] = []
        """The newest events, without a gap up to `newest`."""
        self._recent_after = 0
        """Whoever has read up to here finds the rest in memory."""

    async def start(self) -> None:
        """Learn where the feed stands."""
        found = await self._backend.fetch(HEAD, "_id", ["feed"])
        self.newest = self._recent_after = found[0]["newest"] if found else 0

    async def append(self, record: Record, meta: EventMeta) -> None:
        """Take an event over; returns when it is durable. One that is in the feed is left out."""
        document: Document = {
            "event_id": meta.event_id,
            "type": meta.type,
            "source": meta.source,
            "subject": meta.subject,
            "occurred_at": meta.occurred_at,
            "regions": list(meta.regions),
            "lineage": sorted(
                {str(c) for code in meta.regions for c in RegionCode.parse(code).lineage()}
            ),
            "payload": record.value,
            "traceparent": record.headers.get("traceparent", ""),
        }
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((document, future))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        await asyncio.shield(future)

    async def _write(self) -> None:
        while self._waiting:
            batch = self._waiting[:_MOST_AT_ONCE]
            del self._waiting[: len(batch)]
            try:
                await self._number([document for document, _ in batch])
            except Exception as error:  # noqa: BLE001 - told to everybody in the batch
                for _, future in batch:
                    future.set_exception(error)
                    future.exception()
                continue
            for _, future in batch:
                future.set_result(None)
            async with self._grown:
                self._grown.notify_all()

    async def _number(self, documents: Sequence[Document]) -> None:
        ids = [document["event_id"] for document in documents]
        known = {d["event_id"] for d in await self._backend.fetch(FEED, "event_id", ids)}
        heads = await self._backend.fetch(HEAD, "_id", ["feed"])
        head: Document = heads[0] if heads else {"_id": "feed", "version": 0, "newest": 0}
        number = head["newest"]
        changes = ChangeSet()
        for document in documents:
            if document["event_id"] in known:
                continue
            known.add(document["event_id"])
            number += 1
            changes.writes.append(Write(FEED, {"_id": number, **document}))
        if changes.writes:
            version = head["version"]
            after = {"_id": "feed", "version": version + 1, "newest": number}
            if self._beside is not None:
                changes.writes += await self._beside([w.document for w in changes.writes])
            changes.writes.append(Write(HEAD, after, replaces=version or None))
            (outcome,) = await self._backend.commit([changes])
            if outcome is not None:
                # Another writer: take it up again. What it wrote is not in memory.
                self._recent, self._recent_after = [], head["newest"]
                raise Unavailable("feed") from outcome
        if head["newest"] > self.newest:
            self._recent, self._recent_after = [], head["newest"]
        self._keep([write.document for write in changes.writes if write.collection == FEED])
        self.newest = number

    def _keep(self, documents: Sequence[Document]) -> None:
        self._recent += [_event(document) for document in documents]
        size = sum(len(event.payload) for event in self._recent)
        surplus = max(0, len(self._recent) - _KEPT_EVENTS)
        size -= sum(len(event.payload) for event in self._recent[:surplus])
        while size > _KEPT_BYTES:
            size -= len(self._recent[surplus].payload)
            surplus += 1
        if surplus:
            self._recent_after = self._recent[surplus - 1].cursor
            del self._recent[:surplus]

    async def read(self, after: int, scopes: Sequence[Scope], limit: int) -> list[FeedEvent]:
        """The next events within the scopes, in order."""
        if after >= self._recent_after:
            return self._read_recent(after, scopes, limit)
        found = await self._backend.query(FEED, _within(after, scopes), [("_id", 1)], limit)
        return [_event(document) for document in found]

    def _read_recent(self, after: int, scopes: Sequence[Scope], limit: int) -> list[FeedEvent]:
        found: list[FeedEvent] = []
        begin = bisect_right(self._recent, after, key=lambda event: event.cursor)
        for event in self._recent[begin:]:
            if any(scope.permits(event.type, event.regions) for scope in scopes):
                found.append(event)
                if len(found) == limit:
                    break
        return found

    async def at(self, cursor: int) -> FeedEvent | None:
        """One event; None if it is not kept any more."""
        if cursor > self._recent_after:
            index = bisect_right(self._recent, cursor, key=lambda event: event.cursor) - 1
            if index >= 0 and self._recent[index].cursor == cursor:
                return self._recent[index]
        found = await self._backend.fetch(FEED, "_id", [cursor])
        return _event(found[0]) if found else None

    async def count(self, after: int, scopes: Sequence[Scope]) -> int:
        """How many events within the scopes come after a cursor."""
        if after >= self._recent_after:
            return len(self._read_recent(after, scopes, _KEPT_EVENTS))
        return await self._backend.count(FEED, _within(after, scopes))

    async def wait_beyond(self, seen: int, seconds: float) -> bool:
        """Wait until the feed has grown beyond a cursor; False if it has not within the time."""
        try:
            async with asyncio.timeout(seconds), self._grown:
                await self._grown.wait_for(lambda: self.newest > seen)
        except TimeoutError:
            return False
        return True

    async def cursor_at(self, instant: datetime) -> int:
        """The cursor after which the events begin that happened at an instant or later."""
        found = await self._backend.query(FEED, {"occurred_at": {"$gte": instant}}, [("_id", 1)], 1)
        return int(found[0]["_id"]) - 1 if found else self.newest


def _within(after: int, scopes: Sequence[Scope]) -> Document:
    return {
        "_id": {"$gt": after},
        "$or": [
            {
                "type": {"$in": sorted(scope.event_types)},
                "lineage": {"$in": sorted(str(region) for region in scope.regions)},
            }
            for scope in scopes
        ],
    }


def _event(document: Document) -> FeedEvent:
    return FeedEvent(
        cursor=document["_id"],
        event_id=document["event_id"],
        type=document["type"],
        source=document["source"],
        subject=document["subject"],
        occurred_at=document["occurred_at"],
        regions=tuple(RegionCode.parse(code) for code in document["regions"]),
        payload=bytes(document["payload"]),
        traceparent=document["traceparent"],
    )
