"""What an expression means, section by section of CloudEvents SQL 1.0.0."""

from __future__ import annotations

from typing import Any

import pytest

from eldex.exchange.domain.cesql.errors import EvaluationError
from eldex.exchange.domain.cesql.filters import Filter
from eldex.exchange.domain.cesql.functions import MOST_CHARACTERS

DEATH: dict[str, str | int | bool] = {
    "specversion": "1.0",
    "id": "0193",
    "source": "/eldex/registry",
    "type": "eldex.api.registry.v1.ResidentDeceased",
    "subject": "resident/7f3a",
    "division": "310115003",
    "sequence": "17",
    "hop": 3,
    "urgent": True,
    "note": "  静安 \u001c",
}

VALUES: dict[str, list[tuple[str, object]]] = {
    "literals": [
        ("'a'", "a"),
        ('"a"', "a"),
        ("''", ""),
        (r"'it\'s'", "it's"),
        (r'"it\'s"', r"it\'s"),
        (r"'a\b'", r"a\b"),
        (r"'a\\'", r"a\\"),
        ("'静安\n区'", "静安\n区"),
        ("+7", 7),
        ("007", 7),
        ("-2147483648", -2147483648),
        ("2147483647", 2147483647),
        ("tRUE", True),
    ],
    "attributes": [
        ("hop", 3),
        ("urgent", True),
        ("HOP", 3),
        ("EXISTS subject", True),
        ("EXISTS dataschema", False),
        ("NOT EXISTS dataschema", True),
        ("exists Source", True),
    ],
    "equality casts the left side to the type of the right": [
        ("sequence = 17", True),
        ("17 = sequence", True),
        ("'017' = 17", True),
        ("17 = '017'", False),
        ("'TRUE' = true", True),
        ("true = 'TRUE'", False),
        ("urgent = 'true'", True),
        ("urgent = 1", True),
        ("5 = true", True),
        ("true = 5", False),
        ("hop = hop", True),
        ("sequence = hop", False),
        ("urgent <> FALSE", True),
        ("'a' != 'A'", True),
    ],
    "order is of integers": [
        ("sequence > 9", True),
        ("'9' < '10'", True),
        ("hop <= 3 AND hop >= 3", True),
        ("TRUE > FALSE", True),
    ],
    "arithmetic": [
        ("7 / 2", 3),
        ("-7 / 2", -3),
        ("7 / -2", -3),
        ("-7 % 2", -1),
        ("7 % -2", 1),
        ("7 - 2 - 1", 4),
        ("7-2", 5),
        ("7 -2", 5),
        ("7--2", 9),
        ("- 7 + 2", -5),
        ("-(7 + 2)", -9),
        ("'7' + TRUE", 8),
        ("-sequence", -17),
    ],
    "logic": [
        ("TRUE AND 1", True),
        ("FALSE OR 0", False),
        ("NOT 10", False),
        ("NOT 0", True),
        ("TRUE XOR TRUE XOR TRUE", True),
        ("FALSE AND FALSE AND missing", False),
        ("TRUE AND FALSE AND missing", False),
        ("FALSE OR TRUE OR missing", True),
        ("hop AND urgent", True),
    ],
    "precedence": [
        ("TRUE OR TRUE AND FALSE", False),
        ("FALSE AND TRUE OR TRUE", True),
        ("TRUE OR (TRUE AND FALSE)", True),
        ("TRUE XOR TRUE OR TRUE", True),
        ("2 + 3 * 4", 14),
        ("2 * 3 % 4", 2),
        ("1 + 1 = 2", True),
        ("3 > 2 = TRUE", True),
        ("1 = 1 AND 2 = 3", False),
        ("NOT 5 = 7", False),
        ("NOT (5 = 7)", True),
        ("NOT TRUE LIKE 'x'", False),
        ("2 * 3 IN (6)", 0),
        ("(2 * 3) IN (6)", True),
        ("hop + 1 IN (4)", 3),
        ("hop LIKE '3' IN (TRUE)", True),
        ("-hop IN (-3)", True),
        ("-10 LIKE '-1_'", True),
    ],
    "LIKE": [
        ("type LIKE 'eldex.api.registry.%'", True),
        ("type LIKE '%Deceased'", True),
        ("type LIKE '%.registry.%'", True),
        ("type NOT LIKE '%medical%'", True),
        ("division LIKE '3101%3'", True),
        ("'abab' LIKE 'ab%ab'", True),
        ("'ab' LIKE 'ab%ab'", False),
        ("'ab' LIKE '%%%'", True),
        ("'' LIKE '%'", True),
        ("'' LIKE '_'", False),
        ("'a.c' LIKE 'a.c'", True),
        ("'abc' LIKE 'a.c'", False),
        ("'静安区' LIKE '静_区'", True),
        ("'a\nb' LIKE 'a_b'", True),
        ("'a\nb\n' LIKE 'a%b'", False),
        ("'ABC' LIKE 'abc'", False),
        (r"'50%' LIKE '50\%'", True),
        (r"'500' LIKE '50\%'", False),
        (r"'a_b' LIKE 'a\_b'", True),
        (r"'a\b' LIKE 'a\b'", True),
        (r"'a\%' LIKE 'a\\%'", True),
        (r"'a\\x' LIKE 'a\\%'", False),
        ("12 LIKE '1_'", True),
        ("urgent LIKE 'tr%'", True),
    ],
    "IN casts the elements to the type of the left side": [
        ("division IN ('310115003', '310104')", True),
        ("division IN (310115003)", True),
        ("division NOT IN ('310104')", True),
        ("hop IN ('3', 4)", True),
        ("urgent IN (0, 'TRUE')", True),
        ("'TRUE' IN (true)", False),
        ("sequence IN (hop, 10 + 7)", True),
        ("id IN (subject, division)", False),
        ("(hop + 1) IN (4)", True),
    ],
    "functions": [
        ("length(subject)", 13),
        ("LENGTH(17)", 2),
        ("CONCAT()", ""),
        ("CONCAT('a', 1, TRUE)", "a1true"),
        ("CONCAT_WS('-', 'a', 'b')", "a-b"),
        ("CONCAT_WS('-')", ""),
        ("LOWER('ÄB')", "äb"),
        ("UPPER('äb')", "ÄB"),
        ("TRIM(note)", "静安 \u001c"),
        ("TRIM('\u3000\u00a0a\u2003')", "a"),
        ("LEFT(division, 4)", "3101"),
        ("LEFT('ab', 9)", "ab"),
        ("RIGHT(division, 3)", "003"),
        ("RIGHT('ab', 0)", ""),
        ("RIGHT('ab', 9)", "ab"),
        ("SUBSTRING('abcdef', 2)", "bcdef"),
        ("SUBSTRING('abcdef', -2)", "ef"),
        ("SUBSTRING('abcdef', 0)", ""),
        ("SUBSTRING('', 0)", ""),
        ("SUBSTRING('abcdef', 2, 3)", "bcd"),
        ("SUBSTRING('abcdef', -2, 9)", "ef"),
        ("SUBSTRING('abcdef', 6, 0)", ""),
        ("ABS(-5)", 5),
        ("INT('-05')", -5),
        ("INT(TRUE)", 1),
        ("BOOL('False')", False),
        ("BOOL(-1)", True),
        ("STRING(FALSE)", "false"),
        ("STRING(-5)", "-5"),
        ("INT(sequence) < INT('20') and int(hop) < 1000", True),
    ],
}

