"""Enrolments: who is insured under which scheme, by whose fund, on which days."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import Enum

from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers import RegionCode
from eldex.medical.domain.tenure import DayImpossible, Days, EndCause, Tenure


class Scheme(Enum):
    """A scheme of social insurance (险种)."""

    EMPLOYEE = "employee"
    """职工基本医疗保险."""
    RESIDENT = "resident"
    """城乡居民基本医疗保险."""
    LONG_TERM_CARE = "long-term-care"
    """长期护理保险; stands beside one of the two others."""

    @property
    def basic(self) -> bool:
        """Whether it is one of the two of which a person is in one at a time."""
        return self is not Scheme.LONG_TERM_CARE


class Status(Enum):
    """What an enrolment is on a day."""

    AHEAD = "ahead"
    COVERED = "covered"
    SUSPENDED = "suspended"
    ENDED = "ended"


class NoCover(Enum):
    """Why there is no cover on a day."""

    NOT_ENROLLED = "not-enrolled"
    SUSPENDED = "suspended"
    ENDED = "ended"
    AHEAD = "ahead"
    DECEASED = "deceased"


class AlreadyEnrolled(DomainError):
    """Nobody is insured twice on one day (mission map 4.14: 8,367 duplicate enrolments)."""

    kind, reason = Kind.CONFLICT, "ALREADY_ENROLLED"
    zh = "该居民在此期间已参保（{enrolment_key}，自 {began_on} 起），请先终止原参保关系"
    en = (
        "the resident is enrolled on some of these days already ({enrolment_key}, from {began_on}):"
        " end that enrolment first"
    )


class EnrolmentEnded(DomainError):
    """It has ended: it neither rests nor resumes nor ends on a later day."""

    kind, reason = Kind.CONFLICT, "ENROLMENT_ENDED"
    zh = "参保关系 {enrolment_key} 已于 {ended_on} 终止"
    en = "the enrolment {enrolment_key} has ended, on {ended_on}"


class AlreadySuspended(DomainError):
    """It rests already."""

    kind, reason = Kind.CONFLICT, "ALREADY_SUSPENDED"
    zh = "参保关系 {enrolment_key} 自 {suspended_on} 起已停保"
    en = "the enrolment {enrolment_key} rests already, since {suspended_on}"


class NotSuspended(DomainError):
    """It does not rest."""

    kind, reason = Kind.CONFLICT, "NOT_SUSPENDED"
    zh = "参保关系 {enrolment_key} 未停保，无需续保"
    en = "the enrolment {enrolment_key} does not rest: there is nothing to resume"


@dataclass(frozen=True, slots=True)
class Opened:
    """A person is insured from a day on."""

    resident_key: str
    enrolment_key: str
    scheme: Scheme
    began_on: date
    region_code: RegionCode


@dataclass(frozen=True, slots=True)
class Suspended:
    """An enrolment rests from a day on."""

    resident_key: str
    enrolment_key: str
    scheme: Scheme
    suspended_on: date
    region_code: RegionCode


@dataclass(frozen=True, slots=True)
class Resumed:
    """An enrolment gives cover again."""

    resident_key: str
    enrolment_key: str
    scheme: Scheme
    resumed_on: date
    region_code: RegionCode


@dataclass(frozen=True, slots=True)
class Ended:
    """An enrolment has ended."""

    resident_key: str
    enrolment_key: str
    scheme: Scheme
    ended_on: date
    cause: EndCause
    region_code: RegionCode


@dataclass(slots=True)
class Suspension:
    """A stretch without cover (停保): `began_on` ≤ day < `ended_on`."""

    began_on: date
    reason: str
    ended_on: date | None = None


@dataclass(kw_only=True)
class Enrolment(Tenure):
    """Somebody is insured under a scheme (参保)."""

    scheme: Scheme
    suspensions: list[Suspension] = field(default_factory=list)
    """Oldest first, without overlaps; only the last one may be open."""

    def status_on(self, day: date) -> Status:
        """What it is on a day."""
        if day < self.began_on:
            return Status.AHEAD
        if not self.days.contains(day):
            return Status.ENDED
        rests = any(Days(s.began_on, s.ended_on).contains(day) for s in self.suspensions)
        return Status.SUSPENDED if rests else Status.COVERED

    def suspend(self, suspended_on: date, reason: str) -> None:
        """Rest from a day on."""
        self._must_run(suspended_on)
        last = self.suspensions[-1] if self.suspensions else None
        if last is not None and last.ended_on is None:
            raise AlreadySuspended(enrolment_key=self.key, suspended_on=last.began_on)
        earliest = last.ended_on if last is not None and last.ended_on else self.began_on
        if suspended_on < earliest:
            raise DayImpossible(
                day=suspended_on,
                why_zh=f"停保日须不早于 {earliest}",
                why=f"the enrolment cannot rest from a day before {earliest}",
            )
        self.suspensions.append(Suspension(suspended_on, reason))
        self.record(self._suspended(suspended_on))

    def resume(self, resumed_on: date) -> None:
        """Give cover again from a day on."""
        self._must_run(resumed_on)
        last = self.suspensions[-1] if self.suspensions else None
        if last is None or last.ended_on is not None:
            raise NotSuspended(enrolment_key=self.key)
        if resumed_on <= last.began_on:
            raise DayImpossible(
                day=resumed_on,
                why_zh=f"续保日须晚于停保日 {last.began_on}",
                why=f"cover comes back after the day on which it rested, {last.began_on}",
            )
        last.ended_on = resumed_on
        self.record(self._resumed(resumed_on))

    def end(self, ended_on: date, cause: EndCause) -> None:
        """End it; the same end again changes nothing, a later one is refused."""
        if self.ended_on is not None and self.ended_on < ended_on:
            raise EnrolmentEnded(enrolment_key=self.key, ended_on=self.ended_on)
        Tenure.end(self, ended_on, cause)

    def cover_end(self, day: date) -> date | None:
        """The first day from `day` on without cover; None while no such day is known."""
        ends = [s.began_on for s in self.suspensions if s.ended_on is None or day < s.ended_on]
        if self.ended_on is not None:
            ends.append(self.ended_on)
        return max(min(ends), day) if ends else None

    def tell_begun(self) -> None:
        """It begins, and rests as it rests: whoever hears of it first knows both."""
        self.record(
            Opened(self.resident_key, self.key, self.scheme, self.began_on, self.region_code)
        )
        for each in self.suspensions:
            if each.began_on >= self.began_on:
                self.record(self._suspended(each.began_on))
                if each.ended_on is not None:
                    self.record(self._resumed(each.ended_on))

    def tell_ended(self) -> None:
        """It ends."""
        assert self.ended_on is not None
        assert self.end_cause is not None
        self.record(
            Ended(
                self.resident_key,
                self.key,
                self.scheme,
                self.ended_on,
                self.end_cause,
                self.region_code,
            )
        )

    def _suspended(self, day: date) -> Suspended:
        return Suspended(self.resident_key, self.key, self.scheme, day, self.region_code)

    def _resumed(self, day: date) -> Resumed:
        return Resumed(self.resident_key, self.key, self.scheme, day, self.region_code)

    def _must_run(self, day: date) -> None:
        if self.ended_on is not None and day >= self.ended_on:
            raise EnrolmentEnded(enrolment_key=self.key, ended_on=self.ended_on)
        if day < self.began_on:
            raise DayImpossible(
                day=day,
                why_zh=f"早于参保起始日 {self.began_on}",
                why=f"it lies before the first day of the enrolment, {self.began_on}",
            )


@dataclass(frozen=True, slots=True)
class Cover:
    """Whether there is cover on a day: by `enrolment` if `reason` is None, else why not."""

    enrolment: Enrolment | None
    reason: NoCover | None

    @property
    def covered(self) -> bool:
        """Whether there is."""
        return self.reason is None


_REASONS = {
    Status.SUSPENDED: NoCover.SUSPENDED,
    Status.ENDED: NoCover.ENDED,
    Status.AHEAD: NoCover.AHEAD,
}


def cover_on(enrolments: list[Enrolment], day: date, died_on: date | None) -> Cover:
    """The cover that enrolments of one kind (basic, or long-term care) give on a day."""
    held = [each for each in enrolments if not each.days.empty]
    for each in held:
        if each.status_on(day) is Status.COVERED:
            return Cover(each, None)
    if died_on is not None and day > died_on:
        past = [each for each in held if each.began_on <= day]
        return Cover(max(past, key=lambda e: e.began_on, default=None), NoCover.DECEASED)
    # The nearest one tells why: one that rests before one that has ended before one ahead.
    order = (Status.SUSPENDED, Status.ENDED, Status.AHEAD)
    for status in order:
        found = [each for each in held if each.status_on(day) is status]
        if found:
            nearest = max(found, key=lambda e: e.began_on)
            return Cover(nearest, _REASONS[status])
    return Cover(None, NoCover.NOT_ENROLLED)
