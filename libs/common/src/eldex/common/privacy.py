"""The last net: what looks like an identity number is taken out of texts that leave or stay."""

from __future__ import annotations

import re

_IDENTITY_NUMBER = re.compile(
    # 18 characters, also grouped, in full width, or with a letter touching it (`ID1101…`): what spares
    # trace ids, which are hexadecimal, is that month and day must be possible.
    r"(?<!\d)[1-9１-９]\d{5}[ -]?[12１２]\d{3}"
    r"(?:[0０]\d|[1１][0-2０-２])(?:[0-2０-２]\d|[3３][01０１])[ -]?\d{3}[\dXxＸｘ](?!\d)"
    # 15 digits.
    r"|(?<![0-9A-Za-z.])[1-9]\d{14}(?![0-9A-Za-z])"
)


def masked(text: str) -> str:
    """The text with everything that looks like an identity number taken out."""
    return _IDENTITY_NUMBER.sub("<identity-number>", text)
