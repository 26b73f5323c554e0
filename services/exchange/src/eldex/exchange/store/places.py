"""Where residents live, kept beside the feed: written in the commit that numbers the events."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from eldex.api.registry.v1 import resident_events_pb2 as pb
from eldex.common.dates import optional_day
from eldex.common.identifiers import RegionCode
from eldex.common.store import Backend, ChangeSet, Document, Index, Write
from eldex.exchange.domain.places import Place, Stay
from eldex.exchange.store.feed import FEED

PLACES: Final = "places"
COLLECTIONS: Final[dict[str, list[Index]]] = {PLACES: []}
_KINDS: Final[dict[str, tuple[Any, str]]] = {
    pb.ResidentRegistered.DESCRIPTOR.full_name: (pb.ResidentRegistered, "resident_since"),
    pb.ResidentMoved.DESCRIPTOR.full_name: (pb.ResidentMoved, "moved_on"),
}
_EVER: Final = date(1900, 1, 1)
_AT_ONCE: Final = 1_000


class MongoPlaces:
    """Reads the projection, and says what must be written for it with a batch of events."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def start(self) -> None:
        """Make the projection from the feed if there is none yet."""
        if await self._backend.query(PLACES, {}, limit=1):
            return
        after = 0
        where = {"type": {"$in": sorted(_KINDS)}}
        while True:
            found = await self._backend.query(
                FEED, {**where, "_id": {"$gt": after}}, [("_id", 1)], _AT_ONCE
            )
            if not found:
                return
            await self._backend.commit([ChangeSet(await self.writes(found))])
            after = found[-1]["_id"]

    async def find(self, keys: Sequence[str]) -> dict[str, Place]:
        """Where these residents live; whom the registry has not told of is left out."""
        found = await self._backend.fetch(PLACES, "_id", list(keys))
        return {document["_id"]: _place(document) for document in found}

    async def writes(self, events: Sequence[Document]) -> list[Write]:
        """What the events change, to be committed with them."""
        told = [event for event in events if event["type"] in _KINDS]
        if not told:
            return []
        keys = list({event["subject"] for event in told})
        documents = {d["_id"]: d for d in await self._backend.fetch(PLACES, "_id", keys)}
        places = {key: _place(document) for key, document in documents.items()}
        for event in told:
            kind, day_field = _KINDS[event["type"]]
            message = kind.FromString(event["payload"])
            key = message.resident_key
            since = optional_day(getattr(message, day_field), day_field) or _EVER
            known = places.get(key, Place(key, ()))
            places[key] = known.moved(RegionCode.parse(message.region_code), since)
        return [
            Write(
                PLACES,
                _document(place, documents.get(key, {}).get("version", 0) + 1),
                documents[key]["version"] if key in documents else None,
            )
            for key, place in places.items()
        ]


def _place(document: Document) -> Place:
    stays = (
        Stay(date.fromisoformat(since), RegionCode.parse(code)) for since, code in document["stays"]
    )
    return Place(document["_id"], tuple(stays))


def _document(place: Place, version: int) -> Document:
    stays = [[stay.since.isoformat(), str(stay.region)] for stay in place.stays]
    return {"_id": place.resident_key, "version": version, "stays": stays}
