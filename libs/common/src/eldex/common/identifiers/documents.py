"""Papers other than the citizen's identity number, each a type that checks what can be checked.

Residence permits of 港澳台 residents and the foreigner's card of 2023 share the check character of
GB 11643. The 15-character foreigner's card ends in a check digit whose rule we have no source
for, so its form and date are checked, not the digit: a valid card must never be refused.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Self

from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers._text import normalised
from eldex.common.identifiers.resident_id import (
    PERMIT_DIVISIONS,
    DocumentKind,
    InvalidIdentityNumber,
    ResidentId,
    Secret,
    Sex,
    born_on,
    check_character,
)


class InvalidDocument(DomainError):
    """The text is not a number of that kind of paper; the number itself is never repeated."""

    kind = Kind.INVALID
    reason = "DOCUMENT_NUMBER_INVALID"
    zh = "{document_zh}号码有误：{problem_zh}"
    en = "not a valid {document} number: {problem}"

    def __init__(self, document_zh: str, document: str, problem_zh: str, problem: str) -> None:
        super().__init__(
            document_zh=document_zh, document=document, problem_zh=problem_zh, problem=problem
        )


class _Eighteen(Secret):
    """What the 18-character papers of non-citizens share with GB 11643."""

    __slots__ = ()

    @property
    def born_on(self) -> date:
        """Date of birth (出生日期)."""
        return _birth_of_18(self._text)

    @property
    def sex(self) -> Sex:
        """Sex, by the parity of the sequence code: odd is male."""
        return _sex_of_18(self._text)


class ResidencePermit(_Eighteen):
    """Residence permit of a Hong Kong, Macao or Taiwan resident (港澳台居民居住证).

    18 characters beginning 810000, 820000 or 830000. Rules: 港澳台居民居住证申领发放办法 (2018).
    """

    __slots__ = ()
    kind = DocumentKind.HK_MO_TW_RESIDENCE_PERMIT

    @classmethod
    def parse(cls, text: str, *, on: date) -> Self:
        """Read a permit number; `on` is the day at which birth must lie back."""
        number = normalised(text)
        if not re.fullmatch(r"[0-9]{17}[0-9X]", number) or number[:6] not in PERMIT_DIVISIONS:
            raise InvalidDocument(
                "港澳台居民居住证", "Hong Kong, Macao or Taiwan residence permit",
                "应为 18 位，以 810000、820000 或 830000 开头",
                "expected 18 characters beginning 810000, 820000 or 830000",
            )  # fmt: skip
        _check_18(number, "港澳台居民居住证", "Hong Kong, Macao or Taiwan residence permit", on)
        return cls(number)


class ForeignPermanentResident(Secret):
    """Foreigner's permanent residence ID card (外国人永久居留身份证).

    Two forms live side by side: 15 characters (three letters of nationality, four digits of the
    place, birth date YYMMDD, sequence, check) and since 2023 18 characters beginning with 9 (place
    of two digits, numeric nationality of three, birth date, sequence, check of GB 11643).
    """

    __slots__ = ()
    kind = DocumentKind.FOREIGN_PERMANENT_RESIDENT

    @classmethod
    def parse(cls, text: str, *, on: date) -> Self:
        """Read either form; `on` is the day at which birth must lie back."""
        number = normalised(text)
        names = ("外国人永久居留身份证", "foreigner's permanent residence card")
        if re.fullmatch(r"9[0-9]{16}[0-9X]", number):
            _check_18(number, *names, on)
        elif re.fullmatch(r"[A-Z]{3}[0-9]{12}", number):
            # YYMMDD has no century: a leap day must exist in one of the two possible years.
            for century in ("19", "20"):
                try:
                    born_on(century + number[7:13])
                    break
                except InvalidIdentityNumber:
                    continue
            else:
                raise InvalidDocument(
                    *names, "出生日期不是真实存在的日期", "the birth date is no day of the calendar"
                )
        else:
            raise InvalidDocument(
                *names,
                "应为 15 位（3 个字母加 12 位数字）或以 9 开头的 18 位",
                "expected 15 characters (3 letters, 12 digits) or 18 beginning with 9",
            )
        return cls(number)

    @property
    def born_on(self) -> date | None:
        """Date of birth; None of the older form, which does not tell the century."""
        return _birth_of_18(self._text) if len(self._text) == 18 else None

    @property
    def sex(self) -> Sex | None:
        """Sex, as in GB 11643; None of the older form, which does not tell it."""
        return _sex_of_18(self._text) if len(self._text) == 18 else None

    def allows_birth(self, day: date) -> bool:
        """Whether its holder may be born on that day; the older form tells it but for the century."""
        told = self.born_on
        return day == told if told else f"{day:%y%m%d}" == self._text[7:13]


class TravelPermitHkMo(Secret):
    """Mainland travel permit of a Hong Kong or Macao resident (港澳居民来往内地通行证).

    H or M and eight digits that stay with the person for life; two more digits on older cards
    count the issues and are dropped, so that a renewed card is the same document.
    """

    __slots__ = ()
    kind = DocumentKind.HK_MO_TRAVEL_PERMIT

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read H or M with 8 or 10 digits."""
        number = normalised(text)
        if not re.fullmatch(r"[HM][0-9]{8}([0-9]{2})?", number):
            raise InvalidDocument(
                "港澳居民来往内地通行证", "mainland travel permit (Hong Kong, Macao)",
                "应为 H 或 M 加 8 位或 10 位数字", "expected H or M and 8 or 10 digits",
            )  # fmt: skip
        return cls(number[:9])


