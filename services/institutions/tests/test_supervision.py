"""Grades by points, hazards with their last day, penalties."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eldex.api.institutions.v1 import institution_events_pb2 as events
from eldex.institutions.domain.days import DayImpossible
from eldex.institutions.domain.grading import GradingRule, Points, PointsImpossible, Threshold
from eldex.institutions.domain.parameters import Grading, ParameterMissing
from eldex.institutions.domain.status import StatusForbids
from eldex.institutions.domain.supervision import (
    HazardAlreadyRectified,
    InspectionOfAnother,
    PenaltyAmountWrong,
)
from eldex.institutions.wire.parameters import seeds

(STANDARD,) = [p.value.rule for p in seeds() if isinstance(p.value, Grading)]
ORDINARY, MAJOR = "HAZARD_SEVERITY_ORDINARY", "HAZARD_SEVERITY_MAJOR"


def finding(days: int = 5, severity: str = ORDINARY) -> dict[str, Any]:
    return {
        "hazard_class": "HAZARD_CLASS_FIRE",
        "severity": severity,
        "description": "三楼疏散通道堆放杂物",
        "legal_basis": "消防法第二十八条",
        "working_days": days,
    }


def inspection(key: str, day: Any, *findings: dict[str, Any]) -> dict[str, Any]:
    return {
        "institution_key": key,
        "inspection_kind": "INSPECTION_KIND_RANDOM",
        "inspected_on": day,
        "authority": "通川区民政局",
        "document": "检查记录 2026-12",
        "findings": list(findings),
    }


@pytest.mark.parametrize(
    ("points", "grade"),
    [
        # Shares of the four parts at their boundaries: 40, 50, 60, 80 and 90 % of 120/130/150/600.
        ((120, 130, 150, 600), 5),
        ((108, 117, 135, 540), 5),
        ((107, 117, 135, 541), 4),
        ((96, 104, 120, 480), 4),
        ((96, 103, 120, 600), 3),
        ((72, 78, 90, 360), 3),
        ((72, 78, 89, 600), 2),
        ((60, 65, 75, 300), 2),
        ((120, 130, 150, 299), 1),
        ((48, 52, 60, 240), 1),
        ((47, 130, 150, 600), 0),
        ((48, 52, 60, 239), 0),
        ((0, 0, 0, 0), 0),
    ],
)
def test_points_at_the_boundaries(points: tuple[int, int, int, int], grade: int) -> None:
    assert STANDARD.grade_of(Points(*points)) == grade


@pytest.mark.parametrize(("total", "grade"), [(360, 1), (359, 0), (450, 2), (449, 1), (900, 5)])
def test_the_total_counts_as_well_as_the_parts(total: int, grade: int) -> None:
    by_total = GradingRule(
        Points(1000, 1000, 1000, 1000),
        tuple(Threshold(each.grade, each.points, 0) for each in STANDARD.thresholds),
        validity_months=0,
    )
    assert by_total.grade_of(Points(total, 0, 0, 0)) == grade


@given(
    points=st.builds(
        Points, st.integers(0, 120), st.integers(0, 130), st.integers(0, 150), st.integers(0, 600)
    ),
    part=st.sampled_from(["environment", "equipment", "management", "service"]),
)
def test_a_point_more_never_lowers_the_grade_and_what_is_missing_is_enough(
    points: Points, part: str
) -> None:
    grade = STANDARD.grade_of(points)
    parts = dict(points.parts())
    most = dict(STANDARD.maxima.parts())
    parts[part] = min(parts[part] + 1, most[part])
    assert STANDARD.grade_of(Points(**parts)) >= grade
    missing = STANDARD.missing(points, grade)
    assert bool(missing) == (grade < 5)
    for each in missing:
        name, needed = each.split(" ")[0], int(each.split("/")[1])
        if name != "total":
            parts[name] = max(parts[name], needed)
    if missing and not any(each.startswith("total") for each in missing):
        assert STANDARD.grade_of(Points(**parts)) > grade


def test_a_term_ends_on_the_same_day_or_the_last_of_the_month() -> None:
    rule = GradingRule(STANDARD.maxima, STANDARD.thresholds, validity_months=36)
    assert rule.ends_on(date(2024, 2, 29)) == date(2027, 2, 28)
    assert rule.ends_on(date(2026, 12, 1)) == date(2029, 12, 1)
    assert STANDARD.ends_on(date(2026, 12, 1)) is None


async def test_a_grade_is_told_held_and_found(field: Any) -> None:
    key, plain = await field.open(), await field.open()
    grading = {"institution_key": key, "assessor": "达州市养老机构等级评定委员会（虚构）"}
    good = {"environment": 96, "equipment": 104, "management": 120, "service": 480}
    reply = await field.ask("GradeInstitution", **grading, points=good, graded_on=field.ago(10))
    assert reply.grade.grade == 4
    assert reply.grade.rule_document.startswith("GB/T 37276")
    assert list(reply.grade.missing) == [
        "total 800/900",
        "environment 96/108",
        "equipment 104/117",
        "management 120/135",
        "service 480/540",
    ]
    earlier = {"environment": 48, "equipment": 52, "management": 60, "service": 240}
    await field.ask("GradeInstitution", **grading, points=earlier, graded_on=field.ago(99))
    assert (await field.institution(key)).grade == 4
    graded = await field.ask("ListInstitutions", region_code="5117", least_grade=3)
    assert [found.institution_key for found in graded.institutions] == [key] != [plain]
    assert len((await field.ask("ListGrades", institution_key=key)).grades) == 2
    assert [e.grade for e in field.memory.events(events.InstitutionGraded)] == [4, 1]
    with pytest.raises(PointsImpossible):
        await field.ask(
            "GradeInstitution", **grading, points=good | {"service": 601}, graded_on=field.today
        )


async def test_a_grade_whose_term_is_over_is_no_longer_found(field: Any) -> None:
    rule = (await field.ask("GetParameters", region_code="511702")).parameters
    (grading,) = [p for p in rule if p.WhichOneof("value") == "grading_rule"]
    grading.region_code, grading.grading_rule.validity_months = "5117", 36
    grading.source.document = "达州市等级评定办法（虚构）"
    await field.ask("SetParameters", parameters=[grading])
    key = await field.open()
    await field.ask(
        "GradeInstitution",
        institution_key=key,
        points={"environment": 120, "equipment": 130, "management": 150, "service": 600},
        graded_on=field.today,
        assessor="评定委员会",
    )
    assert len((await field.ask("ListInstitutions", region_code="51", least_grade=5)).institutions)
    field.memory.clock.pass_days(3 * 366)
    assert not (await field.ask("ListInstitutions", region_code="51", least_grade=5)).institutions


async def test_who_is_not_filed_is_not_graded(field: Any) -> None:
    filed = await field.file()
    with pytest.raises(StatusForbids):
        await field.ask(
            "GradeInstitution",
            institution_key=filed.institution_key,
            points={"environment": 1},
            graded_on=field.today,
            assessor="评定委员会",
        )


async def test_an_inspection_that_finds_nothing_passed(field: Any) -> None:
    key = await field.open()
    reply = await field.ask("RecordInspection", **inspection(key, field.ago(1)))
    assert reply.inspection.passed
    (told,) = field.memory.events(events.InspectionRecorded)
    assert told.passed
    with pytest.raises(DayImpossible):
        await field.ask("RecordInspection", **inspection(key, field.ago(-1)))


async def test_a_hazard_is_due_by_working_days_over_the_national_holiday(field: Any) -> None:
    key = await field.open()
    # Found on Wednesday 30 September 2026: 1 to 7 October are holidays, so two working days later
    # is not 2 October.
    reply = await field.ask(
        "RecordInspection", **inspection(key, date(2026, 9, 30), finding(days=2))
    )
    (hazard,) = reply.hazards
    assert list(reply.inspection.hazard_keys) == [hazard.hazard_key]
    assert date(2026, 10, 8) <= date(hazard.due_on.year, hazard.due_on.month, hazard.due_on.day)
    (told,) = field.memory.events(events.HazardOpened)
    assert told.due_on == hazard.due_on
    assert not field.memory.events(events.InspectionRecorded)[0].passed


async def test_overdue_hazards_are_listed_for_any_day_until_they_are_put_right(field: Any) -> None:
    key = await field.open()
    # Monday 2 November 2026, five working days: due on Monday 9 November.
    reply = await field.ask(
        "RecordInspection", **inspection(key, date(2026, 11, 2), finding(), finding(days=200))
    )
    late = reply.hazards[0]
    assert date(late.due_on.year, late.due_on.month, late.due_on.day) == date(2026, 11, 9)

    async def overdue(day: date) -> list[str]:
        found = await field.ask("ListHazards", region_code="5117", overdue_on=day)
        return [hazard.hazard_key for hazard in found.hazards]

    assert await overdue(date(2026, 11, 9)) == []
    assert await overdue(date(2026, 11, 10)) == [late.hazard_key]
    rectify = {"hazard_key": late.hazard_key, "evidence": "复查记录 2026-15"}
    for _ in range(2):
        await field.ask("RectifyHazard", **rectify, rectified_on=date(2026, 11, 20))
    assert await overdue(date(2026, 11, 22)) == []
    assert await overdue(date(2026, 11, 12)) == [late.hazard_key]
    assert len(field.memory.events(events.HazardRectified)) == 1
    with pytest.raises(HazardAlreadyRectified):
        await field.ask("RectifyHazard", **rectify, rectified_on=date(2026, 11, 21))
    still = await field.ask("ListHazards", institution_key=key, state="HAZARD_STATE_OPEN")
    assert [hazard.hazard_key for hazard in still.hazards] == [reply.hazards[1].hazard_key]


async def test_without_a_term_the_parameter_of_the_place_counts_or_is_asked_for(field: Any) -> None:
    key = await field.open()
    found = inspection(key, date(2026, 11, 2), finding(0, MAJOR))
    with pytest.raises(ParameterMissing, match="hazard-deadline/fire/major"):
        await field.ask("RecordInspection", **found)
    await field.ask(
        "SetParameters",
        parameters=[
            {
                "region_code": "511702",
                "valid_from": {"year": 2026, "month": 1, "day": 1},
                "source": {"document": "通川区隐患整改办法（虚构）", "clause": "第四条"},
                "hazard_deadline": {
                    "hazard_class": "HAZARD_CLASS_FIRE",
                    "severity": MAJOR,
                    "working_days": 3,
                },
            }
        ],
    )
    reply = await field.ask("RecordInspection", **found)
    assert reply.hazards[0].due_on.day == 5


async def test_a_hazard_may_be_added_to_its_inspection_but_not_to_anothers(field: Any) -> None:
    key, other = await field.open(), await field.open()
    reply = await field.ask("RecordInspection", **inspection(key, field.ago(3)))
    hazard = {
        "inspection_key": reply.inspection.inspection_key,
        "finding": finding(),
        "opened_on": field.ago(2),
    }
    with pytest.raises(InspectionOfAnother):
        await field.ask("OpenHazard", **hazard, institution_key=other)
    opened = await field.ask("OpenHazard", **hazard, institution_key=key)
    listed = await field.ask("ListInspections", institution_key=key)
    assert list(listed.inspections[0].hazard_keys) == [opened.hazard.hazard_key]
    assert not listed.inspections[0].passed


async def test_a_penalty_is_told_and_a_fine_has_an_amount(field: Any) -> None:
    key = await field.open()
    penalty = {
        "institution_key": key,
        "legal_basis": "老年人权益保障法第七十九条",
        "document": "川民罚〔2026〕3 号",
        "imposed_on": field.ago(1),
    }
    for kind, amount in (("FINE", 0), ("WARNING", 100)):
        with pytest.raises(PenaltyAmountWrong):
            await field.ask(
                "ImposePenalty",
                **penalty,
                penalty_kind=f"PENALTY_KIND_{kind}",
                amount_fen=amount,
            )
    imposed = await field.ask(
        "ImposePenalty", **penalty, penalty_kind="PENALTY_KIND_FINE", amount_fen=300_000
    )
    (told,) = field.memory.events(events.PenaltyImposed)
    assert told.penalty_key == imposed.penalty.penalty_key
    listed = await field.ask("ListPenalties", region_code="5117")
    assert listed.penalties[0].amount_fen == 300_000
