"""A bus on the in-memory database whose partners have real HTTP endpoints on this machine."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import partial
from typing import Any

import orjson
import pytest
import pytest_asyncio

from eldex.api.exchange.v1 import delivery_pb2
from eldex.api.exchange.v1 import delivery_service_pb2 as pb
from eldex.api.topics import load_topics
from eldex.common.clock import system_clock
from eldex.common.identifiers import RegionCode
from eldex.common.inbox import EventMeta
from eldex.common.kafka import Record
from eldex.common.outbox import publisher
from eldex.common.rpc.call import Call, Identity
from eldex.common.sealing import Sealer
from eldex.common.store import Mark, UnitOfWork, collections_of
from eldex.common.testing.memory import MemoryBackend
from eldex.exchange import wire
from eldex.exchange.domain.agreements import Agreement, EventGrant
from eldex.exchange.domain.delivery.endpoints import Rules
from eldex.exchange.domain.delivery.schedule import Schedule
from eldex.exchange.domain.message_log import NoEvidence
from eldex.exchange.domain.subscriptions import FeedEvent
from eldex.exchange.handlers import delivery
from eldex.exchange.handlers.agreements import put_agreement
from eldex.exchange.handlers.delivery import Delivered, Streamed, TopicsNotOffered
from eldex.exchange.handlers.dispatch import Dispatch, Outside
from eldex.exchange.peers import HttpWebhooks
from eldex.exchange.rpc.agreement_table import AgreementTable
from eldex.exchange.rpc.delivery_service import DeliveryService
from eldex.exchange.rpc.masking import EventFields, check_grants
from eldex.exchange.rpc.roles import Roles
from eldex.exchange.store import feed as feed_store
from eldex.exchange.store.collections import REPOSITORIES, stores
from eldex.exchange.store.deliveries import MongoMemories
from eldex.exchange.store.feed import Feed

ORIGIN = "exchange.dazhou.example"
DECEASED = "eldex.api.registry.v1.ResidentDeceased"
MOVED = "eldex.api.registry.v1.ResidentMoved"
PARTNER = "member/partner-500100/elder-care"
FAST = Schedule(
    retries=(0.02, 0.02, 0.05), probe_first=0.02, probe_longest=0.1, dead_after=0.3, dead_failures=5
)


@dataclass
class Got:
    """A request that an endpoint got."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def event(self) -> Any:
        """The CloudEvents message."""
        return orjson.loads(self.body)

    @property
    def number(self) -> int:
        """The number that `Bus.tell` gave the event."""
        return int(self.event["id"].removeprefix("evt_"))


Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Receiver:
    """A partner's endpoint. It agrees to deliveries and takes everything, unless told otherwise."""

    answer: Callable[[Got], Awaitable[Answer]] | None = None
    allowed_origin: str = ORIGIN
    got: list[Got] = field(default_factory=list)
    asked: list[Got] = field(default_factory=list)
    port: int = 0
    _more: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/eldex"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                method, path, _ = head[0].split(" ")
                headers = {
                    name.lower(): value.strip()
                    for name, _, value in (line.partition(":") for line in head[1:] if line)
                }
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                now = asyncio.get_running_loop().time()
                got = Got(method, path, headers, body, now)
                status, extra, said = await self._answer(got)
                lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(said)}"]
                lines += [f"{name}: {value}" for name, value in extra.items()]
                writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + said)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _answer(self, got: Got) -> Answer:
        if got.method == "OPTIONS":
            self.asked.append(got)
            return 200, {"WebHook-Allowed-Origin": self.allowed_origin}, b""
        answer = (204, {}, b"") if self.answer is None else await self.answer(got)
        async with self._more:
            self.got.append(got)
            self._more.notify_all()
        return answer

    async def until(self, enough: Callable[[list[Got]], bool]) -> list[Got]:
        """What it got, as soon as that is enough."""
        async with asyncio.timeout(60), self._more:
            await self._more.wait_for(lambda: enough(self.got))
        return list(self.got)

    async def have(self, count: int) -> list[Got]:
        """What it got, as soon as these are so many."""
        return await self.until(lambda got: len(got) >= count)


