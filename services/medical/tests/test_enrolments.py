"""Enrolments: one basic scheme a day, long-term care beside it, an end with the day of death."""

from __future__ import annotations

import asyncio
from datetime import date, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date
from hypothesis import given
from hypothesis import strategies as st

from eldex.api.medical.v1 import enrolment_pb2
from eldex.api.medical.v1 import medical_events_pb2 as events
from eldex.api.medical.v1 import medical_service_pb2 as pb
from eldex.api.registry.v1 import resident_events_pb2 as registry
from eldex.common.errors import InvalidRequest, NotFound, StaleVersion
from eldex.common.regions import UnknownDivision
from eldex.medical.domain.enrolment import (
    AlreadyEnrolled,
    AlreadySuspended,
    EnrolmentEnded,
    NotSuspended,
)
from eldex.medical.domain.person import ResidentDeceased, ResidentMerged, ResidentUnknown
from eldex.medical.domain.tenure import DayImpossible, Days

HOME, COUNTY = "511702", "511723"
EMPLOYEE = enrolment_pb2.INSURANCE_SCHEME_EMPLOYEE
RESIDENT = enrolment_pb2.INSURANCE_SCHEME_RESIDENT


def iso(day: Date) -> str:
    """A day as people read it; empty if it is absent."""
    return date(day.year, day.month, day.day).isoformat() if day.year else ""


async def test_wang_xiuying_is_insured_from_a_day_on_and_the_city_is_told(office: Any) -> None:
    await office.register("res_wang")
    enrolment = await office.insure("res_wang", since="2026-01-01")
    (told,) = office.told(events.EnrolmentOpened)
    assert (told.resident_key, told.enrolment_key) == ("res_wang", enrolment.enrolment_key)
    assert (told.region_code, iso(told.began_on)) == (HOME, "2026-01-01")
    assert enrolment.status == enrolment_pb2.ENROLMENT_STATUS_COVERED
    assert not await office.covered("res_wang", "2025-12-31")
    assert await office.covered("res_wang", "2026-01-01")


async def test_nobody_is_insured_whom_the_registry_does_not_know(office: Any) -> None:
    with pytest.raises(ResidentUnknown):
        await office.insure("res_typo")
    reply = await office.ask("CheckCover", resident_key="res_typo", on="2026-01-01")
    assert not reply.basic.covered
    assert reply.basic.reason == pb.NO_COVER_REASON_NOT_ENROLLED


async def test_a_code_that_is_no_division_is_refused_at_every_door(city: Any) -> None:
    await city.register("res_li")
    somebody: dict[str, Any] = {"resident_key": "res_wang", "began_on": "2026-05-01"}
    doors = [
        city.insure("res_li", region_code="511799"),
        city.ask("FileRemoteCare", care_region_code="449900", **somebody),
        city.settle("res_wang", care_region_code="511702999"),
        city.preview("res_wang", care_region_code="511702999001"),
        city.ask("ContractFamilyDoctor", region_code="511799", team_code="T-117", **somebody),
        city.set("RATIO", 1, region_code="5199"),
    ]
    for door in doors:
        with pytest.raises(UnknownDivision):
            await door
    await city.settle("res_wang", care_region_code="511702001999")  # a village we need not know


async def test_nobody_is_in_two_basic_schemes_on_one_day_but_long_term_care_stands_beside(
    city: Any,
) -> None:
    with pytest.raises(AlreadyEnrolled):
        await city.insure("res_wang", "EMPLOYEE", "2026-07-01")
    care = await city.insure("res_wang", "LONG_TERM_CARE")
    with pytest.raises(AlreadyEnrolled):
        await city.insure("res_wang", "LONG_TERM_CARE", "2025-01-01", COUNTY)
    reply = await city.ask("CheckCover", resident_key="res_wang", on="2026-05-01")
    assert reply.basic.scheme == RESIDENT
    assert reply.long_term_care.enrolment_key == care.enrolment_key


async def test_a_change_of_scheme_leaves_no_day_double_and_none_out(city: Any) -> None:
    (first,) = await city.enrolments("res_wang")
    await city.ask(
        "EndEnrolment",
        enrolment_key=first.enrolment_key,
        ended_on="2026-07-01",
        cause=enrolment_pb2.ENROLMENT_END_CAUSE_TRANSFER,
    )
    await city.insure("res_wang", "EMPLOYEE", "2026-07-01")
    for day, scheme in (("2026-06-30", RESIDENT), ("2026-07-01", EMPLOYEE)):
        reply = await city.ask("CheckCover", resident_key="res_wang", on=day)
        assert reply.basic.covered
        assert reply.basic.scheme == scheme


