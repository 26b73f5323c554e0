"""Consents: a person lets a department have facts for a purpose, and may take that back at any time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from eldex.common.aggregate import Aggregate
from eldex.common.clock import day_of
from eldex.common.errors import DomainError, Kind


class ConsentOfOwnMaking(DomainError):
    """Who receives cannot be the one who says that the person agreed."""

    kind, reason = Kind.DENIED, "CONSENT_OF_OWN_MAKING"
    zh = "接收方不能自行登记对其本身的同意，请由提供部门或运营方登记"
    en = (
        "the recipient cannot record the consent it profits from: the providing department or the "
        "operator records it"
    )


class ConsentEndedBefore(DomainError):
    """A consent whose end has passed already lets nothing happen."""

    kind, reason = Kind.INVALID, "CONSENT_ENDED_BEFORE"
    zh = "同意的截止日已过"
    en = "the consent would have ended already"


@dataclass(kw_only=True)
class Consent(Aggregate):
    """One person's consent to one recipient for one purpose (个人信息保护法 13、14、15、23、29)."""

    resident_key: str
    subsystem: str
    purpose: str
    evidence: str
    given_at: datetime
    valid_to: date | None = None
    recorded_by: str = ""
    withdrawn_at: datetime | None = None
    withdrawal_evidence: str = ""

    @property
    def scope(self) -> str:
        """What it lets pass, as one text to be found by."""
        return scope_of(self.resident_key, self.subsystem, self.purpose)

    def holds_at(self, instant: datetime) -> bool:
        """Whether it lets a call pass at an instant: from when it is given until it is withdrawn."""
        if instant < self.given_at or (self.withdrawn_at and instant >= self.withdrawn_at):
            return False
        return self.valid_to is None or day_of(instant) < self.valid_to

    def withdraw(self, evidence: str, at: datetime) -> None:
        """Take it back, with effect at once; a second time changes nothing."""
        if self.withdrawn_at is None:
            self.withdrawn_at, self.withdrawal_evidence = at, evidence


def scope_of(resident_key: str, subsystem: str, purpose: str) -> str:
    """A person, a recipient and a purpose, as one text; the person's key stands last."""
    return f"{subsystem}/{purpose}/{resident_key}"
