"""Days between the contract (`google.type.Date`) and Python."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import lru_cache

from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date

from eldex.common.errors import InvalidRequest, Violation


def day(value: Date, field: str) -> date:
    """A day of a request; raises `InvalidRequest` naming the field if there is no such day."""
    try:
        return date(value.year, value.month, value.day)
    except ValueError:
        raise InvalidRequest(
            Violation(
                field,
                "不是日历上存在的完整日期",
                "is not a complete day of the calendar",
                "DATE_INVALID",
            )
        ) from None


def optional_day(value: Date, field: str) -> date | None:
    """A day of a request, or None if it was left out."""
    return day(value, field) if value.ByteSize() else None


def proto_day(value: date | None) -> Date | None:
    """A day for a reply or an event; None stays None. Shared, so for use as a field's value only."""
    return _proto_day(value) if value else None


@lru_cache(maxsize=50_000)
def _proto_day(value: date) -> Date:
    # The same days come again and again; a message that takes one as a field copies it.
    return Date(year=value.year, month=value.month, day=value.day)


def instant(value: Timestamp) -> datetime:
    """An instant of a request, aware, in UTC; raises `InvalidRequest` if the calendar has no such."""
    try:
        return value.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidRequest(
            Violation(
                "instant",
                "不是 0001 年至 9999 年之间的有效时间",
                "is not an instant between the years 0001 and 9999",
                "INSTANT_INVALID",
            )
        ) from None


def proto_instant(value: datetime | None) -> Timestamp | None:
    """An instant for a reply; None stays None."""
    if value is None:
        return None
    since = value - _EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1_000)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
