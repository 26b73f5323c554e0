"""Which segments give the roots of signed heads: as they are, or as their seals or the hashes have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice, product
from typing import Final

from eldex.evidence.hashes import HashesTooShort, HashFile
from eldex.evidence.scan import Scan
from eldex.evidence.segments import Seal
from eldex.evidence.tree import CompactRange, peaks_at

_MOST_TRIES: Final = 256
"""Of combinations at one head; one a segment about which sources disagree doubles them."""

Peaks = tuple[bytes, ...]


class Proving:
    """Proves segments by heads, smallest head first."""

    def __init__(
        self,
        height: int,
        scans: Mapping[int, Scan],
        seals: Mapping[int, Seal],
        hashes: Sequence[HashFile],
    ) -> None:
        """`scans`, `seals`: by the number of the segment."""
        self.size = 0
        """The largest head that was proven."""
        self.roots: list[bytes] = []
        """The proven roots of the full segments before it."""
        self.partial: Peaks = ()
        """The proven subtrees of the segment that it ends in, up to it."""
        self._height = height
        self._scans, self._seals, self._hashes = scans, seals, hashes
        self._prefix = CompactRange()
        # Whatever size a head claims, no more than this can be known.
        self._most = 1 + max(
            [*scans, *seals, *(file.count >> height for file in hashes)], default=0
        )

    def prove(self, size: int, root: bytes) -> bool | None:
        """Whether some choice of what is known gives the root; None if something is not known."""
        number, rest = divmod(size, 1 << self._height)
        if number > self._most:
            return None
        choices: list[list[Peaks]] = [
            [(known,) for known in self.known_roots(n)] for n in range(len(self.roots), number)
        ]
        choices.append(self._known_peaks(number, size) if rest else [()])
        for chosen in islice(product(*choices), _MOST_TRIES):
            tree = self._prefix.copy()
            for (segment_root,) in chosen[:-1]:
                tree.append_subtree(self._height, segment_root)
            whole = tree.copy()
            append_peaks(tree, rest, chosen[-1])
            if tree.root() == root:
                self.size, self._prefix, self.partial = size, whole, chosen[-1]
                self.roots += [segment_root for (segment_root,) in chosen[:-1]]
                return True
        return False if all(choices) else None

    def is_refuted(self, size: int, root: bytes) -> bool:
        """Whether records that are proven give another root for this size."""
        number, rest = divmod(size, 1 << self._height)
        if size > self.size:
            return False
        tree = CompactRange()
        for segment_root in self.roots[:number]:
            tree.append_subtree(self._height, segment_root)
        if rest:
            scan = self._scans.get(number)
            if scan is None or size not in scan.peaks or not self.is_sound(number):
                return False
            append_peaks(tree, rest, scan.peaks[size])
        return tree.root() != root

    def is_sound(self, number: int) -> bool:
        """Whether the records of a segment are those that are proven, as far as any are."""
        scan = self._scans.get(number)
        if number < len(self.roots):
            return scan is not None and scan.root == self.roots[number]
        if number > len(self.roots) or not self.partial:
            return True
        return scan is not None and scan.peaks.get(self.size) == self.partial

    def known_roots(self, number: int) -> list[bytes]:
        """What the root of a full segment may be: by its records, its seal, the hashes."""
        scan, seal = self._scans.get(number), self._seals.get(number)
        found = [scan.root if scan else None, seal.root if seal else None]
        for file in self._hashes:
            try:
                found.append(file.node(self._height, number))
            except HashesTooShort:
                continue
        return list(dict.fromkeys(root for root in found if root is not None))

    def logged_leaves(self, number: int) -> list[bytes] | None:
        """The leaves that were logged in a segment, by hashes that give what is proven of it."""
        first = number << self._height
        for file in self._hashes:
            leaves = file.leaves(first, 1 << self._height)
            tree = CompactRange()
            if number < len(self.roots):
                tree.extend(leaves)
                if len(leaves) == 1 << self._height and tree.root() == self.roots[number]:
                    return leaves
            else:
                proven = max(self.size - first, 0)
                tree.extend(leaves[:proven])
                if len(leaves) >= proven and (not proven or tree.peaks == self.partial):
                    return leaves
        return None

    def _known_peaks(self, number: int, size: int) -> list[Peaks]:
        scan, first = self._scans.get(number), number << self._height
        found = [scan.peaks[size]] if scan and size in scan.peaks else []
        for file in self._hashes:
            try:
                found.append(tuple(peaks_at(size, file.node, first)))
            except HashesTooShort:
                continue
        return list(dict.fromkeys(found))


def append_peaks(tree: CompactRange, count: int, peaks: Peaks) -> None:
    """Append `count` leaves to a tree by the roots of their complete subtrees, largest first."""
    for peak in peaks:
        level = count.bit_length() - 1
        tree.append_subtree(level, peak)
        count -= 1 << level
