"""An exchange that never was, with its log, its witnesses and its members, for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from eldex.evidence import hashes
from eldex.evidence.checkpoint import Checkpoint
from eldex.evidence.log import Log
from eldex.evidence.note import COSIGNATURE_V1, ED25519, Note, Signer, Suite, signer_key
from eldex.evidence.receipts import Receipt
from eldex.evidence.records import SALT_BYTES, Record, message_digest
from eldex.evidence.segments import SEAL, SEGMENT, Header, Seal, file_name, frame
from eldex.evidence.tree import CompactRange, leaf_hash

ORIGIN: Final = "exchange.a-city.example/log"
BEGAN: Final = datetime(2026, 11, 22, 1, 2, 3, 456789, UTC)
_MEMBERS: Final = ("member/civil-affairs/pension", "member/b-city/settlement")


def key(name: str, suite: Suite = ED25519) -> Signer:
    """The signer of a name; always the same."""
    return Signer.parse(signer_key(name, hashlib.sha256(name.encode()).digest(), suite))


def salt(number: int) -> bytes:
    """The salt of an exchange; always the same."""
    return hashlib.sha256(b"salt %d" % number).digest()[:SALT_BYTES]


def record(number: int, at: datetime | None = None, **fields: object) -> Record:
    """The record of an exchange: one every 40 ms, unless `at` says otherwise."""
    made = Record(
        answered_at=at or BEGAN + timedelta(milliseconds=40 * number),
        subsystem=_MEMBERS[number % 2],
        method="/eldex.api.registry.v1.RegistryService/GetResident",
        purpose="pension-eligibility",
        legal_basis="国务院令第809号第二十条",
        agreement_key="civil-registry-2026",
        agreement_version=3,
        subject_period="2026-11",
        subject_hashes=(hashlib.sha256(b"resident %d" % (number % 7)).digest(),),
        request_digest=message_digest(salt(number), b"request %d" % number),
        reply_digest=message_digest(salt(number), b"reply %d" % number),
        code="OK",
        reason="",
        trace_id=hashlib.sha256(b"trace %d" % number).hexdigest()[:32],
    )
    return made._replace(**fields)  # type: ignore[arg-type]


def files_of(records: Sequence[bytes], height: int, origin: str = ORIGIN) -> dict[str, bytes]:
    """The files of a log of these records, by name, written by another hand than `log.Log`."""
    files: dict[str, bytes] = {}
    tree, nodes = CompactRange(), list[bytes]()
    capacity = 1 << height
    for first in range(0, len(records), capacity):
        part = records[first : first + capacity]
        leaves = [leaf_hash(data) for data in part]
        lines = [frame(leaf, data) for leaf, data in zip(leaves, part, strict=True)]
        header = Header(origin, first, height)
        files[file_name(first, SEGMENT)] = header.encode() + b"".join(lines)
        nodes += tree.extend(leaves)
        if first + capacity < len(records):
            subtree = CompactRange()
            subtree.extend(leaves)
            seal = Seal(origin, first, height, subtree.root())
            files[file_name(first, SEAL)] = seal.encode()
    files[hashes.NAME] = b"".join(nodes)
    return files


def head_of(records: Sequence[bytes], size: int | None = None, origin: str = ORIGIN) -> Checkpoint:
    """The head of a log of these records, or of the first `size` of them."""
    tree = CompactRange()
    tree.extend(leaf_hash(data) for data in records[:size])
    return Checkpoint(origin, tree.size, tree.root())


class Exchange:
    """An exchange that answers calls in batches; two partner cities co-sign its checkpoints."""

    def __init__(self, folder: Path, *, height: int = 4) -> None:
        self.folder, self.height = folder, height
        self.log = Log.open(folder, ORIGIN, height=height)
        self.signer = key(ORIGIN)
        self.witnesses = {
            name: key(f"exchange.{name}.example/witness", COSIGNATURE_V1)
            for name in ("b-city", "c-city")
        }
        self.records: list[bytes] = []
        self.receipts: list[Receipt] = []
        self.notes: list[Note] = []
        """The checkpoints, one a batch, co-signed."""

    @property
    def policy(self) -> str:
        """What an auditor trusts: the log's key, and both witnesses together."""
        lines = [f"log {self.signer.verifier}"]
        lines += [f"witness {name} {signer.verifier}" for name, signer in self.witnesses.items()]
        return "\n".join([*lines, "group partners all b-city c-city", "quorum partners", ""])

    def answer(self, *batches: int) -> None:
        """Answer batches of so many calls: records, a checkpoint, receipts."""
        for count in batches:
            first = len(self.records)
            records = [record(number).encode() for number in range(first, first + count)]
            appended = self.log.append(records)
            self.records += records
            self.receipts += [
                Receipt(ORIGIN, appended.first + n, leaf, salt(first + n))
                for n, leaf in enumerate(appended.leaf_hashes)
            ]
            note = self.sign(self.log.checkpoint())
            self.log.publish(note)
            self.notes.append(note)

    def sign(self, head: Checkpoint, *witnesses: str) -> Note:
        """A head, signed by the log and by witnesses (both, if none is named)."""
        note = head.sign(self.signer)
        at = int(BEGAN.timestamp()) + head.size // 25 + 1
        for name in witnesses or self.witnesses:
            note = note.signed(self.witnesses[name].sign(note.text, at))
        return note
