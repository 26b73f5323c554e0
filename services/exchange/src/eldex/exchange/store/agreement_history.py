"""Every version of every agreement, as the repository keeps them beside the present one."""

from __future__ import annotations

from datetime import datetime

from eldex.common.errors import NotFound
from eldex.common.store import Backend, Document, from_document
from eldex.exchange.domain.agreements import Agreement
from eldex.exchange.handlers.access import AgreementVersion
from eldex.exchange.store.collections import MongoAgreements


class MongoAgreementHistory:
    """Reads versions of the past."""

    def __init__(self, backend: Backend) -> None:
        self._backend, self._collection = backend, MongoAgreements.past()

    async def version(self, key: str, number: int) -> AgreementVersion:
        """One version; raises `NotFound`."""
        found = await self._backend.fetch(self._collection, "_id", [f"{key}@{number:09d}"])
        if not found:
            raise NotFound("Agreement", f"{key}@{number}")
        return _version(found[0])

    async def versions(
        self, key: str, *, size: int, before: int | None
    ) -> tuple[list[AgreementVersion], int | None]:
        """Versions, newest first, and before which the next page begins; raises `NotFound`."""
        end = f"{key}@{before:09d}" if before is not None else f"{key}A"
        where = {"_id": {"$gt": f"{key}@", "$lt": end}}
        found = await self._backend.query(self._collection, where, [("_id", -1)], size + 1)
        if not found and before is None:
            raise NotFound("Agreement", key)
        versions = [_version(document) for document in found[:size]]
        return versions, versions[-1].agreement.version if len(found) > size else None

    async def at(self, key: str, instant: datetime) -> AgreementVersion | None:
        """The version that was in force at an instant; None before the first."""
        where = {"_id": {"$gt": f"{key}@", "$lt": f"{key}A"}, "recorded_at": {"$lte": instant}}
        found = await self._backend.query(self._collection, where, [("_id", -1)], 1)
        return _version(found[0]) if found else None


def _version(document: Document) -> AgreementVersion:
    return AgreementVersion(from_document(Agreement, document["document"]), document["recorded_at"])
