"""From the outbox to Kafka: what was committed is published, in order per key, at least once.

The outbox collection is the queue: an event is in it from the commit of its act until the broker
has it. A crash between publishing and removing publishes again; consumers know the event's id.
The events of one transaction lie in one document (`Bundle`); the fields of an entry are named as
Debezium's outbox router names them. Decision records: `docs/decisions/` on the outbox.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from google.protobuf.message import Message
from opentelemetry.trace import SpanKind

from eldex.api.topics import Topic
from eldex.common import metrics, steps, telemetry
from eldex.common.errors import Unavailable
from eldex.common.identifiers import new_key
from eldex.common.kafka import Producer, Record
from eldex.common.logs import logger
from eldex.common.store import Backend, Document, Publisher

_MOST_AT_ONCE = 64
"""Bundles; one holds what one transaction committed, up to some hundred events."""
_LEASE_SECONDS = 6.0
_PACE_SECONDS = 0.01
"""Rounds begin no closer than this: each costs the broker a request per partition."""


class UnknownEvent(Exception):
    """An event that no topic of the contract carries: a defect, found when it is first recorded."""


def publisher(
    city: str, service: str, topics: Mapping[str, Topic], to_message: Callable[[Any], Message]
) -> Publisher:
    """How a service's domain events become outbox documents.

    `to_message` is the service's `wire.event`. The record's key is the field that the topic names;
    the divisions an event concerns are its `*region_code` fields.
    """
    by_type = {name: topic for topic in topics.values() for name in topic.events}
    source = f"//{city}/{service}"
    region_fields: dict[str, list[str]] = {}

    def publish(event: object, version: int, now: datetime) -> Document:
        message = to_message(event)
        descriptor = message.DESCRIPTOR
        topic = by_type.get(descriptor.full_name)
        if topic is None or topic.producer != service:
            raise UnknownEvent(f"no topic of {service} carries {descriptor.full_name}")
        places = region_fields.get(descriptor.full_name)
        if places is None:
            names = [f.name for f in descriptor.fields if f.name.endswith("region_code")]
            places = region_fields[descriptor.full_name] = names
        regions = {getattr(message, name) for name in places}
        return {
            "_id": new_key("evt"),
            "aggregatetype": topic.name,
            "aggregateid": getattr(message, topic.key),
            "type": descriptor.full_name,
            "payload": message.SerializeToString(),
            "timestamp": now,
            "sequence": version,
            "source": source,
            "regions": ",".join(sorted(filter(None, regions))),
            "traceparent": telemetry.traceparent(),
        }

    return publish


def record_of(entry: Document) -> Record:
    """An outbox document as a CloudEvents 1.0 record in Kafka's binary mode."""
    return Record(
        topic=entry["aggregatetype"],
        key=entry["aggregateid"],
        value=bytes(entry["payload"]),
        headers={
            "ce_specversion": "1.0",
            "ce_id": entry["_id"],
            "ce_source": entry["source"],
            "ce_type": entry["type"],
            "ce_time": entry["timestamp"].isoformat(timespec="milliseconds"),
            "ce_subject": entry["aggregateid"],
            "ce_sequence": str(entry["sequence"]),
            "ce_regions": entry["regions"],
            "content-type": "application/protobuf",
            "traceparent": entry["traceparent"],
            **entry.get("headers", {}),
        },
    )


class Relay:
    """Publishes what the outbox holds. One replica of a service at a time does it (a lease)."""

    def __init__(self, backend: Backend, producer: Producer, instance: str) -> None:
        self._backend, self._producer, self._instance = backend, producer, instance
        self._wake = asyncio.Event()
        self._leased_until = 0.0
        self._renewing: asyncio.Task[bool] | None = None
        self._stopping = False

    def wake(self) -> None:
        """There is something new in the outbox."""
        self._wake.set()

    def stop(self) -> None:
        """Have `run` return after its round."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Publish until stopped or cancelled."""
        loop = asyncio.get_running_loop()
        while not self._stopping:
            began = loop.time()
            try:
                more = await self._holds_lease() and await self._round()
            except Unavailable as error:
                logger().warning("relay_waits", part=str(error.facts.get("part")))
                more = False
                await asyncio.sleep(0.5)
            if not more:
                try:
                    async with asyncio.timeout(0.2):
                        await self._wake.wait()
                except TimeoutError:
                    pass  # the sweep: what another replica committed, or a crash left behind
            # Under load some more bundles come along; who comes alone does not wait.
            await asyncio.sleep(max(0.0, began + _PACE_SECONDS - loop.time()))
            # Before the outbox is read: what is committed from here on wakes it again.
            self._wake.clear()

    async def drain(self) -> None:
        """Publish what is left, before the process ends."""
        while await self._holds_lease() and await self._round():
            pass

    async def _holds_lease(self) -> bool:
        """Whether this replica publishes; the lease is renewed beside the publishing, in good time."""
        now = asyncio.get_running_loop().time()
        if now < self._leased_until - _LEASE_SECONDS / 2:
            return True
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._lease())
        if now >= self._leased_until - _LEASE_SECONDS / 4:
            await asyncio.wait([self._renewing])
        if not self._renewing.done():
            return True
        renewing, self._renewing = self._renewing, None
        return renewing.result()

    async def _lease(self) -> bool:
        asked_at = asyncio.get_running_loop().time()
        if await self._backend.lease("relay", self._instance, _LEASE_SECONDS):
            self._leased_until = asked_at + _LEASE_SECONDS
            return True
        return False

    async def _round(self) -> bool:
        """Publish the oldest bundles; whether there may be more."""
        bundles = await self._backend.outgoing(_MOST_AT_ONCE)
        entries = [entry for bundle in bundles for entry in bundle.entries]
        if not entries:
            return False
        steps.reached("between-commit-and-publish")
        await self._producer.publish([self._traced(entry) for entry in entries])
        steps.reached("between-publish-and-mark")
        await self._backend.delivered(bundles)
        for topic, count in Counter(entry["aggregatetype"] for entry in entries).items():
            metrics.published.labels(topic).inc(count)
        return len(bundles) == _MOST_AT_ONCE

    def _traced(self, entry: Document) -> Record:
        if not telemetry.is_sampled(entry["traceparent"]):
            return record_of(entry)
        attributes = {
            "messaging.system": "kafka",
            "messaging.operation.type": "send",
            "messaging.destination.name": entry["aggregatetype"],
            "messaging.message.id": entry["_id"],
            "eldex.event.type": entry["type"],
            "eldex.subject": entry["aggregateid"],
        }
        name = f"send {entry['aggregatetype']}"
        with telemetry.span(name, SpanKind.PRODUCER, entry, attributes):
            return record_of(entry | {"traceparent": telemetry.traceparent()})
