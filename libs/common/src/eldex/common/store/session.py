"""What one act reads and stages: a session, its repositories, and reads that are shared."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import datetime
from itertools import chain
from typing import Any, ClassVar, Generic, TypeVar

from eldex.common.aggregate import Aggregate, Page
from eldex.common.errors import AlreadyExists, NotFound
from eldex.common.store.backend import (
    OUTBOX,
    Backend,
    ChangeSet,
    Document,
    Index,
    Taken,
    Write,
    values_at,
)
from eldex.common.store.documents import from_document, to_document

A = TypeVar("A", bound=Aggregate)
T = TypeVar("T")


class Loader:
    """Gathers what concurrent acts ask of one collection by one path into one query.

    One query is in flight per path; what is asked meanwhile goes into the next: the batch grows
    with the load and a lone reader never waits.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._waiting: dict[tuple[str, str], dict[Any, list[asyncio.Future[list[Document]]]]] = (
            defaultdict(dict)
        )
        self._running: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def load(self, collection: str, path: str, value: Any) -> list[Document]:
        """The documents whose `path` equals or holds the value."""
        place = (collection, path)
        future: asyncio.Future[list[Document]] = asyncio.get_running_loop().create_future()
        self._waiting[place].setdefault(value, []).append(future)
        if place not in self._running:
            self._running[place] = asyncio.create_task(self._drain(place))
        return await future

    async def _drain(self, place: tuple[str, str]) -> None:
        collection, path = place
        try:
            while asked := self._waiting.pop(place, None):
                by_value: dict[Any, list[Document]] = {value: [] for value in asked}
                try:
                    for document in await self._backend.fetch(collection, path, list(asked)):
                        # A document that holds a value twice is found by it once.
                        for value in dict.fromkeys(values_at(document, path)):
                            if value in by_value:
                                by_value[value].append(document)
                except Exception as error:  # noqa: BLE001 - told to everybody who asked
                    for future in chain.from_iterable(asked.values()):
                        settle(future, error)
                    continue
                for value, futures in asked.items():
                    for future in futures:
                        settle(future, by_value[value])
        finally:
            del self._running[place]


def settle(future: asyncio.Future[T], outcome: T | Exception) -> None:
    """Give a future its result or its error, unless whoever waited has gone."""
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
        future.exception()  # the asker may be gone; that is not an error of ours
    else:
        future.set_result(outcome)


class Session:
    """What one act has loaded and staged. Made by the `UnitOfWork`, gone when the act is over."""

    def __init__(self, backend: Backend, loader: Loader) -> None:
        self.backend = backend
        self._loader = loader
        self._loaded: dict[tuple[str, str], Aggregate] = {}
        self._staged: dict[tuple[str, str], tuple[Repository[Any], Aggregate]] = {}
        self.extra: list[Write] = []
        """Further documents to insert with the commit (append-only facts without a life)."""

    async def load(self, collection: str, path: str, value: Any) -> list[Document]:
        """Documents by one value of one path, sharing a query with concurrent acts."""
        return await self._loader.load(collection, path, value)

    def admit(self, collection: str, kind: type[A], document: Document) -> A:
        """The aggregate of a document, the same object however often it is loaded."""
        place = (collection, document["_id"])
        known = self._loaded.get(place)
        if known is None:
            known = self._loaded[place] = from_document(kind, document)
        assert isinstance(known, kind)
        return known

    def stage(self, repository: Repository[A], aggregate: A) -> None:
        """Have the aggregate and its events written when the act is over."""
        place = (repository.collection, aggregate.key)
        self._loaded[place] = aggregate
        self._staged[place] = (repository, aggregate)

    def changes(self, publish: Publisher, now: datetime) -> ChangeSet:
        """What was staged, as documents; events in the order in which they were recorded."""
        changes = ChangeSet(list(self.extra))
        for repository, aggregate in self._staged.values():
            document = to_document(aggregate) | repository.derived(aggregate)
            replaces = aggregate.version or None
            changes.writes.append(Write(repository.collection, document, replaces))
            if repository.history:
                past = {
                    "_id": _past_key(aggregate.key, document["version"]),
                    "recorded_at": now,
                    "document": document,
                }
                changes.writes.append(Write(repository.past(), past, is_new=True))
            for event in aggregate.events:
                entry = publish(event, document["version"], now)
                changes.writes.append(Write(OUTBOX, entry, is_new=True))
        return changes

    def refusal(self, taken: Taken) -> AlreadyExists:
        """What the caller is told when something that was staged breaks a unique index."""
        for repository, _ in self._staged.values():
            for index in repository.indexes:
                if (repository.collection, index.name) == (taken.collection, taken.index):
                    return index.taken()
        return AlreadyExists("key" if taken.index == "_id" else taken.index)

    def committed(self) -> None:
        """Take over the new versions after the commit."""
        for _, aggregate in self._staged.values():
            aggregate.version += 1
            aggregate.events.clear()