async def test_two_clerks_at_once_cannot_insure_a_person_twice(office: Any) -> None:
    await office.register("res_wang")
    outcomes = await asyncio.gather(
        office.insure("res_wang", "RESIDENT"),
        office.insure("res_wang", "EMPLOYEE"),
        return_exceptions=True,
    )
    assert sum(isinstance(each, AlreadyEnrolled) for each in outcomes) == 1
    assert len(await office.enrolments("res_wang")) == 1


async def test_an_enrolment_rests_and_is_resumed(city: Any) -> None:
    (enrolment,) = await city.enrolments("res_wang")
    key = enrolment.enrolment_key
    rest: dict[str, Any] = {
        "enrolment_key": key,
        "suspended_on": "2026-03-01",
        "reason": "欠费",
    }
    await city.ask("SuspendEnrolment", **rest)
    with pytest.raises(AlreadySuspended):
        await city.ask("SuspendEnrolment", **rest)
    reply = await city.ask("CheckCover", resident_key="res_wang", on="2026-04-01")
    assert reply.basic.reason == pb.NO_COVER_REASON_SUSPENDED
    with pytest.raises(DayImpossible):
        await city.ask("ResumeEnrolment", enrolment_key=key, resumed_on="2026-03-01")
    await city.ask("ResumeEnrolment", enrolment_key=key, resumed_on="2026-05-01")
    with pytest.raises(NotSuspended):
        await city.ask("ResumeEnrolment", enrolment_key=key, resumed_on="2026-06-01")
    assert not await city.covered("res_wang", "2026-04-30")
    assert await city.covered("res_wang", "2026-05-01")
    assert len(city.told(events.EnrolmentSuspended)) == len(city.told(events.EnrolmentResumed)) == 1


async def test_a_clerk_with_an_old_copy_is_told_to_read_again(city: Any) -> None:
    (enrolment,) = await city.enrolments("res_wang")
    rest: dict[str, Any] = {"enrolment_key": enrolment.enrolment_key, "reason": "欠费"}
    await city.ask("SuspendEnrolment", suspended_on="2026-03-01", etag=enrolment.etag, **rest)
    with pytest.raises(StaleVersion):
        await city.ask(
            "ResumeEnrolment",
            enrolment_key=enrolment.enrolment_key,
            resumed_on="2026-04-01",
            etag=enrolment.etag,
        )


async def test_an_end_told_twice_is_one_end_and_another_day_is_refused(city: Any) -> None:
    (enrolment,) = await city.enrolments("res_wang")
    end: dict[str, Any] = {
        "enrolment_key": enrolment.enrolment_key,
        "cause": enrolment_pb2.ENROLMENT_END_CAUSE_REQUEST,
    }
    with pytest.raises(DayImpossible):
        await city.ask("EndEnrolment", ended_on="2023-12-31", **end)
    for _ in range(2):
        await city.ask("EndEnrolment", ended_on="2026-08-01", **end)
    with pytest.raises(EnrolmentEnded):
        await city.ask("EndEnrolment", ended_on="2026-09-01", **end)
    assert len(city.told(events.EnrolmentEnded)) == 1


async def test_an_end_that_was_set_ahead_may_come_earlier(city: Any) -> None:
    (enrolment,) = await city.enrolments("res_wang")
    for ended_on in ("2062-12-31", "2026-08-01"):  # the year was a slip of the pen
        await city.ask(
            "EndEnrolment",
            enrolment_key=enrolment.enrolment_key,
            ended_on=ended_on,
            cause=enrolment_pb2.ENROLMENT_END_CAUSE_TRANSFER,
        )
    assert not await city.covered("res_wang", "2026-08-01")
    await city.insure("res_wang", "EMPLOYEE", "2026-08-01")
    assert await city.covered("res_wang", "2026-08-01")


async def test_the_day_of_death_is_the_last_one_covered(city: Any) -> None:
    for _ in range(2):  # the same notice twice
        await city.die("res_wang", "2026-11-03")
    (told,) = city.told(events.EnrolmentEnded)
    assert iso(told.ended_on) == "2026-11-04"
    assert told.cause == enrolment_pb2.ENROLMENT_END_CAUSE_DEATH
    assert await city.covered("res_wang", "2026-11-03")
    reply = await city.ask("CheckCover", resident_key="res_wang", on="2026-11-04")
    assert reply.basic.reason == pb.NO_COVER_REASON_DECEASED
    with pytest.raises(ResidentDeceased):
        await city.insure("res_wang", "EMPLOYEE", "2026-11-04")


