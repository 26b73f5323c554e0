"""The in-memory twin of the database, for unit tests; `suites.BackendSuite` proves it."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eldex.common.store import (
    OUTBOX,
    Backlog,
    Bundle,
    ChangeSet,
    Document,
    Index,
    Lost,
    Outcome,
    Taken,
    values_at,
)


class MemoryBackend:
    """`Backend` in dictionaries. A commit lets other tasks run, as a real one does."""

    def __init__(self) -> None:
        self.collections: dict[str, dict[Any, Document]] = {}
        self._indexes: dict[str, list[Index]] = {}
        self._leases: dict[str, tuple[str, float]] = {}

    async def prepare(self, collections: Mapping[str, Sequence[Index]]) -> None:
        for name, indexes in collections.items():
            self.collections.setdefault(name, {})
            self._indexes[name] = [index for index in indexes if index.unique]

    async def fetch(self, collection: str, path: str, values: Sequence[Any]) -> list[Document]:
        return await self.query(collection, {path: {"$in": list(values)}})

    async def query(
        self,
        collection: str,
        where: Mapping[str, Any],
        order: Sequence[tuple[str, int]] = (),
        limit: int = 0,
    ) -> list[Document]:
        await asyncio.sleep(0)
        found = [d for d in self.collections.get(collection, {}).values() if matches(d, where)]
        for path, direction in reversed(order):
            found.sort(key=lambda d: _sort_key(d, path), reverse=direction < 0)
        return copy.deepcopy(found[:limit] if limit else found)

    async def count(self, collection: str, where: Mapping[str, Any]) -> int:
        return len(await self.query(collection, where))

    async def outgoing(self, limit: int) -> list[Bundle]:
        # Here each entry is a bundle of its own.
        entries = await self.query(OUTBOX, {}, limit=limit)
        return [Bundle(entry["_id"], [entry]) for entry in entries]

    async def delivered(self, bundles: Sequence[Bundle]) -> None:
        for bundle in bundles:
            self.collections[OUTBOX].pop(bundle.key, None)

    async def backlog(self) -> Backlog:
        entries = list(self.collections[OUTBOX].values())
        return Backlog(len(entries), entries[0]["timestamp"] if entries else None)

    async def lease(self, name: str, owner: str, seconds: float) -> bool:
        holder, until = self._leases.get(name, (owner, 0.0))
        if holder != owner and until > time.monotonic():
            return False
        self._leases[name] = (owner, time.monotonic() + seconds)
        return True

    async def commit(self, batch: Sequence[ChangeSet]) -> list[Outcome]:
        await asyncio.sleep(0)
        return [self._commit_one(changes) for changes in batch]

    def _commit_one(self, changes: ChangeSet) -> Outcome:
        for write in changes.writes:
            collection = self.collections.setdefault(write.collection, {})
            present = collection.get(write.document["_id"])
            if write.replaces is not None:
                if present is None or present["version"] != write.replaces:
                    return Lost()
            elif present is not None:
                return Taken(write.collection, "_id")
            taken = self._taken(write.collection, write.document)
            if taken is not None:
                return Taken(write.collection, taken)
        for write in changes.writes:
            self.collections[write.collection][write.document["_id"]] = copy.deepcopy(
                write.document
            )
        return None

    def _taken(self, collection: str, document: Document) -> str | None:
        for index in self._indexes.get(collection, []):
            if index.where and not matches(document, index.where):
                continue
            mine = [values_at(document, path) for path, _ in index.fields]
            for other in self.collections[collection].values():
                if other["_id"] == document["_id"]:
                    continue
                if index.where and not matches(other, index.where):
                    continue
                theirs = [values_at(other, path) for path, _ in index.fields]
                if all(
                    set(a or [None]) & set(b or [None]) for a, b in zip(mine, theirs, strict=True)
                ):
                    return index.name
        return None


def _sort_key(document: Document, path: str) -> tuple[bool, Any]:
    values = [v for v in values_at(document, path) if v is not None]
    return (True, min(values)) if values else (False, 0)


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": lambda a, b: a > b,
    "$gte": lambda a, b: a >= b,
    "$lt": lambda a, b: a < b,
    "$lte": lambda a, b: a <= b,
}


def matches(document: Document, where: Mapping[str, Any]) -> bool:
    """Whether a document matches; an operator that the port does not promise is an error."""
    for path, wanted in where.items():
        if path == "$or":
            if not any(matches(document, option) for option in wanted):
                return False
            continue
        if path == "$and":
            if not all(matches(document, option) for option in wanted):
                return False
            continue
        values = values_at(document, path)
        is_operators = isinstance(wanted, Mapping) and any(k.startswith("$") for k in wanted)
        operators = dict(wanted) if is_operators else {"$eq": wanted}
        if "$elemMatch" in operators:
            inner = operators.pop("$elemMatch")
            if not any(isinstance(v, Mapping) and matches(dict(v), inner) for v in values):
                return False
        for operator, operand in operators.items():
            if not _holds(values, operator, operand):
                return False
    return True


def _holds(values: list[Any], operator: str, operand: Any) -> bool:
    if operator == "$eq":
        return operand in values or (operand is None and not [v for v in values if v is not None])
    if operator == "$ne":
        return not _holds(values, "$eq", operand)
    if operator == "$in":
        return any(_holds(values, "$eq", each) for each in operand)
    compare = _COMPARE[operator]
    return any(type(v) is type(operand) and compare(v, operand) for v in values)
