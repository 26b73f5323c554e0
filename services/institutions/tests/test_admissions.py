"""Beds and admissions: no bed twice, nobody in two, freed by death, carried over by merges."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eldex.api.institutions.v1 import bed_events_pb2 as events
from eldex.common.errors import DomainError, StaleVersion
from eldex.common.identifiers import new_key
from eldex.institutions.domain.admission import (
    AdmissionEnded,
    AlreadyAdmitted,
    BedGiven,
    ResidentDaySettled,
    ResidentIsDeceased,
    ResidentUnknown,
)
from eldex.institutions.domain.bed import (
    BedClassForbidden,
    BedDaySettled,
    BedLabelTaken,
    BedOccupiedAlready,
    BedWithdrawn,
)
from eldex.institutions.domain.days import DayImpossible


def day_of(message: Any) -> date:
    return date(message.year, message.month, message.day)


async def test_fifty_people_ask_for_one_bed_at_once_and_one_gets_it(field: Any) -> None:
    (bed,) = await field.beds(await field.open())
    asked = [field.admit(f"res_{n}", bed) for n in range(50)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    got = [answer for answer in answers if not isinstance(answer, BaseException)]
    assert len(got) == 1
    assert {type(a) for a in answers if isinstance(a, BaseException)} == {BedOccupiedAlready}
    (told,) = field.memory.events(events.BedOccupied)
    assert told.resident_key == got[0].resident_key
    listed = await field.ask("ListAdmissions", institution_key=got[0].institution_key)
    assert len(listed.admissions) == 1


async def test_one_person_asks_for_fifty_beds_at_once_and_gets_one(field: Any) -> None:
    beds = await field.beds(await field.open(), 50)
    asked = [field.admit("res_wang", bed) for bed in beds]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, BaseException)]
    assert len(refused) == 49
    assert {type(answer) for answer in refused} == {AlreadyAdmitted}
    assert len(field.memory.events(events.BedOccupied)) == 1
    counts = await field.ask("GetOccupancy", region_code="511702")
    assert sum(each.occupied_count for each in counts.occupancies) == 1


async def test_fifty_people_move_into_fifty_beds_of_one_home_without_waiting(field: Any) -> None:
    key = await field.open()
    beds = await field.beds(key, 50)
    before = (await field.institution(key)).etag
    admitted = await asyncio.gather(*(field.admit(f"res_{n}", b) for n, b in enumerate(beds)))
    assert len({admission.bed_key for admission in admitted}) == 50
    assert (await field.institution(key)).etag == before


async def test_the_store_itself_refuses_a_second_open_admission_for_a_bed(field: Any) -> None:
    (bed,) = await field.beds(await field.open())
    first = await field.admit("res_wang", bed)

    async def past_all_rules(stores: Any, _: object) -> Any:
        known = await stores.admissions.get(first.admission_key)
        copy = replace(known, key=new_key("adm"), resident_key="res_li", version=0)
        stores.admissions.save(copy)
        return copy

    with pytest.raises(BedGiven) as refused:
        await field.memory.do(past_all_rules)
    assert (
        refused.value.message("en")
        == "somebody has this bed already: find a free one with ListBeds"
    )


async def test_a_death_frees_the_bed_from_that_day_and_a_second_notice_changes_nothing(
    field: Any,
) -> None:
    (bed,) = await field.beds(await field.open())
    wang = await field.admit("res_wang", bed, field.ago(100))
    for _ in range(2):
        await field.dies("res_wang", field.ago(3))
    ended = await field.admission(wang.admission_key)
    assert (ended.state, ended.cause) == (2, events.RELEASE_CAUSE_DEATH)
    assert day_of(ended.ended_on) == field.ago(3)
    (told,) = field.memory.events(events.BedReleased)
    assert (told.bed_key, told.cause) == (bed, events.RELEASE_CAUSE_DEATH)
    assert day_of(told.released_on) == field.ago(3)
    with pytest.raises(BedDaySettled):
        await field.admit("res_li", bed, field.ago(4))
    assert (await field.admit("res_li", bed, field.ago(3))).state == 1


async def test_no_bed_day_counts_for_the_dead_even_if_the_home_told_a_later_discharge(
    field: Any,
) -> None:
    """王 died in the first bed, was "transferred" and "discharged"; 李 has that bed since."""
    beds = await field.beds(await field.open(), 2)
    first = await field.admit("res_wang", beds[0], field.ago(100))
    both = await field.ask(
        "TransferResident",
        admission_key=first.admission_key,
        bed_key=beds[1],
        transferred_on=field.ago(20),
    )
    second = both.admission.admission_key
    await field.ask("DischargeResident", admission_key=second, discharged_on=field.ago(10))
    li = await field.admit("res_li", beds[0], field.ago(20))
    for day in (field.ago(30), field.ago(30), field.ago(33)):  # told twice, then corrected
        await field.dies("res_wang", day)
    ended = [await field.admission(key) for key in (first.admission_key, second)]
    assert [day_of(a.ended_on) for a in ended] == [field.ago(33), field.ago(20)]
    assert {a.cause for a in ended} == {events.RELEASE_CAUSE_DEATH}
    assert (await field.admission(li.admission_key)).state == 1
    told = [(e.bed_key, day_of(e.released_on)) for e in field.memory.events(events.BedReleased)[2:]]
    assert sorted(told) == sorted(
        [(beds[0], field.ago(30)), (beds[1], field.ago(20)), (beds[0], field.ago(33))]
    )


async def test_nobody_has_a_bed_of_whom_the_registry_has_not_told(field: Any) -> None:
    """A bed for a key that stands for nobody would be subsidised."""
    (bed,) = await field.beds(await field.open())
    admit = {"bed_key": bed, "admitted_on": field.ago(1)}
    with pytest.raises(ResidentUnknown, match="try again in a moment"):
        await field.ask("AdmitResident", resident_key="res_nobody", **admit)
    assert field.memory.events(events.BedOccupied) == []
    await field.registers("res_wang")
    admitted = await field.ask("AdmitResident", resident_key="res_wang", **admit)
    assert admitted.admission.state == 1


async def test_a_death_told_before_the_admission_forbids_it(field: Any) -> None:
    (bed,) = await field.beds(await field.open())
    await field.dies("res_wang", field.ago(3))
    with pytest.raises(ResidentIsDeceased):
        await field.admit("res_wang", bed, field.ago(10))


async def test_who_was_wrongly_told_dead_gets_a_bed_again_and_nobody_loses_theirs(
    field: Any,
) -> None:
    """The day was corrected once before the notice proved wrong; 李 has 王's bed meanwhile."""
    beds = await field.beds(await field.open(), 2)
    await field.admit("res_wang", beds[0])
    await field.dies("res_wang", field.ago(5))
    await field.dies("res_wang", field.ago(4))
    li = await field.admit("res_li", beds[0], field.ago(3))
    await field.lives("res_wang", field.ago(4))
    with pytest.raises(BedOccupiedAlready):
        await field.admit("res_wang", beds[0], field.ago(2))
    assert (await field.admit("res_wang", beds[1], field.ago(2))).state == 1
    assert (await field.admission(li.admission_key)).state == 1


