"""What subscribers and operators ask of deliveries, and what these need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from eldex.common.aggregate import Page
from eldex.common.errors import DomainError, Kind, NotFound
from eldex.common.identifiers import new_key
from eldex.exchange.domain.agreements import Agreement
from eldex.exchange.domain.delivery.endpoints import EndpointRefused
from eldex.exchange.domain.delivery.memory import DeadLetter, Delivery
from eldex.exchange.domain.subscriptions import (
    MOST_OF_A_SUBSYSTEM,
    CursorUnknown,
    DeliveryKind,
    Endpoint,
    FeedEvent,
    PauseCause,
    Secret,
    State,
    Subscription,
    SubscriptionNamed,
    TooManySubscriptions,
    Wanted,
)

if TYPE_CHECKING:
    from eldex.exchange.handlers import Stores


class NotStreamed(DomainError):
    """The subscription is delivered by webhook, or held."""

    kind, reason = Kind.CONFLICT, "NOT_STREAMED"
    zh = "订阅 {name} 以其他方式投递或已暂停，不能以流方式读取"
    en = "the subscription {name} is delivered in another way, or paused: it is not streamed"


class TopicsNotOffered(DomainError):
    """Kafka has no listener for partners here."""

    kind, reason = Kind.CONFLICT, "TOPICS_NOT_OFFERED"
    zh = "本交换平台未向成员单位开放 Kafka，请选择流或 Webhook 方式"
    en = "this exchange offers no Kafka to members: choose a stream or a webhook"


class DeadLetters(Protocol):
    """Events that endpoints would not take."""

    async def find(self, key: str) -> DeadLetter | None:
        """The letter, or None."""
        ...

    async def page(
        self, where: Mapping[str, Any], *, size: int, after: str | None = None
    ) -> Page[DeadLetter]:
        """Letters in key order."""
        ...

    async def count(self, where: Mapping[str, Any]) -> int:
        """How many match."""
        ...

    def save(self, aggregate: DeadLetter) -> None:
        """Stage for the commit."""
        ...


class Deliveries(Protocol):
    """Where it is kept how far webhooks have come."""

    async def find(self, key: str) -> Delivery | None:
        """The delivery of a subscription, or None before it began."""
        ...


class MemoryLost(Exception):
    """Somebody else delivers this subscription: what is remembered is not what we wrote."""


class Memories(Protocol):
    """Keeps deliveries and their dead letters, together."""

    async def load(self, subscription_key: str) -> tuple[Delivery | None, list[DeadLetter]]:
        """The delivery, and the letters that are to be tried again."""
        ...

    async def letter(self, key: str) -> DeadLetter | None:
        """One letter."""
        ...

    async def remember(self, delivery: Delivery, letters: Sequence[DeadLetter]) -> None:
        """Write them in one commit; returns when it is durable. Raises `MemoryLost`."""
        ...


class Outcome(Enum):
    """What became of a try."""

    TAKEN = "taken"
    REFUSED = "refused"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Answer:
    """What an endpoint made of an event."""

    outcome: Outcome
    reason: str
    """`HTTP_<status>`, or why there was no answer."""
    sent: bytes = b""
    """The body that was sent."""
    said: bytes = b""
    """The beginning of the body that came back."""
    wish: timedelta | None = None
    """For how long it asked to be left alone."""


class Webhooks(Protocol):
    """The endpoints of partners."""

    def check(self, url: str) -> None:
        """Raise `EndpointRefused` for an address that is not posted to."""
        ...

    async def ask(self, url: str) -> int | None:
        """Whether the endpoint agrees to deliveries; returns how many a minute (None: any).

        Raises `EndpointRefused` and `EndpointDisagrees`.
        """
        ...

    async def post(
        self,
        subscription_key: str,
        endpoint: Endpoint,
        secrets: Sequence[str],
        event: FeedEvent,
        now: datetime,
    ) -> Answer:
        """Post an event, signed with every secret. Raises nothing but cancellation."""
        ...

    async def forget(self, subscription_key: str) -> None:
        """Close the connections that were kept for a subscription."""
        ...


class PartnerTopics(Protocol):
    """The topics of partners' own."""

    def address(self) -> str:
        """The servers that partners read from; raises `TopicsNotOffered` if there are none."""
        ...

    async def open(self, topic: str, passwords: Mapping[str, str]) -> None:
        """See to it that the topic is there and that these users read it, and no others."""
        ...

    async def put(self, topic: str, event: FeedEvent) -> Answer:
        """Write an event; waits while Kafka is away. Raises `Unavailable` without the topic."""
        ...

    async def close(self, topic: str) -> None:
        """Turn all readers away and remove it."""
        ...


class Seals(Protocol):
    """Seals what must not be read at rest."""

    def seal(self, text: str) -> bytes:
        """The sealed text."""
        ...

    def open(self, sealed: bytes) -> str:
        """The text."""
        ...


def opened(subscription: Subscription, seals: Seals) -> dict[str, str]:
    """The active secrets by their ids, oldest first."""
    return {each.secret_id: seals.open(each.sealed) for each in subscription.secrets}


@dataclass(frozen=True, slots=True)
class Delivered:
    """That a subscriber has an event: what is told to the evidence."""

    subscription_key: str
    subsystem: str
    agreements: Sequence[Agreement]
    """All by which it was delivered: what it shows is what they grant together."""
    event: FeedEvent
    """As the subscriber sees it."""
    sent: bytes
    said: bytes
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Streamed:
    """That events are handed to a subscriber's stream, by one agreement."""

    subsystem: str
    agreement: Agreement
    events: Sequence[FeedEvent]
    """As the subscriber sees them."""
    sent: bytes


