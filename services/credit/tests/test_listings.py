"""Lists: proposed, heard, decided, in force, repaired, over; and what others are told."""

from __future__ import annotations

import asyncio
from typing import Any

import protovalidate
import pytest

from eldex.api.credit.v1 import credit_events_pb2 as events_pb
from eldex.api.credit.v1 import credit_service_pb2 as pb
from eldex.api.credit.v1 import listing_pb2 as words
from eldex.common.errors import AlreadyExists, InvalidRequest, NotFound, StaleVersion
from eldex.common.identifiers import InvalidCreditCode
from eldex.common.regions import UnknownDivision
from eldex.credit.domain.listing import (
    ListingStateForbids,
    OnBlackList,
    PartyNotHeard,
    StatementTooLate,
    TermOver,
)
from eldex.credit.domain.parameters import GroundNotForSubject, GroundUnknown
from eldex.credit.domain.repair import (
    NotRepairable,
    RepairStateForbids,
    RepairTooEarly,
    RepairUnderWay,
)
from eldex.credit.domain.terms import DayImpossible, WorkerKeyInvalid
from eldex.credit.main import settle_due_listings

ALL_FOR_HOMES = [
    words.MEASURE_HALT_ADMISSIONS,
    words.MEASURE_STOP_SUBSIDIES,
    words.MEASURE_INSPECT_MORE_OFTEN,
]


async def propose(city: Any, **more: Any) -> Any:
    fields: dict[str, Any] = {
        "request_id": city.rid(),
        "subject": city.organisation(),
        "colour": words.LIST_COLOUR_BLACK,
        "ground_code": "FIRE_HAZARD_NOT_RECTIFIED",
        "authority": "通川区民政局（虚构）",
        "region_code": city.county,
        "evidence": ["消防整改通知 2026-31"],
        "summary": "消防通道堵塞，逾期未改",
    }
    reply = await city.door.propose_listing(
        pb.ProposeListingRequest(**(fields | more)), city.call()
    )
    return reply.listing


async def notify(city: Any, key: str, **more: Any) -> Any:
    request = pb.NotifyPartyRequest(
        request_id=city.rid(), listing_key=key, document="通民信告〔2026〕3号", **more
    )
    return (await city.door.notify_party(request, city.call())).listing


async def decide(city: Any, key: str, **more: Any) -> Any:
    fields: dict[str, Any] = {
        "outcome": pb.LISTING_OUTCOME_LIST,
        "document": "通民信列〔2026〕3号",
    }
    request = pb.DecideListingRequest(request_id=city.rid(), listing_key=key, **(fields | more))
    return (await city.door.decide_listing(request, city.call())).listing


async def apply_for_repair(city: Any, key: str, **more: Any) -> Any:
    request = pb.ApplyForRepairRequest(
        request_id=city.rid(),
        listing_key=key,
        commitment="退回补贴，更换负责人",
        evidence=["缴款书 2028-1"],
        **more,
    )
    return (await city.door.apply_for_repair(request, city.call())).listing


async def step(city: Any, key: str, step: Any) -> Any:
    request = pb.RecordRepairStepRequest(
        request_id=city.rid(), listing_key=key, step=step, evidence=["现场核查记录"]
    )
    return (await city.door.record_repair_step(request, city.call())).listing


async def decide_repair(city: Any, key: str, approved: bool) -> Any:
    request = pb.DecideRepairRequest(
        request_id=city.rid(), listing_key=key, approved=approved, document="通民信修〔2028〕1号"
    )
    return (await city.door.decide_repair(request, city.call())).listing


async def test_a_decided_listing_is_told_with_what_other_departments_are_to_do(city: Any) -> None:
    listing = await city.enter()
    assert listing.state == words.LISTING_STATE_IN_FORCE
    (listed,) = city.service.events(events_pb.PartyListed)
    assert (listed.subject_key, listed.colour) == (city.home, words.LIST_COLOUR_BLACK)
    assert (city.iso(listed.began_on), city.iso(listed.ends_on)) == ("2026-11-22", "2029-11-22")
    assert "民发〔2019〕103号" in listed.legal_basis
    (ordered,) = city.service.events(events_pb.JointPunishmentOrdered)
    assert list(ordered.measures) == ALL_FOR_HOMES
    assert (ordered.listing_key, ordered.region_code) == (listing.listing_key, city.county)


