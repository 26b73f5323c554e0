"""The unified social credit code of an organisation (统一社会信用代码), GB 32100-2015."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Self

from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers._text import is_digits, normalised
from eldex.common.identifiers.region_code import RegionCode

ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
"""31 characters: I, O, S, V and Z are left out because they look like digits."""
WEIGHTS = (1, 3, 9, 27, 19, 26, 16, 17, 20, 29, 25, 13, 8, 24, 10, 30, 28)
_VALUE = {character: value for value, character in enumerate(ALPHABET)}


class InvalidCreditCode(DomainError):
    """The text is no unified social credit code."""

    kind = Kind.INVALID
    reason = "CREDIT_CODE_INVALID"
    zh = "统一社会信用代码有误：{problem_zh}"
    en = "not a valid unified social credit code: {problem}"

    def __init__(self, problem_zh: str, problem: str) -> None:
        super().__init__(problem_zh=problem_zh, problem=problem)


class Authority(Enum):
    """The registering authority (登记管理部门), first character of the code."""

    ESTABLISHMENT = "1"
    """机构编制"""
    FOREIGN_AFFAIRS = "2"
    """外交"""
    JUSTICE = "3"
    """司法行政"""
    CULTURE = "4"
    """文化"""
    CIVIL_AFFAIRS = "5"
    """民政"""
    TOURISM = "6"
    """旅游"""
    RELIGION = "7"
    """宗教"""
    TRADE_UNION = "8"
    """工会"""
    MARKET_REGULATION = "9"
    """市场监管 (formerly 工商)"""
    MILITARY = "A"
    """中央军委改革和编制"""
    AGRICULTURE = "N"
    """农业"""
    OTHER = "Y"
    """其他"""


ORGANISATION_TYPES: dict[str, str] = {
    "11": "机关",
    "12": "事业单位",
    "13": "编办直接管理机构编制的群众团体",
    "21": "外国常驻新闻机构",
    "31": "律师执业机构",
    "32": "公证处",
    "33": "基层法律服务所",
    "34": "司法鉴定机构",
    "35": "仲裁委员会",
    "41": "外国在华文化中心",
    "51": "社会团体",
    "52": "民办非企业单位",
    "53": "基金会",
    "61": "外国旅游部门常驻代表机构",
    "62": "港澳台地区旅游部门常驻内地（大陆）代表机构",
    "71": "宗教活动场所",
    "72": "宗教院校",
    "81": "基层工会",
    "91": "企业",
    "92": "个体工商户",
    "93": "农民专业合作社",
    "A1": "军队事业单位",
    "N1": "组级集体经济组织",
    "N2": "村级集体经济组织",
    "N3": "乡镇级集体经济组织",
    "Y1": "其他",
}
"""Names of authority and type together. A type that is not listed reads 其他, never an error: the
authorities add types without a new edition of the standard."""


@dataclass(frozen=True, slots=True, order=True)
class CreditCode:
    """A checked code of 18 characters: authority, type, division, organisation, check character.

    The division is that of the registering authority and is not checked against a table, for the
    same reason as with people: it may have been abolished since.
    """

    value: str

    def __post_init__(self) -> None:
        code = self.value
        if len(code) != 18:
            raise InvalidCreditCode(
                f"应为 18 位，实为 {len(code)} 位", f"expected 18 characters, got {len(code)}"
            )
        strange = sorted(set(code) - _VALUE.keys())
        if strange:
            raise InvalidCreditCode(
                f"含有不允许的字符 {''.join(strange)}（不使用 I、O、S、V、Z）",
                f"characters {''.join(strange)} are not allowed (I, O, S, V, Z are never used)",
            )
        if code[0] not in {a.value for a in Authority}:
            raise InvalidCreditCode(
                f"登记管理部门代码 {code[0]} 不存在", f"no registering authority has code {code[0]}"
            )
        if not is_digits(code[2:8]):
            raise InvalidCreditCode(
                "第 3 至 8 位应为登记管理机关区划代码", "characters 3 to 8 must be a division code"
            )
        if credit_check_character(code[:17]) != code[17]:
            raise InvalidCreditCode(
                "校验码不符，请核对是否有输错的字符",
                "the check character does not match: look for a mistyped character",
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a code as people write it: full-width, lower case, spaces between groups."""
        return cls(normalised(text))

    @property
    def authority(self) -> Authority:
        """Who registered the organisation."""
        return Authority(self.value[0])

    @property
    def type_code(self) -> str:
        """Authority and type, such as 52 for 民办非企业单位."""
        return self.value[:2]

    @property
    def organisation_type(self) -> str:
        """The kind of organisation (机构类别), in the words of the standard."""
        return ORGANISATION_TYPES.get(self.type_code, "其他")

    @property
    def division(self) -> RegionCode | None:
        """Division of the registering authority; None for the national ones (100000)."""
        digits = self.value[2:8]
        return None if digits == "100000" or digits[0] == "0" else RegionCode.parse(digits)

    def __str__(self) -> str:
        return self.value


def credit_check_character(body: str) -> str:
    """The 18th character for the first 17: GB 32100-2015 §4, weights 3^(i-1) mod 31."""
    total = sum(w * _VALUE[c] for w, c in zip(WEIGHTS, body, strict=True))
    return ALPHABET[-total % 31]