async def test_a_death_before_the_first_day_leaves_no_day(field: Any) -> None:
    (bed,) = await field.beds(await field.open())
    wang = await field.admit("res_wang", bed, field.ago(10))
    await field.dies("res_wang", field.ago(20))
    ended = await field.admission(wang.admission_key)
    assert ended.ended_on == ended.admitted_on


async def test_a_death_and_an_admission_at_the_same_moment_leave_no_bed_to_the_dead(
    field: Any,
) -> None:
    beds = await field.beds(await field.open(), 20)
    acts = []
    for n, bed in enumerate(beds):
        acts += [field.admit(f"res_{n}", bed), field.dies(f"res_{n}", field.ago(1))]
    await asyncio.gather(*acts, return_exceptions=True)
    counts = await field.ask("GetOccupancy", region_code="51")
    assert sum(each.occupied_count for each in counts.occupancies) == 0


async def test_nobody_is_admitted_to_nights_that_were_spent_in_another_bed(field: Any) -> None:
    """王 left on the 5th last day; a second home tells an admission of the 40th: both were paid."""
    beds = await field.beds(await field.open(), 2)
    first = await field.admit("res_wang", beds[0], field.ago(50))
    left = {"admission_key": first.admission_key, "discharged_on": field.ago(5)}
    await field.ask("DischargeResident", **left)
    with pytest.raises(ResidentDaySettled) as refused:
        await field.admit("res_wang", beds[1], field.ago(40))
    assert str(field.ago(5)) in refused.value.message("en")
    centre = await field.open("DAY_CARE_CENTRE")
    (place,) = await field.beds(centre, bed_class="DAY")
    assert (await field.admit("res_wang", place, field.ago(40))).state == 1
    assert (await field.admit("res_wang", beds[1], field.ago(5))).state == 1


