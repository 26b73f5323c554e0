r"""The leaf of the log: one record an exchange, as one line of canonical JSON.

RFC 8785 for this flat shape: all keys, in the order of the alphabet, no white space, texts in UTF-8
with `"` and `\` escaped and no control characters, whole numbers in decimal. There is exactly one
spelling of a record; `Record.parse` refuses every other. An auditor reads it with any JSON tool.

No record holds a message. Digests of request and reply are salted (16 random bytes that go to the
caller with the receipt and are kept nowhere else): without the salt nobody can try out which of a
few million requests it was; with it, the caller can prove what was asked and answered. Subjects are
keyed hashes (`subjects.SubjectKeys`).
"""

from __future__ import annotations

import hashlib
import json.encoder
import re
from binascii import hexlify
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from eldex.evidence.errors import EvidenceError

VERSION: Final = 1
MOST_BYTES: Final = 65_535
"""Of an encoded record; what an entry bundle of C2SP tlog-tiles can hold."""
SALT_BYTES: Final = 16
DIGEST_BYTES: Final = 32

_quote: Callable[[str], str] = json.encoder.encode_basestring


class MalformedRecord(EvidenceError):
    """A record that cannot be told in its one spelling, or bytes that are not that."""


class Record(NamedTuple):
    """Who asked what of whom, by what right, and what became of it."""

    answered_at: datetime
    """When the exchange answered: aware, UTC, to the microsecond."""
    subsystem: str
    """Who asked: `member/<member>/<subsystem>`."""
    method: str
    """Of what: the data service's method; for a delivered event its type."""
    purpose: str
    """Why, as a code."""
    legal_basis: str
    """By what law, regulation or contract; empty for a denied call."""
    agreement_key: str
    """The agreement that allowed it; empty for a denied call."""
    agreement_version: int
    """Its version then; 0 without one."""
    subject_period: str
    """Which key the subjects are hashed with; empty without subjects."""
    subject_hashes: tuple[bytes, ...]
    """Whom it was about: keyed hashes of 32 bytes, ascending, each once."""
    request_digest: bytes
    """`message_digest` of the request."""
    reply_digest: bytes
    """`message_digest` of the reply; empty without one."""
    code: str
    """gRPC status code, by name."""
    reason: str
    """Stable reason, if it failed."""
    trace_id: str
    """W3C trace id, 32 hexadecimal digits; empty without one."""
    kind: str = "call"
    """`call`, or what else leaves a proof, such as `delivery`."""

    def encode(self) -> bytes:
        """The record's one spelling, without a newline.

        Raises:
            MalformedRecord: a field cannot be told; the message names it.
        """
        subjects = ",".join([f'"{digest.hex()}"' for digest in self.subject_hashes])
        at = self.answered_at.isoformat(timespec="microseconds")
        line = (
            f'{{"agreement_key":{_quote(self.agreement_key)}'
            f',"agreement_version":{self.agreement_version}'
            f',"answered_at":"{at[:26]}Z"'
            f',"code":{_quote(self.code)}'
            f',"kind":{_quote(self.kind)}'
            f',"legal_basis":{_quote(self.legal_basis)}'
            f',"method":{_quote(self.method)}'
            f',"purpose":{_quote(self.purpose)}'
            f',"reason":{_quote(self.reason)}'
            f',"reply_digest":"{self.reply_digest.hex()}"'
            f',"request_digest":"{self.request_digest.hex()}"'
            f',"subject_hashes":[{subjects}]'
            f',"subject_period":{_quote(self.subject_period)}'
            f',"subsystem":{_quote(self.subsystem)}'
            f',"trace_id":"{self.trace_id}"'
            f',"v":{VERSION}}}'
        )
        if at[26:] != "+00:00":
            raise MalformedRecord(f"answered_at must be in UTC: {at}")
        _match(line)
        return _bytes(line)

    @classmethod
    def parse(cls, data: bytes) -> Record:
        """Read a record from its one spelling.

        Raises:
            MalformedRecord: it is any other byte string, the same content spelt otherwise included.
        """
        found = _match(_text(data))
        return cls(
            answered_at=datetime.fromisoformat(found["answered_at"][1:-1]),
            agreement_version=int(found["agreement_version"]),
            subject_hashes=tuple(map(bytes.fromhex, _subjects(found["subject_hashes"]))),
            request_digest=bytes.fromhex(found["request_digest"][1:-1]),
            reply_digest=bytes.fromhex(found["reply_digest"][1:-1]),
            trace_id=found["trace_id"][1:-1],
            **{name: _unquote(found[name]) for name in _TEXTS},
        )


