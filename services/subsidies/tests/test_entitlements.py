"""Entitlements: found from facts, decided with reasons, ended once, wherever people live."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from eldex.api.subsidies.v1 import entitlement_events_pb2 as told
from eldex.api.subsidies.v1 import entitlement_pb2 as pb
from eldex.api.subsidies.v1 import subsidies_service_pb2 as calls
from eldex.common.errors import NotFound, StaleVersion
from eldex.subsidies.domain.recipient import HeldAlready, NotHeld

WANG, LI, CHEN = "res_wangxiuying", "res_liguifang", "res_chenyuzhen"


def days(entitlement: pb.Entitlement, office: Any) -> list[tuple[str, int]]:
    return [(office.text_of(s.began_on), s.monthly_amount_fen) for s in entitlement.stretches]


async def test_wang_xiuying_of_85_gets_the_old_age_allowance_without_asking(office: Any) -> None:
    await office.tell(office.registered(WANG, "1941-03-08"))
    (granted,) = office.events(told.EntitlementGranted, resident_key=WANG)
    assert granted.scheme_code == "old-age-allowance"
    assert granted.monthly_amount_fen == 6000
    assert granted.region_code == "511702"
    assert "已满80周岁 | aged 80 or more [示范参数（虚构） 通川区高龄津贴第一条]" in granted.reasons


async def test_nobody_is_entitled_before_the_birthday_and_the_months_bring_it(office: Any) -> None:
    await office.tell(office.registered(LI, "1947-01-20"))
    assert not office.events(told.EntitlementGranted)
    office.today("2026-12-01")
    await office.worker.run_pending()
    (granted,) = office.events(told.EntitlementGranted, resident_key=LI)
    assert office.text_of(granted.began_on) == "2027-01-20"


async def test_at_ninety_the_amount_rises_on_the_birthday(office: Any) -> None:
    await office.tell(office.registered(LI, "1936-12-10"))
    assert days(await office.entitlement(LI), office) == [
        ("2024-01-01", 6000),
        ("2026-12-10", 15000),
    ]
    (changed,) = office.events(told.EntitlementAmountChanged)
    assert changed.cause == pb.END_CAUSE_CIRCUMSTANCES_CHANGED


async def test_a_death_ends_all_schemes_on_the_day_and_the_same_notice_changes_nothing(
    office: Any,
) -> None:
    await office.tell(
        office.registered(WANG, "1941-03-08"),
        office.belongs(WANG, "MINIMUM_LIVING", "2025-01-01"),
    )
    notice = office.died(WANG, "2026-11-01")
    await office.tell(notice, notice)
    ended = office.events(told.EntitlementEnded)
    assert {e.scheme_code for e in ended} == {"old-age-allowance", "home-care-service-subsidy"}
    assert {(office.text_of(e.ended_on), e.cause) for e in ended} == {
        ("2026-11-01", pb.END_CAUSE_DEATH)
    }
    assert len(ended) == 2


async def test_a_revoked_death_lets_the_allowance_go_on_without_a_gap(office: Any) -> None:
    await office.tell(
        office.registered(WANG, "1941-03-08"),
        office.died(WANG, "2026-11-01"),
        office.death_revoked(WANG, "2026-11-01"),
    )
    assert days(await office.entitlement(WANG), office) == [("2024-01-01", 6000)]


async def test_li_guifang_moves_and_the_new_county_pays_from_that_very_day(office: Any) -> None:
    await office.tell(
        office.registered(LI, "1938-06-20"), office.moved(LI, office.kaijiang, "2026-10-16")
    )
    tongchuan, kaijiang = await office.entitlements(LI)
    assert days(tongchuan, office) == [("2024-01-01", 6000), ("2026-10-16", 0)]
    assert days(kaijiang, office) == [("2026-10-16", 4000)]
    (ended,) = office.events(told.EntitlementEnded)
    assert ended.cause == pb.END_CAUSE_MOVED
    assert office.text_of(ended.ended_on) == "2026-10-16"


async def test_a_street_of_its_own_standard_pays_by_it_and_the_next_street_by_the_citys(
    office: Any,
) -> None:
    await office.tell(
        office.registered(CHEN, "1950-02-11", region=office.street),
        office.belongs(CHEN, "THREE_WITHOUTS", "2025-01-01"),
        office.moved(CHEN, "511702002001", "2026-11-15"),
    )
    subsidy = await office.entitlement(CHEN, "home-care-service-subsidy")
    assert days(subsidy, office) == [("2025-01-01", 30000), ("2026-11-15", 20000)]
    (changed,) = office.events(told.EntitlementAmountChanged)
    assert changed.cause == pb.END_CAUSE_MOVED


async def test_an_assessment_finds_the_care_allowance_and_long_term_care_stops_it(
    office: Any,
) -> None:
    await office.tell(
        office.registered(CHEN, "1950-02-11"),
        office.belongs(CHEN, "MINIMUM_LIVING", "2026-01-01"),
    )
    assert not office.events(told.EntitlementGranted, scheme_code="care-allowance")
    await office.tell(office.assessed(CHEN, "SEVERE", "2026-11-02"))
    (granted,) = office.events(told.EntitlementGranted, scheme_code="care-allowance")
    assert (office.text_of(granted.began_on), granted.monthly_amount_fen) == ("2026-11-02", 36000)
    assert any("能力评估达到重度失能及以上" in reason for reason in granted.reasons)
    assert any("属于下列对象" in reason for reason in granted.reasons)
    await office.tell(office.cared_for(CHEN, "2026-12-01"))
    (stopped,) = office.events(told.EntitlementStopped)
    assert office.text_of(stopped.stopped_on) == "2026-12-01"
    assert stopped.cause == pb.END_CAUSE_LONG_TERM_CARE
    await office.tell(office.cared_for_no_more(CHEN, "2026-12-20"))
    (resumed,) = office.events(told.EntitlementResumed)
    assert office.text_of(resumed.resumed_on) == "2026-12-20"


async def test_long_term_care_heard_of_before_the_person_is_registered_counts_all_the_same(
    office: Any,
) -> None:
    await office.tell(
        office.cared_for(CHEN, "2026-11-10"),
        office.assessed(CHEN, "COMPLETE", "2026-11-01"),
        office.belongs(CHEN, "ECONOMIC_DIFFICULTY", "2026-11-05"),
        office.registered(CHEN, "1950-02-11"),
    )
    allowance = await office.entitlement(CHEN, "care-allowance")
    assert days(allowance, office) == [("2026-11-05", 50000), ("2026-11-10", 0)]
    assert allowance.status == pb.ENTITLEMENT_STATUS_STOPPED


async def test_an_annulled_assessment_never_counted(office: Any) -> None:
    await office.tell(
        office.registered(CHEN, "1950-02-11"),
        office.belongs(CHEN, "MINIMUM_LIVING", "2026-01-01"),
        office.assessed(CHEN, "MODERATE", "2026-02-01"),
        office.assessed(CHEN, "COMPLETE", "2026-11-02", name="ass_wrong"),
        office.annulled(CHEN, "ass_wrong"),
    )
    allowance = await office.entitlement(CHEN, "care-allowance")
    assert days(allowance, office) == [("2026-02-01", 20000)]


@pytest.mark.parametrize(
    ("born_on", "classes", "level"),
    [
        ("1960-01-01", ["THREE_WITHOUTS"], ""),
        ("1960-01-01", ["DESTITUTE"], ""),
        ("1960-01-01", ["MINIMUM_LIVING"], ""),
        ("1960-01-01", ["ECONOMIC_DIFFICULTY"], "MILD"),
        ("1956-11-01", ["FAMILY_PLANNING_SPECIAL"], ""),
        ("1926-11-01", [], ""),
    ],
)
async def test_each_of_the_six_classes_gets_home_care_services(
    office: Any, born_on: str, classes: list[str], level: str
) -> None:
    await office.tell(office.registered(LI, born_on))
    for kind in classes:
        await office.tell(office.belongs(LI, kind, "2026-01-01"))
    if level:
        await office.tell(office.assessed(LI, level, "2026-01-01"))
    assert office.events(told.EntitlementGranted, scheme_code="home-care-service-subsidy")


@pytest.mark.parametrize(
    ("born_on", "classes", "level"),
    [
        ("1967-01-01", ["MINIMUM_LIVING"], ""),  # 59
        ("1960-01-01", ["ECONOMIC_DIFFICULTY"], "INTACT"),
        ("1957-06-01", ["FAMILY_PLANNING_SPECIAL"], ""),  # 69
        ("1927-06-01", [], ""),  # 99
    ],
)
async def test_who_is_just_outside_the_six_classes_does_not(
    office: Any, born_on: str, classes: list[str], level: str
) -> None:
    await office.tell(office.registered(LI, born_on))
    for kind in classes:
        await office.tell(office.belongs(LI, kind, "2026-01-01"))
    if level:
        await office.tell(office.assessed(LI, level, "2026-01-01"))
    assert not office.events(told.EntitlementGranted, scheme_code="home-care-service-subsidy")


async def test_why_not_is_answered_condition_by_condition_with_the_clause(office: Any) -> None:
    await office.tell(
        office.registered(CHEN, "1950-02-11"), office.assessed(CHEN, "MILD", "2026-02-01")
    )
    reply = await office.door.explain_decision(
        calls.ExplainDecisionRequest(resident_key=CHEN, scheme_code="care-allowance"), office.call()
    )
    assert not reply.entitled
    assert reply.cause == pb.END_CAUSE_NO_LONGER_ELIGIBLE
    unmet = [(r.code, r.grade) for r in reply.reasons if not r.met]
    assert unmet == [
        ("CLASS_ANY", ""),
        ("ABILITY_FROM", "complete"),
        ("ABILITY_FROM", "severe"),
        ("ABILITY_FROM", "moderate"),
    ]
    age = next(r for r in reply.reasons if r.code == "AGE_FROM")
    assert (age.zh, age.source.document) == ("已满60周岁", "中华人民共和国老年人权益保障法")
    with pytest.raises(NotFound):
        await office.door.explain_decision(
            calls.ExplainDecisionRequest(
                resident_key="res_nobody", scheme_code="old-age-allowance"
            ),
            office.call(),
        )


async def test_a_stop_by_hand_goes_along_when_the_person_moves_and_is_resumed(office: Any) -> None:
    await office.tell(office.registered(LI, "1938-06-20"))
    found = await office.entitlement(LI)
    stop = calls.StopEntitlementRequest(
        request_id=str(uuid.uuid4()),
        entitlement_key=found.entitlement_key,
        stopped_on=office.on("2026-11-10"),
        note="年度生存认证未通过",
        etag=found.etag,
    )
    stopped = (await office.door.stop_entitlement(stop, office.call())).entitlement
    assert stopped.status == pb.ENTITLEMENT_STATUS_STOPPED
    stop.request_id = str(uuid.uuid4())
    with pytest.raises(StaleVersion):
        await office.door.stop_entitlement(stop, office.call())
    stop.etag = ""
    with pytest.raises(HeldAlready):
        await office.door.stop_entitlement(stop, office.call())
    await office.tell(office.moved(LI, office.kaijiang, "2026-11-15"))
    assert len(await office.entitlements(LI)) == 1
    resume = calls.ResumeEntitlementRequest(
        request_id=str(uuid.uuid4()),
        entitlement_key=found.entitlement_key,
        resumed_on=office.on("2026-11-20"),
    )
    await office.door.resume_entitlement(resume, office.call())
    tongchuan, kaijiang = await office.entitlements(LI)
    assert days(tongchuan, office)[-1] == ("2026-11-15", 0)
    assert days(kaijiang, office) == [("2026-11-20", 4000)]
    resume.request_id = str(uuid.uuid4())
    with pytest.raises(NotHeld):
        await office.door.resume_entitlement(resume, office.call())


async def test_a_stop_by_hand_goes_along_when_records_are_merged_and_is_resumed(
    office: Any,
) -> None:
    await office.tell(office.registered("res_old", "1938-06-20"))
    found = await office.entitlement("res_old")
    stop = calls.StopEntitlementRequest(
        request_id=str(uuid.uuid4()),
        entitlement_key=found.entitlement_key,
        stopped_on=office.on("2026-11-01"),
        note="年度生存认证未通过",
    )
    await office.door.stop_entitlement(stop, office.call())
    await office.tell(office.registered(LI, "1938-06-20"), office.merged("res_old", LI))
    stopped = await office.entitlement(LI)
    assert days(stopped, office) == [("2024-01-01", 6000), ("2026-11-01", 0)]
    resume = calls.ResumeEntitlementRequest(
        request_id=str(uuid.uuid4()),
        entitlement_key=stopped.entitlement_key,
        resumed_on=office.on("2026-11-20"),
    )
    await office.door.resume_entitlement(resume, office.call())
    assert days(await office.entitlement(LI), office)[-1] == ("2026-11-20", 6000)
    assert days(await office.entitlement("res_old"), office) == []


async def test_an_end_by_hand_is_told_as_an_end(office: Any) -> None:
    await office.tell(office.registered(LI, "1938-06-20"))
    found = await office.entitlement(LI)
    await office.door.end_entitlement(
        calls.EndEntitlementRequest(
            request_id=str(uuid.uuid4()),
            entitlement_key=found.entitlement_key,
            ended_on=office.on("2026-12-01"),
            note="本人自愿放弃",
        ),
        office.call(),
    )
    (ended,) = office.events(told.EntitlementEnded)
    assert (office.text_of(ended.ended_on), ended.cause) == ("2026-12-01", pb.END_CAUSE_REQUEST)


async def test_entitlements_of_a_county_are_listed_page_by_page(office: Any) -> None:
    for number in range(5):
        await office.tell(office.registered(f"res_{number}", "1940-01-01"))
    await office.tell(office.registered("res_away", "1940-01-01", region=office.kaijiang))
    question = calls.ListEntitlementsRequest(
        region_code=office.tongchuan, status=pb.ENTITLEMENT_STATUS_ACTIVE, page_size=3
    )
    question.read_mask.paths.append("resident_key")
    first = await office.door.list_entitlements(question, office.call())
    question.page_token = first.next_page_token
    second = await office.door.list_entitlements(question, office.call())
    found = [*first.entitlements, *second.entitlements]
    assert sorted(e.resident_key for e in found) == [f"res_{n}" for n in range(5)]
    assert {e.scheme_code for e in found} == {""}
    assert second.next_page_token == ""
