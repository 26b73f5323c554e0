"""From the parts of a filter to one Python function of an event's attributes.

What can be decided once is decided here: the types of all parts but attributes, the casts of
literals, the sets and patterns. What is left runs in a few calls. Nothing is generated as source
text and nothing is evaluated as such.

An attribute that is missing shows as the `KeyError` of the mapping, other errors as
`EvaluationError`; either ends the evaluation (§4.1, fail fast).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from operator import eq, ge, gt, itemgetter, le, lt, ne
from typing import TypeVar, cast

from eldex.exchange.domain.cesql.arithmetic import CALCULATIONS, negate
from eldex.exchange.domain.cesql.errors import CastError, EvaluationError, MissingFunctionError
from eldex.exchange.domain.cesql.functions import find_function
from eldex.exchange.domain.cesql.patterns import compile_pattern
from eldex.exchange.domain.cesql.syntax import (
    Arithmetic,
    Attribute,
    Call,
    Comparison,
    ComparisonOperator,
    Exists,
    In,
    Like,
    Literal,
    Logical,
    LogicalOperator,
    Negate,
    Node,
    Not,
)
from eldex.exchange.domain.cesql.values import (
    CASTS,
    Attributes,
    Type,
    Value,
    to_string,
    type_of,
)

_T = TypeVar("_T", bound=Value)
Run = Callable[[Attributes], _T]
"""A part as a function of the event's attributes."""


@dataclass(frozen=True, slots=True)
class Program:
    """A compiled part."""

    run: Run[Value]
    type: Type | None
    """Of its value; None where it is an attribute, of which each event decides."""
    constant: Value | None = None
    """The value, where the part is a literal."""


def compile_node(node: Node) -> Program:
    """Compile a part and all that it consists of."""
    match node:
        case Literal(value):
            return Program(lambda _: value, type_of(value), constant=value)
        case Attribute(name):
            return Program(itemgetter(name), None)
        case Arithmetic() | Negate():
            return Program(_number(node), Type.INTEGER)
        case Call():
            return _call(node)
        case _:
            return Program(_decision(node), Type.BOOLEAN)


def _number(node: Arithmetic | Negate) -> Run[int]:
    if isinstance(node, Negate):
        number = _integer(compile_node(node.operand))
        return lambda attributes: negate(number(attributes))
    calculate = CALCULATIONS[node.operator]
    x, y = _integer(compile_node(node.left)), _integer(compile_node(node.right))
    return lambda attributes: calculate(x(attributes), y(attributes))


def _decision(node: Exists | Not | Logical | Comparison | Like | In) -> Run[bool]:
    match node:
        case Exists(name):
            run = _exists(name)
        case Not(operand):
            run = _opposite(_boolean(compile_node(operand)))
        case Logical(operator, operands):
            run = _logical(operator, [_boolean(compile_node(operand)) for operand in operands])
        case Comparison(operator, left, right):
            run = _comparison(operator, compile_node(left), compile_node(right))
        case Like(operand, pattern, negated):
            fits = _like(compile_node(operand), pattern)
            run = _opposite(fits) if negated else fits
        case _:
            among = _in(compile_node(node.operand), [compile_node(e) for e in node.elements])
            run = _opposite(among) if node.negated else among
    return run


_REQUIRED = frozenset({"id", "source", "specversion", "type"})


def _exists(name: str) -> Run[bool]:
    if name in _REQUIRED:
        # Always there (§3.4.4), whether or not whoever asks took the trouble to hand it over.
        return lambda _: True
    return lambda attributes: name in attributes


def _opposite(run: Run[bool]) -> Run[bool]:
    return lambda attributes: not run(attributes)


def _cast(part: Program, to: Type) -> Run[Value]:
    """A part with its value cast; at once where it is a literal."""
    run, convert = part.run, CASTS[to]
    if part.type is to:
        return run
    if part.constant is not None:
        try:
            value = convert(part.constant)
        except CastError:
            # The filter is well-formed all the same: it fails where it is evaluated.
            pass
        else:
            return lambda _: value
    if to is Type.STRING and part.type is None:
        # Attributes are strings for the most part.
        def string(attributes: Attributes) -> str:
            found = run(attributes)
            return found if found.__class__ is str else to_string(found)

        return string
    return lambda attributes: convert(run(attributes))


