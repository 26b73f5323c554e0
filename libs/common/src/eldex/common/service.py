"""What makes a process of a service: its parts, started in order, drained on SIGTERM.

A service's `main` describes it (`Plan`); `run` connects MongoDB and Kafka, serves gRPC with health
and reflection, publishes the outbox, reads the subscriptions and answers operations.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import grpc
import uvloop
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection

from eldex.api.operations.v1 import operations_service_pb2
from eldex.api.topics import load_topics
from eldex.api.trunk.v1 import trunk_service_pb2
from eldex.common import logs, metrics, mongo, telemetry
from eldex.common.admin import admin_server
from eldex.common.clock import Clock, system_clock
from eldex.common.contract import load_contract
from eldex.common.errors import CannotStart, DomainError, Unavailable
from eldex.common.inbox import Inbox, Subscriptions, Take
from eldex.common.kafka import Consumer, Producer
from eldex.common.logs import logger
from eldex.common.operations import OperationsService
from eldex.common.outbox import Relay, publisher
from eldex.common.rpc.client import Peer, channel
from eldex.common.rpc.front import Front
from eldex.common.rpc.policy import Policy, at_home, services_only
from eldex.common.rpc.revocation import Revocations, identity_of
from eldex.common.rpc.server import Dispatcher, GrpcDoor, grpc_server
from eldex.common.rpc.tls import CertificateFiles, insist_on_tls_1_3, server_credentials
from eldex.common.rpc.trunk import TrunkService
from eldex.common.sealing import Sealer
from eldex.common.settings import Settings
from eldex.common.store import Backend, Repository, Session, UnitOfWork, collections_of

S = TypeVar("S")

_DRAIN_SECONDS = 10.0
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


Served = Sequence[tuple[ServiceDescriptor, object]]
"""Services of the contract, each with the object whose methods answer it."""


@dataclass(slots=True)
class Parts(Generic[S]):
    """What a service's own objects are built on."""

    settings: Settings
    clock: Clock
    backend: Backend
    work: UnitOfWork[S]
    stack: AsyncExitStack
    """Whatever the service opens itself is closed with the rest."""

    def peer(self, name: str) -> Peer:
        """Another service of this house; raises `CannotStart` if its address was not given."""
        target = self.settings.peers.get(name)
        if target is None:
            raise CannotStart(f"ELDEX_PEERS must name the address of {name}")
        opened = channel(target, self.settings.tls_dir)
        self.stack.push_async_callback(opened.close)
        return Peer(opened, name)


@dataclass(slots=True)
class Plan(Generic[S]):
    """A service as its `main` describes it."""

    name: str
    stores: Callable[[Session], S]
    """The service's ports, on one session."""
    repositories: Sequence[type[Repository[Any]]]
    to_message: Callable[[Any], Message]
    """Domain event → message of the contract (`wire.event`)."""
    services: Callable[[Parts[S]], Served]
    """What it answers."""
    subscriptions: Callable[[Parts[S]], Subscriptions[S]] = lambda _: {}
    """What it listens to."""
    policy: Policy = services_only
    prepare: Callable[[Parts[S]], Awaitable[None]] | None = None
    """What must be done before anything is served."""
    take: Callable[[Parts[S]], Take] | None = None
    """Takes over the events of all topics, instead of subscribing to kinds of them."""
    doors: Callable[[Parts[S]], Sequence[grpc.GenericRpcHandler]] = lambda _: ()
    """Further gRPC handlers (the exchange forwards what it has no method for)."""
    tasks: Callable[[Parts[S]], Sequence[Callable[[], Any]]] = lambda _: ()
    """Further coroutines that run as long as the process does."""
    also_trusted: Callable[[Parts[S]], bytes] = lambda _: b""
    """Further authorities of callers, PEM (the exchange's own, of its members)."""
    revocations: Revocations | None = None
    """Whose certificates count no more; None: none are ever revoked here."""
    front: Callable[[Parts[S]], Front | None] = lambda _: None
    """What takes the connections instead of the gRPC server, if anything does."""
    clock: Clock = field(default=system_clock)


def run(plan: Plan[Any], settings: Settings | None = None) -> None:
    """Run a service until SIGTERM; the body of every `main`."""
    settings = settings or Settings.read()
    insist_on_tls_1_3()
    live(plan.name, settings, _serve(plan, settings))


def live(name: str, settings: Settings, life: Coroutine[Any, Any, None]) -> None:
    """Run what a process does until it is over.

    What ends it before its time is one log line, and the exit code 2 (mend the settings) or 1.
    """
    logs.configure(name, settings.instance, settings.log_level)
    try:
        uvloop.run(life)
    except CannotStart as error:
        logger().error("service_cannot_start", problem=str(error))
        raise SystemExit(2) from None
    except Exception as error:  # noqa: BLE001 - a traceback's text may quote what nobody should read
        problem = str(error) if isinstance(error, DomainError) else type(error).__name__
        logger().error("service_broke", problem=problem, exc_info=error)
        raise SystemExit(1) from None


