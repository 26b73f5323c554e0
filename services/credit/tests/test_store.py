"""What the other stories show on the twin, held by the real database: found again, unique, sealed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from eldex.api.credit.v1 import credit_service_pb2 as pb
from eldex.api.credit.v1 import listing_pb2 as words
from eldex.api.topics import load_topics
from eldex.common.errors import AlreadyExists
from eldex.common.mongo import connect
from eldex.common.outbox import publisher
from eldex.common.store import UnitOfWork, collections_of
from eldex.common.testing.harness import CITY, waiting_events
from eldex.credit import store
from eldex.credit.main import settle_due_listings
from eldex.credit.wire import events
from eldex.local.mongod import Mongod


async def test_a_listing_lives_its_life_in_mongodb(
    city: Any, mongod: Mongod, database: str
) -> None:
    async with connect(mongod.uri, database) as backend:
        await backend.prepare(collections_of(store.REPOSITORIES))
        publish = publisher(CITY, "credit", load_topics(), events.event)
        work = UnitOfWork(backend, store.stores, publish, city.service.clock)
        city.enter_by(work)

        listing = await city.enter(document="通民信列〔2026〕5号", ends_on=city.on("2027-01-01"))
        with pytest.raises(AlreadyExists):
            await city.enter(document="通民信列〔2026〕5号")
        await city.worker()
        with pytest.raises(AlreadyExists):
            await city.worker()
        assert city.number not in str(await backend.query("worker_files", {}))

        request = pb.ListListingsRequest(
            region_code=city.county[:4], in_force_on=city.on("2026-12-31")
        )
        (found,) = (await city.door.list_listings(request, city.call())).listings
        assert found.listing_key == listing.listing_key

        city.service.clock.pass_days(60)
        await asyncio.gather(*(settle_due_listings(work, city.today) for _ in range(3)))
        read = pb.GetListingRequest(listing_key=listing.listing_key)
        over = (await city.door.get_listing(read, city.call())).listing
        assert over.state == words.LISTING_STATE_EXPIRED
        told = [entry["type"].rsplit(".", 1)[-1] for entry in await waiting_events(backend)]
        assert sorted(told) == [
            "JointPunishmentLifted",
            "JointPunishmentOrdered",
            "PartyDelisted",
            "PartyListed",
        ]
