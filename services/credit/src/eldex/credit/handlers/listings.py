"""Listings: proposed, heard, decided, repaired, ended; and what follows for others."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from eldex.common.clock import day_of
from eldex.common.errors import NotFound
from eldex.common.identifiers import RegionCode, new_key
from eldex.credit.domain.listing import (
    Decision,
    Listing,
    ListingState,
    OnBlackList,
    Statement,
)
from eldex.credit.domain.parameters import DeadlineName
from eldex.credit.domain.repair import Repair
from eldex.credit.domain.standing import Standing
from eldex.credit.domain.terms import Benefit, Colour, Measure, Subject, SubjectKind, not_after
from eldex.credit.handlers import disclosures
from eldex.credit.handlers.ports import Stores


@dataclass(frozen=True, slots=True)
class ProposeListing:
    """Think of putting a party on a list."""

    subject: Subject
    colour: Colour
    ground_code: str
    authority: str
    region_code: RegionCode
    evidence: list[str]
    summary: str
    case_key: str


async def propose_listing(command: ProposeListing, stores: Stores, now: datetime) -> Listing:
    """Enter a proposal; nothing follows from it yet."""
    listing = await _new_listing(command, stores, day_of(now), now)
    stores.listings.save(listing)
    return listing


async def _new_listing(
    command: ProposeListing, stores: Stores, ground_on: date, now: datetime
) -> Listing:
    await _must_exist(command.subject, stores)
    rules = await stores.rulebook(command.region_code)
    ground = rules.ground(command.ground_code, ground_on)
    ground.check(command.subject, command.colour)
    if command.case_key:
        (await stores.cases.get(command.case_key)).must_support(command.subject)
    await _must_not_be_black(command.subject, command.colour, stores)
    return Listing(
        key=new_key("lst"),
        subject=command.subject,
        colour=command.colour,
        ground_code=command.ground_code,
        authority=command.authority,
        region_code=command.region_code,
        evidence=command.evidence,
        summary=command.summary,
        case_key=command.case_key,
        legal_basis=ground.source,
        updated_at=now,
    )


async def _must_exist(subject: Subject, stores: Stores) -> None:
    """Workers are listed by the key of a file that exists; organisations need not be ours."""
    if subject.kind is SubjectKind.WORKER and await stores.workers.find(subject.key) is None:
        raise NotFound("WorkerFile", subject.key)


async def _must_not_be_black(subject: Subject, colour: Colour, stores: Stores) -> None:
    if colour is Colour.BLACK:
        return
    for listing in await stores.listings.of_subject(subject.key):
        if listing.colour is Colour.BLACK and listing.state.stands:
            raise OnBlackList(listing_key=listing.key)


@dataclass(frozen=True, slots=True)
class NotifyParty:
    """The party was told."""

    listing_key: str
    document: str
    notified_on: date | None
    etag: str


async def notify_party(command: NotifyParty, stores: Stores, now: datetime) -> Listing:
    """Record the notice; the period for a statement begins."""
    today = day_of(now)
    listing = await _take(command.listing_key, command.etag, stores, now)
    notified_on = command.notified_on or today
    not_after(notified_on, today)
    black = listing.colour is Colour.BLACK
    name = DeadlineName.STATEMENT if black else DeadlineName.OBJECTION
    until = await stores.deadline(name, listing.region_code, notified_on, today)
    listing.notify(command.document, notified_on, until, today)
    return listing


@dataclass(frozen=True, slots=True)
class RecordStatement:
    """The party, or an objector, says something."""

    listing_key: str
    received_on: date | None
    document: str
    summary: str
    waived: bool
    etag: str


async def record_statement(command: RecordStatement, stores: Stores, now: datetime) -> Listing:
    """Keep a statement, an objection or a waiver."""
    today = day_of(now)
    listing = await _take(command.listing_key, command.etag, stores, now)
    said = Statement(
        command.received_on or today, command.document, command.summary, command.waived
    )
    listing.record_statement(said, today)
    return listing


@dataclass(frozen=True, slots=True)
class Judgement:
    """What an authority decided, and for which days."""

    document: str
    decided_on: date | None
    reason: str
    began_on: date | None
    ends_on: date | None


@dataclass(frozen=True, slots=True)
class DecideListing:
    """Decide on a proposal."""

    listing_key: str
    lists: bool
    judgement: Judgement
    etag: str


async def decide_listing(command: DecideListing, stores: Stores, now: datetime) -> Listing:
    """List the party, after it was heard, or drop the proposal."""
    today = day_of(now)
    listing = await _take(command.listing_key, command.etag, stores, now)
    judgement = command.judgement
    decided_on = judgement.decided_on or today
    if not command.lists:
        listing.drop(Decision(judgement.document, decided_on, judgement.reason), today)
        return listing
    listing.must_be_heard(decided_on)
    await _must_not_be_black(listing.subject, listing.colour, stores)
    await _publish(listing, judgement, stores, now)
    return listing


@dataclass(frozen=True, slots=True)
class EnterListing:
    """An authority has decided already."""

    proposal: ProposeListing
    judgement: Judgement


async def enter_listing(command: EnterListing, stores: Stores, now: datetime) -> Listing:
    """Enter and publish a listing that was decided elsewhere, with its decision."""
    decided_on = command.judgement.decided_on or day_of(now)
    listing = await _new_listing(command.proposal, stores, decided_on, now)
    stores.listings.save(listing)
    await _publish(listing, command.judgement, stores, now)
    return listing


async def _publish(listing: Listing, judgement: Judgement, stores: Stores, now: datetime) -> None:
    today = day_of(now)
    decided_on = judgement.decided_on or today
    ground = (await stores.rulebook(listing.region_code)).ground(listing.ground_code, decided_on)
    decision = Decision(judgement.document, decided_on, judgement.reason)
    listing.publish(decision, ground, judgement.began_on, judgement.ends_on, today)
    await disclosures.disclose_listing(listing, decided_on, stores, today)
    await settle(listing, stores, now)


@dataclass(frozen=True, slots=True)
class RevokeListing:
    """It was wrong, or is no longer deserved."""

    listing_key: str
    document: str
    revoked_on: date | None
    reason: str
    etag: str


async def revoke_listing(command: RevokeListing, stores: Stores, now: datetime) -> Listing:
    """End a listing by decision."""
    today = day_of(now)
    listing = await _take(command.listing_key, command.etag, stores, now)
    listing.revoke(command.document, command.reason, command.revoked_on or today, today)
    await settle(listing, stores, now)
    return listing


@dataclass(frozen=True, slots=True)
class ApplyForRepair:
    """Hand in an application for credit repair."""

    listing_key: str
    applied_on: date | None
    commitment: str
    evidence: list[str]
    etag: str


async def apply_for_repair(command: ApplyForRepair, stores: Stores, now: datetime) -> Listing:
    """Take an application for repair, not before the day that the ground names."""
    today = day_of(now)
    listing = await _take(command.listing_key, command.etag, stores, now)
    repair = Repair(
        key=new_key("rpr"),
        applied_on=command.applied_on or today,
        commitment=command.commitment,
        evidence=command.evidence,
    )
    listing.apply_for_repair(repair, today)
    return listing


@dataclass(frozen=True, slots=True)
class RecordRepairStep:
    """The application was accepted, or its commitments verified."""

    listing_key: str
    verified: bool
    done_on: date | None
    evidence: list[str]
    etag: str


async def record_repair_step(command: RecordRepairStep, stores: Stores, now: datetime) -> Listing:
    """Record a step of the examination."""
    today = day_of(now)
    listing = await _take(command.listing_key, command.etag, stores, now)
    repair, done_on = listing.open_repair, command.done_on or today
    if command.verified:
        repair.verify(done_on, command.evidence, today)
    else:
        repair.accept(done_on, command.evidence, today)
    return listing


@dataclass(frozen=True, slots=True)
class DecideRepair:
    """Decide on the open application."""

    listing_key: str
    approved: bool
    document: str
    decided_on: date | None
    reason: str
    etag: str


async def decide_repair(command: DecideRepair, stores: Stores, now: datetime) -> Listing:
    """Approve a verified repair, which ends the listing, or refuse it."""
    today = day_of(now)
    listing = await _take(command.listing_key, command.etag, stores, now)
    listing.decide_repair(
        command.approved, command.document, command.reason, command.decided_on or today, today
    )
    await settle(listing, stores, now)
    return listing


async def _take(listing_key: str, etag: str, stores: Stores, now: datetime) -> Listing:
    """Load a listing to act on, as it is today: what is due by the calendar is done first."""
    listing = await stores.listings.get(listing_key)
    listing.expect(etag)
    listing.updated_at = now
    stores.listings.save(listing)
    if listing.due_on is not None and listing.due_on <= day_of(now):
        await settle(listing, stores, now)
    return listing


async def settle(changed: Listing, stores: Stores, now: datetime) -> None:
    """Let the calendar act on all listings of a party, and tell departments what follows.

    Days that have passed unnoticed are gone through one by one, so that the facts told are the
    same whether this runs daily, late or twice.
    """
    today = day_of(now)
    subject = changed.subject
    listings = {each.key: each for each in await stores.listings.of_subject(subject.key)}
    listings[changed.key] = changed
    standing = await stores.standings.find(subject.key) or Standing.of(subject)
    touched = {changed.key}
    while due := sorted({e.due_on for e in listings.values() if e.due_on and e.due_on <= today}):
        touched |= _one_day(list(listings.values()), due[0])
        standing.follow(listings.values(), due[0])
    standing.follow(listings.values(), today)
    for key in sorted(touched):
        listing = listings[key]
        listing.updated_at = now
        stores.listings.save(listing)
        if listing.delisted_on is not None:
            await disclosures.take_listing_back(listing, stores, today)
    # Saved even if unchanged: two listings of one party entered at once must see each other.
    stores.standings.save(standing)


def _one_day(listings: list[Listing], day: date) -> set[str]:
    touched = {each.key for each in listings if each.refresh(day)}
    black = [e for e in listings if e.colour is Colour.BLACK and e.state is ListingState.IN_FORCE]
    for red in listings:
        if black and red.colour is Colour.RED and red.state.stands:
            red.give_way(black[0])
            touched.add(red.key)
    return touched


async def settle_due(listing_key: str, stores: Stores, now: datetime) -> None:
    """Let the calendar act on a listing whose day has come; does nothing if it was done."""
    listing = await stores.listings.get(listing_key)
    if listing.due_on is not None and listing.due_on <= day_of(now):
        await settle(listing, stores, now)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Where a party stands on a day."""

    listings: list[Listing]
    measures: list[Measure]
    benefits: list[Benefit]

    def listed(self, colour: Colour) -> bool:
        """Whether it is on that list."""
        return any(listing.colour is colour for listing in self.listings)


async def check_subject(subject: Subject, on: date, stores: Stores) -> Verdict:
    """Where a party stands on a day, by the days of its listings alone."""
    await _must_exist(subject, stores)
    known = await stores.listings.of_subject(subject.key)
    counting = [listing for listing in known if listing.counts_on(on)]
    demanded = {measure for listing in counting for measure in listing.measures}
    brought = {benefit for listing in counting for benefit in listing.benefits}
    return Verdict(
        counting, [m for m in Measure if m in demanded], [b for b in Benefit if b in brought]
    )
