"""Assessments: what counts since when, what supersedes what, doubts and their decisions."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from eldex.api.registry.v1 import assessment_pb2
from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.api.registry.v1 import resident_events_pb2 as events_pb
from eldex.common.identifiers import InvalidCreditCode, RegionCode
from eldex.registry import main
from eldex.registry.domain.assessments import AssessmentAnnulled, DisputeOpen, NoOpenDispute
from eldex.registry.domain.days import DayImpossible
from eldex.registry.domain.residents import AssessedThatDay, NotAlive
from eldex.registry.domain.scoring import AssessmentRules, NoRuleInForce
from eldex.registry.rpc.service import RegistryService

TABLES = main.tables()
MILD, MODERATE = assessment_pb2.ABILITY_LEVEL_MILD, assessment_pb2.ABILITY_LEVEL_MODERATE
SEVERE, COMPLETE = assessment_pb2.ABILITY_LEVEL_SEVERE, assessment_pb2.ABILITY_LEVEL_COMPLETE


async def read(counter: Any, key: str) -> assessment_pb2.Assessment:
    reply: pb.GetAssessmentResponse = await counter.ask(pb.GetAssessmentRequest(assessment_key=key))
    return reply.assessment


async def dispute(counter: Any, key: str) -> assessment_pb2.Assessment:
    request = pb.DisputeAssessmentRequest(assessment_key=key, grounds="评估当日高烧")
    reply: pb.DisputeAssessmentResponse = await counter.ask(request)
    return reply.assessment


async def decide(counter: Any, key: str, decision: Any) -> assessment_pb2.Assessment:
    request = pb.DecideDisputeRequest(assessment_key=key, decision=decision, grounds="复核结论")
    reply: pb.DecideDisputeResponse = await counter.ask(request)
    return reply.assessment


async def test_an_assessment_gives_the_resident_a_level_that_is_shown_listed_and_told(
    counter: Any,
) -> None:
    key = await counter.enter("王秀英")
    made = await counter.assess(key, 40, "2026-06-01")
    assert made.outcome.total_points == 40
    assert made.outcome.ability_level == SEVERE
    assert made.region_code == "511702001"
    shown = await counter.show(key)
    assert (shown.ability_level, shown.assessment_key) == (SEVERE, made.assessment_key)
    (told,) = counter.service.events(events_pb.AssessmentCompleted)
    assert (told.resident_key, told.ability_level, told.supersedes_key) == (key, SEVERE, "")

    await counter.assess(await counter.enter("李桂兰"), 90, "2026-06-01")
    ask = pb.ListResidentsRequest(region_code="5117", ability_level=SEVERE)
    assert [r.resident_key for r in (await counter.ask(ask)).residents] == [key]


async def test_a_later_assessment_supersedes_and_the_old_one_says_by_which(counter: Any) -> None:
    key = await counter.enter("王秀英")
    first = await counter.assess(key, 70, "2025-06-01")
    second = await counter.assess(key, 40, "2026-06-01")
    assert second.supersedes_key == first.assessment_key
    old = await read(counter, first.assessment_key)
    assert old.state == assessment_pb2.ASSESSMENT_STATE_SUPERSEDED
    assert old.superseded_by_key == second.assessment_key
    assert (
        counter.service.events(events_pb.AssessmentCompleted)[-1].supersedes_key
        == old.assessment_key
    )


async def test_an_earlier_assessment_entered_late_does_not_change_what_counts_now(
    counter: Any,
) -> None:
    key = await counter.enter("王秀英")
    now = await counter.assess(key, 40, "2026-06-01")
    late = await counter.assess(key, 70, "2025-06-01")
    assert late.state == assessment_pb2.ASSESSMENT_STATE_SUPERSEDED
    assert late.superseded_by_key == now.assessment_key
    assert (await counter.show(key)).ability_level == SEVERE
    with pytest.raises(AssessedThatDay):
        await counter.assess(key, 20, "2026-06-01")


async def test_a_disputed_level_counts_until_it_is_decided(counter: Any) -> None:
    key = await counter.enter("王秀英")
    await counter.assess(key, 70, "2025-06-01")
    made = await counter.assess(key, 20, "2026-06-01")
    disputed = await dispute(counter, made.assessment_key)
    assert disputed.state == assessment_pb2.ASSESSMENT_STATE_IN_FORCE
    assert (await counter.show(key)).ability_level == COMPLETE
    with pytest.raises(DisputeOpen):
        await dispute(counter, made.assessment_key)

    decided = await decide(counter, made.assessment_key, assessment_pb2.DISPUTE_DECISION_UPHELD)
    assert decided.state == assessment_pb2.ASSESSMENT_STATE_ANNULLED
    assert (await counter.show(key)).ability_level == MILD  # the one before counts again
    (told,) = counter.service.events(events_pb.AssessmentAnnulled)
    assert (told.assessment_key, told.ability_level) == (made.assessment_key, MILD)
    with pytest.raises(AssessmentAnnulled):
        await dispute(counter, made.assessment_key)
    with pytest.raises(NoOpenDispute):
        await decide(counter, made.assessment_key, assessment_pb2.DISPUTE_DECISION_UPHELD)
    again = await counter.assess(key, 40, "2026-06-01")  # the day is free for a new one
    assert again.outcome.ability_level == SEVERE


async def test_the_only_assessment_annulled_leaves_no_level(counter: Any) -> None:
    key = await counter.enter("王秀英")
    made = await counter.assess(key, 20, "2026-06-01")
    await dispute(counter, made.assessment_key)
    await decide(counter, made.assessment_key, assessment_pb2.DISPUTE_DECISION_UPHELD)
    shown = await counter.show(key)
    assert shown.ability_level == assessment_pb2.ABILITY_LEVEL_UNSPECIFIED
    assert shown.assessment_key == ""
    (told,) = counter.service.events(events_pb.AssessmentAnnulled)
    assert told.ability_level == assessment_pb2.ABILITY_LEVEL_UNSPECIFIED


async def test_a_rejected_dispute_leaves_the_assessment_and_is_told(counter: Any) -> None:
    key = await counter.enter("王秀英")
    made = await counter.assess(key, 20, "2026-06-01")
    await dispute(counter, made.assessment_key)
    decided = await decide(counter, made.assessment_key, assessment_pb2.DISPUTE_DECISION_REJECTED)
    assert decided.disputes[0].decision == assessment_pb2.DISPUTE_DECISION_REJECTED
    (told,) = counter.service.events(events_pb.AssessmentConfirmed)
    assert told.ability_level == COMPLETE
    await dispute(counter, made.assessment_key)  # new grounds may be brought


async def test_who_was_alive_then_may_be_entered_late_and_nobody_else(counter: Any) -> None:
    key = await counter.enter("王秀英")
    await counter.die(key, "2026-06-01")
    assert (await counter.assess(key, 40, "2026-05-20")).outcome.ability_level == SEVERE
    with pytest.raises(NotAlive):
        await counter.assess(key, 40, "2026-06-02")
    other = await counter.enter("李桂兰")
    with pytest.raises(DayImpossible):
        await counter.assess(other, 40, "2026-12-01")
    with pytest.raises(NoRuleInForce):
        await counter.assess(other, 40, "2022-12-29")


async def test_an_assessing_body_without_a_valid_credit_code_is_refused(counter: Any) -> None:
    request = pb.RecordAssessmentRequest(
        resident_key=await counter.enter("王秀英"),
        reason=assessment_pb2.ASSESSMENT_REASON_FIRST,
        assessed_on=counter.day("2026-06-01"),
        assessor_credit_code="112200000135443570",
        findings=assessment_pb2.Findings(scores=counter.scores(50)),
    )
    with pytest.raises(InvalidCreditCode):
        await counter.ask(request)


async def test_an_explanation_tells_every_step_in_the_callers_language_and_stores_nothing(
    counter: Any,
) -> None:
    fell = [
        assessment_pb2.CareRiskEvent(
            risk=assessment_pb2.CARE_RISK_FALL, happened_on=counter.day("2026-05-20")
        )
    ] * 2
    request = pb.ExplainAssessmentRequest(
        region_code="511702",
        assessed_on=counter.day("2026-06-01"),
        findings=assessment_pb2.Findings(
            scores=counter.scores(89),
            diagnoses=[assessment_pb2.Diagnosis(icd10_code="F00.1", by_psychiatrist=True)],
            care_risk_events=fell,
        ),
    )
    outcome = (await counter.ask(request, "zh")).outcome
    assert [step.ability_level for step in outcome.steps[4:]] == [MILD, MODERATE, SEVERE]
    assert "总分 89 分" in outcome.steps[4].text
    assert "照护风险事件 2 次" in outcome.steps[6].text
    assert "A.2.14" in outcome.steps[6].clause
    in_english = (await counter.ask(request)).outcome
    assert "one level up" in in_english.steps[5].text
    assert not counter.service.events()


async def test_the_rule_in_force_can_be_read(counter: Any) -> None:
    ask = pb.GetAssessmentRuleRequest(region_code="511702")
    rule = (await counter.ask(ask)).assessment_rule
    assert list(rule.least_points) == [90, 66, 46, 30]
    assert rule.document.startswith("GB/T 42195-2022")


async def test_where_a_rule_says_so_an_assessment_tells_when_the_person_is_due_again(
    counter: Any,
) -> None:
    key = await counter.enter("王秀英")
    assert not (await counter.assess(key, 40, "2026-05-01")).HasField("reassess_on")
    country = TABLES.assessment_rules.in_force(RegionCode("511702"), date(2026, 6, 1))
    ours = replace(
        country, code="511702-虚构", region_code=RegionCode("511702"), reassess_after_months=12
    )
    tables = replace(TABLES, assessment_rules=AssessmentRules([country, ours]))
    counter.rpc = RegistryService(counter.service.work, tables)
    made = await counter.assess(key, 40, "2026-06-01")
    assert made.reassess_on == counter.day("2027-06-01")
    assert (await read(counter, made.assessment_key)).reassess_on == made.reassess_on
    ask = pb.GetAssessmentRuleRequest(region_code="511702001")
    assert (await counter.ask(ask)).assessment_rule.reassess_after_months == 12


async def test_what_was_known_before_the_decision_can_still_be_read(counter: Any) -> None:
    key = await counter.enter("王秀英")
    made = await counter.assess(key, 20, "2026-06-01")
    await dispute(counter, made.assessment_key)
    before = counter.service.clock()
    counter.service.clock.pass_days(10)
    await decide(counter, made.assessment_key, assessment_pb2.DISPUTE_DECISION_UPHELD)
    later = await counter.assess(key, 50, "2026-11-30")

    one = pb.GetAssessmentRequest(assessment_key=made.assessment_key)
    one.known_at.FromDatetime(before)
    known = (await counter.ask(one)).assessment
    assert known.state == assessment_pb2.ASSESSMENT_STATE_IN_FORCE
    everything = pb.ListAssessmentsRequest(resident_key=key)
    now = (await counter.ask(everything)).assessments
    assert [a.assessment_key for a in now] == [made.assessment_key, later.assessment_key]
    everything.known_at.FromDatetime(before)
    then = (await counter.ask(everything)).assessments
    assert [a.assessment_key for a in then] == [made.assessment_key]
