"""Kafka: an idempotent producer that waits for the broker, and a consumer that loses nothing.

The only package that imports the driver. The plain Producer and Consumer are bridged to asyncio
here, because the driver's own async producer cannot send headers.
"""

from eldex.common.kafka.consumer import Apply, Consumer, FlowState
from eldex.common.kafka.producer import Producer
from eldex.common.kafka.readers import Readers
from eldex.common.kafka.record import Record
from eldex.common.kafka.topics import TopicPlan, create_topics

__all__ = [
    "Apply",
    "Consumer",
    "FlowState",
    "Producer",
    "Readers",
    "Record",
    "TopicPlan",
    "create_topics",
]
