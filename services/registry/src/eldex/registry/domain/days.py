"""Days that cannot be: the fact that forbids them, and the checks that several nouns share."""

from __future__ import annotations

from datetime import date

from eldex.common.errors import DomainError, Kind


class DayImpossible(DomainError):
    """A day that cannot be: in the future, before birth, or before what it should follow."""

    kind, reason = Kind.INVALID, "DAY_IMPOSSIBLE"
    zh = "日期 {day} 不可能：{why_zh}"
    en = "the day {day} cannot be: {why}"

    def __init__(self, day: date, why_zh: str, why: str) -> None:
        super().__init__(day=day.isoformat(), why_zh=why_zh, why=why)


class AlreadyEnded(DomainError):
    """What is to be ended has ended, by another day."""

    kind, reason = Kind.CONFLICT, "ALREADY_ENDED"
    zh = "该记录已于 {ended_on} 终止，如需恢复请重新办理"
    en = "this ended on {ended_on} already; if it holds again, enter it anew"

    def __init__(self, ended_on: date) -> None:
        super().__init__(ended_on=ended_on.isoformat())


def not_future(day: date, today: date) -> None:
    """Raise `DayImpossible` for a day that has not come."""
    if day > today:
        raise DayImpossible(day, "晚于今天", "it lies in the future")


def not_before(day: date, earliest: date, what_zh: str, what: str) -> None:
    """Raise `DayImpossible` for a day before the one that it must follow or equal."""
    if day < earliest:
        raise DayImpossible(day, f"早于{what_zh}", f"it lies before {what}")


def not_before_birth(day: date, born_on: date) -> None:
    """Raise `DayImpossible` for a day before the birth; the birth date itself is not repeated."""
    not_before(day, born_on, "出生日期", "the birth")
