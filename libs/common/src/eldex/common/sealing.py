"""Sealing of identity numbers at rest: AES-SIV (RFC 5297), deterministic, so that they are found by.

Deterministic sealing shows which records hold the same number and nothing else; it is used for the
identity number only. Sealed bytes begin with the number of the key (1 byte), so that a new key can
come while old records still open with the old one: rename `sealing.key` to `sealing.<n>.key` and put
the new one in its place.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from eldex.common.errors import CannotStart

_KEY_BYTES = 64
_CURRENT = 255
"""The number of `sealing.key`, whichever key that is."""


class BadSealingKey(CannotStart):
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
            number = _number(path)
            try:
                key = bytes.fromhex(path.read_text().strip())
            except ValueError:
                key = b""
            if len(key) != _KEY_BYTES:
                raise BadSealingKey(f"{path}: must hold {2 * _KEY_BYTES} hex digits")
            keys[number] = key
        if _CURRENT not in keys:
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
        if not sealed or sealed[0] not in self._keys:
            raise BrokenSeal("sealed with a key that is not in ELDEX_SECRETS_DIR")
        # What was `sealing.key` when this was sealed may have got a number since.
        number = sealed[0]
        tried = sorted(self._keys, reverse=True) if number == _CURRENT else [number]
        for each in tried:
            try:
                return self._keys[each].decrypt(sealed[1:], self._context).decode()
            except (InvalidTag, ValueError):
                continue
        raise BrokenSeal("the sealed bytes were changed, or their key is not in ELDEX_SECRETS_DIR")


def _number(path: Path) -> int:
    """The key's number in the name of its file."""
    if path.name == "sealing.key":
        return _CURRENT
    number = path.name.removeprefix("sealing.").removesuffix(".key")
    if not (number.isascii() and number.isdigit() and int(number) < _CURRENT):
        raise BadSealingKey(f"{path}: an older key is named sealing.<0 to {_CURRENT - 1}>.key")
    return int(number)
