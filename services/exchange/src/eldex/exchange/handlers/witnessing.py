"""Partner cities co-sign the heads of our log by themselves, so that a second history of it is found.

Each partner is asked at its own pace: one that is away is asked less and less often, and nobody waits
for it. One that refuses because our log contradicts what it has co-signed raises an alarm, again and
again until somebody has looked: an error in the log, a metric, and the head in question in a file.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from collections.abc import Sequence
from typing import Final, Protocol

from eldex.common import metrics
from eldex.common.clock import Clock
from eldex.common.errors import DomainError
from eldex.common.logs import logger
from eldex.evidence.checkpoint import Checkpoint
from eldex.evidence.note import Note
from eldex.exchange.domain.message_log import (
    CheckpointForked,
    CheckpointStale,
    LogWentBack,
    NotWitnessable,
)
from eldex.exchange.handlers.evidence import EvidenceLog, Partners

_LONGEST_PAUSE_SECONDS: Final = 30.0
"""A try costs one small call; who comes back shall not wait for long."""
_MOST_TRIES: Final = 3
"""In one round: a witness that stands elsewhere than was thought tells where."""


class Witnesses(Protocol):
    """The exchanges of partner cities, as far as they co-sign."""

    async def add_checkpoint(
        self, witness: str, old_size: int, proof: Sequence[bytes], checkpoint: bytes
    ) -> str:
        """Have a head co-signed; the line of the signature.

        Raises `CheckpointStale`, `CheckpointForked`, or another `DomainError` (away, refused).
        """
        ...


class Witnessing:
    """Has our heads co-signed, by every partner that says where it is asked."""

    def __init__(
        self,
        log: EvidenceLog,
        partners: Partners,
        witnesses: Witnesses,
        asked: Sequence[str],
        clock: Clock,
        interval_seconds: float,
    ) -> None:
        """`asked` are the names of those that are asked, every interval."""
        self._log, self._partners, self._witnesses = log, partners, witnesses
        self._asked, self._clock, self._interval = asked, clock, interval_seconds
        self._signed_at: dict[str, float] = {}

    async def run(self) -> None:
        """Ask until cancelled."""
        for name in self._asked:
            kept = await asyncio.to_thread(self._partners.cosigned, name)
            self._signed_at[name] = self._seconds(kept, name) if kept else -math.inf
            metrics.witness_age_seconds.labels(name).set_function(
                lambda name=name: self._clock().timestamp() - self._signed_at[name]  # type: ignore[misc]
            )
        forever = asyncio.Event().wait()  # with nobody to ask this goes on too
        await asyncio.gather(forever, *(self._keep_asking(name) for name in self._asked))

    async def _keep_asking(self, name: str) -> None:
        failures = 0
        while True:
            try:
                await self.ask(name)
            except CheckpointForked as error:
                failures += 1
                logger().error("own_log_contradicted", partner=name, problem=str(error))
            except (DomainError, OSError) as error:
                failures += 1
                reason = error.reason if isinstance(error, DomainError) else type(error).__name__
                logger().warning("not_co_signed", partner=name, reason=reason, tries=failures)
            else:
                failures = 0
            pause = self._interval * 2 ** min(failures, 16)
            longest = max(self._interval, _LONGEST_PAUSE_SECONDS)
            await asyncio.sleep(min(pause, longest) * random.uniform(0.8, 1.2))  # noqa: S311 - jitter

    async def ask(self, name: str) -> Note:
        """Have the newest head co-signed by one partner, and keep that.

        Also a head that it has signed before: its new signature tells that the log is still the same.
        Raises `CheckpointForked`, or what kept it from being signed.
        """
        try:
            note = await self._co_signed(name)
        except CheckpointForked:
            metrics.witness_contradicted.labels(name).set(1)
            await asyncio.to_thread(
                self._partners.keep_contradiction, name, self._log.note.encode()
            )
            raise
        metrics.witness_contradicted.labels(name).set(0)
        self._signed_at[name] = self._seconds(note, name)
        return note

    async def _co_signed(self, name: str) -> Note:
        kept = await asyncio.to_thread(self._partners.cosigned, name)
        known = Checkpoint.parse(kept.text) if kept else None
        if known is not None and (
            known.size > self._log.size or await self._log.root(known.size) != known.root
        ):
            with contextlib.suppress(DomainError):  # whatever it says, we know: it shall know too
                await self._try(name, min(known.size, self._log.size))
            raise LogWentBack(witness=name, size=known.size)
        note, line = await self._try(name, known.size if known else 0)
        root = await self._log.root(Checkpoint.parse(note.text).size)
        await asyncio.to_thread(self._partners.add_cosignature, note.encode() + line.encode(), root)
        signed = await asyncio.to_thread(self._partners.cosigned, name)
        if signed is None or signed.text != note.text:
            raise NotWitnessable(why=f"what {name} has sent is not its signature")
        return signed

    async def _try(self, name: str, old: int) -> tuple[Note, str]:
        """A head and what the partner has signed it with; nothing of that is believed yet."""
        for left in reversed(range(_MOST_TRIES)):
            note = await self._log.publish()
            size = Checkpoint.parse(note.text).size
            if size < old:
                raise LogWentBack(witness=name, size=old)
            proof = await self._log.consistency_proof(old, size) if 0 < old < size else []
            try:
                return note, await self._witnesses.add_checkpoint(name, old, proof, note.encode())
            except CheckpointStale as error:
                if not left:
                    raise
                old = int(str(error.facts["size"]))
        raise AssertionError  # the last try returns or raises

    def _seconds(self, note: Note, name: str) -> float:
        """When a partner has signed a head that was verified."""
        key = self._partners.witnesses[name]
        return max(
            s.seconds for s in note.signatures if (s.name, s.key_id) == (key.name, key.key_id)
        )
