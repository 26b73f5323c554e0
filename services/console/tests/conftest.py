"""A console that is really served: real mongod, real OTLP, a real department behind mutual TLS."""

from __future__ import annotations

import asyncio
import http.client
import json
import re
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import grpc
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode

from eldex.api.operations.v1 import operations_service_pb2
from eldex.api.registry.v1 import resident_events_pb2
from eldex.common.clock import system_clock
from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers import new_key
from eldex.common.kafka import FlowState
from eldex.common.operations import OperationsService
from eldex.common.rpc.server import Dispatcher, GrpcDoor, grpc_server
from eldex.common.rpc.status import DETAILS_KEY, failure
from eldex.common.rpc.tls import server_credentials
from eldex.common.service import service_descriptor
from eldex.common.testing.harness import CITY, ServiceOnMemory
from eldex.console import accounts
from eldex.console.main import ConsoleSettings, Running, serving
from eldex.local.authority import Authority
from eldex.local.mongod import Mongod
from eldex.local.ports import reserve


@pytest.fixture(scope="session")
def mongod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mongod]:
    part = Mongod(tmp_path_factory.mktemp("mongod"))
    asyncio.run(part.start())
    yield part
    asyncio.run(part.stop())


class NoPolicyForDivision(DomainError):
    kind = Kind.CONFLICT
    reason = "NO_POLICY_FOR_DIVISION"
    zh = "该区划没有现行政策参数"
    en = "no policy is in force for this division"


@dataclass
class Readers:
    """How the department's reader stands, as its consumer would tell."""

    states: list[FlowState] = field(default_factory=list)

    def flows(self) -> list[FlowState]:
        return self.states


class SmallDepartment:
    """Subsidies as operations see them: a real inbox that cannot apply a death until it is mended."""

    def __init__(self) -> None:
        self.mended = False
        self.ended: list[str] = []
        self.readers = Readers()
        self.on_memory: ServiceOnMemory[None] = ServiceOnMemory(
            "subsidies",
            stores=lambda _: None,
            repositories=[],
            to_message=lambda event: event,
            subscriptions={resident_events_pb2.ResidentDeceased: self._end_on_death},
        )

    async def _end_on_death(self, message: Any, *_: Any) -> None:
        if not self.mended:
            raise NoPolicyForDivision
        self.ended.append(message.resident_key)

    async def receive_death(self, death: Death) -> None:
        """Deliver a death; as long as nothing is mended it becomes a dead letter."""
        message = resident_events_pb2.ResidentDeceased(resident_key=death.resident_key)
        await self.on_memory.deliver(message, event_id=death.event_id)
        for letter in self.on_memory.backend.collections["dead_letters"].values():
            # The inbox runs in the test's process, whose spans go nowhere.
            letter["trace_id"] = death.trace_id

    @asynccontextmanager
    async def served(self, tls_dir: Path) -> AsyncIterator[str]:
        await self.on_memory.start()
        self.on_memory.clock.at = system_clock()
        readers: Any = self.readers
        operations = OperationsService(
            "subsidies", self.on_memory.backend, readers, self.on_memory.inbox
        )
        descriptor = service_descriptor(operations_service_pb2, "OperationsService")
        dispatcher = Dispatcher([(descriptor, operations)], system_clock)
        server = grpc_server([GrpcDoor(dispatcher)])
        health = HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(health, server)
        await health.set("", health_pb2.HealthCheckResponse.SERVING)
        port = server.add_secure_port("127.0.0.1:0", server_credentials(tls_dir))
        await server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            await server.stop(0)


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    text: str


