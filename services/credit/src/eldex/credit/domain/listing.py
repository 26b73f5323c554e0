"""A party on a list, from the proposal through hearing, decision and repair to its end."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum

from eldex.common.aggregate import Aggregate
from eldex.common.calendar import Period
from eldex.common.errors import AlreadyExists, DomainError, Kind
from eldex.common.identifiers import RegionCode
from eldex.credit.domain.parameters import Ground
from eldex.credit.domain.repair import (
    NotRepairable,
    Repair,
    RepairState,
    RepairTooEarly,
    RepairUnderWay,
)
from eldex.credit.domain.terms import (
    Benefit,
    Colour,
    DayImpossible,
    Measure,
    Source,
    Subject,
    months_after,
    not_after,
    not_before,
    within_calendar,
)


class ListingState(Enum):
    """How far a listing has come."""

    PROPOSED = "proposed"
    NOTIFIED = "notified"
    DROPPED = "dropped"
    PUBLISHED = "published"
    IN_FORCE = "in_force"
    REPAIRED = "repaired"
    EXPIRED = "expired"
    REVOKED = "revoked"

    @property
    def stands(self) -> bool:
        """Decided and not ended."""
        return self in {ListingState.PUBLISHED, ListingState.IN_FORCE}


class DelistingCause(Enum):
    """Why a listing ended."""

    REPAIR = "repair"
    EXPIRY = "expiry"
    REVOKED = "revoked"


_ENDED = {
    DelistingCause.REPAIR: ListingState.REPAIRED,
    DelistingCause.EXPIRY: ListingState.EXPIRED,
    DelistingCause.REVOKED: ListingState.REVOKED,
}


class ListingStateForbids(DomainError):
    """The act belongs to another stage of the procedure."""

    kind, reason = Kind.CONFLICT, "LISTING_STATE_FORBIDS"
    zh = "名单记录 {listing_key} 处于 {state} 状态，不能办理此项"
    en = "listing {listing_key} is {state}: this act belongs to another stage"


class PartyNotHeard(DomainError):
    """The party may still speak (陈述申辩期未满)."""

    kind, reason = Kind.CONFLICT, "PARTY_NOT_HEARD"
    zh = "尚未告知当事人，或陈述申辩（异议）期至 {until} 未满（公示异议须期满）"
    en = "the party was not told, or its statement (all objections) may still come until {until}"


class StatementTooLate(DomainError):
    """The period for statements is over."""

    kind, reason = Kind.CONFLICT, "STATEMENT_TOO_LATE"
    zh = "陈述申辩（异议）期已于 {until} 届满"
    en = "the period for statements ended on {until}"


class TermOver(DomainError):
    """What is over is not entered any more."""

    kind, reason = Kind.CONFLICT, "TERM_OVER"
    zh = "列入期限已于 {ends_on} 届满，无需列入"
    en = "the term was over on {ends_on}: there is nothing left to enter"


class OnBlackList(DomainError):
    """Nobody is on both lists."""

    kind, reason = Kind.CONFLICT, "ON_BLACK_LIST"
    zh = "该对象在黑名单中（{listing_key}），不能列入红名单"
    en = "the party is on the black list ({listing_key}): it cannot be on the red one"


@dataclass(frozen=True, slots=True)
class PartyListed:
    """A party has been put on a list."""

    subject: Subject
    listing_key: str
    colour: Colour
    began_on: date
    ends_on: date
    legal_basis: Source
    region_code: RegionCode
    ground_code: str
    benefits: tuple[Benefit, ...]


@dataclass(frozen=True, slots=True)
class PartyDelisted:
    """A party is off a list."""

    subject: Subject
    listing_key: str
    colour: Colour
    delisted_on: date
    cause: DelistingCause
    region_code: RegionCode


@dataclass(slots=True)
class Statement:
    """What the party or an objector said (陈述申辩、异议)."""

    received_on: date
    document: str
    summary: str
    waived: bool


@dataclass(slots=True)
class Notice:
    """How the party was told (告知), or the public asked (公示)."""

    document: str
    notified_on: date
    statement_until: date
    statement: Statement | None = None


@dataclass(slots=True)
class Decision:
    """The authority's decision."""

    document: str
    decided_on: date
    reason: str


