"""What a day is worth: monthly amounts by days, in fen that always add up."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, timedelta

from eldex.common.calendar import Period, month_of
from eldex.common.errors import DomainError, Kind

FOREVER = date.max
"""Stands for an open end where days must be compared."""


class MonthUnknown(DomainError):
    """A month is named by its first day."""

    kind, reason = Kind.INVALID, "MONTH_INVALID"
    zh = "月份应以该月第一天表示，收到的是 {day}"
    en = "a month is named by its first day, not by {day}"


class MonthInFuture(DomainError):
    """Nobody is paid for a month that has not begun."""

    kind, reason = Kind.INVALID, "MONTH_IN_FUTURE"
    zh = "{month} 尚未开始，不能发放"
    en = "the month {month} has not begun: nothing is paid for it yet"


def month(day: date, today: date) -> str:
    """The month (`2026-11`) whose first day is given; raises `MonthUnknown`, `MonthInFuture`."""
    if day.day != 1:
        raise MonthUnknown(day=day)
    if day > today:
        raise MonthInFuture(month=name_of(day))
    return name_of(day)


def name_of(day: date) -> str:
    """The month in which a day lies, as ledgers write it: `2026-11`."""
    return f"{day.year:04d}-{day.month:02d}"


def period_of(month_name: str) -> Period:
    """The days of a month written as `2026-11`."""
    return month_of(date(int(month_name[:4]), int(month_name[5:]), 1))


def fen_of_days(monthly_fen: int, began_on: date, ended_on: date) -> int:
    """What the days `began_on` ≤ day < `ended_on` of one month are worth, in fen.

    Every day of a month has its own price: what the first k days are worth is the amount times
    k/n, rounded down, and a day is worth the difference to the day before. So the days of any cut
    add up to the amount exactly, and what a day is worth does not depend on how it was cut.
    """
    days = monthrange(began_on.year, began_on.month)[1]
    before = began_on.day - 1
    until = before + (ended_on - began_on).days
    if not before <= until <= days:
        raise ValueError("the days must lie in one month")
    return monthly_fen * until // days - monthly_fen * before // days


def worth(monthly_fen: int, period: Period) -> int:
    """What a period (any number of months, with an end) is worth at one monthly amount, in fen."""
    total = 0
    for piece in period.months():
        last = piece.began_on + timedelta(days=piece.days())
        total += fen_of_days(monthly_fen, piece.began_on, last)
    return total
