"""Where things stand in the pictures: waterfall, minimap, map of services. Numbers only, no HTML."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from zlib import crc32

from eldex.console.domain.service_map import Edge, columns
from eldex.console.domain.traces import Row, Trace

_OWN_COLOURS: Final = (
    "exchange",
    "registry",
    "medical",
    "subsidies",
    "institutions",
    "credit",
    "console",
)
COLOURS: Final = 12
_MINIMAP_HEIGHT: Final = 72.0


def colour(service: str) -> int:
    """The number of a service's colour: its own for the departments, steady for all others."""
    if service in _OWN_COLOURS:
        return _OWN_COLOURS.index(service)
    others = COLOURS - len(_OWN_COLOURS)
    return len(_OWN_COLOURS) + crc32(service.encode()) % others


@dataclass(frozen=True, slots=True)
class Bar:
    """A span's place on the time axis, in percent, and its line in the minimap."""

    row: Row
    left: float
    width: float
    label_left: bool
    """The duration stands left of the bar, because there is no room on the right."""
    minimap_y: float
    minimap_height: float
    last_siblings: int


@dataclass(frozen=True, slots=True)
class Waterfall:
    """All bars, and the ticks of the axis in microseconds."""

    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, float], ...]
    minimap_height: float = _MINIMAP_HEIGHT


def waterfall(trace: Trace) -> Waterfall:
    """Lay a trace out; even the shortest span is wide enough to be seen."""
    whole = max(trace.duration_us, 1)
    step = _MINIMAP_HEIGHT / max(len(trace.rows), 8)
    bars = []
    for number, row in enumerate(trace.rows):
        left = 100 * (row.span.start_us - trace.start_us) / whole
        width = max(100 * row.span.duration_us / whole, 0.3)
        left = min(left, 100 - width)
        bars.append(
            Bar(
                row=row,
                left=round(left, 3),
                width=round(width, 3),
                label_left=left + width > 80 and left > 20,
                minimap_y=round(number * step, 2),
                minimap_height=round(max(min(step * 0.7, 5), 0.8), 2),
                last_siblings=row.level,
            )
        )
    ticks = tuple((25.0 * n, whole * n / 4) for n in range(5))
    return Waterfall(tuple(bars), ticks)


# --- the map --------------------------------------------------------------------------------------

NODE_WIDTH: Final = 170.0
NODE_HEIGHT: Final = 46.0
_COLUMN_GAP, _ROW_GAP, _MARGIN = 150.0, 34.0, 24.0


@dataclass(frozen=True, slots=True)
class Node:
    """A party's box; `x`, `y` is its upper left corner."""

    name: str
    x: float
    y: float
    errors: bool


@dataclass(frozen=True, slots=True)
class Line:
    """All calls, or all events, from one party to another."""

    caller: str
    callee: str
    events: bool
    count: int
    errors: int
    topics: tuple[str, ...]
    path: str
    label_x: float
    label_y: float
    thickness: float

    @property
    def label_width(self) -> float:
        """Room for the number."""
        return 9.0 * len(f"{self.count:,}") + 14


@dataclass(frozen=True, slots=True)
class ServiceMap:
    """The whole picture."""

    width: float
    height: float
    nodes: tuple[Node, ...]
    lines: tuple[Line, ...]


def service_map(edges: Sequence[Edge]) -> ServiceMap:
    """Lay the map out in columns, callers on the left."""
    stacked = columns(edges)
    tallest = max((len(column) for column in stacked), default=0)
    height = tallest * (NODE_HEIGHT + _ROW_GAP) + 2 * _MARGIN
    failing = {edge.callee for edge in edges if edge.errors}
    nodes = {}
    for number, column in enumerate(stacked):
        x = _MARGIN + number * (NODE_WIDTH + _COLUMN_GAP)
        free = height - len(column) * (NODE_HEIGHT + _ROW_GAP) + _ROW_GAP
        for place, name in enumerate(column):
            y = free / 2 + place * (NODE_HEIGHT + _ROW_GAP)
            nodes[name] = Node(name, x, y, name in failing)
    pairs: dict[tuple[str, str, bool], list[Edge]] = defaultdict(list)
    for edge in edges:
        pairs[edge.caller, edge.callee, bool(edge.topic)].append(edge)
    taken: set[tuple[int, int]] = set()
    lines = tuple(
        _line(found, nodes[caller], nodes[callee], events, taken)
        for (caller, callee, events), found in sorted(pairs.items())
    )
    # Room on the right for the arcs inside the last column.
    width = len(stacked) * (NODE_WIDTH + _COLUMN_GAP) + _MARGIN
    return ServiceMap(width, height, tuple(nodes.values()), lines)


def _line(
    edges: Sequence[Edge], start: Node, end: Node, events: bool, taken: set[tuple[int, int]]
) -> Line:
    x1, y1 = start.x + NODE_WIDTH, start.y + NODE_HEIGHT / 2 + (6 if events else -6)
    if end.x > start.x:
        x2, y2 = end.x, end.y + NODE_HEIGHT / 2 + (6 if events else -6)
        bend = max((x2 - x1) / 2, 40)
        c1, c2 = (x1 + bend, y1), (x2 - bend, y2)
    else:
        # Beside or backwards: an arc that leaves and enters on the right.
        x2, y2 = end.x + NODE_WIDTH, end.y + NODE_HEIGHT / 2 + (12 if events else -12)
        bulge = 50 + 0.22 * abs(y2 - y1) + (x1 - x2) * 0.2
        c1, c2 = (x1 + bulge, y1), (x2 + bulge + (x1 - x2), y2)
    label_x, label_y = _free_place((x1, y1), c1, c2, (x2, y2), taken)
    count = sum(edge.count for edge in edges)
    return Line(
        caller=start.name,
        callee=end.name,
        events=events,
        count=count,
        errors=sum(edge.errors for edge in edges),
        topics=tuple(sorted({edge.topic for edge in edges if edge.topic})),
        path=f"M{x1:.0f},{y1:.0f} C{c1[0]:.0f},{c1[1]:.0f} {c2[0]:.0f},{c2[1]:.0f} {x2:.0f},{y2:.0f}",
        label_x=label_x,
        label_y=label_y,
        thickness=round(1.2 + min(math.log10(max(count, 1)), 4) * 0.7, 1),
    )


Point = tuple[float, float]


def _free_place(
    p0: Point, p1: Point, p2: Point, p3: Point, taken: set[tuple[int, int]]
) -> tuple[float, float]:
    """A place on the curve (near its middle, if it can be) where no other label stands yet."""
    places = [_point(t, (p0, p1, p2, p3)) for t in (0.5, 0.6, 0.4, 0.7, 0.3, 0.78, 0.22)]
    free = [place for place in places if not _cells(place) & taken]
    x, y = (free or places)[0]
    taken |= _cells((x, y))
    return round(x, 1), round(y, 1)


def _point(t: float, points: Sequence[Point]) -> Point:
    """A cubic Bézier curve at `t`."""
    u = 1 - t
    weights = (u**3, 3 * u * u * t, 3 * u * t * t, t**3)
    x, y = (sum(w * p[i] for w, p in zip(weights, points, strict=True)) for i in (0, 1))
    return x, y


def _cells(place: Point) -> set[tuple[int, int]]:
    x, y = place
    return {(int(x / 46) + dx, int(y / 18) + dy) for dx in (0, 1) for dy in (0, 1)}
