"""The parts of an expression (§2), and an expression written back as text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal as OneOf

from eldex.exchange.domain.cesql.lexer import quote
from eldex.exchange.domain.cesql.values import Value

LogicalOperator = OneOf["AND", "OR", "XOR"]
ComparisonOperator = OneOf["=", "!=", "<", "<=", ">", ">="]
ArithmeticOperator = OneOf["+", "-", "*", "/", "%"]


@dataclass(frozen=True, slots=True)
class Literal:
    """A string, an integer with its sign, or a boolean."""

    value: Value


@dataclass(frozen=True, slots=True)
class Attribute:
    """An attribute of the event, by its lower-case name."""

    name: str


@dataclass(frozen=True, slots=True)
class Exists:
    """Whether the event has an attribute."""

    name: str


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Negate:
    """Minus the number."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Logical:
    """Two or more joined by one and the same operator, from the left.

    A chain is one part and not a staircase, so that a long one is no deeper than a short one.
    """

    operator: LogicalOperator
    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two values compared; `<>` is kept as `!=`."""

    operator: ComparisonOperator
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """A calculation with two numbers."""

    operator: ArithmeticOperator
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Like:
    """Whether a text fits a pattern, or does not."""

    operand: Node
    pattern: str
    negated: bool


@dataclass(frozen=True, slots=True)
class In:
    """Whether a value is one of a set, or is not."""

    operand: Node
    elements: tuple[Node, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A function, by its upper-case name, of some arguments."""

    function: str
    arguments: tuple[Node, ...]


Node = (
    Literal
    | Attribute
    | Exists
    | Not
    | Negate
    | Logical
    | Comparison
    | Arithmetic
    | Like
    | In
    | Call
)

LOGIC, COMPARISON, SUM, PRODUCT, SUFFIX, UNARY, PRIMARY = range(1, 8)
"""How tightly a part binds (§3.6); LIKE and IN are suffixes of what they ask about."""

BINDING: dict[str, int] = {
    **dict.fromkeys(("AND", "OR", "XOR"), LOGIC),
    **dict.fromkeys(("=", "!=", "<>", "<", "<=", ">", ">="), COMPARISON),
    **dict.fromkeys(("+", "-"), SUM),
    **dict.fromkeys(("*", "/", "%"), PRODUCT),
    **dict.fromkeys(("LIKE", "IN", "NOT"), SUFFIX),
}
"""How tightly what may follow a complete expression binds; NOT is that of NOT LIKE and NOT IN."""


def children(node: Node) -> tuple[Node, ...]:
    """The parts of a part."""
    match node:
        case Not(operand) | Negate(operand) | Like(operand):
            return (operand,)
        case Comparison(_, left, right) | Arithmetic(_, left, right):
            return (left, right)
        case Logical(_, operands):
            return operands
        case In(operand, elements):
            return (operand, *elements)
        case Call(_, arguments):
            return arguments
        case _:
            return ()


def walk(node: Node) -> Iterator[tuple[Node, int]]:
    """Every part with its depth, the whole being at 1."""
    waiting = [(node, 1)]
    while waiting:
        part, depth = waiting.pop()
        yield part, depth
        waiting.extend((child, depth + 1) for child in children(part))


def write(node: Node, least: int = LOGIC) -> str:
    """The expression as text that is parsed into it again.

    Joined AND, OR and XOR get brackets that they need not have: few readers expect that they bind
    alike. Raises `ValueError` for a string that no literal denotes (see the package's page).

    Args:
        node: What to write.
        least: How tightly it must bind to need no brackets.
    """
    text, binding = _write(node)
    return text if binding >= least else f"({text})"


def _write(node: Node) -> tuple[str, int]:
    binding = PRIMARY
    match node:
        case Literal(value):
            text = _write_value(value)
        case Attribute(name):
            text = name
        case Exists(name):
            text = f"EXISTS {name}"
        case Call(function, arguments):
            text = f"{function}({', '.join(map(write, arguments))})"
        case Not(operand):
            text, binding = f"NOT {write(operand, UNARY)}", UNARY
        case Negate(operand):
            number = write(operand, UNARY)
            # A minus before digits would be their sign.
            text, binding = f"-({number})" if number.isdecimal() else f"-{number}", UNARY
        case Logical(operator, operands):
            text = f" {operator} ".join(write(operand, COMPARISON) for operand in operands)
            binding = LOGIC
        case Comparison(operator, left, right) | Arithmetic(operator, left, right):
            binding = BINDING[operator]
            text = f"{write(left, binding)} {operator} {write(right, binding + 1)}"
        case Like(operand, pattern, negated):
            verb, binding = "NOT LIKE" if negated else "LIKE", SUFFIX
            text = f"{write(operand, SUFFIX)} {verb} {quote(pattern)}"
        case _:
            verb, binding = "NOT IN" if node.negated else "IN", SUFFIX
            text = f"{write(node.operand, SUFFIX)} {verb} ({', '.join(map(write, node.elements))})"
    return text, binding


def _write_value(value: Value) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    return str(value) if isinstance(value, int) else quote(value)
