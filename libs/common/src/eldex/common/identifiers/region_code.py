"""Codes of divisions (区划代码): GB/T 2260 to the county, the statistical code below it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers._text import is_digits, normalised

_CUT = {12: 9, 9: 6, 6: 4, 4: 2}


class InvalidRegionCode(DomainError):
    """The text is no division code."""

    kind = Kind.INVALID
    reason = "REGION_CODE_INVALID"
    zh = "区划代码“{code}”有误：应为 2、4、6、9 或 12 位数字"
    en = "division code {code!r} is malformed: give 2, 4, 6, 9 or 12 digits"

    def __init__(self, code: str) -> None:
        # Somebody may have put an identity number in the wrong field: longer texts are not echoed.
        super().__init__(code=code if len(code) <= 12 else "…")


class RegionLevel(IntEnum):
    """The levels of divisions, higher numbers further down."""

    PROVINCE = 1
    """省级"""
    PREFECTURE = 2
    """地级"""
    COUNTY = 3
    """县级"""
    TOWNSHIP = 4
    """乡级 (街道、镇、乡、苏木)"""
    VILLAGE = 5
    """村级 (村、居委会、嘎查)"""


_LEVELS = {2: 1, 4: 2, 6: 3, 9: 4, 12: 5}


@dataclass(frozen=True, slots=True, order=True)
class RegionCode:
    """A division by its canonical code: the shortest form, without zero groups at its end.

    `511700`, `5117` and `511700000000` are the same prefecture and equal. A division without a
    county between it and its prefecture (a township of 东莞, `441900003`) has the prefecture as
    its parent. The code alone does not say whether the place exists: `Divisions` does.
    """

    value: str

    def __post_init__(self) -> None:
        if _canonical(self.value) != self.value:
            raise InvalidRegionCode(self.value)

    @classmethod
    def parse(cls, text: str) -> RegionCode:
        """Read a code of 2, 4, 6, 9 or 12 digits, zero-padded or not."""
        return _parsed(text)

    @property
    def level(self) -> RegionLevel:
        """Province, prefecture, county, township or village."""
        return RegionLevel(_LEVELS[len(self.value)])

    def parent(self) -> RegionCode | None:
        """The division just above; None above a province."""
        if len(self.value) == 2:
            return None
        return RegionCode(_canonical(self.value[: _CUT[len(self.value)]]))

    def ancestors(self) -> tuple[RegionCode, ...]:
        """The divisions above, nearest first: the order in which a rule is looked up."""
        return _ancestors(self)

    def lineage(self) -> tuple[RegionCode, ...]:
        """The division itself, then its ancestors, nearest first."""
        return (self, *self.ancestors())

    def at(self, level: RegionLevel) -> RegionCode | None:
        """The division of that level which this one is or lies in, None if there is none."""
        return next((code for code in self.lineage() if code.level == level), None)

    def contains(self, other: RegionCode) -> bool:
        """Whether the other is this division or lies in it, judged by the codes alone."""
        return other.value.startswith(self.value)

    def padded(self, digits: int = 12) -> str:
        """The code filled with zeros to that many digits (6 for GB/T 2260, 12 for statistics)."""
        return self.value.ljust(digits, "0")

    def __str__(self) -> str:
        return self.value


@lru_cache(maxsize=50_000)
def _parsed(text: str) -> RegionCode:
    return RegionCode(_canonical(normalised(text)))


@lru_cache(maxsize=50_000)
def _ancestors(code: RegionCode) -> tuple[RegionCode, ...]:
    above = []
    parent = code.parent()
    while parent is not None:
        above.append(parent)
        parent = parent.parent()
    return tuple(above)


def _canonical(text: str) -> str:
    if len(text) not in _LEVELS or not is_digits(text) or text[0] == "0":
        raise InvalidRegionCode(text)
    while len(text) > 2:
        cut = _CUT[len(text)]
        if text[cut:].strip("0"):
            return text
        text = text[:cut]
    return text
