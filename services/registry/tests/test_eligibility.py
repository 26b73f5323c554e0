"""Eligibility classes: several at once, each from a department, dated, ended, listed by day."""

from __future__ import annotations

from typing import Any

import pytest

from eldex.api.registry.v1 import eligibility_pb2 as e
from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.api.registry.v1 import resident_events_pb2 as events_pb
from eldex.common.calendar import InvalidPeriod
from eldex.registry.domain.days import AlreadyEnded, DayImpossible
from eldex.registry.domain.residents import EligibilityOverlaps, NotAlive

LOW_INCOME, ALONE = e.ELIGIBILITY_CLASS_LOW_INCOME, e.ELIGIBILITY_CLASS_LIVING_ALONE


async def grant(
    counter: Any, key: str, kind: Any, since: str, until: str | None = None
) -> e.Eligibility:
    request = pb.GrantEligibilityRequest(
        resident_key=key,
        eligibility_class=kind,
        valid_from=counter.day(since),
        source_department="通川区民政局",
        evidence="通民救〔2026〕虚构17号",
    )
    if until:
        request.valid_to.CopyFrom(counter.day(until))
    reply: pb.GrantEligibilityResponse = await counter.ask(request)
    return reply.eligibility


async def end(counter: Any, key: str, on: str) -> e.Eligibility:
    request = pb.EndEligibilityRequest(
        eligibility_key=key, ended_on=counter.day(on), reason="收入核对超标"
    )
    reply: pb.EndEligibilityResponse = await counter.ask(request)
    return reply.eligibility


async def of_class(counter: Any, kind: Any, region: str = "5117") -> list[str]:
    ask = pb.ListResidentsRequest(region_code=region, eligibility_class=kind)
    return [r.resident_key for r in (await counter.ask(ask)).residents]


async def test_a_person_belongs_to_several_classes_at_once(counter: Any) -> None:
    key = await counter.enter("王秀英")
    granted = await grant(counter, key, LOW_INCOME, "2026-01-01")
    await grant(counter, key, ALONE, "2026-03-01", "2027-03-01")
    assert list((await counter.show(key)).eligibility_classes) == [LOW_INCOME, ALONE]
    first, second = counter.service.events(events_pb.EligibilityGranted)
    assert (first.eligibility_key, first.eligibility_class) == (granted.eligibility_key, LOW_INCOME)
    assert not first.HasField("valid_to")
    assert second.valid_to == counter.day("2027-03-01")


async def test_the_same_class_does_not_hold_twice_on_one_day_but_may_follow_itself(
    counter: Any,
) -> None:
    key = await counter.enter("王秀英")
    await grant(counter, key, LOW_INCOME, "2025-01-01", "2026-01-01")
    with pytest.raises(EligibilityOverlaps):
        await grant(counter, key, LOW_INCOME, "2025-12-31")
    with pytest.raises(EligibilityOverlaps):
        await grant(counter, key, LOW_INCOME, "2024-01-01", "2025-01-02")
    await grant(counter, key, LOW_INCOME, "2026-01-01")
    with pytest.raises(InvalidPeriod):
        await grant(counter, key, ALONE, "2026-01-01", "2026-01-01")
    with pytest.raises(DayImpossible):
        await grant(counter, key, ALONE, "1930-01-01")


async def test_an_ended_class_no_longer_shows_and_can_be_granted_anew(counter: Any) -> None:
    key = await counter.enter("王秀英")
    granted = await grant(counter, key, LOW_INCOME, "2026-01-01")
    ended = await end(counter, granted.eligibility_key, "2026-11-01")
    assert ended.valid_to == counter.day("2026-11-01")
    assert list((await counter.show(key)).eligibility_classes) == []
    (told,) = counter.service.events(events_pb.EligibilityEnded)
    assert (told.resident_key, told.ended_on) == (key, counter.day("2026-11-01"))
    await end(counter, granted.eligibility_key, "2026-11-01")  # told again: nothing more
    assert len(counter.service.events(events_pb.EligibilityEnded)) == 1
    with pytest.raises(AlreadyEnded):
        await end(counter, granted.eligibility_key, "2026-11-02")
    await grant(counter, key, LOW_INCOME, "2026-11-01")
    assert list((await counter.show(key)).eligibility_classes) == [LOW_INCOME]


async def test_what_should_never_have_held_ends_on_its_first_day(counter: Any) -> None:
    key = await counter.enter("王秀英")
    granted = await grant(counter, key, LOW_INCOME, "2026-01-01")
    with pytest.raises(DayImpossible):
        await end(counter, granted.eligibility_key, "2025-12-31")
    await end(counter, granted.eligibility_key, "2026-01-01")
    await grant(counter, key, LOW_INCOME, "2025-06-01")  # its days are free again


async def test_residents_are_found_by_the_class_they_hold_today_where_they_live(
    counter: Any,
) -> None:
    key = await counter.enter("王秀英")
    past = await counter.enter("李桂兰")
    coming = await counter.enter("张国强")
    await grant(counter, key, LOW_INCOME, "2026-01-01")
    await grant(counter, past, LOW_INCOME, "2025-01-01", "2026-11-22")
    await grant(counter, coming, LOW_INCOME, "2026-12-01")
    assert await of_class(counter, LOW_INCOME) == [key]
    counter.service.clock.pass_days(10)
    assert await of_class(counter, LOW_INCOME) == [key, coming]
    assert await of_class(counter, ALONE) == []
    await counter.ask(
        pb.MoveResidentRequest(
            resident_key=key, region_code="511703", moved_on=counter.day("2026-11-25")
        )
    )
    assert await of_class(counter, LOW_INCOME, "511703") == [key]
    assert await of_class(counter, LOW_INCOME, "511702") == [coming]


async def test_memberships_are_listed_by_the_day_they_hold_and_as_known_then(counter: Any) -> None:
    key = await counter.enter("王秀英")
    granted = await grant(counter, key, LOW_INCOME, "2026-01-01")
    before = counter.service.clock()
    counter.service.clock.pass_days(1)
    await end(counter, granted.eligibility_key, "2026-02-01")
    await grant(counter, key, ALONE, "2026-03-01")

    ask = pb.ListEligibilitiesRequest(resident_key=key)
    assert len((await counter.ask(ask)).eligibilities) == 2
    ask.valid_on.CopyFrom(counter.day("2026-06-01"))
    (now,) = (await counter.ask(ask)).eligibilities
    assert now.eligibility_class == ALONE
    ask.known_at.FromDatetime(before)
    (then,) = (await counter.ask(ask)).eligibilities
    assert then.eligibility_class == LOW_INCOME
    resident = pb.GetResidentRequest(resident_key=key)
    resident.known_at.FromDatetime(before)
    assert list((await counter.ask(resident)).resident.eligibility_classes) == [LOW_INCOME]


async def test_the_dead_become_eligible_only_for_days_of_their_life(counter: Any) -> None:
    key = await counter.enter("王秀英")
    await counter.die(key, "2026-06-01")
    await grant(counter, key, LOW_INCOME, "2026-01-01")
    with pytest.raises(NotAlive):
        await grant(counter, key, ALONE, "2026-06-02")
