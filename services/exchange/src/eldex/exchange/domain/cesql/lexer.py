"""A filter's text cut into words, numbers, strings and symbols (§2)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

KEYWORDS = frozenset("AND OR XOR NOT LIKE EXISTS IN TRUE FALSE".split())


class Sort(Enum):
    """What a token is, and how it is called when it stands in the wrong place."""

    KEYWORD = ("a keyword", "关键字")
    NAME = ("a name", "名称")
    INTEGER = ("a number", "数字")
    STRING = ("a string", "字符串")
    SYMBOL = ("a symbol", "符号")
    UNCLOSED = ("a string without end", "未结束的字符串")
    UNKNOWN = ("a character without meaning here", "无意义的字符")
    END = ("the end", "结尾")


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the text; keywords are in upper case, and columns count from 1."""

    sort: Sort
    text: str
    column: int

    @property
    def end(self) -> int:
        """The column after it."""
        return self.column + len(self.text)


# A backslash is taken with what follows it, so that of two the second escapes nothing.
_STRING = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_TOKEN = re.compile(
    rf"""
    (?P<space>[ \t\r\n]+)
    | (?P<word>[A-Za-z0-9_]+)
    | (?P<string>{_STRING})
    | (?P<symbol><=|>=|<>|!=|[=<>+*/%(),-])
    | (?P<unclosed>['"])
    | (?P<unknown>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_SORTS = {
    "string": Sort.STRING,
    "symbol": Sort.SYMBOL,
    "unclosed": Sort.UNCLOSED,
    "unknown": Sort.UNKNOWN,
}


def tokenize(text: str) -> list[Token]:
    """All tokens, an END last. What is none is a token too: the parser knows what it wanted."""
    tokens = []
    for match in _TOKEN.finditer(text):
        kind, piece, column = match.lastgroup, match[0], match.start() + 1
        if kind == "word":
            tokens.append(_word(piece, column))
        elif kind is not None and kind != "space":
            tokens.append(Token(_SORTS[kind], piece, column))
    tokens.append(Token(Sort.END, "", len(text) + 1))
    return tokens


def _word(piece: str, column: int) -> Token:
    if piece.isdecimal():
        return Token(Sort.INTEGER, piece, column)
    if piece.upper() in KEYWORDS:
        return Token(Sort.KEYWORD, piece.upper(), column)
    return Token(Sort.NAME, piece, column)


def unquote(literal: str) -> str:
    """The string that a literal, with its delimiters, denotes (§2.2)."""
    delimiter = literal[0]

    def unescaped(pair: re.Match[str]) -> str:
        return delimiter if pair[1] == delimiter else pair[0]

    return re.sub(r"\\(.)", unescaped, literal[1:-1], flags=re.DOTALL)


def quote(value: str) -> str:
    """A literal that denotes a string; raises `ValueError` where there is none."""
    for delimiter in ("'", '"'):
        literal = delimiter + value.replace(delimiter, "\\" + delimiter) + delimiter
        if re.fullmatch(_STRING, literal, re.DOTALL) and unquote(literal) == value:
            return literal
    raise ValueError("no literal denotes this string")