async def _serve(plan: Plan[Any], settings: Settings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    async with serving(plan, settings) as running:
        done, _ = await asyncio.wait(
            [asyncio.create_task(stopping.wait()), *running.tasks],
            return_when=asyncio.FIRST_COMPLETED,
        )
        logger().info("service_stopping")
    for task in done:
        task.result()  # a part that broke ends the process with its error; the supervisor restarts it


@dataclass(slots=True)
class Running:
    """A service that is being served."""

    port: int
    tasks: list[asyncio.Task[Any]]
    consumer: Consumer | None
    relay: Relay
    parts: Parts[Any]


@asynccontextmanager
async def serving(plan: Plan[S], settings: Settings) -> AsyncIterator[Running]:
    """Serve a plan inside a running loop; leaves only after what was accepted is answered."""
    async with AsyncExitStack() as stack:
        parts = await _parts(plan, settings, stack)
        inbox, consumer = _reading(plan, parts)
        producer = Producer(settings.kafka_bootstrap, settings.instance)
        stack.callback(producer.close)
        relay = Relay(parts.backend, producer, settings.instance)
        parts.work.commit.on_commit = relay.wake
        health = HealthServicer()
        certificate = CertificateFiles(settings.tls_dir)
        served = _served(plan, parts, consumer, inbox, certificate)
        front = plan.front(parts)
        server, port, dispatcher = await _server(plan, parts, served, health, front)
        if front is not None:
            stack.push_async_callback(front.stop)
            port = await front.start()
        probes = await _probe_server(settings.health_listen, health)

        ready = [True]

        def problem() -> str:
            if consumer is not None and consumer.broken:
                return consumer.broken
            if front is not None and front.problem:
                return front.problem
            return "" if ready[0] else "stopping"

        admin = admin_server(settings.admin_listen, problem)
        tasks: list[asyncio.Task[Any]] = [
            asyncio.create_task(relay.run()),
            asyncio.create_task(admin.serve()),
            asyncio.create_task(_observe(consumer, certificate, health, problem)),
            asyncio.create_task(_observe_outbox(parts.backend, plan.clock)),
            *(asyncio.create_task(start()) for start in plan.tasks(parts)),
            *([asyncio.create_task(front.run())] if front is not None else []),
        ]
        if consumer is not None:
            tasks.append(asyncio.create_task(consumer.run()))
        _settle_in()
        logger().info("service_started", port=port)
        try:
            yield Running(port, tasks, consumer, relay, parts)
        finally:
            ready[0] = False
            await health.enter_graceful_shutdown()
            dispatcher.leaving.set()
            if front is not None:
                await front.drain(_DRAIN_SECONDS)
            await server.stop(_DRAIN_SECONDS)
            if probes is not None:
                await probes.stop(0)
            admin.should_exit = True
            relay.stop()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=_DRAIN_SECONDS)
            with contextlib.suppress(TimeoutError):
                # What was accepted is in the outbox; publishing it now spares the readers a wait.
                async with asyncio.timeout(2.0):
                    await relay.drain()
            logger().info("service_stopped")


_GARBAGE_AFTER = 100_000
"""Objects that must have come and stayed before cycles among them are looked for."""