class DecisionListed(AlreadyExists):
    """One decision lists a party on one ground once."""

    what = "decision"
    zh = "该当事人已依据同一文书和同一事由列入名单：请用 ListListings 查询，如需更正请先撤销原记录"
    en = "this party is listed on this ground by this document already: find it with ListListings; to correct it, revoke that listing first"


@dataclass(kw_only=True)
class Listing(Aggregate):
    """A party on a list (列入名单)."""

    subject: Subject
    colour: Colour
    ground_code: str
    authority: str
    region_code: RegionCode
    evidence: list[str]
    summary: str
    case_key: str = ""
    state: ListingState = ListingState.PROPOSED
    legal_basis: Source
    notice: Notice | None = None
    decision: Decision | None = None
    began_on: date | None = None
    ends_on: date | None = None
    measures: list[Measure] = field(default_factory=list)
    benefits: list[Benefit] = field(default_factory=list)
    repair_from: date | None = None
    repairs: list[Repair] = field(default_factory=list)
    delisted_on: date | None = None
    delisting_cause: DelistingCause | None = None
    delisting_document: str = ""
    delisting_reason: str = ""
    updated_at: datetime | None = None

    @property
    def days_in_force(self) -> Period | None:
        """The days on which it counts, as far as is known; None if it never does."""
        if self.began_on is None or self.ends_on is None:
            return None
        ends_on = min(self.ends_on, self.delisted_on or self.ends_on)
        return Period(self.began_on, ends_on) if ends_on > self.began_on else None

    @property
    def due_on(self) -> date | None:
        """The day on which it changes by itself: it comes into force, or its term is over."""
        if self.state is ListingState.PUBLISHED:
            return self.began_on
        return self.ends_on if self.state is ListingState.IN_FORCE else None

    def counts_on(self, day: date) -> bool:
        """Whether it is in force on a day."""
        days = self.days_in_force
        return days is not None and days.contains(day)

    def notify(self, document: str, on: date, statement_until: date, today: date) -> None:
        """Tell the party, or open a red listing to objections."""
        self._must(ListingState.PROPOSED)
        not_after(on, today)
        self.notice = Notice(document, on, statement_until)
        self.state = ListingState.NOTIFIED

    def record_statement(self, statement: Statement, today: date) -> None:
        """Keep what the party says; a later one within the period takes its place."""
        self._must(ListingState.NOTIFIED)
        assert self.notice is not None
        not_after(statement.received_on, today)
        not_before(statement.received_on, self.notice.notified_on, "告知日期", "the notice")
        if statement.received_on > self.notice.statement_until:
            raise StatementTooLate(until=self.notice.statement_until)
        self.notice.statement = statement

    def drop(self, decision: Decision, today: date) -> None:
        """Not list the party after all."""
        self._must(ListingState.PROPOSED, ListingState.NOTIFIED)
        not_after(decision.decided_on, today)
        self.decision = decision
        self.state = ListingState.DROPPED

    def must_be_heard(self, decided_on: date) -> None:
        """Raise unless the party has spoken, waived it, or let the period pass.

        Before a red listing the public is asked: what one objector says cuts nobody else short.
        """
        self._must(ListingState.PROPOSED, ListingState.NOTIFIED)
        notice = self.notice
        if notice is None:
            raise PartyNotHeard(until="-")
        said = notice.statement
        if said is not None:
            not_before(decided_on, said.received_on, "陈述日期", "the statement")
        if decided_on <= notice.statement_until and (said is None or self.colour is Colour.RED):
            raise PartyNotHeard(until=notice.statement_until)

    def publish(
        self,
        decision: Decision,
        ground: Ground,
        began_on: date | None,
        ends_on: date | None,
        today: date,
    ) -> None:
        """List the party: fix days, measures and repair as the ground says on that day.

        A decision may set a shorter term than the ground, never a longer one.
        """
        self._must(ListingState.PROPOSED, ListingState.NOTIFIED)
        ground.check(self.subject, self.colour)
        not_after(decision.decided_on, today)
        began_on = began_on or decision.decided_on
        not_before(began_on, decision.decided_on, "决定日期", "the decision")
        within_calendar(began_on)
        within_calendar(ends_on or began_on)
        latest = months_after(began_on, ground.term_months)
        if ends_on is not None and ends_on > latest:
            raise DayImpossible(
                day=ends_on,
                why_zh=f"超过该列入情形规定的期限（至 {latest}）",
                why=f"the term that the ground allows is over on {latest}",
            )
        days = Period(began_on, ends_on or latest)
        assert days.ended_on is not None
        if days.ended_on <= today:
            raise TermOver(ends_on=days.ended_on)
        self.decision, self.legal_basis = decision, ground.source
        self.began_on, self.ends_on = days.began_on, days.ended_on
        self.measures = ground.measures_for(self.subject.kind)
        self.benefits = list(ground.benefits)
        if ground.repairable:
            self.repair_from = months_after(began_on, ground.repair_after_months)
        self.state = ListingState.PUBLISHED
        self.record(
            PartyListed(
                self.subject,
                self.key,
                self.colour,
                days.began_on,
                days.ended_on,
                self.legal_basis,
                self.region_code,
                self.ground_code,
                tuple(self.benefits),
            )
        )

    def refresh(self, today: date) -> bool:
        """Let the days do what they do: come into force, expire. True if anything changed."""
        before = self.state
        if self.state is ListingState.PUBLISHED and self.began_on and self.began_on <= today:
            self.state = ListingState.IN_FORCE
        if self.state is ListingState.IN_FORCE and self.ends_on and self.ends_on <= today:
            self._end(DelistingCause.EXPIRY, self.ends_on)
        return self.state is not before

    def revoke(self, document: str, reason: str, on: date, today: date) -> None:
        """End it because it was wrong, or a red one because it is no longer deserved."""
        self._must(ListingState.PUBLISHED, ListingState.IN_FORCE)
        assert self.decision is not None
        not_after(on, today)
        not_before(on, self.decision.decided_on, "列入决定日期", "the decision to list")
        self.delisting_document, self.delisting_reason = document, reason
        self._end(DelistingCause.REVOKED, on)

    def give_way(self, black: Listing) -> None:
        """End a red listing because the party is now on the black list: nobody is on both."""
        assert black.decision is not None
        assert black.began_on is not None
        assert self.began_on is not None
        self.delisting_document = black.decision.document
        self.delisting_reason = f"on the black list: {black.key}"
        in_force = self.state is ListingState.IN_FORCE
        on = max(black.began_on, self.began_on) if in_force else black.began_on
        self._end(DelistingCause.REVOKED, on)

    def apply_for_repair(self, repair: Repair, today: date) -> None:
        """Take an application for repair; one at a time, not before its day."""
        self._must(ListingState.IN_FORCE)
        not_after(repair.applied_on, today)
        if self.repair_from is None:
            raise NotRepairable(ground_code=self.ground_code)
        if repair.applied_on < self.repair_from:
            raise RepairTooEarly(repair_from=self.repair_from)
        if self.repairs and self.repairs[-1].state.is_open:
            raise RepairUnderWay(repair_key=self.repairs[-1].key)
        self.repairs.append(repair)

    @property
    def open_repair(self) -> Repair:
        """The application under examination; raises if there is none."""
        self._must(ListingState.IN_FORCE)
        if not self.repairs or not self.repairs[-1].state.is_open:
            raise ListingStateForbids(listing_key=self.key, state=self.state.value)
        return self.repairs[-1]

    def decide_repair(
        self, approved: bool, document: str, reason: str, on: date, today: date
    ) -> None:
        """Decide on the open application; approved, it ends the listing from that day."""
        repair = self.open_repair
        repair.decide(approved, document, reason, on, today)
        if repair.state is RepairState.APPROVED:
            self.delisting_document, self.delisting_reason = document, reason
            self._end(DelistingCause.REPAIR, on)

    def _end(self, cause: DelistingCause, on: date) -> None:
        self.state, self.delisted_on, self.delisting_cause = _ENDED[cause], on, cause
        self.record(PartyDelisted(self.subject, self.key, self.colour, on, cause, self.region_code))

    def _must(self, *states: ListingState) -> None:
        if self.state not in states:
            raise ListingStateForbids(listing_key=self.key, state=self.state.value)
