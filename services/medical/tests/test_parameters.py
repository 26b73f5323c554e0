"""Policy numbers: dated, per division, cited."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eldex.api.medical.v1 import parameter_pb2
from eldex.common.calendar import InvalidPeriod
from eldex.common.identifiers import RegionCode
from eldex.medical.domain.parameter import (
    Conditions,
    Name,
    Parameter,
    ParameterInvalid,
    Value,
)

RATIO = parameter_pb2.PARAMETER_KIND_RATIO


async def asked(office: Any, day: str, region_code: str = "511702001") -> list[int]:
    """The ratios that can answer for a township on a day, nearest first."""
    reply = await office.ask("GetParameters", region_code=region_code, on=day, kind=RATIO)
    return [each.value for each in reply.parameters]


async def test_numbers_are_found_from_the_township_up_nearest_first(office: Any) -> None:
    await office.set("RATIO", 6_000)
    await office.set("RATIO", 7_000, region_code="511702001")
    await office.set("RATIO", 6_500, region_code="511702")
    await office.set("RATIO", 9_000, region_code="511723")
    assert await asked(office, "2026-05-01") == [7_000, 6_500, 6_000]
    assert await asked(office, "2025-12-31") == []


async def test_a_later_number_takes_over_on_its_day_and_an_exception_ends(office: Any) -> None:
    await office.set("RATIO", 6_000)
    await office.set("RATIO", 8_000, since="2026-03-01", until="2026-05-01")
    for day, value in (
        ("2026-02-28", 6_000),
        ("2026-03-01", 8_000),
        ("2026-04-30", 8_000),
        ("2026-05-01", 6_000),
    ):
        assert await asked(office, day) == [value], day


async def test_a_number_that_cannot_be_is_refused_and_nothing_is_set(
    office: Any, shipped: Any
) -> None:
    with pytest.raises(ParameterInvalid):
        await office.set("RATIO", 10_001)
    with pytest.raises(ParameterInvalid):
        await office.set("POOLING_LEVEL", 6)
    with pytest.raises(ParameterInvalid):
        await office.set("FAMILY_DOCTOR_TERM_MONTHS", 0)
    with pytest.raises(InvalidPeriod):
        await office.set("RATIO", 1, since="2026-05-01", until="2026-05-01")
    broken = [*shipped.parameters, shipped.parameters[0]]
    broken[-1].value = 9
    with pytest.raises(ParameterInvalid):
        await office.ask("SetParameters", parameters=broken)
    assert await asked(office, "2026-05-01") == []


async def test_the_mask_shows_only_what_was_asked_for(office: Any) -> None:
    await office.set("RATIO", 6_000)
    reply = await office.ask("GetParameters", region_code="5117", read_mask={"paths": ["value"]})
    assert [str(each) for each in reply.parameters] == ["value: 6000\n"]


def test_the_shipped_numbers_are_marked_as_fictional_and_cite_a_clause(shipped: Any) -> None:
    assert len(shipped.parameters) > 40
    for each in shipped.parameters:
        assert "虚构" in each.source.document
        assert re.match(r"第[一二三四五六七八九十]+条", each.source.clause)


days = st.integers(0, 40).map(lambda n: date(2026, 1, 1) + timedelta(days=n))
settings_of_numbers = st.lists(
    st.tuples(days, st.none() | st.integers(1, 20), st.integers(0, 10_000)), min_size=1, max_size=8
)


@given(settings_of_numbers)
def test_on_each_day_one_number_holds_at_most_and_the_last_one_said_wins(
    said: list[tuple[date, int | None, int]],
) -> None:
    parameter = Parameter(
        key="k", name=Name.RATIO, conditions=Conditions(), region_code=RegionCode("5117")
    )
    for since, length, number in said:
        until = None if length is None else since + timedelta(days=length)
        parameter.set(Value(since, until, number, "〔虚构〕", "一"))
        found = parameter.on(since)
        assert found is not None
        assert found.value == number
    for n in range(80):
        day = date(2026, 1, 1) + timedelta(days=n)
        assert sum(value.days.contains(day) for value in parameter.values) <= 1
