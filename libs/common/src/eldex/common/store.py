"""State and events, together: sessions, repositories, the unit of work and the group commit.

A handler gets its ports (repositories on one `Session`), loads aggregates, calls their methods and
saves them. Nothing is written until it returns; then its aggregates, their events and the mark that
makes the act idempotent go to the database as one `ChangeSet`. Change sets of concurrent acts share
a transaction and a journal flush (`GroupCommit`) without sharing their fate: the one that lost a
race or broke a unique index is told so and leaves; its neighbours commit.

What is loaded is batched in the same way: concurrent acts that ask one collection for documents by
one field share a query (`_Loader`). A unary act therefore costs the database a small share of a
read and of a commit, which is where the speed of the house comes from (`docs/decisions/`).
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import chain
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from cattrs.preconf.bson import make_converter

from eldex.common import metrics
from eldex.common.aggregate import Aggregate, Page
from eldex.common.clock import Clock
from eldex.common.errors import AlreadyExists, NotFound, RequestIdReused, StaleVersion
from eldex.common.identifiers import CreditCode, RegionCode

Document = dict[str, Any]
"""A MongoDB document; `_id` is the key."""

A = TypeVar("A", bound=Aggregate)
S = TypeVar("S")
T = TypeVar("T")

OUTBOX = "outbox"
MARKS = "marks"
DEAD_LETTERS = "dead_letters"
LEASES = "leases"
MARK_TTL = timedelta(days=30)
"""How long a request_id or an event id is remembered: longer than any topic keeps an event."""


# --- what the database offers ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Index:
    """An index that a collection needs; `fields` as (path, 1 | -1)."""

    fields: tuple[tuple[str, int], ...]
    unique: bool = False
    where: Mapping[str, Any] | None = None
    """Partial filter: the index (and its uniqueness) holds only for documents that match."""
    expire_after_seconds: int | None = None

    @property
    def name(self) -> str:
        """Derived from the fields, so that an error can name what must be unique."""
        return "+".join(path for path, _ in self.fields)


@dataclass(frozen=True, slots=True)
class Write:
    """One document to write: a new one, or the successor of version `replaces`."""

    collection: str
    document: Document
    replaces: int | None = None


@dataclass(slots=True)
class ChangeSet:
    """All that one act writes; it happens as a whole or not at all."""

    writes: list[Write] = field(default_factory=list)

    def touched(self) -> set[tuple[str, Any]]:
        """The documents it writes; two change sets that touch the same one never share a batch."""
        return {(w.collection, w.document["_id"]) for w in self.writes}


class Lost(Exception):
    """The change set lost a race: something it read was changed before it could commit."""


class Taken(Exception):
    """The change set would have broken a unique index; `index` names the fields."""

    def __init__(self, collection: str, index: str) -> None:
        super().__init__(f"{collection}.{index}")
        self.collection, self.index = collection, index


Outcome = Lost | Taken | None
"""What became of a change set; None: committed and durable."""


class Backend(Protocol):
    """The database as the unit of work needs it.

    Adapters: `mongo.MongoBackend`, and the twin `testing.memory.MemoryBackend`, proven by one
    behaviour suite (`testing.suites`).
    """

    async def prepare(self, collections: Mapping[str, Sequence[Index]]) -> None:
        """Create collections and indexes that are missing."""

    async def fetch(self, collection: str, path: str, values: Sequence[Any]) -> list[Document]:
        """Every document whose `path` equals (or, for an array, holds) one of the values."""

    async def query(
        self,
        collection: str,
        where: Mapping[str, Any],
        order: Sequence[tuple[str, int]] = (),
        limit: int = 0,
    ) -> list[Document]:
        """Documents that match, in order. `where` uses equality, $gt $gte $lt $lte $in $ne $or."""

    async def count(self, collection: str, where: Mapping[str, Any]) -> int:
        """How many documents match."""

    async def commit(self, batch: Sequence[ChangeSet]) -> list[Outcome]:
        """Write the change sets in one transaction; leave out those that cannot be written.

        Raises `Unavailable` if the database does not answer: then nothing is known, and the acts
        must be decided again (their marks tell whether they had happened).
        """

    async def remove(self, collection: str, keys: Sequence[Any]) -> None:
        """Delete by `_id`, outside of any transaction (delivered outbox entries)."""

    async def lease(self, name: str, owner: str, seconds: float) -> bool:
        """Take or renew a lease by the database's clock; False while another owner has it."""


# --- aggregates as documents --------------------------------------------------------------------

