"""The monthly cycle: once and only once, caught up when facts come late, claimed back when too much."""

from __future__ import annotations

import asyncio
import uuid
from datetime import date
from typing import Any

import pytest

from eldex.api.subsidies.v1 import entitlement_events_pb2 as told
from eldex.api.subsidies.v1 import entitlement_pb2, payment_pb2
from eldex.api.subsidies.v1 import subsidies_service_pb2 as calls
from eldex.common.errors import StaleVersion
from eldex.common.identifiers import RegionCode
from eldex.common.regions import UnknownDivision
from eldex.subsidies.domain.days import MonthInFuture, MonthUnknown
from eldex.subsidies.domain.recovery import MoreThanOwed
from eldex.subsidies.handlers.cycles import start_cycle
from eldex.subsidies.handlers.recoveries import PaidInFuture

WANG, LI, CHEN = "res_wangxiuying", "res_liguifang", "res_chenyuzhen"
OLD_AGE = "old-age-allowance"


async def test_a_month_is_paid_once_however_often_it_is_run(office: Any) -> None:
    await office.tell(office.registered(WANG, "1941-03-08"), office.registered(LI, "1938-06-20"))
    cycle = await office.pay("2026-11")
    assert (cycle.payments, cycle.amount_fen) == (2, 12000)
    again = await office.pay("2026-11")
    part = await office.pay("2026-11", region=office.tongchuan)
    assert (again.payments, part.payments) == (2, 0)
    assert len(office.events(told.DisbursementMade)) == 2
    assert await office.paid(WANG) == {("2026-11", OLD_AGE): 6000}


async def test_a_month_is_paid_once_even_when_nobody_remembers_that_it_was_run(office: Any) -> None:
    """Marks are forgotten after thirty days; the payment's name is not."""
    await office.tell(office.registered(LI, "1938-06-20", since="2026-11-11"))
    await office.pay("2026-11", region=office.tongchuan)
    office.service.backend.collections["marks"].clear()
    await office.tell(office.moved(LI, "511702002", "2026-11-01"))
    again = await office.pay("2026-11")
    assert (again.payments, len(office.events(told.DisbursementMade))) == (0, 1)
    office.today("2026-12-22")
    await office.pay("2026-12")
    assert await office.paid(LI) == {("2026-11", OLD_AGE): 4000, ("2026-12", OLD_AGE): 6000 + 2000}


async def test_two_runners_at_once_pay_nobody_twice(office: Any) -> None:
    people = [f"res_{number:03d}" for number in range(40)]
    await office.tell(*(office.registered(key, "1940-01-01") for key in people))
    await office.service.do(
        lambda stores, now: start_cycle(date(2026, 11, 1), RegionCode("5117"), stores, now)
    )
    await asyncio.gather(office.worker.run_pending(), office.worker.run_pending())
    assert len(office.events(told.DisbursementMade)) == 40


class PowerCut(Exception):
    """The process is gone."""


