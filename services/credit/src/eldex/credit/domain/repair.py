"""Credit repair (信用修复): an application, its examination, and the decision."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import Enum

from eldex.common.errors import DomainError, Kind
from eldex.credit.domain.terms import not_after, not_before


class RepairState(Enum):
    """How far an application has come."""

    APPLIED = "applied"
    ACCEPTED = "accepted"
    VERIFIED = "verified"
    APPROVED = "approved"
    REFUSED = "refused"

    @property
    def is_open(self) -> bool:
        """Whether it is still to be decided."""
        return self not in {RepairState.APPROVED, RepairState.REFUSED}


class NotRepairable(DomainError):
    """This ground stays until its term is over."""

    kind, reason = Kind.CONFLICT, "NOT_REPAIRABLE"
    zh = "列入情形 {ground_code} 不适用信用修复，期满后移出"
    en = "a listing for {ground_code} cannot be repaired: it ends with its term"


class RepairTooEarly(DomainError):
    """Not long enough on the list."""

    kind, reason = Kind.CONFLICT, "REPAIR_TOO_EARLY"
    zh = "最早可于 {repair_from} 申请信用修复"
    en = "a repair can be applied for from {repair_from} on"


class RepairUnderWay(DomainError):
    """One application at a time."""

    kind, reason = Kind.CONFLICT, "REPAIR_UNDER_WAY"
    zh = "已有信用修复申请 {repair_key} 正在办理"
    en = "application {repair_key} is under examination already"


class RepairStateForbids(DomainError):
    """A step out of turn: accepted, then verified, then approved."""

    kind, reason = Kind.CONFLICT, "REPAIR_STATE_FORBIDS"
    zh = "信用修复申请处于 {state} 状态；须依次受理、核实后方可批准"
    en = "the application is {state}: it is accepted, then verified, and only then approved"


@dataclass(slots=True, kw_only=True)
class Repair:
    """An application for credit repair."""

    key: str
    applied_on: date
    commitment: str
    evidence: list[str]
    state: RepairState = RepairState.APPLIED
    accepted_on: date | None = None
    verified_on: date | None = None
    verification: list[str] = field(default_factory=list)
    decided_on: date | None = None
    document: str = ""
    reason: str = ""

    def accept(self, on: date, evidence: list[str], today: date) -> None:
        """Take it up for examination (受理)."""
        self._must(RepairState.APPLIED)
        not_after(on, today)
        not_before(on, self.applied_on, "申请日期", "the application")
        self.accepted_on, self.state = on, RepairState.ACCEPTED
        self.verification += evidence

    def verify(self, on: date, evidence: list[str], today: date) -> None:
        """See that the commitments were done (核实)."""
        self._must(RepairState.ACCEPTED)
        assert self.accepted_on is not None
        not_after(on, today)
        not_before(on, self.accepted_on, "受理日期", "the acceptance")
        self.verified_on, self.state = on, RepairState.VERIFIED
        self.verification += evidence

    def decide(self, approved: bool, document: str, reason: str, on: date, today: date) -> None:
        """Approve what was verified, or refuse at any stage."""
        if approved:
            self._must(RepairState.VERIFIED)
        not_after(on, today)
        last_step = self.verified_on or self.accepted_on or self.applied_on
        not_before(on, last_step, "上一环节日期", "the last step")
        self.decided_on, self.document, self.reason = on, document, reason
        self.state = RepairState.APPROVED if approved else RepairState.REFUSED

    def _must(self, state: RepairState) -> None:
        if self.state is not state:
            raise RepairStateForbids(state=self.state.value)