class Browserless:
    """An HTTP client with a cookie jar, as plain as a probe."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cookies: dict[str, str] = {}
        self.language = "en"

    async def ask(
        self, method: str, path: str, form: dict[str, str] | None, headers: dict[str, str]
    ) -> Reply:
        return await asyncio.to_thread(self._ask, method, path, form, headers)

    def _ask(
        self, method: str, path: str, form: dict[str, str] | None, more: dict[str, str]
    ) -> Reply:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        headers = {"accept-language": self.language} | {
            name.replace("_", "-"): value for name, value in more.items()
        }
        if self.cookies:
            headers["cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        body = urlencode(form) if form is not None else None
        if body is not None:
            headers["content-type"] = "application/x-www-form-urlencoded"
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        text = response.read().decode()
        for cookie in response.headers.get_all("set-cookie") or ():
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        connection.close()
        return Reply(response.status, {k.lower(): v for k, v in response.headers.items()}, text)

    async def get(self, path: str, **headers: str) -> Reply:
        return await self.ask("GET", path, None, headers)

    async def post(self, path: str, form: dict[str, str], **headers: str) -> Reply:
        return await self.ask("POST", path, form, headers)

    async def form_token(self) -> str:
        found = re.search(r'name="form_token" value="([^"]+)"', (await self.get("/matters")).text)
        assert found, "the page has no form"
        return found[1]

    async def sign_in(self, user: str, password: str) -> Reply:
        return await self.post("/sign-in", {"user": user, "password": password, "next": "/"})


@dataclass
class Console:
    """The console being served, and what surrounds it."""

    running: Running
    settings: ConsoleSettings
    passwords: dict[str, str]
    subsidies: SmallDepartment

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.running.web_port}"

    def visitor(self) -> Browserless:
        return Browserless(self.running.web_port)

    async def signed_in(self, role: str = "viewer") -> Browserless:
        visitor = self.visitor()
        reply = await visitor.sign_in(role, self.passwords[role])
        assert reply.status == 303, reply.text
        return visitor

    def telling(self) -> Telling:
        return Telling(f"127.0.0.1:{self.running.otlp_port}")


class Telling:
    """Departments that tell their spans through OpenTelemetry's own exporter."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._providers: dict[str, TracerProvider] = {}

    def span(
        self,
        service: str,
        name: str,
        kind: SpanKind,
        start_ms: float,
        length_ms: float,
        parent: Span | None = None,
        error: str = "",
        links: list[Span] | None = None,
        note: str = "",
        about: dict[str, str] | None = None,
        **attributes: str,
    ) -> Span:
        """A span that began `start_ms` after the story did."""
        provider = self._providers.get(service)
        if provider is None:
            names = {"service.name": service, "service.instance.id": f"{service}-0"}
            provider = TracerProvider(resource=Resource.create(names))
            exporter = OTLPSpanExporter(endpoint=f"http://{self._endpoint}", insecure=True)
            provider.add_span_processor(BatchSpanProcessor(exporter))
            self._providers[service] = provider
        start = STORY_NS + int(start_ms * 1_000_000)
        told = provider.get_tracer("eldex").start_span(
            name,
            trace.set_span_in_context(parent) if parent else None,
            kind,
            (about or {}) | {key.replace("__", "."): value for key, value in attributes.items()},
            [Link(link.get_span_context()) for link in links or ()],
            start_time=start,
        )
        if note:
            told.add_event(note, {"eldex.attempt": 1}, timestamp=start + 1000)
        if error:
            told.set_attribute("error.type", error)
            told.set_status(Status(StatusCode.ERROR, error))
        told.end(start + int(length_ms * 1_000_000))
        return told

    async def arrive(self) -> None:
        """Wait until everything has been received and kept."""
        for provider in self._providers.values():
            assert await asyncio.to_thread(provider.force_flush, 20_000)
            provider.shutdown()


STORY_NS = time.time_ns() - 60_000_000_000


@dataclass
class Death:
    """张建国's death, as it travelled."""

    trace_id: str
    resident_key: str
    event_id: str


REGISTER_DEATH = "eldex.api.registry.v1.RegistryService/RegisterDeath"
DECEASED = "eldex.api.registry.v1.ResidentDeceased"


async def a_death(told: Telling) -> Death:
    """A death through the exchange: registry tells, medical acts, subsidies cannot."""
    resident, event, ended = new_key("res"), new_key("evt"), new_key("evt")
    asked = told.span(
        "exchange", REGISTER_DEATH, SpanKind.SERVER, 0, 31, rpc__method=REGISTER_DEATH,
        eldex__caller="civil-affairs/elder-care", rpc__system="grpc",
    )  # fmt: skip
    done = told.span(
        "registry", REGISTER_DEATH, SpanKind.SERVER, 3, 22, asked, rpc__system="grpc",
        eldex__caller="511700/service/exchange", note="journal flushed",
    )  # fmt: skip
    of_event = {
        "messaging.destination.name": "registry-residents", "messaging.message.id": event,
        "eldex.event.type": DECEASED, "eldex.subject": resident,
    }  # fmt: skip
    sent = told.span(
        "registry", "send registry-residents", SpanKind.PRODUCER, 27, 2, done, about=of_event
    )
    heard = "process registry-residents"
    insured = told.span(
        "medical", heard, SpanKind.CONSUMER, 38, 14, sent, eldex__outcome="applied", about=of_event
    )
    told.span(
        "medical", "send medical-insurance", SpanKind.PRODUCER, 55, 1.5, insured,
        messaging__destination__name="medical-insurance", messaging__message__id=ended,
        eldex__event__type="eldex.api.medical.v1.EnrolmentEnded", eldex__subject=resident,
    )  # fmt: skip
    told.span(
        "institutions", heard, SpanKind.CONSUMER, 36, 19, sent, eldex__outcome="applied",
        links=[asked], about=of_event,
    )  # fmt: skip
    told.span(
        "subsidies", heard, SpanKind.CONSUMER, 37, 9, sent, error="NO_POLICY_FOR_DIVISION",
        eldex__outcome="dead", about=of_event,
    )  # fmt: skip
    told.span(
        "exchange", "deliver to partner", SpanKind.PRODUCER, 61, 0.2, sent,
        eldex__subscriber="partner-500100/elder-care", messaging__message__id=event,
        eldex__event__type=DECEASED, eldex__subject=resident,
    )  # fmt: skip
    trace_id = f"{asked.get_span_context().trace_id:032x}"
    return Death(trace_id, resident, event)


