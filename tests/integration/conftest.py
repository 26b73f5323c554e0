"""One city for all stories: real mongod, real Kafka, every service a process of its own."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from eldex.common import mongo
from eldex.common.identifiers import check_character
from eldex.local.field import Field, field_of
from eldex.local.loading import set_insurance_parameters
from eldex.local.stack import SERVICES, Settings, Stack

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The city lives on one loop for the whole run, and so do the stories."""
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("asyncio") is not None:
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> AsyncIterator[Stack]:
    """A city that is up; with `--services`, only as much of it."""
    root = tmp_path_factory.mktemp("city")
    wanted = (pytestconfig.getoption("--services") or ",".join(SERVICES)).split(",")
    if strangers := set(wanted) - set(SERVICES):
        raise pytest.UsageError(f"--services: the city has no {', '.join(sorted(strangers))}")
    services = [name for name in SERVICES if name in wanted]
    async with Stack(Settings.for_tests(root), services=services) as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def field(stack: Stack) -> AsyncIterator[Field]:
    """Its departments, and the watcher of its events."""
    async with field_of(stack) as people:
        if "medical" in stack.services:
            await set_insurance_parameters(people)
        yield people


@pytest.fixture
def traced(stack: Stack) -> Callable[[set[str]], Awaitable[None]]:
    """Waits until the console has spans of all these traces: before, there is nothing to look through."""

    async def wait(trace_ids: set[str]) -> None:
        name = f"eldex_{stack.settings.city}_console"
        async with mongo.connect(stack.mongod.uri, name) as backend, asyncio.timeout(60):
            while True:
                kept = await backend.ask(lambda database: database["spans"].distinct("trace_id"))
                if trace_ids <= set(kept):
                    return
                await asyncio.sleep(0.2)  # spans travel twice a second, and nothing tells of it

    return wait


_serials = itertools.count(1)


@pytest.fixture
def new_number() -> Callable[[str], str]:
    """Fictional identity numbers by birth date (YYYYMMDD): codes 511790 to 511799 were never given out."""

    def make(born_on: str) -> str:
        serial = next(_serials)  # none comes twice within ten thousand
        body = f"51179{serial // 1000 % 10}{born_on}{serial % 1000:03d}"
        return body + check_character(body)

    return make
