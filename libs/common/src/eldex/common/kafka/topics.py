"""Topics as the contract describes them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from eldex.common.errors import Unavailable
from eldex.common.kafka.record import QUIET
from eldex.common.logs import logger

_ANSWER_SECONDS: Final = 30


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """A topic as it shall be."""

    name: str
    partitions: int
    retention_seconds: int


async def create_topics(bootstrap: str, plans: Sequence[TopicPlan]) -> list[str]:
    """Create the topics that are missing; the names of those created.

    Raises `Unavailable` if the broker does not answer within 30 s. A topic that exists is left as
    it is; fewer partitions than planned is a warning, since adding some would break the order. How
    many copies a topic has is the broker's setting.
    """
    admin = AdminClient({"bootstrap.servers": bootstrap, **QUIET})

    def run() -> list[str]:
        try:
            present = admin.list_topics(timeout=_ANSWER_SECONDS).topics
        except KafkaException as error:
            raise Unavailable("Kafka") from error
        for plan in plans:
            known = present.get(plan.name)
            if known is not None and len(known.partitions) != plan.partitions:
                logger().warning(
                    "topic_differs",
                    topic=plan.name,
                    partitions=len(known.partitions),
                    planned=plan.partitions,
                )
        missing = [plan for plan in plans if plan.name not in present]
        if not missing:
            return []
        futures = admin.create_topics(
            [
                NewTopic(
                    plan.name,
                    num_partitions=plan.partitions,
                    replication_factor=-1,
                    config={"retention.ms": str(plan.retention_seconds * 1000)},
                )
                for plan in missing
            ]
        )
        for future in futures.values():
            try:
                future.result()
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
        return [plan.name for plan in missing]

    return await asyncio.to_thread(run)
