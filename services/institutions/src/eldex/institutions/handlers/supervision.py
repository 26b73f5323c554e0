"""Gradings, inspections, hazards and penalties."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from eldex.common.clock import day_of
from eldex.common.identifiers import new_key
from eldex.institutions.domain.days import past_or_today
from eldex.institutions.domain.grading import Grade, Points
from eldex.institutions.domain.institution import Institution
from eldex.institutions.domain.parameters import Grading, HazardDeadline
from eldex.institutions.domain.supervision import (
    Finding,
    Hazard,
    Inspection,
    InspectionKind,
    InspectionOfAnother,
    Penalty,
    PenaltyKind,
)
from eldex.institutions.handlers.parameters import in_force, needed
from eldex.institutions.handlers.ports import Stores, Tables


@dataclass(frozen=True, slots=True)
class GradeInstitution:
    """The points an institution got."""

    institution_key: str
    points: Points
    graded_on: date
    assessor: str


async def grade_institution(
    command: GradeInstitution, stores: Stores, tables: Tables, now: datetime
) -> Grade:
    """Grade an institution by the rule in force on the day."""
    institution = await stores.institutions.get(command.institution_key)
    institution.must_be_filed()
    past_or_today(command.graded_on, day_of(now))
    place = institution.region_code
    found = await in_force(place, command.graded_on, stores, tables)
    parameter = needed(found, "grading-rule", place, command.graded_on)
    assert isinstance(parameter.value, Grading)
    rule = parameter.value.rule
    grade = rule.grade_of(command.points)
    graded = Grade(
        key=new_key("grd"),
        institution_key=institution.key,
        points=command.points,
        grade=grade,
        graded_on=command.graded_on,
        ends_on=rule.ends_on(command.graded_on),
        assessor=command.assessor,
        rule_document=parameter.source.document,
        missing=rule.missing(command.points, grade),
    )
    institution.take_grade(grade, command.points.total(), command.graded_on, graded.ends_on)
    institution.updated_at = now
    stores.institutions.save(institution)
    stores.grades.save(graded)
    return graded


@dataclass(frozen=True, slots=True)
class RecordInspection:
    """An inspection and what it found."""

    institution_key: str
    inspection_kind: InspectionKind
    inspected_on: date
    authority: str
    document: str
    findings: tuple[Finding, ...]


async def record_inspection(
    command: RecordInspection, stores: Stores, tables: Tables, now: datetime
) -> tuple[Inspection, list[Hazard]]:
    """Record an inspection; each finding opens a hazard."""
    institution = await stores.institutions.get(command.institution_key)
    past_or_today(command.inspected_on, day_of(now))
    inspection = Inspection(
        key=new_key("isp"),
        institution_key=institution.key,
        credit_code=institution.credit_code,
        region_code=institution.region_code,
        inspection_kind=command.inspection_kind,
        inspected_on=command.inspected_on,
        authority=command.authority,
        document=command.document,
    )
    hazards = [
        await _open(finding, institution, inspection.key, command.inspected_on, stores, tables)
        for finding in command.findings
    ]
    inspection.hazard_keys = [hazard.key for hazard in hazards]
    inspection.tell()
    stores.inspections.save(inspection)
    return inspection, hazards


async def _open(
    finding: Finding,
    institution: Institution,
    inspection_key: str,
    opened_on: date,
    stores: Stores,
    tables: Tables,
) -> Hazard:
    working_days = finding.working_days
    if not working_days:
        place = institution.region_code
        found = await in_force(place, opened_on, stores, tables)
        subject = f"hazard-deadline/{finding.hazard_class.value}/{finding.severity.value}"
        parameter = needed(found, subject, place, opened_on)
        assert isinstance(parameter.value, HazardDeadline)
        working_days = parameter.value.working_days
    hazard = Hazard(
        key=new_key("haz"),
        institution_key=institution.key,
        credit_code=institution.credit_code,
        region_code=institution.region_code,
        inspection_key=inspection_key,
        finding=finding,
        opened_on=opened_on,
        due_on=tables.calendar.after(opened_on, working_days),
    )
    hazard.tell()
    stores.hazards.save(hazard)
    return hazard


@dataclass(frozen=True, slots=True)
class OpenHazard:
    """A hazard by itself."""

    institution_key: str
    inspection_key: str
    finding: Finding
    opened_on: date


async def open_hazard(command: OpenHazard, stores: Stores, tables: Tables, now: datetime) -> Hazard:
    """Open a hazard outside of an inspection, or after it."""
    institution = await stores.institutions.get(command.institution_key)
    past_or_today(command.opened_on, day_of(now))
    if command.inspection_key:
        inspection = await _inspection_of(institution, command.inspection_key, stores)
        hazard = await _open(
            command.finding, institution, inspection.key, command.opened_on, stores, tables
        )
        inspection.hazard_keys.append(hazard.key)
        stores.inspections.save(inspection)
        return hazard
    return await _open(command.finding, institution, "", command.opened_on, stores, tables)


async def _inspection_of(institution: Institution, key: str, stores: Stores) -> Inspection:
    inspection = await stores.inspections.get(key)
    if inspection.institution_key != institution.key:
        raise InspectionOfAnother(inspection_key=key)
    return inspection


@dataclass(frozen=True, slots=True)
class RectifyHazard:
    """A hazard is gone."""

    hazard_key: str
    etag: str
    rectified_on: date
    evidence: str


async def rectify_hazard(command: RectifyHazard, stores: Stores, now: datetime) -> Hazard:
    """Close a hazard."""
    hazard = await stores.hazards.get(command.hazard_key)
    hazard.expect(command.etag)
    hazard.rectify(command.rectified_on, command.evidence, day_of(now))
    if hazard.events:
        stores.hazards.save(hazard)
    return hazard


@dataclass(frozen=True, slots=True)
class ImposePenalty:
    """A penalty."""

    institution_key: str
    penalty_kind: PenaltyKind
    amount_fen: int
    legal_basis: str
    document: str
    imposed_on: date
    inspection_key: str


async def impose_penalty(command: ImposePenalty, stores: Stores, now: datetime) -> Penalty:
    """Record a penalty; credit discloses it (M004-72)."""
    institution = await stores.institutions.get(command.institution_key)
    past_or_today(command.imposed_on, day_of(now))
    if command.inspection_key:
        await _inspection_of(institution, command.inspection_key, stores)
    penalty = Penalty(
        key=new_key("pen"),
        institution_key=institution.key,
        credit_code=institution.credit_code,
        region_code=institution.region_code,
        penalty_kind=command.penalty_kind,
        amount_fen=command.amount_fen,
        legal_basis=command.legal_basis,
        document=command.document,
        imposed_on=command.imposed_on,
        inspection_key=command.inspection_key,
    )
    penalty.tell()
    stores.penalties.save(penalty)
    return penalty
