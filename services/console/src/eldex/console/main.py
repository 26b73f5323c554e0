"""The console as a process: wiring, and nothing else.

It has no part in the bus: no broker, no outbox. On `ELDEX_LISTEN` it serves gRPC health behind
mutual TLS, as every service does.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import uvicorn
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from pydantic import Field

from eldex.common import mongo, telemetry
from eldex.common.admin import AdminServer, admin_server
from eldex.common.clock import system_clock
from eldex.common.errors import CannotStart
from eldex.common.logs import logger
from eldex.common.rpc.server import grpc_server
from eldex.common.rpc.tls import server_credentials
from eldex.common.service import live
from eldex.common.settings import Settings
from eldex.console.accounts import FileAccounts
from eldex.console.handlers import Ports
from eldex.console.peers import PeerDepartments
from eldex.console.peers.exchange import PeerExchange
from eldex.console.peers.members import PeerMembers
from eldex.console.rpc import Intake, otlp_server
from eldex.console.store import actions as action_store
from eldex.console.store import log_keys
from eldex.console.store import sessions as open_sessions
from eldex.console.store import spans as span_store
from eldex.console.store.actions import MongoActions
from eldex.console.store.log_keys import MongoLogKeys
from eldex.console.store.sessions import MongoOpenSessions
from eldex.console.store.spans import MongoSpans
from eldex.console.web.app import new_web
from eldex.console.web.pages import application
from eldex.evidence.errors import EvidenceError
from eldex.evidence.policy import Policy

_DRAIN_SECONDS = 5.0


class ConsoleSettings(Settings):
    """What the console is told from outside."""

    web_listen: str = "127.0.0.1:0"
    """Where the pages are served (plain HTTP; a gateway ends TLS)."""
    web_secure: bool = False
    """Whether readers come over TLS: then the session's cookie travels over nothing else."""
    otlp_listen: str = "127.0.0.1:4317"
    """Where traces are received (OTLP gRPC, no TLS: the loopback, or a closed network)."""
    log_policy_file: Path | None = None
    """The keys that proofs of the message log are checked against (C2SP tlog-policy), got from the
    exchange's people in person; without it, those that the exchange told first."""
    span_ttl_days: int = Field(7, ge=1, le=90)
    """How long a span is kept; another setting holds for spans received from then on."""


@dataclass(slots=True)
class Running:
    """A console that is being served."""

    web_port: int
    otlp_port: int
    port: int
    tasks: list[asyncio.Task[Any]]


@asynccontextmanager
async def serving(settings: ConsoleSettings) -> AsyncIterator[Running]:
    """Serve inside a running loop; what was received is kept before it leaves."""
    credentials = server_credentials(settings.tls_dir)  # before anything is open
    policy = _policy(settings.log_policy_file)
    async with AsyncExitStack() as stack:
        # Its own questions (every few seconds) are no matter of the city and are not traced; a
        # replay continues the trace in which the event was met, which is.
        provider = telemetry.configure(
            "console", settings.instance, settings.city, settings.otlp_endpoint, ratio=0.0
        )
        stack.callback(provider.shutdown)
        database = f"{settings.mongo_prefix}_console"
        backend = await stack.enter_async_context(mongo.connect(settings.mongo_uri, database))
        await backend.prepare(
            {
                **span_store.COLLECTIONS,
                **action_store.COLLECTIONS,
                **log_keys.COLLECTIONS,
                **open_sessions.COLLECTIONS,
            }
        )
        spans = MongoSpans(backend, system_clock, timedelta(days=settings.span_ttl_days))
        accounts = FileAccounts(settings.secrets_dir)
        departments = PeerDepartments(settings.peers, settings.tls_dir)
        stack.push_async_callback(departments.close)
        ports = Ports(
            spans,
            MongoActions(backend),
            accounts,
            MongoOpenSessions(backend),
            departments,
            PeerExchange(departments.peer("exchange")),
            PeerMembers(departments.peer("exchange")),
            MongoLogKeys(backend, system_clock, policy),
            system_clock,
        )

        ready = [False]

        def problem() -> str:
            return "" if ready[0] else "starting or stopping"

        intake = Intake(spans)
        receiver, otlp_port = await otlp_server(settings.otlp_listen, intake)
        server, port = await _health_server(settings, credentials)
        app = application(new_web(ports, accounts, secure=settings.web_secure))
        web = _web_server(settings.web_listen, app)
        admin = admin_server(settings.admin_listen, problem)
        served = [asyncio.create_task(web.serve()), asyncio.create_task(admin.serve())]
        writing = asyncio.create_task(intake.run())
        await _started(web, served[0])
        ready[0] = True
        web_port = web.servers[0].sockets[0].getsockname()[1]
        logger().info("service_started", port=port, web_port=web_port, otlp_port=otlp_port)
        try:
            yield Running(web_port, otlp_port, port, [*served, writing])
        finally:
            ready[0] = False
            await receiver.stop(_DRAIN_SECONDS)
            await server.stop(_DRAIN_SECONDS)
            web.should_exit = admin.should_exit = True
            await asyncio.wait(served, timeout=_DRAIN_SECONDS)
            writing.cancel()
            await asyncio.wait([writing])
            logger().info("service_stopped")


def _policy(path: Path | None) -> Policy | None:
    try:
        return None if path is None else Policy.read(path)
    except (EvidenceError, OSError) as error:
        raise CannotStart(
            f"ELDEX_LOG_POLICY_FILE is not a file of trusted keys: {error}"
        ) from error


async def _health_server(
    settings: ConsoleSettings, credentials: grpc.ServerCredentials
) -> tuple[grpc.aio.Server, int]:
    health = HealthServicer()
    await health.set("", health_pb2.HealthCheckResponse.SERVING)
    server = grpc_server([])
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    port = server.add_secure_port(settings.listen, credentials)
    if settings.health_listen:
        server.add_insecure_port(settings.health_listen)
    await server.start()
    return server, port


def _web_server(listen: str, app: Any) -> AdminServer:
    host, _, port = listen.rpartition(":")
    return AdminServer(
        uvicorn.Config(
            app,
            host=host,
            port=int(port),
            lifespan="off",
            access_log=False,  # an address may hold what somebody typed
            log_config=None,
            server_header=False,
            timeout_graceful_shutdown=int(_DRAIN_SECONDS),
        )
    )


async def _started(web: AdminServer, task: asyncio.Task[None]) -> None:
    while not web.started:
        if task.done():
            task.result()
            raise CannotStart("the pages could not be served; ELDEX_WEB_LISTEN names their address")
        await asyncio.sleep(0.01)  # uvicorn tells by a flag, not by an event


async def _serve(settings: ConsoleSettings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with serving(settings) as running:
        done, _ = await asyncio.wait(
            [asyncio.create_task(stopping.wait()), *running.tasks],
            return_when=asyncio.FIRST_COMPLETED,
        )
        logger().info("service_stopping")
    for task in done:
        task.result()  # a part that broke ends the process; the supervisor starts it again


def main() -> None:
    """Run the console until SIGTERM."""
    settings = ConsoleSettings.read()
    live("console", settings, _serve(settings))


if __name__ == "__main__":
    main()
