"""`eldex.api.exchange.v1.ExchangeService`: agreements, the log, events for subscribers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from opentelemetry.trace import SpanKind

from eldex.api.exchange.v1 import exchange_service_pb2 as pb
from eldex.common import masks, paging, telemetry
from eldex.common.clock import Clock, day_of
from eldex.common.dates import instant
from eldex.common.errors import Denied
from eldex.common.identifiers import RegionCode, new_key
from eldex.common.rpc.call import Call, Identity
from eldex.common.rpc.writes import write
from eldex.common.store import Document, Mark, UnitOfWork
from eldex.exchange import handlers, wire
from eldex.exchange.domain.agreements import Agreement, Scope, decide_events
from eldex.exchange.domain.delivery.attributes import Selection, granting
from eldex.exchange.domain.subscriptions import FeedEvent, State, Subscription
from eldex.exchange.handlers import Feed, MessageLog, Stores
from eldex.exchange.handlers.delivery import DeliveryEvidence, EventMasks, NotStreamed, Streamed
from eldex.exchange.handlers.dispatch import Dispatch
from eldex.exchange.rpc.agreement_calls import AgreementCalls, member_of, visible
from eldex.exchange.rpc.agreement_table import AgreementTable
from eldex.exchange.rpc.roles import Roles

_BATCH = 500
_BATCH_BYTES = 1024 * 1024
"""Of payloads in one message; a message begins when the subscriber has taken the one before."""
_HEARTBEAT_SECONDS = 5.0


_OPERATORS: Final = frozenset({"console"})
"""The services behind which operators sit. A department's service asks the exchange nothing: its
certificate, stolen, is no operator's."""


def may_call(identity: Identity, method: str) -> bool:
    """Members and operators reach the exchange; its operations only the latter."""
    if identity.service is not None:
        return identity.service in _OPERATORS
    own = "/eldex.api.exchange.v1."
    return "/member/" in identity.path and method.startswith((own, "/grpc."))


