"""How the cost of care is shared: the arithmetic of a settlement, in fen, step by step.

Pure: what was claimed, what the year has used up, and the numbers that apply go in; five parts that
add up to the total come out, with the way there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from fractions import Fraction

from eldex.common.identifiers import RegionCode
from eldex.common.money import Fen, share_fen
from eldex.medical.domain.parameter import WHOLE, CareKind, Case, Found, HospitalLevel, Name, Policy


class StepKind(Enum):
    """What a step is about."""

    IN_SCOPE = "in-scope"
    DEDUCTIBLE = "deductible"
    POOLED_SHARE = "pooled-share"
    POOLED_CEILING = "pooled-ceiling"
    MAJOR_ILLNESS_DEDUCTIBLE = "major-illness-deductible"
    MAJOR_ILLNESS_SHARE = "major-illness-share"
    MAJOR_ILLNESS_CEILING = "major-illness-ceiling"
    ASSISTANCE_DEDUCTIBLE = "assistance-deductible"
    ASSISTANCE_SHARE = "assistance-share"
    ASSISTANCE_CEILING = "assistance-ceiling"
    PERSONAL_ACCOUNT = "personal-account"
    CASH = "cash"


@dataclass(frozen=True, slots=True)
class Facts:
    """What is claimed."""

    resident_key: str
    institution_code: str
    visit_code: str
    served_from: date
    served_until: date
    """Last day of the services, included: the day of discharge."""
    care_region_code: RegionCode
    """就医地, mdtrtarea_admvs."""
    care_kind: CareKind
    hospital_level: HospitalLevel
    total_fen: Fen
    out_of_scope_fen: Fen
    """Of the total, what no fund pays for."""
    personal_account_fen: Fen
    """What the person wants to pay from the account, at most."""


@dataclass(frozen=True, slots=True)
class Step:
    """From which amount, by which rule, to which amount."""

    kind: StepKind
    basis_fen: Fen
    amount_fen: Fen
    used_before_fen: Fen = 0
    rule: Found | None = None


@dataclass(frozen=True, slots=True)
class UsedUp:
    """What claims settled before have used up of the year's amounts."""

    deductible_fen: Fen = 0
    """Borne as deductible, for the kinds of care that the deductible is for."""
    pooled_fund_fen: Fen = 0
    """Paid by the pooled fund, for the kinds of care that its ceiling is for."""
    burden_fen: Fen = 0
    """In scope and not paid by the pooled fund, for all care: what major-illness insurance sees."""
    major_illness_fen: Fen = 0
    assistance_fen: Fen = 0


@dataclass(frozen=True, slots=True)
class Parts:
    """Who pays what; together the total, exactly."""

    pooled_fund_fen: Fen
    """统筹基金, hifp_pay."""
    major_illness_fen: Fen
    """大病保险, hifmi_pay."""
    assistance_fen: Fen
    """医疗救助, maf_pay."""
    personal_account_fen: Fen
    """个人账户, acct_pay."""
    cash_fen: Fen
    """个人现金, psn_cash_pay."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The numbers that apply to one claim; None: not set, nothing is paid or nothing limits."""

    deductible: Found
    ratio: Found
    ceiling: Found
    major_illness_deductible: Found | None = None
    major_illness_ratio: Found | None = None
    major_illness_ceiling: Found | None = None
    assistance_deductible: Found | None = None
    assistance_ratio: Found | None = None
    assistance_ceiling: Found | None = None

    @classmethod
    def of(cls, policy: Policy, case: Case, day: date) -> Rules:
        """The numbers of a policy for a case on a day; raises `ParameterNotSet`.

        The first three must be set; the second and third pool pay only where they are.
        """
        return cls(
            deductible=policy.get(Name.DEDUCTIBLE, case, day),
            ratio=policy.get(Name.RATIO, case, day),
            ceiling=policy.get(Name.CEILING, case, day),
            major_illness_deductible=policy.find(Name.MAJOR_ILLNESS_DEDUCTIBLE, case, day),
            major_illness_ratio=policy.find(Name.MAJOR_ILLNESS_RATIO, case, day),
            major_illness_ceiling=policy.find(Name.MAJOR_ILLNESS_CEILING, case, day),
            assistance_deductible=policy.find(Name.ASSISTANCE_DEDUCTIBLE, case, day),
            assistance_ratio=policy.find(Name.ASSISTANCE_RATIO, case, day),
            assistance_ceiling=policy.find(Name.ASSISTANCE_CEILING, case, day),
        )


