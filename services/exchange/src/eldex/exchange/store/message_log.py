"""The message log: a record of every exchange, on disk before the reply leaves, in `eldex.evidence`'s form.

What arrives while a batch is being written goes into the next: concurrent calls share a write and a
flush, and a lone one never waits. While records come, the head is signed and published once an
interval, and at the stop. The folder belongs to one process.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from eldex.common.clock import Clock
from eldex.common.errors import CannotStart
from eldex.common.logs import logger
from eldex.evidence.errors import EvidenceError
from eldex.evidence.log import Archived, Log
from eldex.evidence.note import Note, Signer, Verifier
from eldex.evidence.receipts import Bundle, Receipt
from eldex.evidence.records import Record
from eldex.evidence.segments import SEAL, SEGMENT, BrokenSegment, file_name
from eldex.evidence.subjects import SubjectKeys
from eldex.exchange.domain.message_log import (
    LogEntry,
    LoggedRecord,
    NoEvidence,
    RecordUnreadable,
    Segment,
    SegmentArchived,
    SizeUnknown,
)
from eldex.exchange.store.record_index import RecordIndex
from eldex.exchange.store.recorder import Recorder

T = TypeVar("T")

_MOST_AT_ONCE: Final = 4_096
_PROBE_BYTES: Final = 64 * 1024
_PROBE_SECONDS: Final = 0.5


@dataclass(slots=True)
class _Waiting:
    entry: LogEntry
    done: asyncio.Future[Receipt]


class MessageLog:
    """The log of one exchange process."""

    def __init__(
        self,
        folder: Path,
        signer: Signer,
        subjects: SubjectKeys,
        index: RecordIndex,
        clock: Clock,
        *,
        interval_seconds: float = 1.0,
        height: int = 16,
    ) -> None:
        """A log; `start` opens it.

        Args:
            folder: its own folder.
            signer: the log's key; its name is the origin of the log, for ever.
            subjects: the keys with which it is told whom a record is about.
            index: where records are searched.
            clock: the time; records never go back behind the last one.
            interval_seconds: how old a head may be before it is signed.
            height: a segment has 2^height records, for ever.
        """
        self.origin = signer.verifier.name
        self._folder, self._signer = folder, signer
        self._index, self._recorder = index, Recorder(subjects, clock)
        self._interval, self._height = interval_seconds, height
        self._log: Log | None = None
        self._broken: Log | None = None
        """One to be closed and opened again, once nobody reads in it."""
        self._asking = 0
        self._note: Note | None = None
        self._waiting: list[_Waiting] = []
        # One thread of its own: one appender at a time, and no queue of other work before it.
        self._thread = ThreadPoolExecutor(1, "message-log")
        self._writer: asyncio.Task[None] | None = None
        self._publisher: asyncio.Task[None] | None = None
        self._publishing = asyncio.Lock()
        self._closing = asyncio.Event()
        self._healer: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the log: cut off what a crash left half-written, refuse what is not what was written."""
        try:
            log = await asyncio.to_thread(self._open)
        except EvidenceError as error:
            raise CannotStart(f"the message log in {self._folder}: {error}") from error
        if log.torn_bytes:
            logger().warning("log_tail_cut", bytes=log.torn_bytes)
        self._recorder.go_on_from(await asyncio.to_thread(_last_time, log))
        await self._index.start(log.size, partial(_record_unless_archived, log))
        await self.publish()

    def _open(self) -> Log:
        self._log = Log.open(self._folder, self.origin, height=self._height)
        return self._log

    @property
    def _opened(self) -> Log:
        if self._log is None:
            raise NoEvidence
        return self._log

    @property
    def size(self) -> int:
        """How many records it has."""
        return self._opened.size

    @property
    def verifier(self) -> Verifier:
        """With which its heads are verified."""
        return self._signer.verifier

    def require(self) -> None:
        """Raise `NoEvidence` while the log is known not to be writable: before a call has any effect."""
        if self._healer is not None:
            raise NoEvidence

    async def append(self, entry: LogEntry) -> Receipt:
        """Write an entry; returns when it is on disk. Raises `NoEvidence`, and then nothing of it is."""
        # A caller that goes away takes its future with it, never the record.
        return await self.tell(entry)

    def tell(self, entry: LogEntry) -> asyncio.Future[Receipt]:
        """Have an entry written for somebody who has gone; what `append` does, without the waiting."""
        waiting = _Waiting(entry, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write())
        return waiting.done

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch = self._waiting[:_MOST_AT_ONCE]
            del self._waiting[: len(batch)]
            entries = [each.entry for each in batch]
            try:
                first, lines, receipts = await loop.run_in_executor(
                    self._thread, self._append, entries
                )
            except (OSError, EvidenceError, NoEvidence) as error:
                self._failed(error)
                for each in batch:
                    _refuse(each.done)
                continue
            for each, receipt in zip(batch, receipts, strict=True):
                if receipt is None:
                    _refuse(each.done)
                elif not each.done.done():
                    each.done.set_result(receipt)
            self._index.add(first, lines)
            if self._publisher is None or self._publisher.done():
                self._publisher = asyncio.create_task(self._publish_soon())

    def _append(self, entries: Sequence[LogEntry]) -> tuple[int, list[bytes], list[Receipt | None]]:
        log = self._opened
        lines, salts = self._recorder.tell(entries)
        appended = log.append(lines)
        places = enumerate(appended.leaf_hashes, appended.first)
        receipts = [
            None if salt is None else Receipt(self.origin, *next(places), salt) for salt in salts
        ]
        return appended.first, lines, receipts

    def _failed(self, error: Exception) -> None:
        number = error.errno if isinstance(error, OSError) else None
        logger().error("log_not_written", errno=number, problem=type(error).__name__)
        if self._log is not None and self._log.is_failed:
            self._broken, self._log = self._log, None
        if self._healer is None and not self._closing.is_set():
            self._healer = asyncio.create_task(self._heal())

    async def _heal(self) -> None:
        """Try until the disk takes a file again; only then calls are let through again."""
        loop = asyncio.get_running_loop()
        # A disk sends no word when it can be written again.
        while self._asking or not await loop.run_in_executor(self._thread, self._probe):  # noqa: ASYNC110
            await asyncio.sleep(_PROBE_SECONDS)
        self._healer = None
        logger().info("log_writable_again")

    def _probe(self) -> bool:
        path = self._folder / ".probe"
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                written = os.write(descriptor, bytes(_PROBE_BYTES))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
                path.unlink()
            if self._log is None:
                if self._broken is not None:
                    self._broken.close()
                    self._broken = None
                self._open()
        except (OSError, EvidenceError):
            return False
        return written == _PROBE_BYTES

    # --- heads -------------------------------------------------------------------------------------

    async def _publish_soon(self) -> None:
        try:
            async with asyncio.timeout(self._interval):
                await self._closing.wait()
        except TimeoutError:
            try:
                await self.publish()
            except (OSError, NoEvidence) as error:
                # What was acknowledged is on disk; its head is signed with the next records.
                logger().error("head_not_published", problem=type(error).__name__)

    async def publish(self) -> Note:
        """The head as it is now, signed; kept, so that the log never opens with less."""
        async with self._publishing:
            self._note = await self._ask(self._publish)
            return self._note

    def _publish(self, log: Log) -> Note:
        head = log.checkpoint()
        if self._note is not None and self._note.text == head.text():
            return self._note
        note = head.sign(self._signer)
        log.publish(note)
        return note

    @property
    def note(self) -> Note:
        """The newest signed head."""
        if self._note is None:
            raise NoEvidence
        return self._note

    # --- proofs ------------------------------------------------------------------------------------

    async def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        """The proof that a record is among the first `size`. Raises `SizeUnknown`."""
        return await self._ask(lambda log: log.inclusion_proof(index, size))

    async def consistency_proof(self, old: int, new: int) -> list[bytes]:
        """The proof that nothing of the first `old` records changed since. Raises `SizeUnknown`."""
        return await self._ask(lambda log: log.consistency_proof(old, new))

    async def root(self, size: int) -> bytes:
        """The root over the first `size` records. Raises `SizeUnknown`."""
        return await self._ask(lambda log: log.root(size))

    async def leaf_hash(self, index: int) -> bytes:
        """The leaf of a record, whether its segment is here or archived. Raises `SizeUnknown`."""
        return await self._ask(lambda log: log.leaf_hash(index))

    async def record(self, index: int) -> LoggedRecord:
        """A record, from the log itself. Raises `SizeUnknown`, `SegmentArchived`, `RecordUnreadable`."""
        return LoggedRecord(index, Record.parse(await self._stored(index)))

    async def bundle(self, index: int, note: Note) -> bytes:
        """A record with its proof under a signed head of this log (C2SP tlog-proof)."""
        await self._stored(index)
        return await self._ask(lambda log: Bundle.of(log, index, note).encode())

    async def _stored(self, index: int) -> bytes:
        try:
            return await self._ask(lambda log: log.record(index))
        except Archived as error:
            raise SegmentArchived(index=index) from error
        except BrokenSegment as error:
            logger().error("record_unreadable", index=index, problem=str(error))
            raise RecordUnreadable(index=index) from error

    async def _ask(self, question: Callable[[Log], T]) -> T:
        log = self._opened
        self._asking += 1
        try:
            return await asyncio.to_thread(question, log)
        except ValueError as error:
            raise SizeUnknown(size=log.size) from error
        finally:
            self._asking -= 1

    async def search(
        self, where: dict[str, Any], *, size: int, before: int | None
    ) -> tuple[list[LoggedRecord], int | None]:
        """Records that match, newest first, and where the next page begins."""
        return await self._index.search(where, size=size, before=before)

    async def segments(self) -> list[Segment]:
        """The files of the log, oldest first; a sealed one may be moved away."""
        return await self._ask(self._segments)

    def _segments(self, log: Log) -> list[Segment]:
        found, capacity = [], 1 << self._height
        for first in range(0, log.size, capacity):
            name = file_name(first, SEGMENT)
            is_sealed = (self._folder / file_name(first, SEAL)).exists()
            is_there = (self._folder / name).exists()
            count = min(capacity, log.size - first)
            found.append(Segment(first, count, name, is_sealed, not is_there))
        return found

    async def close(self) -> None:
        """Wait for what is under way, sign the last head and let go."""
        if self._writer is not None and not self._writer.done():
            await asyncio.wait([self._writer], timeout=5.0)
        self._closing.set()
        for task in (self._healer, self._publisher):
            if task is not None and not task.done():
                if task is self._healer:
                    task.cancel()
                await asyncio.wait([task], timeout=5.0)
        if self._log is not None:
            try:
                await self.publish()
            except OSError as error:
                logger().error("head_not_published", problem=type(error).__name__)
            await self._index.close()
            self._log.close()
            self._log = None
        self._thread.shutdown()


def _record_unless_archived(log: Log, index: int) -> bytes | None:
    try:
        return log.record(index)
    except Archived:
        return None


def _last_time(log: Log) -> datetime | None:
    line = _record_unless_archived(log, log.size - 1) if log.size else None
    return Record.parse(line).answered_at if line else None


def _refuse(done: asyncio.Future[Receipt]) -> None:
    if done.done():
        return
    done.set_exception(NoEvidence())
    done.exception()  # whoever waited may be gone; that is not an error of ours
