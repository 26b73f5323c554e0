"""What rests on an enrolment or a residence: remote filings, care benefits, family doctors."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import Enum

from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers import RegionCode
from eldex.medical.domain.tenure import Tenure


class CareDisabilityLevel(Enum):
    """Level of disability of long-term-care insurance (长期护理失能等级评估标准（试行）, 2021).

    A scale of its own: there is no published crosswalk to GB/T 42195 (mission map 4.2), so there
    is no way in this code from one to the other.
    """

    NORMAL = "normal"
    """0 基本正常"""
    MILD = "mild"
    """1 轻度失能"""
    MODERATE = "moderate"
    """2 中度失能"""
    SEVERE_1 = "severe-1"
    """3 重度失能Ⅰ级"""
    SEVERE_2 = "severe-2"
    """4 重度失能Ⅱ级"""
    SEVERE_3 = "severe-3"
    """5 重度失能Ⅲ级"""


class CareNotRemote(DomainError):
    """Care where the fund is needs no filing."""

    kind, reason = Kind.CONFLICT, "CARE_NOT_REMOTE"
    zh = "就医地 {care_region_code} 在参保地 {region_code} 统筹区内，无需异地备案"
    en = "{care_region_code} belongs to the fund of {region_code}: no filing is needed for it"


class AlreadyFiled(DomainError):
    """A filing for that division holds on some of the days."""

    kind, reason = Kind.CONFLICT, "ALREADY_FILED"
    zh = "该期间已有前往 {care_region_code} 的异地备案（{filing_key}）"
    en = "a filing for {care_region_code} holds on some of these days already ({filing_key})"


class BenefitStands(DomainError):
    """One benefit at a time."""

    kind, reason = Kind.CONFLICT, "BENEFIT_STANDS"
    zh = "该居民已享受长期护理保险待遇（{benefit_key}，自 {began_on} 起），请先终止"
    en = "the resident receives a benefit already ({benefit_key}, from {began_on}): end that first"


class ContractStands(DomainError):
    """One family doctor at a time."""

    kind, reason = Kind.CONFLICT, "CONTRACT_STANDS"
    zh = "该期间已有家庭医生签约（{contract_key}，至 {ended_on} 止），请自该日起续签"
    en = (
        "a contract holds on some of these days already ({contract_key}, until {ended_on}):"
        " renew it from that day on"
    )


class LivesElsewhere(DomainError):
    """The right is bound to a residence, and the person lives elsewhere."""

    kind, reason = Kind.CONFLICT, "LIVES_ELSEWHERE"
    zh = "该居民自 {day} 起居住在 {lives_in}，不在 {region_code} 的范围内"
    en = "the resident lives in {lives_in} from {day} on, outside of what belongs to {region_code}"


@dataclass(frozen=True, slots=True)
class FilingApproved:
    """A person may be treated elsewhere."""

    resident_key: str
    filing_key: str
    began_on: date
    ended_on: date | None
    region_code: RegionCode
    care_region_code: RegionCode


@dataclass(frozen=True, slots=True)
class FilingEnded:
    """A filing has ended."""

    resident_key: str
    filing_key: str
    ended_on: date
    region_code: RegionCode
    care_region_code: RegionCode


@dataclass(kw_only=True)
class RemoteFiling(Tenure):
    """Leave to be treated elsewhere and settled at once (异地就医备案, M002-31, M002-32)."""

    care_region_code: RegionCode

    def tell_begun(self) -> None:
        """It begins; its agreed end is told with it."""
        self.record(
            FilingApproved(
                self.resident_key,
                self.key,
                self.began_on,
                self.ended_on,
                self.region_code,
                self.care_region_code,
            )
        )

    def tell_ended(self) -> None:
        """It ends before the day that was agreed."""
        assert self.ended_on is not None
        self.record(
            FilingEnded(
                self.resident_key,
                self.key,
                self.ended_on,
                self.region_code,
                self.care_region_code,
            )
        )


@dataclass(frozen=True, slots=True)
class CareGranted:
    """A person receives long-term-care benefits."""

    resident_key: str
    benefit_key: str
    began_on: date
    daily_amount_fen: int
    region_code: RegionCode
    disability_level: CareDisabilityLevel


@dataclass(frozen=True, slots=True)
class CareEnded:
    """Long-term-care benefits have ended."""

    resident_key: str
    benefit_key: str
    ended_on: date
    region_code: RegionCode


@dataclass(kw_only=True)
class CareBenefit(Tenure):
    """Benefits of long-term-care insurance that a person receives (M004-12)."""

    disability_level: CareDisabilityLevel
    assessed_on: date
    assessment_reference: str
    daily_amount_fen: int
    document: str
    clause: str

    def tell_begun(self) -> None:
        """It begins: from this day on the care subsidy is excluded (M004-11)."""
        self.record(
            CareGranted(
                self.resident_key,
                self.key,
                self.began_on,
                self.daily_amount_fen,
                self.region_code,
                self.disability_level,
            )
        )

    def tell_ended(self) -> None:
        """It ends: from this day on the care subsidy is possible again."""
        assert self.ended_on is not None
        self.record(CareEnded(self.resident_key, self.key, self.ended_on, self.region_code))


@dataclass(frozen=True, slots=True)
class DoctorContracted:
    """A person has a family doctor."""

    resident_key: str
    contract_key: str
    began_on: date
    ended_on: date
    region_code: RegionCode


@dataclass(frozen=True, slots=True)
class DoctorContractEnded:
    """A contract with a family doctor has ended before its time."""

    resident_key: str
    contract_key: str
    ended_on: date
    region_code: RegionCode


@dataclass(kw_only=True)
class DoctorContract(Tenure):
    """A contract with a family doctor's team (家庭医生签约, M002-83); always for a time."""

    team_code: str
    renews_key: str = ""

    @property
    def last(self) -> date:
        """First day it no longer holds; a contract always has one."""
        assert self.ended_on is not None
        return self.ended_on

    def tell_begun(self) -> None:
        """It begins; its agreed end is told with it."""
        self.record(
            DoctorContracted(
                self.resident_key, self.key, self.began_on, self.last, self.region_code
            )
        )

    def tell_ended(self) -> None:
        """It ends before the day that was agreed."""
        self.record(DoctorContractEnded(self.resident_key, self.key, self.last, self.region_code))