FAILURES: dict[str, list[tuple[str, object, str]]] = {
    "a missing attribute: the zero value of the whole": [
        ("missing", False, "missingAttribute"),
        ("missing = ''", False, "missingAttribute"),
        ("'' != missing", False, "missingAttribute"),
        ("missing = missing", False, "missingAttribute"),
        ("NOT missing", False, "missingAttribute"),
        ("NOT (missing = 1)", False, "missingAttribute"),
        ("missing * 5", 0, "missingAttribute"),
        ("1 / missing", 0, "missingAttribute"),
        ("-missing", 0, "missingAttribute"),
        ("LENGTH(missing)", 0, "missingAttribute"),
        ("CONCAT('a', missing)", "", "missingAttribute"),
        ("missing LIKE '%'", False, "missingAttribute"),
        ("missing NOT LIKE '%'", False, "missingAttribute"),
        ("missing NOT IN ('a')", False, "missingAttribute"),
        ("id IN (id, missing)", False, "missingAttribute"),
        ("TRUE AND missing", False, "missingAttribute"),
        ("missing OR TRUE", False, "missingAttribute"),
        ("TRUE XOR missing", False, "missingAttribute"),
    ],
    "a cast that is impossible": [
        ("'many' + 1", 0, "cast"),
        ("subject = 5", False, "cast"),
        ("subject = TRUE", False, "cast"),
        ("subject = hop", False, "cast"),
        ("subject < 5", False, "cast"),
        ("NOT subject", False, "cast"),
        ("TRUE AND 'yes'", False, "cast"),
        ("hop IN (3, 'many')", False, "cast"),
        ("hop NOT IN ('many', subject)", False, "cast"),
        ("INT('')", 0, "cast"),
        ("INT(' 5')", 0, "cast"),
        ("INT('5_0')", 0, "cast"),
        ("INT('٣')", 0, "cast"),
        ("INT('2147483648')", 0, "cast"),
        ("INT('--5')", 0, "cast"),
        ("BOOL('yes')", False, "cast"),
        ("NOT subject = 'x'", False, "cast"),
    ],
    "a calculation without a result": [
        ("5 / 0", 0, "math"),
        ("5 % 0", 0, "math"),
        ("1 + 5 / 0", 0, "math"),
        ("TRUE AND (1 != 1 / 0)", False, "math"),
        ("2147483647 + 1", 0, "math"),
        ("-2147483648 - 1", 0, "math"),
        ("65536 * 65536", 0, "math"),
        ("-2147483648 / -1", 0, "math"),
        ("--2147483648", 0, "math"),
        ("ABS(-2147483648)", 2147483647, "math"),
        ("(ABS(-2147483648))", 2147483647, "math"),
        ("ABS(-2147483648) + 0", 0, "math"),
    ],
    "a function that cannot do it, or is not there": [
        ("LEFT('abc', -2)", "abc", "functionEvaluation"),
        ("RIGHT('abc', -2)", "abc", "functionEvaluation"),
        ("LEFT(LEFT('abc', -2), 1)", "", "functionEvaluation"),
        ("LENGTH(LEFT('abc', -2))", 0, "functionEvaluation"),
        ("SUBSTRING('abc', 4)", "", "functionEvaluation"),
        ("SUBSTRING('abc', -4, 1)", "", "functionEvaluation"),
        ("SUBSTRING('abc', 1, -1)", "", "functionEvaluation"),
        ("CONCAT_WS()", False, "missingFunction"),
        ("LENGTH('a', 'b')", False, "missingFunction"),
        ("STARTS_WITH(missing)", False, "missingFunction"),
        ("1 + STARTS_WITH()", 0, "missingFunction"),
    ],
}


