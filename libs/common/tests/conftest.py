"""What the tests of this library share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from eldex.common.kafka import TopicPlan, create_topics
from eldex.common.store import UnitOfWork, collections_of
from eldex.common.testing.harness import FrozenClock
from eldex.common.testing.homes import Homes, Watched, publish
from eldex.local.kafka import Kafka


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
async def backend() -> Watched:
    backend = Watched()
    await backend.prepare(collections_of([Homes]))
    return backend


@pytest.fixture
def work(backend: Watched, clock: FrozenClock) -> UnitOfWork[Homes]:
    return UnitOfWork(backend, Homes, publish, clock)


_counter = iter(range(10**9))


@pytest.fixture
def topic(kafka: Kafka, unique: str) -> Callable[[int], Awaitable[str]]:
    """Makes a topic with a number of partitions, and one for its dead letters."""

    async def make(partitions: int) -> str:
        name = f"residents-{unique}"
        plans = [TopicPlan(name, partitions, 3600), TopicPlan(f"{name}-dead-letters", 1, 3600)]
        assert await create_topics(kafka.bootstrap, plans) == [plan.name for plan in plans]
        return name

    return make