async def test_a_day_place_goes_along_with_a_bed_and_only_that(field: Any) -> None:
    home, centre = await field.open(), await field.open("DAY_CARE_CENTRE")
    (night,), (day,) = await field.beds(home), await field.beds(centre, bed_class="DAY")
    (other_night,) = await field.beds(home, bed_class="GENERAL")
    await field.admit("res_wang", night)
    await field.admit("res_wang", day)
    with pytest.raises(AlreadyAdmitted):
        await field.admit("res_wang", other_night)
    of_wang = await field.ask(
        "ListAdmissions", resident_key="res_wang", state="ADMISSION_STATE_OPEN"
    )
    assert len(of_wang.admissions) == 2


async def test_a_transfer_loses_no_day_and_counts_none_twice(field: Any) -> None:
    key = await field.open()
    beds = await field.beds(key, 2)
    first = await field.admit("res_wang", beds[0], field.ago(100))
    both = await field.ask(
        "TransferResident",
        admission_key=first.admission_key,
        bed_key=beds[1],
        transferred_on=field.ago(40),
    )
    assert both.ended.ended_on == both.admission.admitted_on
    assert both.admission.previous_key == first.admission_key
    released, occupied = (
        field.memory.events(events.BedReleased)[0],
        field.memory.events(events.BedOccupied)[1],
    )
    assert released.cause == events.RELEASE_CAUSE_TRANSFER
    assert released.released_on == occupied.occupied_on
    with pytest.raises(AdmissionEnded):
        await field.ask(
            "DischargeResident",
            admission_key=first.admission_key,
            discharged_on=field.today,
        )


async def test_a_failed_transfer_leaves_the_person_where_they_were(field: Any) -> None:
    beds = await field.beds(await field.open(), 2)
    wang, li = await field.admit("res_wang", beds[0]), await field.admit("res_li", beds[1])
    move = {"admission_key": wang.admission_key, "bed_key": beds[1]}
    with pytest.raises(BedOccupiedAlready):
        await field.ask("TransferResident", **move, transferred_on=field.ago(1))
    assert (await field.admission(wang.admission_key)).state == 1
    assert (await field.admission(li.admission_key)).state == 1
    assert not field.memory.events(events.BedReleased)


async def test_a_bed_is_converted_with_its_occupant_but_not_into_a_day_place(field: Any) -> None:
    (bed,) = await field.beds(await field.open(), bed_class="GENERAL")
    await field.admit("res_wang", bed, field.ago(100))
    convert = {"bed_key": bed, "bed_class": "BED_CLASS_NURSING"}
    with pytest.raises(BedDaySettled):
        await field.ask("ConvertBed", **convert, converted_on=field.ago(101))
    converted = await field.ask("ConvertBed", **convert, converted_on=field.ago(50))
    assert converted.bed.state == 2
    with pytest.raises(BedClassForbidden):
        await field.ask(
            "ConvertBed", bed_key=bed, bed_class="BED_CLASS_DAY", converted_on=field.today
        )
    (told,) = field.memory.events(events.BedConverted)
    assert (told.from_bed_class, told.bed_class) == (1, 2)
    await field.dies("res_wang", field.ago(60))
    (released,) = field.memory.events(events.BedReleased)
    assert released.bed_class == 1, "on the day of the death it was still a general bed"
    with pytest.raises(BedDaySettled):
        await field.admit("res_li", bed, field.ago(55))