class ExchangeService(AgreementCalls):
    """Answers the exchange's own calls."""

    def __init__(
        self,
        work: UnitOfWork[Stores],
        agreements: AgreementTable,
        feed: Feed,
        log: MessageLog,
        clock: Clock,
        dispatch: Dispatch,
        event_masks: EventMasks,
        evidence: DeliveryEvidence,
        roles: Roles,
    ) -> None:
        super().__init__(work, agreements, roles)
        self._dispatch, self._event_masks = dispatch, event_masks
        self._evidence = evidence
        self._feed = feed
        self._log, self._clock = log, clock
        self._connected: dict[str, int] = {}

    async def list_calls(self, request: pb.ListCallsRequest, call: Call) -> pb.ListCallsResponse:
        """The message log, newest first."""
        _operations_only(call)
        where: Document = {}
        for name in ("subsystem", "method", "trace_id"):
            if value := getattr(request, name):
                where[name] = value
        if request.denied_only:
            where["denied"] = True
        before = paging.after_number(request, request.page_token)
        calls, next_index = await self._log.search(
            where, size=paging.size(request.page_size), before=before
        )
        next_key = None if next_index is None else str(next_index)
        response = pb.ListCallsResponse(
            calls=[wire.logged_call(each) for each in calls],
            next_page_token=paging.token(request, next_key),
        )
        for each in response.calls:
            masks.keep(each, request.read_mask)
        return response

    async def acknowledge_events(
        self, request: pb.AcknowledgeEventsRequest, call: Call
    ) -> pb.AcknowledgeEventsResponse:
        """Take note how far a subscriber has come."""
        subsystem = member_of(call)

        def render(found: Subscription) -> pb.AcknowledgeEventsResponse:
            connected = self._connected.get(found.key, 0) > 0
            return pb.AcknowledgeEventsResponse(
                subscription=wire.subscription(found, 0, 0.0, connected)
            )

        return await write(
            self._work,
            request,
            call,
            lambda stores, now: handlers.acknowledge(
                subsystem,
                request.subscription_name,
                request.cursor,
                self._feed.newest,
                stores,
                now,
            ),
            render,
        )

    async def list_subscriptions(
        self, request: pb.ListSubscriptionsRequest, call: Call
    ) -> pb.ListSubscriptionsResponse:
        """The subscriptions and how far each has come."""
        page = await self._work.read(
            lambda stores: stores.subscriptions.page(
                visible(call, "") | {"state": {"$ne": State.DELETED.value}},
                size=paging.size(request.page_size),
                after=paging.after(request, request.page_token),
            )
        )
        response = pb.ListSubscriptionsResponse(
            next_page_token=paging.token(request, page.next_key)
        )
        for found in page.items:
            lag = await self._dispatch.lag(found)
            connected = self._connected.get(found.key, 0) > 0
            shown = wire.subscription(found, lag.events, lag.seconds, connected)
            shown.acknowledged_cursor = lag.acknowledged
            masks.keep(shown, request.read_mask)
            response.subscriptions.append(shown)
        return response

    def _scopes(self, subsystem: str, types: list[str], regions: list[RegionCode]) -> list[Scope]:
        today = day_of(self._clock())
        return decide_events(self._agreements.all(), subsystem, types, regions, today)

    async def subscribe(
        self, request: pb.SubscribeRequest, call: Call
    ) -> AsyncIterator[pb.SubscribeResponse]:
        """Events from a cursor on, as they happen."""
        subsystem = member_of(call)
        types = list(request.event_types)
        regions = [RegionCode.parse(code) for code in request.region_codes]
        self._scopes(subsystem, types, regions)  # refused at once rather than silent for ever
        subscription = await self._open(subsystem, request.subscription_name, types, regions)
        await self._dispatch.refresh()
        cursor = await self._start(request, subscription)
        key = subscription.key
        self._connected[key] = self._connected.get(key, 0) + 1
        try:
            while True:
                # Decided anew each time: an agreement that ends, ends the delivery.
                subscription = self._dispatch.subscriptions.get(key, subscription)
                if subscription.state is not State.ACTIVE:
                    raise NotStreamed(name=subscription.name)
                wanted = subscription.wanted
                selection = Selection(wanted)
                scopes = self._scopes(
                    subsystem, list(wanted.event_types), list(wanted.region_codes)
                )
                newest = self._feed.newest
                found = await self._feed.read(cursor, scopes, _BATCH)
                read = _within_bytes(found)
                # With nothing left to give, everything up to `newest` was looked at.
                all_read = len(read) == len(found) < _BATCH
                cursor = max(cursor, newest) if all_read else read[-1].cursor
                if read:
                    cursor = max(cursor, read[-1].cursor)
                events = [event for event in read if selection.wants(event)]
                if events or not all_read:
                    yield await self._delivery(events, cursor, subsystem)
                elif not await self._feed.wait_beyond(newest, _HEARTBEAT_SECONDS):
                    yield pb.SubscribeResponse(cursor=cursor)
        finally:
            self._connected[key] -= 1

    async def _open(
        self, subsystem: str, name: str, types: list[str], regions: list[RegionCode]
    ) -> Subscription:
        done = await self._work.write(
            # Every stream is an act of its own: two that begin in the same moment too.
            Mark(f"subscribe/{subsystem}/{new_key('str')}"),
            lambda stores, at: handlers.open_subscription(
                subsystem, name, types, regions, stores, at
            ),
        )
        assert done.result is not None
        return done.result

    async def _start(self, request: pb.SubscribeRequest, subscription: Subscription) -> int:
        match request.WhichOneof("start"):
            case "after_cursor":
                handlers.check_cursor(request.after_cursor, self._feed.newest)
                return int(request.after_cursor)
            case "from_time":
                return await self._feed.cursor_at(instant(request.from_time))
            case _:
                return subscription.acknowledged

    async def _delivery(
        self, events: list[FeedEvent], cursor: int, subsystem: str
    ) -> pb.SubscribeResponse:
        for event in events:
            if telemetry.is_sampled(event.traceparent):
                attributes = {
                    "eldex.subscriber": subsystem,
                    "eldex.event.type": event.type,
                    "eldex.subject": event.subject,
                    "messaging.message.id": event.event_id,
                }
                carrier = {"traceparent": event.traceparent}
                with telemetry.span("deliver to partner", SpanKind.PRODUCER, carrier, attributes):
                    pass  # the span marks the hand-over; its time is the stream's
        agreements, today = self._agreements.all(), day_of(self._clock())
        by_agreement: dict[str, tuple[Agreement, list[FeedEvent]]] = {}
        masked = []
        for event in events:
            granted = granting(agreements, subsystem, event, today)
            if not granted:
                continue  # the right to it has ended since it was read
            shown = self._event_masks.masked(event, granted)
            masked.append(shown)
            for agreement in granted:
                by_agreement.setdefault(agreement.key, (agreement, []))[1].append(shown)
        message = pb.SubscribeResponse(events=[wire.delivered(e) for e in masked], cursor=cursor)
        sent = message.SerializeToString()
        facts = (Streamed(subsystem, *by, sent) for by in by_agreement.values())
        await asyncio.gather(*map(self._evidence.streamed, facts))
        return message


def _within_bytes(events: list[FeedEvent]) -> list[FeedEvent]:
    """As many of the events as fit into a message, at least one."""
    size = 0
    for count, event in enumerate(events):
        size += len(event.payload)
        if count and size > _BATCH_BYTES:
            return events[:count]
    return events


def _operations_only(call: Call) -> None:
    if call.caller.service is None:
        raise Denied(
            missing="this is for the operators of the exchange",
            missing_zh="此操作仅限交换平台运营方",
        )
