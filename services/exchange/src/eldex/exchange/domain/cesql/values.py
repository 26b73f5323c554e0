"""Types, their zero values, and how a value of one becomes a value of another (§3.1, §3.7)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import Enum

from eldex.exchange.domain.cesql.errors import CastError

Value = str | int | bool
Attributes = Mapping[str, Value]
"""An event's attributes by lower-case name. What CloudEvents types otherwise is a string (§3.2)."""

SMALLEST, LARGEST = -(2**31), 2**31 - 1
"""The bounds of an Integer (§3.1)."""

# Zeros in front are taken in one bite, and ten digits are all that 32 bits need: no text is slow.
_WHOLE_NUMBER = re.compile(r"([+-]?)(?=[0-9])0*+([0-9]{0,10})")


class Type(Enum):
    """The three primitive types (§3.1)."""

    STRING = "String"
    INTEGER = "Integer"
    BOOLEAN = "Boolean"

    @property
    def zero(self) -> Value:
        """The value of an expression of this type that failed."""
        return _ZEROS[self]


_ZEROS: dict[Type, Value] = {Type.STRING: "", Type.INTEGER: 0, Type.BOOLEAN: False}


def type_of(value: Value) -> Type:
    """The type of a value; for Python a bool is an int, here it is not."""
    if isinstance(value, bool):
        return Type.BOOLEAN
    return Type.INTEGER if isinstance(value, int) else Type.STRING


def whole_number(text: str) -> int | None:
    """The 32-bit number that a text writes in base 10, or None."""
    match = _WHOLE_NUMBER.fullmatch(text)
    if match is None:
        return None
    number = int(match[1] + (match[2] or "0"))
    return number if SMALLEST <= number <= LARGEST else None


def to_string(value: Value) -> str:
    """Cast to String (§3.7); always possible."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def to_integer(value: Value) -> int:
    """Cast to Integer (§3.7); raises `CastError` for a string that is no 32-bit number."""
    if isinstance(value, int):
        return int(value)
    number = whole_number(value)
    if number is None:
        raise CastError(to=Type.INTEGER.value)
    return number


def to_boolean(value: Value) -> bool:
    """Cast to Boolean (§3.7); raises `CastError` for a string but `true` and `false`."""
    if isinstance(value, int):
        return bool(value)
    lower = value.lower()
    if lower == "true":
        return True
    if lower == "false":
        return False
    raise CastError(to=Type.BOOLEAN.value)


CASTS: dict[Type, Callable[[Value], Value]] = {
    Type.STRING: to_string,
    Type.INTEGER: to_integer,
    Type.BOOLEAN: to_boolean,
}
