"""The monthly cycle on the real database: two replicas at once, overlapping cycles, one power cut."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any

import pytest

from eldex.api.topics import load_topics
from eldex.common.identifiers import RegionCode
from eldex.common.mongo import connect
from eldex.common.outbox import publisher
from eldex.common.store import UnitOfWork, collections_of
from eldex.common.testing.harness import CITY, waiting_events
from eldex.local.mongod import Mongod
from eldex.subsidies import main
from eldex.subsidies.handlers.cycles import start_cycle
from eldex.subsidies.handlers.working import Worker
from eldex.subsidies.store.collections import REPOSITORIES, stores_with
from eldex.subsidies.wire.events import event

PEOPLE = 60


class PowerCut(Exception):
    """The process is gone."""


@pytest.mark.parametrize("commits", [0, 2, 5, 9])
async def test_two_replicas_pay_a_city_and_one_of_its_counties_and_one_replica_dies(
    new_office: Any, mongod: Mongod, database: str, monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    """Both do all that is pending, as if no lease kept them apart; the first dies after a few commits."""
    monkeypatch.setattr("eldex.subsidies.handlers.working.PAGE", 16)
    async with connect(mongod.uri, database) as backend, connect(mongod.uri, database) as other:
        await backend.prepare(collections_of(REPOSITORIES))
        office = await new_office().start()
        publish = publisher(CITY, "subsidies", load_topics(), event)
        stores = stores_with(office.shipped.catalogue)
        office.use(UnitOfWork(backend, stores, publish, office.service.clock))
        await office.worker.seed()
        people = [f"res_{number:03d}" for number in range(PEOPLE)]
        await asyncio.gather(*(office.tell(office.registered(key, "1941-03-08")) for key in people))
        await office.worker.run_pending()
        work = office.service.work
        for region in ("5117", office.tongchuan):

            async def start(found: Any, now: Any, region: str = region) -> Any:
                return await start_cycle(date(2026, 11, 1), RegionCode(region), found, now)

            await main.UnitOfWorkForWorker(work).once(f"start/{region}", start)

        commit, left = other.commit, [commits]

        async def cut(batch: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise PowerCut
            return await commit(batch)

        monkeypatch.setattr(other, "commit", cut)
        dying = Worker(
            main.UnitOfWorkForWorker(UnitOfWork(other, stores, publish, office.service.clock)),
            office.service.clock,
        )
        ended: Any = await asyncio.gather(
            dying.run_pending(), office.worker.run_pending(), return_exceptions=True
        )
        assert [type(each) for each in ended] == [PowerCut, type(None)]
        paid = [await office.paid(key) for key in people]
        assert paid == [{("2026-11", "old-age-allowance"): 6000}] * PEOPLE
        told = [entry["type"].rsplit(".", 1)[-1] for entry in await waiting_events(backend)]
        assert told.count("DisbursementMade") == PEOPLE
        cycles = await work.read(lambda found: found.cycles.page({}, size=10))
        assert {cycle.state.value for cycle in cycles.items} == {"done"}
        assert sum(cycle.payments for cycle in cycles.items) == PEOPLE
        assert sum(cycle.amount_fen for cycle in cycles.items) == PEOPLE * 6000
