"""The verification of a log by somebody who has its files, some checkpoints and some receipts.

Nothing is trusted but the keys of the policy. The tree is made of the records as they are. Where it
does not give the root of a trusted checkpoint, what else is known of each segment is tried: its seal,
the hashes. What gives the root is what was logged, whoever kept it; so the segment that differs is
found, and by the hashes the record.
"""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from eldex.evidence.claims import Claims, contradictions
from eldex.evidence.findings import Finding, Kind, Report
from eldex.evidence.hashes import HashFile
from eldex.evidence.heads import Head, Heads
from eldex.evidence.locate import Stretch, locate
from eldex.evidence.policy import Policy
from eldex.evidence.proving import Proving
from eldex.evidence.receipts import Bundle, Receipt
from eldex.evidence.scan import Scan, Scanner, leaves_of
from eldex.evidence.segments import (
    MOST_HEIGHT,
    SEAL,
    SEGMENT,
    BrokenSegment,
    Seal,
    file_name,
)
from eldex.evidence.tree import CompactRange, leaf_before, stored_hash_index

CLOCKS_APART_SECONDS: Final = 300
"""How far the clocks of a log and a witness may differ."""


@dataclass
class Given:
    """What a verification is made from; a source is the name of the file it came from."""

    policy: Policy
    origin: str
    segments: Sequence[Path] = ()
    seals: Sequence[Path] = ()
    hashes: Sequence[Path] = ()
    checkpoints: Sequence[tuple[str, bytes]] = ()
    receipts: Sequence[tuple[str, Receipt]] = ()
    bundles: Sequence[tuple[str, Bundle]] = ()


def audit(given: Given) -> Report:
    """Verify what is given.

    Raises:
        OSError: a file cannot be read.
    """
    began = time.perf_counter()
    with contextlib.ExitStack() as stack:
        hashes = []
        for path in given.hashes:
            hashes.append(HashFile(path))
            stack.callback(hashes[-1].close)
        report = _Audit(given, hashes).run()
    report.seconds = time.perf_counter() - began
    report.findings.sort(key=lambda f: (f.index is None, f.index or 0, f.segment or ""))
    return report


