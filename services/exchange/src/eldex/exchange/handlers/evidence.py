"""What the evidence is asked to do beside being written: to forget, and to be witnessed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from eldex.common.aggregate import Page
from eldex.evidence.note import Note, Verifier
from eldex.exchange.domain.message_log import (
    LoggedRecord,
    NotRequested,
    Segment,
    Shredding,
    check_over,
)
from eldex.exchange.domain.operators import Operator


class Shreddings(Protocol):
    """Where it is kept which months shall be forgotten."""

    async def find(self, key: str) -> Shredding | None:
        """The one of a month, or None."""
        ...

    async def page(
        self, where: Mapping[str, Any], *, size: int, after: str | None = None
    ) -> Page[Shredding]:
        """In the order of the months."""
        ...

    def save(self, aggregate: Shredding) -> None:
        """Stage for the commit."""
        ...


class ShreddingStores(Protocol):
    """The ports of these verbs, on one session."""

    @property
    def shreddings(self) -> Shreddings:
        """Which months shall be forgotten."""
        ...


class SubjectKeys(Protocol):
    """The keys with which the log tells whom its records are about, one a month."""

    def periods(self) -> list[str]:
        """The months whose key is there, oldest first."""
        ...

    def hash(self, period: str, subject: str) -> bytes:
        """How a month's records name a subject."""
        ...

    def destroy(self, period: str) -> None:
        """Destroy the key of a month, for good."""
        ...


class EvidenceLog(Protocol):
    """The message log, as far as it is asked."""

    origin: str

    @property
    def size(self) -> int:
        """How many records it has."""
        ...

    @property
    def note(self) -> Note:
        """The newest signed head."""
        ...

    @property
    def verifier(self) -> Verifier:
        """With which its heads are verified."""
        ...

    async def publish(self) -> Note:
        """The head as it is now, signed."""
        ...

    async def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        """The proof that a record is among the first `size`."""
        ...

    async def consistency_proof(self, old: int, new: int) -> list[bytes]:
        """The proof that nothing of the first `old` records changed since."""
        ...

    async def root(self, size: int) -> bytes:
        """The root over the first `size` records."""
        ...

    async def leaf_hash(self, index: int) -> bytes:
        """The leaf of a record."""
        ...

    async def record(self, index: int) -> LoggedRecord:
        """A record."""
        ...

    async def bundle(self, index: int, note: Note) -> bytes:
        """A record with its proof under a head."""
        ...

    async def search(
        self, where: dict[str, Any], *, size: int, before: int | None
    ) -> tuple[list[LoggedRecord], int | None]:
        """Records that match, newest first."""
        ...

    async def segments(self) -> list[Segment]:
        """The files of the log."""
        ...


class Partners(Protocol):
    """The witnessing between exchanges: we co-sign their heads, they ours."""

    @property
    def witnesses(self) -> Mapping[str, Verifier]:
        """Who may co-sign our heads, by name."""
        ...

    def add_checkpoint(
        self, old_size: int, proof: Sequence[bytes], checkpoint: bytes, now_seconds: int
    ) -> str:
        """Co-sign a partner's head; the line of the signature. Raises `NotWitnessable` and its kin."""
        ...

    def add_cosignature(self, checkpoint: bytes, root: bytes) -> Note:
        """Take over a partner's cosignature of a head of ours whose root is this; the newest such head."""
        ...

    def cosigned(self, witness: str = "") -> Note | None:
        """The newest head of ours that a partner, or this one, has co-signed."""
        ...

    def keep_contradiction(self, witness: str, checkpoint: bytes) -> None:
        """Keep a head of ours that contradicts what a partner has co-signed; the first of them stays."""
        ...


async def request_shredding(
    period: str, reason: str, operator: Operator, stores: ShreddingStores, now: datetime
) -> Shredding:
    """Ask that a past month be forgotten; asked again, the first request stands."""
    check_over(period, now)
    found = await stores.shreddings.find(period)
    if found is None:
        found = Shredding(
            key=period,
            reason=reason,
            requested_by=operator.account,
            requested_with=operator.seat,
            requested_at=now,
        )
        stores.shreddings.save(found)
    return found


async def approve_shredding(
    period: str, operator: Operator, stores: ShreddingStores, now: datetime
) -> Shredding:
    """Approve it as somebody else; who calls this destroys the key next."""
    found = await stores.shreddings.find(period)
    if found is None:
        raise NotRequested(period=period)
    found.approve(operator, now)
    stores.shreddings.save(found)
    return found
