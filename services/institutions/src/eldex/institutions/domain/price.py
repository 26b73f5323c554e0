"""The price rule for inclusive institutions (普惠养老, M002-52), applied and explained."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from eldex.institutions.domain.events import BedClass
from eldex.institutions.domain.parameters import (
    LocalIncome,
    MarketPrice,
    Parameter,
    PriceRule,
    Source,
)


class PriceBase(Enum):
    """What a ceiling is a share of."""

    INCOME = "income"
    """A twelfth of the yearly disposable income."""
    MARKET = "market"
    """The month's price of market institutions."""


@dataclass(frozen=True, slots=True)
class PriceTest:
    """One ceiling, applied; a price of just the ceiling is within."""

    base: PriceBase
    base_fen: int
    percent: int
    ceiling_fen: int
    passed: bool
    rule_source: Source
    base_source: Source


@dataclass(frozen=True, slots=True)
class PriceVerdict:
    """Whether a price is allowed, with every test; `target` is told but not counted."""

    applies: bool
    tests: tuple[PriceTest, ...] = ()
    target: PriceTest | None = None

    @property
    def allowed(self) -> bool:
        """Whether every ceiling is kept."""
        return all(test.passed for test in self.tests)


def needed_subjects(bed_class: BedClass) -> tuple[str, str, str]:
    """The parameters that the rule needs: rule, income, market price."""
    return ("price-rule", "local-income", f"market-price/{bed_class.value}")


def check_price(
    price_fen: int, rule: Parameter, income: Parameter, market: Parameter
) -> PriceVerdict:
    """Hold a month's price against the rule.

    The income's month is a twelfth of its year; ceilings are cut to the fen, never rounded up.
    """
    assert isinstance(rule.value, PriceRule)
    assert isinstance(income.value, LocalIncome)
    assert isinstance(market.value, MarketPrice)
    shares, yearly, monthly = (
        rule.value,
        income.value.yearly_income_fen,
        market.value.monthly_price_fen,
    )

    def test(
        base: PriceBase, amount_fen: int, months: int, percent: int, of: Parameter
    ) -> PriceTest:
        ceiling_fen = amount_fen * percent // (100 * months)
        return PriceTest(
            base,
            amount_fen // months,
            percent,
            ceiling_fen,
            price_fen <= ceiling_fen,
            rule.source,
            of.source,
        )

    target = shares.market_target_percent
    return PriceVerdict(
        applies=True,
        tests=(
            test(PriceBase.INCOME, yearly, 12, shares.income_percent, income),
            test(PriceBase.MARKET, monthly, 1, shares.market_percent, market),
        ),
        target=test(PriceBase.MARKET, monthly, 1, target, market) if target else None,
    )
