"""The database as the unit of work needs it: a port, and what passes through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from eldex.common.errors import AlreadyExists

Document = dict[str, Any]
"""A MongoDB document; `_id` is the key."""

OUTBOX = "outbox"
MARKS = "marks"
DEAD_LETTERS = "dead_letters"
LEASES = "leases"
MARK_TTL = timedelta(days=45)
"""How long a request_id or an event id is remembered: longer than any topic keeps an event, which is its
retention and, until a segment is full, the broker's 7 days more."""


@dataclass(frozen=True, slots=True)
class Index:
    """An index that a collection needs; `fields` as (path, 1 | -1)."""

    fields: tuple[tuple[str, int], ...]
    unique: bool = False
    where: Mapping[str, Any] | None = None
    """Partial filter: the index (and its uniqueness) holds only for documents that match."""
    expire_after_seconds: int | None = None
    taken: type[AlreadyExists] = AlreadyExists
    """Of a unique index: what whoever breaks it is told."""

    @property
    def name(self) -> str:
        """Derived from the fields, as the database names them when a document breaks it."""
        return "+".join(path for path, _ in self.fields)


@dataclass(frozen=True, slots=True)
class Write:
    """One document to write: a new one, or the successor of version `replaces`."""

    collection: str
    document: Document
    replaces: int | None = None
    is_new: bool = False
    """Nobody else can be writing a document with this key."""


@dataclass(slots=True)
class ChangeSet:
    """All that one act writes; it happens as a whole or not at all."""

    writes: list[Write] = field(default_factory=list)

    def touched(self) -> set[tuple[str, Any]]:
        """What it writes that others may write too; two that touch the same never share a batch.

        Events and versions of the past are new in every change set and left out.
        """
        return {(w.collection, w.document["_id"]) for w in self.writes if not w.is_new}


class Lost(Exception):
    """The change set lost a race: something it read was changed before it could commit."""


class Taken(Exception):
    """The change set would have broken a unique index; `index` names the fields."""

    def __init__(self, collection: str, index: str) -> None:
        super().__init__(f"{collection}.{index}")
        self.collection, self.index = collection, index


Outcome = Lost | Taken | None
"""What became of a change set; None: committed and durable."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Outbox entries that were committed together, and are taken out together."""

    key: Any
    entries: list[Document]


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits in the outbox."""

    events: int
    oldest_at: datetime | None


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

    async def outgoing(self, limit: int) -> list[Bundle]:
        """The oldest bundles of the outbox, in the order in which they were written, at most `limit` (0: all).

        What was written to `OUTBOX` by one transaction is kept as one document or a few, so that an
        event costs the database no write and no deletion of its own.
        """

    async def delivered(self, bundles: Sequence[Bundle]) -> None:
        """Take bundles out of the outbox, outside of any transaction."""

    async def backlog(self) -> Backlog:
        """How many events wait in the outbox, and since when."""

    async def lease(self, name: str, owner: str, seconds: float) -> bool:
        """Take or renew a lease by the database's clock; False while another owner has it."""


def values_at(document: Mapping[str, Any], path: str) -> list[Any]:
    """The values a dotted path reaches, looking into arrays as MongoDB does."""
    if "." not in path:  # the usual case
        value = document.get(path, _ABSENT)
        if value is _ABSENT:
            return []
        return value if isinstance(value, list) else [value]
    found: list[Any] = [document]
    for name in path.split("."):
        items = [i for value in found for i in (value if isinstance(value, list) else [value])]
        found = [item[name] for item in items if isinstance(item, Mapping) and name in item]
    return [i for value in found for i in (value if isinstance(value, list) else [value])]


_ABSENT = object()