Publisher = Callable[[object, int, datetime], Document]
"""Domain event, version of its aggregate, now → outbox document (`outbox.publisher`)."""


class Repository(Generic[A]):
    """Aggregates of one kind, in one collection. Subclasses add the questions of their field."""

    kind: type[A]
    collection: ClassVar[str]
    indexes: ClassVar[tuple[Index, ...]] = ()
    history: ClassVar[bool] = False
    """Keep every version, for "what was known when" (`known_at`)."""

    def __init__(self, session: Session) -> None:
        self.session = session

    @classmethod
    def past(cls) -> str:
        """The collection of its past versions."""
        return f"{cls.collection}_history"

    async def find(self, key: str) -> A | None:
        """The aggregate, or None."""
        return next(iter(await self.by("_id", key)), None)

    async def get(self, key: str) -> A:
        """The aggregate; raises `NotFound`."""
        found = await self.find(key)
        if found is None:
            raise NotFound(self.kind.__name__, key)
        return found

    async def by(self, path: str, value: str | bytes) -> list[A]:
        """All whose `path` equals or holds the value (an indexed path with few hits)."""
        documents = await self.session.load(self.collection, path, value)
        return [self.session.admit(self.collection, self.kind, d) for d in documents]

    async def page(
        self, where: Mapping[str, Any], *, size: int, after: str | None = None
    ) -> Page[A]:
        """At most `size` that match, in key order, after the key `after`."""
        conditions = {**where, "_id": {"$gt": after}} if after else dict(where)
        documents = await self.session.backend.query(
            self.collection, conditions, [("_id", 1)], size + 1
        )
        items = [self.session.admit(self.collection, self.kind, d) for d in documents[:size]]
        return Page(items, items[-1].key if len(documents) > size else None)

    async def count(self, where: Mapping[str, Any]) -> int:
        """How many match."""
        return await self.session.backend.count(self.collection, where)

    async def known_at(self, key: str, instant: datetime) -> A:
        """The aggregate as it was recorded at an instant (needs `history`); raises `NotFound`."""
        of_key = {"$gt": f"{key}@", "$lt": f"{key}A"}  # `A` comes after `@`
        past = await self.session.backend.query(
            self.past(), {"_id": of_key, "recorded_at": {"$lte": instant}}, [("_id", -1)], 1
        )
        if not past:
            raise NotFound(self.kind.__name__, key)
        return from_document(self.kind, past[0]["document"])

    def derived(self, aggregate: A) -> Document:  # noqa: ARG002 - for subclasses
        """Further fields of the document, computed from the aggregate, to be found by."""
        return {}

    def save(self, aggregate: A) -> None:
        """Stage the aggregate and its events for the commit."""
        self.session.stage(self, aggregate)


def _past_key(key: str, version: int) -> str:
    """Where a version is kept: the versions of one key are a range, in their order."""
    return f"{key}@{version:09d}"
