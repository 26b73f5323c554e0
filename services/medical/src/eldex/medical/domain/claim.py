"""Claims: what was settled, when it may be taken back, and what was claimed for days after a death."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import Enum

from eldex.common.aggregate import Aggregate
from eldex.common.errors import AlreadyExists, DomainError, Kind
from eldex.common.identifiers import RegionCode, RegionLevel
from eldex.common.money import Fen
from eldex.medical.domain.enrolment import Enrolment, Scheme, cover_on
from eldex.medical.domain.parameter import CarePlace, Found
from eldex.medical.domain.rights import RemoteFiling
from eldex.medical.domain.settlement import Facts, Parts, Rules, Split, Step, UsedUp


class ClaimStatus(Enum):
    """What has become of a claim."""

    SETTLED = "settled"
    REVERSED = "reversed"


class NoCoverOnDay(DomainError):
    """Nothing is paid for a day without cover."""

    kind, reason = Kind.CONFLICT, "NO_COVER"
    zh = "{day} 无有效参保：{why_zh}"
    en = "there is no cover on {day}: {why}"


class ServiceAfterDeath(DomainError):
    """Nothing is paid for services after a death; those before it are settled as ever."""

    kind, reason = Kind.CONFLICT, "SERVICE_AFTER_DEATH"
    zh = "参保人已于 {died_on} 死亡，{served_until} 的医疗服务不能结算；请按死亡日及以前的费用申报"
    en = (
        "the insured person died on {died_on}: services until {served_until} cannot be settled;"
        " claim those up to the day of death"
    )


class ClaimAlreadySettled(DomainError):
    """One visit is settled once."""

    kind, reason = Kind.CONFLICT, "CLAIM_ALREADY_SETTLED"
    zh = "该就诊记录已结算（{claim_key}）；如需更正，请先撤销原结算"
    en = "this visit is settled already ({claim_key}): to correct it, reverse that settlement first"


class VisitSettled(AlreadyExists):
    """The same, where another claim was faster."""

    what = "visit"
    zh = "该机构的此次就诊已结算：请用 ListClaims 查询；如需更正，请先撤销原结算"
    en = "this visit is settled already: find it with ListClaims; to correct it, reverse that settlement first"


class ClaimTooLate(DomainError):
    """The time for claiming is over."""

    kind, reason = Kind.CONFLICT, "CLAIM_TOO_LATE"
    zh = "申报期限为医疗服务结束后 {days} 天，已于 {until} 届满（{document} {clause}）"
    en = "a claim is settled up to {days} days after the services: until {until} ({document} {clause})"


class PersonalAccountNone(DomainError):
    """Only employees have a personal account (个人账户)."""

    kind, reason = Kind.CONFLICT, "PERSONAL_ACCOUNT_NONE"
    zh = "城乡居民基本医疗保险不设个人账户，请将个人账户支付金额改为 0"
    en = "the scheme for residents has no personal account: make that amount 0"


class LaterSettlementStands(DomainError):
    """A later settlement rests on what this one used up."""

    kind, reason = Kind.CONFLICT, "LATER_SETTLEMENT_STANDS"
    zh = "该年度其后还有结算 {claim_key}，须先撤销后结算的，再撤销先结算的"
    en = (
        "the settlement {claim_key} came later in the same year and rests on this one:"
        " reverse that first"
    )


@dataclass(frozen=True, slots=True)
class ClaimSettled:
    """A claim has been settled."""

    resident_key: str
    claim_key: str
    settled_on: date
    served_on: date
    total_fen: Fen
    parts: Parts
    cross_region: bool
    region_code: RegionCode
    care_region_code: RegionCode


@dataclass(frozen=True, slots=True)
class SettlementReversed:
    """A settlement was taken back."""

    resident_key: str
    claim_key: str
    reversed_on: date
    total_fen: Fen
    parts: Parts
    region_code: RegionCode
    care_region_code: RegionCode


@dataclass(frozen=True, slots=True)
class Basis:
    """What a settlement rests on besides the claim itself."""

    scheme: Scheme
    enrolment_key: str
    region_code: RegionCode
    """Division whose fund it is (参保地, insuplc_admdvs)."""
    care_place: CarePlace
    filing_key: str = ""
    pool_code: RegionCode | None = None
    """The division that pools that fund with others (统筹区); None: it stands alone."""

    def account(self, year: int) -> tuple[Scheme, RegionCode, int]:
        """The scheme, pool and year whose deductible and ceiling a claim counts towards."""
        return self.scheme, self.pool_code or self.region_code, year

    @property
    def cross_region(self) -> bool:
        """Whether care was given elsewhere: mdtrtarea_admvs ≠ insuplc_admdvs."""
        return self.care_place is not CarePlace.LOCAL


@dataclass(kw_only=True)
class Claim(Aggregate):
    """A claim that was settled (结算). It is never settled anew: it is reversed, and claimed again."""

    resident_key: str
    facts: Facts
    basis: Basis
    parts: Parts
    deductible_fen: Fen
    burden_fen: Fen
    steps: list[Step] = field(default_factory=list)
    settled_on: date
    number: int
    """Counts the person's settlements: a higher one rests on what the lower ones used up."""
    status: ClaimStatus = ClaimStatus.SETTLED
    reversed_on: date | None = None
    reversal_reason: str = ""
    after_death: bool = False
    """A death that became known later lies before the last day of service."""

    @classmethod
    def settle(
        cls, key: str, facts: Facts, basis: Basis, split: Split, number: int, today: date
    ) -> Claim:
        """Settle it."""
        claim = cls(
            key=key,
            resident_key=facts.resident_key,
            facts=facts,
            basis=basis,
            parts=split.parts,
            deductible_fen=split.deductible_fen,
            burden_fen=split.burden_fen,
            steps=list(split.steps),
            settled_on=today,
            number=number,
        )
        claim.record(
            ClaimSettled(
                facts.resident_key,
                key,
                today,
                facts.served_until,
                facts.total_fen,
                split.parts,
                basis.cross_region,
                basis.region_code,
                facts.care_region_code,
            )
        )
        return claim

    @property
    def standing(self) -> bool:
        """Whether it counts."""
        return self.status is ClaimStatus.SETTLED

    @property
    def account(self) -> tuple[Scheme, RegionCode, int]:
        """The scheme, pool and year whose deductible and ceiling it counts towards."""
        return self.basis.account(self.facts.served_until.year)

    def reverse(self, reason: str, today: date, others: Iterable[Claim]) -> None:
        """Take it back; a second time changes nothing."""
        if not self.standing:
            return
        later = [
            each
            for each in others
            if each.standing and each.account == self.account and each.number > self.number
        ]
        if later:
            raise LaterSettlementStands(claim_key=max(later, key=lambda c: c.number).key)
        self.status, self.reversed_on, self.reversal_reason = ClaimStatus.REVERSED, today, reason
        self.record(
            SettlementReversed(
                self.resident_key,
                self.key,
                today,
                self.facts.total_fen,
                self.parts,
                self.basis.region_code,
                self.facts.care_region_code,
            )
        )

    def doubt(self, died_on: date | None) -> bool:
        """Mark it if it is for services after a death; whether that changed anything."""
        after_death = died_on is not None and self.facts.served_until > died_on
        changed = after_death != self.after_death
        self.after_death = after_death
        return changed


