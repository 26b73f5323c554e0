"""Who joins, and with which certificates members come (成员加入与证书), as the exchange tells it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from eldex.console.domain.sharing import AccessRequest, Approval

JOININGS: Final = ("pending", "invited", "admitted", "refused")
"""How far a joining may have come; those first that want something done."""


@dataclass(frozen=True, slots=True)
class Joining:
    """A subsystem on its way to being a member (加入申请)."""

    key: str
    subsystem: str
    state: str
    """One of `JOININGS`."""
    token_ends_at: datetime
    official_code: str
    """Who asked; empty: nobody has yet."""
    key_digest: str
    """SHA-256 of its public key, hexadecimal."""
    provider: str
    decisions: tuple[Approval, ...]
    awaits: tuple[str, ...]
    """Roles that have yet to decide."""
    agreement_key: str
    etag: str
    access: AccessRequest | None = None
    """What it needs first, with the deadline of the answer; None: not asked yet, or decided."""

    @property
    def awaits_operator(self) -> bool:
        """Whether the operator of the exchange has yet to decide."""
        return "operator" in self.awaits


class Validity(StrEnum):
    """Whether a certificate counts at an instant."""

    GOOD = "good"
    ENDING = "ending"
    """Less than a third of its time is left: the usual moment to renew."""
    ENDED = "ended"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A member's certificate (成员单位证书)."""

    serial_number: str
    subsystem: str
    issued_at: datetime | None
    """None: another authority made it."""
    ends_at: datetime | None
    renewed_by: tuple[str, ...]
    """Serial numbers of those that were got with it."""
    revoked_at: datetime | None
    reason: str
    revoked_by: str

    def validity(self, now: datetime) -> Validity:
        """Whether it counts."""
        if self.revoked_at is not None:
            return Validity.REVOKED
        if self.ends_at is None:
            return Validity.GOOD
        if now >= self.ends_at:
            return Validity.ENDED
        issued = self.issued_at or now
        is_near = (self.ends_at - now) * 3 < self.ends_at - issued
        return Validity.ENDING if is_near else Validity.GOOD


def current(certificates: Iterable[Certificate], now: datetime) -> list[Certificate]:
    """Those that count, the one that ends first before the others."""
    count = [
        each for each in certificates if each.validity(now) in (Validity.GOOD, Validity.ENDING)
    ]
    return sorted(count, key=lambda each: each.ends_at or datetime.max.replace(tzinfo=UTC))
