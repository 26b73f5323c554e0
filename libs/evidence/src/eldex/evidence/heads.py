"""The heads of a log that a verification may rely on: checkpoints that satisfy the policy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

from eldex.evidence.encoding import base64_of
from eldex.evidence.errors import EvidenceError
from eldex.evidence.findings import Finding, Kind
from eldex.evidence.policy import Policy, Trusted
from eldex.evidence.receipts import Bundle


@dataclass
class Head:
    """A size and a root that the log has signed."""

    size: int
    root: bytes
    sources: list[str] = field(default_factory=list)
    witnesses: dict[str, int] = field(default_factory=dict)
    """Who co-signed it, and when first: seconds since 1970."""


class Heads:
    """Heads of one log, told by trusted checkpoints."""

    def __init__(self, origin: str, policy: Policy) -> None:
        self.findings: list[Finding] = []
        self.bundles: list[tuple[str, Bundle]] = []
        """Those that are sound by themselves."""
        self._origin, self._policy = origin, policy
        self._heads: dict[tuple[int, bytes], Head] = {}

    def add_checkpoints(self, checkpoints: Iterable[tuple[str, bytes]]) -> None:
        """Take what the policy trusts; the rest becomes findings."""
        for source, data in checkpoints:
            try:
                self._add(source, self._policy.check(data))
            except EvidenceError as error:
                self.findings.append(Finding(Kind.CHECKPOINT, str(error), source=source))

    def add_bundles(self, bundles: Iterable[tuple[str, Bundle]]) -> None:
        """Take the checkpoints of bundles that are sound by themselves; the rest becomes findings."""
        for source, bundle in bundles:
            try:
                self._add(source, bundle.verify(self._policy))
            except EvidenceError as error:
                self.findings.append(Finding(Kind.RECEIPT, str(error), bundle.index, source=source))
            else:
                self.bundles.append((source, bundle))

    def ascending(self) -> list[Head]:
        """The heads by size."""
        return sorted(self._heads.values(), key=lambda head: (head.size, head.root))

    def forks(self) -> list[Finding]:
        """Two roots that the log has signed for the same size."""
        ordered = self.ascending()
        return [
            Finding(
                Kind.FORK,
                f"two trees of {one.size} records are signed: root {base64_of(one.root)} in "
                f"{one.sources[0]}, root {base64_of(other.root)} in {other.sources[0]}",
                source=other.sources[0],
            )
            for one, other in pairwise(ordered)
            if one.size == other.size
        ]

    def _add(self, source: str, trusted: Trusted) -> None:
        checkpoint = trusted.checkpoint
        if checkpoint.origin != self._origin:
            message = f"it is of another log: {checkpoint.origin}"
            self.findings.append(Finding(Kind.UNPROVEN, message, source=source))
            return
        key = (checkpoint.size, checkpoint.root)
        head = self._heads.setdefault(key, Head(checkpoint.size, checkpoint.root))
        head.sources.append(source)
        for name, seconds in trusted.witnesses.items():
            head.witnesses[name] = min(seconds, head.witnesses.get(name, seconds))
