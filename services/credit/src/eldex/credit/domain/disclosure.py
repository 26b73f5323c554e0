"""Records on their way to the platform where they become public, by profit nature (M004-72)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import Enum

from eldex.common.aggregate import Aggregate
from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers import Authority, CreditCode, RegionCode
from eldex.credit.domain.terms import Subject, SubjectKind, not_after, not_before


class ProfitNature(Enum):
    """Nature of an institution's operation (经营性质)."""

    PUBLIC = "public"
    NON_PROFIT = "non_profit"
    FOR_PROFIT = "for_profit"


class Platform(Enum):
    """Where a record is made public."""

    CREDIT_CHINA = "credit_china"
    """全国信用信息共享平台"""
    ENTERPRISE_PUBLICITY = "enterprise_publicity"
    """国家企业信用信息公示系统"""


class RecordKind(Enum):
    """The three kinds of M004-72, and our own listings."""

    FILING = "filing"
    PENALTY = "penalty"
    INSPECTION = "inspection"
    LISTING = "listing"


class DisclosureState(Enum):
    """Where a record stands on its way to the platform and back."""

    DUE = "due"
    DISCLOSED = "disclosed"
    WITHDRAWAL_DUE = "withdrawal_due"
    WITHDRAWN = "withdrawn"
    CANCELLED = "cancelled"

    @property
    def is_due(self) -> bool:
        """Whether something is still to be done."""
        return self in {DisclosureState.DUE, DisclosureState.WITHDRAWAL_DUE}


class DisclosureStateForbids(DomainError):
    """Nothing is due for this record."""

    kind, reason = Kind.CONFLICT, "DISCLOSURE_STATE_FORBIDS"
    zh = "公示记录 {record_key} 处于 {state} 状态，没有待确认的公示或撤下"
    en = "record {record_key} is {state}: no disclosure or withdrawal waits to be confirmed"


@dataclass(frozen=True, slots=True)
class RecordDisclosed:
    """A record has been given to its platform."""

    subject: Subject
    record_key: str
    record_kind: RecordKind
    platform: Platform
    disclosed_on: date
    region_code: RegionCode


@dataclass(kw_only=True)
class Organisation(Aggregate):
    """What institutions' filings told of an organisation; the key is its credit code."""

    profit_nature: ProfitNature
    filed_on: date
    """Day of the newest filing heard of, whose nature counts."""

    def hear(self, nature: ProfitNature, filed_on: date) -> None:
        """Take a filing into account, in whatever order filings arrive."""
        if filed_on >= self.filed_on:
            self.profit_nature, self.filed_on = nature, filed_on


def platform_of(subject: Subject, nature: ProfitNature | None) -> Platform:
    """Where records of a party belong.

    By the nature that was filed; of an organisation that never filed, by who registered it: market
    regulation registers enterprises, everybody else what makes no profit. People: the national one.
    """
    if subject.kind is SubjectKind.WORKER:
        return Platform.CREDIT_CHINA
    if nature is None:
        enterprise = CreditCode(subject.key).authority is Authority.MARKET_REGULATION
        return Platform.ENTERPRISE_PUBLICITY if enterprise else Platform.CREDIT_CHINA
    if nature is ProfitNature.FOR_PROFIT:
        return Platform.ENTERPRISE_PUBLICITY
    return Platform.CREDIT_CHINA


def record_key(kind: RecordKind, source_key: str) -> str:
    """The key of the record of a fact: the same fact is never recorded twice."""
    return f"{kind.value}-{source_key}"


@dataclass(kw_only=True)
class CreditRecord(Aggregate):
    """A record that has to become public (公示记录)."""

    subject: Subject
    record_kind: RecordKind
    source_key: str
    happened_on: date
    region_code: RegionCode
    platform: Platform
    due_on: date
    """Last day for what is to be done now."""
    state: DisclosureState = DisclosureState.DUE
    disclosed_on: date | None = None
    receipt: str = ""
    withdrawn_on: date | None = None
    withdrawal_receipt: str = ""

    def overdue(self, today: date) -> bool:
        """Whether what is to be done should have been done by now."""
        return self.state.is_due and self.due_on < today

    def route(self, platform: Platform) -> bool:
        """Send it elsewhere, unless the first platform has it. True if that changes anything."""
        if self.state is not DisclosureState.DUE or platform is self.platform:
            return False
        self.platform = platform
        return True

    def confirm(self, receipt: str, on: date, today: date) -> None:
        """Keep the platform's receipt of what was due."""
        not_after(on, today)
        if self.state is DisclosureState.DUE:
            not_before(on, self.happened_on, "事实发生日期", "the fact")
            self.state, self.disclosed_on, self.receipt = DisclosureState.DISCLOSED, on, receipt
            self.record(
                RecordDisclosed(
                    self.subject, self.key, self.record_kind, self.platform, on, self.region_code
                )
            )
        elif self.state is DisclosureState.WITHDRAWAL_DUE:
            assert self.disclosed_on is not None
            not_before(on, self.disclosed_on, "公示日期", "the disclosure")
            self.state = DisclosureState.WITHDRAWN
            self.withdrawn_on, self.withdrawal_receipt = on, receipt
        else:
            raise DisclosureStateForbids(record_key=self.key, state=self.state.value)

    def take_back(self, due_on: date) -> None:
        """What it tells is over: have it taken down by a day, or not disclosed at all."""
        if self.state is DisclosureState.DUE:
            self.state = DisclosureState.CANCELLED
        elif self.state is DisclosureState.DISCLOSED:
            self.state, self.due_on = DisclosureState.WITHDRAWAL_DUE, due_on
