"""What members say: that a leaf stands at an index, by a receipt or by a bundle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from eldex.evidence.findings import Finding, Kind
from eldex.evidence.receipts import Bundle, Receipt
from eldex.evidence.scan import Scan, leaves_of
from eldex.evidence.segments import SEGMENT, file_name
from eldex.evidence.tree import stored_hash_index


@dataclass
class Claim:
    """That a record with this leaf hash has this index."""

    index: int
    leaf: bytes
    source: str
    is_here: bool | None = None
    """Whether it has, in the segments as they are; None where there is no record of this index."""


class Claims:
    """The claims about one log."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._claims: dict[int, list[Claim]] = {}

    def __iter__(self) -> Iterator[Claim]:
        for _, claims in sorted(self._claims.items()):
            yield from claims

    def take(
        self, receipts: Iterable[tuple[str, Receipt]], bundles: Iterable[tuple[str, Bundle]]
    ) -> Iterator[Finding]:
        """Take receipts and bundles; tells of those that are about another log."""
        for source, receipt in receipts:
            if receipt.origin == self._origin:
                self._add(receipt.index, receipt.leaf_hash, source)
            else:
                message = f"a receipt of another log, {receipt.origin}"
                yield Finding(Kind.UNPROVEN, message, source=source)
        for source, bundle in bundles:
            self._add(bundle.index, bundle.leaf_hash, source)

    def compare(self, scan: Scan) -> None:
        """See which of them a segment bears out."""
        for number in range(scan.count if self._claims else 0):
            for claim in self._claims.get(scan.first + number, ()):
                claim.is_here = claim.leaf == scan.nodes[stored_hash_index(0, number)]

    def _add(self, index: int, leaf: bytes, source: str) -> None:
        self._claims.setdefault(index, []).append(Claim(index, leaf, source))


def contradictions(
    claims: Iterable[Claim], files: Mapping[int, Path], height: int
) -> Iterator[Finding]:
    """What claims that are not borne out tell: which record is gone, or stands elsewhere.

    Args:
        claims: by ascending index.
        files: the segments, by the index of their first record; each has 2^height.
        height: see above.
    """
    wrong = list(claims)
    wanted = {claim.leaf for claim in wrong}
    places: dict[bytes, int] = {}
    for first, path in files.items() if wrong else ():
        found = ((leaf, first + n) for n, leaf in enumerate(leaves_of(path)) if leaf in wanted)
        places.update(found)
    run: list[Claim] = []
    for claim in wrong:
        by = places.get(claim.leaf, claim.index) - claim.index
        if run and (not by or by != places[run[0].leaf] - run[0].index):
            yield _moved(run, places, height)
            run = []
        if by:
            run.append(claim)
        else:
            message = "what a member has a receipt for is not in the log"
            segment = _segment(claim.index, height)
            yield Finding(Kind.RECEIPT, message, claim.index, segment=segment, source=claim.source)
    if run:
        yield _moved(run, places, height)


def _moved(run: list[Claim], places: Mapping[bytes, int], height: int) -> Finding:
    """A run of claims that are all borne out so many places later or earlier."""
    first = run[0]
    by = places[first.leaf] - first.index
    where = f"{abs(by)} place{'s' if abs(by) > 1 else ''} {'later' if by > 0 else 'earlier'}"
    return Finding(
        Kind.MOVED,
        f"what members have receipts for stands {where}",
        first.index,
        run[-1].index + 1,
        segment=_segment(first.index, height),
        source=first.source,
    )


def _segment(index: int, height: int) -> str:
    return file_name(index >> height << height, SEGMENT)
