"""What every test of the house may ask for: one real MongoDB and one real Kafka, shared by a run.

Each test has a database and topics of its own (`unique`, `database`), so that neither the order of
tests, nor a second run, nor a city that is up beside it matters: ports and folders are the run's own.
A test that kills a part starts it again before it ends.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator

import hypothesis
import pytest
import pytest_asyncio
from pymongo import MongoClient

from eldex.common import logs
from eldex.local.kafka import Kafka
from eldex.local.mongod import Mongod

# A busy machine is no defect of what is tested; pytest's own timeout ends what hangs.
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Tell pytest of the options of this house."""
    parser.addoption(
        "--exhaustive", action="store_true", help="run the tests marked exhaustive too (hours)"
    )
    parser.addoption(
        "--services",
        metavar="NAMES",
        help="start only these services of the city (comma-separated) for the stories that are run",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what takes long, unless it was asked for."""
    if config.getoption("--exhaustive"):
        return
    skip = pytest.mark.skip(reason="takes long: runs with --exhaustive")
    for item in items:
        if "exhaustive" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session", autouse=True)
def _logs_as_in_a_service() -> None:
    """JSON lines: the renderer that structlog starts with spends a third of a second on an error."""
    logs.configure("tests", "tests-0")


# The parts belong to no event loop (a test may kill and start them from its own), but they are
# tied to the thread that starts them: the session's loop runs in the main thread.


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def mongod(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mongod]:
    """A real MongoDB, a replica set of one."""
    async with Mongod(tmp_path_factory.mktemp("mongod")) as part:
        yield part


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def kafka(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kafka]:
    """A real Kafka broker without topics."""
    async with Kafka(tmp_path_factory.mktemp("kafka")) as part:
        yield part


@pytest.fixture
def unique() -> str:
    """A name that no other test has, for topics, groups and keys."""
    return uuid.uuid4().hex[:12]


@pytest.fixture
def database(mongod: Mongod, unique: str) -> Iterator[str]:
    """The name of an empty database; what the test leaves in it is dropped."""
    name = f"test_{unique}"
    yield name
    client: MongoClient[dict[str, object]]
    with MongoClient(mongod.uri) as client:
        client.drop_database(name)