async def test_a_withdrawn_bed_is_nobodys_and_an_occupied_one_is_not_withdrawn(field: Any) -> None:
    key = await field.open()
    beds = await field.beds(key, 2)
    await field.admit("res_wang", beds[0])
    with pytest.raises(BedOccupiedAlready):
        await field.ask("WithdrawBed", bed_key=beds[0], withdrawn_on=field.today)
    await field.ask("WithdrawBed", bed_key=beds[1], withdrawn_on=field.ago(1), etag="v1")
    with pytest.raises(BedWithdrawn):
        await field.admit("res_li", beds[1], field.today)
    with pytest.raises(StaleVersion):
        await field.ask("WithdrawBed", bed_key=beds[1], withdrawn_on=field.today, etag="v1")
    assert (await field.institution(key)).bed_count == 1
    gone = await field.ask("ListBeds", institution_key=key, state="BED_STATE_WITHDRAWN")
    assert [bed.bed_key for bed in gone.beds] == [beds[1]]


async def test_children_have_places_and_elders_have_beds(field: Any) -> None:
    nursery, home = await field.open("CHILDCARE"), await field.open()
    with pytest.raises(BedClassForbidden):
        await field.beds(nursery)
    with pytest.raises(BedClassForbidden):
        await field.beds(home, bed_class="CHILDCARE_PLACE")
    places = await field.beds(nursery, 3, "CHILDCARE_PLACE")
    await field.admit("res_child", places[0])
    counts = await field.ask(
        "GetOccupancy", region_code="5117", institution_kind="INSTITUTION_KIND_CHILDCARE"
    )
    of_class = {
        each.bed_class: (each.bed_count, each.occupied_count) for each in counts.occupancies
    }
    assert of_class == {1: (0, 0), 2: (0, 0), 3: (0, 0), 4: (0, 0), 5: (3, 1)}


async def test_labels_are_unique_among_the_beds_in_service(field: Any) -> None:
    key = await field.open()
    add = {
        "institution_key": key,
        "bed_class": "BED_CLASS_GENERAL",
        "labels": ["3-12-1"],
        "in_service_on": field.ago(10),
    }
    added = await field.ask("AddBeds", **add)
    with pytest.raises(BedLabelTaken):
        await field.ask("AddBeds", **add)
    await field.ask("WithdrawBed", bed_key=added.beds[0].bed_key, withdrawn_on=field.today)
    assert (await field.ask("AddBeds", **add)).beds[0].label == "3-12-1"


@pytest.mark.parametrize("days", [-1, 301])
async def test_no_admission_lies_in_the_future_or_before_the_bed(field: Any, days: int) -> None:
    (bed,) = await field.beds(await field.open())
    with pytest.raises(DomainError) as refused:
        await field.admit("res_wang", bed, field.ago(days))
    assert refused.value.reason in {DayImpossible.reason, "NOT_OPERATING_THEN"}


async def test_free_and_occupied_beds_are_listed_page_by_page(field: Any) -> None:
    key = await field.open()
    beds = await field.beds(key, 5)
    await field.admit("res_wang", beds[2])
    question = {"institution_key": key, "state": "BED_STATE_FREE", "page_size": 3}
    first = await field.ask("ListBeds", **question)
    second = await field.ask("ListBeds", **question, page_token=first.next_page_token)
    listed = [bed.bed_key for bed in [*first.beds, *second.beds]]
    assert listed == sorted({*beds} - {beds[2]})
    occupied = await field.ask("ListBeds", region_code="51", state="BED_STATE_OCCUPIED")
    assert [bed.bed_key for bed in occupied.beds] == [beds[2]]


ACT = st.tuples(
    st.sampled_from(["admit", "discharge", "transfer", "die", "convert", "merge", "unmerge"]),
    st.integers(0, 3),
    st.integers(0, 2),
    st.integers(0, 12),
)


