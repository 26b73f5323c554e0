"""The CloudEvents attributes of a delivery, and what a subscriber's filter may ask of them.

A filter decides what is delivered, so it tells its author something about every attribute that it
reads. It may therefore read what a delivery carries, and nothing else (no oracle).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Final

from eldex.common.errors import DomainError, Kind
from eldex.exchange.domain.agreements import Agreement, Scope
from eldex.exchange.domain.cesql.errors import FilterRefused
from eldex.exchange.domain.cesql.filters import Filter
from eldex.exchange.domain.subscriptions import FeedEvent, Wanted

CONTENT_TYPE: Final = "application/protobuf"
GRANTED: Final = frozenset(
    {
        "specversion",
        "id",
        "source",
        "type",
        "subject",
        "time",
        "datacontenttype",
        "regioncodes",
        "subjectclass",
        "traceparent",
    }
)
"""Every attribute of a delivery; `regioncodes` is separated by commas."""


class FilterNotGranted(DomainError):
    """The filter reads an attribute that the subscriber does not get."""

    kind, reason = Kind.DENIED, "FILTER_NOT_GRANTED"
    zh = "过滤条件引用了协议未授予的属性：{attributes}；可用属性：{granted}"
    en = "the filter reads attributes that are not granted: {attributes}; granted are {granted}"


class FunctionUnknown(FilterRefused):
    """The filter calls a function that does not exist; nothing would ever be delivered."""

    reason = "FILTER_INVALID"
    zh = "过滤条件调用了不存在的函数：{functions}"
    en = "the filter calls functions that do not exist: {functions}"


def attributes_of(event: FeedEvent) -> dict[str, str]:
    """The attributes as a delivery carries them; none without a value."""
    found = {
        "specversion": "1.0",
        "id": event.event_id,
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "time": event.occurred_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "datacontenttype": CONTENT_TYPE,
        "regioncodes": ",".join(str(code) for code in event.regions),
        "subjectclass": subject_class(event.subject),
        "traceparent": event.traceparent,
    }
    return {name: value for name, value in found.items() if value}


def subject_class(subject: str) -> str:
    """The kind of thing that an opaque key names: its beginning; empty if the subject has none."""
    kind, found, _ = subject.partition("_")
    return kind if found and kind.isascii() and kind.isalpha() and kind.islower() else ""


class Selection:
    """What a subscriber wants of what its agreements allow, ready to decide about events."""

    def __init__(self, wanted: Wanted) -> None:
        """Raises what is wrong with the expression, and `FilterNotGranted`."""
        self._classes = frozenset(wanted.subject_classes)
        self._filter = Filter.parse(wanted.expression) if wanted.expression else None
        if self._filter is not None:
            _check(self._filter)

    def wants(self, event: FeedEvent) -> bool:
        """Whether the event is wanted; that it is allowed is `is_allowed`'s to say."""
        if self._classes and subject_class(event.subject) not in self._classes:
            return False
        return self._filter is None or self._filter.matches(attributes_of(event))


def _check(found: Filter) -> None:
    if found.unknown_functions:
        raise FunctionUnknown(functions=", ".join(sorted(found.unknown_functions)))
    refused = sorted({name.lower() for name in found.attributes} - GRANTED)
    if refused:
        raise FilterNotGranted(attributes=", ".join(refused), granted=", ".join(sorted(GRANTED)))


def granting(
    agreements: Iterable[Agreement], subsystem: str, event: FeedEvent, on: date
) -> list[Agreement]:
    """The agreements in force by which a subscriber has an event."""
    return [
        each
        for each in agreements
        if each.subsystem == subsystem
        and each.holds(on)
        and Scope(frozenset(each.event_types), frozenset(each.region_codes)).permits(
            event.type, event.regions
        )
    ]


def is_allowed(scopes: list[Scope], event: FeedEvent) -> bool:
    """Whether an agreement in force lets the subscriber have it."""
    return any(scope.permits(event.type, event.regions) for scope in scopes)
