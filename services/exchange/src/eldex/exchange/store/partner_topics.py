"""Topics of partners' own on Kafka: written by the exchange, read by one subscription alone.

For each of its active secrets a subscription has a user (the secret's id, the secret its password)
who may read its topic, in consumer groups whose names begin with the topic's.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from eldex.common.errors import Unavailable
from eldex.common.kafka import Producer, Readers, Record, TopicPlan, create_topics
from eldex.exchange.domain.delivery.attributes import CONTENT_TYPE, attributes_of
from eldex.exchange.domain.subscriptions import FeedEvent
from eldex.exchange.handlers.delivery import Answer, Outcome, TopicsNotOffered

_PARTITIONS: Final = 6
_KEPT_SECONDS: Final = 7 * 86_400
"""How long a partner can read an event from its topic; later it asks for a replay."""
_LOOK_EVERY_SECONDS: Final = 5.0
"""A broker that was killed has been seen to come back without its users: they are looked after."""


class KafkaPartnerTopics:
    """Opens, writes and closes the topics of partners."""

    def __init__(self, bootstrap: str, partners: str, client_id: str) -> None:
        """`bootstrap` is where the house reaches Kafka, `partners` where partners do ("": nowhere)."""
        self._bootstrap, self._partners = bootstrap, partners
        self._readers = Readers(bootstrap)
        self._producer = Producer(bootstrap, client_id)
        self._open: dict[str, tuple[frozenset[str], float]] = {}
        """The users of each topic, and when it was last seen that the broker knows them."""

    def address(self) -> str:
        """The servers that partners read from; raises `TopicsNotOffered` if there are none."""
        if not self._partners:
            raise TopicsNotOffered
        return self._partners

    async def open(self, topic: str, passwords: Mapping[str, str]) -> None:
        """See to it that the topic is there, and that these users read it, and no others."""
        users, now = frozenset(passwords), time.monotonic()
        known, looked_at = self._open.get(topic, (None, 0.0))
        if known == users and now - looked_at < _LOOK_EVERY_SECONDS:
            return
        if known == users and await self._readers.are(topic, users):
            self._open[topic] = users, now
            return
        await create_topics(self._bootstrap, [TopicPlan(topic, _PARTITIONS, _KEPT_SECONDS)])
        await self._readers.let(topic, passwords)
        self._open[topic] = users, now

    async def put(self, topic: str, event: FeedEvent) -> Answer:
        """Write an event; taken when the broker has it on disk. Waits while Kafka is away.

        Raises `Unavailable` if the topic is not there; the next `open` makes it anew.
        """
        attributes = attributes_of(event)
        headers = {f"ce_{name}": value for name, value in attributes.items()} | {
            "content-type": CONTENT_TYPE,
            "traceparent": event.traceparent,
        }
        del headers["ce_datacontenttype"]  # in Kafka's binary mode it is the content type
        try:
            await self._producer.publish([Record(topic, event.subject, event.payload, headers)])
        except Unavailable:
            self._open.pop(topic, None)
            raise
        return Answer(Outcome.TAKEN, "KAFKA_ACK", event.payload)

    async def close(self, topic: str) -> None:
        """Turn all readers away and remove the topic; one that is not there changes nothing."""
        self._open.pop(topic, None)
        await self._readers.close(topic)

    def stop(self) -> None:
        """Let go of Kafka."""
        self._producer.close()
