"""What is compiled does what a plain reading of the specification does, step by step."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eldex.exchange.domain.cesql.filters import Filter
from eldex.exchange.domain.cesql.patterns import compile_pattern
from eldex.exchange.domain.cesql.syntax import (
    Arithmetic,
    Attribute,
    Call,
    Comparison,
    Exists,
    In,
    Like,
    Literal,
    Logical,
    Negate,
    Node,
    Not,
)

Value = str | int | bool


class Failed(Exception):
    """Something went wrong; the rest does not matter."""


def cast(value: Value, to: type) -> Value:
    if to is str:
        return {True: "true", False: "false"}[value] if type(value) is bool else str(value)
    if to is bool:
        if type(value) is str and value.lower() not in {"true", "false"}:
            raise Failed
        return value.lower() == "true" if type(value) is str else value != 0
    if type(value) is not str:
        return int(value)
    digits = value[1:] if value[:1] in {"+", "-"} else value
    if not digits or not set(digits) <= set("0123456789"):
        raise Failed
    return in_range(int(value))


def in_range(number: int) -> int:
    if not -(2**31) <= number < 2**31:
        raise Failed
    return number


def like(text: str, pattern: str) -> bool:
    """All ways to fit are followed at once."""
    wildcards, position = [], 0
    while position < len(pattern):
        if pattern[position : position + 2] in {"\\%", "\\_"}:
            wildcards.append("=" + pattern[position + 1])
            position += 1
        else:
            character = pattern[position]
            wildcards.append(character if character in "%_" else "=" + character)
        position += 1
    fits = [True] + [False] * len(wildcards)

    def skip(fits: list[bool]) -> list[bool]:
        for index, wildcard in enumerate(wildcards):
            fits[index + 1] = fits[index + 1] or (wildcard == "%" and fits[index])
        return fits

    fits = skip(fits)
    for character in text:
        following = [False] * len(fits)
        for index, wildcard in enumerate(wildcards):
            if wildcard == "%":
                following[index + 1] = fits[index + 1] or fits[index]
            elif wildcard in {"_", "=" + character}:
                following[index + 1] = fits[index]
        fits = skip(following)
    return fits[-1]


def interpret(node: Node, event: Mapping[str, Value]) -> Value:  # noqa: C901, PLR0911, PLR0912 - a case for each part
    def of(part: Node, to: type) -> Value:
        return cast(interpret(part, event), to)

    match node:
        case Literal(value):
            return value
        case Attribute(name):
            if name not in event:
                raise Failed
            return event[name]
        case Exists(name):
            return name in event
        case Not(operand):
            return not of(operand, bool)
        case Negate(operand):
            return in_range(-int(of(operand, int)))
        case Logical(operator, operands):
            result = of(operands[0], bool)
            for operand in operands[1:]:
                if operator == "XOR":
                    result = result != of(operand, bool)
                elif result is (operator == "AND"):
                    result = of(operand, bool)
            return result
        case Comparison(operator, left, right):
            if operator in {"=", "!="}:
                y = interpret(right, event)
                return (of(left, type(y)) == y) is (operator == "=")
            x, y = int(of(left, int)), int(of(right, int))
            return {"<": x < y, "<=": x <= y, ">": x > y, ">=": x >= y}[operator]
        case Arithmetic(operator, left, right):
            return calculate(operator, int(of(left, int)), int(of(right, int)))
        case Like(operand, pattern, negated):
            return like(str(of(operand, str)), pattern) is not negated
        case In(operand, elements, negated):
            value = interpret(operand, event)
            return (value in [of(element, type(value)) for element in elements]) is not negated
        case Call("LENGTH", (argument,)):
            return len(str(of(argument, str)))
        case Call("CONCAT", arguments):
            return "".join(str(of(argument, str)) for argument in arguments)
    raise Failed


def calculate(operator: str, x: int, y: int) -> int:
    if operator in "/%":
        if y == 0:
            raise Failed
        quotient = int(x / y)  # Of 32 bits: a float is exact enough to be cut.
        return in_range(quotient if operator == "/" else x - y * quotient)
    return in_range({"+": x + y, "-": x - y, "*": x * y}[operator])


TEXTS = st.sampled_from(
    ["", "true", "FALSE", "1", "-1", "007", "2147483648", "ab", "a%", "resident"]
)
NUMBERS = st.sampled_from([0, 1, 2, -1, 7, 2**31 - 1, -(2**31)])
VALUES = TEXTS | NUMBERS | st.booleans()
NAMES = ["a", "b", "c"]
LEAVES = (
    st.builds(Literal, VALUES)
    | st.builds(Attribute, st.sampled_from(NAMES))
    | st.builds(Exists, st.sampled_from(NAMES))
)


def branches(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    some = st.lists(inner, min_size=1, max_size=4).map(tuple)
    many = st.lists(inner, min_size=2, max_size=4).map(tuple)
    patterns = st.sampled_from(["a%", "%", "_", "1", "%e", "a\\%", "r%_d%t"])
    return st.one_of(
        st.builds(Not, inner),
        st.builds(Negate, inner),
        st.builds(Logical, st.sampled_from(["AND", "OR", "XOR"]), many),
        st.builds(Comparison, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), inner, inner),
        st.builds(Arithmetic, st.sampled_from(["+", "-", "*", "/", "%"]), inner, inner),
        st.builds(Like, inner, patterns, st.booleans()),
        st.builds(In, inner, some, st.booleans()),
        st.builds(Call, st.just("LENGTH"), st.tuples(inner)),
        st.builds(Call, st.just("CONCAT"), some),
        st.builds(Call, st.just("UNHEARD_OF"), some),
    )


@settings(max_examples=600, deadline=None)
@given(
    st.recursive(LEAVES, branches, max_leaves=8), st.dictionaries(st.sampled_from(NAMES), VALUES)
)
def test_compiled_and_interpreted_agree(node: Node, event: dict[str, Value]) -> None:
    value, error = Filter(node).evaluate(event)
    try:
        wanted = interpret(node, event)
    except Failed:
        assert error is not None
        assert not Filter(node).matches(event)
        assert not value
    else:
        assert error is None, error
        assert (type(value), value) == (type(wanted), wanted)
        assert Filter(node).matches(event) is (wanted is True)


@settings(max_examples=600, deadline=None)
@given(st.text("ab%_\\\n"), st.text("ab%_\\\n"))
def test_patterns_fit_what_they_should(text: str, pattern: str) -> None:
    assert compile_pattern(pattern)(text) is like(text, pattern)


@pytest.mark.parametrize(
    "pattern", ["%a" * 300 + "b", "%_a" * 300 + "%b%", "a%" * 300 + "b", "%" * 4000 + "b"]
)
def test_a_pattern_cannot_be_made_to_go_back_again_and_again(pattern: str) -> None:
    # Tried at every place, these would take longer than the world is old.
    fits = compile_pattern(pattern)
    began = time.perf_counter()
    assert not fits("a" * 5000)
    assert time.perf_counter() - began < 2


TYPICAL: Callable[[Mapping[str, Value]], bool] = Filter.parse(
    "type LIKE 'eldex.api.registry.%' AND division IN ('310115003', '310115004', '310104') "
    "AND NOT (subject LIKE 'test%')"
).matches


def test_a_typical_filter_costs_a_few_microseconds() -> None:
    event = {
        "type": "eldex.api.registry.v1.ResidentDeceased",
        "division": "310115003",
        "subject": "resident/7f3a",
    }
    assert TYPICAL(event)

    def seconds() -> float:
        began = time.perf_counter()
        for _ in range(2000):
            TYPICAL(event)
        return time.perf_counter() - began

    # About 1 µs here; the bound leaves room for a busy machine and none for another algorithm.
    assert min(seconds() for _ in range(5)) / 2000 < 20e-6
