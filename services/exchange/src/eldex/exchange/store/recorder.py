"""From what the log is told of an exchange to the record that is written of it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from eldex.common.clock import Clock
from eldex.common.logs import logger
from eldex.evidence.errors import EvidenceError
from eldex.evidence.records import (
    DIGEST_BYTES,
    SALT_BYTES,
    Record,
    Spelling,
    SteadyClock,
    message_digest,
)
from eldex.evidence.subjects import SubjectKeys, period_of
from eldex.exchange.domain.message_log import BEYOND, MOST_SUBJECTS, LogEntry

_MOST_TEXT: Final = 300
_TRACE: Final = re.compile("[0-9a-f]{32}")
_UNTELLABLE: Final = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_NO_REPLY: Final = b""
_AT_CHARACTERS: Final = len("2026-11-25T08:30:00.000000")
_MOST_SPELLINGS: Final = 4_096
_Common = tuple[str, str, str, str, int, str, str, str, str]
"""Of an entry, what it has in common with others."""


class Recorder:
    """Makes the records of one log: in the order in which they are written, one batch at a time."""

    def __init__(self, subjects: SubjectKeys, clock: Clock) -> None:
        self._subjects, self._system_clock = subjects, clock
        self._clock = SteadyClock(clock)
        self._period = ""
        self._spellings: dict[_Common, Spelling] = {}

    def go_on_from(self, last: datetime | None) -> None:
        """Times will not be before the log's last one."""
        self._clock = SteadyClock(self._system_clock, last)

    def tell(self, entries: Sequence[LogEntry]) -> tuple[list[bytes], list[bytes | None]]:
        """The lines of a batch, and of each entry the salt; None for one that cannot be told.

        A salt goes to the caller with the receipt and is kept nowhere.

        Raises:
            NoSubjectKey: whom the records are about cannot be hashed.
            OSError: the key of a new month could not be written.
        """
        now = self._clock().astimezone(UTC)  # one time for all that is written at once
        if (period := period_of(now)) != self._period:
            self._subjects.make(period)
            self._period = period
        at = now.isoformat(timespec="microseconds")[:_AT_CHARACTERS].encode()
        salts = secrets.token_bytes(SALT_BYTES * len(entries))
        lines: list[bytes] = []
        told: list[bytes | None] = []
        for start, entry in zip(range(0, len(salts), SALT_BYTES), entries, strict=True):
            salt = salts[start : start + SALT_BYTES]
            try:
                lines.append(self._line(entry, salt, at))
                told.append(salt)
            except EvidenceError as error:  # one that cannot be told shall not stop its neighbours
                logger().error("entry_not_told", method=entry.method[:200], problem=str(error))
                told.append(None)
        return lines, told

    def _line(self, entry: LogEntry, salt: bytes, at: bytes) -> bytes:
        subjects, reason, reply, trace = entry.subjects, entry.reason, entry.reply, entry.trace_id
        if len(subjects) > MOST_SUBJECTS:
            reason = reason or f"{BEYOND}:{len(subjects) - MOST_SUBJECTS}"
            subjects = subjects[:MOST_SUBJECTS]
        hashes = self._subjects.hashes(self._period, subjects) if subjects else ()
        common = (*entry[:6], entry.code, reason, entry.kind)
        spelling = self._spellings.get(common) or self._spell(common)
        return spelling.line(
            at,
            message_digest(salt, entry.request),
            _NO_REPLY if reply is None else message_digest(salt, reply),
            hashes,
            self._period.encode() if hashes else b"",
            trace if _TRACE.fullmatch(trace) else "",
        )

    def _spell(self, common: _Common) -> Spelling:
        """What such records have in common; kept, for as many as come in an hour."""
        subsystem, method, purpose, agreement, version, basis, code, reason, kind = common
        made = Spelling(
            Record(
                answered_at=datetime.fromtimestamp(0, UTC),
                subsystem=_told(subsystem),
                method=_told(method),
                purpose=_told(purpose),
                legal_basis=_told(basis),
                agreement_key=_told(agreement),
                agreement_version=version,
                subject_period="",
                subject_hashes=(),
                request_digest=bytes(DIGEST_BYTES),
                reply_digest=_NO_REPLY,
                code=code,
                reason=_told(reason),
                trace_id="",
                kind=kind,
            )
        )
        if len(self._spellings) >= _MOST_SPELLINGS:  # texts of callers are among them
            self._spellings.clear()
        self._spellings[common] = made
        return made


def _told(text: str) -> str:
    """A text as a record can tell it: printable, not endless."""
    if len(text) > _MOST_TEXT:
        text = text[:_MOST_TEXT]
    return text if text.isprintable() else _UNTELLABLE.sub("\ufffd", text)
