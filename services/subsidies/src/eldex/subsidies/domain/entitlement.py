"""Entitlements: what one division owes one person under one scheme, day for day, and what it settled."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from itertools import pairwise
from typing import Any

from eldex.common.aggregate import Aggregate
from eldex.common.calendar import Period
from eldex.common.errors import AlreadyExists
from eldex.common.identifiers import RegionCode
from eldex.subsidies.domain.days import FOREVER, fen_of_days, name_of, period_of
from eldex.subsidies.domain.decision import Decision
from eldex.subsidies.domain.events import (
    Cause,
    DisbursementMade,
    EntitlementAmountChanged,
    EntitlementEnded,
    EntitlementGranted,
    EntitlementResumed,
    EntitlementStopped,
)
from eldex.subsidies.domain.schemes import payer

Reasons = Callable[[date], Sequence[str]]
"""Why it is granted from a day on, one line for each condition; asked only when it is."""


class Status(Enum):
    """What holds at the end of what is decided."""

    ACTIVE = "active"
    STOPPED = "stopped"
    ENDED = "ended"


class EntitlementStands(AlreadyExists):
    """One division owes one person one subsidy once."""

    what = "entitlement"
    zh = "该居民在该发放地已有此项补贴资格：请用 ListEntitlements 查询，使用已有记录"
    en = "this division owes this resident this subsidy already: find it with ListEntitlements, and use that one"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Days on which the same holds, until the next stretch begins; the last: until further notice."""

    began_on: date
    status: Status
    monthly_fen: int = 0
    cause: Cause | None = None
    """Why nothing is paid."""
    region_code: RegionCode | None = None
    """Where the person lives, down to the village if it is known."""
    reference: str = ""
    """The parameters that apply: division and first day."""
    document: str = ""
    """Where they are written: document and clause."""
    grade: str = ""

    @property
    def told(self) -> tuple[Status, int]:
        """What readers of events know of it."""
        return self.status, self.monthly_fen


