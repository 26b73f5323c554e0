"""Who calls whom (服务关系): edges between departments over a while, with counts and failures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


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


def columns(edges: Iterable[Edge]) -> list[list[str]]:
    """The parties in columns from left to right: who is never called first, then whom they call.

    Calls decide; somebody who is reached by events alone stands one column after the first of
    those who publish to them. Circles are cut where they are met.
    """
    found = list(edges)
    parties = list(dict.fromkeys([n for e in found for n in (e.caller, e.callee)]))
    called = {e.callee for e in found if e.caller != e.callee}
    rank = {party: 0 for party in parties if party not in called} or dict.fromkeys(parties[:1], 0)
    for calls in (True, False):
        wave = list(rank)
        while wave:
            following = []
            for edge in found:
                if (
                    bool(edge.topic) is not calls
                    and edge.caller in wave
                    and edge.callee not in rank
                ):
                    rank[edge.callee] = rank[edge.caller] + 1
                    following.append(edge.callee)
            wave = following
    last = max(rank.values(), default=0)
    for party in parties:
        rank.setdefault(party, last)
    return [
        sorted(p for p in parties if rank[p] == number) for number in sorted(set(rank.values()))
    ]
