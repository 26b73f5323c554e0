"""Signed notes (C2SP signed-note v1.0.0): a text, and lines that sign it.

    <text, ending in a newline>
    <empty line>
    — <key name> <base64 of key id (4 bytes) and signature>

A key is told by its name and its id. Two suites are known: Ed25519 (0x01), with which a log signs,
and the timestamped cosignature/v1 (0x04, C2SP tlog-cosignature), with which a witness does. Another
suite, such as SM2 with SM3, is a class with the four members of `Suite` under the type 0xff and a
name of its own, passed in `suites`; nothing else changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from eldex.evidence.encoding import MalformedText, base64_of, from_base64
from eldex.evidence.errors import EvidenceError

_PREFIX: Final = "— "
_MOST_SIGNATURES: Final = 100
_MOST_BYTES: Final = 1_000_000
_KEY_ID_BYTES: Final = 4
_KEY_BYTES: Final = 32
_TIME_BYTES: Final = 8

Verify = Callable[[bytes, bytes], bool]
"""Whether a signature (second) is one of the text (first)."""
Sign = Callable[[bytes, int | None], bytes]
"""The signature of a text at an instant in seconds since 1970, if the suite signs the time."""


class MalformedNote(EvidenceError):
    """What is said to be a signed note is none."""


class MalformedKey(EvidenceError):
    """What is said to be a key is none, or not one of a known suite."""


class UntrustedNote(EvidenceError):
    """A signature of a known key is wrong, or no known key has signed."""


class Suite(Protocol):
    """A way of signing notes."""

    @property
    def identifier(self) -> bytes:
        """The signature type: one byte, or 0xff and a name (C2SP signed-note, "Signature types")."""

    @property
    def timestamped(self) -> bool:
        """Whether a signature begins with the time, as a witness's does and a log's does not."""

    def public(self, key: bytes) -> Verify:
        """What verifies with this public key. Raises `ValueError` if it is none."""

    def secret(self, key: bytes) -> tuple[bytes, Sign]:
        """The public key of this secret one, and what signs. Raises `ValueError` if it is none."""


class Ed25519:
    """Ed25519 over the text (C2SP signed-note, type 0x01; RFC 8032)."""

    identifier = b"\x01"
    timestamped = False

    def public(self, key: bytes) -> Verify:
        """What verifies with a public key of 32 bytes."""
        loaded = Ed25519PublicKey.from_public_bytes(key)

        def verify(text: bytes, signature: bytes) -> bool:
            try:
                loaded.verify(signature, text)
            except InvalidSignature:
                return False
            return True

        return verify

    def secret(self, key: bytes) -> tuple[bytes, Sign]:
        """The public key of a seed of 32 bytes, and what signs."""
        loaded = Ed25519PrivateKey.from_private_bytes(key)
        return loaded.public_key().public_bytes_raw(), lambda text, _at: loaded.sign(text)


class CosignatureV1(Ed25519):
    """Ed25519 over a header with the time, and the text (C2SP tlog-cosignature, type 0x04).

    A signature is the time in seconds since 1970 (8 bytes, big-endian) and 64 bytes of Ed25519.
    """

    identifier = b"\x04"
    timestamped = True

    def public(self, key: bytes) -> Verify:
        """What verifies with a public key of 32 bytes."""
        plain = super().public(key)

        def verify(text: bytes, signature: bytes) -> bool:
            at = int.from_bytes(signature[:_TIME_BYTES], "big")
            return at < 1 << 63 and plain(_cosigned(text, at), signature[_TIME_BYTES:])

        return verify

    def secret(self, key: bytes) -> tuple[bytes, Sign]:
        """The public key of a seed of 32 bytes, and what signs; it must be told the time."""
        public, plain = super().secret(key)

        def sign(text: bytes, at: int | None) -> bytes:
            if at is None or not 0 < at < 1 << 63:
                raise ValueError("a cosignature tells when it was made")
            return at.to_bytes(_TIME_BYTES, "big") + plain(_cosigned(text, at), None)

        return public, sign


ED25519: Final = Ed25519()
COSIGNATURE_V1: Final = CosignatureV1()
SUITES: Final[Sequence[Suite]] = (ED25519, COSIGNATURE_V1)


@dataclass(frozen=True)
class Signature:
    """A line that signs a note: whose key, and the bytes."""

    name: str
    key_id: bytes
    value: bytes

    def line(self) -> str:
        """The line as it stands in a note, with its newline."""
        return f"{_PREFIX}{self.name} {base64_of(self.key_id + self.value)}\n"

    @property
    def seconds(self) -> int:
        """When a timestamped one was made, in seconds since 1970; trust it once it is verified."""
        return int.from_bytes(self.value[:_TIME_BYTES], "big")


@dataclass(frozen=True)
class Verifier:
    """A public key: `<name>+<key id in hex>+<base64 of type and key>` (C2SP, "Verifier keys")."""

    name: str
    key_id: bytes
    suite: Suite = field(repr=False)
    public: bytes = field(repr=False)
    verify: Verify = field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: str, suites: Sequence[Suite] = SUITES) -> Verifier:
        """Read a verifier key ("vkey").

        Raises:
            MalformedKey: it is none, or its id is not the key's.
        """
        name, _, rest = text.partition("+")
        key_id, _, material = rest.partition("+")
        suite, key = _material(text, material, suites)
        verifier = cls.of(name, suite, key)
        if verifier.key_id.hex() != key_id:
            raise MalformedKey(f"the key id in {text[:120]!r} is not that of the key")
        return verifier

    @classmethod
    def of(cls, name: str, suite: Suite, public: bytes) -> Verifier:
        """A verifier of a suite with a public key."""
        _check_name(name)
        try:
            verify = suite.public(public)
        except ValueError as error:
            raise MalformedKey(f"the key of {name} is none of its suite: {error}") from error
        return cls(name, _key_id(name, suite, public), suite, public, verify)

    def __str__(self) -> str:
        material = base64_of(self.suite.identifier + self.public)
        return f"{self.name}+{self.key_id.hex()}+{material}"


@dataclass(frozen=True)
class Signer:
    """A secret key: `PRIVATE+KEY+<name>+<key id in hex>+<base64 of type and seed>` (Go sumdb/note)."""

    verifier: Verifier
    _sign: Sign = field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: str, suites: Sequence[Suite] = SUITES) -> Signer:
        """Read a signer key.

        Raises:
            MalformedKey: it is none; the message does not repeat it.
        """
        private, key, name, key_id, material = (*text.split("+", 4), "", "", "", "", "")[:5]
        if (private, key) != ("PRIVATE", "KEY"):
            raise MalformedKey("a signer key begins with PRIVATE+KEY+")
        suite, secret = _material(f"the signer key of {name}", material, suites)
        try:
            public, sign = suite.secret(secret)
        except ValueError as error:
            raise MalformedKey(f"the signer key of {name} is none of its suite") from error
        verifier = Verifier.of(name, suite, public)
        if verifier.key_id.hex() != key_id:
            raise MalformedKey(f"the key id in the signer key of {name} is not that of the key")
        return cls(verifier, sign)

    def sign(self, text: str, at: int | None = None) -> Signature:
        """Sign the text of a note; `at` (seconds since 1970) is for suites that sign the time."""
        value = self._sign(text.encode(), at)
        return Signature(self.verifier.name, self.verifier.key_id, value)


def signer_key(name: str, seed: bytes, suite: Suite = ED25519) -> str:
    """The text of a signer key; keep it secret. `seed`: `secrets.token_bytes(32)` for Ed25519."""
    public, _ = suite.secret(seed)
    verifier = Verifier.of(name, suite, public)
    return f"PRIVATE+KEY+{name}+{verifier.key_id.hex()}+{base64_of(suite.identifier + seed)}"


@dataclass(frozen=True)
class Note:
    """A text, ending in a newline, with the lines that sign it."""

    text: str
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, data: bytes) -> Note:
        """Read a signed note; nothing is verified yet.

        Raises:
            MalformedNote: it is none.
        """
        if len(data) > _MOST_BYTES:
            raise MalformedNote(f"a note of {len(data)} bytes is too long")
        try:
            whole = data.decode()
        except UnicodeDecodeError as error:
            raise MalformedNote("a note is UTF-8") from error
        if any(character < " " and character != "\n" for character in whole):
            raise MalformedNote("a note has no control characters but newlines")
        text, separator, lines = whole.rpartition("\n\n")
        if not separator or not lines.endswith("\n"):
            raise MalformedNote("a note is a text, an empty line and signatures, each a line")
        signatures = tuple(_signature(line) for line in lines[:-1].split("\n"))
        if len(signatures) > _MOST_SIGNATURES:
            raise MalformedNote(f"a note has at most {_MOST_SIGNATURES} signatures")
        return cls(text + "\n", signatures)

    def encode(self) -> bytes:
        """The note as bytes."""
        return (self.text + "\n" + "".join(s.line() for s in self.signatures)).encode()

    def signed(self, *signatures: Signature) -> Note:
        """The note with more signatures; a key's older one is replaced."""
        new = {(signature.name, signature.key_id) for signature in signatures}
        kept = tuple(s for s in self.signatures if (s.name, s.key_id) not in new)
        return Note(self.text, kept + signatures)

    def verified(self, verifiers: Iterable[Verifier]) -> dict[Verifier, Signature]:
        """The signatures of known keys, all of which are right; those of others are ignored.

        Raises:
            UntrustedNote: a known key's signature is wrong, or there is none.
        """
        known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
        found: dict[Verifier, Signature] = {}
        for signature in self.signatures:
            verifier = known.get((signature.name, signature.key_id))
            if verifier is None or verifier in found:
                continue
            if not verifier.verify(self.text.encode(), signature.value):
                key = f"{signature.name}+{signature.key_id.hex()}"
                raise UntrustedNote(f"the signature of {key} is wrong")
            found[verifier] = signature
        if not found:
            names = ", ".join(s.name for s in self.signatures)
            raise UntrustedNote(f"no known key has signed; signed by {names}")
        return found