async def test_an_enrolment_entered_after_the_death_covers_the_days_before_it(
    office: Any,
) -> None:
    await office.register("res_zhao")
    await office.die("res_zhao", "2026-11-03")
    enrolment = await office.insure("res_zhao", since="2026-01-01")
    assert iso(enrolment.ended_on) == "2026-11-04"
    assert await office.covered("res_zhao", "2026-11-03")


async def test_a_death_before_the_first_day_means_that_there_never_was_cover(
    city: Any,
) -> None:
    await city.die("res_wang", "2023-12-01")
    (enrolment,) = await city.enrolments("res_wang")
    assert iso(enrolment.ended_on) == iso(enrolment.began_on) == "2024-01-01"
    assert not await city.covered("res_wang", "2024-01-01")


async def test_a_death_told_with_the_wrong_day_or_of_the_wrong_person_is_undone(
    city: Any,
) -> None:
    await city.die("res_wang", "2026-05-01")
    await city.die("res_wang", "2026-11-03")  # corrected
    (enrolment,) = await city.enrolments("res_wang")
    assert iso(enrolment.ended_on) == "2026-11-04"
    revoked = registry.ResidentDeathRevoked(
        resident_key="res_wang", died_on=Date(year=2026, month=11, day=3)
    )
    for _ in range(2):
        await city.service.deliver(revoked)
    assert await city.covered("res_wang", "2026-12-31")
    assert [iso(e.ended_on) for e in city.told(events.EnrolmentEnded)] == [
        "2026-05-02",
        "2026-11-04",
    ]
    assert len(city.told(events.EnrolmentOpened)) == 3  # opened, and twice again


async def test_a_move_keeps_the_enrolment(city: Any) -> None:
    await city.move("res_wang", "440106", "2026-06-01")
    assert await city.covered("res_wang", "2026-12-01")
    assert not city.told(events.EnrolmentEnded)


async def test_two_records_of_one_person_are_one_enrolment_after_the_merge(
    city: Any,
) -> None:
    await city.register("res_wang2")
    double = await city.insure("res_wang2", "EMPLOYEE", "2025-06-01", COUNTY)
    for _ in range(2):  # however often it is told
        await city.merge("res_wang2", "res_wang")
    (told,) = city.told(events.EnrolmentEnded)
    assert told.cause == enrolment_pb2.ENROLMENT_END_CAUSE_MERGED
    assert (told.enrolment_key, iso(told.ended_on)) == (double.enrolment_key, "2025-06-01")
    (stays,) = [e for e in await city.enrolments("res_wang") if not e.ended_on.year]
    assert stays.scheme == RESIDENT
    with pytest.raises(ResidentMerged):
        await city.insure("res_wang2", since="2027-01-01")
    reply = await city.ask("CheckCover", resident_key="res_wang2", on="2026-01-01")
    assert (reply.resident_key, reply.basic.covered) == ("res_wang", True)


async def test_a_merge_gives_the_survivor_the_days_that_only_the_other_record_covered(
    office: Any,
) -> None:
    for key in ("res_a", "res_b"):
        await office.register(key)
    await office.insure("res_a", "EMPLOYEE", "2018-01-01")
    kept = await office.insure("res_b", "RESIDENT", "2020-01-01")
    await office.ask(
        "EndEnrolment",
        enrolment_key=kept.enrolment_key,
        ended_on="2021-01-01",
        cause=enrolment_pb2.ENROLMENT_END_CAUSE_TRANSFER,
    )
    await office.merge("res_a", "res_b")
    covered = [
        (iso(e.began_on), iso(e.ended_on), e.scheme) for e in await office.enrolments("res_b")
    ]
    assert sorted(covered) == [
        ("2018-01-01", "2020-01-01", EMPLOYEE),
        ("2020-01-01", "2021-01-01", RESIDENT),
        ("2021-01-01", "", EMPLOYEE),
    ]
    for _ in range(2):
        await office.part("res_a", "res_b")
    (again,) = await office.enrolments("res_a")
    assert (iso(again.began_on), iso(again.ended_on)) == ("2018-01-01", "")
    held = [e for e in await office.enrolments("res_b") if e.began_on != e.ended_on]
    assert [e.enrolment_key for e in held] == [kept.enrolment_key]
    assert not await office.covered("res_b", "2022-01-01")
    assert await office.covered("res_a", "2022-01-01")


