"""Two records that prove to be one person: admissions and nights go over, and back if it was wrong."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from eldex.api.institutions.v1 import bed_events_pb2 as events
from eldex.institutions.domain.admission import AlreadyAdmitted, ResidentDaySettled


def day_of(message: Any) -> date:
    return date(message.year, message.month, message.day)


async def test_an_admission_goes_over_to_the_survivor_and_back(field: Any) -> None:
    (bed,) = await field.beds(await field.open())
    admitted = await field.admit("res_wang", bed)
    for _ in range(2):
        await field.merges("res_wang", "res_wang_2")
    carried = await field.admission(admitted.admission_key)
    assert (carried.resident_key, list(carried.carried_from)) == ("res_wang_2", ["res_wang"])
    other = (await field.beds(carried.institution_key))[0]
    with pytest.raises(AlreadyAdmitted):
        await field.admit("res_wang", other)
    for _ in range(2):
        await field.unmerges("res_wang", "res_wang_2")
    back = await field.admission(admitted.admission_key)
    assert (back.resident_key, list(back.carried_from)) == ("res_wang", [])
    assert (await field.admit("res_wang_2", other)).resident_key == "res_wang_2"
    await field.dies("res_wang", field.ago(1))
    (told,) = field.memory.events(events.BedReleased)
    assert told.resident_key == "res_wang"


@pytest.mark.parametrize("first_known", [0, 1])
async def test_a_chain_of_merges_may_be_told_in_any_order(field: Any, first_known: int) -> None:
    (bed,) = await field.beds(await field.open())
    admitted = await field.admit("res_a", bed)
    merges = [("res_a", "res_b"), ("res_b", "res_c")]
    for merged, survivor in (merges[first_known], merges[1 - first_known]):
        await field.merges(merged, survivor)
    carried = await field.admission(admitted.admission_key)
    assert (carried.resident_key, list(carried.carried_from)) == ("res_c", ["res_a", "res_b"])
    await field.unmerges("res_a", "res_b")
    assert (await field.admission(admitted.admission_key)).resident_key == "res_a"


async def test_two_beds_of_what_proves_one_person_are_left_to_a_clerk_and_freed_by_death(
    field: Any,
) -> None:
    beds = await field.beds(await field.open(), 2)
    first, second = await field.admit("res_a", beds[0]), await field.admit("res_b", beds[1])
    await field.merges("res_a", "res_b")
    assert (await field.admission(first.admission_key)).resident_key == "res_a"
    assert (await field.admission(second.admission_key)).resident_key == "res_b"
    await field.dies("res_b", field.ago(1))
    assert {told.bed_key for told in field.memory.events(events.BedReleased)} == set(beds)


async def test_a_record_merged_into_a_dead_one_frees_its_bed(field: Any) -> None:
    (bed,) = await field.beds(await field.open())
    admitted = await field.admit("res_a", bed)
    await field.dies("res_b", field.ago(5))
    await field.merges("res_a", "res_b")
    assert day_of((await field.admission(admitted.admission_key)).ended_on) == field.ago(5)


async def test_nights_of_a_merged_record_are_settled_for_the_survivor_until_it_was_wrong(
    field: Any,
) -> None:
    beds = await field.beds(await field.open(), 2)
    first = await field.admit("res_a", beds[0], field.ago(50))
    left = {"admission_key": first.admission_key, "discharged_on": field.ago(5)}
    await field.ask("DischargeResident", **left)
    await field.merges("res_a", "res_b")
    for record in ("res_a", "res_b"):
        with pytest.raises(ResidentDaySettled):
            await field.admit(record, beds[1], field.ago(40))
    await field.unmerges("res_a", "res_b")
    with pytest.raises(ResidentDaySettled):
        await field.admit("res_a", beds[1], field.ago(40))
    assert (await field.admit("res_b", beds[1], field.ago(40))).resident_key == "res_b"


async def test_a_merged_record_that_kept_its_bed_leaves_no_second_one_to_the_survivor(
    field: Any,
) -> None:
    beds = await field.beds(await field.open(), 3)
    kept = await field.admit("res_a", beds[0], field.ago(50))
    own = await field.admit("res_b", beds[1], field.ago(50))
    await field.merges("res_a", "res_b")
    await field.ask(
        "DischargeResident", admission_key=own.admission_key, discharged_on=field.ago(30)
    )
    with pytest.raises(AlreadyAdmitted):
        await field.admit("res_b", beds[2], field.ago(20))
    await field.ask(
        "DischargeResident", admission_key=kept.admission_key, discharged_on=field.ago(10)
    )
    with pytest.raises(ResidentDaySettled):
        await field.admit("res_b", beds[2], field.ago(20))
    assert (await field.admit("res_b", beds[2], field.ago(10))).resident_key == "res_b"
