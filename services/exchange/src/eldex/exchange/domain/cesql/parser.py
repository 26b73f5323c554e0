"""From a filter's text to its parts: a Pratt parser, whose table is the precedence of §3.6.

`BINDING` says how tightly what follows an expression holds on to it; an expression grows as long as
that is tighter than what stands on its left.
"""

from __future__ import annotations

import re
from typing import NamedTuple, cast

from eldex.exchange.domain.cesql.errors import FilterInvalid, FilterTooLarge
from eldex.exchange.domain.cesql.lexer import Sort, Token, tokenize, unquote
from eldex.exchange.domain.cesql.syntax import (
    BINDING,
    COMPARISON,
    LOGIC,
    UNARY,
    Arithmetic,
    ArithmeticOperator,
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
    walk,
)
from eldex.exchange.domain.cesql.values import whole_number

MOST_CHARACTERS = 4096
"""How long a filter may be: twenty lines of rules, or a list of three hundred divisions."""
MOST_PARTS = 500
"""How many values, attributes, operators and calls it may have: they all run for every event."""
MOST_DEPTH = 32
"""How deep it may nest; far below what Python's stack holds, above what anybody writes."""

_ATTRIBUTE_NAME = re.compile(r"[A-Za-z0-9]+")
_FUNCTION_NAME = re.compile(r"[A-Za-z][A-Za-z_]*")


class _Wanted(NamedTuple):
    en: str
    zh: str


_VALUE = _Wanted(
    "a value, an attribute, a function, NOT, EXISTS, - or (",
    "值、属性名、函数、NOT、EXISTS、- 或 (",
)
_END = _Wanted("an operator or the end", "运算符或结尾")
_CLOSING = _Wanted("an operator or )", "运算符或 )")
_ELEMENT = _Wanted("an operator, a comma or )", "运算符、逗号或 )")
_OPENING = _Wanted("( and the elements of the set", "( 及集合的元素")
_PATTERN = _Wanted("the pattern, a string in quotes", "模式，即加引号的字符串")
_LIKE_OR_IN = _Wanted("LIKE or IN", "LIKE 或 IN")
_NAME = _Wanted("the name of an attribute, of letters and digits", "由字母和数字组成的属性名")
_FUNCTION = _Wanted(
    "the name of a function, of letters and underscores", "由字母和下划线组成的函数名"
)
_INTEGER = _Wanted("an integer from -2147483648 to 2147483647", "-2147483648 至 2147483647 的整数")
_QUOTE = _Wanted("a string that ends with its quotation mark", "以引号结束的字符串")


def parse(text: str) -> Node:
    """The parts of a filter; raises `FilterInvalid` or `FilterTooLarge`, and nothing else."""
    if len(text) > MOST_CHARACTERS:
        raise FilterTooLarge(MOST_CHARACTERS, "characters", "字符数")
    parser = _Parser(tokenize(text))
    root = parser.expression(LOGIC)
    parser.finish()
    # A chain of operators grows to the left without the parser going deeper, hence a look at the end.
    for count, (_, depth) in enumerate(walk(root), start=1):
        if count > MOST_PARTS:
            raise FilterTooLarge(MOST_PARTS, "parts", "组成部分")
        if depth > MOST_DEPTH:
            raise _too_deep()
    return root


def _too_deep() -> FilterTooLarge:
    return FilterTooLarge(MOST_DEPTH, "levels of nesting", "嵌套层数")


