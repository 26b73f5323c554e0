"""All deliveries of the exchange: a courier for every subscription to be delivered to (not streamed).

The feed is read once for all who keep up (`store.feed` has its newest part in memory); this wakes them.
A subscription that is made, changed, held or given up here is known at once, one that was changed by
another process within half a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from eldex.common import metrics
from eldex.common.clock import Clock, day_of
from eldex.common.errors import DomainError
from eldex.common.identifiers import new_key
from eldex.common.logs import logger
from eldex.common.store import Mark, UnitOfWork
from eldex.exchange.domain.agreements import Agreement, NoAgreement, decide_events
from eldex.exchange.domain.delivery.memory import DeadLetter, Delivery, Lag
from eldex.exchange.domain.delivery.schedule import Schedule
from eldex.exchange.domain.subscriptions import (
    DeliveryKind,
    PauseCause,
    State,
    Subscription,
)
from eldex.exchange.handlers import Feed, Stores
from eldex.exchange.handlers.courier import Courier, Means
from eldex.exchange.handlers.delivery import (
    DeliveryEvidence,
    EventMasks,
    Memories,
    MemoryLost,
    PartnerTopics,
    Seals,
    Webhooks,
    pause_subscription,
)

_EVERY_SECONDS: Final = 0.5
_LAG_EVERY_SECONDS: Final = 5.0
_FEED_SECONDS: Final = 60.0
_MOST: Final = 10_000
_BROKEN_FIRST_SECONDS, _BROKEN_LONGEST_SECONDS = 1.0, 60.0


@dataclass(frozen=True, slots=True)
class Outside:
    """The adapters that deliveries go through."""

    webhooks: Webhooks
    topics: PartnerTopics
    memories: Memories
    evidence: DeliveryEvidence
    masks: EventMasks
    seals: Seals
    schedule: Schedule


@dataclass(slots=True)
class _Running:
    """A courier at work, or one that broke and is let go again later."""

    courier: Courier
    task: asyncio.Task[None]
    failures: int = 0
    again_at: float = 0.0


class Dispatch:
    """Sends couriers, and knows how far each subscriber has come."""

    def __init__(
        self,
        work: UnitOfWork[Stores],
        agreements: Callable[[], Sequence[Agreement]],
        feed: Feed,
        outside: Outside,
        clock: Clock,
    ) -> None:
        self._work, self._agreements, self._feed, self._clock = work, agreements, feed, clock
        self._outside = outside
        self._means = Means(
            feed,
            agreements,
            outside.webhooks,
            outside.topics,
            outside.memories,
            outside.evidence,
            outside.masks,
            outside.seals,
            outside.schedule,
            clock,
            self._hold,
        )
        self._running: dict[str, _Running] = {}
        self._leaving: set[asyncio.Task[None]] = set()
        self._closed: set[str] = set()
        """Subscriptions that were given up, whose topic is known to be closed."""
        self._table: Mapping[str, Subscription] = {}
        self._changing = asyncio.Lock()

    @property
    def subscriptions(self) -> Mapping[str, Subscription]:
        """Every subscription as it was known at the last look, by key."""
        return self._table

    async def run(self) -> None:
        """Deliver until cancelled."""
        watching = asyncio.create_task(self._watch_feed())
        measuring = asyncio.create_task(self._measure())
        try:
            while True:
                try:
                    await self.refresh()
                except DomainError as error:
                    logger().warning("subscriptions_not_refreshed", reason=error.reason)
                for task in (watching, measuring):
                    if task.done():
                        task.result()
                await asyncio.sleep(_EVERY_SECONDS)
        finally:
            tasks = [watching, measuring, *(each.task for each in self._running.values())]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, *self._leaving, return_exceptions=True)
            self._running.clear()

    async def refresh(self) -> None:
        """See to it now that those are delivered that should be, as they should be."""
        async with self._changing:
            page = await self._work.read(lambda stores: stores.subscriptions.page({}, size=_MOST))
            self._table = {each.key: each for each in page.items}
            wanted = {
                each.key: each
                for each in page.items
                if each.delivery is not DeliveryKind.STREAM and each.state is State.ACTIVE
            }
            for key in [key for key in self._running if key not in wanted]:
                await self._recall(key)
                await self._outside.webhooks.forget(key)
            for key, subscription in wanted.items():
                self._closed.discard(key)
                await self._see_to(key, subscription)
            for each in page.items:
                if each.topic and each.state is State.DELETED and each.key not in self._closed:
                    await self._outside.topics.close(each.topic)
                    self._closed.add(each.key)

    async def _see_to(self, key: str, subscription: Subscription) -> None:
        running = self._running.get(key)
        if running is None:
            self._send(subscription, failures=0)
        elif running.task.done():
            self._broken(subscription, running)
        elif running.courier.subscription.run != subscription.run:
            await self._recall(key)
            self._send(subscription, failures=0)
        elif running.courier.subscription.version != subscription.version:
            running.courier.change(subscription)
        else:
            running.courier.wake()  # an agreement may have begun or ended

    def _send(self, subscription: Subscription, failures: int) -> None:
        courier = Courier(subscription, self._means)
        self._running[subscription.key] = _Running(
            courier, asyncio.create_task(courier.run()), failures
        )

    async def _recall(self, key: str) -> None:
        running = self._running.pop(key)
        running.task.cancel()
        # Its last word must be written before another courier reads it.
        await asyncio.wait([running.task])

    def _broken(self, subscription: Subscription, running: _Running) -> None:
        """A courier broke: the others go on, and it is tried again, less and less often."""
        now = asyncio.get_running_loop().time()
        if running.again_at == 0.0:
            error = None if running.task.cancelled() else running.task.exception()
            if isinstance(error, DomainError | MemoryLost):
                logger().warning("courier_stopped", subscription=subscription.key, why=str(error))
            elif error is not None:
                logger().error("courier_broke", subscription=subscription.key, exc_info=error)
            pause = min(_BROKEN_FIRST_SECONDS * 2**running.failures, _BROKEN_LONGEST_SECONDS)
            running.again_at = now + pause
        elif running.again_at <= now:
            self._send(subscription, min(running.failures + 1, 10))

    async def _watch_feed(self) -> None:
        seen = self._feed.newest
        while True:
            if await self._feed.wait_beyond(seen, _FEED_SECONDS):
                seen = self._feed.newest
                for running in self._running.values():
                    running.courier.wake()

    async def _hold(self, key: str, cause: PauseCause, failing_since: datetime | None) -> None:
        await self._work.write(
            Mark(f"hold/{key}/{new_key('act')}"),
            lambda stores, now: pause_subscription(key, cause, failing_since, stores, now),
        )

    def redeliver(self, letter: DeadLetter) -> None:
        """A dead letter is to be tried again."""
        running = self._running.get(letter.subscription_key)
        if running is not None and not running.task.done():
            running.courier.redeliver(letter)

    # --- how far ----------------------------------------------------------------------------------

    async def lag(self, subscription: Subscription) -> Lag:
        """How far a subscriber is behind.

        Events that a CloudEvents SQL expression will leave out count until they were looked at.
        """
        newest = self._feed.newest
        if subscription.state is State.DELETED:
            return Lag(subscription.acknowledged, newest, 0, 0.0)
        if subscription.delivery is DeliveryKind.STREAM:
            count, seconds = await self._behind(subscription, subscription.acknowledged)
            return Lag(subscription.acknowledged, newest, count, seconds)
        delivery = await self._delivery(subscription)
        count, seconds = await self._behind(subscription, delivery.scanned)
        if delivery.pending:
            oldest = min(each.occurred_at for each in delivery.pending)
            seconds = max(0.0, (self._clock() - oldest).total_seconds())
        return Lag(
            delivery.acknowledged,
            newest,
            count + len(delivery.pending),
            seconds,
            sum(1 for each in delivery.pending if each.reason),
            delivery.health.failing_since,
        )

    async def acknowledged(self, subscription: Subscription) -> int:
        """Up to where everything was delivered or set aside."""
        if subscription.delivery is DeliveryKind.STREAM:
            return subscription.acknowledged
        return (await self._delivery(subscription)).acknowledged

    async def _delivery(self, subscription: Subscription) -> Delivery:
        running = self._running.get(subscription.key)
        if running is not None and running.courier.loaded:
            now = Delivery(key=subscription.key, run=subscription.run, scanned=0)
            now.note(running.courier.window)
            now.health = replace(now.health)
            return now
        found, _ = await self._outside.memories.load(subscription.key)
        if found is None or found.run != subscription.run:
            return Delivery(key=subscription.key, run=subscription.run, scanned=subscription.start)
        return found

    async def _behind(self, subscription: Subscription, after: int) -> tuple[int, float]:
        if after >= self._feed.newest:
            return 0, 0.0
        wanted, today = subscription.wanted, day_of(self._clock())
        try:
            scopes = decide_events(
                self._agreements(),
                subscription.subsystem,
                wanted.event_types,
                wanted.region_codes,
                today,
            )
        except NoAgreement:
            return 0, 0.0  # nothing is due to it any more
        count = await self._feed.count(after, scopes)
        oldest = await self._feed.read(after, scopes, 1) if count else []
        if not oldest:
            return 0, 0.0
        return count, max(0.0, (self._clock() - oldest[0].occurred_at).total_seconds())

    async def _measure(self) -> None:
        while True:
            await asyncio.sleep(_LAG_EVERY_SECONDS)
            for subscription in list(self._table.values()):
                try:
                    lag = await self.lag(subscription)
                except DomainError:
                    break  # the database is away; the last values stand
                metrics.subscription_lag_events.labels(subscription.key).set(lag.events)
                metrics.subscription_lag_seconds.labels(subscription.key).set(lag.seconds)
                running = self._running.get(subscription.key)
                is_down = running is not None and running.courier.window.is_down
                metrics.subscription_down.labels(subscription.key).set(is_down)
