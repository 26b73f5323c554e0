"""The agreements in force, at hand for every call; a change is known within a second."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from eldex.common.errors import DomainError, Unavailable
from eldex.common.logs import logger
from eldex.common.store import Index, UnitOfWork, from_document
from eldex.exchange.domain.agreements import Agreement
from eldex.exchange.handlers import Stores

HISTORY: Final = "agreements_history"
COLLECTIONS: Final = {HISTORY: [Index((("recorded_at", 1),))]}
_EVERY_SECONDS = 0.25
_MOST = 10_000
_OVERLAP = timedelta(seconds=60)
"""A version is looked for so long after its time: the clocks of replicas differ, commits take time."""


class AgreementTable:
    """A copy of the agreements: read whole at the start, then by the versions that come.

    Every change adds a version to the history, so that four times a second only what is new is asked
    for, however many agreements there are.
    """

    def __init__(self, work: UnitOfWork[Stores], *, trusted_seconds: float = 10.0) -> None:
        """The copy counts for so long after it was last read: then nobody knows what has ended."""
        self._work, self._trusted_seconds = work, trusted_seconds
        self._read_at = -math.inf
        self._by_key: dict[str, Agreement] = {}
        self._by_subsystem: dict[str, list[Agreement]] = {}
        self._since: datetime | None = None
        self.generation = 0
        """Grows with every change: what was worked out from the agreements before is worth nothing."""

    def require(self) -> None:
        """Raise `Unavailable` if the copy is too old to decide by: nothing passes unjudged."""
        if time.monotonic() - self._read_at > self._trusted_seconds:
            raise Unavailable("agreements")

    def all(self) -> Sequence[Agreement]:
        """Every agreement, in force or not."""
        return tuple(self._by_key.values())

    def of(self, subsystem: str) -> Sequence[Agreement]:
        """The agreements made with a subsystem, in key order."""
        return self._by_subsystem.get(subsystem, ())

    async def refresh(self) -> None:
        """Take in what has changed."""
        now, began = self._work.clock(), time.monotonic()
        if self._since is None:
            page = await self._work.read(lambda stores: stores.agreements.page({}, size=_MOST))
            self._take(page.items)
        else:
            found = await self._work.backend.query(
                HISTORY, {"recorded_at": {"$gte": self._since - _OVERLAP}}, [("_id", 1)]
            )
            self._take([from_document(Agreement, each["document"]) for each in found])
        self._since, self._read_at = now, began

    def _take(self, found: Sequence[Agreement]) -> None:
        fresh = [a for a in found if a.version > self._version(a.key)]
        if not fresh:
            return
        for agreement in fresh:
            if agreement.version > self._version(agreement.key):
                self._by_key[agreement.key] = agreement
        self._by_key = dict(sorted(self._by_key.items()))
        by_subsystem: dict[str, list[Agreement]] = {}
        for agreement in self._by_key.values():
            by_subsystem.setdefault(agreement.subsystem, []).append(agreement)
        self._by_subsystem = by_subsystem
        self.generation += 1

    def _version(self, key: str) -> int:
        known = self._by_key.get(key)
        return known.version if known else 0

    async def run(self) -> None:
        """Keep the copy fresh until cancelled."""
        while True:
            try:
                await self.refresh()
            except DomainError as error:
                # What is known holds for a moment longer: see `require`.
                logger().warning("agreements_not_refreshed", reason=error.reason)
            await asyncio.sleep(_EVERY_SECONDS)
