"""A service's rules and ports without a process: on the in-memory twin, with real messages.

The acts go through the real unit of work, events through the real inbox, as protobuf bytes; only
the database and the broker are left out.
"""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message

from eldex.api.topics import load_topics
from eldex.common.identifiers import new_key
from eldex.common.inbox import Inbox, Subscriptions
from eldex.common.kafka import Record
from eldex.common.outbox import publisher, record_of
from eldex.common.rpc.call import Call, Identity
from eldex.common.store import (
    DEAD_LETTERS,
    OUTBOX,
    Backend,
    Document,
    Mark,
    Repository,
    Session,
    UnitOfWork,
    collections_of,
)
from eldex.common.testing.memory import MemoryBackend

S = TypeVar("S")
T = TypeVar("T")
M = TypeVar("M", bound=Message)

CITY = "511700"


class FrozenClock:
    """A clock that stands until it is set."""

    def __init__(self, at: datetime = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)) -> None:
        self.at = at

    def __call__(self) -> datetime:
        """The instant it stands at."""
        return self.at

    def pass_days(self, days: int) -> None:
        """Let days go by."""
        self.at += timedelta(days=days)


async def waiting_events(backend: Backend) -> list[Document]:
    """The entries that wait in an outbox, oldest first."""
    return [entry for bundle in await backend.outgoing(0) for entry in bundle.entries]


class ServiceOnMemory(Generic[S]):
    """One service's acts, events and dead letters, on the in-memory twin."""

    def __init__(
        self,
        name: str,
        stores: Callable[[Session], S],
        repositories: Sequence[type[Repository[Any]]],
        to_message: Callable[[Any], Message],
        subscriptions: Subscriptions[S] | None = None,
    ) -> None:
        self.backend, self.clock = MemoryBackend(), FrozenClock()
        self._repositories = repositories
        publish = publisher(CITY, name, load_topics(), to_message)
        self.work: UnitOfWork[S] = UnitOfWork(self.backend, stores, publish, self.clock)
        self.inbox = Inbox(name, subscriptions or {}, self.work)
        self._offset = -1
        self._topics = {t: topic for topic in load_topics().values() for t in topic.events}

    async def start(self) -> ServiceOnMemory[S]:
        """Prepare the collections; returns itself."""
        await self.backend.prepare(collections_of(self._repositories))
        return self

    async def do(self, act: Callable[[S, datetime], Awaitable[T]]) -> T:
        """Run and commit one act under a request id of its own."""
        done = await self.work.write(Mark(f"test/{uuid.uuid4()}"), act)
        assert done.result is not None
        return done.result

    def call(self, method: str = "/test/Call", language: str = "en") -> Call:
        """A call as the exchange makes it, for trying an `rpc.py` object directly."""
        exchange = Identity("eldex.local", f"{CITY}/service/exchange")
        return Call(method, exchange, self.clock(), "zh" if language == "zh" else "en")

    async def deliver(
        self,
        message: Message,
        *,
        event_id: str = "",
        producer: str = "test",
        regions: str = "",
        sequence: int = 0,
    ) -> str:
        """Apply an event of another service; returns its id, to deliver it again.

        Without a `sequence` it is newer than all that were delivered before.
        """
        event_id = event_id or new_key("evt")
        topic = self._topics[message.DESCRIPTOR.full_name]
        entry: Document = {
            "_id": event_id,
            "aggregatetype": topic.name,
            "aggregateid": getattr(message, topic.key),
            "type": message.DESCRIPTOR.full_name,
            "payload": message.SerializeToString(),
            "timestamp": self.clock(),
            "sequence": sequence or self._offset + 2,
            "source": f"//{CITY}/{producer}",
            "regions": regions,
            "traceparent": "",
        }
        await self.take(entry)
        return event_id

    async def take(self, entry: Document) -> None:
        """Apply an event as another service's outbox holds it."""
        record = record_of(entry)
        self._offset += 1
        placed = Record(
            record.topic, record.key, record.value, record.headers, 0, self._offset, 0.0
        )
        await self.inbox.apply(placed)

    def outbox(self) -> list[Document]:
        """What was published so far, as it waits for the broker, oldest first."""
        return list(self.backend.collections[OUTBOX].values())

    def events(self, kind: type[M] | None = None) -> list[M]:
        """What was published so far, as messages, oldest first; of one kind, if one is given."""
        found = []
        for entry in self.outbox():
            descriptor = descriptor_pool.Default().FindMessageTypeByName(entry["type"])
            message = message_factory.GetMessageClass(descriptor).FromString(entry["payload"])
            if kind is None or descriptor.full_name == kind.DESCRIPTOR.full_name:
                found.append(message)
        return found  # type: ignore[return-value]

    def dead_letters(self) -> list[Document]:
        """What could not be applied."""
        return list(self.backend.collections[DEAD_LETTERS].values())
