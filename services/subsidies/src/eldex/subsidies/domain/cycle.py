"""Work that takes longer than one act: the monthly cycle, and deciding many people anew.

Both keep in the database how far they are, so that they go on where they were after any crash.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from eldex.common.aggregate import Aggregate
from eldex.common.identifiers import RegionCode


class CycleState(Enum):
    """How far a cycle is."""

    DECIDING = "deciding"
    """People for whom something changes by the end of the month are decided first."""
    PAYING = "paying"
    """Entitlements of persons, page by page."""
    INSTITUTIONS = "institutions"
    """Grants to institutions, page by page."""
    DONE = "done"


@dataclass(slots=True)
class PaidMonth:
    """A month for which a cycle was run in a division; what facts tell late about it is caught up."""

    month: str
    region_code: RegionCode


@dataclass(kw_only=True)
class Cycle(Aggregate):
    """The payment of one month in one division and all below it (月度发放)."""

    month: str
    region_code: RegionCode
    began_at: datetime
    state: CycleState = CycleState.DECIDING
    cursor: str = ""
    """The last key that was looked at in this state."""
    catches_up: list[PaidMonth] = field(default_factory=list)
    looked_at: int = 0
    """Entitlements and grants looked at so far."""
    payments: int = 0
    amount_fen: int = 0
    finished_at: datetime | None = None

    def months_for(self, payer: RegionCode, one_off_month: str = "") -> list[str]:
        """The months that it pays or catches up for a division, oldest first.

        What is owed once is owed since it was granted, whether or not that month had a cycle here.
        """
        others = {m.month for m in self.catches_up if m.region_code.contains(payer)}
        if one_off_month and one_off_month <= self.month:
            others.add(one_off_month)
        return sorted(others | {self.month})

    def advance(
        self, last_key: str, looked_at: int, payments: int, amount_fen: int, *, more: bool
    ) -> None:
        """A page is done; without another one, the next state begins."""
        self.looked_at += looked_at
        self.payments += payments
        self.amount_fen += amount_fen
        self.cursor = last_key
        if not more:
            self.next_state()

    def next_state(self) -> None:
        """Go on to what comes next."""
        order = list(CycleState)
        self.state, self.cursor = order[order.index(self.state) + 1], ""


def cycle_key(month: str, region_code: RegionCode) -> str:
    """The one name that a month's cycle in a division can have."""
    return f"cyc_{month.replace('-', '')}_{region_code}"


@dataclass(kw_only=True)
class Redecision(Aggregate):
    """Everybody in a division is to be decided anew, because parameters changed."""

    scheme_code: str
    region_code: RegionCode
    requested_at: datetime
    began_at: datetime | None = None
    """When it was begun: whoever was decided later is done."""
    decided: int = 0
    finished_at: datetime | None = None
