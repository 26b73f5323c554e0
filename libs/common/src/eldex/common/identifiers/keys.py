"""Opaque keys: what events, URLs and logs call a thing whose real number is nobody's business."""

from __future__ import annotations

import os
import re
import time

_PREFIX = re.compile(r"[a-z]{2,12}")
_KEY = re.compile(r"[a-z]{2,12}_[0-9a-v]{26}")
ENTROPY_BYTES = 10
_DIGITS = "0123456789abcdefghijklmnopqrstuv"
_PAIRS = [one + other for one in _DIGITS for other in _DIGITS]
_SHIFTS = range(120, -1, -10)


def new_key(prefix: str, *, at_ms: int | None = None, entropy: bytes | None = None) -> str:
    """A new key such as `res_06c3…`: sortable by time, safe in a URL, unique by itself.

    48 bits of milliseconds since 1970, then 80 random bits (the layout of UUIDv7 without its
    version marks), in 26 characters of base32hex, whose order is the order of time. A test passes
    `at_ms` and `entropy` (10 bytes) to get the same key again.
    """
    if not _PREFIX.fullmatch(prefix):
        raise ValueError(f"a key prefix has 2 to 12 small letters, not {prefix!r}")
    moment = time.time_ns() // 1_000_000 if at_ms is None else at_ms
    random = os.urandom(ENTROPY_BYTES) if entropy is None else entropy
    if len(random) != ENTROPY_BYTES:
        raise ValueError(f"entropy must be {ENTROPY_BYTES} bytes, not {len(random)}")
    # 128 bits and two of padding, ten at a time: a third of what `base64.b32hexencode` takes.
    bits = int.from_bytes(moment.to_bytes(6, "big") + random, "big") << 2
    return f"{prefix}_" + "".join([_PAIRS[bits >> shift & 1023] for shift in _SHIFTS])


def is_key(text: str, prefix: str) -> bool:
    """Whether a text is a key of that kind."""
    return text.startswith(f"{prefix}_") and _KEY.fullmatch(text) is not None
