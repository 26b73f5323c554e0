"""Days and instants between the contract and Python."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date
from hypothesis import given
from hypothesis import strategies as st

from eldex.common.clock import day_of, system_clock
from eldex.common.dates import day, instant, optional_day, proto_day, proto_instant
from eldex.common.errors import InvalidRequest


@given(st.dates())
def test_a_day_survives_the_journey(value: date) -> None:
    there = proto_day(value)
    assert there is not None
    assert day(there, "died_on") == value
    assert optional_day(there, "died_on") == value


def test_a_day_that_was_left_out() -> None:
    assert proto_day(None) is None
    assert optional_day(Date(), "moved_on") is None


@pytest.mark.parametrize(
    "value",
    [
        Date(),
        Date(year=2026),
        Date(year=2026, month=11),
        Date(year=2026, month=2, day=29),
        Date(year=2026, month=13, day=1),
        Date(year=-1, month=1, day=1),
        Date(year=10_000, month=1, day=1),
        Date(month=1, day=1),
    ],
    ids=str,
)
def test_a_day_that_no_calendar_has_is_refused_with_its_field(value: Date) -> None:
    with pytest.raises(InvalidRequest) as refused:
        day(value, "died_on")
    (violation,) = refused.value.violations
    assert (violation.field, violation.rule) == ("died_on", "DATE_INVALID")


def test_a_part_of_a_day_is_no_day_that_was_left_out() -> None:
    with pytest.raises(InvalidRequest):
        optional_day(Date(year=2026), "moved_on")


@given(st.datetimes(timezones=st.just(UTC)))
def test_an_instant_survives_the_journey(value: datetime) -> None:
    there = proto_instant(value)
    assert there is not None
    assert instant(there) == value
    assert proto_instant(None) is None


@pytest.mark.parametrize(
    "value",
    [
        Timestamp(seconds=253_402_300_800),
        Timestamp(seconds=-62_135_596_801),
        Timestamp(seconds=2**62),
        Timestamp(nanos=-1),
        Timestamp(nanos=2_000_000_000),
    ],
    ids=lambda value: f"{value.seconds} s {value.nanos} ns",
)
def test_an_instant_that_no_calendar_has_is_refused(value: Timestamp) -> None:
    with pytest.raises(InvalidRequest) as refused:
        instant(value)
    assert refused.value.violations[0].rule == "INSTANT_INVALID"


def test_a_day_is_meant_as_china_counts_it() -> None:
    assert day_of(datetime(2026, 11, 21, 15, 59, 59, tzinfo=UTC)) == date(2026, 11, 21)
    assert day_of(datetime(2026, 11, 21, 16, 0, tzinfo=UTC)) == date(2026, 11, 22)


def test_the_clock_tells_what_the_database_keeps() -> None:
    now = system_clock()
    assert now.microsecond % 1000 == 0
    assert abs(datetime.now(UTC) - now) < timedelta(seconds=5)
