"""A trace (链路): all spans of one matter, as a tree; and how traces are looked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from eldex.console.domain.spans import Span, instant


@dataclass(frozen=True, slots=True)
class Search:
    """What to look for: traces with a span that fits all of it, newest first."""

    since: datetime
    until: datetime
    service: str = ""
    operation: str = ""
    tags: tuple[str, ...] = ()
    """Each `key=value`."""
    min_us: int | None = None
    max_us: int | None = None
    errors_only: bool = False
    limit: int = 20


@dataclass(frozen=True, slots=True)
class TraceSummary:
    """A trace as one line of a list."""

    trace_id: str
    root_service: str
    root_name: str
    start_us: int
    end_us: int
    spans: int
    errors: int
    services: tuple[tuple[str, int], ...]
    """Each with its number of spans, most first."""

    @property
    def duration_us(self) -> int:
        """From the first span's begin to the last one's end."""
        return self.end_us - self.start_us

    @property
    def at(self) -> datetime:
        """When it began."""
        return instant(self.start_us)


@dataclass(frozen=True, slots=True)
class Row:
    """A span in its place of the waterfall."""

    span: Span
    level: int
    children: int
    orphan: bool
    """Its parent is not known here: not recorded, not arrived yet, or forgotten already."""


@dataclass(frozen=True, slots=True)
class Trace:
    """The spans of one trace, parents before children, siblings in order of time."""

    trace_id: str
    rows: tuple[Row, ...]
    total: int
    """How many spans there are; more than `rows` if not all are shown."""

    @property
    def start_us(self) -> int:
        """The first begin."""
        return min(row.span.start_us for row in self.rows)

    @property
    def end_us(self) -> int:
        """The last end."""
        return max(row.span.end_us for row in self.rows)

    @property
    def duration_us(self) -> int:
        """From the first begin to the last end."""
        return self.end_us - self.start_us

    @property
    def services(self) -> list[str]:
        """Who took part, in order of appearance."""
        return list(dict.fromkeys(row.span.service for row in self.rows))

    @property
    def errors(self) -> int:
        """How many spans failed."""
        return sum(row.span.error for row in self.rows)


def tree(trace_id: str, spans: Iterable[Span], total: int | None = None) -> Trace:
    """Put spans into the order of the waterfall; whatever does not hang together stands alone.

    A child of a parent that is not there becomes a root of its own; so does one span of a circle,
    which broken clients send, so that every span is shown once.
    """
    found = sorted({s.span_id: s for s in spans}.values(), key=lambda s: (s.start_us, s.span_id))
    known = {span.span_id for span in found}
    children: dict[str, list[Span]] = defaultdict(list)
    roots = []
    for span in found:
        if span.parent_id in known and span.parent_id != span.span_id:
            children[span.parent_id].append(span)
        else:
            roots.append(span)
    rows: list[Row] = []
    placed: set[str] = set()
    for root in [*roots, *found]:
        if root.span_id not in placed:
            _place(root, children, rows, placed)
    return Trace(trace_id, tuple(rows), len(found) if total is None else total)


def _place(root: Span, children: dict[str, list[Span]], rows: list[Row], placed: set[str]) -> None:
    waiting: list[tuple[Span, int]] = [(root, 0)]
    while waiting:
        span, level = waiting.pop()
        if span.span_id in placed:
            continue
        placed.add(span.span_id)
        below: Sequence[Span] = children[span.span_id]
        orphan = level == 0 and span.parent_id != ""
        rows.append(Row(span, level, len(below), orphan))
        waiting.extend((child, level + 1) for child in reversed(below))
