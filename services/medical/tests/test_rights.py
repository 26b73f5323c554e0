"""What rests on cover and residence: remote filings, long-term care, family doctors."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any

import pytest
from google.type.date_pb2 import Date

from eldex.api.medical.v1 import care_pb2, enrolment_pb2
from eldex.api.medical.v1 import medical_events_pb2 as events
from eldex.api.registry.v1 import assessment_pb2
from eldex.api.registry.v1 import resident_events_pb2 as registry
from eldex.common.calendar import InvalidPeriod
from eldex.medical.domain.claim import NoCoverOnDay
from eldex.medical.domain.parameter import ParameterNotSet
from eldex.medical.domain.person import ResidentDeceased
from eldex.medical.domain.rights import (
    AlreadyFiled,
    BenefitStands,
    CareDisabilityLevel,
    CareNotRemote,
    ContractStands,
    LivesElsewhere,
)
from eldex.medical.domain.tenure import DayImpossible, RightEnded
from eldex.medical.handlers.rights import months_after

GUANGZHOU, KAIJIANG = "440106", "511723"


def iso(day: Date) -> str:
    """A day as people read it; empty if it is absent."""
    return date(day.year, day.month, day.day).isoformat() if day.year else ""


async def grant(city: Any, key: str = "res_wang", **more: Any) -> Any:
    """Grant 重度失能Ⅱ级 from 1 June 2026 on."""
    fields: dict[str, Any] = {
        "disability_level": care_pb2.CARE_DISABILITY_LEVEL_SEVERE_2,
        "assessed_on": "2026-05-20",
        "assessment_reference": "长护评〔2026〕117号",
        "began_on": "2026-06-01",
    }
    return (await city.ask("GrantLongTermCare", resident_key=key, **(fields | more))).benefit


async def contract(city: Any, since: str = "2026-01-01", **more: Any) -> Any:
    """Contract a team of 通川区 for the term of the parameter."""
    fields: dict[str, Any] = {"team_code": "T-117", "region_code": "511702", "began_on": since}
    reply = await city.ask("ContractFamilyDoctor", resident_key="res_wang", **(fields | more))
    return reply.contract


@pytest.fixture
async def carer(city: Any) -> Any:
    """The city, with 王秀英 in long-term-care insurance too."""
    await city.insure("res_wang", "LONG_TERM_CARE")
    return city


# --- remote filing ----------------------------------------------------------------------------------


async def test_a_filing_rests_on_the_fund_that_covers_the_person(city: Any) -> None:
    file: dict[str, Any] = {"resident_key": "res_wang", "began_on": "2026-05-01"}
    reply = await city.ask(
        "FileRemoteCare", care_region_code=GUANGZHOU, ended_on="2026-09-01", **file
    )
    (told,) = city.told(events.RemoteFilingApproved)
    assert (told.region_code, told.care_region_code) == ("511702", GUANGZHOU)
    assert iso(told.ended_on) == iso(reply.filing.ended_on) == "2026-09-01"
    with pytest.raises(AlreadyFiled):
        await city.ask("FileRemoteCare", care_region_code=GUANGZHOU, **file)
    with pytest.raises(CareNotRemote):  # the city pools its fund
        await city.ask("FileRemoteCare", care_region_code=KAIJIANG, **file)
    with pytest.raises(InvalidPeriod):
        await city.ask("FileRemoteCare", care_region_code="310101", ended_on="2026-05-01", **file)
    await city.register("res_li")
    with pytest.raises(NoCoverOnDay):
        await city.ask(
            "FileRemoteCare", **(file | {"resident_key": "res_li"}), care_region_code=GUANGZHOU
        )


async def test_a_filing_ends_on_request_by_death_and_with_the_enrolment(city: Any) -> None:
    keys = []
    for care in (GUANGZHOU, "310101", "110108"):
        reply = await city.ask(
            "FileRemoteCare",
            resident_key="res_wang",
            care_region_code=care,
            began_on="2026-05-01",
        )
        keys.append(reply.filing.filing_key)
    await city.ask("EndRemoteFiling", filing_key=keys[0], ended_on="2026-06-01")
    with pytest.raises(RightEnded):
        await city.ask("EndRemoteFiling", filing_key=keys[0], ended_on="2026-07-01")
    (enrolment,) = await city.enrolments("res_wang")
    await city.ask(
        "EndEnrolment",
        enrolment_key=enrolment.enrolment_key,
        ended_on="2026-10-01",
        cause=enrolment_pb2.ENROLMENT_END_CAUSE_REQUEST,
    )
    await city.die("res_wang", "2026-09-09")
    reply = await city.ask("ListRemoteFilings", resident_key="res_wang")
    ends = {each.filing_key: (iso(each.ended_on), each.end_cause) for each in reply.filings}
    assert ends[keys[0]] == ("2026-06-01", care_pb2.RIGHT_END_CAUSE_REQUEST)
    assert ends[keys[1]] == ("2026-09-10", care_pb2.RIGHT_END_CAUSE_DEATH)


async def test_a_filing_made_while_the_enrolment_is_ended_ends_with_it(city: Any) -> None:
    (enrolment,) = await city.enrolments("res_wang")
    await asyncio.gather(
        city.ask(
            "EndEnrolment",
            enrolment_key=enrolment.enrolment_key,
            ended_on="2026-07-01",
            cause=enrolment_pb2.ENROLMENT_END_CAUSE_REQUEST,
        ),
        city.ask(
            "FileRemoteCare",
            resident_key="res_wang",
            care_region_code=GUANGZHOU,
            began_on="2026-05-01",
        ),
    )
    (filing,) = (await city.ask("ListRemoteFilings", resident_key="res_wang")).filings
    assert iso(filing.ended_on) == "2026-07-01"


# --- long-term care ---------------------------------------------------------------------------------


async def test_care_is_granted_by_its_own_scale_and_the_subsidies_are_told(carer: Any) -> None:
    benefit = await grant(carer)
    assert (benefit.daily_amount_fen, benefit.clause) == (4_000, "第二十条 长期护理待遇标准")
    (told,) = carer.told(events.LongTermCareGranted)
    assert (told.daily_amount_fen, iso(told.began_on)) == (4_000, "2026-06-01")
    assert told.disability_level == care_pb2.CARE_DISABILITY_LEVEL_SEVERE_2
    with pytest.raises(BenefitStands):
        await grant(carer, began_on="2026-07-01")


async def test_a_level_without_an_amount_has_no_benefit(carer: Any) -> None:
    with pytest.raises(ParameterNotSet) as refused:
        await grant(carer, disability_level=care_pb2.CARE_DISABILITY_LEVEL_MODERATE)
    assert refused.value.facts["case"] == "long-term-care moderate"


async def test_an_assessment_of_ability_is_never_taken_for_one_of_care_insurance(
    carer: Any,
) -> None:
    assessed = registry.AssessmentCompleted(
        resident_key="res_wang",
        assessment_key="asm_1",
        ability_level=assessment_pb2.ABILITY_LEVEL_COMPLETE,
        assessed_on=Date(year=2026, month=5, day=20),
    )
    await carer.service.deliver(assessed)
    assert not carer.told(events.LongTermCareGranted)
    # Six levels here, five in GB/T 42195, and no crosswalk between them.
    assert {each.value for each in CareDisabilityLevel} == {
        "normal",
        "mild",
        "moderate",
        "severe-1",
        "severe-2",
        "severe-3",
    }


async def test_the_county_may_set_another_amount(office: Any, shipped: Any) -> None:
    await office.ask("SetParameters", parameters=shipped.parameters)
    await office.register("res_li", region_code=KAIJIANG)
    await office.insure("res_li", "LONG_TERM_CARE", region_code=KAIJIANG)
    level = care_pb2.CARE_DISABILITY_LEVEL_SEVERE_1
    assert (await grant(office, "res_li", disability_level=level)).daily_amount_fen == 3_500


async def test_care_needs_cover_and_an_assessment_that_was_made(city: Any) -> None:
    with pytest.raises(NoCoverOnDay):
        await grant(city)
    for days in ({"assessed_on": "2026-12-01"}, {"began_on": "2026-05-19"}):
        with pytest.raises(DayImpossible):
            await grant(city, **days)


async def test_two_grants_at_once_are_one_benefit(carer: Any) -> None:
    outcomes = await asyncio.gather(grant(carer), grant(carer), return_exceptions=True)
    assert sum(isinstance(each, BenefitStands) for each in outcomes) == 1
    assert len(carer.told(events.LongTermCareGranted)) == 1


async def test_the_day_of_death_is_the_last_one_with_a_benefit(carer: Any) -> None:
    benefit = await grant(carer)
    for _ in range(2):
        await carer.die("res_wang", "2026-11-03")
    (told,) = carer.told(events.LongTermCareEnded)
    assert (told.benefit_key, iso(told.ended_on)) == (benefit.benefit_key, "2026-11-04")
    with pytest.raises(ResidentDeceased):
        await grant(carer, began_on="2026-11-10")
    await carer.service.deliver(registry.ResidentDeathRevoked(resident_key="res_wang"))
    held = await carer.ask("ListLongTermCare", resident_key="res_wang", held_on="2026-12-01")
    assert [each.benefit_key for each in held.benefits] == [benefit.benefit_key]


async def test_a_move_out_of_the_city_ends_care_and_a_move_within_does_not(carer: Any) -> None:
    await grant(carer)
    await carer.move("res_wang", KAIJIANG, "2026-07-01")
    assert not carer.told(events.LongTermCareEnded)
    for _ in range(2):
        await carer.move("res_wang", GUANGZHOU, "2026-08-01")
    (told,) = carer.told(events.LongTermCareEnded)
    assert iso(told.ended_on) == "2026-08-01"
    with pytest.raises(LivesElsewhere):
        await grant(carer, began_on="2026-09-01")


async def care_on(city: Any, day: str) -> int:
    reply = await city.ask("ListLongTermCare", resident_key="res_wang", held_on=day)
    return len(reply.benefits)


@pytest.mark.parametrize("dies", ["before", "after", "never"])
async def test_care_and_doctor_go_on_when_the_move_that_ended_them_is_corrected(
    carer: Any, dies: str
) -> None:
    """The registry tells a corrected division as a move from the same day; a death that came in
    between still ends both."""
    await grant(carer)
    held = await contract(carer)
    if dies == "before":
        await carer.die("res_wang", "2026-10-10")
    await carer.move("res_wang", GUANGZHOU, "2026-08-01")
    assert await care_on(carer, "2026-09-01") == 0
    if dies == "after":
        await carer.die("res_wang", "2026-10-10")
    await carer.move("res_wang", "511702", "2026-08-01")
    assert await care_on(carer, "2026-09-01") == 1
    assert await care_on(carer, "2026-10-11") == (dies == "never")
    told = [t for t in carer.service.events() if isinstance(t, events.LongTermCareGranted | events.LongTermCareEnded)]  # fmt: skip
    assert isinstance(told[-1], events.LongTermCareGranted) == (dies == "never")
    reply = await carer.ask("ListFamilyDoctorContracts", resident_key="res_wang")
    last = "2026-10-11" if dies != "never" else iso(held.ended_on)
    assert [iso(each.ended_on) for each in reply.contracts] == [last]
    await carer.service.deliver(registry.ResidentDeathRevoked(resident_key="res_wang"))
    assert await care_on(carer, "2026-12-01") == 1


async def test_care_whose_cover_was_lost_meanwhile_goes_on_no_longer_than_the_cover(
    city: Any,
) -> None:
    enrolment = await city.insure("res_wang", "LONG_TERM_CARE")
    await grant(city)
    await city.move("res_wang", GUANGZHOU, "2026-08-01")
    await city.ask(
        "EndEnrolment",
        enrolment_key=enrolment.enrolment_key,
        ended_on="2026-10-01",
        cause=enrolment_pb2.ENROLMENT_END_CAUSE_REQUEST,
    )
    await city.move("res_wang", "511702", "2026-08-01")
    assert [await care_on(city, day) for day in ("2026-09-30", "2026-10-01")] == [1, 0]


async def test_what_took_the_place_of_care_that_a_move_ended_keeps_it(carer: Any) -> None:
    await grant(carer)
    await carer.move("res_wang", GUANGZHOU, "2026-08-01")
    await carer.move("res_wang", "511702", "2026-09-01")
    second = await grant(carer, began_on="2026-09-01")
    await carer.move("res_wang", "511702", "2026-08-01")
    held = await carer.ask("ListLongTermCare", resident_key="res_wang", held_on="2026-10-01")
    assert [each.benefit_key for each in held.benefits] == [second.benefit_key]


async def test_a_move_ends_care_only_where_a_parameter_says_so(office: Any) -> None:
    await office.register("res_wang")
    await office.insure("res_wang", "LONG_TERM_CARE")
    await office.set("LONG_TERM_CARE_DAILY_AMOUNT", 3_000)
    await grant(office)
    await office.move("res_wang", GUANGZHOU, "2026-08-01")
    assert not office.told(events.LongTermCareEnded)


async def test_a_grant_decided_after_the_move_ends_with_it(carer: Any) -> None:
    await carer.move("res_wang", GUANGZHOU, "2026-08-01")
    benefit = await grant(carer)
    assert iso(benefit.ended_on) == "2026-08-01"
    assert benefit.end_cause == care_pb2.RIGHT_END_CAUSE_MOVE


async def test_care_ends_with_the_cover_it_rests_on(carer: Any) -> None:
    await grant(carer)
    (care,) = [
        each
        for each in await carer.enrolments("res_wang")
        if each.scheme == enrolment_pb2.INSURANCE_SCHEME_LONG_TERM_CARE
    ]
    await carer.ask(
        "SuspendEnrolment",
        enrolment_key=care.enrolment_key,
        suspended_on="2026-10-01",
        reason="中断缴费",
    )
    (told,) = carer.told(events.LongTermCareEnded)
    assert iso(told.ended_on) == "2026-10-01"


async def test_a_rest_entered_late_for_a_former_enrolment_leaves_the_present_care_alone(
    city: Any,
) -> None:
    former = await city.insure("res_wang", "LONG_TERM_CARE")
    await city.ask(
        "EndEnrolment",
        enrolment_key=former.enrolment_key,
        ended_on="2026-05-01",
        cause=enrolment_pb2.ENROLMENT_END_CAUSE_TRANSFER,
    )
    await city.insure("res_wang", "LONG_TERM_CARE", "2026-05-01")
    await grant(city)
    await city.ask(
        "SuspendEnrolment",
        enrolment_key=former.enrolment_key,
        suspended_on="2026-04-01",
        reason="欠费",
    )
    assert not city.told(events.LongTermCareEnded)


async def test_care_ends_on_request_and_may_be_granted_anew_at_another_level(carer: Any) -> None:
    benefit = await grant(carer)
    await carer.ask("EndLongTermCare", benefit_key=benefit.benefit_key, ended_on="2026-09-01")
    level = care_pb2.CARE_DISABILITY_LEVEL_SEVERE_3
    again = await grant(
        carer, disability_level=level, assessed_on="2026-08-20", began_on="2026-09-01"
    )
    assert again.daily_amount_fen == 5_000


async def test_two_records_of_one_person_receive_one_benefit(carer: Any) -> None:
    await carer.register("res_wang2")
    await carer.insure("res_wang2", "LONG_TERM_CARE")
    await grant(carer)
    double = await grant(carer, "res_wang2", assessed_on="2026-01-10", began_on="2026-02-01")
    await carer.merge("res_wang2", "res_wang")
    (told,) = carer.told(events.LongTermCareEnded)[:1]
    assert (told.resident_key, told.benefit_key) == ("res_wang2", double.benefit_key)
    reply = await carer.ask("ListLongTermCare", resident_key="res_wang")
    days = sorted((iso(each.began_on), iso(each.ended_on)) for each in reply.benefits)
    assert days == [("2026-02-01", "2026-06-01"), ("2026-06-01", "")]
    await carer.part("res_wang2", "res_wang")
    reply = await carer.ask("ListLongTermCare", resident_key="res_wang2")
    assert [(iso(b.began_on), iso(b.ended_on)) for b in reply.benefits] == [("2026-02-01", "")]


# --- family doctors ---------------------------------------------------------------------------------


async def test_care_that_a_revoked_death_had_left_no_day_of_goes_to_the_survivor_and_back(
    carer: Any,
) -> None:
    benefit = await grant(carer)
    await carer.register("res_wang2")
    for key in ("res_wang", "res_wang2"):
        await carer.die(key, "2026-05-01")
    await carer.merge("res_wang", "res_wang2")
    for key in ("res_wang", "res_wang2"):
        await carer.service.deliver(registry.ResidentDeathRevoked(resident_key=key))

    async def held(key: str) -> list[str]:
        reply = await carer.ask("ListLongTermCare", resident_key=key, held_on="2026-07-01")
        return [each.benefit_key for each in reply.benefits]

    assert (await held("res_wang"), await held("res_wang2")) == ([], [benefit.benefit_key])
    await carer.part("res_wang", "res_wang2")
    assert (await held("res_wang"), await held("res_wang2")) == ([benefit.benefit_key], [])


async def test_a_family_doctor_is_contracted_for_a_term_and_renewed(city: Any) -> None:
    first = await contract(city)
    assert iso(first.ended_on) == "2027-01-01"
    with pytest.raises(ContractStands):
        await contract(city, "2026-06-01")
    second = await contract(city, "2027-01-01", ended_on="2028-01-01")
    assert second.renews_key == first.contract_key
    told = city.told(events.FamilyDoctorContracted)
    assert [iso(each.ended_on) for each in told] == ["2027-01-01", "2028-01-01"]


async def test_a_contract_ends_early_on_request_by_move_and_by_death(city: Any) -> None:
    first = await contract(city)
    await city.ask(
        "EndFamilyDoctorContract", contract_key=first.contract_key, ended_on="2026-03-01"
    )
    await contract(city, "2026-03-01")
    await city.move("res_wang", KAIJIANG, "2026-07-01")
    third = await contract(city, "2026-07-01", region_code=KAIJIANG)
    await city.die("res_wang", "2026-11-03")
    ended = [iso(each.ended_on) for each in city.told(events.FamilyDoctorContractEnded)]
    assert ended == ["2026-03-01", "2026-07-01", "2026-11-04"]
    reply = await city.ask("ListFamilyDoctorContracts", region_code=KAIJIANG)
    assert [each.contract_key for each in reply.contracts] == [third.contract_key]


async def test_a_team_of_another_county_is_not_contracted(city: Any) -> None:
    with pytest.raises(LivesElsewhere):
        await contract(city, region_code=KAIJIANG)
    assert await contract(city, region_code="5117")  # a team of the whole city


async def test_without_a_term_the_end_must_be_said(office: Any) -> None:
    await office.register("res_wang")
    with pytest.raises(ParameterNotSet):
        await contract(office)
    assert iso((await contract(office, ended_on="2026-07-01")).ended_on) == "2026-07-01"


@pytest.mark.parametrize(
    ("day", "months", "later"),
    [
        (date(2026, 1, 31), 1, date(2026, 3, 1)),
        (date(2024, 2, 29), 12, date(2025, 3, 1)),
        (date(2026, 12, 15), 1, date(2027, 1, 15)),
        (date(2026, 12, 31), 2, date(2027, 3, 1)),
    ],
)
def test_a_term_of_months_ends_after_full_months(day: date, months: int, later: date) -> None:
    assert months_after(day, months) == later
