"""The exchange's evidence (存证): what is looked for in its message log, and one record proven here.

Nothing is taken on the exchange's word: the record shown is read from the bundle, its leaf is led up
to the root, the checkpoint's signatures are checked against keys that are kept here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, NamedTuple

from eldex.evidence.checkpoint import Checkpoint
from eldex.evidence.errors import EvidenceError
from eldex.evidence.note import Note
from eldex.evidence.policy import Policy
from eldex.evidence.receipts import Bundle
from eldex.evidence.records import Record
from eldex.evidence.tree import InvalidProof, node_hash, verify_inclusion

NOBODY: Final = "none"


@dataclass(frozen=True, slots=True)
class LogSearch:
    """What records are looked for; what is empty is not asked."""

    since: datetime | None = None
    until: datetime | None = None
    subsystem: str = ""
    method: str = ""
    agreement_key: str = ""
    code: str = ""
    trace_id: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class LogLine:
    """A record as one line of a list, on the exchange's word."""

    index: int
    answered_at: datetime
    kind: str
    subsystem: str
    method: str
    purpose: str
    agreement_key: str
    agreement_version: int
    code: str
    reason: str
    trace_id: str


class Check(NamedTuple):
    """One thing that was checked, and what is wrong; empty: it holds."""

    name: str
    """`record`, `inclusion`, `signature` or `witnesses`."""
    problem: str
    is_open: bool = False
    """Not wrong: nobody has co-signed yet."""


class Step(NamedTuple):
    """One step from the leaf up: the sibling, on which side it stands, and the node above both."""

    side: str
    sibling: str
    node: str


@dataclass(frozen=True, slots=True)
class Cosignature:
    """A partner that has co-signed the checkpoint."""

    name: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Proof:
    """A record with all that shows it to be in the log, and what came of checking it."""

    index: int
    checks: tuple[Check, ...]
    record: Record | None = None
    leaf: str = ""
    steps: tuple[Step, ...] = ()
    origin: str = ""
    log_size: int = 0
    root: str = ""
    cosignatures: tuple[Cosignature, ...] = ()

    @property
    def verified(self) -> bool:
        """Whether nothing is wrong; that a cosignature is still missing is not."""
        return all(not check.problem or check.is_open for check in self.checks)


def prove(index: int, data: bytes, policy: Policy) -> Proof:
    """Check the bundle of a record against the keys that are trusted; what is wrong is told, not raised."""
    try:
        bundle = Bundle.parse(data)
        head = Checkpoint.parse(Note.parse(bundle.checkpoint).text)
    except EvidenceError as error:
        return Proof(index, (Check("record", str(error)),))
    record: list[Record] = []

    def read() -> None:
        record.append(Record.parse(bundle.record))
        if bundle.index != index:
            raise InvalidProof(f"asked for record {index}, got the proof of {bundle.index}")

    def include() -> None:
        verify_inclusion(bundle.index, head.size, bundle.leaf_hash, bundle.proof, head.root)

    cosigned: list[Cosignature] = []

    def open_note() -> None:
        trusted = replace(policy, quorum=NOBODY).check(bundle.checkpoint)
        cosigned[:] = [
            Cosignature(name, datetime.fromtimestamp(seconds, UTC))
            for name, seconds in trusted.witnesses.items()
        ]

    checks = [
        Check("record", _problem(read)),
        Check("inclusion", _problem(include)),
        Check("signature", _problem(open_note)),
    ]
    if policy.quorum != NOBODY and not checks[-1].problem:
        missing = _problem(lambda: policy.check(bundle.checkpoint))
        checks.append(Check("witnesses", missing, is_open=bool(missing)))
    return Proof(
        index,
        tuple(checks),
        record[0] if record else None,
        bundle.leaf_hash.hex(),
        tuple(path(bundle.index, head.size, bundle.leaf_hash, bundle.proof)),
        head.origin,
        head.size,
        head.root.hex(),
        tuple(cosigned),
    )


def _problem(check: Callable[[], object]) -> str:
    try:
        check()
    except EvidenceError as error:
        return str(error)
    return ""


def path(index: int, size: int, leaf: bytes, proof: Sequence[bytes]) -> list[Step]:
    """The way from a leaf up to the root, for people (RFC 9162 §2.1.3.2); nothing is verified by it."""
    number, last, node = index, size - 1, leaf
    steps = []
    for sibling in proof:
        is_right = bool(number & 1) or number == last
        node = node_hash(sibling, node) if is_right else node_hash(node, sibling)
        steps.append(Step("left" if is_right else "right", sibling.hex(), node.hex()))
        if is_right:
            while number and not number & 1:
                number, last = number >> 1, last >> 1
        number, last = number >> 1, last >> 1
    return steps
