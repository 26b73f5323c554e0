"""Requests for access to a resource: who must approve, and that it takes two people."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import date
from enum import Enum

from eldex.common.aggregate import Aggregate
from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers import RegionCode
from eldex.exchange.domain.answer_deadlines import Deadline
from eldex.exchange.domain.operators import SecondPersonNeeded


class AccessEndsBefore(DomainError):
    """Access that ends before it could begin is none."""

    kind, reason = Kind.INVALID, "ACCESS_ENDS_BEFORE"
    zh = "申请的终止日期 {valid_to} 不晚于今天"
    en = "the access asked for ends on {valid_to}, which is not after today"


class AlreadyDecided(DomainError):
    """It was decided, or this role's decision was."""

    kind, reason = Kind.CONFLICT, "ALREADY_DECIDED"
    zh = "该申请已办结，或本方已作出决定"
    en = "this was decided already, or your side has decided"


class NotYoursToDecide(DomainError):
    """Only the provider of the resource and the operator of the exchange decide."""

    kind, reason = Kind.DENIED, "NOT_YOURS_TO_DECIDE"
    zh = "该申请由数据提供部门和交换平台运营方办理，本业务系统无权决定"
    en = "the providing department and the operator of the exchange decide this, not you"


class AccessRequestState(Enum):
    """How far it has come."""

    PENDING = "pending"
    GRANTED = "granted"
    DENIED = "denied"


class DecisionRole(Enum):
    """In which role somebody decides."""

    PROVIDER = "provider"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class AccessDecision:
    """One decision."""

    role: DecisionRole
    approved: bool
    official_code: str
    decided_on: date
    reason: str


@dataclass(frozen=True, slots=True)
class AccessRequested:
    """A department has asked for a resource."""

    resource_code: str
    request_key: str
    subsystem: str
    provider: str
    due_on: date
    region_code: RegionCode


@dataclass(frozen=True, slots=True)
class AccessGranted:
    """Access was approved by all who must."""

    resource_code: str
    request_key: str
    subsystem: str
    agreement_key: str
    granted_on: date
    valid_to: date | None
    region_code: RegionCode


@dataclass(frozen=True, slots=True)
class AccessDenied:
    """Access was refused."""

    resource_code: str
    request_key: str
    subsystem: str
    denied_on: date
    region_code: RegionCode


@dataclass(kw_only=True)
class AccessRequest(Aggregate):
    """A department asks for a resource (共享申请)."""

    resource_code: str
    provider: str
    """The providing member."""
    subsystem: str
    purpose: str
    legal_basis: str
    need: str
    paths: list[str]
    with_events: bool
    region_codes: list[RegionCode]
    valid_to: date | None
    official_code: str
    requested_on: date
    city: RegionCode
    deadline: Deadline
    roles: list[DecisionRole]
    """Who must approve: both, or the operator alone where every item asked for is unconditional."""
    state: AccessRequestState = AccessRequestState.PENDING
    decisions: list[AccessDecision] = field(default_factory=list)
    agreement_key: str = ""

    def submit(self) -> None:
        """Tell that it was asked; raises `AccessEndsBefore`."""
        if self.valid_to is not None and self.valid_to <= self.requested_on:
            raise AccessEndsBefore(valid_to=self.valid_to)
        self.record(
            AccessRequested(
                self.resource_code,
                self.key,
                self.subsystem,
                self.provider,
                self.deadline.due_on,
                self.city,
            )
        )

    @property
    def awaits(self) -> list[DecisionRole]:
        """Roles that have yet to decide."""
        if self.state is not AccessRequestState.PENDING:
            return []
        decided = {decision.role for decision in self.decisions}
        return [role for role in self.roles if role not in decided]

    def is_overdue(self, today: date) -> bool:
        """Whether the answer is late."""
        return bool(self.awaits) and today > self.deadline.due_on

    def decide(self, decision: AccessDecision) -> None:
        """Take a decision: one refusal refuses, the last approval grants.

        Raises `AlreadyDecided`, `NotYoursToDecide`, `SecondPersonNeeded`. A late answer still counts.
        """
        if self.state is not AccessRequestState.PENDING:
            raise AlreadyDecided
        if decision.role not in self.roles:
            raise NotYoursToDecide
        if decision.role not in self.awaits:
            raise AlreadyDecided
        others = {self.official_code, *(each.official_code for each in self.decisions)}
        if decision.official_code.casefold() in {other.casefold() for other in others}:
            raise SecondPersonNeeded
        self.decisions.append(decision)
        if not decision.approved:
            self.state = AccessRequestState.DENIED
            self.record(
                AccessDenied(
                    self.resource_code, self.key, self.subsystem, decision.decided_on, self.city
                )
            )
        elif not self.awaits:
            self.state = AccessRequestState.GRANTED
            self.agreement_key = agreement_key_of(self.subsystem, self.resource_code, self.purpose)
            self.record(
                AccessGranted(
                    self.resource_code,
                    self.key,
                    self.subsystem,
                    self.agreement_key,
                    decision.decided_on,
                    self.valid_to,
                    self.city,
                )
            )


def agreement_key_of(subsystem: str, resource_code: str, purpose: str) -> str:
    """The one agreement of a subsystem on a resource for a purpose: asked again, it is extended."""
    whole = f"{subsystem}\n{resource_code}\n{purpose}"
    return f"catalogue-{hashlib.sha256(whole.encode()).hexdigest()[:20]}"