@dataclass(kw_only=True)
class Entitlement(Aggregate):
    """What one division owes one person under one scheme (待遇)."""

    resident_key: str
    scheme_code: str
    payer: RegionCode
    """Division that pays (发放地): the county."""
    variant: str = ""
    """Of one-off awards: which one. Empty for allowances by the month."""
    hukou_region_code: RegionCode | None = None
    stretches: list[Stretch] = field(default_factory=list)
    status: Status = Status.ENDED
    granted: bool = False
    """It was told to readers as granted."""
    settled_fen: dict[str, int] = field(default_factory=dict)
    """By month: what was paid and is not claimed back."""
    credited_fen: dict[str, int] = field(default_factory=dict)
    """By month: what the person had already under records merged into this one."""
    one_off_fen: int = 0
    one_off_month: str = ""
    one_off_document: str = ""
    offset_recoveries: bool = False
    revised: bool = False
    """Something changed since a cycle looked at all the months that were ever paid."""
    reasons: list[str] = field(default_factory=list)
    """Why it was granted last."""

    # --- days ------------------------------------------------------------------------------------

    def follow(self, decision: Decision, reasons: Reasons) -> Cause | None:
        """Take over a decision and tell what changed; the cause of the first change, None for none.

        Readers are told the difference to what they know: what ended, stopped, goes on or changed
        its amount from which day. A change of grade or township that leaves the amount is not told.
        """
        new = stretches_of(decision, self.payer, granted=self.granted)
        if new == self.stretches:
            return None
        old, self.stretches = self.stretches, new
        self.status = new[-1].status if new else Status.ENDED
        self.revised = True
        first: Cause | None = None
        before, differed = _NOTHING, False
        for day in sorted({s.began_on for s in (*old, *new)}):
            was, now = _at(old, day), _at(new, day)
            differs = was.told != now.told
            basis = before if differed else was
            if (differs or differed) and basis.told != now.told:
                cause = self._why(basis, now, day, decision)
                self._tell(basis, now, day, cause, reasons)
                first = first or cause
            before, differed = now, differs
        return first or Cause.CIRCUMSTANCES_CHANGED

    def _why(self, basis: Stretch, now: Stretch, day: date, decision: Decision) -> Cause:
        if now.status is not Status.ACTIVE:
            return now.cause or _cause_on(decision, self.payer, day)
        if basis.region_code != now.region_code:
            return Cause.MOVED
        if basis.reference != now.reference:
            return Cause.PARAMETERS_CHANGED
        return Cause.CIRCUMSTANCES_CHANGED

    def _tell(
        self, basis: Stretch, now: Stretch, day: date, cause: Cause, reasons: Reasons
    ) -> None:
        if now.status is Status.ENDED:
            self.record(EntitlementEnded(**self._common(), ended_on=day, cause=cause))
        elif now.status is Status.STOPPED:
            self.record(EntitlementStopped(**self._common(), stopped_on=day, cause=cause))
        elif basis.status is Status.ENDED:
            self.granted, self.reasons = True, list(reasons(day))
            self.record(
                EntitlementGranted(
                    **self._common(),
                    began_on=day,
                    monthly_amount_fen=now.monthly_fen,
                    reasons=tuple(self.reasons),
                )
            )
        else:
            if basis.status is Status.STOPPED:
                self.record(EntitlementResumed(**self._common(), resumed_on=day))
            if basis.status is Status.ACTIVE or self._last_paid(day) != now.monthly_fen:
                self.record(
                    EntitlementAmountChanged(
                        **self._common(),
                        changed_on=day,
                        monthly_amount_fen=now.monthly_fen,
                        cause=cause,
                    )
                )

    def _last_paid(self, day: date) -> int:
        paid = [s for s in self.stretches if s.status is Status.ACTIVE and s.began_on < day]
        return paid[-1].monthly_fen if paid else 0

    def _common(self) -> dict[str, Any]:
        return {
            "resident_key": self.resident_key,
            "entitlement_key": self.key,
            "scheme_code": self.scheme_code,
            "region_code": self.payer,
            "hukou_region_code": self.hukou_region_code,
        }

    def paid_stretches(self) -> list[tuple[Stretch, Period]]:
        """The stretches for which something is due, with their days."""
        ends = [after.began_on for _, after in pairwise(self.stretches)]
        return [
            (stretch, Period(stretch.began_on, end))
            for stretch, end in zip(self.stretches, [*ends, None], strict=False)
            if stretch.status is Status.ACTIVE
        ]

    @property
    def active_until(self) -> date:
        """First day after the last one that is due; `date.max` while it goes on.

        What is owed once is due until it is paid: its month's cycle may have been run before.
        """
        if self.one_off_month and self.unpaid_fen(self.one_off_month):
            return FOREVER
        paid = self.paid_stretches()
        return (paid[-1][1].ended_on or FOREVER) if paid else date.min

    # --- money -----------------------------------------------------------------------------------

    def due_fen(self, month_name: str) -> int:
        """What is due for the days of a month."""
        month = period_of(month_name)
        total = self.one_off_fen if month_name == self.one_off_month else 0
        for stretch, period in self.paid_stretches():
            days = period.intersect(month)
            if days is not None and days.ended_on is not None:
                total += fen_of_days(stretch.monthly_fen, days.began_on, days.ended_on)
        return total

    def documents(self, months: Iterable[str]) -> list[str]:
        """By which documents the days of some months are due: every payment cites them (M000-28)."""
        found = {self.one_off_document} if self.one_off_month in months else set()
        for month in map(period_of, months):
            found |= {s.document for s, days in self.paid_stretches() if days.overlaps(month)}
        return sorted(found - {""})

    def unpaid_fen(self, month_name: str) -> int:
        """What is due for a month and was not paid under any record of the person."""
        had = self.settled_fen.get(month_name, 0) + self.credited_fen.get(month_name, 0)
        return max(0, self.due_fen(month_name) - had)

    def settle(self, disbursement: Disbursement) -> None:
        """Take over a payment."""
        for month_name, fen in disbursement.lines_fen.items():
            self.settled_fen[month_name] = self.settled_fen.get(month_name, 0) + fen
        month = disbursement.month
        arrears = sum(f for name, f in disbursement.lines_fen.items() if name != month)
        self.record(
            DisbursementMade(
                **self._common(),
                disbursement_key=disbursement.key,
                month=period_of(month).began_on,
                amount_fen=disbursement.amount_fen,
                arrears_fen=arrears,
                offset_fen=disbursement.offset_fen,
            )
        )

    # --- one-off ---------------------------------------------------------------------------------

    def award(
        self, amount_fen: int, granted_on: date, document: str, reasons: Sequence[str]
    ) -> None:
        """Owe an amount once, in the month of the day."""
        self.one_off_fen, self.one_off_month = amount_fen, name_of(granted_on)
        self.one_off_document = document
        self.status, self.reasons = Status.ACTIVE, list(reasons)
        self.record(
            EntitlementGranted(
                **self._common(),
                began_on=granted_on,
                monthly_amount_fen=0,
                reasons=tuple(reasons),
                one_off_amount_fen=amount_fen,
            )
        )