async def test_a_repair_takes_two_years_and_verified_commitments_and_then_lifts_all(
    city: Any,
) -> None:
    key = (await city.enter()).listing_key
    await city.until("2028-11-21")
    with pytest.raises(RepairTooEarly) as early:
        await apply_for_repair(city, key)
    assert "2028-11-22" in early.value.message("zh")
    await city.until("2028-11-22")
    await apply_for_repair(city, key)
    with pytest.raises(RepairUnderWay):
        await apply_for_repair(city, key)
    with pytest.raises(RepairStateForbids):
        await decide_repair(city, key, approved=True)
    await step(city, key, pb.REPAIR_STEP_ACCEPTED)
    await step(city, key, pb.REPAIR_STEP_VERIFIED)
    repaired = await decide_repair(city, key, approved=True)
    assert repaired.state == words.LISTING_STATE_REPAIRED
    (delisted,) = city.service.events(events_pb.PartyDelisted)
    assert delisted.cause == words.DELISTING_CAUSE_REPAIR
    (lifted,) = city.service.events(events_pb.JointPunishmentLifted)
    assert list(lifted.measures) == ALL_FOR_HOMES
    assert city.iso(lifted.lifted_on) == "2028-11-22"
    now = await city.check()
    assert (now.black_listed, list(now.measures)) == (False, [])
    then = await city.check("2028-11-21")
    assert (then.black_listed, list(then.measures)) == (True, ALL_FOR_HOMES)


async def test_a_refused_repair_leaves_the_listing_and_may_be_asked_for_again(city: Any) -> None:
    key = (await city.enter()).listing_key
    await city.until("2028-12-01")
    await apply_for_repair(city, key)
    refused = await decide_repair(city, key, approved=False)
    assert refused.state == words.LISTING_STATE_IN_FORCE
    again = await apply_for_repair(city, key)
    assert [r.state for r in again.repairs] == [
        words.REPAIR_STATE_REFUSED,
        words.REPAIR_STATE_APPLIED,
    ]
    assert not city.service.events(events_pb.JointPunishmentLifted)


async def test_a_party_is_heard_before_it_is_listed(city: Any) -> None:
    key = (await propose(city)).listing_key
    with pytest.raises(PartyNotHeard):
        await decide(city, key)
    noticed = await notify(city, key)
    # Five working days after Sunday, 22 November 2026.
    assert city.iso(noticed.notice.statement_until) == "2026-11-27"
    await city.until("2026-11-27")
    with pytest.raises(PartyNotHeard):
        await decide(city, key)
    await city.until("2026-11-28")
    statement = pb.RecordStatementRequest(
        request_id=city.rid(), listing_key=key, document="陈述书", summary="已在整改"
    )
    with pytest.raises(StatementTooLate):
        await city.door.record_statement(statement, city.call())
    assert (await decide(city, key)).state == words.LISTING_STATE_IN_FORCE
    assert len(city.service.events(events_pb.PartyListed)) == 1


async def test_a_party_that_has_spoken_need_not_be_waited_for(city: Any) -> None:
    key = (await propose(city)).listing_key
    await notify(city, key)
    statement = pb.RecordStatementRequest(
        request_id=city.rid(), listing_key=key, document="放弃陈述申辩声明", waived=True
    )
    await city.door.record_statement(statement, city.call())
    assert (await decide(city, key)).state == words.LISTING_STATE_IN_FORCE


async def test_one_objection_to_a_red_listing_does_not_cut_the_others_short(city: Any) -> None:
    red = {"colour": words.LIST_COLOUR_RED, "ground_code": "COMMITMENTS_KEPT"}
    key = (await propose(city, **red)).listing_key
    await notify(city, key)
    objection = pb.RecordStatementRequest(
        request_id=city.rid(), listing_key=key, document="异议书", summary="去年曾被投诉"
    )
    await city.door.record_statement(objection, city.call())
    with pytest.raises(PartyNotHeard) as early:
        await decide(city, key)
    assert "2026-11-27" in early.value.message("zh")
    await city.until("2026-11-28")
    assert (await decide(city, key)).state == words.LISTING_STATE_IN_FORCE


