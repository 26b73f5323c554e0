"""A span (跨度): one department's work on one call or event, as OpenTelemetry tells it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

Tags = tuple[tuple[str, str], ...]
"""Attributes in the order in which they came; values as text."""


class Kind(StrEnum):
    """What the work was, seen from the department that did it."""

    INTERNAL = "internal"
    SERVER = "server"
    CLIENT = "client"
    PRODUCER = "producer"
    CONSUMER = "consumer"


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something noted during a span."""

    at_us: int
    """Microseconds since 1970."""
    name: str
    tags: Tags


@dataclass(frozen=True, slots=True)
class SpanLink:
    """Another span this one follows from (FOLLOWS_FROM) without being its child."""

    trace_id: str
    span_id: str
    tags: Tags


@dataclass(frozen=True, slots=True)
class Span:
    """One piece of work. Ids are lower-case hex; a root's `parent_id` is empty."""

    trace_id: str
    span_id: str
    parent_id: str
    service: str
    name: str
    kind: Kind
    start_us: int
    """Microseconds since 1970."""
    duration_us: int
    error: bool
    message: str
    """What the status says: a stable reason, if it failed."""
    tags: Tags
    events: tuple[SpanEvent, ...] = ()
    links: tuple[SpanLink, ...] = ()
    process: Tags = ()
    """What is true of the whole process (OpenTelemetry's resource)."""

    def tag(self, key: str) -> str:
        """The value of an attribute; empty if it is not there."""
        return next((value for name, value in self.tags if name == key), "")

    @property
    def end_us(self) -> int:
        """When it ended, microseconds since 1970."""
        return self.start_us + self.duration_us

    @property
    def at(self) -> datetime:
        """When it began."""
        return instant(self.start_us)


def instant(microseconds: int) -> datetime:
    """Microseconds since 1970 as an instant in UTC."""
    return datetime.fromtimestamp(microseconds / 1_000_000, UTC)


def party_of(caller: str) -> str:
    """An identity as a party of the map.

    `511700/service/exchange` is `exchange`; `511700/member/police/hukou`, and `member/police/hukou` as
    the exchange's log names it, are `police/hukou`.
    """
    return re.sub(r"^(?:[0-9]{6}/)?(?:service|member)/", "", caller)
