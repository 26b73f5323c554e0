"""The identity number of a citizen (公民身份号码), GB 11643-1999, and the secret it is kept as."""

from __future__ import annotations

from datetime import date
from enum import Enum
from typing import ClassVar, Protocol, Self

from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers._text import is_digits, normalised
from eldex.common.identifiers.region_code import RegionCode

WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
CHECK_CHARACTERS = "10X98765432"
EARLIEST_BIRTH_YEAR = 1800
"""GB 11643 itself gives an example born in 1880; a year before 1800 is a slip of the pen."""
CENTENARIAN_SEQUENCES = frozenset({"996", "997", "998", "999"})
"""Sequence codes that marked people born in 18xx in the 15-digit numbers of GB 11643-1989."""
PERMIT_DIVISIONS = frozenset({"810000", "820000", "830000"})
"""Not divisions of citizens' numbers but marks of the residence permits of 港澳台 residents."""


class InvalidIdentityNumber(DomainError):
    """The text is not a citizen's identity number; the number itself is never repeated."""

    kind = Kind.INVALID
    reason = "IDENTITY_NUMBER_INVALID"
    zh = "公民身份号码有误：{problem_zh}"
    en = "not a valid identity number: {problem}"

    def __init__(self, problem_zh: str, problem: str) -> None:
        super().__init__(problem_zh=problem_zh, problem=problem)


class Sex(Enum):
    """Sex as the parity of the sequence code tells it (GB/T 2261.1: 1 male, 2 female)."""

    MALE = 1
    FEMALE = 2


class DocumentKind(Enum):
    """The kinds of papers by which a person may be known (证件类型)."""

    RESIDENT_ID = "resident_id"
    """公民身份号码"""
    FOREIGN_PERMANENT_RESIDENT = "foreign_permanent_resident"
    """外国人永久居留身份证"""
    HK_MO_TW_RESIDENCE_PERMIT = "hk_mo_tw_residence_permit"
    """港澳台居民居住证"""
    HK_MO_TRAVEL_PERMIT = "hk_mo_travel_permit"
    """港澳居民来往内地通行证"""
    TW_TRAVEL_PERMIT = "tw_travel_permit"
    """台湾居民来往大陆通行证"""
    PASSPORT = "passport"
    """护照"""


class Secret:
    """A personal number that shows itself only to those who say `reveal()`.

    `str`, `repr` and format give the mask. Equal numbers of the same type are equal and hash
    alike, so a document can be a key of a dict. Instances cannot be changed.
    """

    __slots__ = ("_text",)
    kind: ClassVar[DocumentKind]
    _text: str

    def __init__(self, canonical: str) -> None:
        object.__setattr__(self, "_text", canonical)

    def reveal(self) -> str:
        """The number itself in its canonical form. Every caller is a place to look at closely."""
        return self._text

    @property
    def masked(self) -> str:
        """What a screen may show: the first and last of the number, stars between."""
        return masked(self._text)

    def __str__(self) -> str:
        return self.masked

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.masked})"

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} cannot be changed")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return type(other) is type(self) and other._text == self._text

    def __hash__(self) -> int:
        return hash((type(self).__name__, self._text))

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), (self._text,)


def masked(number: str) -> str:
    """A number with all but its first four and its last character starred.

    Of an identity number that leaves the prefecture and the check digit: enough for an official
    to recognise the paper on the desk, nothing of the birth date, the county or the sequence.
    Short numbers (fewer than 12 characters) keep their first and last character only.
    """
    lead = 4 if len(number) >= 12 else 1
    return number[:lead] + "*" * (len(number) - lead - 1) + number[-1:]


def check_character(body: str) -> str:
    """The 18th character for 17 digits: ISO 7064 MOD 11-2 as GB 11643 §5 writes it."""
    total = sum(w * int(d) for w, d in zip(WEIGHTS, body, strict=True))
    return CHECK_CHARACTERS[total % 11]


class DivisionHistory(Protocol):
    """What a division table must answer to judge a number's division code."""

    def ever_known(self, code: RegionCode) -> bool:
        """Whether the code stood in any table at any time."""
        ...

    def abolished_on(self, code: RegionCode) -> date | None:
        """The first day on which the code surely was no longer in force, None while it is."""
        ...


