"""Claims: shared to the fen, by the rules of the day of service, for covered days only."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any

import pytest
from google.type.date_pb2 import Date

from eldex.api.medical.v1 import claim_pb2, enrolment_pb2, parameter_pb2
from eldex.api.medical.v1 import medical_events_pb2 as events
from eldex.api.registry.v1 import eligibility_pb2
from eldex.api.registry.v1 import resident_events_pb2 as registry
from eldex.common.errors import InvalidRequest
from eldex.common.identifiers import RegionCode, RegionLevel
from eldex.medical.domain.claim import (
    ClaimAlreadySettled,
    ClaimTooLate,
    LaterSettlementStands,
    NoCoverOnDay,
    PersonalAccountNone,
    ServiceAfterDeath,
    is_remote,
)
from eldex.medical.domain.parameter import ParameterNotSet
from eldex.medical.domain.person import ResidentMerged
from eldex.medical.domain.tenure import DayImpossible

GUANGZHOU = "440106"
POOLS = (
    "pooled_fund_fen",
    "major_illness_fen",
    "assistance_fen",
    "personal_account_fen",
    "cash_fen",
)


def parts(settled: Any) -> tuple[int, ...]:
    """Who pays what, in the order of the pools."""
    return tuple(getattr(settled, name) for name in POOLS)


async def eligible(city: Any, key: str, name: str, since: Date) -> None:
    await city.service.deliver(
        registry.EligibilityGranted(
            resident_key=key,
            eligibility_key=f"eli_{name.lower()}",
            eligibility_class=f"ELIGIBILITY_CLASS_{name}",  # type: ignore[arg-type]
            valid_from=since,
        )
    )


async def test_a_stay_in_the_county_hospital_is_shared_to_the_fen(city: Any) -> None:
    claim = await city.settle("res_wang")
    # 9,500 in scope − 400 deductible = 9,100; 75 % of it = 6,825; the rest of 10,000 in cash.
    assert parts(claim.settlement) == (682_500, 0, 0, 0, 317_500)
    (told,) = city.told(events.ClaimSettled)
    assert parts(told) == parts(claim.settlement)
    assert (told.total_fen, told.cross_region, told.served_on.day) == (1_000_000, False, 8)


async def test_the_deductible_is_borne_once_a_year(city: Any) -> None:
    await city.settle("res_wang")
    again = await city.settle("res_wang")
    assert again.settlement.pooled_fund_fen == 712_500  # 75 % of all 9,500
    last_year = await city.settle("res_wang", served_from="2025-12-20", served_until="2025-12-31")
    assert last_year.settlement.pooled_fund_fen == 682_500


async def test_a_stay_over_new_year_counts_in_the_year_of_discharge(city: Any) -> None:
    await city.settle("res_wang", served_from="2025-12-20", served_until="2026-01-02")
    again = await city.settle("res_wang")
    assert again.settlement.pooled_fund_fen == 712_500


async def test_every_step_names_its_document_and_clause(city: Any) -> None:
    shown = await city.preview("res_wang")
    by_kind = {step.kind: step for step in shown.steps}
    share = by_kind[claim_pb2.SETTLEMENT_STEP_KIND_POOLED_SHARE]
    assert (share.basis_fen, share.amount_fen, share.parameter.value) == (910_000, 682_500, 7_500)
    assert share.parameter.source.clause == "第六条 住院支付比例"
    assert "虚构" in share.parameter.source.document
    assert not city.told(events.ClaimSettled)
    settled = await city.settle("res_wang")
    assert settled.settlement == shown


async def test_the_nearest_division_decides_down_to_the_township(city: Any) -> None:
    await city.set(
        "RATIO",
        9_000,
        region_code="511702",
        hospital_level=parameter_pb2.HOSPITAL_LEVEL_SECONDARY,
        clause="区县提高",
    )
    assert (await city.preview("res_wang")).pooled_fund_fen == 819_000
    await city.register("res_li")
    await city.insure("res_li", region_code="511723")
    assert (await city.preview("res_li")).pooled_fund_fen == 682_500


async def test_a_number_of_another_day_does_not_count(city: Any) -> None:
    await city.set(
        "RATIO",
        10_000,
        since="2026-06-01",
        scheme=enrolment_pb2.INSURANCE_SCHEME_RESIDENT,
        care_kind=parameter_pb2.CARE_KIND_INPATIENT,
        hospital_level=parameter_pb2.HOSPITAL_LEVEL_SECONDARY,
    )
    assert (await city.preview("res_wang")).pooled_fund_fen == 682_500
    june = await city.preview("res_wang", served_from="2026-06-01", served_until="2026-06-01")
    assert june.pooled_fund_fen == 910_000


async def test_the_retired_get_the_share_of_their_age(city: Any) -> None:
    await city.register("res_chen", born_on="1966-05-09")
    await city.insure("res_chen", "EMPLOYEE")
    young = await city.preview("res_chen")  # 59 on the day of discharge
    assert young.pooled_fund_fen == 900_000 * 88 // 100
    a_day_later = await city.preview("res_chen", served_until="2026-05-09")
    assert a_day_later.pooled_fund_fen == 900_000 * 92 // 100


async def test_the_personal_account_pays_what_is_wanted_and_never_more_than_is_left(
    city: Any,
) -> None:
    await city.register("res_chen", born_on="1950-01-01")
    await city.insure("res_chen", "EMPLOYEE")
    some = await city.preview("res_chen", personal_account_fen=10_000)
    assert parts(some) == (828_000, 0, 0, 10_000, 162_000)
    all_of_it = await city.preview("res_chen", personal_account_fen=99_000_000)
    assert parts(all_of_it) == (828_000, 0, 0, 172_000, 0)
    with pytest.raises(PersonalAccountNone):
        await city.preview("res_wang", personal_account_fen=1)


async def test_the_ceiling_of_the_year_holds_over_several_claims(city: Any) -> None:
    big = {"total_fen": 20_000_000, "out_of_scope_fen": 0}
    await city.settle("res_wang", **big)
    second = await city.settle("res_wang", **big)
    first_share = (20_000_000 - 40_000) * 75 // 100
    assert second.settlement.pooled_fund_fen == 20_000_000 - first_share
    third = await city.settle("res_wang", **big)
    assert third.settlement.pooled_fund_fen == 0
    assert sum(parts(third.settlement)) == 20_000_000


async def test_a_ceiling_for_all_care_is_one_for_the_ward_and_the_clinic_together(
    office: Any,
) -> None:
    await office.register("res_wang")
    await office.insure("res_wang")
    await office.set("DEDUCTIBLE", 30_000)
    await office.set("RATIO", 10_000)
    await office.set("CEILING", 1_200_000)
    await office.settle("res_wang")  # pays 920,000: 9,500 yuan in scope less 300
    clinic = await office.settle("res_wang", care_kind=parameter_pb2.CARE_KIND_OUTPATIENT)
    assert clinic.settlement.pooled_fund_fen == 280_000
    by_kind = {step.kind: step for step in clinic.settlement.steps}
    assert by_kind[claim_pb2.SETTLEMENT_STEP_KIND_DEDUCTIBLE].amount_fen == 0
    # A ceiling of its own, for the clinic alone, counts the clinic alone.
    await office.set("CEILING", 1_000_000, care_kind=parameter_pb2.CARE_KIND_OUTPATIENT)
    again = await office.settle("res_wang", care_kind=parameter_pb2.CARE_KIND_OUTPATIENT)
    assert again.settlement.pooled_fund_fen == 720_000


async def test_a_move_of_the_enrolment_within_the_city_bears_the_deductible_once(
    city: Any,
) -> None:
    early = {"served_from": "2026-02-01", "served_until": "2026-02-02"}
    before = await city.settle("res_wang", **early)
    (enrolment,) = await city.enrolments("res_wang")
    await city.ask(
        "EndEnrolment",
        enrolment_key=enrolment.enrolment_key,
        ended_on="2026-04-01",
        cause=enrolment_pb2.ENROLMENT_END_CAUSE_TRANSFER,
    )
    await city.insure("res_wang", since="2026-04-01", region_code="511723")
    after = await city.settle("res_wang")
    assert after.settlement.pooled_fund_fen == 712_500  # the city pools the fund of its counties
    with pytest.raises(LaterSettlementStands):
        await city.ask("ReverseSettlement", claim_key=before.claim_key, reason="更正")


async def test_major_illness_and_assistance_pay_for_the_destitute(city: Any) -> None:
    await eligible(city, "res_wang", "DESTITUTE", Date(year=2026, month=1, day=1))
    settled = (await city.settle("res_wang", total_fen=5_040_000, out_of_scope_fen=0)).settlement
    # burden 40,000 + 25 % of 5,000,000 = 1,290,000; 65 % of what exceeds 750,000; 90 % of the rest.
    assert parts(settled) == (3_750_000, 351_000, 845_100, 0, 93_900)
    assert (
        await city.preview(
            "res_wang",
            served_from="2025-05-01",
            served_until="2025-05-02",
            total_fen=5_040_000,
            out_of_scope_fen=0,
        )
    ).assistance_fen == 0


async def test_of_two_classes_the_one_that_is_better_for_the_person_counts(city: Any) -> None:
    for name in ("MINIMUM_LIVING", "DESTITUTE"):
        await eligible(city, "res_wang", name, Date(year=2026, month=1, day=1))
    assert (await city.preview("res_wang")).assistance_fen == 240_750  # 90 % of 267,500, not 70 %
    ended = registry.EligibilityEnded(
        resident_key="res_wang",
        eligibility_key="eli_destitute",
        eligibility_class=eligibility_pb2.ELIGIBILITY_CLASS_DESTITUTE,
        ended_on=Date(year=2026, month=5, day=1),
    )
    await city.service.deliver(ended)
    assert (await city.preview("res_wang")).assistance_fen == 187_250


async def test_a_class_granted_to_a_record_ends_though_the_record_was_merged_since(
    city: Any,
) -> None:
    await city.register("res_wang2")
    await eligible(city, "res_wang2", "DESTITUTE", Date(year=2026, month=1, day=1))
    await city.merge("res_wang2", "res_wang")
    assert (await city.preview("res_wang")).assistance_fen == 240_750
    ended = registry.EligibilityEnded(
        resident_key="res_wang",  # the record that stands for the person by then
        eligibility_key="eli_destitute",
        eligibility_class=eligibility_pb2.ELIGIBILITY_CLASS_DESTITUTE,
        ended_on=Date(year=2026, month=5, day=1),
    )
    await city.service.deliver(ended)
    assert (await city.preview("res_wang")).assistance_fen == 0


@pytest.mark.parametrize("merged", [False, True])
async def test_the_end_of_a_class_that_is_heard_before_its_beginning_counts(
    city: Any, merged: bool
) -> None:
    """News of two records come in no order: the end is told of the survivor, the beginning was not."""
    await city.register("res_wang2")
    ended = registry.EligibilityEnded(
        resident_key="res_wang",
        eligibility_key="eli_destitute",
        eligibility_class=eligibility_pb2.ELIGIBILITY_CLASS_DESTITUTE,
        ended_on=Date(year=2026, month=5, day=1),
    )
    if merged:
        await city.merge("res_wang2", "res_wang")
    await city.service.deliver(ended)
    await eligible(city, "res_wang2", "DESTITUTE", Date(year=2026, month=1, day=1))
    if not merged:
        await city.merge("res_wang2", "res_wang")
    assert (await city.preview("res_wang")).assistance_fen == 0
    stay = {"served_from": "2026-04-01", "served_until": "2026-04-08"}
    assert (await city.preview("res_wang", **stay)).assistance_fen == 240_750


async def test_care_elsewhere_is_paid_less_unless_it_was_filed(city: Any) -> None:
    elsewhere = {"care_region_code": GUANGZHOU}
    await city.register("res_chen", born_on="1950-01-01")
    await city.insure("res_chen", "EMPLOYEE")
    retired = await city.preview("res_chen", **elsewhere)
    assert retired.pooled_fund_fen == 900_000 * 72 // 100  # 92 % at home
    unfiled = await city.preview("res_wang", **elsewhere)
    assert (unfiled.cross_region, unfiled.care_place) == (
        True,
        parameter_pb2.CARE_PLACE_REMOTE_UNFILED,
    )
    assert unfiled.pooled_fund_fen == 910_000 * 55 // 100
    reply = await city.ask(
        "FileRemoteCare", resident_key="res_wang", care_region_code="4401", began_on="2026-05-01"
    )
    filed = await city.preview("res_wang", **elsewhere)
    assert (filed.filing_key, filed.pooled_fund_fen) == (reply.filing.filing_key, 682_500)
    # A filing made on the sick-bed does not count for a stay that had begun.
    before = await city.preview("res_wang", served_from="2026-04-30", **elsewhere)
    assert before.care_place == parameter_pb2.CARE_PLACE_REMOTE_UNFILED


@pytest.mark.parametrize(
    ("fund", "care", "level", "remote"),
    [
        ("511702", "511702", None, False),
        ("511702", "511723", None, True),  # the codes differ: mdtrtarea_admvs ≠ insuplc_admdvs
        ("511702", "511702001", None, False),  # a township's health centre lies in its county
        ("511702001", "511702002", None, False),
        ("5117", "511702", None, False),
        ("511702", "511723", RegionLevel.PREFECTURE, False),  # but the city pools its fund
        ("5117", "511700000000", None, False),  # the same division, written differently
        ("511702", "440106", RegionLevel.PREFECTURE, True),
        ("511702", "510104", RegionLevel.PROVINCE, False),
        ("5117", "511702", RegionLevel.COUNTY, True),
    ],
)
def test_the_cross_region_test(
    fund: str, care: str, level: RegionLevel | None, remote: bool
) -> None:
    assert is_remote(RegionCode.parse(fund), RegionCode.parse(care), level) is remote


async def test_nothing_is_settled_for_a_day_without_cover(city: Any) -> None:
    (enrolment,) = await city.enrolments("res_wang")
    await city.ask(
        "SuspendEnrolment",
        enrolment_key=enrolment.enrolment_key,
        suspended_on="2026-05-05",
        reason="欠费",
    )
    with pytest.raises(NoCoverOnDay) as refused:
        await city.settle("res_wang")  # 1 to 8 May
    assert refused.value.facts["day"] == date(2026, 5, 5)
    assert "停保" in refused.value.message("zh")
    assert (await city.preview("res_wang", served_until="2026-05-04")).pooled_fund_fen == 682_500
    with pytest.raises(NoCoverOnDay):
        await city.settle("res_wang", served_from="2023-12-30", served_until="2024-01-02")
    assert not city.told(events.ClaimSettled)


async def test_a_stay_in_which_the_scheme_changes_is_claimed_in_two_parts(city: Any) -> None:
    (enrolment,) = await city.enrolments("res_wang")
    await city.ask(
        "EndEnrolment",
        enrolment_key=enrolment.enrolment_key,
        ended_on="2026-05-05",
        cause=enrolment_pb2.ENROLMENT_END_CAUSE_TRANSFER,
    )
    await city.insure("res_wang", "EMPLOYEE", "2026-05-05")
    with pytest.raises(NoCoverOnDay):
        await city.settle("res_wang")
    first = await city.settle("res_wang", served_until="2026-05-04")
    second = await city.settle("res_wang", served_from="2026-05-05")
    assert first.settlement.scheme == enrolment_pb2.INSURANCE_SCHEME_RESIDENT
    assert second.settlement.scheme == enrolment_pb2.INSURANCE_SCHEME_EMPLOYEE


async def test_after_a_death_the_services_before_it_are_settled_and_no_others(city: Any) -> None:
    await city.die("res_wang", "2026-05-08")
    assert (await city.settle("res_wang")).settlement.pooled_fund_fen == 682_500
    with pytest.raises(ServiceAfterDeath):
        await city.settle("res_wang", served_until="2026-05-09")


async def test_a_late_notice_of_death_marks_what_was_settled_for_days_after_it(city: Any) -> None:
    await city.settle("res_wang", served_from="2026-04-01", served_until="2026-04-02")
    wrong = await city.settle("res_wang")
    await city.die("res_wang", "2026-05-07")
    marked = await city.ask("ListClaims", resident_key="res_wang", after_death=True)
    assert [each.claim_key for each in marked.claims] == [wrong.claim_key]
    await city.die("res_wang", "2026-05-08")  # corrected: the stay ended on the day of death
    assert not (await city.ask("ListClaims", resident_key="res_wang", after_death=True)).claims


async def test_a_claim_is_doubted_for_the_death_of_whom_its_record_stands_for(city: Any) -> None:
    await city.register("res_wang2")
    await city.insure("res_wang2")
    await city.settle("res_wang2")  # until 8 May
    await city.die("res_wang", "2026-05-07")

    async def doubted() -> bool:
        reply = await city.ask("ListClaims", resident_key="res_wang2", after_death=True)
        return bool(reply.claims)

    assert not await doubted()
    await city.merge("res_wang2", "res_wang")
    assert await doubted()
    await city.part("res_wang2", "res_wang")  # it was somebody else who died
    assert not await doubted()


async def test_a_visit_is_settled_once_and_anew_only_after_a_reversal(city: Any) -> None:
    first = await city.settle("res_wang", visit_code="ZY1")
    with pytest.raises(ClaimAlreadySettled):
        await city.settle("res_wang", visit_code="ZY1")
    take_back = {"claim_key": first.claim_key, "reason": "费用明细有误"}
    await city.ask("ReverseSettlement", **take_back)
    reply = await city.ask("ReverseSettlement", **take_back)  # told twice, taken back once
    assert reply.claim.status == claim_pb2.CLAIM_STATUS_REVERSED
    (told,) = city.told(events.SettlementReversed)
    assert parts(told) == parts(first.settlement)
    again = await city.settle("res_wang", visit_code="ZY1")
    assert again.settlement.pooled_fund_fen == 682_500  # the deductible is due again


async def test_the_last_settlement_of_a_year_is_taken_back_first(city: Any) -> None:
    first, second = await city.settle("res_wang"), await city.settle("res_wang")
    with pytest.raises(LaterSettlementStands) as refused:
        await city.ask("ReverseSettlement", claim_key=first.claim_key, reason="更正")
    assert refused.value.facts["claim_key"] == second.claim_key
    for each in (second, first):
        await city.ask("ReverseSettlement", claim_key=each.claim_key, reason="更正")
    assert (await city.preview("res_wang")).pooled_fund_fen == 682_500


async def test_two_claims_at_once_bear_the_deductible_once(city: Any) -> None:
    settled = await asyncio.gather(*(city.settle("res_wang") for _ in range(2)))
    assert sorted(each.settlement.pooled_fund_fen for each in settled) == [682_500, 712_500]


async def test_a_claim_in_the_future_or_beyond_its_deadline_is_refused(city: Any) -> None:
    with pytest.raises(DayImpossible):
        await city.settle("res_wang", served_until="2026-11-23")
    with pytest.raises(DayImpossible):
        await city.settle("res_wang", served_from="2026-05-09")
    with pytest.raises(ClaimTooLate):
        await city.settle("res_wang", served_from="2024-11-21", served_until="2024-11-21")
    await city.settle("res_wang", served_from="2024-11-22", served_until="2024-11-22")


async def test_more_out_of_scope_than_was_charged_is_a_slip_of_the_pen(city: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await city.settle("res_wang", out_of_scope_fen=1_000_001)
    assert refused.value.violations[0].field == "facts.out_of_scope_fen"


async def test_without_the_numbers_nothing_is_settled_and_the_missing_one_is_named(
    office: Any,
) -> None:
    await office.register("res_wang")
    await office.insure("res_wang")
    with pytest.raises(ParameterNotSet) as refused:
        await office.settle("res_wang")
    assert refused.value.facts["name"] == "deductible"


async def test_what_two_records_of_one_person_used_up_counts_together(city: Any) -> None:
    await city.register("res_wang2")
    await city.insure("res_wang2")
    before = await city.settle("res_wang2")
    await city.merge("res_wang2", "res_wang")
    with pytest.raises(ResidentMerged):
        await city.settle("res_wang2")
    listed = await city.ask("ListClaims", resident_key="res_wang")
    assert [each.claim_key for each in listed.claims] == [before.claim_key]
    assert (await city.preview("res_wang")).pooled_fund_fen == 712_500


async def test_a_list_of_claims_is_of_one_fund_and_of_the_days_asked_for(city: Any) -> None:
    may = await city.settle("res_wang")
    june = await city.settle("res_wang", served_from="2026-06-01", served_until="2026-06-01")
    reply = await city.ask("ListClaims", region_code="5117", served_from="2026-06-01")
    assert [each.claim_key for each in reply.claims] == [june.claim_key]
    mask = {"paths": ["settlement.cash_fen"]}
    shown = (await city.ask("GetClaim", claim_key=may.claim_key, read_mask=mask)).claim
    assert shown.settlement.cash_fen == 317_500
    assert not shown.facts.resident_key
