"""Supervision: inspections, the hazards they find, penalties (M004-67, M004-69)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from typing import Any

from eldex.common.aggregate import Aggregate
from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers import CreditCode, RegionCode
from eldex.institutions.domain import events
from eldex.institutions.domain.days import not_before, past_or_today


class InspectionKind(Enum):
    """How an inspection came about."""

    RANDOM = "random"
    """双随机抽查"""
    KEY = "key"
    """重点监管"""
    CREDIT = "credit"
    """信用监管"""
    COMPLAINT = "complaint"
    """投诉举报核查"""
    FOLLOW_UP = "follow_up"
    """整改复查"""


class HazardClass(Enum):
    """What a hazard concerns: the five of M004-69, and care itself (GB 38600)."""

    BUILDING = "building"
    FIRE = "fire"
    FOOD = "food"
    MEDICAL = "medical"
    SPECIAL_EQUIPMENT = "special_equipment"
    CARE = "care"


class HazardSeverity(Enum):
    """How grave a hazard is."""

    ORDINARY = "ordinary"
    """一般隐患"""
    MAJOR = "major"
    """重大隐患"""


class HazardState(Enum):
    """Whether a hazard is still there."""

    OPEN = "open"
    RECTIFIED = "rectified"


class PenaltyKind(Enum):
    """What a penalty is (行政处罚)."""

    WARNING = "warning"
    FINE = "fine"
    CONFISCATION = "confiscation"
    SUSPENSION = "suspension"


_OF_MONEY = frozenset({PenaltyKind.FINE, PenaltyKind.CONFISCATION})


class HazardAlreadyRectified(DomainError):
    """The hazard was put right on another day."""

    kind, reason = Kind.CONFLICT, "HAZARD_ALREADY_RECTIFIED"
    zh = "该隐患已于 {rectified_on} 整改完成"
    en = "the hazard was put right on {rectified_on}"


class InspectionOfAnother(DomainError):
    """The inspection named is another institution's."""

    kind, reason = Kind.INVALID, "INSPECTION_OF_ANOTHER"
    zh = "检查 {inspection_key} 不属于该机构"
    en = "inspection {inspection_key} is another institution's"


class PenaltyAmountWrong(DomainError):
    """A fine without an amount, or an amount without a fine."""

    kind, reason = Kind.INVALID, "PENALTY_AMOUNT_WRONG"
    zh = "罚款、没收须填写金额，其他处罚金额应为 0"
    en = "a fine or confiscation needs an amount above 0, any other penalty has none"


@dataclass(frozen=True, slots=True)
class Finding:
    """A hazard as an inspector finds it; `working_days` 0: as the parameter says."""

    hazard_class: HazardClass
    severity: HazardSeverity
    description: str
    legal_basis: str
    working_days: int


@dataclass(kw_only=True)
class _Supervised(Aggregate):
    institution_key: str
    credit_code: CreditCode
    region_code: RegionCode

    def _named(self) -> dict[str, Any]:
        return {
            "institution_key": self.institution_key,
            "credit_code": self.credit_code,
            "region_code": self.region_code,
        }


@dataclass(kw_only=True)
class Inspection(_Supervised):
    """One inspection (检查)."""

    inspection_kind: InspectionKind
    inspected_on: date
    authority: str
    document: str
    hazard_keys: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether nothing was found."""
        return not self.hazard_keys

    def tell(self) -> None:
        """Record that it took place, with all that it found."""
        self.record(
            events.InspectionRecorded(
                **self._named(),
                inspection_key=self.key,
                inspected_on=self.inspected_on,
                passed=self.passed,
            )
        )


@dataclass(kw_only=True)
class Hazard(_Supervised):
    """A hazard (隐患) and the last day on which it may be put right."""

    inspection_key: str
    finding: Finding
    opened_on: date
    due_on: date
    state: HazardState = HazardState.OPEN
    rectified_on: date | None = None
    evidence: str = ""

    def tell(self) -> None:
        """Record that it must be put right."""
        self.record(events.HazardOpened(**self._named(), hazard_key=self.key, due_on=self.due_on))

    def rectify(self, rectified_on: date, evidence: str, today: date) -> None:
        """Close it. Told again with the same day, it changes nothing."""
        if self.state is HazardState.RECTIFIED:
            if self.rectified_on == rectified_on:
                return
            raise HazardAlreadyRectified(rectified_on=self.rectified_on)
        past_or_today(rectified_on, today)
        not_before(rectified_on, self.opened_on, "发现隐患之日", "the hazard was found")
        self.state, self.rectified_on, self.evidence = (
            HazardState.RECTIFIED,
            rectified_on,
            evidence,
        )
        self.record(
            events.HazardRectified(**self._named(), hazard_key=self.key, rectified_on=rectified_on)
        )


@dataclass(kw_only=True)
class Penalty(_Supervised):
    """A penalty (行政处罚) imposed on an institution."""

    penalty_kind: PenaltyKind
    amount_fen: int
    legal_basis: str
    document: str
    imposed_on: date
    inspection_key: str

    def tell(self) -> None:
        """Record that it was imposed; raises `PenaltyAmountWrong`."""
        if (self.amount_fen > 0) != (self.penalty_kind in _OF_MONEY):
            raise PenaltyAmountWrong
        self.record(
            events.PenaltyImposed(**self._named(), penalty_key=self.key, imposed_on=self.imposed_on)
        )
