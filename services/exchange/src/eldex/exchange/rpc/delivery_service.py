"""`eldex.api.exchange.v1.DeliveryService`: subscriptions as their owners and operations manage them."""

from __future__ import annotations

import secrets as randomness
from base64 import b64encode
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeVar

from google.protobuf.message import Message

from eldex.api.exchange.v1 import delivery_pb2
from eldex.api.exchange.v1 import delivery_service_pb2 as pb
from eldex.common import masks, paging
from eldex.common.clock import day_of
from eldex.common.dates import instant
from eldex.common.errors import Denied
from eldex.common.rpc.call import Call
from eldex.common.rpc.writes import WriteRequest, write
from eldex.common.store import Document, UnitOfWork
from eldex.exchange.domain.agreements import decide_events
from eldex.exchange.domain.delivery.attributes import Selection
from eldex.exchange.domain.delivery.memory import DeadLetter
from eldex.exchange.domain.subscriptions import (
    DeliveryKind,
    Endpoint,
    PauseCause,
    State,
    Subscription,
    Wanted,
)
from eldex.exchange.handlers import Feed, Stores, delivery
from eldex.exchange.handlers.delivery import Order, PartnerTopics, Seals, Webhooks
from eldex.exchange.handlers.dispatch import Dispatch
from eldex.exchange.rpc.agreement_table import AgreementTable
from eldex.exchange.wire import deliveries as wire

_SECRET_BYTES = 32
R = TypeVar("R", bound=Message)


