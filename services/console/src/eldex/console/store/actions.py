"""The console's own record in MongoDB: written once, never changed, never forgotten by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from eldex.common.mongo import MongoBackend
from eldex.common.store import Document, Index
from eldex.console.domain.people import Act, Action

ACTIONS: Final = "actions"

COLLECTIONS: Final[Mapping[str, Sequence[Index]]] = {
    ACTIONS: [
        Index((("user", 1), ("at", -1))),
    ]
}


class MongoActions:
    """`Actions` on MongoDB: there is a way to add, and none to change or remove."""

    def __init__(self, backend: MongoBackend) -> None:
        self._backend = backend

    async def append(self, action: Action) -> None:
        """Write one entry, by majority and journal."""
        document: Document = {
            "_id": action.key,
            "at": action.at,
            "user": action.user,
            "address": action.address,
            "act": action.act.value,
            "target": action.target,
            "outcome": action.outcome,
            "detail": action.detail,
        }

        # The plain command, because it answers a duplicate instead of raising: the key is new, so
        # that means that a try before this one had gone through.
        durable = {"w": "majority", "j": True}
        await self._backend.ask(
            lambda db: db.command("insert", ACTIONS, documents=[document], writeConcern=durable)
        )

    async def find(self, key: str) -> Action | None:
        """One entry."""
        found = await self._backend.fetch(ACTIONS, "_id", [key])
        return _action(found[0]) if found else None

    async def newest(self, before: str, limit: int) -> list[Action]:
        """Entries before a key, newest first; keys sort by time."""
        where = {"_id": {"$lt": before}} if before else {}
        found = await self._backend.query(ACTIONS, where, [("_id", -1)], limit)
        return [_action(document) for document in found]

    async def failures(self, since: datetime, user: str, address: str | None = None) -> int:
        """Failed sign-ins since an instant; those that were throttled do not count again."""
        who = {"user": user} | ({} if address is None else {"address": address})
        failed = {"at": {"$gte": since}, "act": Act.SIGN_IN.value, "outcome": "failed"}
        return await self._backend.count(ACTIONS, who | failed)


def _action(document: Document) -> Action:
    return Action(
        key=document["_id"],
        at=document["at"],
        user=document["user"],
        address=document["address"],
        act=Act(document["act"]),
        target=document["target"],
        outcome=document["outcome"],
        detail=document["detail"],
    )
