"""Whom a record is about: a keyed hash, with a key for every period, so that it can be forgotten.

Within a period the same person has the same hash, so that the ledger of a person is found by it. Once
a period's key is destroyed nobody can tell whom its records were about, and every proof stays valid,
because the records do not change.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256 as _sha256
from pathlib import Path
from typing import Final

from eldex.evidence.errors import EvidenceError

_KEY_BYTES: Final = 32
_BLOCK_BYTES: Final = 64
"""Of SHA-256."""
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))
_PERIOD: Final = re.compile(r"[0-9]{4}-[0-9]{2}")


class NoSubjectKey(EvidenceError):
    """There is no key for the period: destroyed, or never made."""


def period_of(at: datetime) -> str:
    """The period of an instant: its month in UTC, such as `2026-11`."""
    return f"{at:%Y-%m}"


class SubjectKeys:
    """The keys in a folder, one file a period: `<period>.key`, 32 random bytes in hexadecimal.

    A destroyed key leaves `<period>.destroyed`, so that it is not made anew by accident. Backups of
    the folder must forget as it does: keep it out of those of the log.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._keys: dict[str, tuple[bytes, bytes]] = {}
        """The blocks that HMAC begins with (RFC 2104: key ⊕ ipad, key ⊕ opad), made once a key: two plain
        hashes then cost a third of OpenSSL's HMAC."""

    def hash(self, period: str, subject: str) -> bytes:
        """HMAC-SHA-256 of a subject's opaque key. Raises `NoSubjectKey`."""
        inner, outer = self._keys.get(period) or self._key(period)
        return _sha256(outer + _sha256(inner + subject.encode()).digest()).digest()

    def hashes(self, period: str, subjects: Iterable[str]) -> tuple[bytes, ...]:
        """The hashes of several, as a record has them: ascending, each once. Raises `NoSubjectKey`."""
        found = {self.hash(period, subject) for subject in subjects}
        return tuple(sorted(found)) if len(found) > 1 else tuple(found)

    def make(self, period: str) -> None:
        """Make the key of a period, unless it is there.

        Raises:
            NoSubjectKey: it was destroyed.
        """
        path = self._path(period)
        if path.exists():
            return
        if path.with_suffix(".destroyed").exists():
            raise NoSubjectKey(f"the key of {period} was destroyed")
        self._folder.mkdir(parents=True, exist_ok=True)
        # Whole or not there: a hash made with half a key would find nothing later.
        part = path.with_suffix(f".{secrets.token_hex(4)}.part")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(_KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(part, path)  # of two that make it at once, the second takes the first one's
        except FileExistsError:
            return
        finally:
            part.unlink()
            self._sync()

    def periods(self) -> list[str]:
        """The periods whose keys are there, oldest first."""
        return sorted(path.stem for path in self._folder.glob("*.key"))

    def destroy(self, period: str) -> None:
        """Destroy the key of a period, for good: nobody can tell any more whom its records are about.

        The file is overwritten before it is removed; on storage that keeps old blocks (a snapshot,
        a flash drive) that alone is not enough, see the readme.
        """
        path = self._path(period)
        path.with_suffix(".destroyed").touch(mode=0o600)
        self._keys.pop(period, None)
        if path.exists():
            with path.open("r+b") as file:
                file.write(os.urandom(path.stat().st_size))
                file.flush()
                os.fsync(file.fileno())
            path.unlink()
        self._sync()

    def _key(self, period: str) -> tuple[bytes, bytes]:
        try:
            key = bytes.fromhex(self._path(period).read_text())
        except (OSError, ValueError) as error:
            raise NoSubjectKey(f"no key of {period}") from error
        if len(key) != _KEY_BYTES:
            raise NoSubjectKey(f"the key of {period} does not have {_KEY_BYTES} bytes")
        block = key.ljust(_BLOCK_BYTES, b"\0")
        self._keys[period] = block.translate(_INNER), block.translate(_OUTER)
        return self._keys[period]

    def _path(self, period: str) -> Path:
        if not _PERIOD.fullmatch(period):
            raise NoSubjectKey(f"not a period: {period[:40]!r}")
        return self._folder / f"{period}.key"

    def _sync(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
