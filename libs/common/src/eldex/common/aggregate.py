"""The shape that every noun with a life of its own has: a key, a version, the facts it brought about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeVar

from eldex.common.errors import StaleVersion


@dataclass(kw_only=True)
class Aggregate:
    """A thing that changes as a whole, and tells what happened to it.

    Methods of subclasses decide (and raise the fact that forbids), change the fields and `record`
    the event. State and events are committed together by the unit of work (`eldex.common.store`).
    """

    key: str
    """Opaque, stable name; never an identity number."""
    version: int = 0
    """How often it was committed; 0 before the first time."""
    events: list[object] = field(init=False, default_factory=list, repr=False, compare=False)
    """What happened since it was loaded, in order; emptied by the commit."""

    def record(self, event: object) -> None:
        """Tell a fact in the past tense."""
        self.events.append(event)

    @property
    def etag(self) -> str:
        """The version as callers hand it back (AIP-154)."""
        return f"v{self.version}"

    def expect(self, etag: str) -> None:
        """Raise `StaleVersion` unless the caller's etag is current; an empty one expects nothing."""
        if etag and etag != self.etag:
            raise StaleVersion(type(self).__name__)


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of the answer, and where it goes on (None: that was all)."""

    items: list[T]
    next_key: str | None = None
