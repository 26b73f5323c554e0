"""From Kafka to an effect: every event is applied once, or set aside with its reason."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, Generic, TypeVar

from google.protobuf.message import DecodeError, Message
from opentelemetry.trace import SpanKind
from prometheus_client import Counter, Histogram

from eldex.common import metrics, telemetry
from eldex.common.errors import (
    DomainError,
    InvalidRequest,
    Kind,
    NotFound,
    StaleVersion,
    Unavailable,
    Violation,
)
from eldex.common.kafka import Record
from eldex.common.logs import logger
from eldex.common.privacy import masked
from eldex.common.store import (
    DEAD_LETTERS,
    OUTBOX,
    ChangeSet,
    Document,
    Mark,
    Taken,
    UnitOfWork,
    Write,
)

S = TypeVar("S")

_LIMIT: Final = 100
_WINDOW_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class EventMeta:
    """What an event says about itself (CloudEvents attributes)."""

    event_id: str
    type: str
    source: str
    subject: str
    occurred_at: datetime
    regions: tuple[str, ...]
    sequence: int
    """The version of what it is about that told it: news of one thing by two keys come in no order,
    and this is theirs."""

    @classmethod
    def of(cls, record: Record) -> EventMeta:
        """Read the headers; raises `InvalidRequest` naming the one that is missing or wrong."""
        try:
            headers = record.headers
            return cls(
                headers["ce_id"],
                headers["ce_type"],
                headers["ce_source"],
                headers.get("ce_subject", record.key),
                datetime.fromisoformat(headers["ce_time"]),
                tuple(filter(None, headers.get("ce_regions", "").split(","))),
                int(headers.get("ce_sequence", 0)),
            )
        except KeyError as error:
            name = str(error.args[0])
            raise InvalidRequest(
                Violation(name, "事件缺少该消息头", "the event lacks this header", "HEADER_MISSING")
            ) from error
        except ValueError as error:
            raise InvalidRequest(
                Violation(
                    "ce_time",
                    "ce_time 须为有效时间，ce_sequence 须为整数",
                    "must be an instant, and ce_sequence a whole number",
                    "HEADER_INVALID",
                )
            ) from error


Handler = Callable[[Any, EventMeta, S, datetime], Awaitable[None]]
"""`async (event message, meta, stores, now)`; stages its effects on the stores."""
Subscriptions = Mapping[type[Message], Handler[S]]
"""Which events a service listens to, and who handles each; written in its `main`."""

Take = Callable[[Record, EventMeta], Awaitable[None]]
"""Takes an event over durably, as it is; one that is known already is left out."""


class DeadLetterReplayed(DomainError):
    """A dead letter that was applied after all cannot be closed as one that never can be."""

    kind, reason = Kind.CONFLICT, "ALREADY_REPLAYED"
    zh = "该死信已重放成功，无需关闭"
    en = "this dead letter was replayed: there is nothing to close"


class DeadLetterClosed(DomainError):
    """A dead letter that was closed is not applied any more."""

    kind, reason = Kind.CONFLICT, "DEAD_LETTER_CLOSED"
    zh = "该死信已关闭，不再重放"
    en = "this dead letter was closed and is not replayed any more"


class TooManyDeadLetters(Exception):
    """So many events could not be applied that the fault is ours, or the producer's, not theirs."""


