"""The people in the field: departments that call through the exchange, and a watcher of events.

They use what every member has: a certificate, one endpoint, the contract. The stories of the demo
and of `tests/integration` are told with them.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import grpc
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.message import Message

from eldex.api.exchange.v1 import agreement_pb2, exchange_service_pb2
from eldex.common.contract import load_contract
from eldex.common.rpc.client import channel
from eldex.common.rpc.status import DETAILS_KEY, reason_of
from eldex.local.stack import Stack

M = TypeVar("M", bound=Message)

SUBSYSTEMS = {
    "civil-affairs": ("civil-affairs/elder-care", "elder-care-administration"),
    "police": ("police/household-registration", "residence-registration"),
    "medical-insurance": ("medical-insurance/claims", "insurance-administration"),
    "health": ("health/assessment", "ability-assessment"),
    "market-regulation": ("market-regulation/supervision", "credit-supervision"),
    "finance": ("finance/payments", "subsidy-payment"),
    "partner": ("partner-500100/elder-care", "cross-city-settlement"),
    "operations": ("operations/watch", "operations"),
}
"""Department → its subsystem and the purpose it usually gives."""

_HEARSAY_SECONDS = 20.0
_AGAIN_SECONDS = 0.1


class Refused(Exception):
    """A call that was refused: the status code, the stable reason, the words."""

    def __init__(self, code: grpc.StatusCode, reason: str, words: str, details: bytes) -> None:
        super().__init__(f"{code.name} {reason}: {words}")
        self.code, self.reason, self.words, self.details = code, reason, words, details


@dataclass(frozen=True, slots=True)
class Told:
    """What came back from a call."""

    reply: Any
    receipt: str
    trace_id: str
    milliseconds: float
    partner_receipt: str = ""
    """Of a call to another city: the receipt of that city's exchange."""


class Department:
    """One subsystem of a department: its certificate, and the exchange as its only endpoint."""

    def __init__(self, exchange: grpc.aio.Channel, subsystem: str, purpose: str) -> None:
        self.exchange, self.subsystem, self.purpose = exchange, subsystem, purpose

    async def ask(
        self,
        method: str,
        request: Message,
        *,
        purpose: str = "",
        city: str = "",
        language: str = "en",
        timeout_seconds: float = 10.0,
    ) -> Told:
        """Call `<Service>/<Method>` of the department the request belongs to; raises `Refused`.

        `city`: the partner city that is asked, through its exchange; without it, our own. A write that has no `request_id` yet gets one.
        """
        if "request_id" in request.DESCRIPTOR.fields_by_name and not request.request_id:  # type: ignore[attr-defined]
            request.request_id = str(uuid.uuid4())  # type: ignore[attr-defined]
        package = request.DESCRIPTOR.file.package
        service, _, name = method.partition("/")
        found = descriptor_pool.Default().FindServiceByName(f"{package}.{service}")
        response = message_factory.GetMessageClass(found.methods_by_name[name].output_type)
        call = self.exchange.unary_unary(
            f"/{package}.{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString,
        )
        metadata = [("eldex-purpose", purpose or self.purpose), ("accept-language", language)]
        metadata += [("eldex-city", city)] if city else []
        began = time.perf_counter()
        calling = call(request, metadata=metadata, timeout=timeout_seconds)
        try:
            reply = await calling
        except grpc.aio.AioRpcError as error:
            trailing: dict[str, Any] = dict(error.trailing_metadata() or ())
            details = trailing.get(DETAILS_KEY, b"")
            raise Refused(
                error.code(), reason_of(details), error.details() or "", details
            ) from error
        trailing = dict(await calling.trailing_metadata() or ())
        return Told(
            reply,
            str(trailing.get("eldex-receipt", "")),
            str(trailing.get("eldex-trace-id", "")),
            (time.perf_counter() - began) * 1000,
            str(trailing.get("eldex-partner-receipt", "")),
        )

    async def ask_when_known(self, method: str, request: Message, **how: Any) -> Told:
        """`ask`, again while the other department has not heard of the person yet.

        Facts travel by events: right after a registration another department may not know of it.
        """
        deadline = time.monotonic() + _HEARSAY_SECONDS
        while True:
            try:
                return await self.ask(method, request, **how)
            except Refused as refused:
                if refused.reason != "RESIDENT_UNKNOWN" or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.05)

    async def events(
        self, name: str, *, after_cursor: int | None = None, since: datetime | None = None
    ) -> AsyncIterator[agreement_pb2.DeliveredEvent]:
        """The events of a subscription, as they come; from its acknowledged cursor by default.

        `since`: those that happen from an instant on.

        A stream ends now and then (UNAVAILABLE): connections have an age, and servers are replaced. A
        subscriber goes on from where it stands, and so does this.
        """
        subscribe = self.exchange.unary_stream(
            "/eldex.api.exchange.v1.ExchangeService/Subscribe",
            request_serializer=exchange_service_pb2.SubscribeRequest.SerializeToString,
            response_deserializer=exchange_service_pb2.SubscribeResponse.FromString,
        )
        while True:
            request = exchange_service_pb2.SubscribeRequest(subscription_name=name)
            if after_cursor is not None:
                request.after_cursor = after_cursor
            elif since is not None:
                request.from_time.FromDatetime(since)
            stream = subscribe(request)
            try:
                async for delivery in stream:
                    for event in delivery.events:
                        yield event
                        after_cursor = event.cursor
            except grpc.aio.AioRpcError as ended:
                if ended.code() is not grpc.StatusCode.UNAVAILABLE:
                    raise
                await asyncio.sleep(_AGAIN_SECONDS)
            else:
                return
            finally:
                stream.cancel()