def _string(part: Program) -> Run[str]:
    return cast(Run[str], _cast(part, Type.STRING))


def _integer(part: Program) -> Run[int]:
    return cast(Run[int], _cast(part, Type.INTEGER))


def _boolean(part: Program) -> Run[bool]:
    return cast(Run[bool], _cast(part, Type.BOOLEAN))


def _logical(operator: LogicalOperator, parts: list[Run[bool]]) -> Run[bool]:
    """Join from the left; AND and OR stop as soon as they know (§3.4.2)."""
    if operator == "XOR":
        return lambda attributes: sum([part(attributes) for part in parts]) % 2 == 1
    if len(parts) == 2:
        first, second = parts
        if operator == "AND":
            return lambda attributes: first(attributes) and second(attributes)
        return lambda attributes: first(attributes) or second(attributes)
    decisive = operator == "OR"

    def joined(attributes: Attributes) -> bool:
        for part in parts:
            if part(attributes) is decisive:
                return decisive
        return not decisive

    return joined


def _comparison(operator: ComparisonOperator, left: Program, right: Program) -> Run[bool]:
    compare = _COMPARE[operator]
    if operator not in {"=", "!="}:
        x, y = _integer(left), _integer(right)
        return lambda attributes: compare(x(attributes), y(attributes))
    if right.type is None:
        return _equality_with_attribute(compare, left, right)
    # Equality is of any type, and the right side's counts (§3.7).
    same_type = _cast(left, right.type)
    if right.constant is not None:
        value = right.constant
        return lambda attributes: compare(same_type(attributes), value)
    other = right.run
    return lambda attributes: compare(same_type(attributes), other(attributes))


_COMPARE: dict[ComparisonOperator, Callable[[Value, Value], bool]] = {
    "=": eq,
    "!=": ne,
    "<": lt,
    "<=": le,
    ">": gt,
    ">=": ge,
}


def _equality_with_attribute(
    compare: Callable[[Value, Value], bool], left: Program, right: Program
) -> Run[bool]:
    x, y = left.run, right.run

    def compared(attributes: Attributes) -> bool:
        found, wanted = x(attributes), y(attributes)
        return compare(CASTS[type_of(wanted)](found), wanted)

    return compared


def _like(operand: Program, pattern: str) -> Run[bool]:
    text, fits = _string(operand), compile_pattern(pattern)
    return lambda attributes: fits(text(attributes))


def _in(operand: Program, elements: list[Program]) -> Run[bool]:
    """Equality with one of a set, where the left side's type counts (§3.4.5, §3.7)."""
    x = operand.run
    constants = [element.constant for element in elements if element.constant is not None]
    if len(constants) < len(elements):
        return _in_computed(x, [element.run for element in elements])
    sets = {wanted: _constant_set(constants, wanted) for wanted in Type}
    strings = sets[Type.STRING]

    def among(attributes: Attributes) -> bool:
        found = x(attributes)
        members = strings if found.__class__ is str else sets[type_of(found)]
        if members is None:
            raise CastError(to=type_of(found).value)
        return found in members

    return among


def _constant_set(constants: list[Value], wanted: Type) -> frozenset[Value] | None:
    try:
        return frozenset(CASTS[wanted](constant) for constant in constants)
    except CastError:
        return None


def _in_computed(x: Run[Value], elements: list[Run[Value]]) -> Run[bool]:
    def among(attributes: Attributes) -> bool:
        found = x(attributes)
        convert = CASTS[type_of(found)]
        # A set has no order: all of it is evaluated, wherever the value is found.
        return found in [convert(element(attributes)) for element in elements]

    return among


def _call(node: Call) -> Program:
    count = len(node.arguments)
    function = find_function(node.function, count)
    if function is None:
        return Program(_missing_function(node.function, count), Type.BOOLEAN)
    call = function.call
    arguments = [
        _cast(compile_node(argument), function.parameter(index))
        for index, argument in enumerate(node.arguments)
    ]

    def called(attributes: Attributes) -> Value:
        values = [argument(attributes) for argument in arguments]
        try:
            return call(*values)
        except EvaluationError as error:
            error.raised_by = node
            raise

    return Program(called, function.returns)


def _missing_function(name: str, count: int) -> Run[Value]:
    def missing(_: Attributes) -> Value:
        raise MissingFunctionError(function=name, count=str(count))

    return missing
