"""Text forms that have exactly one spelling: base64 (RFC 4648 §4) and decimal numbers."""

from __future__ import annotations

import binascii
import re
from typing import Final

from eldex.evidence.errors import EvidenceError

_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_MOST: Final = (1 << 63) - 1
_ORIGIN: Final = re.compile(r"[!-*,-~]{1,200}")


class MalformedText(EvidenceError):
    """A text is not in the form that it must have."""


def base64_of(data: bytes) -> str:
    """Standard base64, padded, on one line."""
    return binascii.b2a_base64(data, newline=False).decode()


def from_base64(text: str, length: int | None = None) -> bytes:
    """The bytes of a base64 text; of `length` bytes, if that is given.

    Raises:
        MalformedText: it is another text, or another spelling of the same bytes.
    """
    try:
        data = binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedText(f"not base64: {text[:80]!r}") from error
    if base64_of(data) != text:  # bits that no byte uses could hide a second spelling
        raise MalformedText(f"not canonical base64: {text[:80]!r}")
    if length is not None and len(data) != length:
        raise MalformedText(f"{len(data)} bytes, must be {length}: {text[:80]!r}")
    return data


def from_decimal(text: str) -> int:
    """The number that ASCII digits without leading zeroes tell, at most 2^63 - 1.

    Raises:
        MalformedText: it is another text.
    """
    if not _NUMBER.fullmatch(text) or int(text) > _MOST:
        raise MalformedText(f"not a decimal number: {text[:80]!r}")
    return int(text)


def check_origin(origin: str) -> str:
    """The origin of one of our logs: printable ASCII without space and plus, at most 200 characters.

    C2SP tlog-checkpoint recommends a schema-less URL; ours must be one word, so that it can be the
    name of the log's key and stand in a receipt in gRPC metadata.

    Raises:
        MalformedText: it is not.
    """
    if not _ORIGIN.fullmatch(origin):
        raise MalformedText(f"not the origin of a log: {origin[:80]!r}")
    return origin
