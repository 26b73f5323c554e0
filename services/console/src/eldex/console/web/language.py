"""中文 and English: the words of the pages, from a committed catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final, get_args

from babel.messages.pofile import read_po
from starlette.requests import Request

from eldex.common.errors import Language
from eldex.common.rpc.call import language_of

COOKIE: Final = "eldex_language"
CATALOGUE: Final = Path(__file__).parent / "locale" / "zh.po"
"""Message ids are the English text."""


def choose(request: Request) -> Language:
    """What the reader chose here, else what their browser asks for."""
    chosen = request.cookies.get(COOKIE, "")
    if chosen in get_args(Language):
        return "zh" if chosen == "zh" else "en"
    return language_of(request.headers.get("accept-language", ""))


@cache
def _chinese() -> Mapping[str, str]:
    with CATALOGUE.open("rb") as file:
        catalogue = read_po(file, locale="zh")
    return {str(m.id): str(m.string) for m in catalogue if m.id and m.string and not m.fuzzy}


def translate(text: str, language: Language) -> str:
    """The text in a language; what the catalogue lacks stays English."""
    return _chinese().get(text, text) if language == "zh" else text
