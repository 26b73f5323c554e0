"""Sealing of identity numbers at rest: AES-SIV (RFC 5297), deterministic, so that they are found by.

Deterministic sealing shows which records hold the same number and nothing else; it is used for the
identity number only. Sealed bytes begin with the number of the key (1 byte), so that a new key can
come while old records still open with the old one.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

_KEY_BYTES = 64


class BadSealingKey(Exception):
    """The key file is missing or is not what it should be."""


class BrokenSeal(Exception):
    """Sealed bytes that were changed, or sealed with a key that is not here."""


class Sealer:
    """Seals and opens texts for one purpose (`context`), which an opened text is bound to."""

    def __init__(self, keys: dict[int, bytes], context: str) -> None:
        self._keys = {number: AESSIV(key) for number, key in keys.items()}
        self._newest = max(keys)
        self._context = [context.encode()]

    @classmethod
    def from_folder(cls, folder: Path, context: str) -> Sealer:
        """Read `sealing.key` (128 hex digits) and older keys `sealing.<n>.key`."""
        keys: dict[int, bytes] = {}
        for path in sorted(folder.glob("sealing*.key")):
            parts = path.name.split(".")
            number = int(parts[1]) if len(parts) == 3 else 255
            try:
                key = bytes.fromhex(path.read_text().strip())
            except ValueError:
                key = b""
            if len(key) != _KEY_BYTES:
                raise BadSealingKey(f"{path}: must hold {2 * _KEY_BYTES} hex digits")
            keys[number] = key
        if 255 not in keys:
            raise BadSealingKey(
                f"{folder}/sealing.key is missing: make it with `openssl rand -hex {_KEY_BYTES}`"
            )
        return cls(keys, context)

    def seal(self, text: str) -> bytes:
        """The sealed text; the same text always gives the same bytes."""
        sealed = self._keys[self._newest].encrypt(text.encode(), self._context)
        return bytes([self._newest]) + sealed

    def open(self, sealed: bytes) -> str:
        """The text; raises `BrokenSeal`."""
        cipher = self._keys.get(sealed[0]) if sealed else None
        if cipher is None:
            raise BrokenSeal("sealed with a key that is not in ELDEX_SECRETS_DIR")
        try:
            return cipher.decrypt(sealed[1:], self._context).decode()
        except InvalidTag:
            raise BrokenSeal("the sealed bytes were changed") from None
