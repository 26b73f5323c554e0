"""Institutions, from filing to exit."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from eldex.common.aggregate import Aggregate
from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers import CreditCode, RegionCode
from eldex.institutions.domain import events
from eldex.institutions.domain.days import DayImpossible, not_before, past_or_today
from eldex.institutions.domain.events import InstitutionKind
from eldex.institutions.domain.filing import (
    CorrectionsMissing,
    Details,
    FilingAct,
    FilingLevel,
    FilingStep,
    filing_path,
    must_be_turn_of,
    must_suit_code,
)
from eldex.institutions.domain.operator import AdmissionsAreHalted, Halt
from eldex.institutions.domain.status import FILED_AND_OPEN, AwaitsReview, Status, must_be


class DetailFixed(DomainError):
    """A change that makes it another institution, which files for itself."""

    kind, reason = Kind.CONFLICT, "DETAIL_FIXED"
    zh = "备案完成后不得变更 {field}：请以新机构重新备案"
    en = "{field} of a filed institution does not change: file it as a new one"


class NotOperatingThen(DomainError):
    """A day on which the institution was not operating."""

    kind, reason = Kind.CONFLICT, "NOT_OPERATING_THEN"
    zh = "机构在 {day} 未运营"
    en = "the institution was not operating on {day}"


class ResettlementPlanMissing(DomainError):
    """People live there, and nobody says where they go (M002-115; 老年人权益保障法 art. 46)."""

    kind, reason = Kind.CONFLICT, "RESETTLEMENT_PLAN_MISSING"
    zh = "尚有 {occupied} 人入住，须先制定安置方案"
    en = "{occupied} people are there still: a resettlement plan is needed first"


class NoticeTooShort(DomainError):
    """The residents would learn of it too late."""

    kind, reason = Kind.CONFLICT, "NOTICE_TOO_SHORT"
    zh = "终止服务须提前 {notice_days} 日告知（{document}），最早为 {earliest}"
    en = "closing takes {notice_days} days' notice ({document}): {earliest} at the earliest"


class BedsStillOccupied(DomainError):
    """Nobody is left behind."""

    kind, reason = Kind.CONFLICT, "BEDS_STILL_OCCUPIED"
    zh = "尚有 {occupied} 张床位有人入住，请先办理出院或转院"
    en = "{occupied} beds are occupied still: discharge or transfer their residents first"


@dataclass(slots=True)
class Suspension:
    """Days without operation: `suspended_on` ≤ day < `resumed_on`."""

    suspended_on: date
    reason: str
    resumed_on: date | None = None


@dataclass(frozen=True, slots=True)
class ClosurePlan:
    """How an institution leaves (M002-115)."""

    planned_on: date
    closes_on: date
    reason: str
    resettlement_plan: str


@dataclass(kw_only=True)
class Institution(Aggregate):
    """An institution for the care of elders or small children (养老、托育机构)."""

    credit_code: CreditCode
    institution_kind: InstitutionKind
    region_code: RegionCode
    details: Details
    status: Status = Status.SUBMITTED
    awaits: list[FilingLevel] = field(default_factory=list)
    """Who has still to accept the filing, in order."""
    steps: list[FilingStep] = field(default_factory=list)
    filed_on: date | None = None
    opened_on: date | None = None
    suspensions: list[Suspension] = field(default_factory=list)
    halts: list[Halt] = field(default_factory=list)
    closure: ClosurePlan | None = None
    closed_on: date | None = None
    grade: int = 0
    graded_on: date | None = None
    grade_ends_on: date | None = None
    bed_count: int = 0
    updated_at: datetime | None = None

    @classmethod
    def file(
        cls,
        key: str,
        credit_code: CreditCode,
        kind: InstitutionKind,
        region_code: RegionCode,
        details: Details,
        today: date,
    ) -> Institution:
        """Submit a filing."""
        must_suit_code(details.profit_nature, credit_code)
        details.must_be_dated(today)
        return cls(
            key=key,
            credit_code=credit_code,
            institution_kind=kind,
            region_code=region_code,
            details=details,
            awaits=filing_path(kind),
            steps=[FilingStep(FilingAct.SUBMITTED, today)],
        )

    # --- filing -------------------------------------------------------------------------------

    def accept(self, authority: RegionCode, document: str, today: date) -> None:
        """One authority accepts; the last one completes the filing."""
        level = self._turn_of(authority)
        if level is FilingLevel.PROVINCE:
            # The region reviews what two levels have accepted; that is an act of its own.
            raise AwaitsReview
        self.details.must_be_committed()
        self._step(FilingAct.ACCEPTED, today, level, authority, document)
        self._advance(today)

    def review(
        self, authority: RegionCode, approved: bool, document: str, corrections: str, today: date
    ) -> None:
        """The region's department decides on what county and prefecture accepted (M000-30)."""
        self._must_be(Status.ACCEPTED)
        level = self._turn_of(authority)
        if approved:
            self._step(FilingAct.REVIEWED, today, level, authority, document)
            self._advance(today)
        elif corrections:
            self._step(FilingAct.RETURNED, today, level, authority, document, corrections)
            self.status = Status.RETURNED
        else:
            raise CorrectionsMissing

    def send_back(
        self, authority: RegionCode, corrections: str, document: str, today: date
    ) -> None:
        """Return the filing for correction."""
        level = self._turn_of(authority)
        self._step(FilingAct.RETURNED, today, level, authority, document, corrections)
        self.status = Status.RETURNED

    def amend(self, details: Details, note: str, today: date) -> None:
        """Correct a returned filing, which starts again, or tell a change of a filed one."""
        self._must_be(Status.RETURNED, Status.FILED, Status.OPERATING, Status.SUSPENDED)
        if self.status is Status.RETURNED:
            must_suit_code(details.profit_nature, self.credit_code)
            details.must_be_dated(self.steps[0].acted_on)
            self.status, self.awaits = Status.SUBMITTED, filing_path(self.institution_kind)
            self._step(FilingAct.SUBMITTED, today, note=note)
        else:
            # Whoever does not know the field leaves it out, and means no change.
            declared = details.established_on or self.details.established_on
            details = replace(details, established_on=declared)
            for name in ("profit_nature", "site", "opens_on", "established_on"):
                if getattr(details, name) != getattr(self.details, name):
                    raise DetailFixed(field=name)
            details.must_be_committed()
            self._step(FilingAct.AMENDED, today, note=note)
        self.details = details

    def _turn_of(self, authority: RegionCode) -> FilingLevel:
        self._must_be(Status.SUBMITTED, Status.ACCEPTED)
        level = self.awaits[0]
        must_be_turn_of(level, self.region_code, authority)
        return level

    def _step(
        self,
        act: FilingAct,
        today: date,
        level: FilingLevel | None = None,
        authority: RegionCode | None = None,
        document: str = "",
        note: str = "",
    ) -> None:
        self.steps.append(FilingStep(act, today, level, authority, document, note))

    def _advance(self, today: date) -> None:
        self.awaits.pop(0)
        if self.awaits:
            self.status = Status.ACCEPTED
            return
        self.status, self.filed_on = Status.FILED, today
        filed = events.InstitutionFiled(
            **self._named(),
            institution_kind=self.institution_kind,
            profit_nature=self.details.profit_nature,
            filed_on=today,
            opened_on=self.details.opens_on,
        )
        self.record(filed)
        for halt in self.halts:
            if halt.lifted_on is None:
                self._tell_halt(halt)

    # --- operation and exit -------------------------------------------------------------------

    def start(self, opened_on: date, today: date) -> None:
        """Begin to operate; before the filing only if the filing said so, and so was accepted."""
        self._must_be(Status.FILED)
        past_or_today(opened_on, today)
        earliest = min(self.details.opens_on, self.steps[0].acted_on)
        not_before(opened_on, earliest, "备案所载的开业之日", "the day that the filing gives")
        self.status, self.opened_on = Status.OPERATING, opened_on
        self.record(events.InstitutionOpened(**self._named(), opened_on=opened_on))

    def suspend(self, suspended_on: date, reason: str, today: date) -> None:
        """Stop for a time."""
        self._must_be(Status.OPERATING)
        past_or_today(suspended_on, today)
        not_before(suspended_on, self._operating_since(), "本次运营之始", "it operated (again)")
        self.status = Status.SUSPENDED
        self.suspensions.append(Suspension(suspended_on, reason))
        self.record(events.InstitutionSuspended(**self._named(), suspended_on=suspended_on))

    def resume(self, resumed_on: date, today: date) -> None:
        """Go on after a suspension, or give up the plan to close.

        Other departments were never told of the plan: only the end of a suspension is an event.
        """
        self._must_be(Status.SUSPENDED, Status.CLOSING)
        past_or_today(resumed_on, today)
        self.closure = None
        if self.opened_on is None:
            self.status = Status.FILED
            return
        self.status = Status.OPERATING
        last = self.suspensions[-1] if self.suspensions else None
        if last is None or last.resumed_on is not None:
            return
        if resumed_on <= last.suspended_on:
            raise DayImpossible(
                day=resumed_on,
                why_zh=f"须晚于暂停之日（{last.suspended_on}）",
                why=f"it must come after the suspension ({last.suspended_on})",
            )
        last.resumed_on = resumed_on
        self.record(events.InstitutionResumed(**self._named(), resumed_on=resumed_on))

    def plan_closure(self, plan: ClosurePlan, occupied: int, notice: tuple[int, str]) -> None:
        """Announce the end; `notice` is the days of notice and the document that asks for them."""
        self._must_be(Status.FILED, Status.OPERATING, Status.SUSPENDED)
        not_before(plan.closes_on, plan.planned_on, "今天", "today")
        notice_days, document = notice
        earliest = plan.planned_on + timedelta(days=notice_days)
        if plan.closes_on < earliest:
            raise NoticeTooShort(notice_days=notice_days, document=document, earliest=earliest)
        if occupied and not plan.resettlement_plan:
            raise ResettlementPlanMissing(occupied=occupied)
        self.status, self.closure = Status.CLOSING, plan

    def close(self, closed_on: date, occupied: int, today: date) -> None:
        """Leave the field, only when nobody is there any more; or withdraw an open filing.

        A filing for the wrong kind or division cannot be amended: it is withdrawn and made anew.
        """
        self._must_be(Status.SUBMITTED, Status.RETURNED, Status.ACCEPTED, Status.CLOSING)
        past_or_today(closed_on, today)
        not_before(closed_on, self.steps[0].acted_on, "提交备案之日", "the filing")
        if occupied:
            raise BedsStillOccupied(occupied=occupied)
        if self.closure is not None:
            # Or the notice would be kept on paper only.
            not_before(closed_on, self.closure.closes_on, "公告的终止服务之日", "the announced day")
        self.status, self.closed_on, self.bed_count = Status.CLOSED, closed_on, 0
        if self.filed_on is not None:  # of any other nobody was told
            self.record(events.InstitutionClosed(**self._named(), closed_on=closed_on))

    # --- admissions ---------------------------------------------------------------------------

    def halt(self, listing_key: str, halted_on: date) -> None:
        """Admit nobody while this listing stands. A listing told again changes nothing."""
        if any(halt.listing_key == listing_key for halt in self.halts):
            return
        halt = Halt(listing_key, halted_on)
        self.halts.append(halt)
        if self.status in FILED_AND_OPEN:
            self._tell_halt(halt)

    def lift(self, listing_key: str, lifted_on: date) -> None:
        """The listing stands no more; admissions reopen when none stands.

        The lifting may come before the order: then the listing is remembered as already lifted.
        """
        known = next((h for h in self.halts if h.listing_key == listing_key), None)
        if known is None:
            self.halts.append(Halt(listing_key, lifted_on, lifted_on))
            return
        if known.lifted_on is not None:
            return
        known.lifted_on = lifted_on
        ends = [halt.lifted_on for halt in self.halts]
        if None not in ends and self.status in FILED_AND_OPEN:
            reopened_on = max(end for end in ends if end is not None)
            self.record(events.AdmissionsReopened(**self._named(), reopened_on=reopened_on))

    def _tell_halt(self, halt: Halt) -> None:
        self.record(
            events.AdmissionsHalted(
                **self._named(), halted_on=halt.halted_on, listing_key=halt.listing_key
            )
        )

    def admits(self, today: date) -> bool:
        """Whether it may admit somebody today."""
        try:
            self.must_admit(today, today)
        except DomainError:
            return False
        return True

    def must_admit(self, day: date, today: date) -> None:
        """Raise what forbids an admission from a day on, told today.

        A listing that stands today forbids it whatever the day: nobody dates an admission back
        around a punishment.
        """
        self._must_be(Status.OPERATING)
        for halt in self.halts:
            if halt.holds_on(today) or halt.holds_on(day):
                raise AdmissionsAreHalted(listing_key=halt.listing_key)
        if self.opened_on is None or day < self.opened_on:
            raise NotOperatingThen(day=day)
        for each in self.suspensions:
            if each.suspended_on <= day and (each.resumed_on is None or day < each.resumed_on):
                raise NotOperatingThen(day=day)

    def must_move_within(self) -> None:
        """Raise what forbids moving somebody from one of its beds to another."""
        self._must_be(Status.OPERATING, Status.SUSPENDED, Status.CLOSING)

    def must_hold_beds(self) -> None:
        """Raise what forbids adding beds."""
        self._must_be(*(s for s in Status if s not in {Status.CLOSING, Status.CLOSED}))

    def must_be_filed(self) -> None:
        """Raise what forbids grading it: it is not in the field."""
        self._must_be(*FILED_AND_OPEN)

    def take_grade(self, grade: int, points: int, graded_on: date, ends_on: date | None) -> None:
        """Hold a grade from now on, unless a later grading is known already."""
        if self.graded_on is None or graded_on >= self.graded_on:
            self.grade, self.graded_on, self.grade_ends_on = grade, graded_on, ends_on
        self.record(
            events.InstitutionGraded(
                **self._named(), grade=grade, points=points, graded_on=graded_on
            )
        )

    def _operating_since(self) -> date:
        resumed = [s.resumed_on for s in self.suspensions if s.resumed_on is not None]
        return max(filter(None, [self.opened_on, *resumed]))

    def _must_be(self, *wanted: Status) -> None:
        must_be(self.status, wanted)

    def _named(self) -> dict[str, Any]:
        return {
            "institution_key": self.key,
            "credit_code": self.credit_code,
            "region_code": self.region_code,
        }