def named(
    cases: dict[str, list[tuple[str, object]]] | dict[str, list[tuple[str, object, str]]],
) -> list[Any]:
    return [
        pytest.param(*case, id=f"{about}: {case[0]}")
        for about, those in cases.items()
        for case in those
    ]


@pytest.mark.parametrize(("expression", "value"), named(VALUES))
def test_value(expression: str, value: object) -> None:
    found, error = Filter.parse(expression).evaluate(DEATH)
    assert error is None
    assert (type(found), found) == (type(value), value)


@pytest.mark.parametrize(("expression", "value", "reason"), named(FAILURES))
def test_failure(expression: str, value: object, reason: str) -> None:
    wanted = Filter.parse(expression)
    found, error = wanted.evaluate(DEATH)
    assert error is not None
    assert error.reason == reason
    assert (type(found), found) == (type(value), value)
    assert not wanted.matches(DEATH)


@pytest.mark.parametrize(
    ("expression", "delivered"),
    [
        ("type LIKE '%.ResidentDeceased' AND division LIKE '3101%'", True),
        ("type LIKE '%.ResidentMoved'", False),
        # True, but something went wrong on the way there.
        ("missing = '' OR TRUE", False),
        ("NOT (missing = '')", False),
        # Neither is the boolean true.
        ("1", False),
        ("'true'", False),
    ],
)
def test_an_event_is_delivered_only_for_true_without_an_error(
    expression: str, delivered: bool
) -> None:
    assert Filter.parse(expression).matches(DEATH) is delivered


