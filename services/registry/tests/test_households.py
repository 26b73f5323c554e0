"""Households: one at a time for everybody, with a head, through joining, leaving, moving and ending."""

from __future__ import annotations

from typing import Any

import pytest

from eldex.api.registry.v1 import household_pb2 as h
from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.api.registry.v1.household_events_pb2 import HouseholdChanged
from eldex.common.errors import AlreadyExists, InvalidRequest, StaleVersion
from eldex.registry.domain.days import DayImpossible
from eldex.registry.domain.households import (
    AlreadyInHousehold,
    HeadLeaves,
    HouseholdDissolved,
    MemberRepeated,
    NotAMember,
)
from eldex.registry.domain.residents import NotAlive
from eldex.registry.handlers.ports import DivisionUnknown

SPOUSE, CHILD = h.FAMILY_RELATION_SPOUSE, h.FAMILY_RELATION_CHILD


def related(key: str, relation: Any = CHILD) -> h.HouseholdMemberRelation:
    return h.HouseholdMemberRelation(resident_key=key, relation_to_head=relation)


async def form(counter: Any, head: str, *others: str, on: str = "2020-01-01") -> h.Household:
    request = pb.FormHouseholdRequest(
        region_code="511702001",
        formed_on=counter.day(on),
        head_key=head,
        members=[related(key, SPOUSE) for key in others],
    )
    reply: pb.FormHouseholdResponse = await counter.ask(request)
    return reply.household


async def add(counter: Any, household: h.Household, key: str, on: str, etag: str = "") -> Any:
    request = pb.AddHouseholdMemberRequest(
        household_key=household.household_key,
        member=related(key),
        joined_on=counter.day(on),
        etag=etag,
    )
    return (await counter.ask(request)).household


async def remove(counter: Any, household: h.Household, key: str, on: str) -> Any:
    request = pb.RemoveHouseholdMemberRequest(
        household_key=household.household_key, resident_key=key, left_on=counter.day(on)
    )
    return (await counter.ask(request)).household


def last(counter: Any) -> HouseholdChanged:
    told: HouseholdChanged = counter.service.events(HouseholdChanged)[-1]
    return told


async def test_a_household_is_formed_of_a_head_and_others_and_told(counter: Any) -> None:
    husband, wife = await counter.enter("刘建国"), await counter.enter("王秀英")
    household = await form(counter, husband, wife)
    assert household.head_key == husband
    assert [m.relation_to_head for m in household.members] == [
        h.FAMILY_RELATION_UNSPECIFIED,
        SPOUSE,
    ]
    told = last(counter)
    assert (told.head_key, list(told.member_keys)) == (husband, [husband, wife])
    assert told.region_code == "511702001"


async def test_a_person_belongs_to_one_household_at_a_time(counter: Any) -> None:
    husband, wife = await counter.enter("刘建国"), await counter.enter("王秀英")
    first = await form(counter, husband, wife)
    with pytest.raises(AlreadyInHousehold) as told:
        await form(counter, wife)
    assert told.value.facts["household_key"] == first.household_key
    await remove(counter, first, wife, "2026-01-01")
    await form(counter, wife, on="2026-01-01")


async def test_nobody_joins_a_household_for_days_they_spent_in_another(counter: Any) -> None:
    husband, wife = await counter.enter("刘建国"), await counter.enter("王秀英")
    first = await form(counter, husband, wife)
    second = await form(counter, await counter.enter("张国强"))
    await remove(counter, first, wife, "2026-06-01")
    with pytest.raises(AlreadyInHousehold):
        await add(counter, second, wife, "2026-05-31")
    with pytest.raises(AlreadyInHousehold):
        await form(counter, wife, on="2019-01-01")  # it would have reached into those days
    await add(counter, second, wife, "2026-06-01")


async def test_two_clerks_who_take_in_the_same_person_at_once_do_not_both_succeed(
    counter: Any,
) -> None:
    from asyncio import gather

    wife = await counter.enter("王秀英")
    households = [await form(counter, await counter.enter("刘建国")) for _ in range(2)]
    outcomes = await gather(
        *(add(counter, household, wife, "2026-01-01") for household in households),
        return_exceptions=True,
    )
    refused = [each for each in outcomes if isinstance(each, AlreadyInHousehold | AlreadyExists)]
    assert len(refused) == 1


async def test_nobody_is_named_twice_and_the_dead_do_not_join(counter: Any) -> None:
    husband, wife = await counter.enter("刘建国"), await counter.enter("王秀英")
    with pytest.raises(MemberRepeated):
        await form(counter, husband, husband)
    with pytest.raises(MemberRepeated):
        await form(counter, husband, wife, wife)
    await counter.die(wife, "2026-01-01")
    with pytest.raises(NotAlive):
        await form(counter, husband, wife)
    assert not counter.service.events(HouseholdChanged)


