"""Calculations with 32-bit integers (§3.4)."""

from __future__ import annotations

from collections.abc import Callable
from operator import add, mul, sub

from eldex.exchange.domain.cesql.errors import MathError
from eldex.exchange.domain.cesql.syntax import ArithmeticOperator
from eldex.exchange.domain.cesql.values import LARGEST, SMALLEST

Calculation = Callable[[int, int], int]


def negate(number: int) -> int:
    """Minus the number; raises `MathError` for the smallest one, which has no counterpart."""
    if number == SMALLEST:
        raise MathError(operation="-")
    return -number


def _divide(left: int, right: int) -> int:
    """The quotient rounded towards 0, where Python rounds down."""
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _remainder(left: int, right: int) -> int:
    """The remainder with the sign of the dividend, where Python takes the divisor's."""
    remainder = abs(left) % abs(right)
    return -remainder if left < 0 else remainder


def _within_bounds(operation: ArithmeticOperator, calculate: Calculation) -> Calculation:
    def calculated(left: int, right: int) -> int:
        try:
            result = calculate(left, right)
        except ZeroDivisionError:
            raise MathError(operation=operation) from None
        if SMALLEST <= result <= LARGEST:
            return result
        raise MathError(operation=operation)

    return calculated


CALCULATIONS: dict[ArithmeticOperator, Calculation] = {
    "+": _within_bounds("+", add),
    "-": _within_bounds("-", sub),
    "*": _within_bounds("*", mul),
    "/": _within_bounds("/", _divide),
    "%": _within_bounds("%", _remainder),
}
"""Each raises `MathError` where the result is none, or none of 32 bits."""