class ResidentId(Secret):
    """A checked identity number of a citizen, 18 characters, masked wherever it is shown.

    The division is that of the first registration, not of birth nor of today, and the codes of
    many elders have been abolished since: it is never a reason to refuse, only to warn.
    """

    __slots__ = ()
    kind = DocumentKind.RESIDENT_ID

    @classmethod
    def parse(cls, text: str, *, on: date) -> Self:
        """Read 18 or 15 digits as people write them; `on` is the day at which birth must lie back.

        Full-width digits, inner spaces and a small x are taken. A 15-digit number (GB 11643-1989)
        is converted: year 19yy, or 18yy for the sequence codes 996-999 kept for centenarians.
        """
        number = cls.restored(text)
        if number.born_on > on:
            raise InvalidIdentityNumber("出生日期晚于今天", "the birth date lies in the future")
        return number

    @classmethod
    def restored(cls, text: str) -> Self:
        """Read a number accepted before (from our own store): the same checks but the day."""
        digits = normalised(text)
        if len(digits) == 15:
            digits = _from_15(digits)
        if len(digits) != 18:
            raise InvalidIdentityNumber(
                f"应为 18 位（旧号 15 位），实为 {len(digits)} 位",
                f"expected 18 characters (15 for old numbers), got {len(digits)}",
            )
        body, check = digits[:17], digits[17]
        if not is_digits(body) or check not in CHECK_CHARACTERS:
            raise InvalidIdentityNumber(
                "只能由数字组成，末位可为 X", "only digits are allowed, and X as the last character"
            )
        if body[0] in "09" or body[:6] in PERMIT_DIVISIONS:
            raise InvalidIdentityNumber(
                "不是公民身份号码：外国人永久居留身份证、港澳台居民居住证请选择相应证件类型",
                "not a citizen's number: give residence permits as their own kind of document",
            )
        born_on(body[6:14])
        if check_character(body) != check:
            raise InvalidIdentityNumber(
                "校验码不符，请核对是否有输错的数字",
                "the check character does not match: look for a mistyped digit",
            )
        return cls(digits)

    @property
    def born_on(self) -> date:
        """Date of birth (出生日期)."""
        return date(int(self._text[6:10]), int(self._text[10:12]), int(self._text[12:14]))

    @property
    def sex(self) -> Sex:
        """Sex, by the parity of the sequence code: odd is male."""
        return Sex.MALE if int(self._text[16]) % 2 else Sex.FEMALE

    @property
    def division(self) -> RegionCode:
        """The division of the first registration (行政区划代码), often no longer in force."""
        return RegionCode.parse(self._text[:6])

    def division_warning(self, table: DivisionHistory) -> DivisionWarning | None:
        """What is odd about the division, for a person to look at; None if nothing is."""
        code = self.division
        if not table.ever_known(code):
            return DivisionWarning(
                code,
                f"区划代码 {code} 不在任何一版区划表中，请核对证件",
                f"division code {code} is in no edition of the division table: look at the paper",
            )
        abolished = table.abolished_on(code)
        if abolished is not None and abolished <= self.born_on:
            return DivisionWarning(
                code,
                f"区划代码 {code} 在出生之前已撤销，请核对证件",
                f"division code {code} was abolished before the birth: look at the paper",
            )
        return None


class DivisionWarning:
    """Something to look at in a number's division code; never a refusal."""

    __slots__ = ("code", "en", "zh")

    def __init__(self, code: RegionCode, zh: str, en: str) -> None:
        self.code = code
        self.zh = zh
        self.en = en

    def __repr__(self) -> str:
        return f"DivisionWarning({self.en})"


def born_on(digits: str) -> date:
    """The day that eight digits YYYYMMDD name; refuses what is no day of the calendar."""
    year = int(digits[:4])
    if year < EARLIEST_BIRTH_YEAR:
        raise InvalidIdentityNumber(
            f"出生年份早于 {EARLIEST_BIRTH_YEAR} 年", f"born before {EARLIEST_BIRTH_YEAR}"
        )
    try:
        return date(year, int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        # The day itself is part of the number and is not repeated, hence no chained error either.
        raise InvalidIdentityNumber(
            "出生日期不是真实存在的日期", "the birth date is no day of the calendar"
        ) from None


def _from_15(digits: str) -> str:
    if not is_digits(digits):
        raise InvalidIdentityNumber("15 位旧号只能由数字组成", "an old number has digits only")
    century = "18" if digits[12:] in CENTENARIAN_SEQUENCES else "19"
    body = digits[:6] + century + digits[6:]
    return body + check_character(body)
