"""Writing records."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from confluent_kafka import KafkaError, Message
from confluent_kafka import Producer as _Producer

from eldex.common.errors import Unavailable
from eldex.common.kafka.record import QUIET, Record, Troubles
from eldex.common.logs import logger


class Producer:
    """Writes records; a batch is done when the broker has all of it on disk.

    Order per key is kept: the producer is idempotent and never gives a record up. While the broker
    is away `publish` waits; what it was waiting for is still in the outbox.
    """

    def __init__(self, bootstrap: str, client_id: str) -> None:
        self._producer = _Producer(
            {
                "bootstrap.servers": bootstrap,
                "client.id": client_id,
                "enable.idempotence": True,
                "acks": "all",
                "message.timeout.ms": 0,
                # `flush` does not linger: this only lets the records of one call share requests.
                "linger.ms": 5,
                "queue.buffering.max.messages": 100_000,
                "compression.type": "lz4",
                "error_cb": Troubles(),
                **QUIET,
            }
        )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="kafka-producer")

    async def publish(self, records: Sequence[Record]) -> None:
        """Write the records in order; raises `Unavailable` if one is refused (unknown topic)."""
        refused: list[KafkaError] = []

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                refused.append(error)

        for record in records:
            self._producer.produce(
                record.topic,
                record.value,
                record.key,
                headers=list(record.headers.items()),
                on_delivery=delivered,
            )
        loop = asyncio.get_running_loop()
        while await loop.run_in_executor(self._thread, self._producer.flush, 1.0):
            pass
        if refused:
            logger().error("publish_refused", reason=refused[0].name(), count=len(refused))
            raise Unavailable("Kafka")

    def close(self) -> None:
        """Let go; nothing waits here that is not in an outbox."""
        self._producer.purge(in_queue=True, in_flight=True)
        self._producer.flush(1)
        self._thread.shutdown(wait=False)
