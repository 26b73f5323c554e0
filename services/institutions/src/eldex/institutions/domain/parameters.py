"""Policy numbers: where each holds, from when, and where it is written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from eldex.common.aggregate import Aggregate
from eldex.common.calendar import Period
from eldex.common.errors import AlreadyExists, DomainError, Kind
from eldex.common.identifiers import RegionCode
from eldex.institutions.domain.events import BedClass
from eldex.institutions.domain.grading import GradingRule
from eldex.institutions.domain.supervision import HazardClass, HazardSeverity


class ParameterMissing(DomainError):
    """Nobody has set a number that the act needs."""

    kind, reason = Kind.CONFLICT, "PARAMETER_MISSING"
    zh = "{region} 在 {on} 没有适用的参数“{subject}”：请先用 SetParameters 设置并注明文件依据"
    en = "no parameter {subject!r} holds in {region} on {on}: set it with its document (SetParameters)"


class ParameterTwice(DomainError):
    """One request sets the same thing twice."""

    kind, reason = Kind.INVALID, "PARAMETER_TWICE"
    zh = "同一请求中重复设置了参数“{subject}”"
    en = "the request sets the parameter {subject!r} twice"


class ParameterSet(AlreadyExists):
    """Another official has set it at the same moment."""

    what = "parameter"
    zh = "该区划同一起始日期的此项参数刚由他人设定：请用 GetParameters 查看后再提交"
    en = "this parameter was set for this division and first day just now: read it with GetParameters, then decide again"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a number is written: document and clause."""

    document: str
    clause: str


@dataclass(frozen=True, slots=True)
class PriceRule:
    """What an inclusive institution may charge in a month (M002-52); shares in percent."""

    income_percent: int
    market_percent: int
    market_target_percent: int

    @property
    def subject(self) -> str:
        """What it sets, unique among the parameters of one place and day."""
        return "price-rule"


@dataclass(frozen=True, slots=True)
class LocalIncome:
    """Disposable income of townspeople per head and year (城镇居民人均可支配收入)."""

    yearly_income_fen: int

    @property
    def subject(self) -> str:
        """What it sets, unique among the parameters of one place and day."""
        return "local-income"


@dataclass(frozen=True, slots=True)
class MarketPrice:
    """What market institutions charge a month for a class of beds."""

    bed_class: BedClass
    monthly_price_fen: int

    @property
    def subject(self) -> str:
        """What it sets, unique among the parameters of one place and day."""
        return f"market-price/{self.bed_class.value}"


@dataclass(frozen=True, slots=True)
class Grading:
    """The grading in force (GB/T 37276)."""

    rule: GradingRule

    @property
    def subject(self) -> str:
        """What it sets, unique among the parameters of one place and day."""
        return "grading-rule"


@dataclass(frozen=True, slots=True)
class HazardDeadline:
    """Working days in which such a hazard must be put right."""

    hazard_class: HazardClass
    severity: HazardSeverity
    working_days: int

    @property
    def subject(self) -> str:
        """What it sets, unique among the parameters of one place and day."""
        return f"hazard-deadline/{self.hazard_class.value}/{self.severity.value}"


@dataclass(frozen=True, slots=True)
class ClosureNotice:
    """Calendar days by which an institution must announce that it closes."""

    notice_days: int

    @property
    def subject(self) -> str:
        """What it sets, unique among the parameters of one place and day."""
        return "closure-notice"


Value = PriceRule | LocalIncome | MarketPrice | Grading | HazardDeadline | ClosureNotice


@dataclass(kw_only=True)
class Parameter(Aggregate):
    """A number of a policy; key empty for those that come with the service."""

    region_code: RegionCode | None
    """None: the whole country."""
    valid_from: date
    valid_to: date | None
    source: Source
    value: Value

    def __post_init__(self) -> None:
        Period(self.valid_from, self.valid_to)

    @property
    def slot(self) -> str:
        """What must be unique: another one with it replaces this."""
        return f"{self.value.subject}@{self.region_code or 'country'}@{self.valid_from}"

    def holds_on(self, day: date) -> bool:
        """Whether it is in force on a day."""
        return Period(self.valid_from, self.valid_to).contains(day)


def effective(
    parameters: Iterable[Parameter], region_code: RegionCode | None, day: date
) -> dict[str, Parameter]:
    """What holds in a division on a day, by subject.

    The nearest division wins, then the later beginning, then the earlier in the order given: what
    officials set is given before what came with the service.
    """
    lineage: list[RegionCode | None] = [*region_code.lineage(), None] if region_code else [None]
    found: dict[str, tuple[tuple[int, int], Parameter]] = {}
    for each in parameters:
        if each.region_code not in lineage or not each.holds_on(day):
            continue
        rank = (lineage.index(each.region_code), -each.valid_from.toordinal())
        known = found.get(each.value.subject)
        if known is None or rank < known[0]:
            found[each.value.subject] = (rank, each)
    return {subject: parameter for subject, (_, parameter) in sorted(found.items())}
