"""What a verification can find, and the report of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final


class Kind(StrEnum):
    """What is wrong, or could not be checked."""

    ALTERED = "altered"
    """A record is not the one that was logged at its index."""
    MISSING = "missing"
    """A record that was logged is not there."""
    INSERTED = "inserted"
    """A record is there that was not logged."""
    DOUBLED = "doubled"
    """A record is there a second time."""
    MOVED = "moved"
    """A record stands where another was logged."""
    MALFORMED = "malformed"
    """A record is not in its one spelling."""
    CLOCK = "clock"
    """A record's time is before that of the one in front, or after a witness had co-signed it."""
    FRAME = "frame"
    """The hash in front of a record is not that of the record, which is as it was logged."""
    HEADER = "header"
    """The first line of a segment is not what it must be."""
    SEAL = "seal"
    """A seal is not that of its segment."""
    HASHES = "hashes"
    """The file of hashes is not that of the records."""
    CHECKPOINT = "checkpoint"
    """A checkpoint is malformed, or its signatures do not satisfy the policy."""
    ROOT = "root"
    """The records do not give the root of a checkpoint; something in the range is not as logged."""
    FORK = "fork"
    """The log has signed two trees of which neither is a prefix of the other."""
    RECEIPT = "receipt"
    """A member's receipt or bundle contradicts the log."""
    ABSENT = "absent"
    """Not checked: a sealed segment was moved away; its root is known."""
    UNCOVERED = "uncovered"
    """Not checked: no checkpoint covers these records yet."""
    TORN = "torn"
    """Not checked: a half-written line at the end, as a crash leaves it; no checkpoint covers it."""
    UNPROVEN = "unproven"
    """Not checked: something that is needed for it was not given."""


UNCHECKED: Final = frozenset({Kind.ABSENT, Kind.UNCOVERED, Kind.TORN, Kind.UNPROVEN})
"""What is no evidence against the log, but leaves something open."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found."""

    kind: Kind
    message: str
    index: int | None = None
    """The record it is about, or the first one."""
    until: int | None = None
    """The record after the last one, if it is about several."""
    segment: str | None = None
    """The file in which the record is, or should be."""
    source: str | None = None
    """The file that told of it: a checkpoint, receipts, a bundle, a seal."""

    def __str__(self) -> str:
        where = [self.segment, self.source]
        if self.index is not None:
            many = self.until is not None and self.until > self.index + 1
            where.insert(0, f"records {self.index}-{(self.until or 0) - 1}" if many else None)
            where.insert(0, None if many else f"record {self.index}")
        place = ", ".join(part for part in where if part)
        return f"{self.kind.upper()} {place}: {self.message}" if place else str(self.message)


@dataclass
class Report:
    """What was verified, and what was found."""

    origin: str
    findings: list[Finding] = field(default_factory=list)
    """Each once."""
    segments: int = 0
    records: int = 0
    proven_records: int = 0
    """The size of the largest trusted checkpoint whose root could be made."""
    checkpoints: int = 0
    """Of how many trusted checkpoints it could be made."""
    receipts: int = 0
    """How many receipts and bundles are borne out by proven records."""
    seconds: float = 0.0
    _known: set[Finding] = field(default_factory=set, repr=False, compare=False)

    @property
    def wrong(self) -> list[Finding]:
        """The findings that are evidence against the log, or against what was given."""
        return [finding for finding in self.findings if finding.kind not in UNCHECKED]

    @property
    def exit_code(self) -> int:
        """0: all verified; 1: something is wrong; 3: nothing is wrong, and something left open."""
        if self.wrong:
            return 1
        return 3 if self.findings else 0

    @property
    def records_per_second(self) -> int:
        """How fast it went."""
        return round(self.records / self.seconds) if self.seconds else 0

    def add(self, findings: Iterable[Finding]) -> None:
        """Add findings that are not there yet."""
        for finding in findings:
            if finding not in self._known:
                self._known.add(finding)
                self.findings.append(finding)

    def as_json(self) -> dict[str, Any]:
        """The report as plain values."""
        whole = asdict(self)
        del whole["_known"]
        whole["verdict"] = {0: "verified", 1: "wrong", 3: "incomplete"}[self.exit_code]
        whole["records_per_second"] = self.records_per_second
        return whole