class DeliveryEvidence(Protocol):
    """Where it is proven that something was delivered: append-only."""

    def require(self) -> None:
        """Raise `NoEvidence` while nothing can be written: before anything is sent."""
        ...

    async def delivered(self, fact: Delivered) -> None:
        """Write it down; returns when it is durable. Raises `NoEvidence`."""
        ...

    async def streamed(self, fact: Streamed) -> None:
        """Write it down before it leaves; returns when it is durable. Raises `NoEvidence`."""
        ...


class EventMasks(Protocol):
    """Leaves of an event what the agreements grant."""

    def masked(self, event: FeedEvent, agreements: Sequence[Agreement]) -> FeedEvent:
        """The event as this subscriber may see it, by those of its agreements that cover it."""
        ...


@dataclass(frozen=True, slots=True)
class Order:
    """A subscription as it is asked for."""

    subsystem: str
    name: str
    wanted: Wanted
    delivery: DeliveryKind
    endpoint: Endpoint | None
    start: int


async def create_subscription(
    order: Order, secret: bytes, newest: int, stores: Stores, now: datetime
) -> Subscription:
    """Make a subscription; one that was given up makes place for it."""
    if order.start > newest:
        raise CursorUnknown(cursor=order.start, newest=newest)
    if (order.delivery is DeliveryKind.STREAM) is not (order.endpoint is None):
        raise EndpointRefused(
            why="a webhook needs an endpoint, a stream has none",
            why_zh="Webhook 订阅须提供接收地址，流式订阅不得提供",
        )
    key = f"{order.subsystem}/{order.name}"
    found = await stores.subscriptions.find(key)
    if found is not None and found.state is not State.DELETED:
        raise SubscriptionNamed
    mine = await stores.subscriptions.page(
        {"subsystem": order.subsystem, "state": {"$ne": State.DELETED.value}},
        size=MOST_OF_A_SUBSYSTEM,
    )
    if len(mine.items) >= MOST_OF_A_SUBSYSTEM:
        raise TooManySubscriptions(most=MOST_OF_A_SUBSYSTEM)
    made = found or Subscription(key=key, subsystem=order.subsystem, name=order.name)
    made.want(order.wanted)
    made.delivery, made.endpoint, made.state = order.delivery, order.endpoint, State.ACTIVE
    made.secrets = []
    made.seen_at, made.created_at = None, now
    made.replay(order.start)
    if order.endpoint is not None:
        made.add_secret(Secret(new_key("sec"), secret, now))
    stores.subscriptions.save(made)
    return made


async def known(key: str, stores: Stores) -> Subscription:
    """A subscription that was not given up; raises `NotFound`."""
    found = await stores.subscriptions.find(key)
    if found is None or found.state is State.DELETED:
        raise NotFound("Subscription", key)
    return found


async def update_subscription(
    key: str, etag: str, wanted: Wanted | None, endpoint: Endpoint | None, stores: Stores
) -> Subscription:
    """Change which events are wanted, or where they go; None: as it is."""
    found = await known(key, stores)
    found.expect(etag)
    if wanted is not None:
        found.want(wanted)
    if endpoint is not None:
        if found.delivery is not DeliveryKind.WEBHOOK:
            raise EndpointRefused(
                why="only a webhook has an endpoint", why_zh="只有 Webhook 订阅有接收地址"
            )
        found.endpoint = endpoint
    stores.subscriptions.save(found)
    return found


async def delete_subscription(key: str, stores: Stores) -> Subscription:
    """Give a subscription up."""
    found = await known(key, stores)
    found.delete()
    stores.subscriptions.save(found)
    return found


async def pause_subscription(
    key: str,
    cause: PauseCause,
    failing_since: datetime | None,
    stores: Stores,
    now: datetime,
) -> Subscription:
    """Hold a delivery."""
    found = await known(key, stores)
    found.pause(cause, now, failing_since)
    stores.subscriptions.save(found)
    return found


async def resume_subscription(key: str, stores: Stores) -> Subscription:
    """Go on with a delivery."""
    found = await known(key, stores)
    found.resume()
    stores.subscriptions.save(found)
    return found


async def replay_subscription(key: str, after: int, newest: int, stores: Stores) -> Subscription:
    """Deliver again from a point on."""
    found = await known(key, stores)
    if after > newest:
        raise CursorUnknown(cursor=after, newest=newest)
    found.replay(after)
    stores.subscriptions.save(found)
    return found


async def add_secret(key: str, sealed: bytes, stores: Stores, now: datetime) -> Subscription:
    """Sign with a further secret."""
    found = await known(key, stores)
    found.add_secret(Secret(new_key("sec"), sealed, now))
    stores.subscriptions.save(found)
    return found


async def retire_secret(key: str, secret_id: str, stores: Stores) -> Subscription:
    """Sign with a secret no more."""
    found = await known(key, stores)
    found.retire_secret(secret_id)
    stores.subscriptions.save(found)
    return found


async def redeliver(letter_key: str, subsystem: str | None, stores: Stores) -> DeadLetter:
    """Try a dead letter again. `subsystem` is who asks; None: operations."""
    letter = await stores.letters.find(letter_key)
    if letter is None or subsystem not in {None, letter.subsystem}:
        raise NotFound("DeadLetter", letter_key)
    await known(letter.subscription_key, stores)
    letter.redeliver()
    stores.letters.save(letter)
    return letter