@dataclass(frozen=True, slots=True)
class Seen:
    """An event that the watcher saw."""

    at: float
    """`time.perf_counter()` when it arrived."""
    delivered: agreement_pb2.DeliveredEvent
    message: Any

    @property
    def trace_id(self) -> str:
        """The trace it belongs to."""
        parts = self.delivered.traceparent.split("-")
        return parts[1] if len(parts) == 4 else ""


class Watcher:
    """Sees every event of a subscription, and waits for those that a story expects."""

    def __init__(self, department: Department, name: str) -> None:
        self._department, self._name = department, name
        self.seen: list[Seen] = []
        self._more = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None

    def start(self, after_cursor: int | None = None, since: datetime | None = None) -> None:
        """Begin to watch, as `Department.events` does."""
        events = self._department.events(self._name, after_cursor=after_cursor, since=since)
        self._task = asyncio.create_task(self._watch(events))

    async def _watch(self, events: AsyncIterator[agreement_pb2.DeliveredEvent]) -> None:
        try:
            await self._follow(events)
        finally:
            async with self._more:
                self._more.notify_all()

    async def _follow(self, events: AsyncIterator[agreement_pb2.DeliveredEvent]) -> None:
        pool = descriptor_pool.Default()
        async for delivered in events:
            kind = message_factory.GetMessageClass(pool.FindMessageTypeByName(delivered.event_type))
            found = Seen(time.perf_counter(), delivered, kind.FromString(delivered.payload))
            async with self._more:
                self.seen.append(found)
                self._more.notify_all()

    def of(self, kind: type[M], **fields: object) -> list[Seen]:
        """What was seen of a kind, with these values."""
        name = kind.DESCRIPTOR.full_name
        return [
            s
            for s in self.seen
            if s.delivered.event_type == name
            and all(getattr(s.message, key) == value for key, value in fields.items())
        ]

    async def until(
        self, kind: type[M], *, count: int = 1, timeout_seconds: float = 20.0, **fields: object
    ) -> Seen:
        """Wait for an event of a kind with these values; the `count`-th one of them."""
        name = kind.DESCRIPTOR.name
        await self.until_true(
            lambda: len(self.of(kind, **fields)) >= count,
            f"{count} × {name} with {fields}",
            timeout_seconds,
        )
        return self.of(kind, **fields)[count - 1]

    async def until_true(
        self, holds: Callable[[], bool], what: str, timeout_seconds: float = 20.0
    ) -> None:
        """Wait until something holds of what was seen; raises `TimeoutError` that says what."""

        def holds_or_broke() -> bool:
            return holds() or self._task is None or self._task.done()

        try:
            async with asyncio.timeout(timeout_seconds), self._more:
                await self._more.wait_for(holds_or_broke)
        except TimeoutError:
            raise TimeoutError(f"not seen within {timeout_seconds} s: {what}") from None
        if not holds() and self._task is not None:
            self._task.result()  # the stream broke: say so, not that the event did not come

    async def acknowledge(self) -> None:
        """Tell the exchange that everything seen so far was taken over."""
        if self.seen:
            request = exchange_service_pb2.AcknowledgeEventsRequest(
                subscription_name=self._name, cursor=self.seen[-1].delivered.cursor
            )
            await self._department.ask("ExchangeService/AcknowledgeEvents", request)

    async def stop(self) -> None:
        """End watching."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])


@dataclass(frozen=True, slots=True)
class Field:
    """The departments of a running city, and the watcher of its events."""

    stack: Stack
    departments: dict[str, Department]
    watcher: Watcher
    partner: Watcher

    def __getitem__(self, department: str) -> Department:
        return self.departments[department]


@asynccontextmanager
async def field_of(stack: Stack, *, watching: bool = True) -> AsyncIterator[Field]:
    """The people of a city that is up; whoever only brings something in need not watch.

    The watchers go on from where the last ones have acknowledged.
    """
    load_contract()
    async with AsyncExitStack() as closing:
        departments = {}
        for name, (subsystem, purpose) in SUBSYSTEMS.items():
            path = f"member/{subsystem}"
            opened = channel(stack.address("exchange"), stack.identity(path))
            closing.push_async_callback(opened.close)
            departments[name] = Department(opened, path, purpose)
        watcher = Watcher(departments["operations"], "watch")
        partner = Watcher(departments["partner"], "money-follows-the-person")
        for each in (watcher, partner) if watching else ():
            each.start()
            closing.push_async_callback(each.stop)
        yield Field(stack, departments, watcher, partner)
