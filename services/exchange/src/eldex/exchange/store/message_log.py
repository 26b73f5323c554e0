"""The message log: one entry per exchange, chained, on disk before the reply leaves.

Entries are `LoggedCall` messages, each preceded by its length (4 bytes, big-endian), in segment
files named by the number of their first entry. Every entry carries the SHA-256 of the one before,
so that a change anywhere shows at every later one. Concurrent calls share a write and a flush.
MongoDB gets a copy to search in afterwards; the file is the truth.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from eldex.api.exchange.v1 import agreement_pb2 as pb
from eldex.common.errors import DomainError, Kind
from eldex.common.logs import logger
from eldex.common.store import Backend, ChangeSet, Document, Index, Write
from eldex.exchange import wire
from eldex.exchange.domain.message_log import LogEntry, LoggedCall, Receipt

CALLS: Final = "calls"
COLLECTIONS: Final = {
    CALLS: [
        Index((("subsystem", 1), ("_id", -1))),
        Index((("method", 1), ("_id", -1))),
        Index((("trace_id", 1),)),
    ]
}
_LENGTH_BYTES: Final = 4
_SEGMENT_ENTRIES: Final = 100_000
_GENESIS: Final = bytes(32)


class NoEvidence(DomainError):
    """The log cannot be written: no reply leaves without evidence."""

    kind, reason = Kind.UNAVAILABLE, "NO_EVIDENCE"
    zh = "交换日志暂时无法写入，未留存证据的结果不予返回；请稍后以同一 request_id 重试"
    en = (
        "the message log cannot be written and no reply leaves without evidence: try again with "
        "the same request_id"
    )


class BrokenLog(Exception):
    """The log on disk is not what was written; says which entry."""


def entry_hash(data: bytes) -> bytes:
    """The hash of an entry (a leaf of RFC 9162)."""
    return hashlib.sha256(b"\x00" + data).digest()


class MessageLog:
    """The log of one exchange process."""

    def __init__(self, folder: Path, backend: Backend) -> None:
        self._folder, self._backend = folder, backend
        self._file = -1
        self._next, self._last_hash = 0, _GENESIS
        self._waiting: list[tuple[LogEntry, asyncio.Future[Receipt]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._indexed: list[pb.LoggedCall] = []
        self._indexer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the log: check the last segment, cut off what a crash left half-written."""
        self._folder.mkdir(parents=True, exist_ok=True)
        segments = sorted(self._folder.glob("*.log"))
        newest = await self._backend.query(CALLS, {}, [("_id", -1)], 1)
        searchable = newest[0]["_id"] + 1 if newest else 0
        if segments:
            whole = 0
            for end, call, data in read_segment(segments[-1]):
                if call.previous_hash != self._last_hash and self._next:
                    raise BrokenLog(f"{segments[-1].name}: entry {call.log_index} does not follow")
                self._next, self._last_hash, whole = call.log_index + 1, entry_hash(data), end
                if call.log_index >= searchable:
                    self._indexed.append(call)
            if whole < segments[-1].stat().st_size:
                logger().warning("log_tail_cut", segment=segments[-1].name, kept_bytes=whole)
                os.truncate(segments[-1], whole)
        self._open(segments[-1] if segments else self._segment())
        self._index_later()

    def _segment(self) -> Path:
        return self._folder / f"{self._next:012d}.log"

    def _open(self, path: Path) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    async def append(self, entry: LogEntry) -> Receipt:
        """Write an entry; returns when it is on disk. Raises `NoEvidence`."""
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, future))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        return await asyncio.shield(future)

    async def _write(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            calls, frames, receipts = self._chain([entry for entry, _ in batch])
            try:
                await asyncio.to_thread(self._flush, b"".join(frames))
            except OSError as error:
                logger().error("log_not_written", errno=error.errno)
                for _, future in batch:
                    future.set_exception(NoEvidence())
                    future.exception()
                continue
            self._next = receipts[-1].index + 1
            self._last_hash = receipts[-1].entry_hash
            for (_, future), receipt in zip(batch, receipts, strict=True):
                future.set_result(receipt)
            self._indexed += calls
            self._index_later()
            if self._next % _SEGMENT_ENTRIES < len(batch):
                self._open(self._segment())

    def _chain(
        self, entries: Sequence[LogEntry]
    ) -> tuple[list[pb.LoggedCall], list[bytes], list[Receipt]]:
        number, last = self._next, self._last_hash
        calls, frames, receipts = [], [], []
        for entry in entries:
            call = wire.logged_call(LoggedCall(number, entry, last))
            data = call.SerializeToString(deterministic=True)
            last = entry_hash(data)
            calls.append(call)
            frames.append(len(data).to_bytes(_LENGTH_BYTES, "big") + data)
            receipts.append(Receipt(number, last))
            number += 1
        return calls, frames, receipts

    def _flush(self, data: bytes) -> None:
        before = os.fstat(self._file).st_size
        try:
            written = os.write(self._file, data)
            if written < len(data):
                raise OSError(28, "the disk took only a part")
            os.fdatasync(self._file)
        except OSError:
            os.ftruncate(self._file, before)  # half an entry is no entry
            raise

    def _index_later(self) -> None:
        if self._indexed and (self._indexer is None or self._indexer.done()):
            self._indexer = asyncio.create_task(self._index())

    async def _index(self) -> None:
        while self._indexed:
            batch = self._indexed[:500]
            writes = [Write(CALLS, _document(call)) for call in batch]
            try:
                known = {
                    d["_id"]
                    for d in await self._backend.fetch(
                        CALLS, "_id", [w.document["_id"] for w in writes]
                    )
                }
                left = [w for w in writes if w.document["_id"] not in known]
                if left:
                    await self._backend.commit([ChangeSet(left)])
            except DomainError as error:
                logger().warning("log_not_searchable", reason=error.reason)
                await asyncio.sleep(1.0)
                continue
            del self._indexed[: len(batch)]

    async def close(self) -> None:
        """Wait for what is under way and let go."""
        for task in (self._writer, self._indexer):
            if task is not None and not task.done():
                await asyncio.wait([task], timeout=2.0)
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    async def search(
        self, where: Document, *, size: int, before: int | None
    ) -> tuple[list[LoggedCall], int | None]:
        """Entries that match, newest first, and where the next page begins.

        What was written before the search began is found by it, unless the database is away.
        """
        if self._indexer is not None and not self._indexer.done():
            await asyncio.wait([self._indexer], timeout=2.0)
        if before is not None:
            where = {**where, "_id": {"$lt": before}}
        found = await self._backend.query(CALLS, where, [("_id", -1)], size + 1)
        calls = [
            wire.logged_call_in(pb.LoggedCall.FromString(document["entry"]))
            for document in found[:size]
        ]
        return calls, calls[-1].index if len(found) > size else None


def read_segment(path: Path) -> Iterator[tuple[int, pb.LoggedCall, bytes]]:
    """The entries of a segment: where each ends, the message, its bytes; stops at a torn tail."""
    data = path.read_bytes()
    start = 0
    while start + _LENGTH_BYTES <= len(data):
        length = int.from_bytes(data[start : start + _LENGTH_BYTES], "big")
        end = start + _LENGTH_BYTES + length
        if end > len(data):
            return
        entry = data[start + _LENGTH_BYTES : end]
        yield end, pb.LoggedCall.FromString(entry), entry
        start = end


def _document(call: pb.LoggedCall) -> dict[str, Any]:
    return {
        "_id": call.log_index,
        "subsystem": call.subsystem,
        "method": call.method,
        "trace_id": call.trace_id,
        "denied": call.code == "PERMISSION_DENIED",
        "entry": call.SerializeToString(),
    }
