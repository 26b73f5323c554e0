"""The exchange's subscribers (订阅方): how each is served, and what an operator may do about it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from eldex.common.errors import DomainError, Kind


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a subscriber is behind."""

    newest_cursor: int
    events: int
    seconds: float
    retrying: int
    dead_letters: int
    failing_since: datetime | None


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a subsystem wants of the events, and how it gets it."""

    subsystem: str
    name: str
    kind: str
    """`stream`, `webhook` or `topic`."""
    state: str
    """`active` or `paused`."""
    pause_cause: str
    paused_at: datetime | None
    cursor: int
    """Up to here everything was delivered or set aside."""
    created_at: datetime | None
    event_types: tuple[str, ...]
    region_codes: tuple[str, ...]
    expression: str
    url: str
    """Where to: the endpoint, or the topic; empty for a stream."""
    lag: Lag | None
    """None: it could not be told."""

    @property
    def key(self) -> str:
        """`<subsystem>/<name>`."""
        return f"{self.subsystem}/{self.name}"


@dataclass(frozen=True, slots=True)
class Undelivered:
    """An event that an endpoint would not take (死信)."""

    key: str
    cursor: int
    event_id: str
    event_type: str
    subject: str
    reason: str
    attempts: int
    set_aside_at: datetime
    redelivered_at: datetime | None
    redelivering: bool


class NoStart(DomainError):
    """A replay needs a point to begin at."""

    kind, reason = Kind.INVALID, "REPLAY_START_MISSING"
    zh = "请给出重放的起点：时间（如 2026-11-22T08:30）或游标（整数），两者择一"
    en = "say where to begin: a time such as 2026-11-22T08:30, or a cursor (a whole number), one of them"

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
