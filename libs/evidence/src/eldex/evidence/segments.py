"""Segment files: the records as they were written, and all that anybody needs to check them.

`<first index, 12 digits>.segment` is text, one line a record, so that `grep` and `jq` read it:

    eldex-segment/1 <origin> <first index> <height>
    <leaf hash, base64> <record>
    …

A record is one line of text without NUL, so a line is a frame: damage in one leaves the next one
readable, and what follows the last newline is all that a crash can have left half-written. The hash
in front tells which record is damaged; nobody has to trust it, the tree is made of the records.

A segment holds 2^height records and is therefore one complete subtree. Full, it is sealed: its root
goes into `<first index>.seal`, which stays when the segment is moved away. The seals and the last
segment give the tree; a segment that comes back is checked against its seal.

    eldex-seal/1 <origin> <first index> <height> <root, base64>
"""

from __future__ import annotations

import os
from array import array
from binascii import b2a_base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Final

from eldex.evidence.encoding import (
    MalformedText,
    base64_of,
    check_origin,
    from_base64,
    from_decimal,
)
from eldex.evidence.errors import EvidenceError
from eldex.evidence.records import MOST_BYTES
from eldex.evidence.tree import HASH_BYTES, leaf_hash

SEGMENT: Final = ".segment"
SEAL: Final = ".seal"
MOST_HEIGHT: Final = 24
RECORD_AT: Final = 45
"""Where the record begins in a line: after the hash (44) and a space."""


class BrokenSegment(EvidenceError):
    """A segment, or a seal, on disk is not what was written."""

    def __init__(self, name: str, why: str, index: int | None = None) -> None:
        """`index`: the record, if it is about one."""
        at = "" if index is None else f" record {index}:"
        super().__init__(f"{name}:{at} {why}")
        self.name, self.index, self.why = name, index, why


class NotARecord(EvidenceError):
    """What should be appended cannot be a line of a segment."""


@dataclass(frozen=True)
class Header:
    """The first line of a segment: which log, from which record on, up to how many."""

    origin: str
    first: int
    height: int

    @property
    def capacity(self) -> int:
        """How many records the full segment has."""
        return 1 << self.height

    def encode(self) -> bytes:
        """The line, with its newline."""
        return f"eldex-segment/1 {self.origin} {self.first} {self.height}\n".encode()

    @classmethod
    def parse(cls, line: bytes) -> Header:
        """Read the line, without its newline. Raises `MalformedText`."""
        origin, first, height = _words(line, "eldex-segment/1", 3)
        return cls(check_origin(origin), *_place(first, height))


@dataclass(frozen=True)
class Seal:
    """The root of a full segment, a complete subtree of 2^height records."""

    origin: str
    first: int
    height: int
    root: bytes

    def encode(self) -> bytes:
        """The seal as a line of text."""
        words = f"eldex-seal/1 {self.origin} {self.first} {self.height} {base64_of(self.root)}\n"
        return words.encode()

    @classmethod
    def read(cls, path: Path) -> Seal:
        """Read a seal. Raises `BrokenSegment`."""
        try:
            data = path.read_bytes()
            line, newline, rest = data.partition(b"\n")
            if not newline or rest:
                raise MalformedText("a seal is one line")
            origin, first, height, root = _words(line, "eldex-seal/1", 4)
            seal = cls(check_origin(origin), *_place(first, height), from_base64(root, HASH_BYTES))
        except MalformedText as error:
            raise BrokenSegment(path.name, f"is no seal: {error}") from error
        if path.name != file_name(seal.first, SEAL):
            raise BrokenSegment(path.name, f"seals the segment from {seal.first} on")
        return seal


@dataclass(frozen=True)
class Content:
    """A segment as it lies on disk; of its lines nothing is checked yet."""

    name: str
    header: Header
    lines: Sequence[bytes]
    """Without their newlines."""
    tail: bytes
    """What follows the last newline: nothing, or what a crash left half-written."""

    def leaves(self) -> Iterator[bytes]:
        """The leaf hashes, each made of its record and compared with the one in its line.

        Raises:
            BrokenSegment: a line is no frame, or there are too many; names the record.
        """
        for number, line in enumerate(self.lines):
            leaf = leaf_hash(line[RECORD_AT:])
            if frame(leaf, line[RECORD_AT:]) != line + b"\n" or number >= self.header.capacity:
                why = "is not what its hash was made of"
                raise BrokenSegment(self.name, why, self.header.first + number)
            yield leaf