_NOTHING = Stretch(date.min, Status.ENDED)


def _at(stretches: Sequence[Stretch], day: date) -> Stretch:
    begun = [s for s in stretches if s.began_on <= day]
    return begun[-1] if begun else _NOTHING


def _cause_on(decision: Decision, division: RegionCode, day: date) -> Cause:
    verdict = decision.on(day)
    if verdict is None:
        return Cause.NO_LONGER_ELIGIBLE
    if verdict.cause is Cause.MERGED:
        return Cause.MERGED
    if verdict.region_code is not None and payer(verdict.region_code) != division:
        return Cause.MOVED
    return verdict.cause or Cause.CIRCUMSTANCES_CHANGED


def stretches_of(
    decision: Decision, division: RegionCode, *, granted: bool = False
) -> list[Stretch]:
    """The share of one division in a decision; begins with the first day that it pays.

    Of an entitlement that was granted before, also with the first on which it is only stopped.
    """
    return _joined(_raw(decision, division), granted)


def _raw(decision: Decision, division: RegionCode) -> Iterable[Stretch]:
    for verdict in decision.verdicts:
        region, found = verdict.region_code, verdict.applicable
        elsewhere = region is not None and payer(region) != division
        if elsewhere or not verdict.paid:
            cause = _cause_on(decision, division, verdict.began_on)
            status = Status.ENDED if elsewhere or verdict.final else Status.STOPPED
            yield Stretch(verdict.began_on, status, cause=cause)
        else:
            assert found is not None
            assert verdict.grade is not None
            yield Stretch(
                verdict.began_on,
                Status.ACTIVE,
                verdict.monthly_fen,
                region_code=region,
                reference=found.reference,
                document=str(found.version.source),
                grade=verdict.grade.code,
            )


def _joined(raw: Iterable[Stretch], granted: bool) -> list[Stretch]:
    """Without the days before the first paid one, and without seams that mean nothing."""
    joined: list[Stretch] = []
    for stretch in raw:
        last = joined[-1] if joined else None
        if last is None:
            if stretch.status is Status.ACTIVE or (granted and stretch.status is Status.STOPPED):
                joined.append(stretch)
            continue
        same_rest = stretch.status is last.status and stretch.status is not Status.ACTIVE
        if same_rest or _but_day(stretch) == _but_day(last):
            continue
        joined.append(stretch)
    return joined


def _but_day(stretch: Stretch) -> tuple[object, ...]:
    return (
        stretch.status,
        stretch.monthly_fen,
        stretch.region_code,
        stretch.reference,
        stretch.document,
        stretch.grade,
    )


@dataclass(kw_only=True)
class Disbursement(Aggregate):
    """A payment (发放): at most one for an entitlement or grant and a month's cycle."""

    entitlement_key: str
    """The entitlement, or the institution's grant."""
    payee_key: str
    """The resident, or the institution."""
    scheme_code: str
    payer: RegionCode
    cycle_key: str
    month: str
    """The month of the cycle."""
    lines_fen: dict[str, int]
    """By month: what it pays; other months than the cycle's are arrears. Of institutions, negative
    ones are what was paid too much."""
    offset_fen: int = 0
    """Held back against what was overpaid (抵扣)."""
    bed_days: int = 0
    documents: list[str] = field(default_factory=list)
    """Document and clause of every rule by which it is paid."""

    @property
    def gross_fen(self) -> int:
        """What was due."""
        return sum(self.lines_fen.values())

    @property
    def amount_fen(self) -> int:
        """What is paid out."""
        return self.gross_fen - self.offset_fen


def disbursement_key(entitlement_key: str, month_name: str) -> str:
    """The one name that a payment can have: the database holds no two of it."""
    return f"dis_{entitlement_key.partition('_')[2]}_{month_name.replace('-', '')}"
