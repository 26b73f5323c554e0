"""The witnessing between exchanges, on files: what we co-signed of others, what others co-signed of ours."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from eldex.common import metrics
from eldex.common.errors import CannotStart
from eldex.evidence.checkpoint import Checkpoint
from eldex.evidence.errors import EvidenceError
from eldex.evidence.note import Note, Signature, Signer, Verifier
from eldex.evidence.policy import Policy
from eldex.evidence.segments import replace_file
from eldex.evidence.witness import Inconsistent, NotWitnessed, Stale, Witness
from eldex.exchange.domain.message_log import CheckpointForked, CheckpointStale, NotWitnessable

_COSIGNED: Final = "cosigned.checkpoint"
_BY_ONE: Final = "by-{}.checkpoint"
_CONTRADICTS: Final = "contradicts-{}.checkpoint"


def read_partners(path: Path | None) -> Policy | None:
    """The partners' keys from a file (C2SP tlog-policy): `log` whom we witness, `witness` who does us."""
    if path is None:
        return None
    try:
        return Policy.read(path)
    except (OSError, EvidenceError) as error:
        raise CannotStart(f"ELDEX_PARTNERS_FILE: {error}") from error


class FilePartners:
    """`Partners` with its memory in a folder."""

    def __init__(
        self, folder: Path, own: Verifier, signer: Signer, partners: Policy | None
    ) -> None:
        """Begin.

        Args:
            folder: where it remembers; to be kept like the log itself.
            own: the key of our own log.
            signer: our cosignature/v1 key.
            partners: whom we know; None: nobody yet.
        """
        logs: dict[str, list[Verifier]] = {}
        for verifier in partners.logs if partners else ():
            logs.setdefault(verifier.name, []).append(verifier)
        folder.mkdir(parents=True, exist_ok=True)
        self._witness = Witness(signer, logs, folder)
        self._own = own
        self.witnesses = dict(partners.witnesses) if partners else {}
        """Who may co-sign our heads, by the name in the policy."""
        self._folder, self._path = folder, folder / _COSIGNED
        self._lock = threading.Lock()

    def add_checkpoint(
        self, old_size: int, proof: Sequence[bytes], checkpoint: bytes, now_seconds: int
    ) -> str:
        """Co-sign a partner's head, and remember it first. Raises `NotWitnessable` and its kin."""
        try:
            return self._witness.add_checkpoint(old_size, proof, checkpoint, now_seconds).line()
        except Stale as error:
            raise CheckpointStale(size=error.size) from error
        except Inconsistent as error:
            origin = Checkpoint.parse(Note.parse(checkpoint).text).origin
            metrics.checkpoints_forked.labels(origin).inc()
            self.keep_contradiction(origin, checkpoint)
            raise CheckpointForked from error
        except NotWitnessed as error:
            raise NotWitnessable(why=str(error)) from error

    def add_cosignature(self, checkpoint: bytes, root: bytes) -> Note:
        """Take over a partner's cosignature of a head of ours whose root is this; the newest such head."""
        try:
            note = Note.parse(checkpoint)
            head = Checkpoint.parse(note.text)
            found = note.verified([self._own, *self.witnesses.values()])
        except EvidenceError as error:
            raise NotWitnessable(why=str(error)) from error
        ours = {signature for verifier, signature in found.items() if verifier == self._own}
        if (head.origin, head.root) != (self._own.name, root) or not ours:
            raise NotWitnessable(why="it is not a head that this log has signed")
        known = [signature for signature in found.values() if signature not in ours]
        if not known:
            raise NotWitnessable(why="no witness that is known here has co-signed it")
        with self._lock:
            self._keep_each(note.text, next(iter(ours)), found)
            newest = self.cosigned()
            size = Checkpoint.parse(newest.text).size if newest else -1
            if newest is not None and size > head.size:
                return newest
            before = newest if newest is not None and size == head.size else Note(note.text, ())
            newest = before.signed(*ours, *known)
            replace_file(self._path, newest.encode())
            return newest

    def _keep_each(self, text: str, ours: Signature, found: Mapping[Verifier, Signature]) -> None:
        """Of every witness its newest cosignature: of a head as large as before, the later one."""
        for name, verifier in self.witnesses.items():
            if verifier not in found:
                continue
            before = self.cosigned(name)
            if (
                before is not None
                and Checkpoint.parse(before.text).size > Checkpoint.parse(text).size
            ):
                continue
            kept = Note(text, (ours, found[verifier]))
            replace_file(self._folder / _BY_ONE.format(_word(name)), kept.encode())

    def cosigned(self, witness: str = "") -> Note | None:
        """The newest head of ours that a partner, or this one, has co-signed."""
        path = self._folder / _BY_ONE.format(_word(witness)) if witness else self._path
        return Note.parse(path.read_bytes()) if path.exists() else None

    def keep_contradiction(self, witness: str, checkpoint: bytes) -> None:
        """Keep a head that contradicts what was co-signed: ours to a witness, or a log's to us."""
        path = self._folder / _CONTRADICTS.format(_word(witness))
        if not path.exists():
            replace_file(path, checkpoint)


def _word(name: str) -> str:
    """A name as part of a file's name."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]