converter = make_converter()
"""Dataclass ↔ document: days as ISO text, enums by value, codes as text. Services register their own."""
converter.register_unstructure_hook(date, lambda d: d.isoformat())
converter.register_structure_hook(date, lambda text, _: date.fromisoformat(text))
converter.register_unstructure_hook(datetime, lambda instant: instant)
converter.register_structure_hook(datetime, lambda instant, _: instant)
for _code in (RegionCode, CreditCode):
    converter.register_unstructure_hook(_code, str)
    converter.register_structure_hook(_code, lambda text, kind: kind(text))


def to_document(aggregate: Aggregate) -> Document:
    """The document that the next commit of this aggregate writes."""
    document: Document = converter.unstructure(aggregate)
    document["_id"] = document.pop("key")
    document["version"] = aggregate.version + 1
    return document


def from_document(kind: type[A], document: Mapping[str, Any]) -> A:
    """The aggregate as it was committed."""
    fields = dict(document)
    fields["key"] = fields.pop("_id")
    return converter.structure(fields, kind)


# --- reading, batched ---------------------------------------------------------------------------


class _Loader:
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
                        for value in _values_at(document, path):
                            if value in by_value:
                                by_value[value].append(document)
                except Exception as error:  # noqa: BLE001 - told to everybody who asked
                    for future in chain.from_iterable(asked.values()):
                        _settle(future, error)
                    continue
                for value, futures in asked.items():
                    for future in futures:
                        _settle(future, by_value[value])
        finally:
            del self._running[place]


def _settle(future: asyncio.Future[T], outcome: T | Exception) -> None:
    if future.done():
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
        future.exception()  # the asker may be gone; that is not an error of ours
    else:
        future.set_result(outcome)


def _values_at(document: Mapping[str, Any], path: str) -> list[Any]:
    """The values a dotted path reaches, looking into arrays as MongoDB does."""
    found: list[Any] = [document]
    for name in path.split("."):
        step: list[Any] = []
        for value in found:
            items = value if isinstance(value, list) else [value]
            step += [item[name] for item in items if isinstance(item, Mapping) and name in item]
        found = step
    return list({v: None for f in found for v in (f if isinstance(f, list) else [f])})


# --- a session and its repositories -------------------------------------------------------------


