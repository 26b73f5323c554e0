"""The exchange dies by `kill -9` while it delivers to a webhook: nothing is lost, and a subject's events keep their order."""

from __future__ import annotations

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from google.type.date_pb2 import Date

from eldex.api.exchange.v1 import delivery_pb2
from eldex.api.exchange.v1 import delivery_service_pb2 as delivery_pb
from eldex.api.exchange.v1 import exchange_service_pb2 as exchange_pb
from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.api.registry.v1 import resident_pb2
from eldex.common.rpc.client import channel
from eldex.local.authority import Authority
from eldex.local.field import Department, Refused, field_of
from eldex.local.stack import Settings, Stack

LIVES = 8
"""So many begin at first, and as many again at every kill."""
CONFIRMED_AFTER_A_KILL = (8, 8, 10**9)
"""By kill: how many arrivals the endpoint confirms until it falls silent again."""
MOVED = "eldex.api.registry.v1.ResidentMoved"
DECEASED = "eldex.api.registry.v1.ResidentDeceased"
PARTNER = "member/partner-500100/elder-care"


class Endpoint:
    """A partner's receiver. Told to, it takes events and says nothing until the connection breaks."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str, str]] = []
        """Every arrival: subject, type, id."""
        self.confirmed: list[tuple[str, str, str]] = []
        self.most = 0
        """How many arrivals it confirms before it falls silent."""
        self._more = asyncio.Condition()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, until the other end dies."""
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
                body = await reader.readexactly(int(fields.get("content-length", "0")))
                said = f"webhook-allowed-origin: {fields.get('webhook-request-origin')}"
                if head.startswith("post"):
                    event = orjson.loads(body)
                    assert event["id"] == fields["webhook-id"]
                    arrived = (event["subject"], event["type"], event["id"])
                    await self._note(self.taken, arrived)
                    if len(self.confirmed) >= self.most:
                        await reader.readexactly(1)  # until the other end dies
                    await self._note(self.confirmed, arrived)
                writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{said}\r\n\r\n".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def _note(self, kept: list[tuple[str, str, str]], arrived: tuple[str, str, str]) -> None:
        kept.append(arrived)
        async with self._more:
            self._more.notify_all()

    def without_word(self) -> set[tuple[str, str, str]]:
        """What was taken and never confirmed."""
        return set(self.taken) - set(self.confirmed)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds of what arrived."""
        async with asyncio.timeout(60), self._more:
            await self._more.wait_for(holds)


async def insist(who: Department, method: str, request: Any) -> Any:
    """Ask until the exchange is there again; a repeat with its id changes nothing."""
    request.request_id = str(uuid.uuid4())
    async with asyncio.timeout(60):
        while True:
            try:
                return (await who.ask(method, request)).reply
            except Refused:
                await asyncio.sleep(0.1)  # as a client does between two tries


async def one_life(police: Department, number: str) -> str:
    """An elder whose registration is in the partner city moves here and dies."""
    document = resident_pb2.PersonDocument(
        kind=resident_pb2.DOCUMENT_KIND_RESIDENT_IDENTITY_CARD, number=number
    )
    registering = pb.RegisterResidentRequest(
        document=document,
        name="陈玉珍",
        region_code="511702001",
        hukou_region_code="500101",
        resident_since=Date(year=2020, month=1, day=1),
    )
    entered = await insist(police, "RegistryService/RegisterResident", registering)
    key: str = entered.resident.resident_key
    moving = pb.MoveResidentRequest(
        resident_key=key, region_code="511723", moved_on=Date(year=2026, month=3, day=1)
    )
    await insist(police, "RegistryService/MoveResident", moving)
    dying = pb.RegisterDeathRequest(
        resident_key=key, died_on=Date(year=2026, month=11, day=1), evidence="证明书（虚构）"
    )
    await insist(police, "RegistryService/RegisterDeath", dying)
    return key


@pytest.mark.kills
@pytest.mark.timeout(400)
async def test_an_exchange_killed_while_it_delivers_loses_no_event_and_no_order(
    tmp_path: Path, new_number: Callable[[str], str]
) -> None:
    endpoint = Endpoint()
    server = await asyncio.start_server(endpoint.serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/eldex"
    settings = Settings.for_tests(
        tmp_path,
        ELDEX_TRACE_RATIO="0",
        ELDEX_WEBHOOK_ALLOW_HTTP="true",
        ELDEX_WEBHOOK_ALLOWED_NETWORKS='["127.0.0.0/8"]',
    )
    stack = Stack(settings, services=("registry", "exchange"))
    exchange = stack.parts["exchange"]
    exchange.restart_delays_s = (0.05,)
    async with server, stack, field_of(stack) as field:
        exchange.watch()
        subscribing = delivery_pb.CreateSubscriptionRequest(
            subscription_name="killed",
            kind=delivery_pb2.DELIVERY_KIND_WEBHOOK,
            webhook=delivery_pb2.WebhookEndpoint(url=url),
            filter=delivery_pb2.EventFilter(event_types=[MOVED, DECEASED]),
        )
        await insist(field["partner"], "DeliveryService/CreateSubscription", subscribing)
        endpoint.most = 5

        def begin() -> list[asyncio.Task[str]]:
            numbers = [new_number("19440505") for _ in range(LIVES)]
            return [asyncio.create_task(one_life(field["police"], each)) for each in numbers]

        lives = begin()
        unconfirmed: set[tuple[str, str, str]] = set()

        async def kill(most: int) -> None:
            await endpoint.until(lambda: len(endpoint.without_word()) >= 4)
            await exchange.kill()
            lives.extend(begin())
            unconfirmed.update(endpoint.without_word())
            taken = len(endpoint.taken)
            endpoint.most = len(endpoint.confirmed) + most
            await exchange.wait_ready()
            await endpoint.until(lambda: len(endpoint.taken) > taken)

        for most in CONFIRMED_AFTER_A_KILL:
            await kill(most)
        keys = set(await asyncio.gather(*lives))
        await endpoint.until(lambda: len(set(endpoint.confirmed)) >= 2 * len(keys))

        # None lost, and whatever comes again has its id: one of each kind of everybody.
        told = set(endpoint.confirmed)
        assert sorted((who, kind) for who, kind, _ in told) == sorted(
            (key, kind) for key in keys for kind in (MOVED, DECEASED)
        )
        assert set(endpoint.taken) == told
        # What had no word when the exchange died came again.
        assert all(endpoint.taken.count(each) > 1 for each in unconfirmed)
        first: dict[str, list[str]] = defaultdict(list)
        for subject, kind, _ in endpoint.taken:
            if kind not in first[subject]:
                first[subject].append(kind)
        assert all(kinds == [MOVED, DECEASED] for kinds in first.values())
        await _all_is_proven(stack, told)


async def _all_is_proven(stack: Stack, told: set[tuple[str, str, str]]) -> None:
    authority = Authority.open(stack.pki, stack.settings.trust_domain)
    console = authority.issue("511700/service/console")
    async with channel(stack.address("exchange"), console) as opened:
        operations = Department(opened, "service/console", "operations")
        request = exchange_pb.ListCallsRequest(subsystem=PARTNER, page_size=500)
        async with asyncio.timeout(30):
            while True:
                calls = (await operations.ask("ExchangeService/ListCalls", request)).reply.calls
                if sum(call.method in {MOVED, DECEASED} for call in calls) >= len(told):
                    return
                await asyncio.sleep(0.1)  # the searchable copy of the log is written now and then
