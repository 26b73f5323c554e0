"""A process of a service: it starts, tells when it is ready, drains, and says why it cannot start."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pymongo import AsyncMongoClient

from eldex.api.operations.v1 import operations_service_pb2 as pb
from eldex.common.rpc.client import channel
from eldex.common.testing.doors import GET, Caller
from eldex.common.testing.homes import death
from eldex.local.authority import Authority
from eldex.local.kafka import Kafka
from eldex.local.mongod import Mongod, binary
from eldex.local.ports import HOST, reserve
from eldex.local.process import Process

MAIN = """
from eldex.api.registry.v1.resident_events_pb2 import ResidentDeceased
from eldex.common.sealing import Sealer
from eldex.common.service import Plan, run
from eldex.common.testing.homes import Homes, move_out

async def prepare(parts):
    Sealer.from_folder(parts.settings.secrets_dir, "homes")

run(Plan("homes", Homes, [Homes], lambda event: event, lambda parts: [],
         lambda parts: {ResidentDeceased: move_out}, prepare=prepare))
"""


class Home:
    """What a service's process is told, and the process."""

    def __init__(self, folder: Path, mongo_uri: str, bootstrap: str, prefix: str) -> None:
        self.authority = Authority.open(folder / "authority")
        self.grpc, self.admin, self.health = reserve(), reserve(), reserve()
        (folder / "secrets").mkdir()
        (folder / "secrets" / "sealing.key").write_text(secrets.token_hex(64))
        self.env = os.environ | {
            "ELDEX_CITY": "511700",
            "ELDEX_INSTANCE": "homes-0",
            "ELDEX_LISTEN": f"{HOST}:{self.grpc}",
            "ELDEX_ADMIN_LISTEN": f"{HOST}:{self.admin}",
            "ELDEX_HEALTH_LISTEN": f"{HOST}:{self.health}",
            "ELDEX_MONGO_URI": mongo_uri,
            "ELDEX_MONGO_PREFIX": prefix,
            "ELDEX_KAFKA_BOOTSTRAP": bootstrap,
            "ELDEX_TLS_DIR": str(self.authority.issue("511700/service/homes")),
            "ELDEX_SECRETS_DIR": str(folder / "secrets"),
        }

    async def start(self) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", MAIN, env=self.env, stderr=asyncio.subprocess.PIPE
        )

    async def failing(self) -> tuple[int | None, list[dict[str, Any]]]:
        """The exit code and the log of a process that cannot start."""
        process = await self.start()
        async with asyncio.timeout(60):
            _, said = await process.communicate()
        return process.returncode, [json.loads(line) for line in said.splitlines()]

    async def get(self, path: str) -> tuple[int, str]:
        """GET from the admin port."""
        reader, writer = await asyncio.open_connection(HOST, self.admin)
        writer.write(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        raw = (await reader.read()).decode()
        writer.close()
        head, _, body = raw.partition("\r\n\r\n")
        return int(head.split()[1]), body

    async def metric(self, name: str) -> float:
        """What the process tells of itself in one figure."""
        _, body = await self.get("/metrics")
        return next(float(e.split()[1]) for e in body.splitlines() if e.startswith(f"{name} "))

    async def left_in_the_outbox(self, age: timedelta) -> None:
        """An event that an earlier process committed and could not publish."""
        entry = death("registry-residents", "res_1", timestamp=datetime.now(UTC) - age)
        client: AsyncMongoClient[dict[str, Any]]
        async with AsyncMongoClient(self.env["ELDEX_MONGO_URI"]) as client:
            outbox: Any = client[f"{self.env['ELDEX_MONGO_PREFIX']}_homes"]["outbox"]
            await outbox.insert_one({"_id": "out_1", "events": [entry]})


@pytest.fixture
async def home(tmp_path: Path, mongod: Mongod, kafka: Kafka, unique: str) -> AsyncIterator[Home]:
    prefix = f"test_{unique}"
    yield Home(tmp_path, mongod.uri, kafka.bootstrap, prefix)
    client: AsyncMongoClient[dict[str, Any]]
    async with AsyncMongoClient(mongod.uri) as client:
        await client.drop_database(f"{prefix}_homes")


async def line(process: asyncio.subprocess.Process, event: str) -> dict[str, Any]:
    """The next log line about an event; every line before it is JSON, too."""
    assert process.stderr is not None
    async with asyncio.timeout(60):
        while True:
            found: dict[str, Any] = json.loads(await process.stderr.readline())
            if found["event"] == event:
                return found


async def test_a_service_comes_up_tells_so_and_goes_down_in_order(home: Home) -> None:
    process = await home.start()
    started = await line(process, "service_started")
    assert (started["service"], started["instance"]) == ("homes", "homes-0")
    assert started["port"] == home.grpc
    async with asyncio.timeout(10):
        while True:
            try:
                assert await home.get("/readyz") == (200, "ready\n")
                break
            except ConnectionRefusedError:
                await asyncio.sleep(0.02)
    assert await home.get("/healthz") == (200, "alive\n")
    assert (await home.get("/nonsense"))[0] == 404

    # Probes see the health without a certificate, callers with one.
    async with grpc.aio.insecure_channel(f"{HOST}:{home.health}") as probe:
        check: Any = health_pb2_grpc.HealthStub(probe).Check  # type: ignore[attr-defined]
        answer = await check(health_pb2.HealthCheckRequest())
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    exchange = home.authority.issue("511700/service/exchange")
    async with channel(f"{HOST}:{home.grpc}", exchange) as opened:
        caller = Caller("unary", opened)
        reply = await caller.ask(GET, pb.GetFlowsRequest())
        flows = pb.GetFlowsResponse.FromString(reply.response)
        assert flows.service == "homes"
        shown = x509.load_pem_x509_certificate(
            Path(home.env["ELDEX_TLS_DIR"], "cert.pem").read_bytes()
        )
        ends_at = shown.not_valid_after_utc
        assert flows.certificate_not_after.ToDatetime(tzinfo=UTC) == ends_at
    called = await line(process, "call_answered")
    assert (called["caller"], called["code"]) == ("511700/service/exchange", "OK")
    metrics = (await home.get("/metrics"))[1]
    assert f'eldex_calls_total{{code="OK",method="{GET}"}} 1.0' in metrics
    told = await home.metric("eldex_certificate_not_after_timestamp_seconds")
    assert told == ends_at.timestamp()

    process.send_signal(signal.SIGTERM)
    await line(process, "service_stopping")
    await line(process, "service_stopped")
    async with asyncio.timeout(20):
        assert await process.wait() == 0


def no_certificates(home: Home) -> None:
    home.env["ELDEX_TLS_DIR"] = "/nowhere"


def no_key(home: Home) -> None:
    home.env["ELDEX_SECRETS_DIR"] = "/nowhere"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (no_certificates, "ELDEX_TLS_DIR must hold ca.pem, cert.pem and key.pem"),
        (no_key, "/nowhere/sealing.key is missing: make it with `openssl rand -hex 64`"),
    ],
)
async def test_what_keeps_it_from_starting_is_one_line_that_says_what_to_do(
    home: Home, spoil: Callable[[Home], None], said: str
) -> None:
    spoil(home)
    code, lines = await home.failing()
    assert code == 2
    (told,) = lines
    assert (told["event"], told["service"]) == ("service_cannot_start", "homes")
    assert said in told["problem"]


