"""One subscription's deliveries: which event may go now, and what becomes of it. A state machine.

- Events are admitted in the order of the feed, and stay until they are taken or set aside.
- Of one subject only the earliest goes; the next waits for its end. Different subjects go side by side.
- At most `most` events are here. What is behind them stays in the feed.

Everything up to `scanned` was either not wanted, or has ended, or is here: so that `scanned` and what is
here are all that must be remembered, and a delivery that begins again from an older memory sends some
events twice, but none too few and none before an earlier one of its subject.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from eldex.exchange.domain.delivery.schedule import Schedule

MOST = 256
"""Events of one subscription that are under way, waiting behind one, or waiting for another try."""
_BURST_SECONDS = 0.1
"""Of an allowed rate, what may go at once."""


@dataclass(slots=True)
class Pending:
    """An event that is due to the subscriber."""

    cursor: int
    event_id: str
    type: str
    subject: str
    occurred_at: datetime
    attempts: int = 0
    """Failed tries that counted."""
    next_at: datetime | None = None
    """Not before; None: now."""
    reason: str = ""
    """What the last try came to."""
    is_redelivery: bool = False
    """A dead letter that is tried again; it is remembered as such, not here."""


@dataclass(slots=True)
class Health:
    """How the endpoint has behaved since it last took something."""

    failures: int = 0
    failing_since: datetime | None = None
    refused: list[str] = field(default_factory=list)
    """Different events that it refused in a row, as many as decide whether it is down."""
    probes: int = 0
    probe_at: datetime | None = None
    """When it is down: not before."""
    asked_until: datetime | None = None
    """It asked to be left alone until then."""


class Window:
    """What is under way to one subscriber. All instants are passed in."""

    def __init__(
        self,
        schedule: Schedule,
        parallel: int,
        per_second: float | None = None,
        scanned: int = 0,
        pending: Iterable[Pending] = (),
        health: Health | None = None,
        most: int = MOST,
    ) -> None:
        self._schedule, self._most = schedule, most
        self.parallel, self.per_second = parallel, per_second
        self.scanned = scanned
        self.health = health or Health()
        self.in_flight: set[int] = set()
        self._busy: set[str] = set()
        """The subjects of what is in flight."""
        self._pending: dict[int, Pending] = {}
        self._lanes: dict[str, list[int]] = {}
        """Subject → its events, the earliest first."""
        self._next_turn = 0
        self._probe: int | None = None
        """What is tried of an endpoint that is down."""
        self._free_at: datetime | None = None
        for each in sorted(pending, key=lambda p: p.cursor):
            self._place(each)

    def __len__(self) -> int:
        return len(self._pending)

    def __iter__(self) -> Iterator[Pending]:
        """What is here, the earliest first."""
        return (self._pending[cursor] for cursor in sorted(self._pending))

    def __contains__(self, cursor: int) -> bool:
        return cursor in self._pending

    @property
    def room(self) -> int:
        """How many more events may be admitted."""
        return max(0, self._most - len(self._pending))

    @property
    def settled(self) -> int:
        """Up to here everything has ended."""
        due = (cursor for cursor, each in self._pending.items() if not each.is_redelivery)
        return min(due, default=self.scanned + 1) - 1

    @property
    def is_down(self) -> bool:
        """Whether the endpoint refuses everything."""
        return len(self.health.refused) >= self._schedule.down_after

    def is_dead(self, now: datetime) -> bool:
        """Whether it has refused everything for too long."""
        since, schedule = self.health.failing_since, self._schedule
        return (
            since is not None
            and self.health.failures >= schedule.dead_failures
            and (now - since).total_seconds() >= schedule.dead_after
        )

    def admit(self, pending: Pending) -> None:
        """Take the next event of the feed in."""
        assert pending.cursor > self.scanned, "events come in the order of the feed"
        self.scanned = pending.cursor
        self._place(pending)

    def scan(self, cursor: int) -> None:
        """Nothing else up to this cursor is wanted."""
        self.scanned = max(self.scanned, cursor)

    def readmit(self, pending: Pending) -> None:
        """Take a dead letter in again; it goes before what is waiting of its subject."""
        if pending.cursor not in self._pending:
            self._place(pending)

    def due(self, now: datetime) -> list[Pending]:
        """What may go now, at most as many as there is place for."""
        places = self._places(now)
        if places <= 0 or self._left_alone_until(now) > now:
            return []
        heads = self._heads()
        if self.is_down:
            # Not always the same one: perhaps it is the only one that the endpoint will not take.
            return sorted(heads, key=lambda p: (p.cursor < self._next_turn, p.cursor))[:places]
        ready = [head for head in heads if head.next_at is None or head.next_at <= now]
        return sorted(ready, key=lambda p: p.cursor)[:places]

    def next_at(self, now: datetime) -> datetime | None:
        """When something may become due if nothing else happens; None: not by waiting."""
        heads = self._heads()
        if not heads or len(self.in_flight) >= (1 if self.is_down else self.parallel):
            return None
        at = self._left_alone_until(now)
        if not self.is_down:
            at = max(at, min(head.next_at or now for head in heads))
        if self._free_at is not None:
            at = max(at, self._free_at)
        return at

    def _heads(self) -> list[Pending]:
        """The earliest event of every subject of which none is on its way."""
        return [
            self._pending[lane[0]]
            for subject, lane in self._lanes.items()
            if subject not in self._busy
        ]

    def _places(self, now: datetime) -> int:
        places = (1 if self.is_down else self.parallel) - len(self.in_flight)
        if self.per_second is None or self._free_at is None:
            return places
        ahead = (self._free_at - now).total_seconds()
        if ahead <= 0:
            return min(places, max(1, int(_BURST_SECONDS * self.per_second)))
        return min(places, int((_BURST_SECONDS - ahead) * self.per_second))

    def _left_alone_until(self, now: datetime) -> datetime:
        asked = (self.health.asked_until, self.health.probe_at)
        return max((at for at in asked if at is not None), default=now)

    def begin(self, cursor: int, now: datetime) -> None:
        """It is on its way."""
        assert cursor in self._pending
        assert cursor not in self.in_flight
        self.in_flight.add(cursor)
        self._busy.add(self._pending[cursor].subject)
        self._next_turn = cursor + 1
        self._probe = cursor if self.is_down else None
        if self.per_second is not None:
            self._free_at = max(now, self._free_at or now) + timedelta(seconds=1 / self.per_second)

    def taken(self, cursor: int) -> None:
        """The subscriber has it."""
        self.health = Health()
        self.drop(cursor)

    def drop(self, cursor: int) -> None:
        """It has ended; the next of its subject may go."""
        self.put_back(cursor)
        ended = self._pending.pop(cursor)
        lane = self._lanes[ended.subject]
        lane.remove(cursor)
        if not lane:
            del self._lanes[ended.subject]

    def put_back(self, cursor: int) -> None:
        """The try says nothing about the endpoint; it may go again at once."""
        if cursor in self.in_flight:
            self.in_flight.discard(cursor)
            self._busy.discard(self._pending[cursor].subject)

    def failed(
        self, cursor: int, now: datetime, reason: str, chance: float, wish: timedelta | None = None
    ) -> Pending | None:
        """The endpoint did not take it. Returns it if it has ended: it is to be set aside.

        `wish` is for how long the endpoint asked to be left alone.
        """
        self.put_back(cursor)
        pending = self._pending[cursor]
        pending.reason = reason
        health = self.health
        health.failures += 1
        health.failing_since = health.failing_since or now
        if pending.event_id not in health.refused:
            health.refused = [*health.refused, pending.event_id][-self._schedule.down_after :]
        if wish:
            health.asked_until = now + wish
        if self.is_down:
            # What was on its way when it went down fails together and counts once, then every probe.
            if cursor == self._probe or health.probe_at is None:
                health.probe_at = now + self._schedule.probe(health.probes, chance)
                health.probes += 1
            return None
        pause = self._schedule.pause(pending.attempts + 1, chance)
        pending.attempts += 1
        if pause is None:
            self.drop(cursor)
            return pending
        pending.next_at = now + max(pause, wish or pause)
        return None

    def _place(self, pending: Pending) -> None:
        self._pending[pending.cursor] = pending
        lane = self._lanes.setdefault(pending.subject, [])
        lane.append(pending.cursor)
        lane.sort()