async def test_a_dropped_proposal_tells_nobody_and_cannot_be_taken_up_again(city: Any) -> None:
    key = (await propose(city)).listing_key
    dropped = await decide(city, key, outcome=pb.LISTING_OUTCOME_DROP, reason="已改正")
    assert dropped.state == words.LISTING_STATE_DROPPED
    assert not city.service.events()
    with pytest.raises(ListingStateForbids):
        await notify(city, key)


async def test_a_listing_comes_into_force_and_ends_by_the_calendar_once_on_all_replicas(
    city: Any,
) -> None:
    listing = await city.enter(began_on=city.on("2026-12-01"), ends_on=city.on("2027-03-01"))
    assert listing.state == words.LISTING_STATE_PUBLISHED
    assert not city.service.events(events_pb.JointPunishmentOrdered)
    assert await city.until("2026-11-30") == 0
    city.service.clock.pass_days(1)
    work = city.service.work
    await asyncio.gather(*(settle_due_listings(work, city.today) for _ in range(5)))
    assert len(city.service.events(events_pb.JointPunishmentOrdered)) == 1
    city.service.clock.pass_days(365)
    await asyncio.gather(*(settle_due_listings(work, city.today) for _ in range(5)))
    (gone,) = city.service.events(events_pb.PartyDelisted)
    assert (gone.cause, city.iso(gone.delisted_on)) == (words.DELISTING_CAUSE_EXPIRY, "2027-03-01")
    (lifted,) = city.service.events(events_pb.JointPunishmentLifted)
    assert city.iso(lifted.lifted_on) == "2027-03-01"


async def test_days_that_passed_unnoticed_are_told_in_their_order(city: Any) -> None:
    first = await city.enter(ends_on=city.on("2027-01-01"))
    second = await city.enter(began_on=city.on("2027-01-10"), ends_on=city.on("2027-02-01"))
    city.service.clock.pass_days(365)
    await city.check()  # reading changes nothing
    await city.until("2027-12-01")
    events: list[Any] = city.service.events()
    told = [
        (type(event).__name__, event.listing_key)
        for event in events
        if "JointPunishment" in type(event).__name__
    ]
    assert told == [
        ("JointPunishmentOrdered", first.listing_key),
        ("JointPunishmentLifted", first.listing_key),
        ("JointPunishmentOrdered", second.listing_key),
        ("JointPunishmentLifted", second.listing_key),
    ]
    days = [
        city.iso(event.lifted_on) for event in city.service.events(events_pb.JointPunishmentLifted)
    ]
    assert days == ["2027-01-01", "2027-02-01"]
    assert list((await city.check("2027-01-05")).measures) == []


async def test_an_act_on_a_listing_whose_term_is_over_finds_it_over(city: Any) -> None:
    listing = await city.enter(ends_on=city.on("2026-12-01"))
    city.service.clock.pass_days(30)  # and no calendar ran
    request = pb.RevokeListingRequest(
        request_id=city.rid(), listing_key=listing.listing_key, document="复议 9", reason="错误"
    )
    with pytest.raises(ListingStateForbids):
        await city.door.revoke_listing(request, city.call())


async def test_a_measure_stays_while_another_listing_demands_it(city: Any) -> None:
    fraud = await city.enter(ends_on=city.on("2027-06-01"))
    reports = await city.enter(ground_code="REPORTS_WITHHELD", ends_on=city.on("2027-12-01"))
    await city.until("2027-06-01")
    (lifted,) = city.service.events(events_pb.JointPunishmentLifted)
    assert lifted.listing_key == fraud.listing_key
    assert list(lifted.measures) == [words.MEASURE_HALT_ADMISSIONS]
    left = [words.MEASURE_STOP_SUBSIDIES, words.MEASURE_INSPECT_MORE_OFTEN]
    assert list((await city.check()).measures) == left
    await city.until("2027-12-01")
    last = city.service.events(events_pb.JointPunishmentLifted)[1:]
    assert {e.listing_key for e in last} == {fraud.listing_key, reports.listing_key}
    assert all(list(e.measures) == left and city.iso(e.lifted_on) == "2027-12-01" for e in last)


