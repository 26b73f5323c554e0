"""Subsidies to institutions: by beds actually occupied, stopped by credit, and one-off."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from eldex.api.subsidies.v1 import entitlement_events_pb2, entitlement_pb2, payment_pb2, scheme_pb2
from eldex.api.subsidies.v1 import institution_subsidy_events_pb2 as told
from eldex.api.subsidies.v1 import subsidies_service_pb2 as calls
from eldex.subsidies.handlers.entitlements import AwardedAlready, NotEntitled

CODE = "52511700FAKE00011X"
OPERATION = "institution-operation-subsidy"


async def grants(office: Any, scheme: str = OPERATION) -> list[Any]:
    request = calls.ListInstitutionGrantsRequest(institution_key=office.home, scheme_code=scheme)
    return list((await office.door.list_institution_grants(request, office.call())).grants)


async def test_a_home_open_for_a_year_is_paid_for_the_days_its_beds_were_occupied(
    office: Any,
) -> None:
    await office.tell(
        office.filed(CODE),
        office.opened("2024-03-01"),
        office.bed_occupied("adm_1", "bed_1", "2026-09-10"),
        office.bed_occupied("adm_2", "bed_2", "2026-10-17"),
        office.bed_released("adm_2", "bed_2", "2026-10-20"),
        # Another person has the bed from the very day on which it became free.
        office.bed_occupied("adm_3", "bed_2", "2026-10-20"),
        office.bed_released("adm_3", "bed_2", "2026-10-22"),
    )
    (granted,) = office.events(told.InstitutionSubsidyGranted)
    assert office.text_of(granted.began_on) == "2025-03-01"
    await office.pay("2026-10")
    (paid,) = office.events(told.InstitutionSubsidyPaid)
    assert paid.occupied_bed_days == 31 + 3 + 2
    assert paid.amount_fen == 15000 + 15000 * 21 // 31 - 15000 * 16 // 31
    assert await office.cited(office.home) == {"2026-10": ["示范参数（虚构） 运营补贴第一条"]}


async def test_a_month_that_is_not_over_is_paid_with_the_next_cycle(office: Any) -> None:
    await office.tell(
        office.filed(CODE),
        office.opened("2024-03-01"),
        office.bed_occupied("adm_1", "bed_1", "2026-11-01"),
    )
    await office.pay("2026-11")
    assert office.events(told.InstitutionSubsidyPaid) == []
    office.today("2027-01-05")
    await office.pay("2026-12")
    (paid,) = office.events(told.InstitutionSubsidyPaid)
    assert (paid.amount_fen, paid.occupied_bed_days) == (30000, 61)


async def test_a_release_told_late_is_held_back_from_the_next_payment(office: Any) -> None:
    await office.tell(
        office.filed(CODE),
        office.opened("2024-03-01"),
        office.bed_occupied("adm_1", "bed_1", "2026-08-01"),
        office.bed_occupied("adm_2", "bed_2", "2026-08-01"),
    )
    await office.pay("2026-09")
    await office.tell(
        office.bed_released("adm_2", "bed_2", "2026-09-21"),
        # A death told later frees the bed from an earlier day.
        office.bed_released("adm_2", "bed_2", "2026-09-16"),
    )
    await office.pay("2026-10")
    first, second = office.events(told.InstitutionSubsidyPaid)
    assert (first.amount_fen, second.amount_fen) == (30000, 15000 - 7500)
    (grant,) = await grants(office)
    assert [(m.settled_fen, m.bed_days) for m in grant.months] == [(22500, 45), (15000, 31)]


async def overpaid(office: Any) -> Any:
    """October was paid before it was told that the bed had been free since September."""
    await office.tell(
        office.filed(CODE),
        office.opened("2024-03-01"),
        office.bed_occupied("adm_1", "bed_1", "2026-09-01"),
    )
    await office.pay("2026-10")
    await office.tell(office.bed_released("adm_1", "bed_1", "2026-09-10"))


async def test_a_home_that_closes_overpaid_is_asked_for_the_money_back(office: Any) -> None:
    await overpaid(office)
    await office.tell(office.closed("2026-11-01"))
    office.today("2026-12-05")
    for _ in range(2):
        await office.pay("2026-11")
    (recovery,) = await office.recoveries(institution=office.home)
    assert (recovery.amount_fen, recovery.outstanding_fen) == (15000, 15000)
    assert (recovery.resident_key, recovery.region_code) == ("", office.tongchuan)
    (opened,) = office.events(told.InstitutionRecoveryOpened)
    assert (opened.institution_key, opened.amount_fen) == (office.home, 15000)
    (grant,) = await grants(office)
    assert [m.settled_fen for m in grant.months if m.settled_fen] == []
    request = calls.RecordRepaymentRequest(
        request_id=str(uuid.uuid4()),
        recovery_key=recovery.recovery_key,
        amount_fen=12000,
        repaid_on=office.on("2026-12-04"),
        reference="银行回单 2026-77（虚构）",
    )
    await office.door.record_repayment(request, office.call())
    write_off = calls.WriteOffRecoveryRequest(
        request_id=str(uuid.uuid4()),
        recovery_key=recovery.recovery_key,
        decision="通民核销〔2026〕7号（虚构）",
    )
    await office.door.write_off_recovery(write_off, office.call())
    (settled,) = office.events(told.InstitutionRecoverySettled)
    assert (settled.repaid_fen, settled.written_off_fen) == (12000, 3000)
    office.today("2027-01-05")
    await office.pay("2026-12")
    assert len(await office.recoveries(institution=office.home)) == 1


async def test_what_is_claimed_back_from_a_home_is_held_back_when_it_is_owed_something_again(
    office: Any,
) -> None:
    await overpaid(office)
    office.today("2026-12-05")
    await office.pay("2026-11")
    await office.tell(office.bed_occupied("adm_2", "bed_1", "2026-12-01"))
    office.today("2027-01-05")
    await office.pay("2026-12")
    await office.tell(office.bed_occupied("adm_3", "bed_2", "2027-01-01"))
    office.today("2027-02-05")
    await office.pay("2027-01")
    assert await office.paid(office.home) == {
        ("2026-10", OPERATION): 15000,
        ("2026-12", OPERATION): 0,
        ("2027-01", OPERATION): 30000,
    }
    first, second, third = office.events(told.InstitutionSubsidyPaid)
    assert [p.offset_fen for p in (first, second, third)] == [0, 15000, 0]
    (recovery,) = await office.recoveries(institution=office.home)
    assert (recovery.outstanding_fen, recovery.status) == (0, payment_pb2.RECOVERY_STATUS_SETTLED)
    assert len(office.events(told.InstitutionRecoverySettled)) == 1


async def test_months_that_make_up_for_each_other_are_settled_without_a_payment(
    office: Any,
) -> None:
    """Once, and for good: neither is found again when the other is too old to be recounted."""
    await overpaid(office)
    await office.tell(
        office.bed_occupied("adm_2", "bed_2", "2026-11-01"),
        office.bed_released("adm_2", "bed_2", "2026-12-01"),
    )
    office.today("2026-12-05")
    await office.pay("2026-11")
    assert await office.recoveries(institution=office.home) == []
    (grant,) = await grants(office)
    assert [m.settled_fen for m in grant.months if m.settled_fen] == [15000]
    assert len(office.events(told.InstitutionSubsidyPaid)) == 1


async def test_a_bed_converted_with_its_occupant_is_paid_by_what_it_was_for_on_each_day(
    office: Any,
) -> None:
    """A general bed, 100 yuan a month, is a nursing bed, 150 yuan, from 16 October on."""
    await office.tell(
        office.filed(CODE),
        office.opened("2024-03-01"),
        office.bed_occupied("adm_0", "bed_1", "2026-09-01", kind="GENERAL"),
        office.bed_released("adm_0", "bed_1", "2026-09-11"),
        office.bed_occupied("adm_1", "bed_1", "2026-09-11", kind="GENERAL"),
        office.bed_converted("bed_1", "NURSING", "2026-10-16"),
    )
    await office.pay("2026-09")
    await office.pay("2026-10")
    september, october = office.events(told.InstitutionSubsidyPaid)
    assert (september.amount_fen, september.occupied_bed_days) == (10000, 30)
    assert october.amount_fen == 10000 * 15 // 31 + 15000 - 15000 * 15 // 31
    assert october.occupied_bed_days == 31


async def test_a_home_in_its_first_year_gets_nothing_and_is_told_why(office: Any) -> None:
    await office.tell(office.filed(CODE), office.opened("2026-03-01"))
    assert await grants(office) == []
    reply = await office.door.explain_institution_decision(
        calls.ExplainInstitutionDecisionRequest(institution_key=office.home, scheme_code=OPERATION),
        office.call(),
    )
    assert [r.code for r in reply.reasons if not r.met] == ["OPEN_LONG_ENOUGH"]
    assert not reply.entitled


async def test_a_blacklisted_home_gets_nothing_until_its_credit_is_repaired(office: Any) -> None:
    await office.tell(
        office.filed(CODE),
        office.opened("2024-03-01"),
        office.bed_occupied("adm_1", "bed_1", "2026-08-01"),
        office.punished(CODE, "2026-09-11"),
    )
    (stopped,) = office.events(told.InstitutionSubsidyStopped)
    assert stopped.cause == entitlement_pb2.END_CAUSE_LISTED
    assert office.text_of(stopped.stopped_on) == "2026-09-11"
    await office.tell(office.pardoned(CODE, "2026-10-21"))
    (resumed,) = office.events(told.InstitutionSubsidyResumed)
    assert office.text_of(resumed.resumed_on) == "2026-10-21"
    await office.pay("2026-09")
    await office.pay("2026-10")
    paid = office.events(told.InstitutionSubsidyPaid)
    assert [p.occupied_bed_days for p in paid] == [10, 11]


async def test_a_listing_from_before_the_first_subsidy_stops_and_its_end_resumes(
    office: Any,
) -> None:
    """As in the story of 安康养老院: listed in 2024, granted from 2025 on, told in 2026."""
    await office.tell(
        office.filed(CODE), office.opened("2024-03-01"), office.punished(CODE, "2024-11-01")
    )
    (stopped,) = office.events(told.InstitutionSubsidyStopped)
    assert stopped.cause == entitlement_pb2.END_CAUSE_LISTED
    assert (await grants(office))[0].status == entitlement_pb2.ENTITLEMENT_STATUS_STOPPED
    await office.tell(office.pardoned(CODE, "2026-11-20"))
    (resumed,) = office.events(told.InstitutionSubsidyResumed)
    assert office.text_of(resumed.resumed_on) == "2026-11-20"
    assert len(office.events(told.InstitutionSubsidyGranted)) == 1


async def test_a_listing_heard_of_before_the_filing_counts_from_its_day(office: Any) -> None:
    await office.tell(
        office.punished(CODE, "2026-09-11"),
        office.opened("2024-03-01"),
        office.filed(CODE),
    )
    (grant,) = await grants(office)
    assert [office.text_of(s.began_on) for s in grant.stretches] == ["2025-03-01", "2026-09-11"]


async def test_two_listings_stop_until_the_last_is_lifted(office: Any) -> None:
    await office.tell(
        office.filed(CODE),
        office.opened("2024-03-01"),
        office.punished(CODE, "2026-09-11"),
        office.punished(CODE, "2026-09-20", listing="lst_2"),
        office.pardoned(CODE, "2026-10-01"),
    )
    (grant,) = await grants(office)
    assert grant.status == entitlement_pb2.ENTITLEMENT_STATUS_STOPPED
    await office.tell(office.pardoned(CODE, "2026-10-15", listing="lst_2"))
    (grant,) = await grants(office)
    assert office.text_of(grant.stretches[-1].began_on) == "2026-10-15"


async def test_childcare_is_paid_by_places_taken(office: Any) -> None:
    await office.tell(
        office.filed(CODE, kind="CHILDCARE", nature="FOR_PROFIT"),
        office.opened("2026-09-01"),
        office.bed_occupied("adm_1", "place_1", "2026-10-01", kind="CHILDCARE_PLACE"),
    )
    await office.pay("2026-10")
    (paid,) = office.events(told.InstitutionSubsidyPaid)
    assert (paid.scheme_code, paid.amount_fen) == ("childcare-operation-subsidy", 20000)


async def test_a_construction_subsidy_is_granted_once_and_paid_once(office: Any) -> None:
    await office.tell(office.filed(CODE), office.opened("2024-03-01"))

    def request() -> calls.GrantInstitutionSubsidyRequest:
        return calls.GrantInstitutionSubsidyRequest(
            request_id=str(uuid.uuid4()),
            institution_key=office.home,
            scheme_code="institution-construction-subsidy",
            units=40,
            evidence="竣工验收 2024-5（虚构）",
        )

    reply = await office.door.grant_institution_subsidy(request(), office.call())
    assert reply.grant.one_off_amount_fen == 40 * 500000
    with pytest.raises(AwardedAlready):
        await office.door.grant_institution_subsidy(request(), office.call())
    await office.pay("2026-11")
    office.today("2026-12-20")
    await office.pay("2026-12")
    (paid,) = office.events(told.InstitutionSubsidyPaid)
    assert paid.amount_fen == 40 * 500000
    assert await office.cited(office.home) == {"2026-11": ["示范参数（虚构） 建设补贴第一条"]}


async def test_a_one_off_subsidy_waits_while_the_home_is_blacklisted(office: Any) -> None:
    await office.tell(office.filed(CODE), office.opened("2024-03-01"))
    request = calls.GrantInstitutionSubsidyRequest(
        request_id=str(uuid.uuid4()),
        institution_key=office.home,
        scheme_code="institution-construction-subsidy",
        units=1,
        evidence="虚构",
    )
    await office.door.grant_institution_subsidy(request, office.call())
    await office.tell(office.punished(CODE, "2026-11-20"))
    await office.pay("2026-11")
    assert office.events(told.InstitutionSubsidyPaid) == []
    await office.tell(office.pardoned(CODE, "2026-12-01"))
    office.today("2026-12-20")
    await office.pay("2026-12")
    assert len(office.events(told.InstitutionSubsidyPaid)) == 1


async def test_a_for_profit_home_gets_no_construction_subsidy_and_is_told_why(office: Any) -> None:
    await office.tell(office.filed(CODE, nature="FOR_PROFIT"), office.opened("2024-03-01"))
    request = calls.GrantInstitutionSubsidyRequest(
        request_id=str(uuid.uuid4()),
        institution_key=office.home,
        scheme_code="institution-construction-subsidy",
        units=40,
        evidence="虚构",
    )
    with pytest.raises(NotEntitled) as refused:
        await office.door.grant_institution_subsidy(request, office.call())
    assert "经营性质" in refused.value.message("zh")


async def test_what_is_owed_once_is_paid_even_if_its_months_cycle_was_run_before_or_never(
    office: Any,
) -> None:
    """通川区 has paid November when the award comes; 开江县 pays its first month in December."""
    there = "ins_kaijiang"
    for key, region in ((office.home, office.tongchuan), (there, office.kaijiang)):
        filed = office.filed(CODE, key=key)
        filed.region_code = region
        await office.tell(filed, office.opened("2024-03-01", key=key))
    await office.tell(office.registered("res_zhao", "1985-05-05"))
    await office.pay("2026-11", region=office.tongchuan)
    for key in (office.home, there):
        award = calls.GrantCarerAwardRequest(
            request_id=str(uuid.uuid4()),
            resident_key="res_zhao",
            scheme_code="carer-award",
            grade=scheme_pb2.CARER_GRADE_JUNIOR,
            in_post_since=office.on("2024-11-22"),
            institution_key=key,
            evidence="职业资格证书（虚构）",
        )
        await office.door.grant_carer_award(award, office.call())
        subsidy = calls.GrantInstitutionSubsidyRequest(
            request_id=str(uuid.uuid4()),
            institution_key=key,
            scheme_code="institution-construction-subsidy",
            units=1,
            evidence="竣工验收 2024-6（虚构）",
        )
        await office.door.grant_institution_subsidy(subsidy, office.call())
    # A month before the awards, run late, owes nothing.
    await office.pay("2026-10", region=office.kaijiang)
    assert office.events(entitlement_events_pb2.DisbursementMade) == []
    for month in ("2026-12", "2027-01"):
        office.today(f"{month}-20")
        await office.pay(month)
    carers = office.events(entitlement_events_pb2.DisbursementMade)
    homes = office.events(told.InstitutionSubsidyPaid)
    assert sorted((p.region_code, p.amount_fen) for p in carers) == [
        (office.tongchuan, 50000),
        (office.kaijiang, 50000),
    ]
    assert sorted((p.institution_key, p.amount_fen) for p in homes) == sorted(
        [(office.home, 500000), (there, 500000)]
    )


@pytest.mark.parametrize(
    ("grade", "fen"), [("JUNIOR", 50000), ("INTERMEDIATE", 100000), ("SENIOR", 200000), ("TECHNICIAN", 300000)]
)  # fmt: skip
async def test_a_carer_is_awarded_once_for_a_grade_as_the_draft_of_qinnan_says(
    office: Any, grade: str, fen: int
) -> None:
    await office.tell(
        office.filed(CODE), office.opened("2024-03-01"), office.registered("res_zhao", "1985-05-05")
    )

    def request(since: str) -> calls.GrantCarerAwardRequest:
        return calls.GrantCarerAwardRequest(
            request_id=str(uuid.uuid4()),
            resident_key="res_zhao",
            scheme_code="carer-award",
            grade=scheme_pb2.CarerGrade.Value(f"CARER_GRADE_{grade}"),
            in_post_since=office.on(since),
            institution_key=office.home,
            evidence="职业资格证书（虚构）",
        )

    with pytest.raises(NotEntitled):
        await office.door.grant_carer_award(request("2024-11-23"), office.call())
    await office.door.grant_carer_award(request("2024-11-22"), office.call())
    with pytest.raises(AwardedAlready):
        await office.door.grant_carer_award(request("2024-11-22"), office.call())
    await office.pay("2026-11")
    office.today("2026-12-20")
    await office.pay("2026-12")
    (paid,) = office.events(entitlement_events_pb2.DisbursementMade)
    assert (paid.amount_fen, paid.resident_key) == (fen, "res_zhao")
    (cited,) = (await office.cited("res_zhao")).values()
    assert cited == ["示范参数（虚构） 从业奖励第一条（参照钦南区征求意见稿）"]
