"""What is remembered of a delivery: enough to go on after a crash without loss or disorder."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from eldex.common.aggregate import Aggregate
from eldex.exchange.domain.delivery.window import Health, Pending, Window


@dataclass(kw_only=True)
class Delivery(Aggregate):
    """How far a webhook subscription has come; its key is the subscription's.

    Everything up to `scanned` has ended, but for what is `pending`.
    """

    run: int
    """The subscription's `run` that it belongs to."""
    scanned: int
    pending: list[Pending] = field(default_factory=list)
    health: Health = field(default_factory=Health)

    def note(self, window: Window) -> None:
        """Take over where the window stands."""
        self.scanned = window.scanned
        # A dead letter that is tried again is remembered as one (`DeadLetter.redelivering`).
        self.pending = [each for each in window if not each.is_redelivery]
        self.health = window.health

    @property
    def acknowledged(self) -> int:
        """Up to here everything was delivered or set aside."""
        return min((each.cursor for each in self.pending), default=self.scanned + 1) - 1


@dataclass(kw_only=True)
class DeadLetter(Aggregate):
    """An event that an endpoint would not take. The key is `<subscription>/<cursor>`."""

    subscription_key: str
    subsystem: str
    cursor: int
    event_id: str
    event_type: str
    subject: str
    occurred_at: datetime
    reason: str
    attempts: int
    set_aside_at: datetime
    redelivering: bool = False
    redelivered_at: datetime | None = None

    @classmethod
    def of(
        cls, pending: Pending, subscription_key: str, subsystem: str, now: datetime
    ) -> DeadLetter:
        """The letter of an event that has had its last try."""
        return cls(
            key=letter_key(subscription_key, pending.cursor),
            subscription_key=subscription_key,
            subsystem=subsystem,
            cursor=pending.cursor,
            event_id=pending.event_id,
            event_type=pending.type,
            subject=pending.subject,
            occurred_at=pending.occurred_at,
            reason=pending.reason,
            attempts=pending.attempts,
            set_aside_at=now,
        )

    def pending(self) -> Pending:
        """The event, to be tried again from the beginning of the schedule."""
        return Pending(
            self.cursor,
            self.event_id,
            self.event_type,
            self.subject,
            self.occurred_at,
            is_redelivery=True,
        )

    def redeliver(self) -> None:
        """Have it tried again; one that was delivered after all stays as it is."""
        if self.redelivered_at is None:
            self.redelivering = True

    def refused_again(self, pending: Pending, now: datetime) -> None:
        """It was tried again in vain."""
        self.redelivering, self.reason, self.set_aside_at = False, pending.reason, now
        self.attempts += pending.attempts

    def redelivered(self, now: datetime) -> None:
        """It was taken after all."""
        self.redelivering, self.redelivered_at = False, now


def letter_key(subscription_key: str, cursor: int) -> str:
    """Where the dead letter of an event is kept; the letters of a subscription are in their order."""
    return f"{subscription_key}/{cursor:015d}"


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a subscriber is behind."""

    acknowledged: int
    newest: int
    events: int
    seconds: float
    retrying: int = 0
    failing_since: datetime | None = None
