"""Recoveries: what was overpaid and is claimed back (追回)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from typing import Any

from eldex.common.aggregate import Aggregate
from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers import RegionCode
from eldex.subsidies.domain.events import (
    Cause,
    InstitutionRecoveryOpened,
    InstitutionRecoverySettled,
    RecoveryOpened,
    RecoverySettled,
)


class MoreThanOwed(DomainError):
    """Nobody pays back, or is let off, more than is still claimed."""

    kind, reason = Kind.CONFLICT, "MORE_THAN_OUTSTANDING"
    zh = "金额 {amount_fen} 分超过尚未收回的 {outstanding_fen} 分"
    en = "{amount_fen} fen is more than the {outstanding_fen} fen still outstanding"


class RecoveryStatus(Enum):
    """Whether something is still claimed."""

    OPEN = "open"
    SETTLED = "settled"


@dataclass(slots=True)
class Repayment:
    """What came back, or was given up, and by which paper."""

    on: date
    amount_fen: int
    reference: str
    written_off: bool = False


@dataclass(kw_only=True)
class Recovery(Aggregate):
    """What a person owes back from an entitlement, or an institution from a grant."""

    entitlement_key: str
    """The entitlement, or the institution's grant."""
    resident_key: str
    """The person; empty if it is an institution's."""
    institution_key: str = ""
    scheme_code: str
    payer: RegionCode
    hukou_region_code: RegionCode | None
    cause: Cause
    opened_on: date
    lines_fen: dict[str, int]
    """By month: what was overpaid and is not withdrawn."""
    amount_fen: int
    """What was claimed at first."""
    withdrawn_fen: int = 0
    """What turned out to be due after all."""
    repayments: list[Repayment] = field(default_factory=list)
    status: RecoveryStatus = RecoveryStatus.OPEN

    def open(self) -> None:
        """Tell that it is claimed."""
        if self.institution_key:
            self.record(
                InstitutionRecoveryOpened(
                    **self._of_institution(), amount_fen=self.amount_fen, cause=self.cause
                )
            )
            return
        self.record(
            RecoveryOpened(
                **self._common(),
                amount_fen=self.amount_fen,
                cause=self.cause,
            )
        )

    @property
    def repaid_fen(self) -> int:
        """What came back, by payment or by offset."""
        return sum(r.amount_fen for r in self.repayments if not r.written_off)

    @property
    def written_off_fen(self) -> int:
        """What was given up."""
        return sum(r.amount_fen for r in self.repayments if r.written_off)

    @property
    def outstanding_fen(self) -> int:
        """What is still claimed."""
        back = self.repaid_fen + self.written_off_fen
        return self.amount_fen - self.withdrawn_fen - back

    def take(self, repayment: Repayment) -> None:
        """Enter what came back or was given up; raises `MoreThanOwed`."""
        if repayment.amount_fen > self.outstanding_fen:
            raise MoreThanOwed(
                amount_fen=repayment.amount_fen, outstanding_fen=self.outstanding_fen
            )
        self.repayments.append(repayment)
        self._close_if_done()

    def withdraw(self, month_name: str, most_fen: int) -> int:
        """Claim less, because days of a month are due after all; how much less, in fen."""
        fen = min(most_fen, self.lines_fen.get(month_name, 0), self.outstanding_fen)
        if fen > 0:
            self.lines_fen[month_name] -= fen
            self.withdrawn_fen += fen
            self._close_if_done()
        return fen

    def _close_if_done(self) -> None:
        if self.outstanding_fen == 0 and self.status is RecoveryStatus.OPEN:
            self.status = RecoveryStatus.SETTLED
            if self.institution_key:
                self.record(
                    InstitutionRecoverySettled(
                        **self._of_institution(),
                        repaid_fen=self.repaid_fen,
                        written_off_fen=self.written_off_fen,
                    )
                )
                return
            self.record(
                RecoverySettled(
                    **self._common(),
                    repaid_fen=self.repaid_fen,
                    written_off_fen=self.written_off_fen,
                    withdrawn_fen=self.withdrawn_fen,
                )
            )

    def _of_institution(self) -> dict[str, Any]:
        return {
            "institution_key": self.institution_key,
            "grant_key": self.entitlement_key,
            "scheme_code": self.scheme_code,
            "recovery_key": self.key,
            "region_code": self.payer,
        }

    def _common(self) -> dict[str, Any]:
        return {
            "resident_key": self.resident_key,
            "entitlement_key": self.entitlement_key,
            "scheme_code": self.scheme_code,
            "recovery_key": self.key,
            "region_code": self.payer,
            "hukou_region_code": self.hukou_region_code,
        }
