"""GB/T 42195-2022 as the mission map §4.1 tells it: items, sums, boundaries, changes of level."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eldex.common.identifiers import RegionCode
from eldex.registry import store
from eldex.registry.domain.days import DayImpossible
from eldex.registry.domain.scoring import (
    ITEMS,
    AbilityLevel,
    AssessmentRule,
    AssessmentRules,
    Block,
    CareRisk,
    CareRiskEvent,
    Diagnosis,
    Findings,
    NoRuleInForce,
    ScoresImpossible,
    score,
)

DAY = date(2026, 6, 1)
RULES = store.load_assessment_rules()
RULE = RULES.in_force(RegionCode("511702"), DAY)
DEMENTIA = Diagnosis("F00.1", by_psychiatrist=True)
FALL = CareRiskEvent(CareRisk.FALL, date(2026, 5, 20))
CHOKING = CareRiskEvent(CareRisk.CHOKING, date(2026, 5, 25))


def points(total: int) -> dict[str, int]:
    """Points that add up to a total."""
    left, scores = 90 - total, {}
    for items in ITEMS.values():
        for item, most in items.items():
            scores[item] = most - min(left, most)
            left -= min(left, most)
    return scores


def level(findings: Findings) -> int:
    return int(score(findings, RULE, DAY).level)


def test_the_table_has_26_items_and_its_sums() -> None:
    assert [len(items) for items in ITEMS.values()] == [8, 4, 9, 5]
    assert [sum(items.values()) for items in ITEMS.values()] == [32, 15, 28, 15]
    assert sum(sum(items.values()) for items in ITEMS.values()) == 90
    assert ITEMS[Block.PARTICIPATION]["using_transport"] == 3  # capped at 2 elsewhere: level 0 lost
    assert ITEMS[Block.MOBILITY]["stairs"] == 3
    assert ITEMS[Block.MENTAL_STATE]["consciousness"] == 2


@pytest.mark.parametrize(
    ("total", "expected"),
    [(90, 0), (89, 1), (66, 1), (65, 2), (46, 2), (45, 3), (30, 3), (29, 4), (0, 4)],
)
def test_levels_begin_and_end_where_the_standard_says(total: int, expected: int) -> None:
    assert level(Findings(points(total))) == expected


def test_dementia_raises_by_one() -> None:
    assert level(Findings(points(90), diagnoses=[DEMENTIA])) == 1


def test_two_care_risk_events_raise_by_one_and_one_does_not() -> None:
    assert level(Findings(points(66), care_risk_events=[FALL, CHOKING])) == 2
    assert level(Findings(points(66), care_risk_events=[FALL])) == 1


def test_nobody_is_raised_beyond_the_worst() -> None:
    assert level(Findings(points(29), diagnoses=[DEMENTIA])) == 4


def test_coma_is_the_worst_at_once() -> None:
    assert level(Findings(points(90), in_coma=True)) == 4


def test_whether_two_raises_add_up_is_a_parameter() -> None:
    findings = Findings(points(89), diagnoses=[DEMENTIA], care_risk_events=[FALL, CHOKING])
    assert RULE.raises_add_up
    assert score(findings, RULE, DAY).level == 3
    assert score(findings, replace(RULE, raises_add_up=False), DAY).level == 2


def test_the_level_of_coma_is_a_parameter() -> None:
    note_under_b39 = replace(RULE, coma_level=AbilityLevel.SEVERE)
    assert score(Findings(points(90), in_coma=True), note_under_b39, DAY).level == 3
    assert score(Findings(points(10), in_coma=True), note_under_b39, DAY).level == 4


@pytest.mark.parametrize(
    ("diagnosis", "expected"),
    [
        (Diagnosis("F00", by_psychiatrist=True), 1),
        (Diagnosis("F03", by_psychiatrist=True), 1),
        (Diagnosis("F99", by_psychiatrist=True), 1),
        (Diagnosis("F00", by_psychiatrist=False), 0),
        (Diagnosis("I10", by_psychiatrist=True), 0),
    ],
)
def test_only_a_mental_disorder_that_a_psychiatrist_diagnosed_raises(
    diagnosis: Diagnosis, expected: int
) -> None:
    assert level(Findings(points(90), diagnoses=[diagnosis])) == expected


@pytest.mark.parametrize(("days_ago", "expected"), [(0, 1), (30, 1), (31, 0)])
def test_care_risk_events_count_for_30_days(days_ago: int, expected: int) -> None:
    event = CareRiskEvent(CareRisk.WANDERING, DAY - timedelta(days=days_ago))
    assert level(Findings(points(90), care_risk_events=[FALL, event])) == expected


def test_an_event_after_the_assessment_cannot_be() -> None:
    tomorrow = CareRiskEvent(CareRisk.FALL, DAY + timedelta(days=1))
    with pytest.raises(DayImpossible):
        score(Findings(points(90), care_risk_events=[tomorrow]), RULE, DAY)


@pytest.mark.parametrize(
    "wrong",
    [{"eating": 5}, {"eating": -1}, {"stairs": 4}, {"aggression": 2}, {"vision": 3}, {"tying": 1}],
)
def test_points_outside_an_items_range_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ScoresImpossible):
        score(Findings(points(90) | wrong), RULE, DAY)


def test_an_item_that_was_not_assessed_is_no_zero() -> None:
    scores = points(90)
    del scores["memory"]
    with pytest.raises(ScoresImpossible) as told:
        score(Findings(scores), RULE, DAY)
    assert told.value.facts == {"item": "memory", "most": 4}


any_scores = st.fixed_dictionaries(
    {item: st.integers(0, most) for items in ITEMS.values() for item, most in items.items()}
)


@given(any_scores)
def test_blocks_add_up_to_the_total_and_the_total_decides(scores: dict[str, int]) -> None:
    outcome = score(Findings(scores), RULE, DAY)
    assert outcome.points.total == sum(scores.values())
    floors = {0: 90, 1: 66, 2: 46, 3: 30, 4: 0}
    assert outcome.points.total >= floors[outcome.level]
    assert outcome.level == 0 or outcome.points.total < floors[outcome.level - 1]


@given(any_scores, st.booleans(), st.booleans(), st.booleans())
def test_changes_never_make_anybody_more_able_and_every_step_is_told(
    scores: dict[str, int], coma: bool, dementia: bool, risks: bool
) -> None:
    findings = Findings(
        scores,
        in_coma=coma,
        diagnoses=[DEMENTIA] if dementia else [],
        care_risk_events=[FALL, CHOKING] if risks else [],
    )
    outcome = score(findings, RULE, DAY)
    assert outcome.level_by_points <= outcome.level <= AbilityLevel.COMPLETE
    assert outcome.steps[-1].level == outcome.level
    assert len(outcome.steps) == 5 + (1 if coma else dementia + risks)


def test_the_nearest_divisions_rule_wins_from_its_day_on() -> None:
    ours = """
    [[rule]]
    code = "511702-2026"
    document = "虚构文件〔2026〕1号"
    clause = "第三条"
    valid_from = 2026-01-01
    valid_to = 2026-07-01
    region_code = "511702"
    least_points = [90, 66, 46, 30]
    coma_level = 4
    risk_events = 3
    risk_window_days = 90
    raises_add_up = false
    minimum_assessors = 2
    bowel_control_3 = "大便失禁每天＜1次"
    """
    rules = AssessmentRules([RULE, *store.parse_rules("ours.toml", ours, list[AssessmentRule])])

    def code(region: str, day: date) -> str:
        return rules.in_force(RegionCode.parse(region), day).code

    assert code("511702001", date(2026, 6, 30)) == "511702-2026"
    assert code("511702001", date(2026, 7, 1)) == RULE.code
    assert code("511703", date(2026, 6, 30)) == RULE.code
    with pytest.raises(NoRuleInForce):
        code("511702", date(2022, 12, 29))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[[rule]]\ncode = "x"\nrisk_event = 2\n', "risk_event"),
        ('[[rule]]\ncode = "x"\n', "least_points"),
        ("[[rule]\n", "line 1"),
        ("rules = 1\n", "rule"),
    ],
)
def test_a_file_of_rules_that_cannot_be_read_says_what_to_mend(text: str, told: str) -> None:
    with pytest.raises(store.MalformedRules, match=told) as raised:
        store.parse_rules("ours.toml", text, list[AssessmentRule])
    assert "ours.toml" in str(raised.value)


@pytest.mark.parametrize(
    ("months", "assessed_on", "due"),
    [
        (0, date(2026, 6, 1), None),  # the standard names no interval
        (12, date(2026, 6, 1), date(2027, 6, 1)),
        (24, date(2024, 2, 29), date(2026, 2, 28)),
        (6, date(2026, 8, 31), date(2027, 2, 28)),
    ],
)
def test_when_somebody_is_due_again_is_a_parameter(
    months: int, assessed_on: date, due: date | None
) -> None:
    assert RULE.reassess_after_months == 0
    assert replace(RULE, reassess_after_months=months).reassess_on(assessed_on) == due


def test_levels_that_do_not_fall_are_refused() -> None:
    with pytest.raises(ValueError, match="fall"):
        replace(RULE, least_points=(90, 46, 66, 30))
