"""From what the log is told of an exchange to the record that is written of it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from eldex.common.clock import Clock
from eldex.common.logs import logger
from eldex.evidence.errors import EvidenceError
from eldex.evidence.records import SALT_BYTES, Record, SteadyClock, message_digest
from eldex.evidence.subjects import SubjectKeys, period_of
from eldex.exchange.domain.message_log import BEYOND, MOST_SUBJECTS, LogEntry

_MOST_TEXT: Final = 300
_TRACE: Final = re.compile("[0-9a-f]{32}")
_UNTELLABLE: Final = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_NO_REPLY: Final = b""


class Place(NamedTuple):
    """Where a record stands in its batch, and its salt, which goes to the caller and is kept nowhere."""

    number: int
    salt: bytes


class Recorder:
    """Makes the records of one log: in the order in which they are written, one batch at a time."""

    def __init__(self, subjects: SubjectKeys, clock: Clock) -> None:
        self._subjects, self._system_clock = subjects, clock
        self._clock = SteadyClock(clock)
        self._period = ""

    def go_on_from(self, last: datetime | None) -> None:
        """Times will not be before the log's last one."""
        self._clock = SteadyClock(self._system_clock, last)

    def tell(self, entries: Sequence[LogEntry]) -> tuple[list[bytes], list[Place | None]]:
        """The lines of a batch, and for each entry its place; None for one that cannot be told.

        Raises:
            NoSubjectKey: whom the records are about cannot be hashed.
            OSError: the key of a new month could not be written.
        """
        period = period_of(self._clock())
        if period != self._period:
            self._subjects.make(period)
            self._period = period
        salts = secrets.token_bytes(SALT_BYTES * len(entries))
        lines: list[bytes] = []
        places: list[Place | None] = []
        for number, entry in enumerate(entries):
            salt = salts[number * SALT_BYTES : (number + 1) * SALT_BYTES]
            try:
                line = self._record(entry, salt).encode()
            except EvidenceError as error:  # one that cannot be told shall not stop its neighbours
                logger().error("entry_not_told", method=entry.method[:200], problem=str(error))
                places.append(None)
                continue
            places.append(Place(len(lines), salt))
            lines.append(line)
        return lines, places

    def _record(self, entry: LogEntry, salt: bytes) -> Record:
        subjects, reason = entry.subjects, entry.reason
        if len(subjects) > MOST_SUBJECTS:
            reason = reason or f"{BEYOND}:{len(subjects) - MOST_SUBJECTS}"
            subjects = subjects[:MOST_SUBJECTS]
        hashes = self._subjects.hashes(self._period, subjects) if subjects else ()
        reply = entry.reply
        return Record(
            answered_at=self._clock(),
            subsystem=_told(entry.subsystem),
            method=_told(entry.method),
            purpose=_told(entry.purpose),
            legal_basis=_told(entry.legal_basis),
            agreement_key=_told(entry.agreement_key),
            agreement_version=entry.agreement_version,
            subject_period=self._period if hashes else "",
            subject_hashes=hashes,
            request_digest=message_digest(salt, entry.request),
            reply_digest=_NO_REPLY if reply is None else message_digest(salt, reply),
            code=entry.code,
            reason=_told(reason),
            trace_id=entry.trace_id if _TRACE.fullmatch(entry.trace_id) else "",
            kind=entry.kind,
        )


def _told(text: str) -> str:
    """A text as a record can tell it: printable, not endless."""
    if len(text) > _MOST_TEXT:
        text = text[:_MOST_TEXT]
    return text if text.isprintable() else _UNTELLABLE.sub("\ufffd", text)