async def test_a_wrong_listing_is_revoked_and_its_measures_with_it(city: Any) -> None:
    key = (await city.enter()).listing_key
    await city.until("2026-12-10")
    request = pb.RevokeListingRequest(
        request_id=city.rid(), listing_key=key, document="行政复议决定书 9", reason="对象认定错误"
    )
    revoked = (await city.door.revoke_listing(request, city.call())).listing
    assert revoked.state == words.LISTING_STATE_REVOKED
    assert city.service.events(events_pb.PartyDelisted)[0].cause == words.DELISTING_CAUSE_REVOKED
    assert len(city.service.events(events_pb.JointPunishmentLifted)) == 1
    request.request_id = city.rid()
    with pytest.raises(ListingStateForbids):
        await city.door.revoke_listing(request, city.call())


async def test_a_home_with_kept_promises_is_on_the_red_list_until_it_is_on_the_black_one(
    city: Any,
) -> None:
    red = await city.enter(
        colour=words.LIST_COLOUR_RED, ground_code="COMMITMENTS_KEPT", summary="连续两年无违规"
    )
    assert words.BENEFIT_INSPECT_LESS_OFTEN in (await city.check()).benefits
    assert not city.service.events(events_pb.JointPunishmentOrdered)
    with pytest.raises(NotRepairable):
        await apply_for_repair(city, red.listing_key)
    await city.until("2026-12-01")
    await city.enter()
    (gone,) = city.service.events(events_pb.PartyDelisted)
    assert (gone.listing_key, gone.colour) == (red.listing_key, words.LIST_COLOUR_RED)
    now = await city.check()
    assert (now.red_listed, now.black_listed, list(now.benefits)) == (False, True, [])
    with pytest.raises(OnBlackList):
        await propose(city, colour=words.LIST_COLOUR_RED, ground_code="COMMITMENTS_KEPT")


async def test_a_red_and_a_black_listing_entered_at_once_never_both_stand(city: Any) -> None:
    red = city.enter(colour=words.LIST_COLOUR_RED, ground_code="COMMITMENTS_KEPT")
    await asyncio.gather(red, city.enter(), return_exceptions=True)
    now = await city.check()
    assert (now.red_listed, now.black_listed) == (False, True)


async def test_a_worker_is_barred_from_work_and_homes_are_not(city: Any) -> None:
    worker_key = await city.worker()
    subject = words.Subject(kind=words.SUBJECT_KIND_WORKER, key=worker_key)
    await city.enter(subject=subject, ground_code="ELDERS_RIGHTS_VIOLATED", summary="虐待老人")
    (ordered,) = city.service.events(events_pb.JointPunishmentOrdered)
    assert list(ordered.measures) == [words.MEASURE_BAR_FROM_EMPLOYMENT]
    assert ordered.subject_key == worker_key
    with pytest.raises(GroundNotForSubject):
        await city.enter(subject=subject, ground_code="FIRE_HAZARD_NOT_RECTIFIED")


async def test_what_cannot_be_listed_is_refused_and_nothing_is_kept(city: Any) -> None:
    unknown = words.Subject(kind=words.SUBJECT_KIND_WORKER, key="wkr_06h02o0o3iboh8skjic61nvrb0")
    by_number = words.Subject(kind=words.SUBJECT_KIND_WORKER, key=city.number)
    for error, more in (
        (InvalidCreditCode, {"subject": city.organisation(city.home[:-1] + "0")}),
        (NotFound, {"subject": unknown}),
        (UnknownDivision, {"region_code": "519999"}),
        (GroundUnknown, {"ground_code": "BAD_WEATHER"}),
        (GroundUnknown, {"decided_on": city.on("2019-10-31")}),  # the day before the rules began
        (GroundNotForSubject, {"colour": words.LIST_COLOUR_RED}),
        (DayImpossible, {"decided_on": city.on("2026-11-23")}),
        (DayImpossible, {"began_on": city.on("2026-11-21")}),
        (DayImpossible, {"began_on": city.on("9999-12-31")}),
        (DayImpossible, {"ends_on": city.on("2029-11-23")}),  # the term is three years
        (WorkerKeyInvalid, {"subject": by_number}),
        (TermOver, {"decided_on": city.on("2020-01-01"), "ends_on": city.on("2021-01-01")}),
    ):
        with pytest.raises(error):
            await city.enter(**more)
    assert not city.service.events()
    assert not city.service.backend.collections["listings"]
    assert not city.service.backend.collections["credit_records"]