class DeliveryService:
    """Answers what is asked about deliveries."""

    def __init__(
        self,
        work: UnitOfWork[Stores],
        agreements: AgreementTable,
        feed: Feed,
        dispatch: Dispatch,
        webhooks: Webhooks,
        topics: PartnerTopics,
        seals: Seals,
    ) -> None:
        self._work, self._agreements, self._feed = work, agreements, feed
        self._dispatch, self._webhooks, self._topics = dispatch, webhooks, topics
        self._seals = seals

    async def create_subscription(
        self, request: pb.CreateSubscriptionRequest, call: Call
    ) -> pb.CreateSubscriptionResponse:
        """Make a subscription, if its filter is granted and its endpoint agrees."""
        subsystem = _owner(call, request.subsystem)
        wanted = self._granted(subsystem, wire.wanted(request.filter), call.at)
        kind = wire.delivery_kind(request.kind)
        endpoint = None
        if request.HasField("webhook"):
            endpoint = await self._agreed(request.webhook)
        elif kind is DeliveryKind.TOPIC:
            endpoint = wire.topic_endpoint(
                self._topics.address(), f"{subsystem}/{request.subscription_name}"
            )
        start = await self._start(request)
        order = Order(subsystem, request.subscription_name, wanted, kind, endpoint, start)
        sealed = self._new_secret()
        response = await write(
            self._work,
            request,
            call,
            lambda stores, now: delivery.create_subscription(
                order, sealed, self._feed.newest, stores, now
            ),
            lambda made: pb.CreateSubscriptionResponse(
                subscription=wire.event_subscription(made, made.start)
            ),
        )
        await self._settle(response.subscription.subscription_key)
        response.secret = await self._secret(response.subscription)
        return response

    async def get_subscription(
        self, request: pb.GetSubscriptionRequest, call: Call
    ) -> pb.GetSubscriptionResponse:
        """A subscription."""
        found = await self._known(_key(call, request))
        shown = await self._shown(found)
        masks.keep(shown, request.read_mask)
        return pb.GetSubscriptionResponse(subscription=shown)

    async def list_event_subscriptions(
        self, request: pb.ListEventSubscriptionsRequest, call: Call
    ) -> pb.ListEventSubscriptionsResponse:
        """The subscriptions: a subsystem sees its own, operations see all."""
        where: Document = {"state": {"$ne": State.DELETED.value}}
        if call.caller.service is None or request.subsystem:
            where["subsystem"] = _owner(call, request.subsystem)
        page = await self._work.read(
            lambda stores: stores.subscriptions.page(
                where,
                size=paging.size(request.page_size),
                after=paging.after(request, request.page_token),
            )
        )
        response = pb.ListEventSubscriptionsResponse(
            next_page_token=paging.token(request, page.next_key)
        )
        for found in page.items:
            shown = await self._shown(found)
            masks.keep(shown, request.read_mask)
            response.subscriptions.append(shown)
        return response

    async def update_subscription(
        self, request: pb.UpdateSubscriptionRequest, call: Call
    ) -> pb.UpdateSubscriptionResponse:
        """Change which events are wanted or where they go."""
        key = _key(call, request)
        subsystem = key.rpartition("/")[0]
        wanted = None
        if request.HasField("filter"):
            wanted = self._granted(subsystem, wire.wanted(request.filter), call.at)
        endpoint = None
        if request.HasField("webhook"):
            endpoint = await self._agreed(request.webhook)
        return await self._write(
            request,
            call,
            lambda stores, _: delivery.update_subscription(
                key, request.etag, wanted, endpoint, stores
            ),
            pb.UpdateSubscriptionResponse,
        )

    async def delete_subscription(
        self, request: pb.DeleteSubscriptionRequest, call: Call
    ) -> pb.DeleteSubscriptionResponse:
        """Give a subscription up."""
        key = _key(call, request)
        return await self._write(
            request,
            call,
            lambda stores, _: delivery.delete_subscription(key, stores),
            pb.DeleteSubscriptionResponse,
        )

    async def pause_subscription(
        self, request: pb.PauseSubscriptionRequest, call: Call
    ) -> pb.PauseSubscriptionResponse:
        """Hold the delivery."""
        key = _key(call, request)
        is_owner = call.caller.service is None
        cause = PauseCause.OWNER if is_owner else PauseCause.OPERATOR
        return await self._write(
            request,
            call,
            lambda stores, now: delivery.pause_subscription(key, cause, None, stores, now),
            pb.PauseSubscriptionResponse,
        )

    async def resume_subscription(
        self, request: pb.ResumeSubscriptionRequest, call: Call
    ) -> pb.ResumeSubscriptionResponse:
        """Go on where it stood; an endpoint is asked again first whether it agrees."""
        key = _key(call, request)
        found = await self._known(key)
        is_asked = found.delivery is DeliveryKind.WEBHOOK and found.state is State.PAUSED
        if is_asked and found.endpoint is not None:
            await self._webhooks.ask(found.endpoint.url)
        return await self._write(
            request,
            call,
            lambda stores, _: delivery.resume_subscription(key, stores),
            pb.ResumeSubscriptionResponse,
        )

    async def replay_subscription(
        self, request: pb.ReplaySubscriptionRequest, call: Call
    ) -> pb.ReplaySubscriptionResponse:
        """Deliver again from a point on."""
        key = _key(call, request)
        after = await self._start(request)
        return await self._write(
            request,
            call,
            lambda stores, _: delivery.replay_subscription(key, after, self._feed.newest, stores),
            pb.ReplaySubscriptionResponse,
        )

    async def add_secret(self, request: pb.AddSecretRequest, call: Call) -> pb.AddSecretResponse:
        """Sign with a further secret."""
        key = _key(call, request)
        sealed = self._new_secret()
        response = await self._write(
            request,
            call,
            lambda stores, now: delivery.add_secret(key, sealed, stores, now),
            pb.AddSecretResponse,
        )
        response.secret = await self._secret(response.subscription)
        return response

    async def retire_secret(
        self, request: pb.RetireSecretRequest, call: Call
    ) -> pb.RetireSecretResponse:
        """Sign with a secret no more."""
        key = _key(call, request)
        return await self._write(
            request,
            call,
            lambda stores, _: delivery.retire_secret(key, request.secret_id, stores),
            pb.RetireSecretResponse,
        )

    async def list_dead_letters(
        self, request: pb.ListDeadLettersRequest, call: Call
    ) -> pb.ListDeadLettersResponse:
        """Events that the endpoint would not take."""
        found = await self._known(_key(call, request))
        where: Document = {"subscription_key": found.key}
        if not request.include_redelivered:
            where["redelivered_at"] = None
        page = await self._work.read(
            lambda stores: stores.letters.page(
                where,
                size=paging.size(request.page_size),
                after=paging.after(request, request.page_token),
            )
        )
        response = pb.ListDeadLettersResponse(
            dead_letters=[wire.dead_letter(each) for each in page.items],
            next_page_token=paging.token(request, page.next_key),
        )
        for letter in response.dead_letters:
            masks.keep(letter, request.read_mask)
        return response

    async def redeliver_dead_letter(
        self, request: pb.RedeliverDeadLetterRequest, call: Call
    ) -> pb.RedeliverDeadLetterResponse:
        """Try a dead letter again."""
        subsystem = None if call.caller.service is not None else member(call)
        letters: list[DeadLetter] = []

        def render(letter: DeadLetter) -> pb.RedeliverDeadLetterResponse:
            letters[:] = [letter]
            return pb.RedeliverDeadLetterResponse(dead_letter=wire.dead_letter(letter))

        response = await write(
            self._work,
            request,
            call,
            lambda stores, _: delivery.redeliver(request.dead_letter_key, subsystem, stores),
            render,
        )
        for letter in letters:
            if letter.redelivering:
                self._dispatch.redeliver(letter)
        return response

    async def get_lag(self, request: pb.GetLagRequest, call: Call) -> pb.GetLagResponse:
        """How far a subscriber is behind."""
        found = await self._known(_key(call, request))
        lag = await self._dispatch.lag(found)
        waiting: Document = {"subscription_key": found.key, "redelivered_at": None}
        letters = await self._work.read(lambda stores: stores.letters.count(waiting))
        shown = wire.lag(lag, letters)
        masks.keep(shown, request.read_mask)
        return pb.GetLagResponse(lag=shown)

    # --- shared -----------------------------------------------------------------------------------

    async def _write(
        self,
        request: WriteRequest,
        call: Call,
        act: Callable[[Stores, datetime], Awaitable[Subscription]],
        response: type[R],
    ) -> R:
        """Write, show the subscription as it is, and see to its delivery at once."""
        made: Any = response
        done: Any = await write(
            self._work,
            request,
            call,
            act,
            lambda found: made(subscription=wire.event_subscription(found, found.start)),
        )
        found = await self._settle(done.subscription.subscription_key)
        if found is not None:
            done.subscription.acknowledged_cursor = await self._dispatch.acknowledged(found)
        shown: R = done
        return shown

    async def _settle(self, key: str) -> Subscription | None:
        """Deliver as it was written; its topic lets in whom it should before anybody is answered."""
        await self._dispatch.refresh()
        found = await self._work.read(lambda stores: stores.subscriptions.find(key))
        if found is not None and found.topic and found.state is not State.DELETED:
            await self._topics.open(found.topic, delivery.opened(found, self._seals))
        return found

    async def _known(self, key: str) -> Subscription:
        return await self._work.read(lambda stores: delivery.known(key, stores))

    async def _shown(self, found: Subscription) -> delivery_pb2.EventSubscription:
        return wire.event_subscription(found, await self._dispatch.acknowledged(found))

    def _granted(self, subsystem: str, wanted: Wanted, now: datetime) -> Wanted:
        """What is wanted, if the agreements allow it; refused at once rather than silent for ever."""
        Selection(wanted)
        decide_events(
            self._agreements.all(), subsystem, wanted.event_types, wanted.region_codes, day_of(now)
        )
        return wanted

    async def _agreed(self, asked: delivery_pb2.WebhookEndpoint) -> Endpoint:
        return wire.endpoint(asked, await self._webhooks.ask(asked.url))

    async def _start(
        self, request: pb.CreateSubscriptionRequest | pb.ReplaySubscriptionRequest
    ) -> int:
        match request.WhichOneof("start"):
            case "after_cursor":
                return int(request.after_cursor)
            case "from_time":
                return await self._feed.cursor_at(instant(request.from_time))
            case _:
                return self._feed.newest

    def _new_secret(self) -> bytes:
        made = b64encode(randomness.token_bytes(_SECRET_BYTES)).decode()
        return self._seals.seal(f"whsec_{made}")

    async def _secret(self, shown: delivery_pb2.EventSubscription) -> str:
        """The secret that a request made: of the reply, the newest one.

        It is no part of the reply that is kept for repeats, which is not sealed; a repeat of the request
        finds it where it is sealed, as long as it is active.
        """
        if not shown.secrets:
            return ""
        newest = shown.secrets[-1].secret_id
        found = await self._work.read(
            lambda stores: stores.subscriptions.find(shown.subscription_key)
        )
        kept = found.secrets if found is not None else []
        return next((self._seals.open(s.sealed) for s in kept if s.secret_id == newest), "")


def member(call: Call) -> str:
    """The member's subsystem that calls; raises `Denied` for anybody else."""
    _, _, path = call.caller.path.partition("/")
    if not path.startswith("member/"):
        raise Denied(
            missing="only members subscribe; this certificate is not a member's",
            missing_zh="只有成员单位可以订阅，该证书不属于成员单位",
        )
    return path


def _owner(call: Call, named: str) -> str:
    """Whose subscription it is: the caller's own; operations name a subsystem."""
    if call.caller.service is not None and named:
        return named
    own = member(call)
    if named not in {"", own}:
        raise Denied(
            missing="a subscription belongs to its subsystem alone",
            missing_zh="订阅只能由所属业务系统管理",
        )
    return own


def _key(call: Call, request: Any) -> str:
    return f"{_owner(call, request.subsystem)}/{request.subscription_name}"
