"""Who calls whom (服务关系): edges between departments over a while, with counts and failures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

DELIVERIES: Final = "deliveries"
"""Stands for the topic where the exchange hands events to subscribers."""


@dataclass(frozen=True, slots=True)
class Edge:
    """Calls, or events of one topic, from one party to another."""

    caller: str
    callee: str
    topic: str
    """The topic, if it is events that go this way; empty for calls."""
    count: int
    errors: int
    mean_us: float

    @property
    def error_share(self) -> float:
        """Failures among all, 0 to 1."""
        return self.errors / self.count if self.count else 0.0


@dataclass(frozen=True, slots=True)
class Edges:
    """The edges of a while, and of how much of it they tell."""

    edges: list[Edge]
    counted: int
    """Calls and events that were counted: the newest."""
    total: int
    """Calls and events of the while."""


class Place(NamedTuple):
    """Something with a place on the map."""

    kind: Literal["party", "topic", "reader"]
    """A department that reads stands once more on the right: so nothing ever runs backwards."""
    name: str


def steps(edges: Sequence[Edge]) -> list[tuple[Place, Place]]:
    """What the map draws lines between: caller to callee, publisher to topic, topic to reader."""
    found: list[tuple[Place, Place]] = []
    for edge in edges:
        caller = Place("party", edge.caller)
        if edge.topic:
            topic = Place("topic", edge.topic)
            found += [(caller, topic), (topic, Place("reader", edge.callee))]
        else:
            found.append((caller, Place("party", edge.callee)))
    return list(dict.fromkeys(found))


def columns(edges: Sequence[Edge]) -> list[list[Place]]:
    """All places in columns from left to right.

    First who is called by nobody, then whom they call, then the topics, then their readers. In a
    column each stands near those who lead to it.
    """
    drawn = steps(edges)
    rank = _call_ranks(edges)
    last = max(rank.values(), default=0)
    stacked: list[list[Place]] = [[] for _ in range(last + 3)]
    for place in dict.fromkeys(place for pair in drawn for place in pair):
        number = {"topic": last + 1, "reader": last + 2}.get(place.kind)
        stacked[rank[place.name] if number is None else number].append(place)
    height: dict[Place, float] = {}
    for column in stacked:
        leading = {p: [height[a] for a, b in drawn if b == p and a in height] for p in column}
        column.sort(
            key=lambda p: (sum(leading[p]) / len(leading[p]) if leading[p] else 0.5, p.name)
        )
        height |= {place: (n + 0.5) / len(column) for n, place in enumerate(column)}
    return [column for column in stacked if column]


def _call_ranks(edges: Sequence[Edge]) -> dict[str, int]:
    """How many calls away from those whom nobody calls; who only publishes stands with the last."""
    calls = [(e.caller, e.callee) for e in edges if not e.topic]
    called = {callee for caller, callee in calls if caller != callee}
    first = [caller for caller, _ in calls if caller not in called] or [c for c, _ in calls[:1]]
    rank = dict.fromkeys(first, 0)
    wave = first
    while wave:
        following = [b for a, b in calls if a in wave and b not in rank]
        rank |= dict.fromkeys(following, rank[wave[0]] + 1)
        wave = following
    last = max(rank.values(), default=0)
    everybody = [*(name for pair in calls for name in pair), *(e.caller for e in edges)]
    return dict.fromkeys(everybody, last) | rank
