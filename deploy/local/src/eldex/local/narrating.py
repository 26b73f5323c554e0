"""How the demo speaks: everything officials read is in 中文 and English, from one text.

`ELDEX_LANG` chooses: `both` (without it), `zh` or `en`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from eldex.local.stack import BadSetting

if TYPE_CHECKING:
    from eldex.local.field import Seen, Told

Language = Literal["zh", "en"]
_CHOICES: dict[str, tuple[Language, ...]] = {"both": ("zh", "en"), "zh": ("zh",), "en": ("en",)}


class Words(NamedTuple):
    """The same in both languages."""

    zh: str
    en: str

    def within(self, language: Language) -> str:
        """The text in one of them."""
        return self.zh if language == "zh" else self.en


def languages(env: Mapping[str, str] = os.environ) -> tuple[Language, ...]:
    """Those to speak, in their order. Raises `BadSetting`."""
    asked = env.get("ELDEX_LANG") or "both"
    if asked not in _CHOICES:
        raise BadSetting(f"ELDEX_LANG={asked!r}: give {', '.join(_CHOICES)}")
    return _CHOICES[asked]


def said(zh: str, en: str) -> str:
    """A short text on one line, in the languages to speak."""
    return " · ".join(Words(zh, en).within(language) for language in languages())


POLICE = Words("公安", "police")
CIVIL_AFFAIRS = Words("民政", "civil affairs")
INSURANCE = Words("医保", "medical insurance")
HEALTH = Words("卫生健康", "health")
MARKET = Words("市场监管", "market regulation")
SUBSIDIES = Words("补贴发放", "subsidies")
INSTITUTIONS = Words("养老机构管理", "institutions")
PARTNER = Words("合作城市", "partner city")


class Narrator(Protocol):
    """Whoever tells the story while it happens."""

    def begin(self, title: Words) -> None:
        """A story begins."""

    def act(self, who: Words, what: Words, told: Told) -> None:
        """A department did something."""

    def effect(self, where: Words, what: Words, seen: Seen, since: float) -> None:
        """Something followed, so long after `since` (`time.perf_counter()`)."""

    def remark(self, text: Words) -> None:
        """Something else worth saying."""


class Silent:
    """Says nothing; for tests."""

    def begin(self, title: Words) -> None:
        """Say nothing."""

    def act(self, who: Words, what: Words, told: Told) -> None:
        """Say nothing."""

    def effect(self, where: Words, what: Words, seen: Seen, since: float) -> None:
        """Say nothing."""

    def remark(self, text: Words) -> None:
        """Say nothing."""
