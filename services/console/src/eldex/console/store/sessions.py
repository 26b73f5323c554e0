"""The sessions that are open: what is not among them, no cookie opens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from eldex.common.mongo import MongoBackend
from eldex.common.store import Document, Index

SESSIONS: Final = "sessions"
_DURABLE: Final = {"w": "majority", "j": True}

COLLECTIONS: Final[Mapping[str, Sequence[Index]]] = {
    SESSIONS: [Index((("expires_at", 1),), expire_after_seconds=0)]
}


class MongoOpenSessions:
    """`OpenSessions` on MongoDB, which several instances of the console share."""

    def __init__(self, backend: MongoBackend) -> None:
        self._backend = backend

    async def begin(self, key: str, user: str, expires_at: datetime) -> None:
        """Have one more; forgotten by itself when it expires."""
        session: Document = {"_id": key, "user": user, "expires_at": expires_at}
        await self._backend.ask(
            lambda db: db.command("insert", SESSIONS, documents=[session], writeConcern=_DURABLE)
        )

    async def holds(self, key: str) -> bool:
        """Whether it is open."""
        return bool(await self._backend.fetch(SESSIONS, "_id", [key]))

    async def end(self, key: str) -> None:
        """Have it no more, for every instance, when this returns."""
        gone: Document = {"q": {"_id": key}, "limit": 1}
        await self._backend.ask(
            lambda db: db.command("delete", SESSIONS, deletes=[gone], writeConcern=_DURABLE)
        )
