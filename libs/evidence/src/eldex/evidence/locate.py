"""Which records are not what was logged: two lists of leaf hashes, what was and what is, laid side by side."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from eldex.evidence.findings import Finding, Kind
from eldex.evidence.segments import SEGMENT, file_name


@dataclass(frozen=True)
class Stretch:
    """Neighbouring segments of which it is known what was logged, and in which something else is."""

    first: int
    height: int
    logged: Sequence[bytes]
    present: Sequence[bytes]

    def segment(self, index: int) -> str:
        """The segment in which a record is, or what is too much behind the last one."""
        index = min(index, self.first + len(self.logged) - 1)
        return file_name(index >> self.height << self.height, SEGMENT)


def locate(stretches: Sequence[Stretch]) -> Iterator[Finding]:
    """Name each record that was altered, is missing, was inserted, doubled or moved.

    Args:
        stretches: all damaged segments, so that a record that went from one to another is known.
    """
    logged = {leaf: s.first + n for s in stretches for n, leaf in enumerate(s.logged)}
    present: dict[bytes, int] = {}
    for stretch in stretches:
        for n, leaf in enumerate(stretch.present):
            # Of a record that is there twice, the place where it belongs, if it is there.
            if leaf not in present or logged.get(leaf) == stretch.first + n:
                present[leaf] = stretch.first + n
    for stretch in stretches:
        for kind, index, until, message in _differences(stretch, logged, present):
            yield Finding(kind, message, index, until, segment=stretch.segment(index))


def _differences(
    stretch: Stretch, logged: Mapping[bytes, int], present: Mapping[bytes, int]
) -> Iterator[tuple[Kind, int, int | None, str]]:
    """Walk along what is still in order, and tell what is between."""
    local = {leaf: n for n, leaf in enumerate(stretch.logged)}
    kept = _in_order([local.get(leaf, -1) for leaf in stretch.present])
    in_order = {stretch.first + number for _, number in kept}
    first, last_line, last = stretch.first, -1, -1
    for line, number in [*kept, (len(stretch.present), len(stretch.logged))]:
        between = range(last + 1, number)
        gone = [n for n in between if stretch.logged[n] not in present]
        # What stands in its place has not moved, though others may have moved around it.
        lines = range(last_line + 1, line)
        extra = [n for n in lines if logged.get(stretch.present[n]) != first + n]
        for n in between:
            at = present.get(stretch.logged[n])
            if at not in {None, first + n}:
                yield Kind.MOVED, first + n, None, f"it stands as record {at}"
        if gone and extra:  # changed; or one became two lines, or two became one
            for n in gone:
                yield Kind.ALTERED, first + n, None, "it is not what was logged"
        elif gone:
            for start, until in _runs(gone):
                yield Kind.MISSING, first + start, first + until, "logged, and not here"
        else:
            for n in extra:
                was = logged.get(stretch.present[n])
                if was is None:
                    yield Kind.INSERTED, first + n, None, "what stands here was not logged here"
                elif was in in_order or present[stretch.present[n]] == was:
                    yield Kind.DOUBLED, first + n, None, f"it is record {was} a second time"
                else:
                    yield Kind.MOVED, first + n, None, f"here stands what was logged as {was}"
        last_line, last = line, number


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Ascending numbers as half-open ranges without gaps."""
    for _, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        members = [number for _, number in run]
        yield members[0], members[-1] + 1


def _in_order(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """The longest selection that ascends, as (place, number); negative numbers are left out.

    (Patience sorting: the piles' tops ascend, and each card remembers the top to its left.)
    """
    tops: list[int] = []
    places: list[int] = []
    before: dict[int, int] = {}
    for place, number in enumerate(numbers):
        if number < 0:
            continue
        pile = bisect_left(tops, number)
        if tops[pile : pile + 1] == [number]:  # a second time: the first one is kept
            continue
        tops[pile : pile + 1] = [number]
        places[pile : pile + 1] = [place]
        before[place] = places[pile - 1] if pile else -1
    found = []
    place = places[-1] if places else -1
    while place >= 0:
        found.append((place, numbers[place]))
        place = before[place]
    return found[::-1]
