"""Assessments of ability (老年人能力评估) and the doubts about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum

from eldex.common.aggregate import Aggregate
from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers import CreditCode, RegionCode
from eldex.registry.domain import facts
from eldex.registry.domain.days import not_before, not_future
from eldex.registry.domain.residents import Resident
from eldex.registry.domain.scoring import AssessmentRule, Findings, Outcome, score
from eldex.registry.domain.standing import HeldLevel


class AssessmentReason(Enum):
    """Why it was made (A.1 评估原因)."""

    FIRST = "first"
    """首次评估"""
    REGULAR = "regular"
    """常规评估"""
    PROMPT = "prompt"
    """即时评估"""
    REVIEW = "review"
    """复评"""
    OTHER = "other"
    """其他"""


class AssessmentState(Enum):
    """Where it stands."""

    IN_FORCE = "in_force"
    SUPERSEDED = "superseded"
    ANNULLED = "annulled"


class DisputeDecision(Enum):
    """How a dispute was decided."""

    UPHELD = "upheld"
    """异议成立"""
    REJECTED = "rejected"
    """异议不成立"""


class DisputeOpen(DomainError):
    """One dispute at a time."""

    kind, reason = Kind.CONFLICT, "DISPUTE_OPEN"
    zh = "该评估已有未决异议，请先作出决定"
    en = "a dispute of this assessment is open already: decide that one first"


class NoOpenDispute(DomainError):
    """There is nothing to decide."""

    kind, reason = Kind.CONFLICT, "NO_OPEN_DISPUTE"
    zh = "该评估没有未决异议"
    en = "no dispute of this assessment is open"


class AssessmentAnnulled(DomainError):
    """It never counted: nothing is left to doubt."""

    kind, reason = Kind.CONFLICT, "ASSESSMENT_ANNULLED"
    zh = "该评估已被撤销"
    en = "this assessment has been annulled"


class TooFewAssessors(DomainError):
    """The rule in force asks for more assessors."""

    kind, reason = Kind.INVALID, "TOO_FEW_ASSESSORS"
    zh = "评估须由至少 {minimum} 名评估人员进行"
    en = "at least {minimum} assessors are required"


@dataclass(slots=True)
class Dispute:
    """A doubt (异议) and its decision."""

    disputed_on: date
    grounds: str
    decision: DisputeDecision | None = None
    decided_on: date | None = None
    decision_grounds: str = ""


@dataclass(kw_only=True)
class Assessment(Aggregate):
    """An assessment: findings and outcome as they were decided, never computed anew."""

    resident_key: str
    """The record under which it was made; after a merge the survivor holds it."""
    reason: AssessmentReason
    assessed_on: date
    """The day from which it counts, until the next one's."""
    region_code: RegionCode
    """Where the person lived that day: whose rule was applied."""
    assessor: CreditCode
    """The body that assessed (评估机构)."""
    assessor_certificates: list[str]
    findings: Findings
    outcome: Outcome
    supersedes_key: str
    disputes: list[Dispute] = field(default_factory=list)
    annulled: bool = False
    reassess_on: date | None = None
    """From when on the person is due to be assessed anew; its level counts until that is done."""
    updated_at: datetime | None = None

    @classmethod
    def complete(
        cls,
        *,
        key: str,
        resident: Resident,
        reason: AssessmentReason,
        assessed_on: date,
        assessor: CreditCode,
        assessor_certificates: list[str],
        findings: Findings,
        rule: AssessmentRule,
        today: date,
    ) -> Assessment:
        """Score the findings and let the level count from that day."""
        not_future(assessed_on, today)
        if len(assessor_certificates) < rule.minimum_assessors:
            raise TooFewAssessors(minimum=rule.minimum_assessors)
        outcome = score(findings, rule, assessed_on)
        held = HeldLevel(key, outcome.level, assessed_on, origin_key=resident.key)
        completed = cls(
            key=key,
            resident_key=resident.key,
            reason=reason,
            assessed_on=assessed_on,
            region_code=resident.region_on(assessed_on),
            assessor=assessor,
            assessor_certificates=assessor_certificates,
            findings=findings,
            outcome=outcome,
            supersedes_key=resident.hold_level(held),
            reassess_on=rule.reassess_on(assessed_on),
        )
        completed.record(
            facts.AssessmentCompleted(
                resident.key,
                key,
                outcome.level,
                assessed_on,
                completed.supersedes_key,
                resident.region_code,
            )
        )
        return completed

    def dispute(self, holder: Resident, grounds: str, disputed_on: date, today: date) -> None:
        """Doubt it; its level counts until that is decided."""
        holder.must_stand()
        if self.annulled:
            raise AssessmentAnnulled
        if self._open_dispute() is not None:
            raise DisputeOpen
        not_future(disputed_on, today)
        not_before(disputed_on, self.assessed_on, "评估日", "the assessment")
        self.disputes.append(Dispute(disputed_on, grounds))
        self.record(facts.AssessmentDisputed(holder.key, self.key, disputed_on, holder.region_code))

    def decide(
        self,
        holder: Resident,
        decision: DisputeDecision,
        grounds: str,
        decided_on: date,
        today: date,
    ) -> None:
        """Decide the open dispute: upheld, it never counted; rejected, it stands."""
        holder.must_stand()
        dispute = self._open_dispute()
        if dispute is None:
            raise NoOpenDispute
        not_future(decided_on, today)
        not_before(decided_on, dispute.disputed_on, "提出异议之日", "the dispute was opened")
        dispute.decision, dispute.decided_on = decision, decided_on
        dispute.decision_grounds = grounds
        if decision is DisputeDecision.REJECTED:
            self.record(
                facts.AssessmentConfirmed(
                    holder.key, self.key, self.outcome.level, holder.region_code
                )
            )
            return
        self.annulled = True
        counts = holder.drop_level(self.key)
        self.record(facts.AssessmentAnnulled(holder.key, self.key, counts, holder.region_code))

    def _open_dispute(self) -> Dispute | None:
        return next((each for each in self.disputes if each.decision is None), None)

    def superseded_by(self, holder: Resident) -> str:
        """The next assessment of the person that counts, or ""."""
        held = [each.assessment_key for each in holder.levels]
        if self.key not in held:
            return ""
        after = held[held.index(self.key) + 1 :]
        return after[0] if after else ""

    def state(self, holder: Resident) -> AssessmentState:
        """Where it stands among the person's assessments."""
        if self.annulled:
            return AssessmentState.ANNULLED
        superseded = self.superseded_by(holder)
        return AssessmentState.SUPERSEDED if superseded else AssessmentState.IN_FORCE
