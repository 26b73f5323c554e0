"""MongoDB behind the `Backend` port; the only module that imports a driver.

The synchronous driver, in threads of its own: a transaction is one trip to a thread and not one
through the event loop for each of its commands, which costs a third of what the driver's async API
does and half of its waiting (`docs/decisions/`). Write concern majority with journal and read
concern majority are set here, for every client, in code.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final, TypeVar

from pymongo import IndexModel, InsertOne, MongoClient, ReplaceOne, ReturnDocument
from pymongo.client_session import ClientSession
from pymongo.database import Database
from pymongo.errors import (
    BulkWriteError,
    CollectionInvalid,
    ConfigurationError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
)
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from eldex.common import steps
from eldex.common.errors import CannotStart, TooBroad, Unavailable
from eldex.common.identifiers import new_key
from eldex.common.store import (
    LEASES,
    MARKS,
    OUTBOX,
    Backlog,
    Bundle,
    ChangeSet,
    Document,
    Index,
    Lost,
    Outcome,
    Taken,
    Write,
)

T = TypeVar("T")

_THREADS: Final = 12
"""More than ever wait at once: two lanes of commits, a reader per path, the relay, a few pages."""
_DURABLE = WriteConcern(w="majority", j=True)
_MAJORITY = ReadConcern("majority")
_DUPLICATE_KEY = 11000


class NotAReplicaSet(CannotStart):
    """The database is a standalone mongod: it has no transactions."""

    def __init__(self, uri: str) -> None:
        super().__init__(
            f"the MongoDB at {uri} is not a replica set, which transactions need: start mongod with "
            "--replSet rs0 and run rs.initiate() once, or point ELDEX_MONGO_URI at a replica set"
        )


@asynccontextmanager
async def connect(uri: str, database: str) -> AsyncIterator[MongoBackend]:
    """A backend on one database; checks that the server can do transactions."""
    client: MongoClient[Document] = MongoClient(
        uri,
        tz_aware=True,
        serverSelectionTimeoutMS=5_000,
        retryWrites=True,
        appname=database,
    )
    threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="mongo")
    try:
        asked = asyncio.get_running_loop().run_in_executor(threads, client.admin.command, "hello")
        try:
            hello = await asked
        except PyMongoError as error:
            raise Unavailable("MongoDB") from error
        if "setName" not in hello:
            raise NotAReplicaSet(uri.rsplit("@", 1)[-1])
        yield MongoBackend(client, database, threads)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        client.close()


class MongoBackend:
    """`Backend` on MongoDB transactions."""

    def __init__(
        self, client: MongoClient[Document], database: str, threads: ThreadPoolExecutor
    ) -> None:
        self._client, self._threads = client, threads
        self._database: Database[Document] = client.get_database(
            database, write_concern=_DURABLE, read_concern=_MAJORITY
        )

    async def ask(self, work: Callable[[Database[Document]], T]) -> T:
        """What only this database can do: `work` runs in a thread, and again after what passes."""
        return await self._patiently(partial(work, self._database))

    async def _patiently(self, work: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        return await patiently(lambda: loop.run_in_executor(self._threads, work))

    async def prepare(self, collections: Mapping[str, Sequence[Index]]) -> None:
        await self.ask(partial(_prepare, collections))

    async def fetch(self, collection: str, path: str, values: Sequence[Any]) -> list[Document]:
        where = {path: values[0] if len(values) == 1 else {"$in": list(values)}}
        return await self.query(collection, where)

    async def query(
        self,
        collection: str,
        where: Mapping[str, Any],
        order: Sequence[tuple[str, int]] = (),
        limit: int = 0,
    ) -> list[Document]:
        def run(database: Database[Document]) -> list[Document]:
            found = database[collection].find(where, limit=limit, batch_size=10_000)
            return list(found.sort(list(order)) if order else found)

        return await self.ask(run)

    async def count(self, collection: str, where: Mapping[str, Any]) -> int:
        return await self.ask(lambda database: database[collection].count_documents(where))

    async def outgoing(self, limit: int) -> list[Bundle]:
        found = await self.query(OUTBOX, {}, limit=limit)
        return [Bundle(document["_id"], document["events"]) for document in found]

    async def delivered(self, bundles: Sequence[Bundle]) -> None:
        keys = [bundle.key for bundle in bundles]
        await self.ask(lambda database: database[OUTBOX].delete_many({"_id": {"$in": keys}}))

    async def backlog(self) -> Backlog:
        counting = {
            "_id": None,
            "events": {"$sum": {"$size": "$events"}},
            "oldest_at": {"$min": {"$first": "$events.timestamp"}},
        }

        found = await self.ask(
            lambda database: list(database[OUTBOX].aggregate([{"$group": counting}]))
        )
        return Backlog(found[0]["events"], found[0]["oldest_at"]) if found else Backlog(0, None)

    async def lease(self, name: str, owner: str, seconds: float) -> bool:
        mine_or_over = {
            "$or": [
                {"$eq": ["$owner", owner]},
                {"$lt": [{"$ifNull": ["$until", datetime.min.replace(tzinfo=UTC)]}, "$$NOW"]},
            ]
        }
        until = {"$add": ["$$NOW", int(seconds * 1000)]}
        take = {
            "owner": {"$cond": [mine_or_over, owner, "$owner"]},
            "until": {"$cond": [mine_or_over, until, "$until"]},
        }

        def run(database: Database[Document]) -> bool:
            lease = database[LEASES].find_one_and_update(
                {"_id": name}, [{"$set": take}], upsert=True, return_document=ReturnDocument.AFTER
            )
            return lease is not None and bool(lease["owner"] == owner)

        return await self.ask(run)

    async def commit(self, batch: Sequence[ChangeSet]) -> list[Outcome]:
        steps.reached("before-commit")
        outcomes: dict[int, Outcome] = dict.fromkeys(range(len(batch)))
        await self._commit_part(list(enumerate(batch)), outcomes, broken=0)
        return [outcomes[i] for i in range(len(batch))]

    async def _commit_part(
        self, part: list[tuple[int, ChangeSet]], outcomes: dict[int, Outcome], broken: int
    ) -> None:
        while part:
            try:
                failed = await self._patiently(partial(self._transact, part))
            except _Contended:
                await self._apart(part, outcomes)
                return
            if not failed:
                return
            outcomes.update(failed)
            part = [entry for entry in part if entry[0] not in failed]
            broken += 1
            if broken % 3 == 0 and len(part) > 1:
                # Many unwritable ones: halve, so that n of them cost log n rounds and not n.
                middle = len(part) // 2
                await self._commit_part(part[:middle], outcomes, broken=0)
                part = part[middle:]

    async def _apart(self, part: list[tuple[int, ChangeSet]], outcomes: dict[int, Outcome]) -> None:
        """Keep the one that meets a foreign transaction from holding its neighbours up.

        A transaction whose process was killed keeps its documents until the database ends it
        (`transactionLifetimeLimitSeconds`); who needs them decides again until then.
        """
        if len(part) == 1:
            outcomes[part[0][0]] = Lost()
            return
        middle = len(part) // 2
        await self._commit_part(part[:middle], outcomes, broken=0)
        await self._commit_part(part[middle:], outcomes, broken=0)

    def _transact(self, part: Sequence[tuple[int, ChangeSet]]) -> dict[int, Outcome]:
        """Try the whole part in one transaction; those that made it impossible, or none."""
        by_collection: dict[str, list[tuple[int, Write]]] = defaultdict(list)
        told: list[Document] = []
        for i, changes in part:
            for write in changes.writes:
                if write.collection == OUTBOX:
                    told.append(write.document)
                else:
                    by_collection[write.collection].append((i, write))
        with (
            self._client.start_session() as session,
            session.start_transaction(read_concern=ReadConcern("snapshot"), write_concern=_DURABLE),
        ):
            for name, writes in by_collection.items():
                failed = self._write(name, writes, session)
                if failed:
                    session.abort_transaction()
                    return failed if name != MARKS else self._marked(writes)
            if told:
                self._database[OUTBOX].insert_many(bundled(told), session=session)
            # Leaving the block commits; an unknown result is told by a label (patiently).
        return {}

    def _write(
        self, name: str, writes: Sequence[tuple[int, Write]], session: ClientSession
    ) -> dict[int, Outcome]:
        requests: list[Any] = []
        expected = 0
        for _, write in writes:
            if write.replaces is None:
                requests.append(InsertOne(write.document))
            else:
                guard = {"_id": write.document["_id"], "version": write.replaces}
                requests.append(ReplaceOne(guard, write.document))
                expected += 1
        try:
            result = self._database[name].bulk_write(requests, session=session)
        except BulkWriteError as error:
            first = error.details["writeErrors"][0]
            if first["code"] != _DUPLICATE_KEY:
                raise
            paths = "+".join(first.get("keyPattern", {"_id": 1}))
            return {writes[first["index"]][0]: Taken(name, paths)}
        if result.matched_count == expected:
            return {}
        return self._stale(name, writes)

    def _marked(self, writes: Sequence[tuple[int, Write]]) -> dict[int, Outcome]:
        """Those whose mark is known: when events come again, all of a batch may be, so ask at once."""
        keys = [write.document["_id"] for _, write in writes]
        found = self._database[MARKS].find({"_id": {"$in": keys}}, {"_id": 1})
        known = {document["_id"] for document in found}
        taken = {i: Taken(MARKS, "_id") for i, w in writes if w.document["_id"] in known}
        # Nobody's is known any more: the writer we met has not committed. All decide again.
        return dict(taken) or {i: Lost() for i, _ in writes}

    def _stale(self, name: str, writes: Sequence[tuple[int, Write]]) -> dict[int, Outcome]:
        guarded = [(i, w) for i, w in writes if w.replaces is not None]
        keys = [w.document["_id"] for _, w in guarded]
        found = self._database[name].find({"_id": {"$in": keys}}, {"version": 1})
        versions = {d["_id"]: d["version"] for d in found}
        lost = {i: Lost() for i, w in guarded if versions.get(w.document["_id"]) != w.replaces}
        # Nobody is stale any more: the writer we met has not committed yet. All decide again.
        return dict(lost) or {i: Lost() for i, _ in guarded}


def _prepare(collections: Mapping[str, Sequence[Index]], database: Database[Document]) -> None:
    present = set(database.list_collection_names())
    for name, indexes in collections.items():
        if name not in present:
            # Another replica of the service may be faster: that is what we wanted.
            with suppress(CollectionInvalid):
                database.create_collection(name)
        if indexes:
            database[name].create_indexes([_index(index) for index in indexes])


_BUNDLE_BYTES = 8 * 1024 * 1024
"""Well below what a document may have (16 MiB)."""


def bundled(entries: Sequence[Document]) -> list[Document]:
    """The documents in which outbox entries are kept: one, but for its greatest size."""
    bundles: list[Document] = []
    size = _BUNDLE_BYTES
    for entry in entries:
        entry_bytes = len(entry.get("payload", b"")) + _ENTRY_BYTES
        if size + entry_bytes > _BUNDLE_BYTES:
            bundles.append({"_id": new_key("out"), "events": []})
            size = 0
        bundles[-1]["events"].append(entry)
        size += entry_bytes
    return bundles


_ENTRY_BYTES = 2 * 1024
"""More than the attributes of an event take, beside its payload."""


async def patiently(run: Callable[[], Awaitable[T]], seconds: float = 20.0) -> T:
    """Repeat what failed for a reason that passes: a lost connection, a new primary, a conflict.

    A commit whose result is unknown is repeated too: if it had gone through, the version guards
    and the marks of the second try find that out.
    """
    loop = asyncio.get_running_loop()
    deadline, pause = loop.time() + seconds, 0.002
    contended = 0
    while True:
        try:
            return await run()
        except ConfigurationError:
            raise
        except ExecutionTimeout as error:
            raise TooBroad from error
        except PyMongoError as error:
            if _contended(error):
                contended += 1
                if contended > _CONTENDED_TRIES:
                    raise _Contended from error
            elif not _passes(error):
                raise
            if loop.time() > deadline:
                raise Unavailable("MongoDB") from error
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
        pause = min(pause * 2, 1.0)


class _Contended(Exception):
    """Another transaction keeps a document that this one writes."""


_WRITE_CONFLICT = 112
_CONTENDED_TRIES = 4


def _contended(error: PyMongoError) -> bool:
    if isinstance(error, BulkWriteError):
        return any(e["code"] == _WRITE_CONFLICT for e in error.details.get("writeErrors", ()))
    return isinstance(error, OperationFailure) and error.code == _WRITE_CONFLICT


def _passes(error: PyMongoError) -> bool:
    if isinstance(error, BulkWriteError):
        return error.has_error_label("TransientTransactionError")
    if isinstance(error, OperationFailure):
        return any(
            error.has_error_label(label)
            for label in (
                "TransientTransactionError",
                "UnknownTransactionCommitResult",
                "RetryableWriteError",
            )
        ) or error.code in {91, 189, 11600, 11602, 10107, 13435, 13436}
    return True  # connection and server-selection errors


def _index(index: Index) -> IndexModel:
    options: dict[str, Any] = {"unique": index.unique}
    if index.where:
        options["partialFilterExpression"] = dict(index.where)
    if index.expire_after_seconds is not None:
        options["expireAfterSeconds"] = index.expire_after_seconds
    return IndexModel(list(index.fields), name=index.name.replace(".", "_"), **options)
