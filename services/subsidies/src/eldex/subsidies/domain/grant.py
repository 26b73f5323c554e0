"""Grants to institutions: from when to when, by how many bed days, and what was settled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import pairwise
from typing import Any

from eldex.common.aggregate import Aggregate
from eldex.common.calendar import Period
from eldex.common.errors import AlreadyExists
from eldex.common.identifiers import RegionCode
from eldex.subsidies.domain.days import fen_of_days, name_of, period_of
from eldex.subsidies.domain.entitlement import Disbursement, Reasons, Status
from eldex.subsidies.domain.events import (
    Cause,
    InstitutionSubsidyGranted,
    InstitutionSubsidyPaid,
    InstitutionSubsidyResumed,
    InstitutionSubsidyStopped,
)
from eldex.subsidies.domain.institution import BedStay, InstitutionVerdict


class GrantStands(AlreadyExists):
    """An institution has one grant under one scheme."""

    what = "grant"
    zh = "该机构已有此项补助：请用 ListInstitutionGrants 查询，使用已有记录"
    en = "this institution has a grant under this scheme already: find it with ListInstitutionGrants, and use that one"


@dataclass(frozen=True, slots=True)
class GrantStretch:
    """Days on which the same holds for a grant, until the next stretch begins."""

    began_on: date
    status: Status
    cause: Cause | None = None
    reference: str = ""
    document: str = ""
    """Where the parameters are written: document and clause."""
    bed_fen: dict[str, int] = field(default_factory=dict)
    """By bed class: what a bed occupied for a whole month is worth."""


@dataclass(kw_only=True)
class InstitutionGrant(Aggregate):
    """What one division owes one institution under one scheme (机构补贴)."""

    institution_key: str
    scheme_code: str
    region_code: RegionCode
    """Division in which the institution lies."""
    payer: RegionCode
    stretches: list[GrantStretch] = field(default_factory=list)
    status: Status = Status.ENDED
    granted: bool = False
    """It was told to readers as granted."""
    settled_fen: dict[str, int] = field(default_factory=dict)
    settled_bed_days: dict[str, int] = field(default_factory=dict)
    one_off_fen: int = 0
    one_off_month: str = ""
    one_off_document: str = ""
    recount_months: int = 0
    evidence: str = ""
    reasons: list[str] = field(default_factory=list)

    def follow(self, verdicts: Sequence[InstitutionVerdict], reasons: Reasons) -> bool:
        """Take over a decision and tell from which day it is granted, stopped or resumed."""
        new = _joined(verdicts, self.granted)
        if new == self.stretches:
            return False
        old, self.stretches = self.stretches, new
        self.status = new[-1].status if new else Status.ENDED
        rules = [v.rule for v in verdicts if v.rule]
        self.recount_months = rules[-1].recount_months if rules else self.recount_months
        before, differed = _NOTHING, False
        for day in sorted({s.began_on for s in (*old, *new)}):
            was, now = _at(old, day), _at(new, day)
            differs = was.status is not now.status
            basis = before if differed else was
            if (differs or differed) and basis.status is not now.status:
                self._tell(basis, now, day, verdicts, reasons)
            before, differed = now, differs
        return True

    def _tell(
        self,
        basis: GrantStretch,
        now: GrantStretch,
        day: date,
        verdicts: Sequence[InstitutionVerdict],
        reasons: Reasons,
    ) -> None:
        if now.status is not Status.ACTIVE:
            begun = [v for v in verdicts if v.began_on <= day]
            cause = (begun[-1].cause if begun else None) or Cause.NO_LONGER_ELIGIBLE
            if basis.status is Status.ACTIVE:
                self.record(
                    InstitutionSubsidyStopped(**self._common(), stopped_on=day, cause=cause)
                )
        elif not self.granted:
            self.granted, self.reasons = True, list(reasons(day))
            self.record(InstitutionSubsidyGranted(**self._common(), began_on=day))
        else:
            self.record(InstitutionSubsidyResumed(**self._common(), resumed_on=day))

    def award(
        self, amount_fen: int, granted_on: date, document: str, evidence: str, reasons: list[str]
    ) -> None:
        """Owe an amount once (M001-48)."""
        self.one_off_fen, self.one_off_month = amount_fen, name_of(granted_on)
        self.one_off_document = document
        self.status, self.evidence, self.reasons = Status.ACTIVE, evidence, reasons
        self.record(InstitutionSubsidyGranted(**self._common(), began_on=granted_on))

    def due(self, month_name: str, stays: Iterable[BedStay]) -> tuple[int, int]:
        """What a month is worth in fen, and the bed days it is reckoned from (M001-49).

        A bed day counts if the bed was occupied on it and the grant was not stopped; its rate is
        that of what the bed was for on the day.
        """
        fen, bed_days = 0, 0
        month = period_of(month_name)
        paid = [(s, days) for s, period in self._paid() if (days := period.intersect(month))]
        for bed_class, time in (piece for stay in stays for piece in stay.by_class()):
            for stretch, days in paid:
                monthly = stretch.bed_fen.get(bed_class.value)
                both = time.intersect(days)
                if monthly is not None and both is not None and both.ended_on is not None:
                    fen += fen_of_days(monthly, both.began_on, both.ended_on)
                    bed_days += both.days()
        return fen, bed_days

    def documents(self, months: Iterable[str]) -> list[str]:
        """By which documents some months are due: every payment cites them (M000-28)."""
        found = {self.one_off_document} if self.one_off_month in months else set()
        for month in map(period_of, months):
            found |= {s.document for s, days in self._paid() if days.overlaps(month)}
        return sorted(found - {""})

    def recount(self, lines_fen: dict[str, int], bed_days: dict[str, int]) -> None:
        """Take over what months are worth now, more or less, with their bed days."""
        for month_name, fen in lines_fen.items():
            self.settled_fen[month_name] = self.settled_fen.get(month_name, 0) + fen
        self.settled_bed_days |= bed_days

    def settle(self, disbursement: Disbursement, bed_days: dict[str, int]) -> None:
        """Take over a payment, with the bed days now settled by month."""
        self.recount(disbursement.lines_fen, bed_days)
        self.record(
            InstitutionSubsidyPaid(
                **self._common(),
                disbursement_key=disbursement.key,
                month=period_of(disbursement.month).began_on,
                occupied_bed_days=disbursement.bed_days,
                amount_fen=disbursement.amount_fen,
                offset_fen=disbursement.offset_fen,
            )
        )

    def _paid(self) -> list[tuple[GrantStretch, Period]]:
        ends = [after.began_on for _, after in pairwise(self.stretches)]
        return [
            (stretch, Period(stretch.began_on, end))
            for stretch, end in zip(self.stretches, [*ends, None], strict=False)
            if stretch.status is Status.ACTIVE
        ]

    def _common(self) -> dict[str, Any]:
        return {
            "institution_key": self.institution_key,
            "grant_key": self.key,
            "scheme_code": self.scheme_code,
            "region_code": self.region_code,
        }


_NOTHING = GrantStretch(date.min, Status.ENDED)


def _at(stretches: Sequence[GrantStretch], day: date) -> GrantStretch:
    begun = [s for s in stretches if s.began_on <= day]
    return begun[-1] if begun else _NOTHING


def _joined(verdicts: Iterable[InstitutionVerdict], granted: bool) -> list[GrantStretch]:
    joined: list[GrantStretch] = []
    for verdict in verdicts:
        if verdict.cause is None:
            assert verdict.applicable is not None
            assert verdict.rule is not None
            stretch = GrantStretch(
                verdict.began_on,
                Status.ACTIVE,
                reference=verdict.applicable.reference,
                document=str(verdict.applicable.version.source),
                bed_fen=verdict.rule.bed_fen,
            )
        else:
            status = Status.ENDED if verdict.final else Status.STOPPED
            stretch = GrantStretch(verdict.began_on, status, verdict.cause)
        last = joined[-1] if joined else None
        begins = stretch.status is Status.ACTIVE or (granted and stretch.status is Status.STOPPED)
        if last is None and not begins:
            continue
        if last is not None:
            same_rest = stretch.status is last.status and stretch.status is not Status.ACTIVE
            if same_rest or replace(stretch, began_on=last.began_on) == last:
                continue
        joined.append(stretch)
    return joined
