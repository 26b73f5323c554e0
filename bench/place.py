"""The place of the measurement: a real city of one service, and the contestants beside it.

One mongod, one Kafka, the registry as `make up` runs it; the house's projection; the floor and the
tutorial in databases and topics of their own on the same mongod and broker, holding the same
residents. Everything lives in a temporary folder and ends with the bench.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient

from bench.child import ROOT, Child
from eldex.common.kafka import TopicPlan, create_topics
from eldex.local.authority import Authority
from eldex.local.ports import HOST, reserve
from eldex.local.process import Process, answers_http
from eldex.local.stack import Settings, Stack

PARTITIONS = 6
"""As the registry's own topic has."""
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids: Mapping[str, int]) -> dict[str, float]:
    """CPU that each process has used, user and system, all threads."""
    used = {}
    for name, pid in pids.items():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used[name] = (int(fields[11]) + int(fields[12])) / _TICKS
    return used


@dataclass(slots=True)
class Contestant:
    """One way of doing the slice: whom to call, who projects, whose CPU counts."""

    name: str
    target: str
    tls: bool
    projector: Child | None
    pids: dict[str, int] = field(default_factory=dict)


class Place:
    """What runs, by name."""

    def __init__(self, root: Path, stack: Stack, exits: AsyncExitStack) -> None:
        self.root, self.stack, self._exits = root, stack, exits
        self.contestants: dict[str, Contestant] = {}
        self.mongo: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(stack.mongod.uri)
        self.callers = Child("bench.callers", str(stack.identity("service/exchange")))
        self.sink = Child("bench.sink", "")
        self.prefix = f"eldex_{stack.settings.city}"

    async def start(self, otlp: str) -> None:
        """Start what does not depend on data."""
        await self.stack.up()
        settings = self.stack.settings
        Authority.open(self.stack.pki, settings.trust_domain).issue(
            f"{settings.city}/service/exchange", self.stack.identity("service/exchange")
        )
        await self._exits.enter_async_context(self.callers)
        self.sink = await self._exits.enter_async_context(Child("bench.sink", otlp))
        env = self._service_env("bench", otlp)
        projection = Child("bench.projection", env=env, log=self.stack.logs / "bench.log")
        await self._exits.enter_async_context(projection)
        self._enter(
            Contestant("house", self.stack.address("registry"), tls=True, projector=projection),
            server=self.pid_of("registry"),
        )

    def pid_of(self, part: str) -> int:
        """The process id of a part of the city."""
        pid = self.stack.parts[part].pid
        assert pid is not None
        return pid

    def _service_env(self, name: str, otlp: str) -> dict[str, str]:
        env = self.stack.service_env("registry")
        ports = {
            "ELDEX_LISTEN": f"{HOST}:{reserve()}",
            "ELDEX_ADMIN_LISTEN": f"{HOST}:{reserve()}",
        }
        return env | ports | {"ELDEX_INSTANCE": f"{name}-0", "ELDEX_OTLP_ENDPOINT": otlp}

    def _enter(self, contestant: Contestant, *, server: int) -> None:
        shared = {part: self.pid_of(part) for part in ("mongod", "kafka")}
        contestant.pids = {**shared, "server": server, "callers": self.callers.pid}
        if contestant.projector is not None:
            contestant.pids["projector"] = contestant.projector.pid
        self.contestants[contestant.name] = contestant

    async def copy_residents(self, database: str) -> list[str]:
        """Give another database the same residents; their keys."""
        source = self.mongo[f"{self.prefix}_registry"]["residents"]
        await (await source.aggregate([{"$out": {"db": database, "coll": "residents"}}])).to_list()
        return [d["_id"] async for d in source.find({}, {"_id": 1}).sort("_id", 1)]

    async def add_peer(self, name: str, module: str, *options: str) -> None:
        """Start a server and its projector on a database and topic of their own."""
        bootstrap = self.stack.kafka.bootstrap
        await create_topics(bootstrap, [TopicPlan(f"{name}-residents", PARTITIONS, 86_400)])
        await self.copy_residents(name)
        listen = f"{HOST}:{reserve()}"
        more = (self.stack.mongod.uri, name, bootstrap, *options)
        server = await self._exits.enter_async_context(Child(module, "server", listen, *more))
        projector = await self._exits.enter_async_context(Child(module, "projector", *more))
        self._enter(Contestant(name, listen, tls=False, projector=projector), server=server.pid)

    async def add_unobserved(self) -> None:
        """Start the registry without observability, beside the other, on the same residents."""
        await self.copy_residents("unobserved_registry")
        admin, listen = reserve(), f"{HOST}:{reserve()}"
        env = self.stack.service_env("registry") | {
            "ELDEX_MONGO_PREFIX": "unobserved",
            "ELDEX_LISTEN": listen,
            "ELDEX_ADMIN_LISTEN": f"{HOST}:{admin}",
            "ELDEX_OTLP_ENDPOINT": "",
            "ELDEX_LOG_LEVEL": "error",
            "OTEL_SDK_DISABLED": "true",
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        }
        process = Process(
            "unobserved",
            [sys.executable, "-m", "bench.unobserved"],
            log=self.stack.logs / "unobserved.log",
            env=env,
            ready=partial(answers_http, admin, "/readyz"),
        )
        await self._exits.enter_async_context(process)
        assert process.pid is not None
        self._enter(Contestant("unobserved", listen, tls=True, projector=None), server=process.pid)


@asynccontextmanager
async def place(root: Path, **env: str) -> AsyncIterator[Place]:
    """A running place in a folder; everything ends with the block."""
    otlp = f"{HOST}:{reserve()}"
    settings = Settings.for_tests(root, ELDEX_TRACE_RATIO="0.1", ELDEX_OTLP_ENDPOINT=otlp, **env)
    stack = Stack(settings, services=("registry",))
    try:
        async with AsyncExitStack() as exits:
            made = Place(root, stack, exits)
            await made.start(otlp)
            yield made
    finally:
        await asyncio.shield(stack.down())
