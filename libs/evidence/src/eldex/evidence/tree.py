"""The Merkle tree of RFC 9162 §2.1 over SHA-256: roots, proofs, and their verification.

A hash is 32 bytes. A *node* is the root of a complete subtree: `(level, n)` covers the leaves
`[n << level, (n + 1) << level)`. Whoever keeps the nodes (`hashes.HashFile`) can make any proof of
any earlier tree with O(log n) of them; whoever only appends needs a `CompactRange`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from eldex.evidence.errors import EvidenceError

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
"""The root of the tree without leaves (RFC 9162 §2.1.1)."""

NodeReader = Callable[[int, int], bytes]
"""Gives the hash of the node `(level, n)`."""

_sha256 = hashlib.sha256


class InvalidProof(EvidenceError):
    """A proof does not show what it is said to show."""


def leaf_hash(data: bytes) -> bytes:
    """The hash of a leaf: SHA-256(0x00 || data) (RFC 9162 §2.1.1)."""
    return _sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an interior node: SHA-256(0x01 || left || right) (RFC 9162 §2.1.1)."""
    return _sha256(b"\x01" + left + right).digest()


class CompactRange:
    """A tree kept as the roots of its largest complete subtrees, left to right.

    That is at most 64 hashes, enough to append and to tell the root. The sizes of the subtrees are
    the powers of two of `size`, largest first.
    """

    __slots__ = ("_peaks", "size")

    def __init__(self, size: int = 0, peaks: Iterable[bytes] = ()) -> None:
        self._peaks = list(peaks)
        self.size = size
        if len(self._peaks) != size.bit_count():
            raise ValueError(f"a tree of {size} leaves has {size.bit_count()} complete subtrees")

    @property
    def peaks(self) -> tuple[bytes, ...]:
        """The roots of the complete subtrees, largest first."""
        return tuple(self._peaks)

    def copy(self) -> CompactRange:
        """Another range that starts as this one."""
        return CompactRange(self.size, self._peaks)

    def append(self, leaf: bytes) -> None:
        """Append a leaf by its hash."""
        self.append_subtree(0, leaf)

    def append_subtree(self, level: int, root: bytes) -> None:
        """Append a complete subtree of 2^level leaves by its root.

        Raises:
            ValueError: the tree does not end where such a subtree may begin.
        """
        number = self.size >> level
        if number << level != self.size:
            raise ValueError(f"no subtree of 2^{level} leaves begins at {self.size}")
        while number & 1:
            root = _sha256(b"\x01" + self._peaks.pop() + root).digest()
            number >>= 1
        self._peaks.append(root)
        self.size += 1 << level

    def extend(self, leaves: Iterable[bytes]) -> list[bytes]:
        """Append leaves by their hashes; gives all nodes that are complete now, in post-order.

        Post-order is the order of `stored_hash_index`: leaves and interior nodes as they become
        complete, about two a leaf.
        """
        peaks, size, nodes = self._peaks, self.size, []
        for leaf in leaves:
            nodes.append(leaf)
            node, number = leaf, size
            while number & 1:
                node = _sha256(b"\x01" + peaks.pop() + node).digest()
                nodes.append(node)
                number >>= 1
            peaks.append(node)
            size += 1
        self.size = size
        return nodes

    def root(self) -> bytes:
        """The root of the tree (RFC 9162 §2.1.1)."""
        return _fold(self._peaks) if self._peaks else EMPTY_ROOT


def root_at(size: int, node: NodeReader) -> bytes:
    """The root of the tree of the first `size` leaves, from stored nodes."""
    return _range_root(0, size, node) if size else EMPTY_ROOT


def peaks_at(size: int, node: NodeReader, first: int = 0) -> list[bytes]:
    """The roots of the complete subtrees that cover the leaves `[first, size)`, from stored nodes.

    `first` is 0 for a compact range, or where a complete subtree begins that `size` lies in.
    """
    return [node(level, number) for level, number in _subtrees(first, size)]


def inclusion_proof(index: int, size: int, node: NodeReader) -> list[bytes]:
    """The proof that leaf `index` is in the tree of `size` leaves (RFC 9162 §2.1.3.1).

    Args:
        index: the leaf, counted from 0.
        size: the tree's number of leaves; `0 <= index < size`.
        node: gives stored nodes; O(log size) of them are asked for.

    Returns:
        The siblings from the leaf up to the root's child; at most 63.
    """
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size} leaves")
    start, end, path = 0, size, []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_range_root(middle, end, node))
            end = middle
        else:
            path.append(_range_root(start, middle, node))
            start = middle
    return path[::-1]