def test_what_went_wrong_is_said_in_both_languages_without_the_value() -> None:
    def error(expression: str) -> EvaluationError:
        found = Filter.parse(expression).evaluate(DEATH | {"subject": "310115193601011234"})[1]
        assert found is not None
        return found

    assert str(error("subject > 1")) == "cast: the string cannot be cast to Integer"
    assert error("subject > 1").message("zh") == "该字符串不能转换为 Integer"
    assert error("birth = 1").message() == "the event has no attribute birth"
    assert error("birth = 1").message("zh") == "事件没有属性 birth"
    assert error("F()").message() == "there is no function F of 0 argument(s)"
    assert error("1 / 0").message("zh") == "运算 / 没有 32 位整数结果"
    assert error("LEFT('', -1)").message("zh") == "函数 LEFT 的参数超出范围"


def test_a_filter_says_every_attribute_that_it_could_reveal() -> None:
    wanted = Filter.parse(
        "type = 'a' OR (EXISTS Subject AND FALSE) OR LEFT(division, hop) IN (urgent, 'x') "
        "OR NOT -sequence LIKE '%' OR missing NOT LIKE 'note'"
    )
    assert wanted.attributes == {
        *("type", "subject", "division", "hop", "urgent", "sequence", "missing")
    }
    assert Filter.parse("'type' = 'x'").attributes == frozenset()


def test_a_filter_says_which_functions_do_not_exist() -> None:
    wanted = Filter.parse("starts_with(type, 'a') OR LENGTH() = 1 OR LENGTH('a') = 1")
    assert wanted.unknown_functions == {"STARTS_WITH", "LENGTH"}
    assert Filter.parse("CONCAT('a', 'b', 'c') = ''").unknown_functions == frozenset()


def test_no_short_filter_makes_a_long_text() -> None:
    text = "'ab'"
    for _ in range(20):
        text = f"CONCAT_WS({text}, '', '', '', '', '', '', '')"
    value, error = Filter.parse(f"LENGTH({text}) > 0").evaluate(DEATH)
    assert (value, error and error.reason) == (False, "functionEvaluation")
    longest = {"subject": "x" * (MOST_CHARACTERS // 2)}
    assert Filter.parse("LENGTH(CONCAT(subject, subject))").evaluate(longest) == (65_536, None)


def test_an_attribute_of_another_type_is_a_string() -> None:
    class Instant(str):
        __slots__ = ()

    assert Filter.parse("time = '2026-11-25' AND time IN ('2026-11-25')").matches(
        {"time": Instant("2026-11-25")}
    )


def test_two_filters_that_say_the_same_are_equal() -> None:
    one, other = Filter.parse("a='x' and not b<>1"), Filter.parse('(A = "x") AND (NOT b) != +1')
    assert one == other
    assert len({one, other}) == 1
    assert one != Filter.parse("a = 'x'")
    assert str(one) == "a = 'x' AND NOT b != 1"
    assert repr(one) == "Filter.parse(\"a = 'x' AND NOT b != 1\")"
