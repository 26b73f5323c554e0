"""Sealing of identity numbers at rest: AES-SIV (RFC 5297), deterministic, so that they are found by.

Deterministic sealing shows which records hold the same number and nothing else; it is used for identity
numbers, and for digests of requests that may hold one (`store.work`). When a new key comes, the old one is renamed from `sealing.key` to
`sealing.<n>.key`: what it sealed still opens, and is found by all the seals that a number may have
(`docs/runbook.md`). Sealed bytes begin with one byte, the same for every key: which one `sealing.key`
was when they were sealed, nobody knows any more.
"""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from eldex.common.errors import CannotStart

_KEY_BYTES = 64
_CURRENT = 255
"""The number of `sealing.key`, whichever key that is; what is sealed begins with it."""


class BadSealingKey(CannotStart):
    """The key file is missing or is not what it should be."""


class BrokenSeal(Exception):
    """Sealed bytes that were changed, or sealed with a key that is not here."""


class Sealer:
    """Seals and opens texts for one purpose (`context`), which an opened text is bound to."""

    def __init__(self, keys: dict[int, bytes], context: str) -> None:
        """`keys` by number; the highest seals."""
        self._keys = [AESSIV(keys[number]) for number in sorted(keys, reverse=True)]
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
        """The sealed text; the same text always gives the same bytes, until a new key comes."""
        return self._by(self._keys[0], text)

    def seals(self, text: str) -> list[bytes]:
        """All that the text may have been sealed as, by the newest key first."""
        return [self._by(key, text) for key in self._keys]

    def _by(self, key: AESSIV, text: str) -> bytes:
        return bytes([_CURRENT]) + key.encrypt(text.encode(), self._context)

    def open(self, sealed: bytes) -> str:
        """The text; raises `BrokenSeal`."""
        if sealed[:1] == bytes([_CURRENT]):
            for key in self._keys:
                try:
                    return key.decrypt(sealed[1:], self._context).decode()
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