async def test_a_head_leaves_only_after_a_successor_is_named(counter: Any) -> None:
    husband, wife = await counter.enter("刘建国"), await counter.enter("王秀英")
    son = await counter.enter("刘军", born="1965-01-01")
    household = await form(counter, husband, wife)
    household = await add(counter, household, son, "2024-01-01", household.etag)
    with pytest.raises(HeadLeaves):
        await remove(counter, household, husband, "2026-01-01")
    changed = await counter.ask(
        pb.ChangeHouseholdHeadRequest(
            household_key=household.household_key,
            head_key=wife,
            members=[related(son), related(husband, SPOUSE)],
        )
    )
    assert changed.household.head_key == wife
    relations = {m.resident_key: m.relation_to_head for m in changed.household.members}
    assert relations == {wife: 0, husband: SPOUSE, son: CHILD}
    left = await remove(counter, household, husband, "2026-01-01")
    assert left.members[0].leave_cause == h.LEAVE_CAUSE_LEFT
    assert list(last(counter).member_keys) == [wife, son]
    with pytest.raises(NotAMember):
        await remove(counter, household, husband, "2026-01-01")


async def test_the_head_of_a_deceased_heads_household_is_left_to_people(counter: Any) -> None:
    husband, wife = await counter.enter("刘建国"), await counter.enter("王秀英")
    household = await form(counter, husband, wife)
    await counter.die(husband, "2026-11-01")
    assert last(counter).head_key == ""
    request = pb.ChangeHouseholdHeadRequest(household_key=household.household_key, head_key=wife)
    assert (await counter.ask(request)).household.head_key == wife
    assert last(counter).head_key == wife


async def test_days_that_cannot_be_are_refused(counter: Any) -> None:
    husband, wife = await counter.enter("刘建国"), await counter.enter("王秀英")
    with pytest.raises(DayImpossible):
        await form(counter, husband, on="2027-01-01")
    household = await form(counter, husband)
    with pytest.raises(DayImpossible):
        await add(counter, household, wife, "2019-12-31")
    await add(counter, household, wife, "2024-01-01")
    with pytest.raises(DayImpossible):
        await remove(counter, household, wife, "2023-12-31")
    await remove(counter, household, wife, "2025-01-01")
    with pytest.raises(DayImpossible):
        await add(counter, household, wife, "2024-06-01")
    with pytest.raises(DayImpossible):  # she kept house here until 2025
        await counter.ask(
            pb.DissolveHouseholdRequest(
                household_key=household.household_key, dissolved_on=counter.day("2024-12-31")
            )
        )
    again = await add(counter, household, wife, "2025-06-01")
    assert len(again.members) == 3


async def test_a_dissolved_household_changes_no_more_and_its_members_are_free(counter: Any) -> None:
    husband, wife = await counter.enter("刘建国"), await counter.enter("王秀英")
    household = await form(counter, husband, wife)
    request = pb.DissolveHouseholdRequest(
        household_key=household.household_key, dissolved_on=counter.day("2026-01-01")
    )
    dissolved = (await counter.ask(request)).household
    assert {m.leave_cause for m in dissolved.members} == {h.LEAVE_CAUSE_DISSOLVED}
    assert not last(counter).member_keys
    with pytest.raises(HouseholdDissolved):
        await add(counter, household, wife, "2026-02-01")
    await form(counter, wife, on="2026-02-01")


async def test_a_household_moves_and_is_found_where_it_lives(counter: Any) -> None:
    household = await form(counter, await counter.enter("刘建国"))
    move = pb.MoveHouseholdRequest(
        household_key=household.household_key, region_code="511778", etag=household.etag
    )
    assert (await counter.ask(move)).household.region_code == "511778"
    assert last(counter).region_code == "511778"
    for region, expected in (("511778", 1), ("511702", 0), ("5117", 1)):
        found = await counter.ask(pb.ListHouseholdsRequest(region_code=region))
        assert len(found.households) == expected
    move.request_id = ""
    with pytest.raises(StaleVersion):
        await counter.ask(move)
    move.request_id, move.etag, move.region_code = "", "", "990099"
    with pytest.raises(DivisionUnknown):
        await counter.ask(move)


async def test_the_households_of_a_division_are_listed_as_they_were_known_to_live_there(
    counter: Any,
) -> None:
    household = await form(counter, await counter.enter("刘建国"))
    before = counter.service.clock()
    counter.service.clock.pass_days(1)
    await counter.ask(
        pb.MoveHouseholdRequest(household_key=household.household_key, region_code="511778")
    )
    for region, then, now in (("511702", 1, 0), ("511778", 0, 1), ("5117", 1, 1)):
        ask = pb.ListHouseholdsRequest(region_code=region)
        assert len((await counter.ask(ask)).households) == now
        ask.known_at.FromDatetime(before)
        assert len((await counter.ask(ask)).households) == then


async def test_a_persons_households_are_listed_now_in_the_past_and_as_known_then(
    counter: Any,
) -> None:
    husband, wife = await counter.enter("刘建国"), await counter.enter("王秀英")
    first = await form(counter, husband, wife)
    before = counter.service.clock()
    counter.service.clock.pass_days(1)
    await remove(counter, first, wife, "2026-01-01")
    second = await form(counter, wife, on="2026-01-01")

    ask = pb.ListHouseholdsRequest(resident_key=wife)
    now = (await counter.ask(ask)).households
    assert [each.household_key for each in now] == [second.household_key]
    ask.include_past = True
    assert len((await counter.ask(ask)).households) == 2
    ask.include_past = False
    ask.known_at.FromDatetime(before)
    then = (await counter.ask(ask)).households
    assert [each.household_key for each in then] == [first.household_key]
    with pytest.raises(InvalidRequest):
        await counter.ask(pb.ListHouseholdsRequest())
