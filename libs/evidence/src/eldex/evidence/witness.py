"""A partner that co-signs another's checkpoints (C2SP tlog-witness), so that a fork is found.

A witness remembers, for each log, the largest checkpoint it has co-signed, and co-signs only what is
consistent with it. Two different trees of a log therefore never both bear its signature. This is the
`add-checkpoint` call without its transport; the classes of error carry the specification's HTTP code.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from eldex.evidence.checkpoint import Checkpoint
from eldex.evidence.errors import EvidenceError
from eldex.evidence.note import MalformedNote, Note, Signature, Signer, UntrustedNote, Verifier
from eldex.evidence.segments import replace_file
from eldex.evidence.tree import EMPTY_ROOT, InvalidProof, verify_consistency

_MOST_PROOF: Final = 63


class NotWitnessed(EvidenceError):
    """A checkpoint that the witness does not co-sign."""

    status = 400
    """The HTTP status of C2SP tlog-witness."""


class UnknownLog(NotWitnessed):
    """The witness does not watch this log."""

    status = 404


class NotOfTheLog(NotWitnessed):
    """No key of the log has signed, or its signature is wrong."""

    status = 403


class Stale(NotWitnessed):
    """The proof does not start where the witness stands; it tells where that is."""

    status = 409

    def __init__(self, size: int) -> None:
        super().__init__(f"the latest checkpoint that was co-signed has {size} records")
        self.size = size


class Inconsistent(NotWitnessed):
    """The checkpoint contradicts one that the witness has co-signed. Keep it: it may be a fork."""

    status = 422


class Witness:
    """A witness with its memory in a folder, one file a log."""

    def __init__(
        self, signer: Signer, logs: Mapping[str, Sequence[Verifier]], folder: Path
    ) -> None:
        """Make a witness.

        Args:
            signer: its cosignature/v1 key.
            logs: the keys it accepts for each origin.
            folder: where it remembers.
        """
        if not signer.verifier.suite.timestamped:
            raise ValueError("a witness signs with a cosignature/v1 key")
        self._signer, self._logs, self._folder = signer, logs, folder
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)

    def latest(self, origin: str) -> Note | None:
        """The largest checkpoint of a log that was co-signed, with both signatures."""
        path = self._path(origin)
        return Note.parse(path.read_bytes()) if path.exists() else None

    def add_checkpoint(
        self, old_size: int, proof: Sequence[bytes], data: bytes, now_seconds: int
    ) -> Signature:
        """Co-sign a checkpoint that is consistent with the latest one, and remember it first.

        Args:
            old_size: the size of the latest checkpoint that was co-signed, 0 without one.
            proof: the consistency proof from there; empty from 0.
            data: the signed checkpoint.
            now_seconds: the time, in seconds since 1970.

        Raises:
            NotWitnessed: it does not co-sign; the class tells why.
            OSError: it cannot remember, and so does not sign.
        """
        try:
            note = Note.parse(data)
            checkpoint = Checkpoint.parse(note.text)
        except MalformedNote as error:
            raise NotWitnessed(str(error)) from error
        self._check_signature(note, checkpoint)
        if not 0 <= old_size <= checkpoint.size or len(proof) > _MOST_PROOF:
            raise NotWitnessed("the old size is beyond the checkpoint, or the proof too long")
        with self._lock:  # compared and remembered as one, or a later request could roll it back
            latest = self.latest(checkpoint.origin)
            known = Checkpoint.parse(latest.text) if latest else None
            if old_size != (known.size if known else 0):
                raise Stale(known.size if known else 0)
            old_root = known.root if known else EMPTY_ROOT
            try:
                verify_consistency(old_size, checkpoint.size, old_root, checkpoint.root, proof)
            except InvalidProof as error:
                raise Inconsistent(str(error)) from error
            signature = self._signer.sign(note.text, now_seconds)
            replace_file(self._path(checkpoint.origin), note.signed(signature).encode())
        return signature

    def _check_signature(self, note: Note, checkpoint: Checkpoint) -> None:
        keys = self._logs.get(checkpoint.origin)
        if keys is None:
            raise UnknownLog(f"the log {checkpoint.origin[:80]} is not watched")
        try:
            note.verified(keys)
        except UntrustedNote as error:
            raise NotOfTheLog(str(error)) from error

    def _path(self, origin: str) -> Path:
        return self._folder / f"{hashlib.sha256(origin.encode()).hexdigest()}.checkpoint"
