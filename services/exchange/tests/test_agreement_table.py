"""The agreements at hand: another replica's change counts within a second, a stale copy for nothing."""

from __future__ import annotations

import asyncio
import uuid
from datetime import date

import pytest

from eldex.api.topics import load_topics
from eldex.common.clock import system_clock
from eldex.common.errors import Unavailable
from eldex.common.outbox import publisher
from eldex.common.store import Mark, UnitOfWork, collections_of
from eldex.common.testing.memory import MemoryBackend
from eldex.exchange import wire
from eldex.exchange.domain.agreements import Agreement
from eldex.exchange.handlers import Stores
from eldex.exchange.handlers.agreements import put_agreement
from eldex.exchange.rpc import agreement_table
from eldex.exchange.rpc.agreement_table import AgreementTable
from eldex.exchange.store.collections import REPOSITORIES, stores

HEALTH = "member/health/assessment"


class Replica:
    """One of the exchange's processes on a database that they share."""

    def __init__(self, backend: MemoryBackend, *, trusted_seconds: float = 10.0) -> None:
        publish = publisher("511700", "exchange", load_topics(), wire.event)
        self.work: UnitOfWork[Stores] = UnitOfWork(backend, stores, publish, system_clock)
        self.table = AgreementTable(self.work, trusted_seconds=trusted_seconds)

    async def put(self, wanted: Agreement) -> None:
        """Put an agreement into force, or its next version."""
        known = await self.work.read(lambda ports: ports.agreements.find(wanted.key))
        etag = known.etag if known else ""
        await self.work.write(
            Mark(f"test/{uuid.uuid4()}"),
            lambda ports, _: put_agreement(wanted, etag, ports),
        )


@pytest.fixture
async def backend() -> MemoryBackend:
    made = MemoryBackend()
    await made.prepare({**collections_of(REPOSITORIES), **agreement_table.COLLECTIONS})
    return made


def agreement(purpose: str) -> Agreement:
    return Agreement(
        key="health-assessment",
        subsystem=HEALTH,
        methods=["/eldex.api.registry.v1.RegistryService/GetResident"],
        purposes=[purpose],
        legal_basis="GB/T 42195-2022",
        valid_from=date(2026, 1, 1),
    )


async def test_what_one_replica_was_told_the_other_knows_within_a_second(
    backend: MemoryBackend,
) -> None:
    told, other = Replica(backend), Replica(backend)
    await told.put(agreement("home-care"))
    await other.table.refresh()
    keeping = asyncio.create_task(other.table.run())
    try:
        known = other.table.generation
        await told.put(agreement("ability-assessment"))
        async with asyncio.timeout(1):
            while other.table.generation == known:
                await asyncio.sleep(0.01)
        assert other.table.of(HEALTH)[0].purposes == ["ability-assessment"]
    finally:
        keeping.cancel()


async def test_a_copy_that_cannot_be_read_anew_decides_nothing(backend: MemoryBackend) -> None:
    replica = Replica(backend, trusted_seconds=0.05)
    with pytest.raises(Unavailable):
        replica.table.require()  # never read
    await replica.table.refresh()
    replica.table.require()
    await asyncio.sleep(0.06)  # it is the time that makes it old
    with pytest.raises(Unavailable):
        replica.table.require()
    await replica.table.refresh()
    replica.table.require()
