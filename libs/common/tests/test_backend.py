"""One behaviour of the database, whatever stands behind the port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from eldex.common.mongo import MongoBackend, connect
from eldex.common.store import ChangeSet, Write
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


class TestMongoBackendOnPyMongo(BackendSuite):
    @pytest.fixture
    async def backend(self, mongod: Mongod, database: str) -> AsyncIterator[MongoBackend]:
        async with connect(mongod.uri, database) as backend:
            yield backend


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
