"""What is taken as a filter, what is refused, and what a refusal says."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eldex.common.errors import Kind
from eldex.exchange.domain.cesql.errors import FilterInvalid, FilterRefused, FilterTooLarge
from eldex.exchange.domain.cesql.filters import Filter
from eldex.exchange.domain.cesql.lexer import KEYWORDS
from eldex.exchange.domain.cesql.parser import MOST_CHARACTERS, MOST_DEPTH, MOST_PARTS, parse
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
    write,
)

VALUE = "a value, an attribute, a function, NOT, EXISTS, - or ("


@pytest.mark.parametrize(
    ("text", "column", "expected", "found"),
    [
        ("", 1, VALUE, "the end"),
        (" \n", 3, VALUE, "the end"),
        ("type =", 7, VALUE, "the end"),
        ("type = AND", 8, VALUE, "AND"),
        ("type == 'a'", 7, VALUE, "="),
        ("+ 5", 1, VALUE, "+"),
        ("+a", 1, VALUE, "+"),
        ("ABC(", 5, VALUE, "the end"),
        ("ABC(1,)", 7, VALUE, ")"),
        ("()", 2, VALUE, ")"),
        ("type ; 'a'", 6, "an operator or the end", "a character without meaning here"),
        ("type\u00a0= 'a'", 5, "an operator or the end", "a character without meaning here"),
        ("a 'b'", 3, "an operator or the end", "a string"),
        ("'it''s'", 5, "an operator or the end", "a string"),
        ("1 2", 3, "an operator or the end", "a number"),
        ("a b", 3, "an operator or the end", "a name"),
        ("a)", 2, "an operator or the end", ")"),
        ("(a b", 4, "an operator or )", "a name"),
        ("(a", 3, "an operator or )", "the end"),
        ("F(a b)", 5, "an operator, a comma or )", "a name"),
        ("a IN 'b'", 6, "( and the elements of the set", "a string"),
        ("a IN ()", 7, VALUE, ")"),
        ("a NOT = 'b'", 7, "LIKE or IN", "="),
        ("a LIKE b", 8, "the pattern, a string in quotes", "a name"),
        ("a LIKE 5", 8, "the pattern, a string in quotes", "a number"),
        ("a LIKE ('b')", 8, "the pattern, a string in quotes", "("),
        ("EXISTS 'a'", 8, "the name of an attribute, of letters and digits", "a string"),
        ("EXISTS (a)", 8, "the name of an attribute, of letters and digits", "("),
        ("EXISTS not", 8, "the name of an attribute, of letters and digits", "NOT"),
        ("a_b = 1", 1, "the name of an attribute, of letters and digits", "a name"),
        ("F2(a)", 1, "the name of a function, of letters and underscores", "a name"),
        ("_F(a)", 1, "the name of a function, of letters and underscores", "a name"),
        ("a = 2147483648", 5, "an integer from -2147483648 to 2147483647", "a number"),
        ("-2147483649", 1, "an integer from -2147483648 to 2147483647", "a number"),
        ("a = 'b", 5, "a string that ends with its quotation mark", "a string without end"),
        ("a = 'b\\'", 5, "a string that ends with its quotation mark", "a string without end"),
        ("a 'b", 3, "a string that ends with its quotation mark", "a string without end"),
    ],
)
def test_a_refusal_says_where_and_what_was_expected(
    text: str, column: int, expected: str, found: str
) -> None:
    with pytest.raises(FilterInvalid) as refused:
        Filter.parse(text)
    assert refused.value.kind is Kind.INVALID
    assert refused.value.column == column
    assert refused.value.message("en") == (
        f"the filter is wrong at column {column}: expected {expected}, found {found}"
    )


def test_a_refusal_speaks_chinese_and_does_not_repeat_what_the_filter_holds() -> None:
    with pytest.raises(FilterInvalid) as refused:
        Filter.parse("subject = 310115193601011234")
    assert refused.value.message("zh") == (
        "筛选表达式第 11 列有误。此处应为：-2147483648 至 2147483647 的整数；实际为：数字"
    )
    assert "1936" not in str(refused.value)


def test_filters_are_bounded_in_length_parts_and_depth() -> None:
    def refusal(text: str) -> str:
        with pytest.raises(FilterTooLarge) as refused:
            parse(text)
        assert refused.value.kind is Kind.INVALID
        return refused.value.message("en")

    parse("a".ljust(MOST_CHARACTERS))
    assert "at most 4096 characters" in refusal("a".ljust(MOST_CHARACTERS + 1))
    parse(f"a IN ({', '.join(['1'] * (MOST_PARTS - 2))})")
    assert "at most 500 parts" in refusal(f"a IN ({', '.join(['1'] * (MOST_PARTS - 1))})")
    parse(" OR ".join(["a=1"] * 150))
    too_deep = "at most 32 levels of nesting"
    parse("(" * MOST_DEPTH + "a" + ")" * MOST_DEPTH)
    for text in (
        "(" * 2000 + "a",
        "NOT " * 1000 + "a",
        "-" * 4000 + "a",
        "F(" * 1000,
        "a IN (" * 600,
        "a" + "+a" * 200,
        "a" + " AND a OR a" * 100,
        "a" + " LIKE ''" * 200,
    ):
        assert too_deep in refusal(text)
    with pytest.raises(FilterTooLarge) as refused:
        parse("-" * 4000 + "a")
    assert "嵌套层数不得超过 32" in refused.value.message("zh")


PIECES = [
    *KEYWORDS,
    *("a", "type", "LENGTH", "CONCAT_WS", "x1", "12", "2147483648", "'b'", '"%_"', "'", "\\", "_"),
    *("(", ")", ",", "=", "!=", "<>", "<", ">=", "+", "-", "*", "/", "%", " ", "\n", "静", "\0"),
]


@settings(max_examples=400, deadline=None)
@given(st.text() | st.lists(st.sampled_from(PIECES), max_size=20).map(" ".join))
def test_any_text_is_a_filter_or_refused(text: str) -> None:
    try:
        wanted = Filter.parse(text)
    except FilterRefused:
        return
    # And a filter does not fail otherwise than by saying so.
    value, error = wanted.evaluate({"a": "1", "type": True, "x1": 7})
    assert wanted.matches({"a": "1", "type": True, "x1": 7}) is (value is True and error is None)
    assert parse(str(wanted)) == parse(text)


# Every string that a literal can denote: a backslash is never alone before a quotation mark.
STRINGS = st.text(st.sampled_from("ab%_'\"\\静\n"), max_size=6).map(
    lambda text: text.replace("\\", "\\\\")
)
NAMES = st.sampled_from(["a", "type", "x1", "1x", "subject"])
LEAVES = (
    st.builds(Literal, STRINGS | st.integers(-(2**31), 2**31 - 1) | st.booleans())
    | st.builds(Attribute, NAMES)
    | st.builds(Exists, NAMES)
)


def branches(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    some = st.lists(inner, min_size=2, max_size=3).map(tuple)
    return st.one_of(
        st.builds(Not, inner),
        st.builds(Negate, inner),
        st.builds(Logical, st.sampled_from(["AND", "OR", "XOR"]), some),
        st.builds(Comparison, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), inner, inner),
        st.builds(Arithmetic, st.sampled_from(["+", "-", "*", "/", "%"]), inner, inner),
        st.builds(Like, inner, STRINGS, st.booleans()),
        st.builds(In, inner, some, st.booleans()),
        st.builds(Call, st.sampled_from(["LENGTH", "CONCAT_WS", "F"]), st.just(()) | some),
    )


@settings(max_examples=400, deadline=None)
@given(st.recursive(LEAVES, branches, max_leaves=12))
def test_what_is_written_back_is_read_as_the_same(node: Node) -> None:
    # By their names too: for Python, 1 and True are equal.
    assert repr(parse(write(node))) == repr(node)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a or b and c", "(a OR b) AND c"),
        ("a and b and c", "a AND b AND c"),
        ("a and (b and c)", "a AND (b AND c)"),
        ("-(5)", "-(5)"),
        ("--5", "--5"),
        ("- 5", "-(5)"),
        ("not (a like 'x') = (1 + 2) * 3", "NOT (a LIKE 'x') = (1 + 2) * 3"),
        ("1 - (2 - 3) <> +4", "1 - (2 - 3) != 4"),
        ('"it\'s"', r"'it\'s'"),
        (r'"it\'s"', r'"it\'s"'),
        ("length ( a )not in( 1 )", "LENGTH(a) NOT IN (1)"),
    ],
)
def test_writing(text: str, written: str) -> None:
    assert str(Filter.parse(text)) == written


def test_no_literal_denotes_a_lone_backslash_at_the_end() -> None:
    with pytest.raises(ValueError, match="no literal"):
        write(Literal("a\\"))
