"""A blacklisted operator admits nobody, at any place, until every listing is lifted (M002-113)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from eldex.api.institutions.v1 import institution_events_pb2 as events
from eldex.institutions.domain.operator import AdmissionsAreHalted


async def test_a_blacklisted_home_admits_nobody_until_its_credit_is_repaired(field: Any) -> None:
    key = await field.open()
    beds = await field.beds(key, 2)
    code = (await field.institution(key)).credit_code
    await field.admit("res_wang", beds[0])
    await field.punishes(code, "lst_1", field.ago(1))
    halted = await field.institution(key)
    assert not halted.admits
    with pytest.raises(AdmissionsAreHalted, match="lst_1"):
        await field.admit("res_li", beds[1], field.today)
    with pytest.raises(AdmissionsAreHalted):
        await field.admit("res_li", beds[1], field.ago(30))
    await field.pardons(code, "lst_1", field.today)
    assert (await field.admit("res_li", beds[1], field.today)).state == 1
    (told,) = field.memory.events(events.AdmissionsHalted)
    assert (told.institution_key, told.listing_key) == (key, "lst_1")
    (reopened,) = field.memory.events(events.AdmissionsReopened)
    assert reopened.reopened_on.day == field.today.day


async def test_those_who_live_there_may_change_beds_but_nobody_comes_from_elsewhere(
    field: Any,
) -> None:
    key, other = await field.open(), await field.open()
    beds, (elsewhere,) = await field.beds(key, 3), await field.beds(other)
    wang, li = await field.admit("res_wang", beds[0]), await field.admit("res_li", elsewhere)
    await field.punishes((await field.institution(key)).credit_code, "lst_1", field.ago(1))
    moved = await field.ask(
        "TransferResident",
        admission_key=wang.admission_key,
        bed_key=beds[1],
        transferred_on=field.today,
    )
    assert moved.admission.state == 1
    with pytest.raises(AdmissionsAreHalted):
        await field.ask(
            "TransferResident",
            admission_key=li.admission_key,
            bed_key=beds[2],
            transferred_on=field.today,
        )


async def test_two_listings_hold_until_both_are_lifted(field: Any) -> None:
    key = await field.open()
    code = (await field.institution(key)).credit_code
    for _ in range(2):
        await field.punishes(code, "lst_1", field.ago(9))
    await field.punishes(code, "lst_2", field.ago(5))
    await field.pardons(code, "lst_1", field.ago(3))
    assert not (await field.institution(key)).admits
    assert not field.memory.events(events.AdmissionsReopened)
    await field.pardons(code, "lst_2", field.ago(2))
    assert (await field.institution(key)).admits
    assert [e.listing_key for e in field.memory.events(events.AdmissionsHalted)] == [
        "lst_1",
        "lst_2",
    ]
    (bed,) = await field.beds(key)
    with pytest.raises(AdmissionsAreHalted):
        await field.admit("res_wang", bed, field.ago(4))
    assert (await field.admit("res_wang", bed, field.ago(2))).state == 1


async def test_a_listing_holds_at_all_places_of_an_operator_and_at_later_ones(field: Any) -> None:
    code = field.new_code("52")
    first, second = await field.open(code=code), await field.open(code=code, site="二分院")
    await field.punishes(code, "lst_1", field.ago(1))
    assert not (await field.institution(first)).admits
    assert not (await field.institution(second)).admits
    third = await field.open(code=code, site="三分院")
    assert not (await field.institution(third)).admits
    halted = {told.institution_key for told in field.memory.events(events.AdmissionsHalted)}
    assert halted == {first, second, third}
    await field.pardons(code, "lst_1", field.today)
    assert (await field.institution(third)).admits


async def test_a_filing_and_a_listing_at_the_same_moment_do_not_miss_each_other(
    field: Any,
) -> None:
    for n in range(10):
        code = field.new_code()
        filed, _ = await asyncio.gather(
            field.file(code=code), field.punishes(code, f"lst_{n}", field.ago(1))
        )
        found = await field.institution(filed.institution_key)
        assert [halt.listing_key for halt in found.halts] == [f"lst_{n}"]


async def test_a_lifting_told_before_its_order_leaves_nothing_behind(field: Any) -> None:
    key = await field.open()
    code = (await field.institution(key)).credit_code
    await field.pardons(code, "lst_1", field.ago(1))
    await field.punishes(code, "lst_1", field.ago(5))
    assert (await field.institution(key)).admits
    assert not field.memory.events(events.AdmissionsHalted)


async def test_other_measures_and_other_operators_are_no_reason_to_halt(field: Any) -> None:
    key = await field.open()
    code = (await field.institution(key)).credit_code
    await field.punishes(code, "lst_1", field.ago(1), "STOP_SUBSIDIES")
    await field.punishes(field.new_code(), "lst_2", field.ago(1))
    assert (await field.institution(key)).admits


async def test_a_listing_that_begins_later_does_not_hold_yet(field: Any) -> None:
    key = await field.open()
    (bed,) = await field.beds(key)
    code = (await field.institution(key)).credit_code
    await field.punishes(code, "lst_1", field.ago(-7))
    assert (await field.institution(key)).admits
    field.memory.clock.pass_days(7)
    with pytest.raises(AdmissionsAreHalted):
        await field.admit("res_wang", bed, field.today)
