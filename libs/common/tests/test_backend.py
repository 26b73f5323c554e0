"""One behaviour of the database, whatever stands behind the port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from eldex.common.errors import TooBroad
from eldex.common.mongo import MongoBackend, connect
from eldex.common.store import MARKS, ChangeSet, Outcome, Taken, Write
from eldex.common.testing.memory import MemoryBackend, matches
from eldex.common.testing.suites import BackendSuite
from eldex.local.mongod import Mongod


class TestMemoryBackend(BackendSuite):
    @pytest.fixture
    def backend(self) -> MemoryBackend:
        return MemoryBackend()

    def test_an_operator_that_the_port_does_not_promise_is_an_error(self) -> None:
        with pytest.raises(KeyError, match="regex"):
            matches({"_id": "b1", "home": "h1"}, {"home": {"$regex": "^h"}})


class TestMongoBackend(BackendSuite):
    @pytest.fixture
    async def backend(self, mongod: Mongod, database: str) -> AsyncIterator[MongoBackend]:
        async with connect(mongod.uri, database) as backend:
            yield backend


async def test_a_search_that_takes_too_long_is_ended_and_said_so(
    mongod: Mongod, database: str
) -> None:
    slow = {"$where": "sleep(1000) || true"}
    async with connect(mongod.uri, database) as backend:
        await backend.commit([ChangeSet([Write("beds", {"_id": "b1", "version": 1})])])
        with pytest.raises(TooBroad):
            await backend.ask(lambda db: list(db.beds.find(slow, max_time_ms=50)))


async def test_a_whole_batch_of_known_marks_takes_one_round(
    mongod: Mongod, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a topic is read again, every act of a batch has been done; the new one among them is not."""
    async with connect(mongod.uri, database) as backend:
        await backend.prepare({"beds": [], MARKS: []})

        def act(number: int, bed: str) -> ChangeSet:
            return ChangeSet(
                [
                    Write("beds", {"_id": bed, "version": 1}),
                    Write(MARKS, {"_id": f"event/{number}"}),
                ]
            )

        assert await backend.commit([act(n, f"b{n}") for n in range(100)]) == [None] * 100
        rounds: list[int] = []
        transact = backend._transact

        def counted(part: Sequence[tuple[int, ChangeSet]]) -> dict[int, Outcome]:
            rounds.append(len(part))
            return transact(part)

        monkeypatch.setattr(backend, "_transact", counted)
        again = [act(n, f"again-{n}") for n in range(100)]
        outcomes = await backend.commit([*again[:50], act(100, "b100"), *again[50:]])
        assert outcomes[50] is None
        told = [outcome for outcome in outcomes if outcome is not None]
        assert len(told) == 100
        assert all(isinstance(o, Taken) and o.collection == MARKS for o in told)
        assert await backend.count("beds", {}) == 101
        assert rounds == [101, 1]


async def test_commits_wait_out_a_database_that_was_killed(mongod: Mongod, database: str) -> None:
    """What was accepted is there, what was in doubt is decided again: nothing twice, nothing lost."""
    async with connect(mongod.uri, database) as backend:
        await backend.prepare({"beds": []})
        accepted: list[str] = []
        flowing = asyncio.Event()

        async def admit(number: int) -> None:
            key = f"b{number:03}"
            await backend.commit([ChangeSet([Write("beds", {"_id": key, "version": 1})])])
            accepted.append(key)
            flowing.set()

        admissions = [asyncio.create_task(admit(n)) for n in range(60)]
        await flowing.wait()
        await mongod.kill()
        await mongod.start()
        await asyncio.gather(*admissions)
        found = [d["_id"] for d in await backend.query("beds", {}, [("_id", 1)])]
        assert found == sorted(accepted)
        assert len(found) == 60