class TravelPermitTw(Secret):
    """Mainland travel permit of a Taiwan resident (台湾居民来往大陆通行证): eight digits."""

    __slots__ = ()
    kind = DocumentKind.TW_TRAVEL_PERMIT

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read eight digits."""
        number = normalised(text)
        if not re.fullmatch(r"[0-9]{8}", number):
            raise InvalidDocument(
                "台湾居民来往大陆通行证", "mainland travel permit (Taiwan)",
                "应为 8 位数字", "expected 8 digits",
            )  # fmt: skip
        return cls(number)


class Passport(Secret):
    """A passport (护照): the issuing state matters, as two states may give the same number.

    Canonical form `FRA/12AB34567`: the three-letter code of the issuer (ISO 3166-1, and the codes
    of ICAO 9303 beside it), then the number.
    """

    __slots__ = ()
    kind = DocumentKind.PASSPORT

    @classmethod
    def parse(cls, text: str, *, issuer: str = "") -> Self:
        """Read a number with its issuer apart, or both in the canonical form."""
        number = normalised(f"{issuer}/{text}" if issuer else text)
        if not re.fullmatch(r"[A-Z]{3}/(?=.*[0-9])[A-Z0-9]{5,15}", number):
            raise InvalidDocument(
                "护照", "passport",
                "应为签发国三字母代码、斜杠和 5 至 15 位字母数字，如 FRA/12AB34567",
                "expected the issuer's three-letter code, a slash and 5 to 15 letters or digits,"
                " such as FRA/12AB34567",
            )  # fmt: skip
        return cls(number)

    @property
    def issuer(self) -> str:
        """Three-letter code of the issuing state."""
        return self._text[:3]


PersonDocument = (
    ResidentId
    | ResidencePermit
    | ForeignPermanentResident
    | TravelPermitHkMo
    | TravelPermitTw
    | Passport
)
"""Any paper by which a person is known: `.kind`, `.masked`, `.reveal()`, equality and hash."""


def parse_document(kind: DocumentKind, text: str, *, on: date) -> PersonDocument:
    """Read the number of a paper of that kind; `on` is the day at which birth must lie back.

    What `reveal()` gave out for a document is read back as the same document.
    """
    match kind:
        case DocumentKind.RESIDENT_ID:
            return ResidentId.parse(text, on=on)
        case DocumentKind.HK_MO_TW_RESIDENCE_PERMIT:
            return ResidencePermit.parse(text, on=on)
        case DocumentKind.FOREIGN_PERMANENT_RESIDENT:
            return ForeignPermanentResident.parse(text, on=on)
        case DocumentKind.HK_MO_TRAVEL_PERMIT:
            return TravelPermitHkMo.parse(text)
        case DocumentKind.TW_TRAVEL_PERMIT:
            return TravelPermitTw.parse(text)
        case DocumentKind.PASSPORT:
            return Passport.parse(text)


def restored_document(kind: DocumentKind, text: str) -> PersonDocument:
    """A document from what its `reveal()` gave out, not checked again: for our own, sealed store."""
    return _KINDS[kind](text)


_KINDS: dict[DocumentKind, type[PersonDocument]] = {
    each.kind: each
    for each in (
        ResidentId,
        ResidencePermit,
        ForeignPermanentResident,
        TravelPermitHkMo,
        TravelPermitTw,
        Passport,
    )
}


def _birth_of_18(number: str) -> date:
    return date(int(number[6:10]), int(number[10:12]), int(number[12:14]))


def _sex_of_18(number: str) -> Sex:
    return Sex.MALE if int(number[16]) % 2 else Sex.FEMALE


def _check_18(number: str, document_zh: str, document: str, on: date) -> None:
    names = (document_zh, document)
    try:
        birth = born_on(number[6:14])
    except InvalidIdentityNumber as error:
        facts = error.facts
        raise InvalidDocument(*names, str(facts["problem_zh"]), str(facts["problem"])) from None
    if birth > on:
        raise InvalidDocument(*names, "出生日期晚于今天", "the birth date lies in the future")
    if check_character(number[:17]) != number[17]:
        raise InvalidDocument(
            *names,
            "校验码不符，请核对是否有输错的数字",
            "the check character does not match: look for a mistyped digit",
        )