@asynccontextmanager
async def a_console(
    mongod: Mongod, folder: Path, peers: dict[str, str], authority: Authority
) -> AsyncIterator[Console]:
    """A console with one department that answers (subsidies), and further peers."""
    secrets = folder / "secrets"
    passwords = accounts.ensure(secrets)
    subsidies = SmallDepartment()
    async with subsidies.served(authority.issue(f"{CITY}/service/subsidies")) as address:
        otlp = f"127.0.0.1:{reserve()}"
        settings = ConsoleSettings.model_validate(
            {
                "city": CITY,
                "mongo_uri": mongod.uri,
                "mongo_prefix": f"t{uuid.uuid4().hex[:12]}",
                "tls_dir": authority.issue(f"{CITY}/service/console"),
                "secrets_dir": secrets,
                "peers": {"subsidies": address, **peers},
                "otlp_listen": otlp,
                "otlp_endpoint": otlp,
            }
        )
        async with serving(settings) as running:
            yield Console(running, settings, passwords, subsidies)


@pytest.fixture
async def console(mongod: Mongod, tmp_path: Path) -> AsyncIterator[Console]:
    """A console with one department that answers (subsidies) and one that is down (medical)."""
    authority = Authority.open(tmp_path / "pki")
    down = {"medical": f"127.0.0.1:{reserve()}"}
    async with a_console(mongod, tmp_path, down, authority) as served:
        yield served


@pytest.fixture
async def death(console: Console) -> Death:
    """张建国's death has travelled, and stands in subsidies' dead letters."""
    told = console.telling()
    found = await a_death(told)
    await told.arrive()
    await console.subsidies.receive_death(found)
    return found


@pytest.fixture
def channel_to_otlp(console: Console) -> grpc.aio.Channel:
    return grpc.aio.insecure_channel(f"127.0.0.1:{console.running.otlp_port}")


def read_json(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


@dataclass
class SmallExchange:
    """Answers the contract's calls as told, over mutual TLS, and keeps what it was asked."""

    answers: dict[str, Any] = field(default_factory=dict)
    """Method → reply, or an error."""
    asked: list[tuple[str, Any]] = field(default_factory=list)

    def service(self, details: Any) -> grpc.RpcMethodHandler[Any, Any] | None:
        service, _, name = details.method[1:].partition("/")
        if not service.startswith("eldex.api.exchange."):
            return None
        found = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
        kind = message_factory.GetMessageClass(found.input_type)
        reply = message_factory.GetMessageClass(found.output_type)

        async def answer(data: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
            request = kind.FromString(data)
            self.asked.append((name, request))
            told = self.answers.get(name, reply())
            if callable(told):
                told = told(request)
            if isinstance(told, Exception):
                failed = failure(told, "en")  # type: ignore[arg-type]
                metadata = ((DETAILS_KEY, failed.details),)
                await context.abort(failed.code, failed.message, metadata)
            assert isinstance(told, Message)
            return told.SerializeToString()

        return grpc.unary_unary_rpc_method_handler(answer)

    def requests(self, name: str) -> list[Any]:
        return [request for asked, request in self.asked if asked == name]


@dataclass
class Scene:
    console: Console
    exchange: SmallExchange
    server: grpc.aio.Server


@pytest.fixture
async def scene(mongod: Mongod, tmp_path: Path) -> AsyncIterator[Scene]:
    authority = Authority.open(tmp_path / "pki")
    exchange = SmallExchange()
    server = grpc_server([exchange])  # type: ignore[list-item]
    port = server.add_secure_port(
        "127.0.0.1:0", server_credentials(authority.issue(f"{CITY}/service/exchange"))
    )
    await server.start()
    peers = {"exchange": f"127.0.0.1:{port}"}
    async with a_console(mongod, tmp_path, peers, authority) as console:
        yield Scene(console, exchange, server)
    await server.stop(0)