@settings(max_examples=250, deadline=None)
@given(acts=st.lists(ACT, max_size=24))
@example(acts=[("admit", 1, 0, 1), ("discharge", 1, 0, 0), ("admit", 1, 1, 1)])
async def test_whatever_happens_no_bed_and_nobody_has_a_day_twice(
    acts: list[tuple[str, int, int, int]], fields: Any
) -> None:
    field = await fields()
    beds = await field.beds(await field.open(), 3)
    refusals: set[str] = set()
    for act, who, which, days in acts:
        person, day = f"res_{who}", field.ago(days)
        listed = await field.ask(
            "ListAdmissions", resident_key=person, state="ADMISSION_STATE_OPEN"
        )
        held = [admission.admission_key for admission in listed.admissions]
        try:
            if act == "admit":
                await field.admit(person, beds[which], day)
            elif act == "die" and days % 6 == 0:
                await field.dies(person, day)
            elif act == "merge":
                await field.merges(person, f"res_{(who + 1) % 4}")
            elif act == "unmerge":
                await field.unmerges(person, f"res_{(who + 1) % 4}")
            elif act == "convert":
                to = "BED_CLASS_GENERAL" if days % 2 else "BED_CLASS_DEMENTIA"
                await field.ask("ConvertBed", bed_key=beds[which], bed_class=to, converted_on=day)
            elif held and act == "discharge":
                await field.ask("DischargeResident", admission_key=held[0], discharged_on=day)
            elif held and act == "transfer":
                await field.ask(
                    "TransferResident",
                    admission_key=held[0],
                    bed_key=beds[which],
                    transferred_on=day,
                )
        except DomainError as error:
            refusals.add(error.reason)
    everything = await field.ask("ListAdmissions", region_code="511702", page_size=500)
    assert field.memory.dead_letters() == []
    assert "ALREADY_EXISTS" not in refusals, "the rules tell before the store has to"
    _no_day_twice(everything.admissions, field.today, "bed_key")
    if all(act != "merge" for act, *_ in acts):
        # Two records that prove to be one person may have had beds side by side before.
        _no_day_twice(everything.admissions, field.today, "resident_key")
    _told_as_it_is(everything.admissions, field)


def _no_day_twice(admissions: Any, today: date, of: str) -> None:
    nights: dict[str, set[date]] = defaultdict(set)
    for admission in admissions:
        day, mine = day_of(admission.admitted_on), set()
        end = day_of(admission.ended_on) if admission.HasField("ended_on") else today
        while day < end:
            mine.add(day)
            day += timedelta(days=1)
        assert not nights[getattr(admission, of)] & mine
        nights[getattr(admission, of)] |= mine
    open_ones = [getattr(a, of) for a in admissions if a.state == 1]
    assert len(open_ones) == len(set(open_ones))


def _told_as_it_is(admissions: Any, field: Any) -> None:
    """The events alone lead to the same days as the records."""
    told = {e.admission_key: day_of(e.occupied_on) for e in field.memory.events(events.BedOccupied)}
    freed = {
        e.admission_key: day_of(e.released_on) for e in field.memory.events(events.BedReleased)
    }
    assert told == {a.admission_key: day_of(a.admitted_on) for a in admissions}
    assert freed == {a.admission_key: day_of(a.ended_on) for a in admissions if a.state == 2}


@settings(max_examples=25, deadline=None)
@given(askers=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4)), min_size=2, max_size=50))
async def test_whoever_asks_at_once_beds_and_people_match_one_to_one(
    askers: list[tuple[int, int]], fields: Any
) -> None:
    field = await fields()
    beds = await field.beds(await field.open(), 5)
    asked = [field.admit(f"res_{who}", beds[which]) for who, which in askers]
    await asyncio.gather(*asked, return_exceptions=True)
    listed = (await field.ask("ListAdmissions", region_code="511702", page_size=500)).admissions
    assert len({a.bed_key for a in listed}) == len({a.resident_key for a in listed}) == len(listed)
    assert len(listed) >= 1
    occupied = await field.ask("ListBeds", region_code="51", state="BED_STATE_OCCUPIED")
    assert {bed.admission_key for bed in occupied.beds} == {a.admission_key for a in listed}
