"""What comes back of what was overpaid, and what is given up."""

from __future__ import annotations

from datetime import date, datetime

from eldex.common.clock import day_of
from eldex.common.errors import DomainError, Kind
from eldex.subsidies.domain.recovery import Recovery, Repayment
from eldex.subsidies.handlers.ports import Stores


class PaidInFuture(DomainError):
    """Money that has not come yet is not entered."""

    kind, reason = Kind.INVALID, "DAY_IN_FUTURE"
    zh = "日期 {day} 晚于今天"
    en = "the day {day} lies in the future"


async def record_repayment(
    recovery_key: str, amount_fen: int, repaid_on: date, reference: str, etag: str,
    stores: Stores, now: datetime,
) -> Recovery:  # fmt: skip
    """Enter a repayment."""
    if repaid_on > day_of(now):
        raise PaidInFuture(day=repaid_on)
    recovery = await stores.recoveries.get(recovery_key)
    recovery.expect(etag)
    recovery.take(Repayment(repaid_on, amount_fen, reference))
    stores.recoveries.save(recovery)
    return recovery


async def write_off(
    recovery_key: str, amount_fen: int, decision: str, etag: str, stores: Stores, now: datetime
) -> Recovery:
    """Give up a part or all of a claim, by a decision on paper; 0: all that is outstanding."""
    recovery = await stores.recoveries.get(recovery_key)
    recovery.expect(etag)
    fen = amount_fen or recovery.outstanding_fen
    recovery.take(Repayment(day_of(now), fen, decision, written_off=True))
    stores.recoveries.save(recovery)
    return recovery
