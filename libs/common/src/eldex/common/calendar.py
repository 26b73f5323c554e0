"""Days as the law counts them: half-open periods, ages, working days (工作日)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Protocol

from eldex.common.errors import DomainError, Kind


class InvalidPeriod(DomainError):
    """A period must end after it begins."""

    kind = Kind.INVALID
    reason = "PERIOD_INVALID"
    zh = "期间有误：终止日（不含）{ended_on} 必须晚于起始日 {began_on}"
    en = "the period must end after it begins: {began_on} to {ended_on} (end not included)"

    def __init__(self, began_on: date, ended_on: date) -> None:
        super().__init__(began_on=began_on.isoformat(), ended_on=ended_on.isoformat())


@dataclass(frozen=True, slots=True)
class Period:
    """The days from `began_on` up to, not including, `ended_on`; None: no end is known.

    Half-open, so that a period ends on the very day the next one begins: no day twice or missed.
    """

    began_on: date
    ended_on: date | None = None

    def __post_init__(self) -> None:
        if self.ended_on is not None and self.ended_on <= self.began_on:
            raise InvalidPeriod(self.began_on, self.ended_on)

    def contains(self, day: date) -> bool:
        """Whether the day lies in the period."""
        return self.began_on <= day and (self.ended_on is None or day < self.ended_on)

    def overlaps(self, other: Period) -> bool:
        """Whether the two have at least one day in common."""
        return self.intersect(other) is not None

    def intersect(self, other: Period) -> Period | None:
        """The days in both, None if there are none."""
        began_on = max(self.began_on, other.began_on)
        ends = [end for end in (self.ended_on, other.ended_on) if end is not None]
        ended_on = min(ends) if ends else None
        if ended_on is not None and ended_on <= began_on:
            return None
        return Period(began_on, ended_on)

    def until(self, day: date) -> Period | None:
        """The days before that day, None if there are none."""
        return None if day <= self.began_on else self.intersect(Period(self.began_on, day))

    def days(self) -> int:
        """Number of days. A period without end has none to tell: `ValueError`."""
        return (self._end() - self.began_on).days

    def months(self) -> Iterator[Period]:
        """The period cut at the first of each month, in order; the pieces add up to it.

        A period without end yields without end: intersect it first.
        """
        began_on = self.began_on
        while self.ended_on is None or began_on < self.ended_on:
            following = first_of_next_month(began_on)
            ended_on = following if self.ended_on is None else min(following, self.ended_on)
            yield Period(began_on, ended_on)
            began_on = ended_on

    def __iter__(self) -> Iterator[date]:
        for offset in range(self.days()):
            yield self.began_on + timedelta(days=offset)

    def _end(self) -> date:
        if self.ended_on is None:
            raise ValueError("a period without end has no number of days: intersect it first")
        return self.ended_on


def first_of_next_month(day: date) -> date:
    """The first day of the month after the day's."""
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def month_of(day: date) -> Period:
    """The calendar month in which the day lies."""
    return Period(day.replace(day=1), first_of_next_month(day))


def age_on(born_on: date, day: date) -> int:
    """Full years of age (周岁) on a day.

    A year is complete on the birthday itself. For those born on 29 February that is 1 March in a
    common year: nobody gets an allowance by age before the full year has passed.
    """
    if day < born_on:
        raise ValueError("the day lies before the birth")
    return day.year - born_on.year - ((day.month, day.day) < (born_on.month, born_on.day))


def birthday_at(born_on: date, age: int) -> date:
    """The first day on which somebody has that age: `age_on` turns to it there."""
    year = born_on.year + age
    try:
        return born_on.replace(year=year)
    except ValueError:
        # 29 February in a common year.
        return date(year, 3, 1)


class HolidayTable(Protocol):
    """What tells working days from others; the `holidays` package does."""

    def is_working_day(self, key: date) -> bool:
        """Whether offices work on that day."""
        ...


class WorkingDays:
    """Counts working days in China: public holidays off, make-up weekends (调休) on.

    The table is opened when first asked. Holidays of a year are published in the November before;
    for years beyond what the installed table knows, weekends and the fixed holidays count but the
    make-up days cannot: a deadline computed then may move by a few days.
    """

    def __init__(self, table: Callable[[], HolidayTable] | None = None) -> None:
        self._open = table or _china
        self._table: HolidayTable | None = None

    def is_working_day(self, day: date) -> bool:
        """Whether offices work on that day."""
        if self._table is None:
            self._table = self._open()
        return self._table.is_working_day(day)

    def after(self, day: date, count: int) -> date:
        """The count-th working day after a day: how the law counts `N个工作日内`.

        The day itself is not counted. A count of 0 is the day itself, working or not.
        """
        if count < 0:
            raise ValueError(f"count must not be negative, not {count}")
        while count:
            day += timedelta(days=1)
            count -= self.is_working_day(day)
        return day

    def count(self, period: Period) -> int:
        """Working days in a period."""
        return sum(self.is_working_day(day) for day in period)


def _china() -> HolidayTable:
    # Imported here: the package costs 0.1 s, and most processes never count a working day.
    import holidays  # noqa: PLC0415

    return holidays.country_holidays("CN")