class Evidence:
    """Remembers what was proven; can be out of order."""

    def __init__(self) -> None:
        self.facts: list[Delivered] = []
        self.streams: list[Streamed] = []
        self.is_full = False

    def require(self) -> None:
        """As the log does it."""
        if self.is_full:
            raise NoEvidence

    async def delivered(self, fact: Delivered) -> None:
        """As the log does it."""
        self.require()
        self.facts.append(fact)

    async def streamed(self, fact: Streamed) -> None:
        """As the log does it."""
        self.require()
        self.streams.append(fact)


class NoTopics:
    """An exchange that offers no Kafka to members."""

    def address(self) -> str:
        """Nowhere."""
        raise TopicsNotOffered

    async def open(self, topic: str, passwords: Mapping[str, str]) -> None:
        """Never asked for: no subscription can be made."""
        raise AssertionError(topic, len(passwords))

    async def put(self, topic: str, event: FeedEvent) -> delivery.Answer:
        """Never asked for."""
        raise AssertionError(topic, event.cursor)

    async def close(self, topic: str) -> None:
        """Never asked for."""
        raise AssertionError(topic)


class Bus:
    """The exchange's deliveries; `start` and `die` as often as a story wants."""

    def __init__(self, schedule: Schedule = FAST) -> None:
        self.schedule = schedule
        self.backend = MemoryBackend()
        self.evidence = Evidence()
        self.rules = Rules(allow_http=True, allowed_networks=("127.0.0.0/8",))
        self.seals = Sealer({255: bytes(range(64))}, "exchange.webhook-secret")
        self.topics: delivery.PartnerTopics = NoTopics()
        self.timeout_seconds = 5.0
        self.number = 0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Begin to work, with whatever the database remembers."""
        publish = publisher("511700", "exchange", load_topics(), wire.event)
        self.work = UnitOfWork(self.backend, stores, publish, system_clock)
        await self.backend.prepare({**collections_of(REPOSITORIES), **feed_store.COLLECTIONS})
        self.feed = Feed(self.backend)
        await self.feed.start()
        self.agreements = AgreementTable(self.work)
        await self.agreements.refresh()
        self.roles = Roles(RegionCode.parse("511700"), self.agreements, system_clock)
        self.webhooks = HttpWebhooks(ORIGIN, self.rules, timeout_seconds=self.timeout_seconds)
        memories = MongoMemories(self.backend, self.work.commit)
        self.dispatch = Dispatch(
            self.work,
            self.agreements.all,
            self.feed,
            Outside(
                self.webhooks,
                self.topics,
                memories,
                self.evidence,
                EventFields(),
                self.seals,
                self.schedule,
            ),
            system_clock,
        )
        self.service = DeliveryService(
            self.work,
            self.agreements,
            self.feed,
            self.dispatch,
            self.webhooks,
            self.topics,
            self.seals,
        )
        self._task = asyncio.create_task(self.dispatch.run())

    async def die(self) -> None:
        """End without a last word, as kill -9 does: nothing more reaches the database."""
        assert self._task is not None
        written, self.backend = self.backend, MemoryBackend()
        self.backend.collections, self.backend._indexes = written.collections, written._indexes
        written.collections, written._indexes = {}, {}
        await self.stop()

    async def stop(self) -> None:
        """End as SIGTERM does."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
            await self.webhooks.close()

    async def agree(
        self,
        key: str = "partner",
        subsystem: str = PARTNER,
        valid_to: date | None = None,
        event_grants: Sequence[EventGrant] = (),
    ) -> None:
        """Make an agreement about deaths and moves in 511702, or the events granted, or change it."""
        present = next((a for a in self.agreements.all() if a.key == key), None)
        wanted = Agreement(
            key=key,
            subsystem=subsystem,
            methods=[],
            purposes=["cross-city-settlement"],
            legal_basis="川渝养老服务协作协议（虚构）",
            valid_from=date(2026, 1, 1),
            valid_to=valid_to,
            event_types=[grant.event_type for grant in event_grants] or [DECEASED, MOVED],
            event_grants=list(event_grants),
            region_codes=[RegionCode.parse("511702")],
        )
        check_grants(wanted)
        etag = present.etag if present else ""
        await self.work.write(
            Mark(f"agree/{uuid.uuid4()}"), lambda s, _: put_agreement(wanted, etag, s)
        )
        await self.agreements.refresh()

    def call(self, subsystem: str = PARTNER) -> Call:
        """A call of a member."""
        identity = Identity("eldex.local", f"511700/{subsystem}")
        return Call("/eldex.api.exchange.v1.DeliveryService/X", identity, system_clock())

    def operator(self) -> Call:
        """A call of the operators."""
        return Call("/x/X", Identity("eldex.local", "511700/service/console"), system_clock())

    async def subscribe(
        self, url: str, name: str = "events", subsystem: str = PARTNER, **more: Any
    ) -> pb.CreateSubscriptionResponse:
        """Make a webhook subscription."""
        more |= {
            "kind": delivery_pb2.DELIVERY_KIND_WEBHOOK,
            "webhook": delivery_pb2.WebhookEndpoint(url=url),
        }
        return await self.create(name, subsystem, **more)

    async def create(
        self, name: str, subsystem: str = PARTNER, **more: Any
    ) -> pb.CreateSubscriptionResponse:
        """Make a subscription."""
        request = pb.CreateSubscriptionRequest(
            request_id=str(uuid.uuid4()), subscription_name=name, **more
        )
        call = self.call(subsystem)
        named = Call(
            "/eldex.api.exchange.v1.DeliveryService/CreateSubscription", call.caller, call.at
        )
        return await self.service.create_subscription(request, named)

    async def tell(
        self, subject: str = "", kind: str = DECEASED, region: str = "511702", payload: bytes = b""
    ) -> int:
        """An event comes in; returns its number."""
        self.number += 1
        number = self.number
        headers = {
            "ce_id": f"evt_{number}",
            "ce_type": kind,
            "ce_source": "//511700/registry",
            "ce_time": datetime.now(UTC).isoformat(),
            "ce_subject": subject or f"res_{number}",
            "ce_regions": region,
        }
        record = Record("registry-residents", subject, payload or b"\x0a\x01x", headers)
        await self.feed.append(record, EventMeta.of(record))
        return number

    async def tell_many(self, count: int, subjects: int = 0) -> None:
        """Many events, of so many subjects (0: each of its own), in their order."""
        await asyncio.gather(
            *(self.tell(f"res_{i % subjects}" if subjects else "") for i in range(count))
        )

    async def lag(self, name: str = "events") -> delivery_pb2.SubscriptionLag:
        """How far a subscription is behind."""
        response = await self.service.get_lag(pb.GetLagRequest(subscription_name=name), self.call())
        return response.lag

    async def shown(self, name: str = "events") -> delivery_pb2.EventSubscription:
        """A subscription as its owner sees it."""
        response = await self.service.get_subscription(
            pb.GetSubscriptionRequest(subscription_name=name), self.call()
        )
        return response.subscription

    async def until(self, holds: Callable[[], Awaitable[bool]]) -> None:
        """Wait for what only the database tells."""
        async with asyncio.timeout(60):
            while not await holds():
                await asyncio.sleep(0.01)

    async def caught_up(self, name: str = "events") -> None:
        """Wait until nothing is due to a subscriber any more."""

        async def nothing_is_due() -> bool:
            return (await self.lag(name)).lag_events == 0

        await self.until(nothing_is_due)


@pytest_asyncio.fixture
async def bus() -> AsyncIterator[Bus]:
    """Deliveries at work, and the partner's agreement."""
    made = Bus()
    await made.start()
    await made.agree()
    yield made
    await made.stop()


@pytest_asyncio.fixture
async def receivers() -> AsyncIterator[Callable[[], Awaitable[Receiver]]]:
    """Makes endpoints."""
    servers: list[asyncio.Server] = []

    async def open_one() -> Receiver:
        receiver = Receiver()
        server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
        servers.append(server)
        receiver.port = server.sockets[0].getsockname()[1]
        return receiver

    yield open_one
    for server in servers:
        server.close()


@pytest_asyncio.fixture
async def receiver(receivers: Callable[[], Awaitable[Receiver]]) -> Receiver:
    """One endpoint."""
    return await receivers()


@pytest.fixture
def new_bus() -> type[Bus]:
    """For stories that begin with another schedule or other rules."""
    return Bus


@pytest.fixture
def request_id() -> Callable[[], str]:
    """Ids for requests."""
    return partial(lambda: str(uuid.uuid4()))
