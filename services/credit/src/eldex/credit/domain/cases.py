"""Cases: what is looked into about a party, and whether it was so."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import Enum

from eldex.common.aggregate import Aggregate
from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers import RegionCode
from eldex.credit.domain.terms import Subject, not_after, not_before


class CaseKind(Enum):
    """What is looked into."""

    ILLEGAL_FUNDRAISING = "illegal_fundraising"
    """非法集资, M002-114."""
    UNLAWFUL_FINANCING_FEES = "unlawful_financing_fees"
    """融资中违规收取费用, M002-145."""
    RIGHTS_VIOLATION = "rights_violation"
    """侵害老年人人身财产权益, M003-54."""
    SAFETY_ACCIDENT = "safety_accident"
    """安全生产责任事故, M003-54."""
    COMMITMENT_BREACH = "commitment_breach"
    """违反承诺, M002-112."""


class ResponsibilityArea(Enum):
    """What an institution itself answers for (主体责任), the six of M002-112."""

    REGISTRATION = "registration"
    FILING_COMMITMENT = "filing_commitment"
    SERVICE_CONTRACT = "service_contract"
    QUALITY_SAFETY = "quality_safety"
    EMERGENCY = "emergency"
    FIRE_SAFETY = "fire_safety"


class CaseState(Enum):
    """How far a case has come."""

    OPEN = "open"
    SUBSTANTIATED = "substantiated"
    UNFOUNDED = "unfounded"


class CaseClosed(DomainError):
    """It was closed before."""

    kind, reason = Kind.CONFLICT, "CASE_CLOSED"
    zh = "案件 {case_key} 已于 {closed_on} 结案"
    en = "case {case_key} was closed on {closed_on}"


class CaseNotSubstantiated(DomainError):
    """A listing follows only from what was found to be so, about the same party."""

    kind, reason = Kind.CONFLICT, "CASE_NOT_SUBSTANTIATED"
    zh = "案件 {case_key} 未查实，或与该对象无关，不能作为列入依据"
    en = "case {case_key} is not substantiated, or concerns another party: no listing follows"


@dataclass(kw_only=True)
class Case(Aggregate):
    """Something to be looked into (排查、查处)."""

    subject: Subject
    kind: CaseKind
    area: ResponsibilityArea | None
    authority: str
    region_code: RegionCode
    source: str
    summary: str
    opened_on: date
    state: CaseState = CaseState.OPEN
    closed_on: date | None = None
    document: str = ""
    finding: str = ""

    def close(
        self, substantiated: bool, document: str, finding: str, on: date, today: date
    ) -> None:
        """Say whether it was so."""
        if self.state is not CaseState.OPEN:
            raise CaseClosed(case_key=self.key, closed_on=self.closed_on)
        not_after(on, today)
        not_before(on, self.opened_on, "立案日期", "the case was opened")
        self.state = CaseState.SUBSTANTIATED if substantiated else CaseState.UNFOUNDED
        self.closed_on, self.document, self.finding = on, document, finding

    def must_support(self, subject: Subject) -> None:
        """Raise unless a listing of that party can follow from it."""
        if self.state is not CaseState.SUBSTANTIATED or self.subject != subject:
            raise CaseNotSubstantiated(case_key=self.key)
