"""Recording assessments, disputing them, explaining them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from eldex.common.clock import day_of
from eldex.common.identifiers import CreditCode, RegionCode, new_key
from eldex.registry.domain.assessments import Assessment, AssessmentReason, DisputeDecision
from eldex.registry.domain.days import not_future
from eldex.registry.domain.residents import Resident
from eldex.registry.domain.scoring import AssessmentRules, Findings, Outcome, score
from eldex.registry.handlers.ports import Stores, standing

Held = tuple[Assessment, Resident]
"""An assessment and the resident who holds it, whose other assessments tell where it stands."""


@dataclass(frozen=True, slots=True)
class RecordAssessment:
    """An assessment as made."""

    resident_key: str
    reason: AssessmentReason
    assessed_on: date
    assessor: CreditCode
    assessor_certificates: list[str]
    findings: Findings


async def record_assessment(
    command: RecordAssessment, stores: Stores, rules: AssessmentRules, now: datetime
) -> Held:
    """Score an assessment by the rule where the person lived that day, and let it count."""
    resident = await stores.residents.get(command.resident_key)
    resident.must_have_lived_on(command.assessed_on)
    completed = Assessment.complete(
        key=new_key("ass"),
        resident=resident,
        reason=command.reason,
        assessed_on=command.assessed_on,
        assessor=command.assessor,
        assessor_certificates=command.assessor_certificates,
        findings=command.findings,
        rule=rules.in_force(resident.region_on(command.assessed_on), command.assessed_on),
        today=day_of(now),
    )
    stores.residents.save(resident)
    return _saved(completed, resident, stores, now)


@dataclass(frozen=True, slots=True)
class DisputeAssessment:
    """A doubt about an assessment."""

    assessment_key: str
    grounds: str
    disputed_on: date | None
    etag: str


async def dispute_assessment(command: DisputeAssessment, stores: Stores, now: datetime) -> Held:
    """Open a dispute."""
    assessment, holder = await _loaded(command.assessment_key, command.etag, stores)
    today = day_of(now)
    assessment.dispute(holder, command.grounds, command.disputed_on or today, today)
    return _saved(assessment, holder, stores, now)


@dataclass(frozen=True, slots=True)
class DecideDispute:
    """The decision on the open dispute."""

    assessment_key: str
    decision: DisputeDecision
    grounds: str
    decided_on: date | None
    etag: str


async def decide_dispute(command: DecideDispute, stores: Stores, now: datetime) -> Held:
    """Decide the open dispute."""
    assessment, holder = await _loaded(command.assessment_key, command.etag, stores)
    today = day_of(now)
    decided_on = command.decided_on or today
    assessment.decide(holder, command.decision, command.grounds, decided_on, today)
    if assessment.annulled:
        stores.residents.save(holder)
    return _saved(assessment, holder, stores, now)


def explain_assessment(
    findings: Findings,
    region_code: RegionCode,
    assessed_on: date | None,
    rules: AssessmentRules,
    now: datetime,
) -> Outcome:
    """What would follow from findings; nothing is stored."""
    day = assessed_on or day_of(now)
    not_future(day, day_of(now))
    return score(findings, rules.in_force(region_code, day), day)


async def get_assessment(assessment_key: str, known_at: datetime | None, stores: Stores) -> Held:
    """One assessment with its holder, as known now or at an earlier instant."""
    kept = stores.assessments
    asked = kept.known_at(assessment_key, known_at) if known_at else kept.get(assessment_key)
    assessment = await asked
    return assessment, await standing(assessment.resident_key, stores, known_at)


async def _loaded(assessment_key: str, etag: str, stores: Stores) -> Held:
    assessment = await stores.assessments.get(assessment_key)
    assessment.expect(etag)
    return assessment, await standing(assessment.resident_key, stores)


def _saved(assessment: Assessment, holder: Resident, stores: Stores, now: datetime) -> Held:
    assessment.updated_at = holder.updated_at = now
    stores.assessments.save(assessment)
    return assessment, holder
