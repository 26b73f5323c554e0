"""How many rows an agreement has given out today, so that a restart does not begin the day anew.

A process reserves rows in the database in portions and gives them out from memory: what a restart
forgets was counted already, so that the limit can be reached a little early and never passed.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from datetime import date
from typing import Final

from eldex.common.errors import Unavailable
from eldex.common.store import Backend, ChangeSet, Document, Index, Lost, Taken, Write
from eldex.exchange.domain.decision import exceeded

VOLUMES: Final = "volumes"
COLLECTIONS: Final[dict[str, list[Index]]] = {VOLUMES: []}
_PORTIONS_PER_DAY: Final = 100
_ATTEMPTS: Final = 50


class MongoVolumes:
    """The counters of the agreements that have a limit."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._left: dict[str, int] = {}
        self._reserved: dict[str, int] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def require(self, agreement: str, on: date, limit: int) -> None:
        """Raise `VolumeExceeded` if it is known already that nothing is left today."""
        key = f"{agreement}/{on}"
        if self._reserved.get(key, 0) >= limit and not self._left.get(key, 0):
            raise exceeded(agreement, limit, is_day=True)

    async def take(self, agreement: str, on: date, rows: int, limit: int) -> None:
        """Count rows that are about to be given out; raises `VolumeExceeded`, then none are."""
        key = f"{agreement}/{on}"
        async with self._locks[key]:
            if self._left.get(key, 0) < rows:
                await self._reserve(key, agreement, rows - self._left.get(key, 0), limit)
            self._left[key] -= rows

    async def _reserve(self, key: str, agreement: str, rows: int, limit: int) -> None:
        for stale in [k for k in self._left if k[-10:] != key[-10:]]:
            self._left.pop(stale, None)
            self._reserved.pop(stale, None)
        for _ in range(_ATTEMPTS):
            found = await self._backend.fetch(VOLUMES, "_id", [key])
            present: Document = found[0] if found else {"_id": key, "version": 0, "rows": 0}
            self._reserved[key] = present["rows"]
            left = limit - present["rows"]
            if rows > left:
                raise exceeded(agreement, limit, is_day=True)
            portion = min(left, max(rows, limit // _PORTIONS_PER_DAY))
            after = {
                "_id": key,
                "version": present["version"] + 1,
                "rows": present["rows"] + portion,
            }
            write = Write(VOLUMES, after, replaces=present["version"] or None)
            (outcome,) = await self._backend.commit([ChangeSet([write])])
            if outcome is None:
                self._reserved[key] = after["rows"]
                self._left[key] = self._left.get(key, 0) + portion
                return
            assert isinstance(outcome, Lost | Taken)  # another replica was faster
        raise Unavailable("volumes")