class Spelling:
    """What many records have in common, spelt and checked once: all but time, digests, subjects, trace.

    `line` gives, for the rest, what `Record.encode` would give, without looking at the rules again: its
    arguments are made by who calls it and not taken from anybody.
    """

    __slots__ = ("_begin", "_middle", "_subsystem")

    def __init__(self, common: Record) -> None:
        """`common`: a record of this kind. Raises `MalformedRecord`."""
        found = _match(_text(common.encode()))
        line = found.string.encode()
        at, end = (len(found.string[:n].encode()) for n in found.span("answered_at"))
        reply = len(found.string[: found.start("reply_digest")].encode())
        self._begin, self._middle = line[: at + 1], line[end - 2 : reply + 1]
        self._subsystem = b',"subsystem":%b,"trace_id":"' % found["subsystem"].encode()

    def line(
        self,
        answered_at: bytes,
        request_digest: bytes,
        reply_digest: bytes,
        subject_hashes: Sequence[bytes],
        subject_period: bytes,
        trace_id: str,
    ) -> bytes:
        """A record of this kind, encoded.

        Args:
            answered_at: UTC to the microsecond, as 2026-11-25T08:30:00.000000.
            request_digest: 32 bytes.
            reply_digest: 32 bytes, or none.
            subject_hashes: 32 bytes each, ascending, each once.
            subject_period: which key they are hashed with; empty without any.
            trace_id: 32 hexadecimal digits in lower case, or none.

        Raises:
            MalformedRecord: it would be too long.
        """
        subjects = b",".join([b'"%b"' % hexlify(each) for each in subject_hashes])
        data = (
            b'%b%b%b%b","request_digest":"%b","subject_hashes":[%b],"subject_period":"%b"%b%b","v":1}'
            % (
                self._begin,
                answered_at,
                self._middle,
                hexlify(reply_digest),
                hexlify(request_digest),
                subjects,
                subject_period,
                self._subsystem,
                trace_id.encode(),
            )
        )
        if len(data) > MOST_BYTES:
            raise MalformedRecord(f"a record has at most {MOST_BYTES} bytes, not {len(data)}")
        return data


def time_of(data: bytes) -> str:
    """Check that bytes are a record's one spelling; its time, as text that sorts by time.

    Raises:
        MalformedRecord: they are not.
    """
    return _match(_text(data))["answered_at"][1:-1]


def message_digest(salt: bytes, message: bytes) -> bytes:
    """SHA-256(salt || message): a commitment that tells nothing without the salt.

    Args:
        salt: 16 random bytes, new for every exchange (`secrets.token_bytes(SALT_BYTES)`); the same
            for its request and its reply.
        message: the message as it was on the wire.
    """
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt has {SALT_BYTES} bytes")
    return hashlib.sha256(salt + message).digest()


class SteadyClock:
    """A clock in UTC that is never set back: it waits at the last instant until time has passed it.

    A log's times must not decrease, whatever happens to the machine's clock.
    """

    def __init__(self, clock: Callable[[], datetime], last: datetime | None = None) -> None:
        """`last`: the time of the last record of the log, if it has one."""
        self._clock = clock
        self._last = last or datetime.min.replace(tzinfo=UTC)

    def __call__(self) -> datetime:
        """The instant now, or the last one told if the clock is behind it."""
        self._last = max(self._last, self._clock())
        return self._last


_TEXTS: Final = (
    *("agreement_key", "code", "kind", "legal_basis", "method"),
    *("purpose", "reason", "subject_period", "subsystem"),
)
_PLAIN: Final = r'[^"\\\x00-\x1f\x7f]*+'
_DIGEST: Final = "[0-9a-f]{64}"
_SHAPES: Final = {
    **dict.fromkeys(_TEXTS, rf'"{_PLAIN}(?:\\["\\]{_PLAIN})*+"'),
    "agreement_version": "0|[1-9][0-9]{0,14}",
    "answered_at": (
        '"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])'
        r'T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z"'
    ),
    "reply_digest": f'"(?:{_DIGEST})?"',
    "request_digest": f'"{_DIGEST}"',
    "subject_hashes": rf'\[(?:"{_DIGEST}"(?:,"{_DIGEST}")*+)?\]',
    "trace_id": '"(?:[0-9a-f]{32})?"',
    "v": str(VERSION),
}
"""What may stand for each field: a regular expression over JSON."""
_FIELDS: Final = ",".join(f'"{name}":(?P<{name}>{_SHAPES[name]})' for name in sorted(_SHAPES))
_RECORD: Final = re.compile(rf"\{{{_FIELDS}\}}")
"""The one spelling, all of it; possessive, so that no input makes it slow."""


def _match(line: str) -> re.Match[str]:
    """The fields of a record's line; the one place where all rules of the spelling are held."""
    found = _RECORD.fullmatch(line)
    if found is None:
        raise MalformedRecord(_why(line))
    try:
        datetime.fromisoformat(found["answered_at"][1:-1])
    except ValueError as error:
        raise MalformedRecord(f"answered_at is no day of the calendar: {error}") from error
    subjects = _subjects(found["subject_hashes"])
    if len(subjects) > 1 and subjects != sorted(set(subjects)):
        raise MalformedRecord("subject_hashes must ascend, each once")
    return found


def _why(line: str) -> str:
    """Which field is wrong, for the person who reads the error."""
    for name in sorted(_SHAPES):
        if not re.search(f'[{{,]"{name}":(?:{_SHAPES[name]})[,}}]', line):
            return f"not a canonical record: {name} is missing or malformed"
    return "not a canonical record: the fields are not in their order, or there is more than these"


def _subjects(found: str) -> list[str]:
    return found[2:-2].split('","') if len(found) > 2 else []


def _unquote(found: str) -> str:
    text = found[1:-1]
    return re.sub(r"\\(.)", r"\1", text) if "\\" in text else text


def _text(data: bytes) -> str:
    if len(data) > MOST_BYTES:
        raise MalformedRecord(f"a record has at most {MOST_BYTES} bytes, not {len(data)}")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise MalformedRecord("a record is UTF-8") from error


def _bytes(line: str) -> bytes:
    try:
        data = line.encode()
    except UnicodeEncodeError as error:
        raise MalformedRecord("a text of the record is not Unicode") from error
    if len(data) > MOST_BYTES:
        raise MalformedRecord(f"a record has at most {MOST_BYTES} bytes, not {len(data)}")
    return data
