"""Subscriptions: the numbered events, and how far each subscriber has taken them over."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from eldex.common.aggregate import Aggregate
from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers import RegionCode


class CursorUnknown(DomainError):
    """A cursor beyond anything that was ever given out."""

    kind, reason = Kind.INVALID, "CURSOR_UNKNOWN"
    zh = "游标 {cursor} 尚不存在，最新为 {newest}"
    en = "there is no cursor {cursor} yet; the newest is {newest}"


@dataclass(kw_only=True)
class Subscription(Aggregate):
    """How far a subscriber has taken over its events. The key is `<subsystem>/<name>`."""

    subsystem: str
    name: str
    event_types: list[str] = field(default_factory=list)
    region_codes: list[RegionCode] = field(default_factory=list)
    acknowledged: int = 0
    seen_at: datetime | None = None

    def acknowledge(self, cursor: int, newest: int) -> None:
        """Move on; never back."""
        if cursor > newest:
            raise CursorUnknown(cursor=cursor, newest=newest)
        self.acknowledged = max(self.acknowledged, cursor)


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """An event with its number in the feed."""

    cursor: int
    event_id: str
    type: str
    source: str
    subject: str
    occurred_at: datetime
    regions: tuple[RegionCode, ...]
    payload: bytes
    traceparent: str
