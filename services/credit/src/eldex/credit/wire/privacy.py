"""No text quotes an identity number: listings and their papers become public."""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.message import Message

from eldex.common.errors import InvalidRequest, Violation
from eldex.common.privacy import quotes_identity_number

_CODES = frozenset({"credit_code", "key", "number", "request_id", "page_token"})
"""Fields that hold a code of their own kind, checked where it is read."""


def refuse_identity_numbers(request: Message) -> None:
    """Raise `InvalidRequest` naming every text that quotes one; the number is not repeated."""
    found = [
        Violation(
            field,
            "不得含有身份证件号码",
            "must not contain an identity number",
            "NO_IDENTITY_NUMBER",
        )
        for field, text in _texts(request, "")
        if quotes_identity_number(text)
    ]
    if found:
        raise InvalidRequest(*found)


def _texts(message: Message, path: str) -> Iterator[tuple[str, str]]:
    for field, value in message.ListFields():
        if field.name in _CODES:
            continue
        for index, each in enumerate(value if field.is_repeated else [value]):
            name = f"{path}{field.name}" + (f"[{index}]" if field.is_repeated else "")
            if isinstance(each, Message):
                yield from _texts(each, f"{name}.")
            elif isinstance(each, str):
                yield name, each
