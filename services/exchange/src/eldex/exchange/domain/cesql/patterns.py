"""The patterns of LIKE (§3.4.3), matched in time bounded by the text times the pattern."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_ONE, _MANY = "_", "%"


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    r"""A test for texts: `%` is any text, `_` any character, `\%` and `\_` are themselves.

    A backslash before anything else stands for itself.
    """
    first, *others = _segments(pattern)
    source = first
    if others:
        *middle, last = others
        # A segment in the middle is best taken at its first place: what follows has most room
        # then. So each is an atomic group, never tried again at another place; that keeps a row
        # of `%` from being exponential.
        source += "".join(f"(?>.*?{segment})" for segment in middle if segment) + ".*" + last
    whole = re.compile(source, re.DOTALL).fullmatch
    return lambda text: whole(text) is not None


def _segments(pattern: str) -> list[str]:
    """What stands between the `%`, as regular expressions of a fixed length."""
    segments = [""]
    for character, escaped in _characters(pattern):
        if character == _MANY and not escaped:
            segments.append("")
        elif character == _ONE and not escaped:
            segments[-1] += "."
        else:
            segments[-1] += re.escape(character)
    return segments


def _characters(pattern: str) -> Iterator[tuple[str, bool]]:
    position = 0
    while position < len(pattern):
        escaped = pattern.startswith(("\\" + _ONE, "\\" + _MANY), position)
        position += escaped
        yield pattern[position], escaped
        position += 1
