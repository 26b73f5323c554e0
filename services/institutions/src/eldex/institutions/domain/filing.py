"""The filing of an institution (备案): who accepts it, and what it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import Enum

from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers import CreditCode, RegionCode, RegionLevel
from eldex.institutions.domain.days import not_before, past_or_today
from eldex.institutions.domain.events import InstitutionKind, ProfitNature


class FilingLevel(Enum):
    """The level of an authority that takes part in a filing."""

    COUNTY = "county"
    """县级"""
    PREFECTURE = "prefecture"
    """地级（盟市）"""
    PROVINCE = "province"
    """省级（自治区）审核"""


class FilingAct(Enum):
    """What was done with a filing."""

    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    RETURNED = "returned"
    REVIEWED = "reviewed"
    AMENDED = "amended"


class FilingPaperKind(Enum):
    """Which paper belongs to a filing (M002-112, M002-136)."""

    REGISTRATION = "registration"
    COMMITMENT = "commitment"
    BUILDING = "building"
    FIRE_SAFETY = "fire_safety"
    FOOD_SAFETY = "food_safety"
    EPIDEMIC_PREVENTION = "epidemic_prevention"
    MEDICAL = "medical"


class NotThisAuthority(DomainError):
    """Another authority's turn."""

    kind, reason = Kind.CONFLICT, "NOT_THIS_AUTHORITY"
    zh = "现应由 {expected}（{level_zh}）部门办理，而不是 {authority}"
    en = "it is the turn of the authority of {expected} ({level}), not of {authority}"


class CommitmentMissing(DomainError):
    """A filing without the letter in which the institution takes its responsibilities on (M002-112)."""

    kind, reason = Kind.CONFLICT, "COMMITMENT_MISSING"
    zh = "备案材料缺少备案承诺书：请退回补正"
    en = "the filing lacks the commitment letter (备案承诺书): return it for correction"


class CorrectionsMissing(DomainError):
    """A refusal that does not say what to correct."""

    kind, reason = Kind.INVALID, "CORRECTIONS_MISSING"
    zh = "审核未通过时必须写明需补正的内容"
    en = "a review that does not pass must say what has to be corrected"


class EstablishmentMissing(DomainError):
    """An opening in the past that nothing is held against; years of operation are worth money (M001-48)."""

    kind, reason = Kind.INVALID, "ESTABLISHMENT_MISSING"
    zh = "开业日期 {opens_on} 早于备案之日：请填写 established_on（登记证书上的成立日期）"
    en = "{opens_on} lies before the filing: give established_on, the day on the certificate of registration"


class NatureContradicted(DomainError):
    """The code says by whom the organisation was registered, and so whether it may seek profit."""

    kind, reason = Kind.INVALID, "NATURE_CONTRADICTED"
    zh = "统一社会信用代码以 {prefix} 开头的组织为{expected_zh}，不能按 {nature} 备案：请核对代码与 profit_nature"
    en = "a code that begins with {prefix} is that of {expected}, not to be filed as {nature}: check both"


_PUBLIC = (ProfitNature.PUBLIC, "公办机构", "a public body")
_NON_PROFIT = (
    ProfitNature.NON_PROFIT,
    "非营利性社会组织",
    "a social organisation, which is non-profit",
)
_FOR_PROFIT = (ProfitNature.FOR_PROFIT, "营利性经营主体", "a business, which is for profit")
_NATURES = {
    **dict.fromkeys(("11", "12"), _PUBLIC),
    **dict.fromkeys(("51", "52", "53"), _NON_PROFIT),
    **dict.fromkeys(("91", "92", "93"), _FOR_PROFIT),
}
"""By the first two characters of a credit code (GB 32100: authority, type): 机关, 事业单位; 社会团体, 民办非企业
单位, 基金会; 企业, 个体工商户, 农民专业合作社. Of others, as of a village's collective (N), the code tells nothing."""


def must_suit_code(nature: ProfitNature, credit_code: CreditCode) -> None:
    """Raise `NatureContradicted` if the code says otherwise."""
    prefix = str(credit_code)[:2]
    expected, zh, en = _NATURES.get(prefix, (nature, "", ""))
    if nature is not expected:
        raise NatureContradicted(prefix=prefix, expected=en, expected_zh=zh, nature=nature.value)


_ONE_LEVEL = (FilingLevel.COUNTY,)
# M000-30: filed with county and league (prefecture), then reviewed by the region's department.
_PATHS = {
    InstitutionKind.SOJOURN_MEDICAL_CARE: (
        FilingLevel.COUNTY,
        FilingLevel.PREFECTURE,
        FilingLevel.PROVINCE,
    )
}
_LEVELS_ZH = {
    FilingLevel.COUNTY: "县级",
    FilingLevel.PREFECTURE: "地级",
    FilingLevel.PROVINCE: "省级",
}


def filing_path(kind: InstitutionKind) -> list[FilingLevel]:
    """Who must accept the filing of such an institution, in order (M002-06; M000-30)."""
    return list(_PATHS.get(kind, _ONE_LEVEL))


def authority_for(level: FilingLevel, region_code: RegionCode) -> RegionCode:
    """The division whose authority acts at that level for a place.

    Where no county lies between a township and its prefecture (东莞), the prefecture acts for both.
    """
    province = RegionCode(region_code.value[:2])
    prefecture = region_code.at(RegionLevel.PREFECTURE) or province
    if level is FilingLevel.PROVINCE:
        return province
    if level is FilingLevel.PREFECTURE:
        return prefecture
    return region_code.at(RegionLevel.COUNTY) or prefecture


def must_be_turn_of(level: FilingLevel, region_code: RegionCode, authority: RegionCode) -> None:
    """Raise `NotThisAuthority` unless the authority is the one that acts now."""
    expected = authority_for(level, region_code)
    if authority != expected:
        raise NotThisAuthority(
            expected=expected, level=level.value, level_zh=_LEVELS_ZH[level], authority=authority
        )


@dataclass(frozen=True, slots=True)
class FilingPaper:
    """One paper of a filing."""

    kind: FilingPaperKind
    number: str
    issuer: str


@dataclass(frozen=True, slots=True)
class Details:
    """What an institution says of itself."""

    institution_name: str
    site: str
    address: str
    profit_nature: ProfitNature
    inclusive: bool
    """Whether it takes part in inclusive care (普惠), and so in its price rule."""
    opens_on: date
    papers: tuple[FilingPaper, ...]
    established_on: date | None = None
    """The organisation's first day, as declared; what accepts holds it against the certificate."""

    def must_be_dated(self, filed_on: date) -> None:
        """Raise what is impossible of the days that a filing of that day declares."""
        if self.established_on is not None:
            past_or_today(self.established_on, filed_on)
            not_before(self.opens_on, self.established_on, "成立之日", "the organisation began")
        elif self.opens_on < filed_on:
            raise EstablishmentMissing(opens_on=self.opens_on)

    def must_be_committed(self) -> None:
        """Raise `CommitmentMissing` unless a commitment letter is among the papers."""
        if all(paper.kind is not FilingPaperKind.COMMITMENT for paper in self.papers):
            raise CommitmentMissing


@dataclass(frozen=True, slots=True)
class FilingStep:
    """One step of a filing; `level` None: the institution itself."""

    act: FilingAct
    acted_on: date
    level: FilingLevel | None = None
    authority_code: RegionCode | None = None
    document: str = ""
    note: str = ""