@dataclass(slots=True)
class _Way:
    """The steps taken so far."""

    steps: list[Step] = field(default_factory=list)

    def deductible(
        self, kind: StepKind, basis: Fen, borne_before: Fen, rule: Found | None
    ) -> tuple[Fen, Fen]:
        """(what the person bears of the basis, what lies above); no rule: all lies above."""
        left = max(0, rule.amount - borne_before) if rule else 0
        borne = min(basis, left)
        if rule is not None:
            self.steps.append(Step(kind, basis, borne, borne_before, rule))
        return borne, basis - borne

    def share(self, kind: StepKind, basis: Fen, rule: Found) -> Fen:
        """A share of the basis."""
        amount = share_fen(basis, Fraction(rule.amount, WHOLE))
        self.steps.append(Step(kind, basis, amount, rule=rule))
        return amount

    def ceiling(self, kind: StepKind, basis: Fen, paid_before: Fen, rule: Found | None) -> Fen:
        """What the yearly ceiling lets through; no rule: all."""
        if rule is None:
            return basis
        amount = min(basis, max(0, rule.amount - paid_before))
        self.steps.append(Step(kind, basis, amount, paid_before, rule))
        return amount


@dataclass(frozen=True, slots=True)
class Split:
    """The outcome of a settlement."""

    parts: Parts
    deductible_fen: Fen
    burden_fen: Fen
    """In scope and not paid by the pooled fund."""
    steps: tuple[Step, ...]


def settle(facts: Facts, rules: Rules, used: UsedUp) -> Split:
    """Share a claim over the pools.

    In scope → above the deductible → the pooled fund's share up to its ceiling; what is left in
    scope → above the yearly deductible of major-illness insurance → its share; what is left → above
    that of medical assistance → its share; of what is left then with what is out of scope, the
    personal account pays as much as the person wants, and cash the rest.
    """
    way = _Way()
    in_scope = facts.total_fen - facts.out_of_scope_fen
    way.steps.append(Step(StepKind.IN_SCOPE, facts.total_fen, in_scope))
    borne, above = way.deductible(
        StepKind.DEDUCTIBLE, in_scope, used.deductible_fen, rules.deductible
    )
    pooled = way.ceiling(
        StepKind.POOLED_CEILING,
        way.share(StepKind.POOLED_SHARE, above, rules.ratio),
        used.pooled_fund_fen,
        rules.ceiling,
    )
    burden = in_scope - pooled
    major = _second_pool(way, burden, used, rules)
    assistance = _third_pool(way, burden - major, used, rules)
    left = facts.total_fen - pooled - major - assistance
    account = min(left, facts.personal_account_fen)
    way.steps.append(Step(StepKind.PERSONAL_ACCOUNT, left, account))
    way.steps.append(Step(StepKind.CASH, left, left - account))
    parts = Parts(pooled, major, assistance, account, left - account)
    return Split(parts, borne, burden, tuple(way.steps))


def _second_pool(way: _Way, burden: Fen, used: UsedUp, rules: Rules) -> Fen:
    if rules.major_illness_ratio is None or rules.major_illness_deductible is None:
        return 0
    kind = StepKind.MAJOR_ILLNESS_DEDUCTIBLE
    _, above = way.deductible(kind, burden, used.burden_fen, rules.major_illness_deductible)
    share = way.share(StepKind.MAJOR_ILLNESS_SHARE, above, rules.major_illness_ratio)
    kind = StepKind.MAJOR_ILLNESS_CEILING
    return way.ceiling(kind, share, used.major_illness_fen, rules.major_illness_ceiling)


def _third_pool(way: _Way, burden: Fen, used: UsedUp, rules: Rules) -> Fen:
    if rules.assistance_ratio is None:
        return 0
    kind, borne = StepKind.ASSISTANCE_DEDUCTIBLE, used.burden_fen - used.major_illness_fen
    _, above = way.deductible(kind, burden, borne, rules.assistance_deductible)
    share = way.share(StepKind.ASSISTANCE_SHARE, above, rules.assistance_ratio)
    kind = StepKind.ASSISTANCE_CEILING
    return way.ceiling(kind, share, used.assistance_fen, rules.assistance_ceiling)
