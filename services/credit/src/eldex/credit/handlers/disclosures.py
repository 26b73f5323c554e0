"""Records: made from facts of institutions and our own listings, routed, confirmed, taken back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from eldex.common.clock import day_of
from eldex.common.identifiers import RegionCode
from eldex.credit.domain.disclosure import (
    CreditRecord,
    Organisation,
    ProfitNature,
    RecordKind,
    platform_of,
    record_key,
)
from eldex.credit.domain.listing import Listing
from eldex.credit.domain.parameters import DeadlineName
from eldex.credit.domain.terms import Subject, SubjectKind
from eldex.credit.handlers.ports import Stores


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened to a party and has to become public."""

    kind: RecordKind
    subject: Subject
    source_key: str
    happened_on: date
    region_code: RegionCode


async def record_fact(fact: Fact, stores: Stores, now: datetime) -> None:
    """Make a record of a fact, once, due within the working days that count in its division."""
    await _record(fact, stores, day_of(now))


async def _record(fact: Fact, stores: Stores, today: date) -> None:
    key = record_key(fact.kind, fact.source_key)
    if await stores.records.find(key) is not None:
        return
    nature = None
    if fact.subject.kind is SubjectKind.ORGANISATION:
        organisation = await stores.organisations.find(fact.subject.key)
        nature = organisation.profit_nature if organisation else None
    due_on = await stores.deadline(
        DeadlineName.DISCLOSURE, fact.region_code, fact.happened_on, today
    )
    record = CreditRecord(
        key=key,
        subject=fact.subject,
        record_kind=fact.kind,
        source_key=fact.source_key,
        happened_on=fact.happened_on,
        region_code=fact.region_code,
        platform=platform_of(fact.subject, nature),
        due_on=due_on,
    )
    stores.records.save(record)


@dataclass(frozen=True, slots=True)
class Filing:
    """An institution's filing, as its event tells it."""

    institution_key: str
    subject: Subject
    profit_nature: ProfitNature
    filed_on: date
    region_code: RegionCode


async def record_filing(filing: Filing, stores: Stores, now: datetime) -> None:
    """Remember the nature, send what still waits where it now belongs, record the filing."""
    known = await stores.organisations.find(filing.subject.key)
    organisation = known or Organisation(
        key=filing.subject.key, profit_nature=filing.profit_nature, filed_on=filing.filed_on
    )
    organisation.hear(filing.profit_nature, filing.filed_on)
    stores.organisations.save(organisation)
    platform = platform_of(filing.subject, organisation.profit_nature)
    for record in await stores.records.due_of(filing.subject.key):
        if record.route(platform):
            stores.records.save(record)
    key = record_key(RecordKind.FILING, f"{filing.institution_key}-{filing.filed_on.isoformat()}")
    if await stores.records.find(key) is None:
        due_on = await stores.deadline(
            DeadlineName.DISCLOSURE, filing.region_code, filing.filed_on, day_of(now)
        )
        stores.records.save(
            CreditRecord(
                key=key,
                subject=filing.subject,
                record_kind=RecordKind.FILING,
                source_key=filing.institution_key,
                happened_on=filing.filed_on,
                region_code=filing.region_code,
                platform=platform,
                due_on=due_on,
            )
        )


async def disclose_listing(listing: Listing, decided_on: date, stores: Stores, today: date) -> None:
    """Make the record of a listing that was published."""
    fact = Fact(RecordKind.LISTING, listing.subject, listing.key, decided_on, listing.region_code)
    await _record(fact, stores, today)


async def take_listing_back(listing: Listing, stores: Stores, today: date) -> None:
    """Have the record of an ended listing taken down, or not disclosed at all."""
    record = await stores.records.find(record_key(RecordKind.LISTING, listing.key))
    if record is None or listing.delisted_on is None:
        return
    before = record.state
    due_on = await stores.deadline(
        DeadlineName.WITHDRAWAL, listing.region_code, listing.delisted_on, today
    )
    record.take_back(due_on)
    if record.state is not before:
        stores.records.save(record)


@dataclass(frozen=True, slots=True)
class ConfirmDisclosure:
    """The platform has given a receipt."""

    record_key: str
    receipt: str
    confirmed_on: date | None
    etag: str


async def confirm_disclosure(
    command: ConfirmDisclosure, stores: Stores, now: datetime
) -> CreditRecord:
    """Keep the receipt of a disclosure or of a withdrawal, whichever was due."""
    today = day_of(now)
    record = await stores.records.get(command.record_key)
    record.expect(command.etag)
    record.confirm(command.receipt, command.confirmed_on or today, today)
    stores.records.save(record)
    return record
