"""Days that cannot be, told the same way wherever one is given."""

from __future__ import annotations

from datetime import date

from eldex.common.errors import DomainError, Kind


class DayImpossible(DomainError):
    """A day that cannot be: in the future, or before what it should follow."""

    kind, reason = Kind.INVALID, "DAY_IMPOSSIBLE"
    zh = "日期 {day} 不可能：{why_zh}"
    en = "the day {day} cannot be: {why}"


def past_or_today(day: date, today: date) -> None:
    """Raise `DayImpossible` if the day lies in the future: facts are told when they have happened."""
    if day > today:
        raise DayImpossible(day=day, why_zh="晚于今天", why="it lies in the future")


def not_before(day: date, earliest: date, what_zh: str, what: str) -> None:
    """Raise `DayImpossible` if the day lies before that of what it must follow."""
    if day < earliest:
        raise DayImpossible(
            day=day,
            why_zh=f"早于{what_zh}（{earliest}）",
            why=f"it lies before {what} ({earliest})",
        )
