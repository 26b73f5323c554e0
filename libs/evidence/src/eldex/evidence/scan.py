"""Reading segments for a verification: every record hashed, parsed, timed; nothing in them trusted."""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eldex.evidence.encoding import MalformedText
from eldex.evidence.records import MalformedRecord, time_of
from eldex.evidence.segments import RECORD_AT, Header
from eldex.evidence.tree import CompactRange


@dataclass
class Scan:
    """What a segment says, and what is wrong with it by itself. Lines are counted from 0."""

    name: str
    first: int
    count: int = 0
    root: bytes | None = None
    """Of its subtree, if it has as many records as a full one."""
    peaks: dict[int, tuple[bytes, ...]] = field(default_factory=dict)
    """The complete subtrees of its records up to a size of the log, for the sizes asked for."""
    nodes: list[bytes] = field(default_factory=list)
    """All nodes of its records, in post-order."""
    times: dict[int, str] = field(default_factory=dict)
    """The time of the last record before a size of the log, for the sizes asked for."""
    header_fault: str = ""
    damaged: list[int] = field(default_factory=list)
    """Lines whose hash is not that of their record."""
    malformed: list[tuple[int, str]] = field(default_factory=list)
    early: list[tuple[int, str]] = field(default_factory=list)
    """Lines whose time is before that of the line in front."""
    doubled: list[int] = field(default_factory=list)
    tail_bytes: int = 0
    """What follows the last newline."""


class Scanner:
    """Reads the segments of a log one after another."""

    def __init__(self, origin: str, height: int, sizes: Iterable[int]) -> None:
        """`sizes`: of the log, at which the tree is asked for."""
        self._origin, self._height = origin, height
        self._sizes = sorted(set(sizes))
        self._time = ""
        self._same_time: set[bytes] = set()

    def scan(self, path: Path, first: int) -> Scan:
        """Read a segment that should begin at `first`. Raises `OSError`."""
        head, lines, tail = _lines(path)
        found = Scan(path.name, first, len(lines), tail_bytes=len(tail))
        found.header_fault = self._header_fault(head, first)
        leaves = self._leaves(lines, found)
        self._build(leaves, found)
        return found

    def _header_fault(self, line: bytes, first: int) -> str:
        try:
            header = Header.parse(line)
        except MalformedText as error:
            return str(error)
        expected = Header(self._origin, first, self._height)
        return "" if header == expected else f"it is {header}, not {expected}"

    def _leaves(self, lines: Sequence[bytes], found: Scan) -> list[bytes]:
        """The leaf hashes of the records as they are; notes what is wrong with each."""
        leaves: list[bytes] = []
        sha256, encode = hashlib.sha256, binascii.b2a_base64  # this loop is the whole cost
        last, same_time = self._time, self._same_time
        for number, line in enumerate(lines):
            record = line[RECORD_AT:]
            leaf = sha256(b"\x00" + record).digest()
            leaves.append(leaf)
            if line[:RECORD_AT] != encode(leaf, newline=False) + b" ":
                found.damaged.append(number)
            try:
                at = time_of(record)
            except MalformedRecord as error:
                found.malformed.append((number, str(error)))
                continue
            if at == last:
                if leaf in same_time:
                    found.doubled.append(number)
                same_time.add(leaf)
                continue
            if at < last:
                found.early.append((number, f"{at} after {last}"))
            last = at
            same_time.clear()
            same_time.add(leaf)
        self._time = last
        for size in self._within(found):
            found.times[size] = _time_before(lines, size - found.first)
        return leaves

    def _build(self, leaves: Sequence[bytes], found: Scan) -> None:
        """The subtree of a segment, and how it stood at each size asked for."""
        tree, done = CompactRange(), 0
        for size in self._within(found):
            found.nodes += tree.extend(leaves[done : size - found.first])
            done = size - found.first
            found.peaks[size] = tree.peaks
        found.nodes += tree.extend(leaves[done:])
        if tree.size == 1 << self._height:
            found.root = tree.root()

    def _within(self, found: Scan) -> list[int]:
        return [s for s in self._sizes if found.first < s <= found.first + found.count]


def leaves_of(path: Path) -> list[bytes]:
    """The leaf hashes of a segment's records as they are. Raises `OSError`."""
    _, lines, _ = _lines(path)
    return [hashlib.sha256(b"\x00" + line[RECORD_AT:]).digest() for line in lines]


def _lines(path: Path) -> tuple[bytes, list[bytes], bytes]:
    head, *lines = path.read_bytes().rstrip(b"\x00").split(b"\n")
    tail = lines.pop() if lines else b""
    return head, lines, tail


def _time_before(lines: Sequence[bytes], end: int) -> str:
    """The time of the last of the first `end` lines that is a record."""
    for number in range(end - 1, -1, -1):
        try:
            return time_of(lines[number][RECORD_AT:])
        except MalformedRecord:
            continue
    return ""
