"""Credit as a process: wiring, and the calendar, which acts on listings as a caller would."""

from __future__ import annotations

import asyncio
from datetime import date, datetime
from typing import Final

from eldex.api.credit.v1 import credit_service_pb2
from eldex.api.institutions.v1 import institution_events_pb2 as institutions_pb
from eldex.common.clock import Clock, day_of
from eldex.common.errors import DomainError
from eldex.common.inbox import Subscriptions
from eldex.common.logs import logger
from eldex.common.regions import Divisions
from eldex.common.sealing import Sealer
from eldex.common.service import Parts, Plan, Served, run, service_descriptor
from eldex.common.settings import Settings
from eldex.common.store import Mark, UnitOfWork
from eldex.credit import store
from eldex.credit.handlers import disclosures, listings
from eldex.credit.handlers.ports import Stores
from eldex.credit.rpc.service import CreditService
from eldex.credit.wire import events

_EVERY_SECONDS: Final = 30.0
"""How often the calendar is looked at; a listing changes at most this long after midnight."""
_AT_ONCE: Final = 100

SUBSCRIPTIONS: Subscriptions[Stores] = {
    institutions_pb.InstitutionFiled: lambda message, _, stores, now: disclosures.record_filing(
        events.filing(message), stores, now
    ),
    institutions_pb.PenaltyImposed: lambda message, _, stores, now: disclosures.record_fact(
        events.penalty(message), stores, now
    ),
    institutions_pb.InspectionRecorded: lambda message, _, stores, now: disclosures.record_fact(
        events.inspection(message), stores, now
    ),
}
"""What credit hears, each with what it does about it."""


async def follow_calendar(work: UnitOfWork[Stores], clock: Clock) -> None:
    """Let the calendar act on listings as long as the process lives.

    Every replica does so: what one has done the others find done (`settle_due_listings`). A
    database that does not answer is asked again in the next round.
    """
    while True:
        try:
            await settle_due_listings(work, day_of(clock()))
        except DomainError as error:
            if not error.kind.retryable:
                raise
            logger().warning("calendar_waits", reason=error.reason)
        await asyncio.sleep(_EVERY_SECONDS)


async def settle_due_listings(work: UnitOfWork[Stores], today: date) -> int:
    """Let the calendar act on every listing whose day has come; returns how many were due.

    Each is an act of its own, marked with listing and day: it happens once, whoever does it.
    """
    where = {"due_on": {"$lte": today.isoformat()}}
    done, after = 0, None
    while True:
        page = await work.read(
            lambda stores, after=after: stores.listings.page(  # type: ignore[misc]
                where, size=_AT_ONCE, after=after
            )
        )
        for listing in page.items:
            await _settle_one(work, listing.key, f"{listing.due_on}")
            done += 1
        if page.next_key is None:
            return done
        after = page.next_key


async def _settle_one(work: UnitOfWork[Stores], listing_key: str, due_on: str) -> None:
    async def act(stores: Stores, now: datetime) -> None:
        await listings.settle_due(listing_key, stores, now)

    await work.write(Mark(f"calendar/{listing_key}/{due_on}"), act)


def plan(settings: Settings) -> Plan[Stores]:
    """Credit, described."""
    store.use_sealer(Sealer.from_folder(settings.secrets_dir, "credit/worker"))

    def services(parts: Parts[Stores]) -> Served:
        descriptor = service_descriptor(credit_service_pb2, "CreditService")
        return [(descriptor, CreditService(parts.work, Divisions.load()))]

    return Plan(
        name="credit",
        stores=store.stores,
        repositories=store.REPOSITORIES,
        to_message=events.event,
        services=services,
        subscriptions=lambda _: SUBSCRIPTIONS,
        tasks=lambda parts: [lambda: follow_calendar(parts.work, parts.clock)],
    )


def main() -> None:
    """Run credit."""
    settings = Settings.read()
    run(plan(settings), settings)


if __name__ == "__main__":
    main()
