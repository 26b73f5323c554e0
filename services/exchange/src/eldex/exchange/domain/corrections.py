"""Correction requests: who uses a fact reports it as wrong, who provides it answers (809 号令 article 26)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import Enum

from eldex.common.aggregate import Aggregate
from eldex.exchange.domain.access_requests import AlreadyDecided
from eldex.exchange.domain.answer_deadlines import Deadline


class CorrectionState(Enum):
    """How far it has come."""

    OPEN = "open"
    CORRECTED = "corrected"
    REJECTED = "rejected"


@dataclass(kw_only=True)
class Correction(Aggregate):
    """A fact reported as wrong (校核)."""

    resource_code: str
    provider: str
    """The providing member."""
    record_key: str
    path: str
    finding: str
    evidence: str
    subsystem: str
    official_code: str
    requested_on: date
    deadline: Deadline
    state: CorrectionState = CorrectionState.OPEN
    answer: str = ""
    decided_by: str = ""
    decided_on: date | None = None

    def is_overdue(self, today: date) -> bool:
        """Whether the answer is late."""
        return self.state is CorrectionState.OPEN and today > self.deadline.due_on

    def decide(self, *, corrected: bool, answer: str, official_code: str, today: date) -> None:
        """Take the provider's answer, late or not; raises `AlreadyDecided`."""
        if self.state is not CorrectionState.OPEN:
            raise AlreadyDecided
        self.state = CorrectionState.CORRECTED if corrected else CorrectionState.REJECTED
        self.answer, self.decided_by, self.decided_on = answer, official_code, today
