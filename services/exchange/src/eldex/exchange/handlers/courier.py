"""The courier of one subscription that is delivered to (a webhook, a topic): a task of its own, with a bounded window.

It waits for nobody and nobody waits for it. What it keeps in memory is bounded: the metadata of
`window.MOST` events, and the payloads of those that were not refused yet. What it knows is remembered
five times a second at most; so after a crash some events are sent again, none is lost, and none goes
before an earlier one of its subject.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from eldex.common import metrics
from eldex.common.clock import Clock, day_of
from eldex.common.errors import DomainError
from eldex.common.logs import logger
from eldex.exchange.domain.agreements import Agreement, NoAgreement, Scope, decide_events
from eldex.exchange.domain.delivery.attributes import Selection, granting, is_allowed
from eldex.exchange.domain.delivery.memory import DeadLetter, Delivery, letter_key
from eldex.exchange.domain.delivery.schedule import Schedule
from eldex.exchange.domain.delivery.window import Health, Pending, Window
from eldex.exchange.domain.subscriptions import Endpoint, FeedEvent, PauseCause, Subscription
from eldex.exchange.handlers import Feed
from eldex.exchange.handlers.delivery import (
    Answer,
    Delivered,
    DeliveryEvidence,
    EventMasks,
    Memories,
    MemoryLost,
    Outcome,
    PartnerTopics,
    Seals,
    Webhooks,
    opened,
)

_REMEMBER_SECONDS: Final = 0.2
_READ_AT_LEAST: Final = 32
_ROUNDS: Final = 8
_NO_EVIDENCE_SECONDS: Final = 1.0
_LAST_WORD_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Means:
    """What every courier works with."""

    feed: Feed
    agreements: Callable[[], Sequence[Agreement]]
    webhooks: Webhooks
    topics: PartnerTopics
    memories: Memories
    evidence: DeliveryEvidence
    masks: EventMasks
    seals: Seals
    schedule: Schedule
    clock: Clock
    hold: Callable[[str, PauseCause, datetime | None], Awaitable[None]]
    """Pause a subscription: its key, why, since when it failed."""


class Courier:
    """Delivers one subscription until it is cancelled."""

    def __init__(self, subscription: Subscription, means: Means) -> None:
        self.subscription = subscription
        self._means = means
        self.window = Window(means.schedule, 1)
        self._delivery = Delivery(key=subscription.key, run=subscription.run, scanned=0)
        self._events: dict[int, FeedEvent] = {}
        self._letters: list[DeadLetter] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._broke: BaseException | None = None
        self._wake = asyncio.Event()
        self._dirty = False
        self._remembered_at = 0.0
        self._gone = False
        self._scopes: tuple[object, list[Scope]] | None = None
        self._selection = Selection(subscription.wanted)
        self.loaded = False

    def wake(self) -> None:
        """Something may have happened that concerns it."""
        self._wake.set()

    def change(self, subscription: Subscription) -> None:
        """The subscription is another now: filter, endpoint, secrets."""
        before, self.subscription = self.subscription, subscription
        self._selection = Selection(subscription.wanted)
        self._scopes = None
        if subscription.endpoint != before.endpoint and subscription.endpoint is not None:
            self.window.parallel, self.window.per_second = _pace(subscription.endpoint)
            self.window.health = Health()
            for pending in self.window:
                pending.next_at = None
        self._wake.set()

    async def run(self) -> None:
        """Deliver."""
        try:
            await self._load()
            while True:
                self._wake.clear()
                if self._broke is not None:
                    raise self._broke
                if self.subscription.topic:
                    await self._means.topics.open(
                        self.subscription.topic, opened(self.subscription, self._means.seals)
                    )
                await self._fill()
                self._start_due()
                await self._remember()
                if await self._held():
                    return
                await self._wait()
        except asyncio.CancelledError:
            await self._stop_trying()
            with suppress(DomainError, MemoryLost, TimeoutError):
                async with asyncio.timeout(_LAST_WORD_SECONDS):
                    self._remembered_at = 0.0
                    await self._remember()
            raise
        finally:
            await self._stop_trying()

    async def _stop_trying(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _load(self) -> None:
        subscription, means = self.subscription, self._means
        found, letters = await means.memories.load(subscription.key)
        delivery = found or Delivery(
            key=subscription.key, run=subscription.run, scanned=subscription.start
        )
        if delivery.run != subscription.run:  # set back, or begun anew, since
            delivery.run, delivery.scanned = subscription.run, subscription.start
            delivery.pending, delivery.health = [], Health()
        assert subscription.endpoint is not None
        parallel, per_second = _pace(subscription.endpoint)
        self._delivery = delivery
        self.window = Window(
            means.schedule,
            parallel,
            per_second,
            delivery.scanned,
            delivery.pending,
            delivery.health,
        )
        for letter in letters:
            self.window.readmit(letter.pending())
        self._dirty = found is None or delivery.run != found.run
        self.loaded = True

    def redeliver(self, letter: DeadLetter) -> None:
        """Try a dead letter again."""
        if self.loaded:
            self.window.readmit(letter.pending())
            self._wake.set()

    # --- what comes in ----------------------------------------------------------------------------

    def _allowed(self) -> list[Scope]:
        """What the agreements in force allow of what is wanted; nothing without one."""
        agreements = self._means.agreements()
        today = day_of(self._means.clock())
        known = (agreements, today, self.subscription.version)
        if self._scopes is None or self._scopes[0] != known:
            wanted = self.subscription.wanted
            try:
                scopes = decide_events(
                    agreements,
                    self.subscription.subsystem,
                    wanted.event_types,
                    wanted.region_codes,
                    today,
                )
            except NoAgreement:
                scopes = []
            self._scopes = (known, scopes)
        return self._scopes[1]

    async def _fill(self) -> None:
        for _ in range(_ROUNDS):
            newest = self._means.feed.newest
            scopes = self._allowed()
            limit = self.window.room
            # Without an agreement it stands still: should one come, it goes on from here.
            if limit < _READ_AT_LEAST or self.window.scanned >= newest or not scopes:
                return
            events = await self._means.feed.read(self.window.scanned, scopes, limit)
            for event in events:
                if self._selection.wants(event):
                    self._events[event.cursor] = event
                    self.window.admit(
                        Pending(
                            event.cursor,
                            event.event_id,
                            event.type,
                            event.subject,
                            event.occurred_at,
                        )
                    )
                else:
                    self.window.scan(event.cursor)
            if len(events) < limit:
                self.window.scan(newest)
            self._dirty = True
        self._wake.set()  # there is more; the others come first

    # --- what goes out ----------------------------------------------------------------------------

    def _start_due(self) -> None:
        if self._gone or not self._allowed():
            return
        now = self._means.clock()
        for pending in self.window.due(now):
            self.window.begin(pending.cursor, now)
            task = asyncio.create_task(self._try(pending))
            self._tasks.add(task)
            task.add_done_callback(self._tried)

    def _tried(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._broke = task.exception()
        self._wake.set()

    async def _try(self, pending: Pending) -> None:
        event = self._events.get(pending.cursor) or await self._means.feed.at(pending.cursor)
        if event is None:
            pending.reason = "EVENT_EXPIRED"
            known = await self._letter_of(pending)
            self._end(pending, self._set_aside(pending, known))
            return
        granted = self._granting(event)
        if not granted or not is_allowed(self._allowed(), event):
            # The right to it ended while it waited.
            letter = await self._letter_of(pending)
            if letter is not None:
                pending.reason = "ACCESS_DENIED"
                letter.refused_again(pending, self._means.clock())
            self._end(pending, letter)
            self._count("withdrawn")
            return
        try:
            self._means.evidence.require()
            shown = self._means.masks.masked(event, granted)
            answer = await self._post(shown)
            if answer.outcome is Outcome.TAKEN:
                await self._prove(shown, granted, answer)
        except DomainError as error:
            # No delivery without evidence: it counts as not taken, and the endpoint is not to blame.
            pending.reason = error.reason
            await asyncio.sleep(_NO_EVIDENCE_SECONDS)
            self.window.put_back(pending.cursor)
            return
        await self._settle(pending, event, answer)

    async def _post(self, event: FeedEvent) -> Answer:
        subscription, means = self.subscription, self._means
        assert subscription.endpoint is not None
        if subscription.topic:
            return await means.topics.put(subscription.topic, event)
        secrets = list(opened(subscription, means.seals).values())
        return await means.webhooks.post(
            subscription.key, subscription.endpoint, secrets, event, means.clock()
        )

    def _granting(self, event: FeedEvent) -> list[Agreement]:
        """The agreements by which the subscriber has this event."""
        today = day_of(self._means.clock())
        return granting(self._means.agreements(), self.subscription.subsystem, event, today)

    async def _prove(self, event: FeedEvent, granted: Sequence[Agreement], answer: Answer) -> None:
        await self._means.evidence.delivered(
            Delivered(
                self.subscription.key,
                self.subscription.subsystem,
                granted,
                event,
                answer.sent,
                answer.said,
                answer.reason,
                self._means.clock(),
            )
        )

    async def _settle(self, pending: Pending, event: FeedEvent, answer: Answer) -> None:
        # Looked up first: from here to the end nothing may be remembered in between.
        letter = await self._letter_of(pending)
        now = self._means.clock()
        self._dirty = True
        self._events.pop(pending.cursor, None)  # read again if it is tried again
        if answer.outcome is Outcome.TAKEN:
            if letter is not None:
                letter.redelivered(now)
                self._letters.append(letter)
            self.window.taken(pending.cursor)
            self._count("taken")
            metrics.delivery_seconds.observe(max(0.0, (now - event.occurred_at).total_seconds()))
        elif answer.outcome is Outcome.GONE:
            self._gone = True
            self.window.put_back(pending.cursor)
            self._count("gone")
        else:
            self._count("refused")
            chance = random.random()  # noqa: S311 - jitter
            ended = self.window.failed(pending.cursor, now, answer.reason, chance, answer.wish)
            if ended is not None:
                self._letters.append(self._set_aside(ended, letter))

    def _end(self, pending: Pending, letter: DeadLetter | None) -> None:
        if letter is not None:
            self._letters.append(letter)
        self._events.pop(pending.cursor, None)
        self.window.drop(pending.cursor)
        self._dirty = True

    async def _letter_of(self, pending: Pending) -> DeadLetter | None:
        """Its dead letter, if it has one: it was set aside before, or may be so once more."""
        if not pending.is_redelivery and pending.attempts < len(self._means.schedule.retries):
            return None
        return await self._means.memories.letter(letter_key(self.subscription.key, pending.cursor))

    def _set_aside(self, pending: Pending, known: DeadLetter | None) -> DeadLetter:
        now, subscription = self._means.clock(), self.subscription
        metrics.delivery_dead_letters.labels(pending.reason).inc()
        logger().warning(
            "delivery_set_aside",
            subscription=subscription.key,
            event_id=pending.event_id,
            reason=pending.reason,
        )
        if known is None:
            return DeadLetter.of(pending, subscription.key, subscription.subsystem, now)
        known.refused_again(pending, now)
        return known

    def _count(self, outcome: str) -> None:
        metrics.deliveries.labels(self.subscription.key, outcome).inc()

    # --- what is remembered -----------------------------------------------------------------------

    async def _remember(self) -> None:
        elapsed = asyncio.get_running_loop().time() - self._remembered_at
        if not self._dirty or (elapsed < _REMEMBER_SECONDS and not self._letters):
            return
        letters, self._letters = self._letters, []
        self._dirty = False
        self._delivery.note(self.window)
        await self._means.memories.remember(self._delivery, letters)
        self._remembered_at = asyncio.get_running_loop().time()

    async def _held(self) -> bool:
        """Whether the endpoint is dead or gone; then the subscription is paused."""
        if not self._gone and not self.window.is_dead(self._means.clock()):
            return False
        await self._stop_trying()
        since = self.window.health.failing_since
        # When somebody resumes it, the endpoint gets a new chance.
        self.window.health, self._dirty, self._remembered_at = Health(), True, 0.0
        await self._remember()
        cause = PauseCause.ENDPOINT_GONE if self._gone else PauseCause.ENDPOINT_DEAD
        metrics.deliveries_held.labels(cause.value).inc()
        logger().warning("delivery_held", subscription=self.subscription.key, cause=cause.value)
        await self._means.hold(self.subscription.key, cause, since)
        return True

    async def _wait(self) -> None:
        now = self._means.clock()
        waits = []
        at = self.window.next_at(now)
        # Without an agreement nothing is tried; whoever knows of a new one wakes us.
        if at is not None and self._allowed():
            waits.append(max(0.005, (at - now).total_seconds()))
        if self._dirty:
            waits.append(_REMEMBER_SECONDS)
        try:
            async with asyncio.timeout(min(waits, default=None)):
                await self._wake.wait()
        except TimeoutError:
            return


def _pace(endpoint: Endpoint) -> tuple[int, float | None]:
    per_second = None if endpoint.per_minute is None else endpoint.per_minute / 60
    return endpoint.max_in_flight, per_second
