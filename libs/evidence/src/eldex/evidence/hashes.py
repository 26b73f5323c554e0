"""The file of hashes: every node of the tree, 32 bytes each, in post-order, so that proofs are reads.

It is derived from the records and holds no word of them: about 64 bytes a record. A proof of any
size is O(log n) reads at places that `tree.stored_hash_index` computes. Nobody has to trust it: it
either gives the root of a signed checkpoint or it does not. It stays when the records of old
segments are moved away, and tells an auditor which record is not what it was.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from eldex.evidence.errors import EvidenceError
from eldex.evidence.tree import HASH_BYTES, stored_hash_count, stored_hash_index

NAME: Final = "hashes"


class HashesTooShort(EvidenceError):
    """The file does not reach to the node that was asked for."""


class HashFile:
    """A file of hashes, open. Reading is safe from any thread; writing is for one."""

    def __init__(self, path: Path, *, writable: bool = False) -> None:
        flags = os.O_RDWR | os.O_CREAT if writable else os.O_RDONLY
        self._path = path
        self._file = os.open(path, flags | os.O_CLOEXEC, 0o600)

    @property
    def count(self) -> int:
        """How many whole hashes the file holds."""
        return os.fstat(self._file).st_size // HASH_BYTES

    def node(self, level: int, n: int) -> bytes:
        """The hash of the node `(level, n)`; a `tree.NodeReader`.

        Raises:
            HashesTooShort: it is not there.
        """
        place = stored_hash_index(level, n) * HASH_BYTES
        found = os.pread(self._file, HASH_BYTES, place)
        if len(found) != HASH_BYTES:
            raise HashesTooShort(f"{self._path.name}: node {n} of level {level} is not there")
        return found

    def write(self, size: int, nodes: list[bytes]) -> None:
        """Write the nodes that complete a tree of `size` leaves, as `CompactRange.extend` gives them.

        Args:
            size: the number of leaves before these.
            nodes: in post-order.

        Not flushed: what a crash takes away is made again from the records.
        """
        self._write(stored_hash_count(size), nodes)

    def write_above(self, level: int, n: int, nodes: list[bytes]) -> None:
        """Write the nodes that the node `(level, n)` completed, lowest first."""
        self._write(stored_hash_index(level, n) + 1, nodes)

    def _write(self, index: int, nodes: list[bytes]) -> None:
        data, place = b"".join(nodes), index * HASH_BYTES
        while data:
            written = os.pwrite(self._file, data, place)
            data, place = data[written:], place + written

    def cut(self, size: int) -> None:
        """Forget what lies beyond the nodes of the first `size` leaves."""
        os.ftruncate(self._file, stored_hash_count(size) * HASH_BYTES)

    def sync(self) -> None:
        """Put it on disk."""
        os.fsync(self._file)

    def leaves(self, start: int, count: int) -> list[bytes]:
        """The hashes of leaves `[start, start + count)`; fewer if the file ends before."""
        begin = stored_hash_index(0, start)
        last = stored_hash_index(0, start + count - 1) if count else begin - 1
        data = os.pread(self._file, (last + 1 - begin) * HASH_BYTES, begin * HASH_BYTES)
        found = []
        for leaf in range(start, start + count):
            place = (stored_hash_index(0, leaf) - begin) * HASH_BYTES
            if place + HASH_BYTES > len(data):
                break
            found.append(data[place : place + HASH_BYTES])
        return found

    def first_difference(self, place: int, nodes: bytes) -> int | None:
        """Where nodes, concatenated, are not those that the file has from a place on.

        Returns:
            The place of the first that differs or is lacking, in hashes; None if all are the same.
        """
        found = os.pread(self._file, len(nodes), place * HASH_BYTES)
        if found == nodes:
            return None
        for start in range(0, len(nodes), HASH_BYTES):
            if found[start : start + HASH_BYTES] != nodes[start : start + HASH_BYTES]:
                return place + start // HASH_BYTES
        return None

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)