class Inbox(Generic[S]):
    """Applies events through the unit of work, with the event's id as its mark."""

    def __init__(
        self,
        service: str,
        subscriptions: Mapping[type[Message], Handler[S] | None],
        work: UnitOfWork[S],
        take: Take | None = None,
    ) -> None:
        """`take` takes every event over as it is, instead of handlers that stage effects."""
        self._service, self._work, self._take = service, work, take
        self._handlers = {kind.DESCRIPTOR.full_name: h for kind, h in subscriptions.items()}
        self._kinds = {kind.DESCRIPTOR.full_name: kind for kind in subscriptions}
        self._recent: deque[float] = deque()
        self._counters: dict[tuple[str, str], tuple[Counter, Histogram]] = {}

    async def apply(self, record: Record) -> None:
        """Apply one record; set it aside if it can never be applied.

        Raises retryable `DomainError`s (hold the partition), and whatever is a defect of ours.
        """
        kind = record.headers.get("ce_type", "")
        if kind and kind not in self._handlers:
            return
        name = f"process {record.topic}"
        described = partial(self._described, record)
        with telemetry.span(name, SpanKind.CONSUMER, record.headers, described) as span:
            try:
                outcome = await self._handle(record)
            except DomainError as error:
                if error.kind.retryable:
                    raise
                telemetry.failed(span, error.reason)
                await self._set_aside(record, error)
                outcome = "dead"
            span.set_attribute("eldex.outcome", outcome)
        counters = self._counters.get((record.topic, outcome))
        if counters is None:
            counters = (
                metrics.consumed.labels(record.topic, outcome),
                metrics.event_seconds.labels(record.topic),
            )
            self._counters[record.topic, outcome] = counters
        counters[0].inc()
        counters[1].observe(max(0.0, time.time() - record.written_at))

    def _described(self, record: Record) -> dict[str, str | int]:
        return {
            "messaging.system": "kafka",
            "messaging.operation.type": "process",
            "messaging.destination.name": record.topic,
            "messaging.destination.partition.id": str(record.partition),
            "messaging.kafka.offset": record.offset,
            "messaging.consumer.group.name": self._service,
            "messaging.message.id": record.headers.get("ce_id", ""),
            "eldex.event.type": record.headers.get("ce_type", ""),
            "eldex.subject": record.key,
        }

    async def _handle(self, record: Record) -> str:
        meta = EventMeta.of(record)
        message = self._kinds[meta.type]()
        try:
            message.ParseFromString(record.value)
        except DecodeError as error:
            raise InvalidRequest(
                Violation("payload", f"不是 {meta.type}", f"is not a {meta.type}", "MALFORMED")
            ) from error
        if self._take is not None:
            await self._take(record, meta)
            return "applied"
        handler = self._handlers[meta.type]
        assert handler is not None

        async def act(stores: S, now: datetime) -> None:
            await handler(message, meta, stores, now)

        done = await self._work.write(Mark(f"event/{meta.event_id}"), act)
        return "repeated" if done.replayed else "applied"

    async def _set_aside(self, record: Record, error: DomainError) -> None:
        self._check_limit()
        now = self._work.clock()
        key = f"{record.topic}/{record.partition}/{record.offset}"
        letter: Document = {
            "_id": key,
            "version": 1,
            "state": "waiting",
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "key": record.key,
            "headers": dict(record.headers),
            "payload": record.value,
            "reason": error.reason,
            "detail": masked(error.message("en")),
            "detail_zh": masked(error.message("zh")),
            "set_aside_at": now,
            "replayed_at": None,
            "trace_id": telemetry.trace_id(),
        }
        entry: Document = {
            "_id": f"dead/{self._service}/{key}",
            "aggregatetype": f"{record.topic}-dead-letters",
            "aggregateid": record.key,
            "type": record.headers.get("ce_type", ""),
            "payload": record.value,
            "timestamp": now,
            "sequence": 0,
            "source": record.headers.get("ce_source", ""),
            "regions": record.headers.get("ce_regions", ""),
            "traceparent": telemetry.traceparent(),
            "headers": {
                **record.headers,
                "dead_letter_service": self._service,
                "dead_letter_key": key,
                "dead_letter_reason": error.reason,
            },
        }
        outcome = await self._work.commit.submit(
            ChangeSet([Write(DEAD_LETTERS, letter), Write(OUTBOX, entry)])
        )
        if outcome is not None and not isinstance(outcome, Taken):
            raise Unavailable("MongoDB") from outcome
        metrics.dead_letters.labels(record.topic, error.reason).inc()
        logger().warning(
            "event_set_aside", topic=record.topic, dead_letter_key=key, reason=error.reason
        )

    def _check_limit(self) -> None:
        now = time.monotonic()
        self._recent.append(now)
        while self._recent and self._recent[0] < now - _WINDOW_SECONDS:
            self._recent.popleft()
        if len(self._recent) > _LIMIT:
            raise TooManyDeadLetters(f"more than {_LIMIT} in {_WINDOW_SECONDS:.0f} s")

    async def replay(self, dead_letter_key: str) -> Document:
        """Apply a dead letter again; raises what stands in its way still."""
        letter = await self._letter(dead_letter_key)
        if letter["state"] == "replayed":
            return letter
        if letter["state"] == "closed":
            raise DeadLetterClosed
        record = Record(
            letter["topic"],
            letter["key"],
            bytes(letter["payload"]),
            letter["headers"],
            letter["partition"],
            letter["offset"],
        )
        await self._handle(record)
        while letter["state"] != "replayed":
            replayed = letter | {
                "state": "replayed",
                "replayed_at": self._work.clock(),
                "version": letter["version"] + 1,
            }
            outcome = await self._work.commit.submit(
                ChangeSet([Write(DEAD_LETTERS, replayed, replaces=letter["version"])])
            )
            if outcome is None:
                logger().info("dead_letter_replayed", dead_letter_key=dead_letter_key)
                return replayed
            # Somebody else replayed it; or closed it meanwhile, which it no longer is: it was applied.
            letter = await self._letter(dead_letter_key)
        return letter

    async def close(self, dead_letter_key: str, reason: str, closed_by: str) -> Document:
        """Put a dead letter away that can never be applied; it is kept, and closed again stays as it was.

        Raises `NotFound`, `DeadLetterReplayed`, `StaleVersion` (somebody replayed it meanwhile).
        """
        letter = await self._letter(dead_letter_key)
        if letter["state"] == "closed":
            return letter
        if letter["state"] == "replayed":
            raise DeadLetterReplayed
        closed = letter | {
            "state": "closed",
            "closed_at": self._work.clock(),
            "closing_reason": reason,
            "closed_by": closed_by,
            "version": letter["version"] + 1,
        }
        outcome = await self._work.commit.submit(
            ChangeSet([Write(DEAD_LETTERS, closed, replaces=letter["version"])])
        )
        if outcome is not None:
            raise StaleVersion("DeadLetter")
        logger().info("dead_letter_closed", dead_letter_key=dead_letter_key)
        return closed

    async def _letter(self, key: str) -> Document:
        found = await self._work.backend.fetch(DEAD_LETTERS, "_id", [key])
        if not found:
            raise NotFound("DeadLetter", key)
        return found[0]