async def test_one_decision_lists_a_party_once(city: Any) -> None:
    await city.enter(document="通民信列〔2026〕5号")
    with pytest.raises(AlreadyExists):
        await city.enter(document="通民信列〔2026〕5号")
    await city.enter(document="通民信列〔2026〕5号", subject=city.organisation(city.company))
    assert len(city.service.events(events_pb.PartyListed)) == 2


async def test_a_ground_that_stays_to_the_end_is_not_repaired(city: Any) -> None:
    parameters = await city.door.get_parameters(
        pb.GetParametersRequest(region_code=city.county), city.call()
    )
    ground = next(g for g in parameters.parameters.grounds if g.code == "PUBLIC_FUNDS_FRAUD")
    ground.repairable, ground.repair_after_months = False, 0
    ground.effective_from.CopyFrom(city.on("2026-01-01"))
    change = pb.SetParametersRequest(request_id=city.rid(), region_code="5117", grounds=[ground])
    await city.door.set_parameters(change, city.call())
    key = (await city.enter()).listing_key
    await city.until("2029-01-01")
    with pytest.raises(NotRepairable):
        await apply_for_repair(city, key)


async def test_listings_are_found_by_subject_list_division_state_and_day(city: Any) -> None:
    home = await city.enter(ends_on=city.on("2027-01-01"))
    company = await city.enter(subject=city.organisation(city.company), region_code="511723")
    draft = await propose(city)
    await city.until("2027-02-01")

    async def find(**more: Any) -> list[str]:
        request = pb.ListListingsRequest(**more)
        return [
            x.listing_key for x in (await city.door.list_listings(request, city.call())).listings
        ]

    assert await find(subject_key=city.home) == sorted([home.listing_key, draft.listing_key])
    assert await find(region_code="511723") == [company.listing_key]
    assert await find(in_force_on=city.on("2027-01-01")) == [company.listing_key]
    both = await find(in_force_on=city.on("2026-12-31"), colour=words.LIST_COLOUR_BLACK)
    assert both == sorted([home.listing_key, company.listing_key])
    assert await find(states=[words.LISTING_STATE_EXPIRED]) == [home.listing_key]
    question = pb.ListListingsRequest(region_code="51", page_size=2)
    first = await city.door.list_listings(question, city.call())
    question.page_token = first.next_page_token
    second = await city.door.list_listings(question, city.call())
    assert (len(first.listings), len(second.listings)) == (2, 1)


async def test_a_stale_act_is_refused_and_what_was_known_then_can_be_read(city: Any) -> None:
    key = (await propose(city)).listing_key
    before = city.service.clock()
    city.service.clock.pass_days(1)
    await notify(city, key, etag="v1")
    with pytest.raises(StaleVersion):
        await decide(city, key, etag="v1")
    request = pb.GetListingRequest(listing_key=key)
    request.known_at.FromDatetime(before)
    request.read_mask.paths.append("state")
    then = (await city.door.get_listing(request, city.call())).listing
    assert then.state == words.LISTING_STATE_PROPOSED
    assert then.authority == ""


@pytest.mark.parametrize(
    "number",
    [
        "11010519491231002X",
        "11010519491231002x",
        "110105491231002",
        "110105 19491231 002X",
        "110105-19491231-002X",
        "110105 1949-12-31 002X",
        "110105·491231·002",
        "１１０１０５１９４９１２３１００２Ｘ",
        "１１０１０５４９１２３１００２",
        "110105\u200b19491231002X",
    ],
)
async def test_what_becomes_public_never_quotes_an_identity_number(city: Any, number: str) -> None:
    for quoting in (
        {"summary": f"当事人 {number} 虐待老人"},
        {"document": f"决定书-{number}"},
        {"evidence": [f"身份证 {number}"]},
    ):
        with pytest.raises(InvalidRequest) as refused:
            await city.enter(**quoting)
        assert [v.field.partition("[")[0] for v in refused.value.violations] == list(quoting)
        assert number not in str(refused.value)


async def test_an_identity_number_is_no_listing_key(city: Any) -> None:
    with pytest.raises(protovalidate.ValidationError):
        await notify(city, city.number)
