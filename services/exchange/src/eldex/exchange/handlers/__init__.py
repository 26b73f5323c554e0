"""What the exchange is asked to do, and what it needs for that."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from eldex.common.aggregate import Page
from eldex.common.identifiers import RegionCode
from eldex.evidence.receipts import Receipt
from eldex.exchange.domain.agreements import Scope
from eldex.exchange.domain.message_log import LogEntry, LoggedRecord
from eldex.exchange.domain.subscriptions import (
    CursorUnknown,
    DeliveryKind,
    FeedEvent,
    State,
    Subscription,
)
from eldex.exchange.handlers.access import BreakGlasses, Consents, ReviewRules
from eldex.exchange.handlers.agreements import AgreementChanges, Agreements
from eldex.exchange.handlers.catalogue_ports import CatalogueStores
from eldex.exchange.handlers.delivery import DeadLetters, Deliveries, NotStreamed
from eldex.exchange.handlers.evidence import Shreddings
from eldex.exchange.handlers.membership_ports import Certificates, Joinings


class Subscriptions(Protocol):
    """Where it is kept how far each subscriber has come."""

    async def find(self, key: str) -> Subscription | None:
        """The subscription, or None."""
        ...

    async def page(
        self, where: Mapping[str, Any], *, size: int, after: str | None = None
    ) -> Page[Subscription]:
        """Subscriptions in key order."""
        ...

    def save(self, aggregate: Subscription) -> None:
        """Stage for the commit."""
        ...


class Feed(Protocol):
    """Every event of every department, numbered once."""

    @property
    def newest(self) -> int:
        """The last number given."""
        ...

    async def read(self, after: int, scopes: Sequence[Scope], limit: int) -> list[FeedEvent]:
        """The next events within the scopes, in order."""
        ...

    async def at(self, cursor: int) -> FeedEvent | None:
        """One event; None if it is not kept any more."""
        ...

    async def count(self, after: int, scopes: Sequence[Scope]) -> int:
        """How many events within the scopes come after a cursor."""
        ...

    async def cursor_at(self, instant: datetime) -> int:
        """The cursor after which the events begin that happened at an instant or later."""
        ...

    async def wait_beyond(self, seen: int, seconds: float) -> bool:
        """Wait until the feed has grown beyond a cursor; False if it has not within the time."""
        ...


class MessageLog(Protocol):
    """The evidence: an entry per exchange, on disk before the reply leaves."""

    def require(self) -> None:
        """Raise `NoEvidence` while nothing can be written: before a call has any effect."""
        ...

    async def append(self, entry: LogEntry) -> Receipt:
        """Write an entry; returns when it is on disk. Raises `NoEvidence`."""
        ...

    def tell(self, entry: LogEntry) -> Awaitable[Receipt]:
        """Have an entry written for somebody who has gone."""
        ...

    async def search(
        self, where: dict[str, Any], *, size: int, before: int | None
    ) -> tuple[list[LoggedRecord], int | None]:
        """Entries that match, newest first, and where the next page begins."""
        ...


@dataclass(frozen=True, slots=True)
class Stores:
    """The exchange's ports, on one session."""

    agreements: Agreements
    agreement_changes: AgreementChanges
    subscriptions: Subscriptions
    consents: Consents
    break_glasses: BreakGlasses
    review_rules: ReviewRules
    shreddings: Shreddings
    catalogue: CatalogueStores
    deliveries: Deliveries
    letters: DeadLetters
    joinings: Joinings
    certificates: Certificates


async def open_subscription(
    subsystem: str,
    name: str,
    event_types: Sequence[str],
    region_codes: Sequence[RegionCode],
    stores: Stores,
    now: datetime,
) -> Subscription:
    """The subscription, made if it is new, with what the subscriber wants now.

    Of one that was made beforehand, what it wants stands unless the subscriber names something.
    Raises `NotStreamed` for one that is delivered by webhook, or held.
    """
    key = f"{subsystem}/{name}"
    found = await stores.subscriptions.find(key)
    subscription = found or Subscription(key=key, subsystem=subsystem, name=name)
    if subscription.state is State.DELETED:
        subscription.state, subscription.delivery = State.ACTIVE, DeliveryKind.STREAM
        subscription.subject_classes, subscription.expression = [], ""
        subscription.created_at = None
    if subscription.delivery is not DeliveryKind.STREAM or subscription.state is not State.ACTIVE:
        raise NotStreamed(name=name)
    if event_types or region_codes or subscription.created_at is None:
        subscription.event_types, subscription.region_codes = list(event_types), list(region_codes)
    subscription.seen_at = now
    stores.subscriptions.save(subscription)
    return subscription


async def acknowledge(
    subsystem: str, name: str, cursor: int, newest: int, stores: Stores, now: datetime
) -> Subscription:
    """Take note how far a subscriber has come."""
    key = f"{subsystem}/{name}"
    found = await stores.subscriptions.find(key)
    subscription = found or Subscription(key=key, subsystem=subsystem, name=name)
    if subscription.delivery is not DeliveryKind.STREAM:
        raise NotStreamed(name=name)
    subscription.acknowledge(cursor, newest)
    subscription.seen_at = now
    stores.subscriptions.save(subscription)
    return subscription


def check_cursor(cursor: int, newest: int) -> None:
    """Raise `CursorUnknown` for a cursor that was never given out."""
    if cursor > newest:
        raise CursorUnknown(cursor=cursor, newest=newest)
