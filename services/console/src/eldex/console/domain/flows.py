"""How the events flow, department by department, as each tells it itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Health(StrEnum):
    """Whether a department answers."""

    SERVING = "serving"
    NOT_READY = "not-ready"
    """It answers, and says that it is not ready (starting, stopping, or its reader has stopped)."""
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Flow:
    """One partition of one topic (分区), as its reader stands."""

    topic: str
    partition: int
    lag_events: int
    lag_seconds: float
    held_because: str
    """A stable reason; empty while it flows."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that could not be applied (死信)."""

    department: str
    key: str
    topic: str
    partition: int
    offset: int
    event_id: str
    event_type: str
    subject: str
    reason: str
    detail: str
    detail_zh: str
    """Empty of those that were set aside before it was kept."""
    set_aside_at: datetime
    replayed_at: datetime | None
    closed_at: datetime | None
    closed_by: str
    closing_reason: str
    trace_id: str


@dataclass(frozen=True, slots=True)
class Letters:
    """Some dead letters of one department, oldest first."""

    letters: tuple[DeadLetter, ...]
    following: str
    """Where they go on; empty: that was all."""


@dataclass(frozen=True, slots=True)
class Department:
    """One service at this moment."""

    name: str
    health: Health
    problem: str = ""
    """Why it is not serving, as far as it can be told."""
    answered_ms: float = 0.0
    outbox_events: int = 0
    outbox_age_seconds: float = 0.0
    flows: tuple[Flow, ...] = ()
    dead_letters_waiting: int = 0
    dead_letters: tuple[DeadLetter, ...] = ()
    """The first of them."""
    more_letters: str = ""
    """Where the others go on; empty: that was all."""
    certificate_ends_at: datetime | None = None
    """When the certificate that it shows ends; None: it did not tell."""

    def certificate_days(self, now: datetime) -> int | None:
        """Whole days that its certificate still lasts; negative: it has ended."""
        return (self.certificate_ends_at - now).days if self.certificate_ends_at else None

    def by_topic(self) -> list[TopicLag]:
        """The lag of each topic over its partitions."""
        topics = sorted({flow.topic for flow in self.flows})
        return [TopicLag.of(t, [f for f in self.flows if f.topic == t]) for t in topics]


@dataclass(frozen=True, slots=True)
class TopicLag:
    """One topic as one department reads it."""

    topic: str
    partitions: int
    lag_events: int
    lag_seconds: float
    """Of the slowest partition."""
    held: tuple[Flow, ...]

    @classmethod
    def of(cls, topic: str, flows: list[Flow]) -> TopicLag:
        """Sum partitions up."""
        return cls(
            topic,
            len(flows),
            sum(flow.lag_events for flow in flows),
            max(flow.lag_seconds for flow in flows),
            tuple(flow for flow in flows if flow.held_because),
        )
