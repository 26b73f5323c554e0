"""Records, and what both sides of the driver share."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from confluent_kafka import KafkaError

from eldex.common.logs import logger

_TELL_AGAIN_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Record:
    """One record, to be written or as it was read."""

    topic: str
    key: str
    value: bytes
    headers: Mapping[str, str]
    partition: int = -1
    offset: int = -1
    written_at: float = 0.0
    """Unix time in seconds."""


class Troubles:
    """Tells what the driver complains of, not each of its many tries to reach a broker that is away."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}

    def __call__(self, error: KafkaError) -> None:
        """Tell of an error, unless its like was told of a moment ago."""
        name, now = error.name(), time.monotonic()
        if now - self._told.get(name, -_TELL_AGAIN_SECONDS) >= _TELL_AGAIN_SECONDS:
            self._told[name] = now
            logger().warning("kafka_troubled", reason=name)


QUIET: Final = {"log_level": 0, "reconnect.backoff.max.ms": 1_000}
"""The driver would write lines of its own to standard error; its errors come to `Troubles`."""
