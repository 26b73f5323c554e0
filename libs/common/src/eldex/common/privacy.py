"""The last net: what looks like an identity number is taken out of texts that leave or stay."""

from __future__ import annotations

import re

GAP = r"[\s\u00ad\u200b-\u200d\u2010-\u2015\u2060\u2212\ufeff－＿_.．·・/／-]"
"""What people and editors put between the groups of a number: blanks, dashes, dots."""
_GAP = GAP + "{0,3}"
_MONTH = r"(?:[0０]\d|[1１][0-2０-２])"
_DAY = r"(?:[0-2０-２]\d|[3３][01０１])"

_IDENTITY_NUMBER = re.compile(
    # 18 characters, also in groups, in full width, or with a letter touching them (`ID1101…`): what
    # spares trace ids, which are hexadecimal, is that month and day must be possible.
    rf"(?<!\d)[1-9１-９]\d{{5}}{_GAP}[12１２]\d{{3}}{_GAP}{_MONTH}{_GAP}{_DAY}{_GAP}"
    rf"\d{{3}}{_GAP}[\dXxＸｘ](?!\d)"
    # 15 digits in one piece, whatever they say; in groups if month and day are possible.
    r"|(?<![0-9A-Za-z.])[1-9１-９]\d{14}(?![0-9A-Za-z])"
    rf"|(?<![\dA-Za-z.])[1-9１-９]\d{{5}}{_GAP}\d\d{_GAP}{_MONTH}{_GAP}{_DAY}{_GAP}\d{{3}}"
    r"(?![\dA-Za-z])"
)


def masked(text: str) -> str:
    """The text with everything that looks like an identity number taken out."""
    return _IDENTITY_NUMBER.sub("<identity-number>", text)


def quotes_identity_number(text: str) -> bool:
    """Whether the text has something that looks like an identity number."""
    return _IDENTITY_NUMBER.search(text) is not None
