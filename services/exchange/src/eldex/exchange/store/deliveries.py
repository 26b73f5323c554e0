"""Deliveries and their dead letters in MongoDB, written together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from eldex.common.store import (
    Backend,
    ChangeSet,
    GroupCommit,
    Index,
    Lost,
    Repository,
    Write,
    from_document,
    to_document,
)
from eldex.exchange.domain.delivery.memory import DeadLetter, Delivery
from eldex.exchange.handlers.delivery import MemoryLost


class MongoDeliveries(Repository[Delivery]):
    """How far webhooks have come, by subscription."""

    kind = Delivery
    collection = "deliveries"


class MongoDeadLetters(Repository[DeadLetter]):
    """What endpoints would not take, by subscription and number."""

    kind = DeadLetter
    collection = "delivery_dead_letters"
    indexes: ClassVar[tuple[Index, ...]] = (
        Index((("subscription_key", 1), ("_id", 1))),
        Index((("subscription_key", 1), ("redelivering", 1))),
    )


class MongoMemories:
    """What couriers remember. Their writes share transactions with each other's."""

    def __init__(self, backend: Backend, commit: GroupCommit) -> None:
        self._backend, self._commit = backend, commit

    async def load(self, subscription_key: str) -> tuple[Delivery | None, list[DeadLetter]]:
        """The delivery, and the letters that are to be tried again."""
        found = await self._backend.fetch(MongoDeliveries.collection, "_id", [subscription_key])
        again = await self._backend.query(
            MongoDeadLetters.collection,
            {"subscription_key": subscription_key, "redelivering": True},
            [("_id", 1)],
        )
        delivery = from_document(Delivery, found[0]) if found else None
        return delivery, [from_document(DeadLetter, each) for each in again]

    async def letter(self, key: str) -> DeadLetter | None:
        """One letter."""
        found = await self._backend.fetch(MongoDeadLetters.collection, "_id", [key])
        return from_document(DeadLetter, found[0]) if found else None

    async def remember(self, delivery: Delivery, letters: Sequence[DeadLetter]) -> None:
        """Write them in one commit; returns when it is durable. Raises `MemoryLost`."""
        writes = [
            Write(MongoDeliveries.collection, to_document(delivery), delivery.version or None)
        ]
        writes += [
            Write(MongoDeadLetters.collection, to_document(each), each.version or None)
            for each in letters
        ]
        outcome = await self._commit.submit(ChangeSet(writes))
        if isinstance(outcome, Lost):
            raise MemoryLost(delivery.key)
        if outcome is not None:
            raise MemoryLost(f"{delivery.key}: {outcome}")
        for each in (delivery, *letters):
            each.version += 1
