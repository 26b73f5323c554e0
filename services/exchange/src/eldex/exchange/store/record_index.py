"""The searchable copy of the message log in MongoDB: made afterwards, by number; the files are the truth."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from eldex.common.errors import DomainError
from eldex.common.logs import logger
from eldex.common.store import Backend, ChangeSet, Document, Index, Write
from eldex.evidence.records import Record
from eldex.exchange.domain.message_log import LoggedRecord

RECORDS: Final = "records"
COLLECTIONS: Final = {
    RECORDS: [
        Index((("subsystem", 1), ("_id", -1))),
        Index((("method", 1), ("_id", -1))),
        Index((("trace_id", 1),)),
        Index((("answered_at", 1), ("_id", 1))),
        # A record without subjects is in no ledger, and not in the index either.
        Index((("subjects", 1), ("_id", -1)), where={"has_subjects": True}),
    ]
}
_AT_ONCE: Final = 500
_AGAIN_SECONDS: Final = 1.0
_CATCH_UP_SECONDS: Final = 1.0
_PAUSE_SECONDS: Final = 0.25
"""After a batch: what comes meanwhile shares the next transaction. A search cuts it short."""


class RecordIndex:
    """Takes records over when they are on disk; what the database missed is made up for later."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._waiting: list[tuple[int, bytes]] = []
        self._task: asyncio.Task[None] | None = None
        self._grown = asyncio.Condition()
        self._wanted = asyncio.Event()

    async def start(self, size: int, record: Callable[[int], bytes | None]) -> None:
        """Take over what was logged and not indexed when the process ended.

        Args:
            size: how many records the log has.
            record: a record, or None where it was archived.
        """
        newest = await self._backend.query(RECORDS, {}, [("_id", -1)], 1)
        known = newest[0]["_id"] + 1 if newest else 0
        for start in range(known, size, _AT_ONCE):
            numbers = range(start, min(start + _AT_ONCE, size))
            lines = await asyncio.to_thread(list, map(record, numbers))
            found = zip(numbers, lines, strict=True)
            self._take([(number, line) for number, line in found if line is not None])
            if self._task is not None:
                self._wanted.set()
                await asyncio.wait([self._task], timeout=_AGAIN_SECONDS)

    def add(self, first: int, lines: Sequence[bytes]) -> None:
        """Have records indexed soon."""
        self._take(list(enumerate(lines, first)))

    def _take(self, numbered: Sequence[tuple[int, bytes]]) -> None:
        self._waiting += numbered
        if self._waiting and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while self._waiting:
            batch = self._waiting[:_AT_ONCE]
            try:
                await self._write(batch)
            except DomainError as error:
                logger().warning("log_not_searchable", reason=error.reason)
                await asyncio.sleep(_AGAIN_SECONDS)
                continue
            del self._waiting[: len(batch)]
            async with self._grown:
                self._grown.notify_all()
            if len(self._waiting) < _AT_ONCE:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wanted.wait(), _PAUSE_SECONDS)
            self._wanted.clear()

    async def _caught_up(self) -> None:
        """Wait until what is logged now is searchable; not for ever, if the database is behind."""
        if not self._waiting:
            return
        newest = self._waiting[-1][0]
        self._wanted.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CATCH_UP_SECONDS), self._grown:
                await self._grown.wait_for(
                    lambda: not self._waiting or self._waiting[0][0] > newest
                )

    async def _write(self, batch: Sequence[tuple[int, bytes]]) -> None:
        numbers = [number for number, _ in batch]
        changes = ChangeSet([Write(RECORDS, _document(n, line), is_new=True) for n, line in batch])
        (outcome,) = await self._backend.commit([changes])
        if outcome is None:
            return
        # Some are there: an answer of the database was lost, or it was ahead of a restored log.
        known = {d["_id"] for d in await self._backend.fetch(RECORDS, "_id", numbers)}
        left = [each for each in changes.writes if each.document["_id"] not in known]
        if left:
            await self._backend.commit([ChangeSet(left)])

    async def search(
        self, where: Mapping[str, Any], *, size: int, before: int | None
    ) -> tuple[list[LoggedRecord], int | None]:
        """Records that match, newest first, and where the next page begins.

        Who has an answer finds its record: a search waits for the copy to catch up.
        """
        await self._caught_up()
        query: Document = dict(where)
        if "subjects" in query:
            query["has_subjects"] = True
        numbers = await self._numbers(query.pop("answered_at", {}))
        if before is not None:
            numbers["$lt"] = min(before, numbers.get("$lt", before))
        if numbers:
            query["_id"] = numbers
        found = await self._backend.query(RECORDS, query, [("_id", -1)], size + 1)
        records = [LoggedRecord(d["_id"], Record.parse(bytes(d["line"]))) for d in found[:size]]
        return records, records[-1].index if len(found) > size else None

    async def _numbers(self, times: Mapping[str, datetime]) -> dict[str, int]:
        """Between which numbers the records of a time lie: their times never decrease.

        So every other condition is found by its own index, whose order is the number's.
        """
        numbers: dict[str, int] = {}
        for operator, at in times.items():
            where = {"answered_at": {"$gte": at}}
            first = await self._backend.query(RECORDS, where, [("answered_at", 1), ("_id", 1)], 1)
            if first:
                numbers[operator] = first[0]["_id"]
            elif operator == "$gte":
                return {"$lt": 0}  # there is none so young
        return numbers

    async def close(self) -> None:
        """Give what is waiting a moment; the next start makes up for the rest."""
        if self._task is not None and not self._task.done():
            self._wanted.set()
            await asyncio.wait([self._task], timeout=2.0)


def _document(index: int, line: bytes) -> Document:
    record = Record.parse(line)
    return {
        "_id": index,
        "kind": record.kind,
        "subsystem": record.subsystem,
        "method": record.method,
        "purpose": record.purpose,
        "agreement_key": record.agreement_key,
        "trace_id": record.trace_id,
        "answered_at": record.answered_at,
        "code": record.code,
        "denied": record.code == "PERMISSION_DENIED",
        "subjects": list(record.subject_hashes),
        "has_subjects": bool(record.subject_hashes),
        "line": line,
    }