class _Audit:
    """One verification, step by step; a number is that of a segment."""

    def __init__(self, given: Given, hashes: Sequence[HashFile]) -> None:
        self._given, self._hashes = given, hashes
        self._report = Report(given.origin)
        self._claims = Claims(given.origin)
        self._files: dict[int, Path] = {}
        """By the index of the first record."""
        self._seals: dict[int, Seal] = {}
        self._scans: dict[int, Scan] = {}
        self._faults_of_hashes: dict[int, int] = {}
        """By segment, the record whose hash, or one that it completed, a file of hashes has not."""
        self._logged: dict[int, Sequence[bytes]] = {}
        """The leaves of damaged segments as they were logged, where that is known."""

    def run(self) -> Report:
        heads = Heads(self._given.origin, self._given.policy)
        heads.add_checkpoints(self._given.checkpoints)
        heads.add_bundles(self._given.bundles)
        self._report.add([*heads.findings, *heads.forks()])
        self._report.add(self._claims.take(self._given.receipts, heads.bundles))
        self._heads = heads.ascending()
        self._covered = max([head.size for head in self._heads], default=0)
        self._read_names()
        self._read_seals()
        self._read_segments()
        self._proving = Proving(self._height, self._scans, self._seals, self._hashes)
        self._prove()
        self._compare_all()
        self._compare_tops()
        self._locate()
        for number in sorted(self._scans):
            self._tell_lines(number)
        self._check_claims()
        self._check_coverage()
        return self._report

    def _find(
        self,
        kind: Kind,
        message: str,
        index: int | None = None,
        until: int | None = None,
        *,
        segment: str | None = None,
        source: str | None = None,
    ) -> None:
        self._report.add([Finding(kind, message, index, until, segment, source)])

    # What was given

    def _read_names(self) -> None:
        for path in self._given.segments:
            digits = path.name.removesuffix(SEGMENT)
            if digits.isdecimal() and path.name == file_name(int(digits), SEGMENT):
                self._files[int(digits)] = path
            else:
                self._find(Kind.HEADER, "no segment has this name", segment=path.name)

    def _read_seals(self) -> None:
        seals: list[Seal] = []
        for path in self._given.seals:
            try:
                seals.append(Seal.read(path))
            except BrokenSegment as error:
                self._find(Kind.SEAL, error.why, source=path.name)
        # What most of them tell: a single wrong one is found by it.
        told = Counter(seal.height for seal in seals)
        told.update(height for path in self._files.values() for height in _height_of(path))
        self._height = told.most_common(1)[0][0] if told else 0
        self._capacity = 1 << self._height
        for seal in seals:
            if (seal.origin, seal.height) == (self._given.origin, self._height):
                self._seals[seal.first >> seal.height] = seal
            else:
                message = f"it is of {seal.origin}, 2^{seal.height} records"
                self._find(Kind.SEAL, message, source=file_name(seal.first, SEAL))

    def _read_segments(self) -> None:
        scanner = Scanner(self._given.origin, self._height, [head.size for head in self._heads])
        for first, path in sorted(self._files.items()):
            number, rest = divmod(first, self._capacity)
            if rest:
                self._find(Kind.HEADER, "no segment begins there", first, segment=path.name)
                continue
            scan = self._scans[number] = scanner.scan(path, first)
            self._report.segments += 1
            self._report.records += scan.count
            if scan.header_fault:
                self._find(Kind.HEADER, scan.header_fault, segment=scan.name)
            self._claims.compare(scan)
            self._compare_hashes(scan, number)
            scan.nodes.clear()  # two hashes a record, more than all else
        last = self._scans[max(self._scans)] if self._scans else None
        self._end = last.first + last.count if last else 0

    def _compare_hashes(self, scan: Scan, number: int) -> None:
        """Note the first node of a segment that a file of hashes has otherwise, or lacks."""
        for file in self._hashes:
            place = file.first_difference(stored_hash_index(0, scan.first), b"".join(scan.nodes))
            if place is not None:
                self._faults_of_hashes[number] = leaf_before(place)

    # What the heads prove

    def _prove(self) -> None:
        failed: list[tuple[Head, bool | None]] = []
        for head in self._heads:
            outcome = self._proving.prove(head.size, head.root)
            if outcome:
                self._report.checkpoints += len(head.sources)
                self._check_witnesses(head)
            else:
                failed.append((head, outcome))
        proven = self._report.proven_records = self._proving.size
        for head, outcome in failed:
            if self._proving.is_refuted(head.size, head.root):
                message = f"a larger checkpoint proves another tree of {head.size} records"
                self._find(Kind.FORK, message, source=head.sources[0])
            elif head.size > proven and outcome is False:
                message = "these records do not give the root of this checkpoint"
                self._find(Kind.ROOT, message, proven, head.size, source=head.sources[0])
            else:
                message = "what it covers is damaged or not all here: its root cannot be made"
                self._find(Kind.UNPROVEN, message, source=head.sources[0])

    def _check_witnesses(self, head: Head) -> None:
        scan = self._scans.get((head.size - 1) >> self._height)
        at = scan.times.get(head.size) if scan else None
        if scan is None or not at:
            return
        for name, seconds in head.witnesses.items():
            # As numbers: a witness may tell a time that no datetime can hold.
            if datetime.fromisoformat(at).timestamp() > seconds + CLOCKS_APART_SECONDS:
                message = f"answered at {at}, when {name} had already co-signed it"
                self._find(Kind.CLOCK, message, head.size - 1, segment=scan.name)

    def _compare_all(self) -> None:
        """Go through the segments that are known, and tell of those that are not."""
        after = 0
        for number in sorted(self._scans.keys() | self._seals.keys()):
            self._tell_missing(after, number << self._height)
            self._compare(number)
            after = number + 1
        self._tell_missing(after, self._covered)

    def _tell_missing(self, number: int, until: int) -> None:
        first = number << self._height
        if first < until and self._given.segments:
            name = file_name(first, SEGMENT)
            self._find(Kind.MISSING, "the segment is not here", first, until, segment=name)

    def _compare(self, number: int) -> None:
        """Lay a segment beside what is proven of it."""
        scan, seal, first = self._scans.get(number), self._seals.get(number), number << self._height
        root, why = scan.root if scan else None, "it is not that of the records as they are"
        if number < len(self._proving.roots):
            root, why = self._proving.roots[number], "it is not that of the records as logged"
        if seal and root and seal.root != root:
            self._find(Kind.SEAL, why, source=file_name(first, SEAL))
        if scan is None:
            why = "the segment is not here; what its records give is known by its seal"
            name = file_name(first, SEGMENT)
            self._find(Kind.ABSENT, why, first, first + self._capacity, segment=name)
            return
        end, is_last = scan.first + scan.count, number == max(self._scans)
        if not self._proving.is_sound(number):
            logged = self._proving.logged_leaves(number)
            if logged is not None:
                self._logged[number] = logged
                return
        if scan.root is not None and scan.tail_bytes:
            self._find(Kind.INSERTED, "bytes follow the last record", end, segment=scan.name)
        if scan.root is None and (not is_last or scan.count > self._capacity):
            kind = Kind.MISSING if scan.count < self._capacity else Kind.INSERTED
            why = f"{scan.count} records; which of {self._capacity} is wrong cannot be told"
            self._find(kind, why, first, first + self._capacity, segment=scan.name)
        elif is_last and end < self._covered:
            until = min(first + self._capacity, self._covered)
            if end < until:
                self._find(Kind.MISSING, "the segment ends before", end, until, segment=scan.name)

    def _compare_tops(self) -> None:
        """Check the hashes above the segments."""
        tops = CompactRange()
        for number, root in enumerate(self._proving.roots):
            after = stored_hash_index(self._height, number) + 1
            above = b"".join(tops.extend([root])[1:])
            for file in self._hashes:
                if file.first_difference(after, above) is not None:
                    self._faults_of_hashes.setdefault(number, (number + 1 << self._height) - 1)

    def _locate(self) -> None:
        """Name the records in damaged segments, by what was logged in them."""
        stretches: list[Stretch] = []
        before = None
        for number in sorted(self._logged):
            first = number << self._height
            logged, present = list(self._logged[number]), leaves_of(self._files[first])
            if before == number - 1:  # what one lost moves up what is in the next
                last = stretches.pop()
                first = last.first
                logged, present = [*last.logged, *logged], [*last.present, *present]
            stretches.append(Stretch(first, self._height, logged, present))
            before = number
        self._report.add(locate(stretches))

    def _tell_lines(self, number: int) -> None:
        """What lines tell by themselves, where they were not compared with what was logged."""
        scan = self._scans[number]
        if number in self._logged:
            return
        known = self._proving.size if self._proving.is_sound(number) else 0
        for line in scan.damaged:
            if scan.first + line < known:
                kind, why = Kind.FRAME, "the hash in front of it is not its own; it is as logged"
            else:
                kind, why = Kind.ALTERED, "it is not what the hash in front of it was made of"
            self._find(kind, why, scan.first + line, segment=scan.name)
        faults = [(Kind.MALFORMED, *fault) for fault in scan.malformed]
        faults += [(Kind.CLOCK, *fault) for fault in scan.early]
        faults += [(Kind.DOUBLED, line, "it is one before it again") for line in scan.doubled]
        altered = set(scan.damaged) | ({-1} if number - 1 in self._logged else set())
        for kind, line, why in faults:
            # Not where an altered line explains it: itself, or the one whose time is in front.
            if not altered & ({line, line - 1} if kind is Kind.CLOCK else {line}):
                self._find(kind, why, scan.first + line, segment=scan.name)
        if number in self._faults_of_hashes and not scan.damaged:
            why = "the file of hashes has another for it, or ends before it"
            self._find(Kind.HASHES, why, self._faults_of_hashes[number], segment=scan.name)

    # What members say, and what is left open

    def _check_claims(self) -> None:
        wrong = []
        for claim in self._claims:
            number, place = claim.index >> self._height, claim.index % self._capacity
            logged = self._logged.get(number, ())
            is_right = claim.leaf == logged[place] if place < len(logged) else claim.is_here
            if is_right is None and claim.index < self._end:
                segment = file_name(number << self._height, SEGMENT)
                message = "receipts for records in a segment that is not here"
                self._find(Kind.UNPROVEN, message, segment=segment, source=claim.source)
            elif is_right:
                self._report.receipts += claim.index < self._proving.size
            else:
                wrong.append(claim)
        self._report.add(contradictions(wrong, self._files, self._height))

    def _check_coverage(self) -> None:
        if not self._scans:
            self._find(Kind.UNPROVEN, "no segments are given: the records were not looked at")
            return
        last = self._scans[max(self._scans)]
        logged = self._logged.get(last.first >> self._height)
        end = last.first + (last.count if logged is None else len(logged))
        if self._covered < end:
            self._find(Kind.UNCOVERED, "no trusted checkpoint covers them", self._covered, end)
        if last.tail_bytes and last.root is None and self._covered <= self._end:
            self._find(Kind.TORN, "a line that is not whole", self._end, segment=last.name)


def _height_of(path: Path) -> Sequence[int]:
    with path.open("rb") as file:
        words = file.readline(400).rstrip(b"\n").split(b" ")
    told = int(words[3]) if len(words) == 4 and words[3].isdigit() else MOST_HEIGHT + 1
    return [told] if told <= MOST_HEIGHT else []
