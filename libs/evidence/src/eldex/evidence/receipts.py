"""What a member gets and keeps: the receipt that comes with a reply, and the bundle it is redeemed for.

A receipt is one line of ASCII, fit for gRPC metadata:

    eldex-receipt/1 <origin> <index> <leaf hash, base64> <salt, base64>

It is the exchange's word; a member redeems it for a bundle soon, while the word is fresh. A bundle is
a C2SP tlog-proof whose extra data is the record: signed, complete, checked by anybody offline.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from eldex.evidence.checkpoint import Checkpoint
from eldex.evidence.encoding import (
    MalformedText,
    base64_of,
    check_origin,
    from_base64,
    from_decimal,
)
from eldex.evidence.errors import EvidenceError
from eldex.evidence.note import Note
from eldex.evidence.policy import Policy, Trusted
from eldex.evidence.records import SALT_BYTES, message_digest
from eldex.evidence.tree import HASH_BYTES, leaf_hash, verify_inclusion

_RECEIPT: Final = "eldex-receipt/1"
_BUNDLE: Final = "c2sp.org/tlog-proof@v1"
_MOST_PROOF: Final = 63


class MalformedReceipt(EvidenceError):
    """What is said to be a receipt is none."""


class MalformedBundle(EvidenceError):
    """What is said to be a bundle is none."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """That an exchange is in a log, at which place, and with which leaf."""

    origin: str
    index: int
    leaf_hash: bytes
    salt: bytes
    """With which the record's digests of request and reply were made; nobody else has it."""

    def __str__(self) -> str:
        leaf, salt = base64_of(self.leaf_hash), base64_of(self.salt)
        return f"{_RECEIPT} {self.origin} {self.index} {leaf} {salt}"

    @classmethod
    def parse(cls, text: str) -> Receipt:
        """Read a receipt. Raises `MalformedReceipt`."""
        try:
            form, origin, index, leaf, salt = text.split(" ")
            if form != _RECEIPT:
                raise MalformedReceipt(f"a receipt begins with {_RECEIPT}: {text[:120]!r}")
            return cls(
                check_origin(origin),
                from_decimal(index),
                from_base64(leaf, HASH_BYTES),
                from_base64(salt, SALT_BYTES),
            )
        except (MalformedText, ValueError) as error:
            raise MalformedReceipt(f"not a receipt ({error}): {text[:120]!r}") from error

    def shows(self, message: bytes, digest: bytes) -> bool:
        """Whether a message is the one whose digest stands in the record."""
        return message_digest(self.salt, message) == digest


class Provable(Protocol):
    """A log, as far as bundles are made from it; `log.Log` is one."""

    def record(self, index: int) -> bytes:
        """The record at an index."""

    def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        """The proof that it is among the first `size`."""


@dataclass(frozen=True)
class Bundle:
    """A record, the proof that it is in the tree of a checkpoint, and the signed checkpoint."""

    index: int
    record: bytes
    proof: tuple[bytes, ...]
    checkpoint: bytes
    """The signed note, as the log (and its witnesses) issued it."""

    @classmethod
    def of(cls, log: Provable, index: int, note: Note) -> Bundle:
        """The bundle of a record under a signed checkpoint of its log.

        Raises:
            ValueError: the checkpoint does not cover the record.
        """
        size = Checkpoint.parse(note.text).size
        proof = tuple(log.inclusion_proof(index, size))
        return cls(index, log.record(index), proof, note.encode())

    @property
    def leaf_hash(self) -> bytes:
        """The record's leaf hash."""
        return leaf_hash(self.record)

    def encode(self) -> bytes:
        """The bundle as a C2SP tlog-proof (`.tlog-proof`)."""
        head = (_BUNDLE, f"extra {base64_of(self.record)}", f"index {self.index}")
        lines = "\n".join([*head, *map(base64_of, self.proof), ""])
        return lines.encode() + b"\n" + self.checkpoint

    @classmethod
    def parse(cls, data: bytes) -> Bundle:
        """Read a bundle; nothing is verified yet. Raises `MalformedBundle`."""
        head, separator, checkpoint = data.partition(b"\n\n")
        try:
            form, extra, index, *proof = head.decode("ascii").split("\n")
            if (form, extra[:6], index[:6], separator) != (_BUNDLE, "extra ", "index ", b"\n\n"):
                raise MalformedBundle("a bundle is a C2SP tlog-proof with the record as extra data")
            if len(proof) > _MOST_PROOF:
                raise MalformedBundle(f"a proof has at most {_MOST_PROOF} hashes")
            hashes = tuple(from_base64(line, HASH_BYTES) for line in proof)
            return cls(from_decimal(index[6:]), from_base64(extra[6:]), hashes, checkpoint)
        except (MalformedText, ValueError) as error:
            raise MalformedBundle(f"not a bundle: {error}") from error

    def verify(self, policy: Policy) -> Trusted:
        """Check the bundle alone: the checkpoint is trusted, and the record is in its tree.

        Raises:
            MalformedNote: the checkpoint is none.
            UntrustedNote: its signatures do not satisfy the policy.
            InvalidProof: the record is not shown to be in its tree.
        """
        trusted = policy.check(self.checkpoint)
        head = trusted.checkpoint
        verify_inclusion(self.index, head.size, self.leaf_hash, self.proof, head.root)
        return trusted


def read_receipts(lines: Iterable[str]) -> list[Receipt]:
    """Read a file of receipts: one a line; empty lines and lines with `#` in front are left out.

    Raises:
        MalformedReceipt: a line is none; the message tells its number.
    """
    found = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text and not text.startswith("#"):
            try:
                found.append(Receipt.parse(text))
            except MalformedReceipt as error:
                raise MalformedReceipt(f"line {number}: {error}") from error
    return found