def _signature(line: str) -> Signature:
    name, space, encoded = line.removeprefix(_PREFIX).partition(" ")
    if not line.startswith(_PREFIX) or not space or not _is_name(name):
        raise MalformedNote(f"not a signature line: {line[:120]!r}")
    try:
        data = from_base64(encoded)
    except MalformedText as error:
        raise MalformedNote(f"the signature of {name} is {error}") from error
    if len(data) <= _KEY_ID_BYTES:
        raise MalformedNote(f"the signature of {name} is too short")
    return Signature(name, data[:_KEY_ID_BYTES], data[_KEY_ID_BYTES:])


def _cosigned(text: bytes, at: int) -> bytes:
    return b"cosignature/v1\ntime %d\n%b" % (at, text)


def _key_id(name: str, suite: Suite, public: bytes) -> bytes:
    hashed = hashlib.sha256(name.encode() + b"\n" + suite.identifier + public)
    return hashed.digest()[:_KEY_ID_BYTES]


def _material(what: str, encoded: str, suites: Sequence[Suite]) -> tuple[Suite, bytes]:
    try:
        data = from_base64(encoded)
    except MalformedText as error:
        raise MalformedKey(f"{what[:120]!r} is not a key") from error
    for suite in suites:
        if data.startswith(suite.identifier):
            return suite, data[len(suite.identifier) :]
    raise MalformedKey(f"{what[:120]!r} is of a suite that is not known here")


def _is_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(c.isspace() for c in name)


def _check_name(name: str) -> None:
    if not _is_name(name):
        raise MalformedKey(f"a key's name is a word without plus: {name[:80]!r}")
