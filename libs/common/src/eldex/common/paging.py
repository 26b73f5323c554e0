"""Page tokens: opaque to the caller, bound to the question they continue (AIP-158)."""

from __future__ import annotations

import base64
import hashlib

from google.protobuf.message import Message

from eldex.common.errors import InvalidRequest, Violation

DEFAULT_SIZE = 50
_TOKEN_FIELDS = ("page_size", "page_token")
_MOST_DIGITS = 18
"""Of a number in a token: any of them fits into 64 bits."""


def _question(request: Message) -> bytes:
    plain = type(request)()
    plain.CopyFrom(request)
    for name in _TOKEN_FIELDS:
        plain.ClearField(name)
    return hashlib.sha256(plain.SerializeToString(deterministic=True)).digest()[:8]


def token(request: Message, next_key: str | None) -> str:
    """The token with which the same question goes on after a key; empty at the end."""
    if next_key is None:
        return ""
    return base64.urlsafe_b64encode(_question(request) + next_key.encode()).decode().rstrip("=")


def after(request: Message, page_token: str) -> str | None:
    """The key after which to go on; raises `InvalidRequest` for a token of another question."""
    if not page_token:
        return None
    try:
        raw = base64.b64decode(page_token + "=" * (-len(page_token) % 4), b"-_", validate=True)
        question, key = raw[:8], raw[8:].decode()
    except ValueError:
        raise _wrong() from None
    if question != _question(request) or not key:
        raise _wrong()
    return key


def after_number(request: Message, page_token: str) -> int | None:
    """`after`, where keys are numbers: whoever makes a token of its own may put anything in it."""
    key = after(request, page_token)
    if key is None:
        return None
    if not (key.isascii() and key.isdigit() and len(key) <= _MOST_DIGITS):
        raise _wrong()
    return int(key)


def _wrong() -> InvalidRequest:
    return InvalidRequest(
        Violation(
            "page_token",
            "翻页标记无效或不属于这一查询，请从第一页重新开始",
            "is not a token of this question: start again from the first page",
            "PAGE_TOKEN_INVALID",
        )
    )


def size(page_size: int) -> int:
    """How many to give: what was asked for, or the default."""
    return page_size or DEFAULT_SIZE
