"""The built-in functions (§3.5), and the casts as functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from eldex.exchange.domain.cesql.errors import FunctionEvaluationError, MathError
from eldex.exchange.domain.cesql.values import LARGEST, SMALLEST, Type, Value

MOST_CHARACTERS = 65_536
"""How long a text that `CONCAT` or `CONCAT_WS` makes may be.

Nested `CONCAT_WS` multiply: without a bound a short filter fills the memory. The size of an event
that everybody must be able to forward (64 KiB, CloudEvents §Size limits) is more than a filter needs.
"""

# Unicode's White_Space. What `str.strip` takes besides, U+001C to U+001F, are control characters,
# and those stay (§3.5.1).
_WHITESPACE = (
    "\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009"
    "\u200a\u2028\u2029\u202f\u205f\u3000"
)


@dataclass(frozen=True, slots=True)
class Function:
    """A function of a certain number of arguments; `rest` is the type of any that follow."""

    name: str
    parameters: tuple[Type, ...]
    returns: Type
    call: Callable[..., Value]
    rest: Type | None = None

    def takes(self, count: int) -> bool:
        """Whether it can be called with so many arguments."""
        fixed = len(self.parameters)
        return count == fixed or (self.rest is not None and count > fixed)

    def parameter(self, index: int) -> Type:
        """The type of an argument."""
        if index < len(self.parameters):
            return self.parameters[index]
        assert self.rest is not None
        return self.rest


def find_function(name: str, count: int) -> Function | None:
    """The function of this name, in upper case, that takes so many arguments, or None."""
    return next((f for f in _FUNCTIONS.get(name, ()) if f.takes(count)), None)


def _same(value: Value) -> Value:
    # The cast of the argument to the parameter's type is all that INT, STRING and BOOL do.
    return value


def _absolute(number: int) -> int:
    if number == SMALLEST:
        raise MathError(operation="ABS", value=LARGEST)
    return abs(number)


def _concat(*texts: str) -> str:
    return _joined("CONCAT", "", texts)


def _concat_ws(delimiter: str, *texts: str) -> str:
    return _joined("CONCAT_WS", delimiter, texts)


def _joined(function: str, delimiter: str, texts: tuple[str, ...]) -> str:
    length = sum(map(len, texts)) + len(delimiter) * max(len(texts) - 1, 0)
    if length > MOST_CHARACTERS:
        raise FunctionEvaluationError(function=function)
    return delimiter.join(texts)


def _left(text: str, count: int) -> str:
    if count < 0:
        raise FunctionEvaluationError(function="LEFT", value=text)
    return text[:count]


def _right(text: str, count: int) -> str:
    if count < 0:
        raise FunctionEvaluationError(function="RIGHT", value=text)
    return text[max(len(text) - count, 0) :]


def _trim(text: str) -> str:
    return text.strip(_WHITESPACE)


def _substring(text: str, position: int, count: int = LARGEST) -> str:
    if abs(position) > len(text) or count < 0:
        raise FunctionEvaluationError(function="SUBSTRING")
    if position == 0:
        return ""
    start = position - 1 if position > 0 else len(text) + position
    return text[start : start + count]


_S, _I, _B = Type.STRING, Type.INTEGER, Type.BOOLEAN

_FUNCTIONS: dict[str, list[Function]] = {}
for _function in (
    Function("INT", (_I,), _I, _same),
    Function("STRING", (_S,), _S, _same),
    Function("BOOL", (_B,), _B, _same),
    Function("ABS", (_I,), _I, _absolute),
    Function("LENGTH", (_S,), _I, len),
    Function("CONCAT", (), _S, _concat, rest=_S),
    Function("CONCAT_WS", (_S,), _S, _concat_ws, rest=_S),
    Function("LOWER", (_S,), _S, str.lower),
    Function("UPPER", (_S,), _S, str.upper),
    Function("TRIM", (_S,), _S, _trim),
    Function("LEFT", (_S, _I), _S, _left),
    Function("RIGHT", (_S, _I), _S, _right),
    Function("SUBSTRING", (_S, _I), _S, _substring),
    Function("SUBSTRING", (_S, _I, _I), _S, _substring),
):
    _FUNCTIONS.setdefault(_function.name, []).append(_function)
