"""Days, periods and ages: nobody's day is counted twice or missed."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eldex.common.calendar import (
    InvalidPeriod,
    Period,
    WorkingDays,
    age_on,
    birthday_at,
    first_of_next_month,
    month_of,
)

days = st.dates(date(1890, 1, 1), date(2100, 12, 31))
periods = st.builds(
    lambda began, length: Period(began, None if length is None else began + timedelta(length)),
    days,
    st.none() | st.integers(1, 3000),
)
closed = st.builds(lambda began, n: Period(began, began + timedelta(n)), days, st.integers(1, 800))


def test_the_day_a_period_ends_belongs_to_the_next_one() -> None:
    """王秀英 moves on 15 March: the old county pays to the 14th, the new one from the 15th."""
    old = Period(date(2026, 1, 1), date(2026, 3, 15))
    new = Period(date(2026, 3, 15))
    assert old.contains(date(2026, 3, 14))
    assert not old.contains(date(2026, 3, 15))
    assert new.contains(date(2026, 3, 15))
    assert new.contains(date(2126, 1, 1))
    assert not old.overlaps(new)


def test_a_period_without_a_day_in_it_is_refused() -> None:
    for ended_on in (date(2026, 1, 1), date(2025, 12, 31)):
        with pytest.raises(InvalidPeriod) as refused:
            Period(date(2026, 1, 1), ended_on)
        assert "2026-01-01" in refused.value.message("zh")


@given(periods, periods, days)
def test_a_day_lies_in_the_intersection_exactly_if_it_lies_in_both(
    a: Period, b: Period, day: date
) -> None:
    both = a.intersect(b)
    assert (both is not None and both.contains(day)) == (a.contains(day) and b.contains(day))
    assert both == b.intersect(a)
    assert a.overlaps(b) == (both is not None)


@given(closed)
def test_the_months_of_a_period_add_up_to_it(period: Period) -> None:
    months = list(period.months())
    assert sum(m.days() for m in months) == period.days() == len(list(period))
    assert months[0].began_on == period.began_on
    assert months[-1].ended_on == period.ended_on
    assert all(a.ended_on == b.began_on for a, b in pairwise(months))
    for month in months:
        assert month_of(month.began_on).intersect(month) == month


def test_an_open_period_yields_its_months_one_by_one_and_has_no_length() -> None:
    months = Period(date(2026, 12, 20)).months()
    assert next(months) == Period(date(2026, 12, 20), date(2027, 1, 1))
    assert next(months) == Period(date(2027, 1, 1), date(2027, 2, 1))
    with pytest.raises(ValueError, match="without end"):
        Period(date(2026, 12, 20)).days()
    assert first_of_next_month(date(2026, 12, 31)) == date(2027, 1, 1)


def test_until_cuts_a_period_and_may_leave_nothing() -> None:
    period = Period(date(2026, 1, 1), date(2026, 2, 1))
    assert period.until(date(2026, 1, 10)) == Period(date(2026, 1, 1), date(2026, 1, 10))
    assert period.until(date(2026, 1, 1)) is None
    assert period.until(date(2027, 1, 1)) == period


def test_somebody_born_on_a_leap_day_turns_eighty_once() -> None:
    born = date(1940, 2, 29)
    assert age_on(born, date(2020, 2, 28)) == 79
    assert age_on(born, date(2020, 2, 29)) == 80, "2020 has her birthday"
    assert age_on(born, date(2025, 2, 28)) == 84
    assert age_on(born, date(2025, 3, 1)) == 85
    assert birthday_at(born, 85) == date(2025, 3, 1)
    with pytest.raises(ValueError, match="before the birth"):
        age_on(born, date(1940, 2, 28))


@given(st.dates(date(1890, 1, 1), date(2020, 12, 31)), st.integers(1, 79))
def test_an_age_is_reached_on_its_birthday_and_not_the_day_before(born: date, age: int) -> None:
    day = birthday_at(born, age)
    assert age_on(born, day) == age
    assert age_on(born, day - timedelta(days=1)) == age - 1


def test_make_up_weekends_are_worked_and_the_spring_festival_is_not() -> None:
    working = WorkingDays()
    assert working.is_working_day(date(2026, 2, 14)), "a Saturday worked before the festival"
    assert not working.is_working_day(date(2026, 2, 17)), "春节"
    assert not working.is_working_day(date(2026, 3, 1)), "a Sunday"


def test_seven_working_days_after_a_penalty_skip_the_national_day_week() -> None:
    """双公示: licences and penalties are published within 7 working days."""
    working = WorkingDays()
    due = working.after(date(2025, 9, 28), 7)
    assert due == date(2025, 10, 14)
    assert working.count(Period(date(2025, 9, 29), due + timedelta(days=1))) == 7
    assert working.after(date(2025, 10, 1), 0) == date(2025, 10, 1)
    with pytest.raises(ValueError, match="negative"):
        working.after(date(2025, 10, 1), -1)


def test_a_table_of_ones_own_is_asked_only_when_needed() -> None:
    opened = []

    class Weekdays:
        def is_working_day(self, key: date) -> bool:
            return key.weekday() < 5

    def table() -> Weekdays:
        opened.append(1)
        return Weekdays()

    working = WorkingDays(table)
    assert not opened
    assert working.after(date(2026, 3, 6), 1) == date(2026, 3, 9)
    assert working.after(date(2026, 3, 6), 6) == date(2026, 3, 16)
    assert len(opened) == 1
