"""Two records of one person: merged, and parted again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from eldex.registry.domain.merging import NotMerged, merge, part
from eldex.registry.domain.residents import Resident
from eldex.registry.handlers.ports import Stores
from eldex.registry.handlers.residents import doubts


@dataclass(frozen=True, slots=True)
class MergeResidents:
    """One record shall stand for the person of both."""

    resident_key: str
    survivor_key: str
    evidence: str
    etag: str
    survivor_etag: str


async def merge_residents(
    command: MergeResidents, stores: Stores, now: datetime
) -> tuple[Resident, Resident, list[str]]:
    """Merge a record into another; returns both, the merged one first, and what is doubtful now."""
    merged = await stores.residents.get(command.resident_key)
    survivor = await stores.residents.get(command.survivor_key)
    merged.expect(command.etag)
    survivor.expect(command.survivor_etag)
    merge(merged, survivor, command.evidence)
    return *_saved(merged, survivor, stores, now), await doubts(survivor, stores)


@dataclass(frozen=True, slots=True)
class ReverseMerge:
    """A merge was wrong."""

    resident_key: str
    evidence: str
    etag: str


async def reverse_merge(
    command: ReverseMerge, stores: Stores, now: datetime
) -> tuple[Resident, Resident]:
    """Part two records again; returns both, the restored one first.

    Merges are undone in the reverse of their order: while the survivor is merged into a third
    record itself, this raises `RecordMerged`.
    """
    restored = await stores.residents.get(command.resident_key)
    restored.expect(command.etag)
    if not restored.survivor_key:
        raise NotMerged(resident_key=restored.key)
    survivor = await stores.residents.get(restored.survivor_key)
    part(restored, survivor, command.evidence)
    return _saved(restored, survivor, stores, now)


def _saved(
    one: Resident, other: Resident, stores: Stores, now: datetime
) -> tuple[Resident, Resident]:
    for resident in (one, other):
        resident.updated_at = now
        stores.residents.save(resident)
    return one, other
