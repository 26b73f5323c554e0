"""Time as it is passed to domain code, which never asks a clock itself."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

Clock = Callable[[], datetime]
"""Tells the instant now, aware, in UTC."""

CHINA = ZoneInfo("Asia/Shanghai")
"""The zone in which the day of a death, a move or a payment is meant."""


def system_clock() -> datetime:
    """The instant now, cut to milliseconds: what MongoDB keeps is what the caller saw."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def day_of(instant: datetime) -> date:
    """The calendar day in China on which an instant falls."""
    return instant.astimezone(CHINA).date()