class Session:
    """What one act has loaded and staged. Made by the `UnitOfWork`, gone when the act is over."""

    def __init__(self, backend: Backend, loader: _Loader) -> None:
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
                version = document["version"]
                past: Document = {"_id": f"{aggregate.key}@{version}", "key": aggregate.key}
                past |= {"version": version, "recorded_at": now, "document": document}
                changes.writes.append(Write(f"{repository.collection}_history", past))
            for event in aggregate.events:
                changes.writes.append(Write(OUTBOX, publish(event, document["version"], now)))
        return changes

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

    async def find(self, key: str) -> A | None:
        """The aggregate, or None."""
        return next(iter(await self.by("_id", key)), None)

    async def get(self, key: str) -> A:
        """The aggregate; raises `NotFound`."""
        found = await self.find(key)
        if found is None:
            raise NotFound(self.kind.__name__, key)
        return found

    async def by(self, path: str, value: str) -> list[A]:
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
        past = await self.session.backend.query(
            f"{self.collection}_history",
            {"key": key, "recorded_at": {"$lte": instant}},
            [("version", -1)],
            1,
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


# --- committing, together -----------------------------------------------------------------------


class GroupCommit:
    """Lets concurrent change sets share a transaction, without sharing their fate.

    `lanes` transactions run side by side; a change set that touches a document which is being
    written waits for the next round, so that batches never fight over a document.
    """

    def __init__(self, backend: Backend, *, lanes: int = 2, max_batch: int = 256) -> None:
        self._backend = backend
        self._lanes, self._max_batch = lanes, max_batch
        self._queue: list[tuple[ChangeSet, asyncio.Future[Outcome]]] = []
        self._in_flight: set[tuple[str, Any]] = set()
        self._tasks: set[asyncio.Task[bool]] = set()
        self.on_commit: Callable[[], None] = lambda: None
        """Called after each commit (the relay's wake-up)."""

    async def submit(self, changes: ChangeSet) -> Outcome:
        """Have it committed; returns when it is durable, or why it could not be."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._queue.append((changes, future))
        self._start()
        return await future

    def _start(self) -> None:
        if len(self._tasks) < self._lanes and self._queue:
            task = asyncio.create_task(self._round())
            self._tasks.add(task)
            task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[bool]) -> None:
        self._tasks.discard(task)
        if task.result():
            self._start()
        # Else all that waits touches what another lane is writing: that lane starts the next.

    def _take(self) -> tuple[list[tuple[ChangeSet, asyncio.Future[Outcome]]], set[Any]]:
        taken: list[tuple[ChangeSet, asyncio.Future[Outcome]]] = []
        left: list[tuple[ChangeSet, asyncio.Future[Outcome]]] = []
        touched: set[tuple[str, Any]] = set()
        for entry in self._queue:
            places = entry[0].touched()
            if (
                len(taken) < self._max_batch
                and touched.isdisjoint(places)
                and self._in_flight.isdisjoint(places)
            ):
                touched |= places
                taken.append(entry)
            else:
                left.append(entry)
        self._queue = left
        return taken, touched

    async def _round(self) -> bool:
        await asyncio.sleep(0)  # let those who are ready in this turn of the loop come along
        batch, touched = self._take()
        if not batch:
            return False
        self._in_flight |= touched
        metrics.commit_batch.observe(len(batch))
        try:
            outcomes = await self._backend.commit([changes for changes, _ in batch])
        except Exception as error:  # noqa: BLE001 - told to everybody in the batch
            for _, future in batch:
                _settle(future, error)
        else:
            for (_, future), outcome in zip(batch, outcomes, strict=True):
                if not future.done():
                    future.set_result(outcome)
            self.on_commit()
        finally:
            self._in_flight -= touched
        return True


# --- one act ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mark:
    """What makes an act happen once: the name under which it is remembered, and its content."""

    name: str
    """`<caller>/<request_id>`, or `event/<event id>`."""
    content: bytes = b""
    """What must be the same when the name comes again."""

    def digest(self) -> str:
        """SHA-256 of the content."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """The result of an act: fresh, or the bytes kept from the first time it was asked for."""

    result: T | None
    reply: bytes
    replayed: bool


class UnitOfWork(Generic[S]):
    """Runs acts of the field on fresh ports, commits what they staged, once and only once."""

    ATTEMPTS: ClassVar[int] = 12

    def __init__(
        self,
        backend: Backend,
        stores: Callable[[Session], S],
        publish: Publisher,
        clock: Clock,
        commit: GroupCommit | None = None,
    ) -> None:
        self.backend, self.clock = backend, clock
        self._stores, self._publish = stores, publish
        self._loader = _Loader(backend)
        self.commit = commit or GroupCommit(backend)

    async def read(self, act: Callable[[S], Awaitable[T]]) -> T:
        """Run an act that writes nothing."""
        return await act(self._stores(Session(self.backend, self._loader)))

    async def write(
        self,
        mark: Mark,
        act: Callable[[S, datetime], Awaitable[T]],
        render: Callable[[T], bytes] = lambda _: b"",
    ) -> Done[T]:
        """Run an act and commit what it staged, together with its events and its mark.

        An act whose mark is known is not run: the reply of the first time comes back; the same
        mark with other content raises `RequestIdReused`. An act that lost a race is decided again
        on fresh state. Raises what the act raises; then nothing was written.
        """
        taken: Taken | None = None
        times_taken = 0
        for attempt in range(self.ATTEMPTS):
            if attempt > 1:
                await asyncio.sleep(random.uniform(0, 0.002 * 2 ** min(attempt, 6)))  # noqa: S311 - jitter
            known = await self._loader.load(MARKS, "_id", mark.name)
            if known:
                if known[0]["digest"] != mark.digest():
                    raise RequestIdReused
                return Done(None, known[0]["reply"], replayed=True)
            if taken is not None and times_taken > 1:
                raise AlreadyExists(taken.index)
            session = Session(self.backend, self._loader)
            now = self.clock()
            result = await act(self._stores(session), now)
            changes = session.changes(self._publish, now)
            # The reply is rendered as it will be after the commit: with the new versions.
            session.committed()
            reply = render(result)
            document = {"_id": mark.name, "digest": mark.digest(), "reply": reply}
            changes.writes.append(Write(MARKS, document | {"expires_at": now + MARK_TTL}))
            outcome = await self.commit.submit(changes)
            if outcome is None:
                return Done(result, reply, replayed=False)
            if isinstance(outcome, Taken) and outcome.collection != MARKS:
                # Perhaps it is our own record, from an answer that got lost, or one that the act
                # would take up if it saw it: decide once more before telling the caller that
                # somebody else holds it.
                taken, times_taken = outcome, times_taken + 1
            else:
                # A race, or our own mark: what was taken before may have been decided anew since.
                taken, times_taken = None, 0
        raise StaleVersion("record")


def collections_of(repositories: Iterable[type[Repository[Any]]]) -> dict[str, list[Index]]:
    """Every collection a service needs, with the ones that each service has."""
    needed: dict[str, list[Index]] = {
        OUTBOX: [],
        MARKS: [Index((("expires_at", 1),), expire_after_seconds=0)],
        DEAD_LETTERS: [Index((("state", 1), ("_id", 1)))],
        LEASES: [],
    }
    for repository in repositories:
        needed[repository.collection] = list(repository.indexes)
        if repository.history:
            needed[f"{repository.collection}_history"] = [
                Index((("key", 1), ("version", -1)), unique=True)
            ]
    return needed