@pytest.mark.parametrize("commits", range(19))
async def test_a_cycle_killed_at_any_row_goes_on_and_pays_everybody_once(
    office: Any, monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    people = [f"res_{number:03d}" for number in range(12)]
    await office.tell(*(office.registered(key, "1940-01-01") for key in people))
    backend, left = office.service.backend, [commits]
    commit = backend.commit

    async def cut(batch: Any) -> Any:
        """Half of a batch is written, then the power is gone."""
        outcomes = []
        for changes in batch:
            if left[0] == 0:
                raise PowerCut
            left[0] -= 1
            outcomes += await commit([changes])
        return outcomes

    monkeypatch.setattr("eldex.subsidies.handlers.working.PAGE", 5)
    request = calls.RunCycleRequest(
        request_id=str(uuid.uuid4()), month=office.on("2026-11-01"), region_code="5117"
    )
    key = (await office.door.run_cycle(request, office.call())).cycle.cycle_key
    monkeypatch.setattr(backend, "commit", cut)
    try:
        await office.worker.run_pending()
    except PowerCut:
        monkeypatch.setattr(backend, "commit", commit)
    await office.worker.run_pending()
    done = (await office.door.get_cycle(calls.GetCycleRequest(cycle_key=key), office.call())).cycle
    assert done.state == payment_pb2.CYCLE_STATE_DONE
    assert (done.payments, done.amount_fen) == (12, 72000)
    assert len(office.events(told.DisbursementMade)) == 12


async def test_a_late_death_notice_turns_what_was_paid_after_it_into_recoveries(
    office: Any,
) -> None:
    await office.tell(
        office.registered(WANG, "1941-03-08"),
        office.belongs(WANG, "MINIMUM_LIVING", "2026-01-01"),
    )
    await office.pay("2026-10")
    await office.pay("2026-11")
    await office.tell(office.died(WANG, "2026-10-21"))
    found = {r.scheme_code: r for r in await office.recoveries(WANG)}
    # October has 31 days: 20 are due, 11 are not; all of November is not.
    assert found[OLD_AGE].amount_fen == 6000 - 6000 * 20 // 31 + 6000
    assert found["home-care-service-subsidy"].amount_fen == 30000 - 30000 * 20 // 31 + 30000
    assert found[OLD_AGE].cause == entitlement_pb2.END_CAUSE_DEATH
    assert [office.text_of(line.month) for line in found[OLD_AGE].lines] == [
        "2026-10-01",
        "2026-11-01",
    ]
    assert len(office.events(told.RecoveryOpened)) == 2
    await office.tell(office.died(WANG, "2026-10-21"))
    assert len(await office.recoveries(WANG)) == 2


async def test_a_revoked_death_withdraws_the_claim_and_nothing_is_paid_twice(office: Any) -> None:
    await office.tell(office.registered(WANG, "1941-03-08"))
    await office.pay("2026-11")
    await office.tell(office.died(WANG, "2026-11-11"))
    await office.tell(office.death_revoked(WANG, "2026-11-11"))
    (recovery,) = await office.recoveries(WANG)
    assert (recovery.withdrawn_fen, recovery.outstanding_fen) == (4000, 0)
    assert recovery.status == payment_pb2.RECOVERY_STATUS_SETTLED
    office.today("2026-12-22")
    await office.pay("2026-12")
    assert await office.paid(WANG) == {("2026-11", OLD_AGE): 6000, ("2026-12", OLD_AGE): 6000}


async def test_what_was_repaid_for_a_revoked_death_is_paid_out_again(office: Any) -> None:
    await office.tell(office.registered(WANG, "1941-03-08"))
    await office.pay("2026-11")
    await office.tell(office.died(WANG, "2026-11-11"))
    (recovery,) = await office.recoveries(WANG)
    await repay(office, recovery, 3000)
    await office.tell(office.death_revoked(WANG, "2026-11-11"))
    (recovery,) = await office.recoveries(WANG)
    assert (recovery.withdrawn_fen, recovery.outstanding_fen) == (1000, 0)
    office.today("2026-12-22")
    await office.pay("2026-12")
    assert (await office.paid(WANG))[("2026-12", OLD_AGE)] == 6000 + 3000


async def test_facts_told_late_are_caught_up_for_the_months_that_were_paid(office: Any) -> None:
    await office.pay("2026-10")
    await office.tell(office.registered(LI, "1938-06-20", since="2026-10-12"))
    await office.pay("2026-11")
    (made,) = office.events(told.DisbursementMade)
    arrears = 6000 - 6000 * 11 // 31
    assert (made.amount_fen, made.arrears_fen) == (6000 + arrears, arrears)
    # September was never paid by anybody here: it is not this city's to catch up.
    assert (await office.entitlement(LI)).months[0].month.month == 10


async def test_a_move_in_the_middle_of_a_paid_month_claims_here_and_pays_there(office: Any) -> None:
    await office.tell(office.registered(LI, "1938-06-20"))
    await office.pay("2026-10")
    await office.tell(office.moved(LI, office.kaijiang, "2026-10-16"))
    (recovery,) = await office.recoveries(LI)
    assert recovery.region_code == office.tongchuan
    assert recovery.cause == entitlement_pb2.END_CAUSE_MOVED
    await office.pay("2026-11")
    here = 6000 - recovery.amount_fen
    there = (await office.paid(LI))[("2026-11", OLD_AGE)] - 4000
    assert here == 6000 * 15 // 31
    assert there == 4000 - 4000 * 15 // 31


async def test_where_the_parameters_allow_it_an_overpayment_is_held_back(office: Any) -> None:
    """开江县 holds back; 通川区 does not."""
    for key, region in ((LI, office.kaijiang), (WANG, office.street)):
        await office.tell(office.registered(key, "1938-06-20", region=region))
    await office.pay("2026-10")
    for key in (LI, WANG):
        found = await office.entitlement(key)
        await office.door.stop_entitlement(
            calls.StopEntitlementRequest(
                request_id=str(uuid.uuid4()),
                entitlement_key=found.entitlement_key,
                stopped_on=office.on("2026-10-22"),
                note="认证中断",
            ),
            office.call(),
        )
        await office.door.resume_entitlement(
            calls.ResumeEntitlementRequest(
                request_id=str(uuid.uuid4()),
                entitlement_key=found.entitlement_key,
                resumed_on=office.on("2026-11-01"),
            ),
            office.call(),
        )
    await office.pay("2026-11")
    (recovery,) = await office.recoveries(LI)
    over = 4000 - 4000 * 21 // 31
    assert (await office.paid(LI))[("2026-11", OLD_AGE)] == 4000 - over
    assert recovery.outstanding_fen == 0
    (made,) = office.events(told.DisbursementMade, resident_key=LI)[1:]
    assert (made.amount_fen, made.offset_fen) == (4000 - over, over)
    assert (await office.paid(WANG))[("2026-11", OLD_AGE)] == 6000
    assert (await office.recoveries(WANG))[0].outstanding_fen == 6000 - 6000 * 21 // 31


async def repay(office: Any, recovery: Any, amount_fen: int, on: str = "2026-11-21") -> Any:
    request = calls.RecordRepaymentRequest(
        request_id=str(uuid.uuid4()),
        recovery_key=recovery.recovery_key,
        amount_fen=amount_fen,
        repaid_on=office.on(on),
        reference="收据 2026-31（虚构）",
        etag=recovery.etag,
    )
    return (await office.door.record_repayment(request, office.call())).recovery


async def test_a_recovery_is_repaid_in_parts_and_the_rest_is_given_up(office: Any) -> None:
    await office.tell(office.registered(WANG, "1941-03-08"))
    await office.pay("2026-11")
    await office.tell(office.died(WANG, "2026-11-01"))
    (recovery,) = await office.recoveries(WANG)
    after = await repay(office, recovery, 2500)
    assert after.outstanding_fen == 3500
    with pytest.raises(StaleVersion):
        await repay(office, recovery, 1)
    with pytest.raises(MoreThanOwed):
        await repay(office, after, 3501)
    with pytest.raises(PaidInFuture):
        await repay(office, after, 1, on="2026-11-23")
    request = calls.WriteOffRecoveryRequest(
        request_id=str(uuid.uuid4()),
        recovery_key=recovery.recovery_key,
        decision="通民核销〔2026〕3号（虚构）",
    )
    done = (await office.door.write_off_recovery(request, office.call())).recovery
    assert done.status == payment_pb2.RECOVERY_STATUS_SETTLED
    (settled,) = office.events(told.RecoverySettled)
    assert (settled.repaid_fen, settled.written_off_fen) == (2500, 3500)


async def test_of_two_records_of_one_person_one_is_paid_and_the_other_claimed_back(
    office: Any,
) -> None:
    await office.tell(
        office.registered(WANG, "1941-03-08"), office.registered("res_again", "1941-03-08")
    )
    await office.pay("2026-10")
    await office.tell(office.merged("res_again", WANG))
    assert await office.recoveries(WANG) == []
    (recovery,) = await office.recoveries("res_again")
    assert (recovery.amount_fen, recovery.cause) == (6000, entitlement_pb2.END_CAUSE_MERGED)
    await office.pay("2026-11")
    assert [key for (month, key) in await office.paid("res_again") if month == "2026-11"] == []
    await office.tell(office.merge_reversed("res_again", WANG))
    (recovery,) = await office.recoveries("res_again")
    assert recovery.withdrawn_fen == 6000


async def test_what_only_the_merged_record_was_paid_counts_for_the_survivor(office: Any) -> None:
    """陈玉珍's class and level were known under another key, which was paid for October."""
    await office.tell(
        office.registered("res_old", "1950-02-11"),
        office.belongs("res_old", "MINIMUM_LIVING", "2026-01-01"),
        office.assessed("res_old", "SEVERE", "2026-02-01"),
    )
    await office.pay("2026-10")
    await office.tell(office.registered(CHEN, "1950-02-11"), office.merged("res_old", CHEN))
    assert await office.recoveries("res_old") == []
    care = await office.entitlement(CHEN, "care-allowance")
    assert [(m.settled_fen, m.credited_fen) for m in care.months] == [(0, 36000)]
    await office.pay("2026-11")
    assert (await office.paid(CHEN))[("2026-11", "care-allowance")] == 36000


@pytest.mark.parametrize("merged_first", [False, True])
async def test_a_record_made_anew_after_a_move_claims_nothing_back_of_the_time_before(
    office: Any, merged_first: bool
) -> None:
    """李桂芳 was registered again when she moved to 开江县 in October; the records are merged later."""
    await office.tell(office.registered("res_old", "1938-06-20"))
    await office.pay("2026-09")
    await office.pay("2026-10")
    facts = [
        office.registered(LI, "1938-06-20", region=office.kaijiang, since="2026-10-16"),
        office.merged("res_old", LI),
    ]
    await office.tell(*(reversed(facts) if merged_first else facts))
    claimed = sum(r.outstanding_fen for r in await office.recoveries("res_old"))
    assert claimed == 6000 - 6000 * 15 // 31  # only what 通川区 paid from the move on
    await office.pay("2026-11")
    paid = (await office.paid(LI))[("2026-11", OLD_AGE)]
    assert paid == 4000 + 4000 - 4000 * 15 // 31
    reply = await office.door.explain_decision(
        calls.ExplainDecisionRequest(
            resident_key=LI, scheme_code=OLD_AGE, as_of=office.on("2026-09-01")
        ),
        office.call(),
    )
    assert (reply.entitled, reply.region_code) == (True, office.tongchuan)


async def test_months_that_cannot_be_paid_are_refused_with_what_to_do(office: Any) -> None:
    def request(day: str, region: str = "5117") -> calls.RunCycleRequest:
        return calls.RunCycleRequest(
            request_id=str(uuid.uuid4()), month=office.on(day), region_code=region
        )

    with pytest.raises(MonthInFuture):
        await office.door.run_cycle(request("2026-12-01"), office.call())
    with pytest.raises(MonthUnknown):
        await office.door.run_cycle(request("2026-11-02"), office.call())
    with pytest.raises(UnknownDivision):
        await office.door.run_cycle(request("2026-11-01", "999999"), office.call())
