"""The filing of an institution (备案): who accepts it, and what it rests on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import Enum

from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers import RegionCode, RegionLevel
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