def consistency_proof(old: int, new: int, node: NodeReader) -> list[bytes]:
    """The proof that the tree of `old` leaves is a prefix of that of `new` (RFC 9162 §2.1.4.1).

    Args:
        old: the earlier size; `0 <= old <= new`.
        new: the later size.
        node: gives stored nodes; O(log new) of them are asked for.

    Returns:
        The path of the proof; empty if there is nothing to prove (`old` is 0 or `new`).
    """
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {old} leaves is no prefix of one of {new}")
    if old in {0, new}:
        return []
    start, end, path = 0, new, []
    while old != end:
        middle = start + _split(end - start)
        if old <= middle:
            path.append(_range_root(middle, end, node))
            end = middle
        else:
            path.append(_range_root(start, middle, node))
            start = middle
    if start:  # otherwise the subtree is the old tree itself, whose root the verifier has
        path.append(_range_root(start, end, node))
    return path[::-1]


def verify_inclusion(
    index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes
) -> None:
    """Check that a leaf is in a tree (RFC 9162 §2.1.3.2, step by step).

    Raises:
        InvalidProof: it is not shown.
    """
    if not 0 <= index < size:
        raise InvalidProof(f"leaf {index} cannot be in a tree of {size} leaves")
    _check_lengths(leaf, *proof, root)
    fn, sn, r = index, size - 1, leaf
    for p in proof:
        if sn == 0:
            raise InvalidProof("the inclusion proof is too long")
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = node_hash(r, p)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise InvalidProof("the inclusion proof is too short")
    if r != root:
        raise InvalidProof(f"leaf {index} with this proof does not give the root of {size} leaves")


def verify_consistency(
    old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Check that one tree is a prefix of another (RFC 9162 §2.1.4.2, step by step).

    Beyond the RFC, which asks for `0 < old < new`: equal sizes must have equal roots, the empty
    tree is a prefix of every tree, and both need an empty proof (C2SP tlog-witness, add-checkpoint).

    Raises:
        InvalidProof: it is not shown.
    """
    if not 0 <= old <= new:
        raise InvalidProof(f"a tree of {old} leaves is no prefix of one of {new}")
    _check_lengths(old_root, new_root, *proof)
    if old in {0, new}:
        if proof:
            raise InvalidProof("nothing is to be proven, and the proof is not empty")
        if old_root != (new_root if old else EMPTY_ROOT) or (not new and new_root != EMPTY_ROOT):
            raise InvalidProof(f"two different trees of {old} leaves")
        return
    if not proof:
        raise InvalidProof("the consistency proof is empty")
    fr, sr = _run_consistency(old, new, old_root, proof)
    if fr != old_root:
        raise InvalidProof(f"the proof does not give the root of {old} leaves")
    if sr != new_root:
        raise InvalidProof(f"the proof does not give the root of {new} leaves")


def _run_consistency(
    old: int, new: int, old_root: bytes, proof: Sequence[bytes]
) -> tuple[bytes, bytes]:
    """The roots of both trees as the proof has them (RFC 9162 §2.1.4.2, steps 2 to 6)."""
    path = [old_root, *proof] if old.bit_count() == 1 else list(proof)
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            raise InvalidProof("the consistency proof is too long")
        if fn & 1 or fn == sn:
            fr, sr = node_hash(c, fr), node_hash(c, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, c)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise InvalidProof("the consistency proof is too short")
    return fr, sr


def stored_hash_index(level: int, n: int) -> int:
    """Where the node `(level, n)` stands among all nodes in post-order, counted from 0.

    (Crosby and Wallach, "Efficient Data Structures for Tamper-Evident Logging", §3.3; Go's
    `sumdb/tlog` stores hashes so.)
    """
    last_leaf = ((n + 1) << level) - 1
    return stored_hash_count(last_leaf) + level


def stored_hash_count(size: int) -> int:
    """How many nodes a tree of `size` leaves has: one a leaf and one a completed pair, of any level."""
    return 2 * size - size.bit_count()


def leaf_before(place: int) -> int:
    """The leaf that completed the node at a place in post-order, or is it."""
    leaf = place // 2
    while stored_hash_count(leaf + 1) <= place:
        leaf += 1
    return leaf


def _split(count: int) -> int:
    """The largest power of two smaller than `count` (RFC 9162 §2.1.1: k < n <= 2k)."""
    return 1 << ((count - 1).bit_length() - 1)


def _subtrees(start: int, end: int) -> Iterator[tuple[int, int]]:
    """The nodes that cover `[start, end)`, left to right, for a range that the RFC's splits give."""
    while start < end:
        level = (end - start).bit_length() - 1
        yield level, start >> level
        start += 1 << level


def _range_root(start: int, end: int, node: NodeReader) -> bytes:
    return _fold([node(level, number) for level, number in _subtrees(start, end)])


def _fold(peaks: Sequence[bytes]) -> bytes:
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


def _check_lengths(*hashes: bytes) -> None:
    # A longer "hash" could smuggle the bytes of an interior node past the domain separation.
    if any(len(value) != HASH_BYTES for value in hashes):
        raise InvalidProof(f"a hash has {HASH_BYTES} bytes")
