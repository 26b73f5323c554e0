"""Numbers as people write them: full-width digits, spaces between groups, a small x."""

from __future__ import annotations

_ASCII = str.maketrans(
    "０１２３４５６７８９"
    "ＡＢＣＤＥＦＧＨＩＪＫＬＭＮＯＰＱＲＳＴＵＶＷＸＹＺ"
    "ａｂｃｄｅｆｇｈｉｊｋｌｍｎｏｐｑｒｓｔｕｖｗｘｙｚ",
    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZ",
)
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u2060\ufeff"))


def normalised(text: str) -> str:
    """Upper case ASCII without white space; what is no letter or digit stays, to be refused."""
    if text.isascii() and text.isalnum():
        return text.upper()
    return "".join(text.translate(_ASCII).translate(_INVISIBLE).split()).upper()


def is_digits(text: str) -> bool:
    """Only 0-9: `str.isdigit` alone also takes digits of other scripts and superscripts."""
    return text.isascii() and text.isdigit()