def _settle_in() -> None:
    """Set the interpreter up for a process that lives long and serves many.

    The collector of cycles is spared what lives as long as the process, and the crowd of the moment:
    tables and the contract are some 10⁶ objects, a thousand calls under way some 10⁵. Looking through
    them again and again took a third of a call's CPU and the longest pauses; what is not in a cycle is
    freed without it. Threads of the drivers need the interpreter for moments at a time, and shall not
    wait the usual 5 ms for each.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE_AFTER, 20, 100)
    sys.setswitchinterval(0.001)


async def _parts(plan: Plan[S], settings: Settings, stack: AsyncExitStack) -> Parts[S]:
    provider = telemetry.configure(
        plan.name, settings.instance, settings.city, settings.otlp_endpoint, settings.trace_ratio
    )
    stack.callback(provider.shutdown)
    database = f"{settings.mongo_prefix}_{plan.name}"
    backend = await stack.enter_async_context(mongo.connect(settings.mongo_uri, database))
    await backend.prepare(collections_of(plan.repositories))
    publish = publisher(settings.city, plan.name, load_topics(), plan.to_message)
    sealer = Sealer.from_folder(settings.secrets_dir, f"{plan.name}/marks")
    work: UnitOfWork[S] = UnitOfWork(backend, plan.stores, publish, plan.clock, sealer=sealer)
    parts = Parts(settings, plan.clock, backend, work, stack)
    if plan.prepare is not None:
        await plan.prepare(parts)
    return parts


def _reading(plan: Plan[S], parts: Parts[S]) -> tuple[Inbox[S] | None, Consumer | None]:
    if plan.take is not None:
        load_contract()
        subscriptions: Subscriptions[S] | Mapping[type[Message], None] = dict.fromkeys(
            _all_events()
        )
        take = plan.take(parts)
    else:
        subscriptions, take = plan.subscriptions(parts), None
    if not subscriptions:
        return None, None
    inbox = Inbox(plan.name, subscriptions, parts.work, take)
    kinds = {kind.DESCRIPTOR.full_name for kind in subscriptions}
    topics = sorted(t.name for t in load_topics().values() if kinds & set(t.events))
    consumer = Consumer(parts.settings.kafka_bootstrap, plan.name, topics, inbox.apply, kinds)
    return inbox, consumer


def _all_events() -> list[type[Message]]:
    """The class of every event of every topic."""
    pool = descriptor_pool.Default()
    names = sorted(name for topic in load_topics().values() for name in topic.events)
    return [message_factory.GetMessageClass(pool.FindMessageTypeByName(name)) for name in names]


def _served(
    plan: Plan[S],
    parts: Parts[S],
    consumer: Consumer | None,
    inbox: Inbox[S] | None,
    certificate: CertificateFiles,
) -> Served:
    operations = OperationsService(plan.name, parts.backend, consumer, inbox, certificate)
    return [
        *plan.services(parts),
        (service_descriptor(operations_service_pb2, "OperationsService"), operations),
        (service_descriptor(trunk_service_pb2, "TrunkService"), TrunkService()),
    ]


async def _server(
    plan: Plan[S], parts: Parts[S], served: Served, health: HealthServicer, front: Front | None
) -> tuple[grpc.aio.Server, int, Dispatcher]:
    settings = parts.settings
    policy = at_home(settings.city, plan.policy)
    dispatcher = Dispatcher(served, plan.clock, policy, settings.max_in_flight, plan.revocations)
    for _, implementation in served:
        if isinstance(implementation, TrunkService):
            implementation.dispatcher = dispatcher
    identify = front.identify if front is not None else identity_of
    server = grpc_server([GrpcDoor(dispatcher, identify), *plan.doors(parts)])
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    names = [descriptor.full_name for descriptor, _ in served]
    health_name = service_descriptor(health_pb2, "Health").full_name
    reflection.enable_server_reflection([*names, health_name, reflection.SERVICE_NAME], server)
    credentials = server_credentials(settings.tls_dir, also_trusted=plan.also_trusted(parts))
    port = server.add_secure_port(front.behind if front else settings.listen, credentials)
    await server.start()
    for name in ["", "liveness", *names]:
        await health.set(name, _SERVING)
    return server, port, dispatcher


async def _probe_server(listen: str, health: HealthServicer) -> grpc.aio.Server | None:
    if not listen:
        return None
    server = grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    server.add_insecure_port(listen)
    await server.start()
    return server


async def _observe(
    consumer: Consumer | None,
    certificate: CertificateFiles,
    health: HealthServicer,
    problem: Callable[[], str],
) -> None:
    """Keep what probes and metrics tell up to date: the empty service name follows readiness."""
    while True:
        await health.set("", _NOT_SERVING if problem() else _SERVING)
        if consumer is not None:
            consumer.flows()  # sets the lag metrics
        certificate.changed()
        metrics.certificate_not_after.set(certificate.ends_at.timestamp())
        await asyncio.sleep(1.0)


_OUTBOX_EVERY_SECONDS = 2.0
_OUTBOX_SHARE = 20
"""Of the time, one part in so many is spent at most on counting a long outbox."""


async def _observe_outbox(backend: Backend, clock: Clock) -> None:
    """Keep the outbox's metrics up to date, also while the relay waits for a broker or a lease."""
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        with contextlib.suppress(Unavailable):  # the calls tell of that; the last figures stand
            waiting = await backend.backlog()
            age = (clock() - waiting.oldest_at).total_seconds() if waiting.oldest_at else 0.0
            metrics.outbox_events.set(waiting.events)
            metrics.outbox_age_seconds.set(max(0.0, age))
        took = loop.time() - began
        await asyncio.sleep(max(_OUTBOX_EVERY_SECONDS, _OUTBOX_SHARE * took))


def service_descriptor(module: Any, name: str) -> ServiceDescriptor:
    """The descriptor of a service in a generated module."""
    found: Mapping[str, ServiceDescriptor] = module.DESCRIPTOR.services_by_name
    return found[name]