class _Parser:
    """Goes through the tokens once."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = tokens
        self._position = 0
        self._depth = 0

    @property
    def _token(self) -> Token:
        return self._tokens[self._position]

    def _take(self) -> Token:
        token = self._token
        self._position += 1
        return token

    def _took(self, text: str) -> bool:
        """Take a symbol or keyword if it is the next token."""
        if self._token.sort in {Sort.SYMBOL, Sort.KEYWORD} and self._token.text == text:
            self._position += 1
            return True
        return False

    def _expect(self, text: str, wanted: _Wanted) -> None:
        if not self._took(text):
            raise self._refusal(self._token, wanted)

    @staticmethod
    def _refusal(token: Token, wanted: _Wanted) -> FilterInvalid:
        if token.sort is Sort.UNCLOSED:
            # Whatever was wanted: the string would have swallowed it.
            wanted = _QUOTE
        found, found_zh = token.sort.value
        if token.sort in {Sort.SYMBOL, Sort.KEYWORD}:
            found = found_zh = token.text
        return FilterInvalid(
            token.column,
            expected=wanted.en,
            expected_zh=wanted.zh,
            found=found,
            found_zh=found_zh,
        )

    def finish(self) -> None:
        """Make sure that nothing is left."""
        if self._token.sort is not Sort.END:
            raise self._refusal(self._token, _END)

    def expression(self, least: int) -> Node:
        """What is ahead, as far as it binds at least so tightly."""
        left = self._prefix()
        chain: list[Node] = []
        while (binding := self._binding()) >= least:
            token = self._take()
            if binding == LOGIC:
                right = self.expression(LOGIC + 1)
                # Only what grew here is lengthened: brackets made another part.
                same = bool(chain) and cast(Logical, left).operator == token.text
                chain = [*chain, right] if same else [left, right]
                left = Logical(cast(LogicalOperator, token.text), tuple(chain))
            else:
                left = self._operation(left, token, binding)
        return left

    def _binding(self) -> int:
        token = self._token
        return BINDING.get(token.text, 0) if token.sort in {Sort.SYMBOL, Sort.KEYWORD} else 0

    def _operation(self, left: Node, token: Token, binding: int) -> Node:
        match token.text:
            case "LIKE":
                return self._like(left, negated=False)
            case "IN":
                return self._in(left, negated=False)
            case "NOT":
                if self._took("LIKE"):
                    return self._like(left, negated=True)
                self._expect("IN", _LIKE_OR_IN)
                return self._in(left, negated=True)
        right = self.expression(binding + 1)
        if binding == COMPARISON:
            operator = "!=" if token.text == "<>" else token.text
            return Comparison(cast(ComparisonOperator, operator), left, right)
        return Arithmetic(cast(ArithmeticOperator, token.text), left, right)

    def _like(self, operand: Node, *, negated: bool) -> Node:
        token = self._take_or_refuse(Sort.STRING, _PATTERN)
        return Like(operand, unquote(token.text), negated)

    def _in(self, operand: Node, *, negated: bool) -> Node:
        self._expect("(", _OPENING)
        return In(operand, self._list(), negated)

    def _list(self) -> tuple[Node, ...]:
        """One or more expressions and the closing bracket."""
        found = [self._nested(LOGIC)]
        while self._took(","):
            found.append(self._nested(LOGIC))
        self._expect(")", _ELEMENT)
        return tuple(found)

    def _nested(self, least: int) -> Node:
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise _too_deep()
        found = self.expression(least)
        self._depth -= 1
        return found

    def _prefix(self) -> Node:
        token = self._token
        if token.sort is Sort.NAME:
            return self._name(self._take())
        if token.sort is Sort.STRING:
            return Literal(unquote(self._take().text))
        if token.sort is Sort.INTEGER:
            return self._integer(self._take(), sign="", column=token.column)
        if token.sort in {Sort.SYMBOL, Sort.KEYWORD}:
            return self._leading(token)
        raise self._refusal(token, _VALUE)

    def _leading(self, token: Token) -> Node:
        match token.text:
            case "TRUE" | "FALSE":
                return Literal(self._take().text == "TRUE")
            case "+" | "-" if self._is_sign(token):
                sign = self._take()
                return self._integer(self._take(), sign=sign.text, column=sign.column)
            case "-":
                self._take()
                return Negate(self._nested(UNARY))
            case "NOT":
                self._take()
                return Not(self._nested(UNARY))
            case "EXISTS":
                self._take()
                name = self._take_or_refuse(Sort.NAME, _NAME)
                return Exists(self._attribute_name(name))
            case "(":
                self._take()
                inside = self._nested(LOGIC)
                self._expect(")", _CLOSING)
                return inside
        raise self._refusal(token, _VALUE)

    def _is_sign(self, token: Token) -> bool:
        # A sign belongs to the literal (§2.2), and stands right before the digits.
        after = self._tokens[self._position + 1]
        return after.sort is Sort.INTEGER and after.column == token.end

    def _integer(self, token: Token, *, sign: str, column: int) -> Node:
        number = whole_number(sign + token.text)
        if number is None:
            raise self._refusal(Token(Sort.INTEGER, token.text, column), _INTEGER)
        return Literal(number)

    def _name(self, token: Token) -> Node:
        if self._took("("):
            if not _FUNCTION_NAME.fullmatch(token.text):
                raise self._refusal(token, _FUNCTION)
            arguments = () if self._took(")") else self._list()
            return Call(token.text.upper(), arguments)
        return Attribute(self._attribute_name(token))

    def _attribute_name(self, token: Token) -> str:
        if not _ATTRIBUTE_NAME.fullmatch(token.text):
            raise self._refusal(token, _NAME)
        return token.text.lower()

    def _take_or_refuse(self, sort: Sort, wanted: _Wanted) -> Token:
        if self._token.sort is not sort:
            raise self._refusal(self._token, wanted)
        return self._take()
