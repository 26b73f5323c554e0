"""One behaviour of the database, whatever stands behind the port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pymongo import AsyncMongoClient

from eldex.common.errors import Unavailable
from eldex.common.mongo import Driver, MongoBackend, NotAReplicaSet, connect
from eldex.common.store import ChangeSet, Write
from eldex.common.testing.memory import MemoryBackend, matches
from eldex.common.testing.suites import BackendSuite
from eldex.local.mongod import Mongod, binary
from eldex.local.ports import HOST, reserve
from eldex.local.process import Process

DRIVERS: list[Driver] = ["pymongo", "motor"]


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
        async with connect(mongod.uri, database, "pymongo") as backend:
            yield backend


class TestMongoBackendOnMotor(BackendSuite):
    @pytest.fixture
    async def backend(self, mongod: Mongod, database: str) -> AsyncIterator[MongoBackend]:
        async with connect(mongod.uri, database, "motor") as backend:
            yield backend


@pytest.mark.parametrize("driver", DRIVERS)
async def test_commits_wait_out_a_database_that_was_killed(
    mongod: Mongod, database: str, driver: Driver
) -> None:
    """What was accepted is there, what was in doubt is decided again: nothing twice, nothing lost."""
    async with connect(mongod.uri, database, driver) as backend:
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


@asynccontextmanager
async def standalone(folder: Path) -> AsyncIterator[str]:
    """A mongod as it starts without any settings: not a replica set."""
    port = reserve()

    async def answers() -> bool:
        client: AsyncMongoClient[dict[str, object]]
        _, writer = await asyncio.open_connection(HOST, port)
        writer.close()
        async with AsyncMongoClient(HOST, port, serverSelectionTimeoutMS=2_000) as client:
            return bool((await client.admin.command("hello"))["ok"])

    argv = [binary(), "--dbpath", str(folder), "--port", str(port), "--bind_ip", HOST]
    argv.append("--nounixsocket")
    async with Process("mongod", argv, log=folder / "mongod.log", ready=answers):
        yield f"{HOST}:{port}"


async def test_a_database_without_transactions_is_refused_with_what_to_do(tmp_path: Path) -> None:
    async with standalone(tmp_path) as address:
        with pytest.raises(NotAReplicaSet) as refused:
            async with connect(f"mongodb://{address}/", "eldex_registry"):
                pass
        said = str(refused.value)
        assert address in said
        assert "--replSet" in said
        assert "rs.initiate()" in said
        assert "ELDEX_MONGO_URI" in said


async def test_a_database_that_is_not_there_is_told_within_seconds() -> None:
    with pytest.raises(Unavailable, match="MongoDB is not available"):
        async with connect(f"mongodb://{HOST}:{reserve()}/?replicaSet=rs0", "eldex_registry"):
            pass