@asynccontextmanager
async def standalone(folder: Path) -> AsyncIterator[str]:
    """A mongod as it starts without any settings: not a replica set."""
    port = reserve()
    folder.mkdir()

    async def answers() -> bool:
        client: AsyncMongoClient[dict[str, Any]]
        _, writer = await asyncio.open_connection(HOST, port)
        writer.close()
        async with AsyncMongoClient(HOST, port, serverSelectionTimeoutMS=2_000) as client:
            return bool((await client.admin.command("hello"))["ok"])

    argv = [binary(), "--dbpath", str(folder), "--port", str(port), "--bind_ip", HOST]
    argv.append("--nounixsocket")
    async with Process("mongod", argv, log=folder / "mongod.log", ready=answers):
        yield f"{HOST}:{port}"


async def test_a_database_without_transactions_is_refused_with_what_to_do(
    home: Home, tmp_path: Path
) -> None:
    async with standalone(tmp_path / "mongod") as address:
        home.env["ELDEX_MONGO_URI"] = f"mongodb://{address}/"
        code, (told,) = await home.failing()
    assert (code, told["event"]) == (2, "service_cannot_start")
    for said in (address, "--replSet", "rs.initiate()", "ELDEX_MONGO_URI"):
        assert said in told["problem"]


async def test_a_database_that_is_not_there_is_told_within_seconds(home: Home) -> None:
    home.env["ELDEX_MONGO_URI"] = f"mongodb://{HOST}:{reserve()}/?replicaSet=rs0"
    code, (told,) = await home.failing()
    assert (code, told["event"]) == (1, "service_broke")
    assert told["problem"] == "UNAVAILABLE: MongoDB is not available at the moment: try again"


async def test_without_a_broker_it_serves_keeps_its_events_and_says_what_it_misses(
    home: Home,
) -> None:
    home.env["ELDEX_KAFKA_BOOTSTRAP"] = f"{HOST}:{reserve()}"
    await home.left_in_the_outbox(timedelta(hours=1))
    process = await home.start()
    await line(process, "service_started")
    troubled = await line(process, "kafka_troubled")
    assert troubled["reason"] in {"_TRANSPORT", "_ALL_BROKERS_DOWN"}
    exchange = home.authority.issue("511700/service/exchange")
    async with channel(f"{HOST}:{home.grpc}", exchange) as opened:
        reply = await Caller("unary", opened).ask(GET, b"")
        flows = pb.GetFlowsResponse.FromString(reply.response)
        assert (flows.outbox_events, flows.outbox_age_seconds > 3600) == (1, True)
    async with asyncio.timeout(20):
        # What an alarm goes by, while the relay waits for the broker.
        while (waiting := await home.metric("eldex_outbox_age_seconds")) < 3600:
            await asyncio.sleep(0.05)
        while await home.metric("eldex_outbox_age_seconds") == waiting:
            await asyncio.sleep(0.05)
    assert await home.metric("eldex_outbox_events") == 1
    process.send_signal(signal.SIGTERM)
    await line(process, "service_stopped")
    async with asyncio.timeout(20):
        assert await process.wait() == 0
