"""The keys of the exchange's log as they were first seen, or as an operator has set them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from eldex.common.clock import Clock
from eldex.common.mongo import MongoBackend
from eldex.common.store import Document, Index
from eldex.console.handlers.exchange_ports import Trust
from eldex.evidence.note import UntrustedNote, Verifier
from eldex.evidence.policy import Policy

LOG_KEYS: Final = "log_keys"

COLLECTIONS: Final[Mapping[str, Sequence[Index]]] = {LOG_KEYS: []}


class MongoLogKeys:
    """`LogKeys`: a log's key is kept when it is first seen; another one later signs nothing here.

    With a file of keys, got from the exchange's people in person, the exchange's own word counts for nothing.
    """

    def __init__(self, backend: MongoBackend, clock: Clock, policy: Policy | None) -> None:
        self._backend, self._clock, self._policy = backend, clock, policy

    async def trusted(self, origin: str, told: str) -> Trust:
        """The keys for a log; raises `EvidenceError` if what the exchange tells cannot be read."""
        if self._policy is not None:
            return Trust(self._policy, None)
        policy = Policy.parse(told)
        key = next((str(log) for log in policy.logs if log.name == origin), "")
        if not key:
            raise UntrustedNote(f"the exchange names no key of its log {origin}")
        first: Document = {"verifier_key": key, "seen_at": self._clock()}
        await self._backend.ask(
            lambda db: db.command(
                "update",
                LOG_KEYS,
                updates=[{"q": {"_id": origin}, "u": {"$setOnInsert": first}, "upsert": True}],
                writeConcern={"w": "majority", "j": True},
            )
        )
        (kept,) = await self._backend.fetch(LOG_KEYS, "_id", [origin])
        known = Verifier.parse(kept["verifier_key"])
        return Trust(replace(policy, logs=(known,)), kept["seen_at"])
