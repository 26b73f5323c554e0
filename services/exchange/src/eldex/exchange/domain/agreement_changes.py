"""Changes of agreements by operators: what gives more than before takes two of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum

from eldex.common.aggregate import Aggregate
from eldex.exchange.domain.access_requests import AlreadyDecided
from eldex.exchange.domain.agreements import Agreement
from eldex.exchange.domain.operators import Operator


class ChangeState(Enum):
    """Where a change stands."""

    WAITING = "waiting"
    APPROVED = "approved"
    REFUSED = "refused"


@dataclass(kw_only=True)
class AgreementChange(Aggregate):
    """The newest change asked for of an agreement (same key); a newer one takes its place."""

    wanted: Agreement
    based_on: str
    """Etag of the agreement that it changes; empty: a new agreement."""
    proposed_by: str
    proposed_with: str
    """The seat."""
    proposed_at: datetime
    state: ChangeState = ChangeState.WAITING
    decided_by: str = ""
    decided_with: str = ""
    decided_at: datetime | None = None
    reason: str = ""
    """Why it was refused."""

    def decide(self, operator: Operator, now: datetime, *, approved: bool, reason: str) -> None:
        """Let it into force, or refuse it; raises `AlreadyDecided`, `SecondPersonNeeded`.

        Whoever asked may refuse alone: that takes it back.
        """
        if self.state is not ChangeState.WAITING:
            raise AlreadyDecided
        if approved:
            operator.require_another(self.proposed_by, self.proposed_with)
        self.state = ChangeState.APPROVED if approved else ChangeState.REFUSED
        self.decided_by, self.decided_with, self.decided_at = operator.account, operator.seat, now
        self.reason = reason


def only_takes_away(present: Agreement | None, wanted: Agreement) -> bool:
    """Whether a change suspends an agreement or ends it sooner, and does nothing else.

    That must not wait for anybody: who may look too much is stopped by the first who sees it.
    """
    if present is None:
        return False
    ends = wanted.valid_to == present.valid_to or (
        wanted.valid_to is not None
        and (present.valid_to is None or wanted.valid_to < present.valid_to)
    )
    stays = wanted.suspended or not present.suspended
    rest = replace(
        wanted,
        version=present.version,
        valid_to=present.valid_to,
        suspended=present.suspended,
    )
    return ends and stays and rest == present