async def test_a_merge_the_other_way_round_heard_before_the_reversal_of_the_first(
    office: Any,
) -> None:
    for key in ("res_a", "res_b"):
        await office.register(key)
    await office.insure("res_a", "EMPLOYEE", "2020-01-01")
    await office.merge("res_a", "res_b")
    await office.merge("res_b", "res_a")  # the reversal of the first is still on its way
    assert (await office.ask("CheckCover", resident_key="res_a", on="2026-01-01")).resident_key
    await office.part("res_a", "res_b")
    assert office.service.dead_letters() == []
    reply = await office.ask("CheckCover", resident_key="res_b", on="2026-01-01")
    assert (reply.resident_key, reply.basic.covered) == ("res_a", True)
    held = [e for e in await office.enrolments("res_a") if e.began_on != e.ended_on]
    assert len(held) == 1


async def test_what_a_merged_record_held_stands_again_if_its_death_was_revoked_meanwhile(
    city: Any,
) -> None:
    await city.register("res_wang2")
    for key in ("res_wang", "res_wang2"):
        await city.die(key, "2026-10-01")
    await city.merge("res_wang", "res_wang2")
    for key in ("res_wang", "res_wang2"):
        await city.service.deliver(registry.ResidentDeathRevoked(resident_key=key))
    assert await city.covered("res_wang2", "2026-11-01")
    await city.part("res_wang", "res_wang2")
    assert await city.covered("res_wang", "2026-11-01")
    assert not await city.covered("res_wang2", "2026-11-01")


async def test_news_of_somebody_never_heard_of_is_kept_and_nothing_fails(
    office: Any,
) -> None:
    await office.move("res_new", COUNTY, "2026-02-01")
    await office.merge("res_old", "res_new")
    await office.die("res_new", "2026-06-01")
    assert office.service.dead_letters() == []
    enrolment = await office.insure("res_new", since="2026-01-01")
    assert iso(enrolment.ended_on) == "2026-06-02"


async def test_a_list_is_about_somebody_and_goes_page_by_page(city: Any) -> None:
    for key in ("res_li", "res_chen"):
        await city.register(key)
        await city.insure(key, region_code=COUNTY)
    with pytest.raises(InvalidRequest):
        await city.ask("ListEnrolments")
    first = await city.ask("ListEnrolments", region_code="5117", page_size=2)
    second = await city.ask(
        "ListEnrolments", region_code="5117", page_size=2, page_token=first.next_page_token
    )
    keys = {e.resident_key for e in [*first.enrolments, *second.enrolments]}
    assert keys == {"res_wang", "res_li", "res_chen"}
    assert second.next_page_token == ""
    on_a_day = await city.ask("ListEnrolments", region_code=COUNTY, covered_on="2023-01-01")
    assert not on_a_day.enrolments


async def test_what_was_known_before_the_death_can_still_be_read(city: Any) -> None:
    (enrolment,) = await city.enrolments("res_wang")
    before = Timestamp()
    before.FromDatetime(city.service.clock())
    city.service.clock.pass_days(1)
    await city.die("res_wang", "2026-11-03")
    reply = await city.ask("GetEnrolment", enrolment_key=enrolment.enrolment_key, known_at=before)
    assert not reply.enrolment.ended_on.year
    with pytest.raises(NotFound):
        await city.ask("GetEnrolment", enrolment_key="enr_none")


day_strategy = st.integers(0, 60).map(lambda n: date(2026, 1, 1) + timedelta(days=n))
stretches = st.builds(
    lambda a, n: Days(a, None if n is None else a + timedelta(days=n)),
    day_strategy,
    st.none() | st.integers(0, 30),
)


@given(stretches, st.lists(stretches, max_size=5))
def test_what_is_left_of_a_stretch_is_each_of_its_days_once_and_none_of_the_others(
    whole: Days, others: list[Days]
) -> None:
    pieces = whole.without(others)
    for n in range(-2, 110):
        day = date(2026, 1, 1) + timedelta(days=n)
        wanted = whole.contains(day) and not any(o.contains(day) for o in others)
        assert sum(piece.contains(day) for piece in pieces) == wanted
