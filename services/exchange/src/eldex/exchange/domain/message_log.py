"""The message log: what is kept of an exchange, and what the caller gets as proof."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One exchange, as the message log keeps it: digests, never bodies."""

    at: datetime
    subsystem: str
    method: str
    purpose: str
    agreement_key: str
    agreement_version: int
    legal_basis: str
    request_digest: bytes
    reply_digest: bytes
    code: str
    reason: str
    trace_id: str


@dataclass(frozen=True, slots=True)
class LoggedCall:
    """An entry of the message log, with its place in the chain."""

    index: int
    entry: LogEntry
    previous_hash: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the caller gets as proof: the entry's number and its hash."""

    index: int
    entry_hash: bytes

    def __str__(self) -> str:
        return f"{self.index}:{self.entry_hash.hex()}"