def file_name(first: int, suffix: str) -> str:
    """The name of a segment (`SEGMENT`) or seal (`SEAL`)."""
    return f"{first:012d}{suffix}"


def frame(leaf: bytes, record: bytes) -> bytes:
    """A record as its line."""
    return b"%b %b\n" % (b2a_base64(leaf, newline=False), record)


def check_lines(records: Sequence[bytes]) -> None:
    """Check that each of some bytes can be a line. Raises `NotARecord`."""
    together = b"".join(records)  # looked through once for all
    lengths = [*map(len, records), 1]
    is_sound = min(lengths) > 0 and max(lengths) <= MOST_BYTES
    if b"\n" in together or b"\x00" in together or not is_sound:
        raise NotARecord(f"a record is one line of 1 to {MOST_BYTES} bytes, without NUL")


def read_segment(path: Path) -> Content:
    """Read a segment; of its lines nothing is checked yet.

    Raises:
        BrokenSegment: it has no header, or that of another segment.
        OSError: it cannot be read.
    """
    # Zero bytes at the end are blocks that a crash has left unwritten: no record holds one.
    lines = path.read_bytes().rstrip(b"\x00").split(b"\n")
    tail = lines.pop()
    if not lines:
        raise BrokenSegment(path.name, "has no header")
    try:
        header = Header.parse(lines.pop(0))
    except MalformedText as error:
        raise BrokenSegment(path.name, f"has no header: {error}") from error
    if path.name != file_name(header.first, SEGMENT):
        raise BrokenSegment(path.name, f"its header is that of the segment from {header.first} on")
    return Content(path.name, header, lines, tail)


class SegmentFile:
    """A segment, open: records are read at their place and written at the end.

    Reading is safe from any thread; writing is for one.
    """

    def __init__(self, path: Path, header: Header, lengths: Sequence[int] = ()) -> None:
        """`lengths`: of the lines that are in the file, with their newlines."""
        self.path, self.header = path, header
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._ends = array("Q", accumulate(lengths, initial=len(header.encode())))

    @classmethod
    def load(cls, content: Content, path: Path) -> SegmentFile:
        """Open a segment that was read."""
        return cls(path, content.header, [len(line) + 1 for line in content.lines])

    @property
    def count(self) -> int:
        """How many records it holds."""
        return len(self._ends) - 1

    @property
    def length(self) -> int:
        """How many bytes its header and records have."""
        return self._ends[-1]

    def write(self, frames: Sequence[bytes]) -> None:
        """Write lines at the end and put them on disk: one write, one flush.

        Raises:
            OSError: they could not be written, or not all; `cut` them off.
        """
        is_new = not self.count
        data = b"".join([self.header.encode(), *frames] if is_new else frames)
        self._ends.extend([self._ends[-1] + end for end in accumulate(map(len, frames))])
        while data:
            data = data[os.write(self._file, data) :]
        os.fdatasync(self._file)
        if is_new:
            sync_folder(self.path.parent)

    def cut(self, count: int) -> None:
        """Forget what lies beyond the first `count` records, in whatever state it is."""
        os.ftruncate(self._file, self._ends[count] if count else 0)
        del self._ends[count + 1 :]

    def record(self, number: int) -> bytes:
        """The record at a place in the segment, counted from 0.

        Raises:
            BrokenSegment: it is not what was written.
        """
        start, end = self._ends[number], self._ends[number + 1]
        line = os.pread(self._file, end - start, start)
        record = line[RECORD_AT:-1]
        if line != frame(leaf_hash(record), record):
            why = "is not what its hash was made of"
            raise BrokenSegment(self.path.name, why, self.header.first + number)
        return record

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)


def replace_file(path: Path, data: bytes) -> None:
    """Put a whole file in place of another: after a crash it is the old or the new one."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Put the names in a folder on disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _words(line: bytes, form: str, count: int) -> list[str]:
    try:
        found, *words = line.decode("ascii").split(" ")
    except UnicodeDecodeError as error:
        raise MalformedText("it is not ASCII") from error
    if found != form or len(words) != count:
        raise MalformedText(f"it is not of the form {form}")
    return words


def _place(first: str, height: str) -> tuple[int, int]:
    start, levels = from_decimal(first), from_decimal(height)
    if levels > MOST_HEIGHT or start % (1 << levels):
        raise MalformedText(f"no segment of 2^{height[:3]} records begins at {first}")
    return start, levels
