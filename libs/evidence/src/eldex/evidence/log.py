"""The log of one exchange: records appended in groups, heads, proofs.

    log = Log.open(folder, origin)              the folder belongs to this process from now on
    appended = log.append(records)              in a thread: on disk when it returns
    note = log.checkpoint().sign(signer)        one a batch, or one an interval
    log.publish(note)                           what the next start must not contradict
    log.inclusion_proof(index, size), log.consistency_proof(old, new), log.record(index)

One thread appends at a time; everything else may be asked at the same time from any thread. A record
is acknowledged when `append` returns. After a crash every acknowledged record is there; of the batch
under way there may be some, whose callers have had no answer.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, Self

from eldex.evidence import hashes, tree
from eldex.evidence.checkpoint import Checkpoint
from eldex.evidence.encoding import check_origin
from eldex.evidence.errors import EvidenceError
from eldex.evidence.hashes import HashesTooShort, HashFile
from eldex.evidence.note import Note
from eldex.evidence.segments import (
    MOST_HEIGHT,
    SEAL,
    SEGMENT,
    BrokenSegment,
    Content,
    Header,
    Seal,
    SegmentFile,
    check_lines,
    file_name,
    frame,
    read_segment,
    replace_file,
)
from eldex.evidence.tree import CompactRange, leaf_hash

CHECKPOINT: Final = "checkpoint"
_LOCK: Final = "lock"
_SEGMENTS_OPEN: Final = 4
"""Sealed segments that stay open for reading."""


class BrokenLog(EvidenceError):
    """The log on disk is not what was written, or not all of it; nothing may be appended to it."""


class LogInUse(EvidenceError):
    """Another process writes this log."""


class Archived(EvidenceError):
    """The record lies in a segment that was moved away; its proofs can still be had."""


class Appended(NamedTuple):
    """Where a group of records went."""

    first: int
    """The index of the first of them."""
    leaf_hashes: list[bytes]
    size: int
    """Of the log with them."""
    root: bytes


class Log:
    """A log in a folder; made with `Log.open`."""

    def __init__(self, folder: Path, origin: str, height: int) -> None:
        self.origin, self.height = origin, height
        self.torn_bytes = 0
        """What a crash had left half-written and the start cut off."""
        self._folder = folder
        self._appending, self._reading = threading.Lock(), threading.Lock()
        self._range = CompactRange()
        self._last: SegmentFile | None = None
        self._read: OrderedDict[int, SegmentFile] = OrderedDict()
        self._unsealed: list[int] = []
        self._is_failed = False
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise LogInUse(f"another process writes the log in {folder}") from error
        self._hashes = HashFile(folder / hashes.NAME, writable=True)
        self._head = Checkpoint(origin, 0, tree.EMPTY_ROOT)

    @classmethod
    def open(cls, folder: Path, origin: str, *, height: int = 16) -> Self:
        """Open a log, or make it: check its last segment, cut off what a crash left half-written.

        Args:
            folder: the log's own folder.
            origin: its name, for ever; the name of the key that signs its checkpoints.
            height: a segment has 2^height records; for ever the same.

        Raises:
            BrokenLog: it is not what was written, or less than what `publish` was given.
            LogInUse: another process has it.
            OSError: it cannot be read or written.
        """
        if not 1 <= height <= MOST_HEIGHT:
            raise ValueError(f"a segment has 2^1 to 2^{MOST_HEIGHT} records")
        log = cls(folder, check_origin(origin), height)
        try:
            log._recover()
        except BrokenSegment as error:
            log.close()
            raise BrokenLog(str(error)) from error
        except BaseException:
            log.close()
            raise
        return log

    @property
    def size(self) -> int:
        """How many records the log has."""
        return self._head.size

    @property
    def is_failed(self) -> bool:
        """Whether a failed write could not be taken back: nothing is appended until it is opened again."""
        return self._is_failed

    def checkpoint(self) -> Checkpoint:
        """The head of the log: its size and root, to be signed."""
        return self._head

    def append(self, records: Sequence[bytes]) -> Appended:
        """Append records; when it returns, they are on disk.

        One write and one flush a call (two at the end of a segment). To be called in a thread.

        Args:
            records: one line of text each, such as `records.Record.encode` gives.

        Raises:
            NotARecord: one of them is none; nothing was appended.
            OSError: they could not be written (disk full, …); nothing was appended.
        """
        check_lines(records)
        leaves = [leaf_hash(record) for record in records]
        frames = [frame(leaf, record) for leaf, record in zip(leaves, records, strict=True)]
        with self._appending:
            first = self._head.size
            if records:
                self._seal_full()
                grown = self._range.copy()
                self._write(first, frames, grown.extend(leaves))
                self._range = grown
                self._head = Checkpoint(self.origin, grown.size, grown.root())
            return Appended(first, leaves, self._head.size, self._head.root)

    def publish(self, note: Note) -> None:
        """Keep a signed checkpoint as the newest; the log will not open with less than it.

        Raises:
            ValueError: it is not one of this log.
        """
        checkpoint = Checkpoint.parse(note.text)
        if checkpoint.origin != self.origin or checkpoint.root != self.root(checkpoint.size):
            raise ValueError(f"not a checkpoint of this log: {checkpoint}")
        replace_file(self._folder / CHECKPOINT, note.encode())

    def published(self) -> Note | None:
        """The newest signed checkpoint that was published."""
        path = self._folder / CHECKPOINT
        return Note.parse(path.read_bytes()) if path.exists() else None

    def root(self, size: int) -> bytes:
        """The root of the tree over the first `size` records."""
        self._check_size(size)
        return tree.root_at(size, self._hashes.node)

    def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        """The proof that record `index` is among the first `size` (`tree.inclusion_proof`)."""
        self._check_size(size)
        return tree.inclusion_proof(index, size, self._hashes.node)

    def consistency_proof(self, old: int, new: int) -> list[bytes]:
        """The proof that the log grew from `old` to `new` records and changed none of them."""
        self._check_size(new)
        return tree.consistency_proof(old, new, self._hashes.node)

    def leaf_hash(self, index: int) -> bytes:
        """The leaf hash of a record, also of one that was archived."""
        self._check_size(index + 1)
        return self._hashes.node(0, index)

    def record(self, index: int) -> bytes:
        """A record.

        Raises:
            Archived: its segment was moved away.
            BrokenSegment: it is not what was written.
            ValueError: there is none of this index.
        """
        if not 0 <= index < self.size:
            raise ValueError(f"the log has {self.size} records, none of them is {index}")
        number = index % (1 << self.height)
        with self._reading:
            last = self._last
            if last is not None and index >= last.header.first:
                return last.record(number)
            return self._full(index - number).record(number)

    def close(self) -> None:
        """Let go of the files."""
        for segment in [*self._read.values(), self._last]:
            if segment is not None:
                segment.close()
        self._read.clear()
        self._last = None
        self._hashes.close()
        os.close(self._lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_size(self, size: int) -> None:
        if not 0 <= size <= self.size:
            raise ValueError(f"the log has {self.size} records, not {size}")

    def _write(self, first: int, frames: list[bytes], nodes: list[bytes]) -> None:
        """Write lines to the segments they belong to, and nodes to the hashes: all, or nothing."""
        if self._is_failed:
            raise BrokenLog("a failed write could not be taken back: open the log again")
        written: list[tuple[SegmentFile, int]] = []
        last, place = self._last, first
        try:
            while frames:
                if last is None or last.count == last.header.capacity:
                    header = Header(self.origin, place, self.height)
                    last = SegmentFile(self._folder / file_name(place, SEGMENT), header)
                written.append((last, last.count))
                part = frames[: last.header.capacity - last.count]
                last.write(part)
                frames, place = frames[len(part) :], place + len(part)
            self._hashes.write(first, nodes)
        except OSError:
            self._is_failed = True
            for segment, count in written:
                segment.cut(count)
                if segment is not self._last:
                    segment.close()
                    segment.path.unlink()
            self._is_failed = False
            raise
        touched = [self._last, *(segment for segment, _ in written)]
        with self._reading:
            for full in dict.fromkeys(segment for segment in touched if segment is not last):
                if full is not None:
                    self._unsealed.append(full.header.first)
                    self._keep(full)
            self._last = last

    def _seal_full(self) -> None:
        """Seal what has become full: before the next write, so that failing fails that one whole."""
        while self._unsealed:
            self._seal(self._unsealed[0])
            del self._unsealed[0]

    def _seal(self, first: int) -> None:
        root = self._hashes.node(self.height, first >> self.height)
        self._hashes.sync()
        seal = Seal(self.origin, first, self.height, root)
        replace_file(self._folder / file_name(first, SEAL), seal.encode())

    def _full(self, first: int) -> SegmentFile:
        segment = self._read.get(first)
        if segment is None:
            path = self._folder / file_name(first, SEGMENT)
            try:
                segment = SegmentFile.load(self._content(path), path)
            except FileNotFoundError as error:
                raise Archived(f"{path.name} was moved away") from error
            self._keep(segment)
        self._read.move_to_end(first)
        return segment

    def _keep(self, segment: SegmentFile) -> None:
        self._read[segment.header.first] = segment
        while len(self._read) > _SEGMENTS_OPEN:
            _, oldest = self._read.popitem(last=False)
            oldest.close()

    def _content(self, path: Path) -> Content:
        content = read_segment(path)
        header = content.header
        if (header.origin, header.height) != (self.origin, self.height):
            raise BrokenLog(f"{path.name} is of {header.origin}, 2^{header.height} a segment")
        return content

    def _recover(self) -> None:
        """Make the tree from the seals and the last segment; see that nothing published is lost."""
        roots: list[bytes] = []
        for path in sorted(self._folder.glob(f"*{SEAL}")):
            seal = Seal.read(path)
            if (seal.origin, seal.height) != (self.origin, self.height):
                raise BrokenLog(f"{path.name} is of {seal.origin}, 2^{seal.height} a segment")
            if seal.first != self._range.size:
                raise BrokenLog(f"the seal before {path.name} is missing")
            self._range.append_subtree(self.height, seal.root)
            roots.append(seal.root)
        self._check_hashes(roots)
        left = [
            path
            for path in sorted(self._folder.glob(f"*{SEGMENT}"))
            if path.name >= file_name(self._range.size, SEGMENT)
        ]
        for path in left:
            self._recover_segment(path, is_last=path == left[-1])
        self._head = Checkpoint(self.origin, self._range.size, self._range.root())
        self._check_published()

    def _recover_segment(self, path: Path, *, is_last: bool) -> None:
        """Take over a segment that is not sealed: the last one, or one that was full before it."""
        data = path.read_bytes()
        if is_last and b"\n" not in data:  # a crash while it was begun: no record was in it
            self.torn_bytes = len(data)
            path.unlink()
            return
        content = self._content(path)
        first = content.header.first
        if first != self._range.size:
            raise BrokenLog(
                f"{path.name} does not follow: {self._range.size} records are before it"
            )
        self._hashes.write(first, self._range.extend(content.leaves()))
        segment = SegmentFile.load(content, path)
        if is_last:
            self._last = segment
            self.torn_bytes = len(data) - segment.length
            segment.cut(segment.count)
        else:
            self._keep(segment)
            if content.tail or segment.count < content.header.capacity:
                raise BrokenLog(f"{path.name} ends before its last record")
            self._seal(first)

    def _check_hashes(self, roots: Sequence[bytes]) -> None:
        """See that the hashes have the roots of the seals; make again what is wrong or missing."""
        tops = CompactRange()
        for number, root in enumerate(roots):
            if self._root_in_hashes(number) != root:
                path = self._folder / file_name(number << self.height, SEGMENT)
                try:
                    content = self._content(path)
                except FileNotFoundError as error:
                    why = f"the hashes of {path.name} are wrong or missing"
                    raise BrokenLog(f"{why}: bring the segment back for a start") from error
                segment = CompactRange()
                self._hashes.write(number << self.height, segment.extend(content.leaves()))
                if segment.root() != root:
                    raise BrokenLog(f"{path.name} is not what its seal was made of")
            above = tops.extend([root])[1:]
            self._hashes.write_above(self.height, number, above)
        self._hashes.cut(self._range.size)

    def _root_in_hashes(self, number: int) -> bytes | None:
        try:
            return self._hashes.node(self.height, number)
        except HashesTooShort:
            return None

    def _check_published(self) -> None:
        published = self.published()
        if published is None:
            return
        checkpoint = Checkpoint.parse(published.text)
        if checkpoint.origin != self.origin:
            raise BrokenLog(f"the published checkpoint is of {checkpoint.origin}")
        if checkpoint.size > self.size:
            raise BrokenLog(
                f"a checkpoint of {checkpoint.size} records is published, and {self.size} are there"
            )
        if self.root(checkpoint.size) != checkpoint.root:
            raise BrokenLog(f"the first {checkpoint.size} records are not those of the checkpoint")
