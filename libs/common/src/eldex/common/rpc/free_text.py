"""What people write in their own words must not quote an identity number: it would lie there in clear.

The number has a field of its own (`debug_redact` in the contract), which is sealed at rest, and the code of an
organisation may by chance read like one. Every other text of every request is looked at, at the door.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from eldex.common.errors import InvalidRequest, Violation
from eldex.common.privacy import quotes_identity_number

_GAP: Final = rb"[^0-9A-Za-z]{0,9}"
_MAY_QUOTE: Final = re.compile(
    rb"[1-9][0-9]{5}%b(?:[12][0-9])?[0-9]{2}%b[0-9]{2}%b[0-9]{2}%b[0-9]{3}" % ((_GAP,) * 4)
    + rb"|\xef\xbc[\x90-\x99]"
)
"""Digits in the groups of a number, or full-width ones: without them in a message its texts need no look."""


_CREDIT_CODE: Final = "credit_code"


def refuse_identity_numbers(request: Message, payload: bytes) -> None:
    """Raise `InvalidRequest` naming every text of a request that quotes one; it is not repeated."""
    if _MAY_QUOTE.search(payload) is None:
        return
    found = [
        Violation(
            path,
            "不得写入身份证件号码，请改用编号或删去",
            "must not quote an identity number: use the key, or leave it out",
            "NO_IDENTITY_NUMBER",
        )
        for path, text in _texts(request, "")
        if quotes_identity_number(text)
    ]
    if found:
        raise InvalidRequest(*found)


def _texts(message: Message, above: str) -> Iterator[tuple[str, str]]:
    for field in _worth_a_look(message.DESCRIPTOR):
        value: Any = getattr(message, field.name)
        if _is_map(field):
            value = [part for entry in value.items() for part in entry]
        elif not field.is_repeated:
            value = [value] if field.message_type is None or message.HasField(field.name) else []
        for index, each in enumerate(value):
            path = f"{above}{field.name}" + (f"[{index}]" if field.is_repeated else "")
            if isinstance(each, str):
                yield path, each
            elif isinstance(each, Message):
                yield from _texts(each, f"{path}.")


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


@cache
def _worth_a_look(kind: Descriptor) -> list[FieldDescriptor]:
    return [
        field
        for field in kind.fields
        if field.message_type is not None
        or (
            field.type == field.TYPE_STRING
            and not field.GetOptions().debug_redact
            and not field.name.endswith(_CREDIT_CODE)
        )
    ]
