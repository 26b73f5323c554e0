"""Institutions: filed by whom it takes, opened, suspended, closed with nobody left behind."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eldex.api.institutions.v1 import institution_events_pb2 as events
from eldex.api.institutions.v1 import institution_pb2
from eldex.common.errors import NotFound, StaleVersion
from eldex.common.identifiers import InvalidCreditCode
from eldex.common.regions import UnknownDivision
from eldex.institutions.domain.days import DayImpossible
from eldex.institutions.domain.filing import (
    CommitmentMissing,
    CorrectionsMissing,
    EstablishmentMissing,
    NatureContradicted,
    NotThisAuthority,
)
from eldex.institutions.domain.institution import (
    BedsStillOccupied,
    DetailFixed,
    NoticeTooShort,
    NotOperatingThen,
    ResettlementPlanMissing,
)
from eldex.institutions.domain.operator import OneNature, SiteAlreadyFiled
from eldex.institutions.domain.status import AwaitsReview, StatusForbids

FILED, OPERATING = 4, 5


async def test_a_home_is_filed_by_its_county_and_opens(field: Any) -> None:
    filed = await field.file()
    assert filed.status == 1
    accepted = await field.accept(filed.institution_key, "511702")
    assert (accepted.status, list(accepted.awaits)) == (FILED, [])
    opened = await field.ask(
        "StartOperation", institution_key=filed.institution_key, opened_on=field.ago(2)
    )
    assert opened.institution.status == OPERATING
    assert opened.institution.admits
    (told,) = field.memory.events(events.InstitutionFiled)
    assert told.credit_code == filed.credit_code
    assert told.profit_nature == institution_pb2.PROFIT_NATURE_NON_PROFIT
    assert len(field.memory.events(events.InstitutionOpened)) == 1


async def test_a_returned_filing_is_corrected_and_starts_again(field: Any) -> None:
    filed = await field.file()
    returned = await field.ask(
        "ReturnFiling",
        institution_key=filed.institution_key,
        authority_code="511702",
        corrections="缺消防安全证明",
    )
    assert returned.institution.status == 2
    assert returned.institution.steps[-1].note == "缺消防安全证明"
    with pytest.raises(StatusForbids):
        await field.accept(filed.institution_key, "511702")
    amended = await field.ask(
        "AmendFiling",
        institution_key=filed.institution_key,
        details=field.details(address="东城街道滨河路 2 号"),
        note="补交消防安全证明",
    )
    assert amended.institution.status == 1
    accepted = await field.accept(filed.institution_key, "511702")
    assert accepted.details.address == "东城街道滨河路 2 号"


async def test_a_filing_for_the_wrong_county_is_withdrawn_and_made_anew(field: Any) -> None:
    code = field.new_code()
    wrong = await field.file(code=code, region="511723")
    with pytest.raises(SiteAlreadyFiled):
        await field.file(code=code)
    withdraw = {"institution_key": wrong.institution_key, "closed_on": field.today}
    with pytest.raises(DayImpossible):
        await field.ask("CloseInstitution", **withdraw | {"closed_on": field.ago(1)})
    gone = await field.ask("CloseInstitution", **withdraw)
    assert gone.institution.status == 8
    assert not field.memory.events(events.InstitutionClosed)
    with pytest.raises(StatusForbids):
        await field.accept(wrong.institution_key, "511723")
    right = await field.file(code=code)
    assert (await field.accept(right.institution_key, "511702")).status == FILED


async def test_a_filing_without_commitment_is_not_accepted(field: Any) -> None:
    registration = field.details().papers[0]
    registration.kind = 1
    filed = await field.file(papers=[registration])
    with pytest.raises(CommitmentMissing):
        await field.accept(filed.institution_key, "511702")


async def test_sojourn_care_takes_county_and_league_and_the_review_of_the_region(
    field: Any,
) -> None:
    filed = await field.file("SOJOURN_MEDICAL_CARE", region="152201001")
    key = filed.institution_key
    assert list(filed.awaits) == [1, 2, 3]
    with pytest.raises(NotThisAuthority):
        await field.accept(key, "1522")
    assert (await field.accept(key, "152201")).status == 3
    with pytest.raises(NotThisAuthority):
        await field.accept(key, "152201")
    await field.accept(key, "1522")
    with pytest.raises(AwaitsReview):
        await field.accept(key, "15")
    review = {"institution_key": key, "authority_code": "15", "document": "内民审〔2026〕5 号"}
    with pytest.raises(CorrectionsMissing):
        await field.ask("ReviewFiling", **review, approved=False)
    assert not field.memory.events(events.InstitutionFiled)
    reviewed = await field.ask("ReviewFiling", **review, approved=True)
    assert reviewed.institution.status == FILED
    assert [step.level for step in reviewed.institution.steps] == [0, 1, 2, 3]
    assert len(field.memory.events(events.InstitutionFiled)) == 1


async def test_a_review_that_fails_sends_the_filing_back_to_its_beginning(field: Any) -> None:
    key = (await field.file("SOJOURN_MEDICAL_CARE", region="152201001")).institution_key
    await field.accept(key, "152201")
    await field.accept(key, "1522")
    review = {"institution_key": key, "authority_code": "15", "document": "内民审〔2026〕6 号"}
    failed = await field.ask("ReviewFiling", **review, corrections="医疗机构执业备案已过期")
    assert failed.institution.status == 2
    amended = await field.ask(
        "AmendFiling", institution_key=key, details=field.details(), note="已更新"
    )
    assert list(amended.institution.awaits) == [1, 2, 3]


PUBLIC, NON_PROFIT, FOR_PROFIT = 1, 2, 3


@pytest.mark.parametrize(
    ("authority", "nature"),
    [("12", PUBLIC), ("52", NON_PROFIT), ("91", FOR_PROFIT), ("92", FOR_PROFIT)]
    + [(authority, nature) for authority in ("A1", "N2", "Y1") for nature in (1, 2, 3)],
)
async def test_codes_of_every_authority_are_taken(field: Any, authority: str, nature: int) -> None:
    code = field.new_code(authority)
    filed = await field.file(code=code, profit_nature=nature)
    found = await field.ask("FindInstitution", credit_code=f" {code[:9]} {code[9:].lower()}")
    assert found.institutions[0].institution_key == filed.institution_key


@pytest.mark.parametrize(
    ("authority", "nature"),
    [
        *(("91", NON_PROFIT), ("92", PUBLIC), ("93", NON_PROFIT), ("11", FOR_PROFIT)),
        *(("12", NON_PROFIT), ("51", FOR_PROFIT), ("52", FOR_PROFIT), ("53", PUBLIC)),
    ],
)
async def test_a_nature_that_the_code_contradicts_is_not_filed(
    field: Any, authority: str, nature: int
) -> None:
    """A company that files as non-profit would be paid the subsidies of those that are (M001-48)."""
    with pytest.raises(NatureContradicted, match=f"begins with {authority}"):
        await field.file(code=field.new_code(authority), profit_nature=nature)


async def test_one_organisation_has_one_nature_at_all_its_places(field: Any) -> None:
    village = field.new_code("N2")
    first = await field.file(code=village, site="一", profit_nature=PUBLIC)
    with pytest.raises(OneNature, match=first.institution_key):
        await field.file(code=village, site="二", profit_nature=NON_PROFIT)
    second = await field.file(code=village, site="二", profit_nature=PUBLIC)
    send_back = {"authority_code": "511702", "corrections": "经营性质有误"}
    await field.ask("ReturnFiling", institution_key=second.institution_key, **send_back)
    amend = {"institution_key": second.institution_key, "note": "更正"}
    with pytest.raises(OneNature):
        await field.ask("AmendFiling", **amend, details=field.details(site="二"))
    withdraw = {"institution_key": first.institution_key, "closed_on": field.today}
    await field.ask("CloseInstitution", **withdraw)
    amended = await field.ask("AmendFiling", **amend, details=field.details(site="二"))
    assert amended.institution.details.profit_nature == NON_PROFIT


async def test_years_of_operation_are_not_typed_but_filed_and_accepted(field: Any) -> None:
    """Twelve months in operation are worth money (M001-48, M001-49): a county has seen what they rest on."""
    with pytest.raises(EstablishmentMissing, match=str(field.ago(400))):
        await field.file(established_on=None)
    with pytest.raises(DayImpossible, match="the organisation began"):
        await field.file(established_on=field.ago(399))
    with pytest.raises(DayImpossible, match="future"):
        await field.file(opens_on=field.ago(-9), established_on=field.ago(-1))
    filed = await field.file()
    declared = filed.details.established_on
    assert date(declared.year, declared.month, declared.day) == field.ago(500)
    key = filed.institution_key
    await field.accept(key, "511702")
    for never in (date(1900, 1, 1), field.ago(401)):
        with pytest.raises(DayImpossible, match="the day that the filing gives"):
            await field.ask("StartOperation", institution_key=key, opened_on=never)
    with pytest.raises(DetailFixed):
        await field.ask(
            "AmendFiling",
            institution_key=key,
            note="更正",
            details=field.details(opens_on=field.ago(700), established_on=field.ago(900)),
        )
    untold = {"institution_key": key, "note": "未填成立日期"}
    amended = await field.ask("AmendFiling", **untold, details=field.details(established_on=None))
    assert amended.institution.details.established_on == declared
    opened = await field.ask("StartOperation", institution_key=key, opened_on=field.ago(400))
    assert opened.institution.status == OPERATING


async def test_a_home_that_opens_sooner_than_it_meant_to_needs_no_other_day(field: Any) -> None:
    filed = await field.file(opens_on=field.ago(-30), established_on=None)
    await field.accept(filed.institution_key, "511702")
    start = {"institution_key": filed.institution_key}
    with pytest.raises(DayImpossible):
        await field.ask("StartOperation", **start, opened_on=field.ago(1))
    opened = await field.ask("StartOperation", **start, opened_on=field.today)
    assert opened.institution.status == OPERATING


async def test_a_mistyped_code_or_an_unknown_division_is_refused(field: Any) -> None:
    code = field.new_code()
    wrong = code[:-1] + ("0" if code[-1] != "0" else "1")
    with pytest.raises(InvalidCreditCode):
        await field.file(code=wrong)
    with pytest.raises(UnknownDivision):
        await field.file(region="519999")
    with pytest.raises(NotFound):
        await field.ask("FindInstitution", credit_code=field.new_code())


async def test_an_operator_files_each_place_once(field: Any) -> None:
    code = field.new_code("91")
    first = await field.file(code=code, profit_nature=FOR_PROFIT)
    with pytest.raises(SiteAlreadyFiled):
        await field.file(code=code, profit_nature=FOR_PROFIT)
    second = await field.file(code=code, site="滨河分院", profit_nature=FOR_PROFIT)
    found = await field.ask("FindInstitution", credit_code=code)
    assert [i.institution_key for i in found.institutions] == [
        first.institution_key,
        second.institution_key,
    ]


async def test_a_change_is_told_but_another_nature_is_another_institution(field: Any) -> None:
    key = await field.open()
    change = {"institution_key": key, "note": "更名"}
    amended = await field.ask(
        "AmendFiling", **change, details=field.details(institution_name="晚晴养老院（虚构）")
    )
    assert amended.institution.status == OPERATING
    with pytest.raises(DetailFixed):
        await field.ask(
            "AmendFiling",
            **change,
            details=field.details(profit_nature=institution_pb2.PROFIT_NATURE_FOR_PROFIT),
        )


async def test_a_suspended_home_admits_nobody_and_nobody_for_days_it_was_shut(field: Any) -> None:
    key = await field.open()
    (bed,) = await field.beds(key)
    await field.ask(
        "SuspendInstitution", institution_key=key, suspended_on=field.ago(50), reason="消防改造"
    )
    with pytest.raises(StatusForbids):
        await field.admit("res_wang", bed, field.ago(10))
    with pytest.raises(DayImpossible):
        await field.ask("ResumeInstitution", institution_key=key, resumed_on=field.ago(50))
    await field.ask("ResumeInstitution", institution_key=key, resumed_on=field.ago(20))
    with pytest.raises(NotOperatingThen):
        await field.admit("res_wang", bed, field.ago(30))
    with pytest.raises(NotOperatingThen):
        await field.admit("res_wang", bed, field.ago(299) - timedelta(days=2))
    assert (await field.admit("res_wang", bed, field.ago(20))).state == 1
    assert len(field.memory.events(events.InstitutionSuspended)) == 1
    (resumed,) = field.memory.events(events.InstitutionResumed)
    assert resumed.resumed_on.day == field.ago(20).day


async def test_nobody_is_left_behind_when_a_home_closes(field: Any) -> None:
    key, other = await field.open(), await field.open()
    beds = await field.beds(key, 2)
    (elsewhere,) = await field.beds(other)
    wang = await field.admit("res_wang", beds[0])
    li = await field.admit("res_li", beds[1])
    plan = {"institution_key": key, "closes_on": field.today, "reason": "租约到期"}
    with pytest.raises(ResettlementPlanMissing):
        await field.ask("PlanClosure", **plan)
    await field.ask("PlanClosure", **plan, resettlement_plan="转入滨河养老院或由家人接回")
    with pytest.raises(StatusForbids):
        await field.beds(key)
    close = {"institution_key": key, "closed_on": field.today}
    with pytest.raises(BedsStillOccupied):
        await field.ask("CloseInstitution", **close)
    await field.ask(
        "TransferResident",
        admission_key=wang.admission_key,
        bed_key=elsewhere,
        transferred_on=field.ago(1),
    )
    await field.ask("DischargeResident", admission_key=li.admission_key, discharged_on=field.today)
    closed = await field.ask("CloseInstitution", **close)
    assert (closed.institution.status, closed.institution.bed_count) == (8, 0)
    assert not (await field.ask("ListBeds", institution_key=key)).beds
    (told,) = field.memory.events(events.InstitutionClosed)
    assert told.institution_key == key
    assert (await field.file(code=closed.institution.credit_code)).status == 1


async def test_a_plan_to_close_can_be_given_up(field: Any) -> None:
    key = await field.open()
    await field.ask("PlanClosure", institution_key=key, closes_on=field.today, reason="经营困难")
    resumed = await field.ask("ResumeInstitution", institution_key=key, resumed_on=field.today)
    assert resumed.institution.status == OPERATING
    assert not resumed.institution.HasField("closure")
    assert not field.memory.events(events.InstitutionResumed)


async def test_shandong_asks_for_sixty_days_notice(field: Any) -> None:
    key = await field.open(region="370102")
    plan = {"institution_key": key, "reason": "调整布局"}
    with pytest.raises(NoticeTooShort, match="60 days"):
        await field.ask("PlanClosure", **plan, closes_on=field.today + timedelta(days=59))
    planned = await field.ask("PlanClosure", **plan, closes_on=field.today + timedelta(days=60))
    assert planned.institution.status == 7
    field.memory.clock.pass_days(59)
    with pytest.raises(DayImpossible):
        await field.ask("CloseInstitution", institution_key=key, closed_on=field.today)
    field.memory.clock.pass_days(1)
    closed = await field.ask("CloseInstitution", institution_key=key, closed_on=field.today)
    assert closed.institution.status == 8


async def test_two_clerks_who_change_the_same_home_notice_each_other(field: Any) -> None:
    filed = await field.file()
    key, seen = filed.institution_key, filed.etag
    await field.ask(
        "AcceptFiling", institution_key=key, authority_code="511702", document="1", etag=seen
    )
    with pytest.raises(StaleVersion):
        await field.ask("StartOperation", institution_key=key, opened_on=field.today, etag=seen)


async def test_what_was_known_before_can_still_be_read(field: Any) -> None:
    filed = await field.file()
    before = field.memory.clock()
    field.memory.clock.pass_days(1)
    await field.accept(filed.institution_key, "511702")
    then = await field.ask("GetInstitution", institution_key=filed.institution_key, known_at=before)
    assert then.institution.status == 1


async def test_institutions_are_listed_by_place_kind_and_status(field: Any) -> None:
    home = await field.open()
    nursery = await field.open("CHILDCARE")
    await field.file(region="511723")
    everywhere = await field.ask("ListInstitutions", region_code="5117")
    assert len(everywhere.institutions) == 3
    operating = await field.ask(
        "ListInstitutions",
        region_code="511702",
        status="INSTITUTION_STATUS_OPERATING",
        page_size=1,
    )
    rest = await field.ask(
        "ListInstitutions",
        region_code="511702",
        status="INSTITUTION_STATUS_OPERATING",
        page_size=1,
        page_token=operating.next_page_token,
    )
    keys = [i.institution_key for i in [*operating.institutions, *rest.institutions]]
    assert keys == [home, nursery]
    assert rest.next_page_token == ""
    only = await field.ask(
        "ListInstitutions",
        region_code="51",
        institution_kind="INSTITUTION_KIND_CHILDCARE",
        read_mask={"paths": ["institution_key"]},
    )
    assert [i.institution_key for i in only.institutions] == [nursery]
    assert only.institutions[0].credit_code == ""


ACTS = (
    "AcceptFiling",
    "ReturnFiling",
    "AmendFiling",
    "StartOperation",
    "SuspendInstitution",
    "ResumeInstitution",
    "PlanClosure",
    "CloseInstitution",
)


@settings(max_examples=150, deadline=None)
@given(acts=st.lists(st.sampled_from(ACTS), max_size=14))
async def test_whatever_is_asked_in_whatever_order_an_institution_goes_its_way(
    acts: list[str], fields: Any
) -> None:
    field = await fields()
    key = (await field.file()).institution_key
    follows = {1: {2, 4, 8}, 2: {1, 8}, 4: {4, 5, 7}, 5: {5, 6, 7}, 6: {5, 6, 7}, 7: {4, 5, 8}}
    arguments: dict[str, dict[str, Any]] = {
        "AcceptFiling": {"authority_code": "511702", "document": "1"},
        "ReturnFiling": {"authority_code": "511702", "corrections": "x"},
        "AmendFiling": {"details": field.details(), "note": "x"},
        "StartOperation": {"opened_on": field.today},
        "SuspendInstitution": {"suspended_on": field.today, "reason": "x"},
        "ResumeInstitution": {"resumed_on": field.today},
        "PlanClosure": {"closes_on": field.today, "reason": "x"},
        "CloseInstitution": {"closed_on": field.today},
    }
    status, was_filed = 1, False
    for act in acts:
        field.memory.clock.pass_days(1)
        days = {name: field.today for name in arguments[act] if name.endswith("_on")}
        try:
            reply = await field.ask(act, institution_key=key, **(arguments[act] | days))
        except StatusForbids:
            continue
        assert reply.institution.status in follows[status]
        status = reply.institution.status
        was_filed |= status == FILED
    assert len(field.memory.events(events.InstitutionFiled)) == was_filed
    assert len(field.memory.events(events.InstitutionClosed)) == (was_filed and status == 8)
