"""Where things stand in the pictures: waterfall, minimap, map of services. Numbers only, no HTML."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from zlib import crc32

from eldex.console.domain.service_map import Edge, Place, columns, steps
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
            )
        )
    ticks = tuple((25.0 * n, whole * n / 4) for n in range(5))
    return Waterfall(tuple(bars), ticks)


# --- the map --------------------------------------------------------------------------------------

NODE_WIDTH: Final = 164.0
NODE_HEIGHT: Final = 46.0
_COLUMN_GAP, _ROW_GAP, _MARGIN = 100.0, 26.0, 24.0


@dataclass(frozen=True, slots=True)
class Node:
    """The box of a party, a topic or a reader; `x`, `y` is its upper left corner."""

    kind: str
    name: str
    x: float
    y: float
    errors: bool


@dataclass(frozen=True, slots=True)
class Line:
    """All that goes from one box to another. A publisher's line has no count: its readers' have."""

    start: Node
    end: Node
    count: int
    errors: int
    path: str
    label_x: float
    label_y: float
    thickness: float

    @property
    def events(self) -> bool:
        """Whether it carries events, not calls."""
        return "topic" in {self.start.kind, self.end.kind}

    @property
    def label_width(self) -> float:
        """Room for the number."""
        return 8.0 * len(f"{self.count:,}") + 12


@dataclass(frozen=True, slots=True)
class ServiceMap:
    """The whole picture."""

    width: float
    height: float
    nodes: tuple[Node, ...]
    lines: tuple[Line, ...]


def service_map(edges: Sequence[Edge]) -> ServiceMap:
    """Lay the map out in columns, callers on the left, readers on the right."""
    stacked = columns(edges)
    tallest = max((len(column) for column in stacked), default=0)
    height = tallest * (NODE_HEIGHT + _ROW_GAP) - _ROW_GAP + 2 * _MARGIN
    incoming: dict[tuple[Place, Place], list[Edge]] = defaultdict(list)
    for edge in edges:
        end = Place("reader" if edge.topic else "party", edge.callee)
        start = Place("topic", edge.topic) if edge.topic else Place("party", edge.caller)
        incoming[start, end].append(edge)
    failing = {end for (_, end), found in incoming.items() if any(e.errors for e in found)}
    nodes: dict[Place, Node] = {}
    for number, column in enumerate(stacked):
        x = _MARGIN + number * (NODE_WIDTH + _COLUMN_GAP)
        free = height - len(column) * (NODE_HEIGHT + _ROW_GAP) + _ROW_GAP
        for position, place in enumerate(column):
            y = free / 2 + position * (NODE_HEIGHT + _ROW_GAP)
            nodes[place] = Node(place.kind, place.name, x, round(y, 1), place in failing)
    # The straightest first: they have the least choice where their numbers stand.
    drawn = sorted(steps(edges), key=lambda pair: abs(nodes[pair[0]].y - nodes[pair[1]].y))
    taken: set[tuple[int, int]] = set()
    lines = tuple(
        _line(nodes[start], nodes[end], incoming[start, end], taken) for start, end in drawn
    )
    width = len(stacked) * (NODE_WIDTH + _COLUMN_GAP) - _COLUMN_GAP + 2 * _MARGIN
    # Calls inside the last column bend to its right.
    bent = any(line.start.x >= line.end.x == nodes[stacked[-1][0]].x for line in lines)
    return ServiceMap(width + (_COLUMN_GAP if bent else 0), height, tuple(nodes.values()), lines)


def _line(start: Node, end: Node, edges: Sequence[Edge], taken: set[tuple[int, int]]) -> Line:
    x1, y1 = start.x + NODE_WIDTH, start.y + NODE_HEIGHT / 2
    if end.x > start.x:
        x2, y2 = end.x, end.y + NODE_HEIGHT / 2
        bend = max((x2 - x1) / 2, 40)
        c1, c2 = (x1 + bend, y1), (x2 - bend, y2)
    else:
        # A call beside or backwards: an arc that leaves and enters on the right.
        y1, x2, y2 = y1 - 10, end.x + NODE_WIDTH, end.y + NODE_HEIGHT / 2 - 10
        bulge = 40 + 0.15 * abs(y2 - y1)
        c1, c2 = (x1 + bulge, y1), (x2 + bulge + (x1 - x2), y2)
    count = sum(edge.count for edge in edges)
    label = _free_place((x1, y1), c1, c2, (x2, y2), taken) if edges else (0.0, 0.0)
    return Line(
        start=start,
        end=end,
        count=count,
        errors=sum(edge.errors for edge in edges),
        path=f"M{x1:.0f},{y1:.0f} C{c1[0]:.0f},{c1[1]:.0f} {c2[0]:.0f},{c2[1]:.0f} {x2:.0f},{y2:.0f}",
        label_x=label[0],
        label_y=label[1],
        thickness=round(1.2 + min(math.log10(max(count, 1)), 4) * 0.5, 1),
    )


Point = tuple[float, float]


def _free_place(
    p0: Point, p1: Point, p2: Point, p3: Point, taken: set[tuple[int, int]]
) -> tuple[float, float]:
    """A place on the curve (near its middle, if it can be) where no other label stands yet."""
    places = [
        _point(t, (p0, p1, p2, p3))
        for t in (0.5, 0.6, 0.4, 0.7, 0.3, 0.8, 0.2, 0.65, 0.35, 0.75, 0.25)
    ]
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