def used_up(claims: Iterable[Claim], facts: Facts, basis: Basis, rules: Rules) -> UsedUp:
    """What standing claims of the same scheme, pool and year have used up before this one.

    A deductible or ceiling that is set for one kind of care counts that kind; one for all, all.
    """
    account = basis.account(facts.served_until.year)
    counted = [each for each in claims if each.standing and each.account == account]

    def under(rule: Found) -> list[Claim]:
        kind = rule.conditions.care_kind
        return [each for each in counted if kind in (None, each.facts.care_kind)]

    return UsedUp(
        deductible_fen=sum(each.deductible_fen for each in under(rules.deductible)),
        pooled_fund_fen=sum(each.parts.pooled_fund_fen for each in under(rules.ceiling)),
        burden_fen=sum(each.burden_fen for each in counted),
        major_illness_fen=sum(each.parts.major_illness_fen for each in counted),
        assistance_fen=sum(each.parts.assistance_fen for each in counted),
    )


def is_remote(fund: RegionCode, care: RegionCode, pooling: RegionLevel | None) -> bool:
    """The cross-region test: `mdtrtarea_admvs` ≠ `insuplc_admdvs` (mission map 4.13).

    With a level at which the fund is pooled (统筹层次), the divisions of that level are compared:
    care in a county is local to the fund of its city. Without, the codes are compared as the
    national platform writes them, which names no township: a city or county and all within it.
    """
    if pooling is None:
        return not (fund.at(RegionLevel.COUNTY) or fund).contains(care)
    return (fund.at(pooling) or fund) != (care.at(pooling) or care)


def filing_for(
    filings: Iterable[RemoteFiling], fund: RegionCode, care: RegionCode, day: date
) -> RemoteFiling | None:
    """The filing that allows care in a division on a day, at the cost of a fund."""
    return next(
        (
            each
            for each in filings
            if each.region_code == fund
            and each.care_region_code.contains(care)
            and each.days.contains(day)
        ),
        None,
    )


_WHY = {
    "not-enrolled": ("未参保", "not enrolled"),
    "suspended": ("处于停保状态", "the enrolment rests"),
    "ended": ("参保关系已终止", "the enrolment had ended"),
    "ahead": ("参保关系尚未生效", "the enrolment begins later"),
    "deceased": ("参保人已死亡", "the person had died"),
}


def covering(
    enrolments: list[Enrolment], served_from: date, served_until: date, died_on: date | None
) -> Enrolment:
    """The one enrolment that covers every day of the services; raises `NoCoverOnDay`.

    A stay in which the scheme changes is claimed in two parts.
    """
    first: Enrolment | None = None
    day = served_from
    while day <= served_until:
        cover = cover_on(enrolments, day, died_on)
        if cover.reason is not None or cover.enrolment is None:
            zh, en = _WHY[cover.reason.value if cover.reason else "not-enrolled"]
            raise NoCoverOnDay(day=day, why_zh=zh, why=en)
        if first is not None and cover.enrolment is not first:
            raise NoCoverOnDay(
                day=day,
                why_zh="参保关系在住院期间发生变化，请按参保关系分段申报",
                why="another enrolment begins during the services: claim the two parts separately",
            )
        first = cover.enrolment
        # Until the next day on which something may change: stays of months cost no more than days.
        ends = first.cover_end(day)
        day = served_until + timedelta(days=1) if ends is None else ends
    assert first is not None
    return first
