"""What the other stories show on the twin, held by the real database: found again, unique, in time."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from eldex.api.subsidies.v1 import subsidies_service_pb2 as calls
from eldex.api.topics import load_topics
from eldex.common.mongo import connect
from eldex.common.outbox import publisher
from eldex.common.store import DEAD_LETTERS, UnitOfWork, collections_of
from eldex.common.testing.harness import CITY, waiting_events
from eldex.local.mongod import Mongod
from eldex.subsidies.store.collections import REPOSITORIES, stores_with
from eldex.subsidies.wire.events import event

PEOPLE = 600
CODE = "52511700FAKE00011X"


async def test_a_city_is_decided_paid_and_claimed_back_in_mongodb(
    new_office: Any, mongod: Mongod, database: str
) -> None:
    async with connect(mongod.uri, database) as backend:
        await backend.prepare(collections_of(REPOSITORIES))
        office = await new_office().start()
        publish = publisher(CITY, "subsidies", load_topics(), event)
        stores = stores_with(office.shipped.catalogue)
        office.use(UnitOfWork(backend, stores, publish, office.service.clock))
        await office.worker.seed()

        people = [f"res_{number:04d}" for number in range(PEOPLE)]
        began = time.perf_counter()
        await asyncio.gather(
            *(office.tell(office.registered(key, "1941-03-08")) for key in people),
            *(office.tell(office.belongs(key, "MINIMUM_LIVING", "2026-01-01")) for key in people),
        )
        decided = time.perf_counter()
        await office.worker.run_pending()  # some were decided while the parameters were new
        cycle_began = time.perf_counter()
        cycle = await office.pay("2026-11")
        paid = time.perf_counter()
        print(  # noqa: T201 - the figures are read by those who tune
            f"{2 * PEOPLE / (decided - began):,.0f} facts/s, "
            f"{2 * PEOPLE / (paid - cycle_began):,.0f} payments/s"
        )
        assert (cycle.payments, cycle.amount_fen) == (2 * PEOPLE, PEOPLE * (6000 + 30000))

        await office.tell(office.died(people[7], "2026-11-16"))
        assert {r.amount_fen for r in await office.recoveries(people[7])} == {3000, 15000}

        await office.tell(
            office.filed(CODE),
            office.opened("2024-03-01"),
            office.bed_occupied("adm_1", "bed_1", "2026-09-01"),
            office.punished(CODE, "2026-10-11"),
        )
        await office.pay("2026-10")
        question = calls.ListInstitutionGrantsRequest(institution_key=office.home)
        (grant,) = (await office.door.list_institution_grants(question, office.call())).grants
        assert [(m.settled_fen, m.bed_days) for m in grant.months] == [(15000 * 10 // 31, 10)]

        told = [entry["type"].rsplit(".", 1)[-1] for entry in await waiting_events(backend)]
        assert told.count("EntitlementGranted") == 2 * PEOPLE
        assert told.count("InstitutionSubsidyPaid") == 1
        assert await backend.count(DEAD_LETTERS, {}) == 0
