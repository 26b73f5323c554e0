"""Spoilt messages: made from good ones, the same ones in every run.

The n-th spoilt message of a name depends on nothing but the name and n, so that the one that broke
something is made again alone.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

_TROUBLE = (
    b"",
    b"\x00",
    b"\xff" * 11,  # a varint without an end
    b"\x0a\xff\xff\xff\xff\x0f",  # four gigabytes are said to follow
    b"\x0b" * 200,  # groups within groups
    b"\r\n",
    b"\xed\xa0\x80",  # half of a surrogate pair
    b"-1",
    b"99999999999999999999",
    b"%s%n\x1b[2J",
    "长".encode() * 50,
)


def spoilt(name: str, number: int, good: Sequence[bytes]) -> bytes:
    """The `number`-th spoilt message of a name, made from one or two of the good ones."""
    rng = random.Random(f"{name}/{number}")  # noqa: S311 - reproducible on purpose
    data = rng.choice(good)
    if rng.random() < 0.05:
        return rng.randbytes(rng.randrange(200))
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        data = _spoil(rng, data, good)
    return data


def _spoil(rng: random.Random, data: bytes, good: Sequence[bytes]) -> bytes:  # noqa: PLR0911 - a table
    start, end = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
    match rng.randrange(7):
        case 0 if data:  # a bit flips
            at = rng.randrange(len(data))
            return data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        case 1:  # cut short
            return data[:start]
        case 2:  # a part is lost
            return data[:start] + data[end:]
        case 3:  # a part comes many times
            return data[:start] + data[start:end] * rng.choice((2, 3, 40)) + data[end:]
        case 4:  # the end of another
            other = rng.choice(good)
            return data[:start] + other[rng.randrange(len(other) + 1) :]
        case 5:  # something that often makes trouble
            return data[:start] + rng.choice(_TROUBLE) + data[start:]
        case _:  # anything
            return data[:start] + rng.randbytes(rng.randrange(1, 9)) + data[end:]


def all_spoilt(name: str, count: int, good: Sequence[bytes]) -> Iterator[tuple[int, bytes]]:
    """So many of them, with their numbers."""
    for number in range(count):
        yield number, spoilt(name, number, good)
