"""The arithmetic of a settlement: whatever the rules, no fen is lost and no yearly limit broken."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from eldex.common.identifiers import RegionCode
from eldex.medical.domain.parameter import CareKind, Conditions, Found, HospitalLevel, Name, Value
from eldex.medical.domain.settlement import Facts, Rules, UsedUp, settle

fen = st.integers(0, 10**11)


def number(name: Name, value: int) -> Found:
    return Found(
        name,
        Conditions(),
        RegionCode("5117"),
        Value(date(2026, 1, 1), None, value, "〔虚构〕", "一"),
    )


@st.composite
def rules_of_a_city(draw: st.DrawFn) -> Rules:
    def some(name: Name) -> Found | None:
        value = st.integers(0, 10_000) if name.is_ratio else fen
        return number(name, draw(value)) if draw(st.booleans()) else None

    return Rules(
        number(Name.DEDUCTIBLE, draw(fen)),
        number(Name.RATIO, draw(st.integers(0, 10_000))),
        number(Name.CEILING, draw(fen)),
        *(some(name) for name in list(Name)[3:9]),
    )


@given(rules_of_a_city(), st.lists(st.tuples(fen, fen, fen), min_size=1, max_size=6))
def test_whatever_the_rules_the_parts_add_up_and_the_limits_of_the_year_hold(
    rules: Rules, visits: list[tuple[int, int, int]]
) -> None:
    deductible = pooled = burden = major = assistance = 0
    for total, out_of_scope, account in visits:
        facts = Facts(
            "res_wang",
            "H1",
            "ZY1",
            date(2026, 5, 1),
            date(2026, 5, 1),
            RegionCode("511702"),
            CareKind.INPATIENT,
            HospitalLevel.PRIMARY,
            total,
            min(out_of_scope, total),
            account,
        )
        split = settle(facts, rules, UsedUp(deductible, pooled, burden, major, assistance))
        p = split.parts
        shares = (
            p.pooled_fund_fen,
            p.major_illness_fen,
            p.assistance_fen,
            p.personal_account_fen,
            p.cash_fen,
        )
        assert sum(shares) == total
        assert min(shares) >= 0
        assert p.cash_fen + p.personal_account_fen >= facts.out_of_scope_fen
        assert p.personal_account_fen <= account
        deductible += split.deductible_fen
        pooled += p.pooled_fund_fen
        burden += split.burden_fen
        major += p.major_illness_fen
        assistance += p.assistance_fen
    assert deductible <= rules.deductible.amount
    assert pooled <= rules.ceiling.amount
    if rules.major_illness_ceiling:
        assert major <= rules.major_illness_ceiling.amount
    if rules.assistance_ceiling:
        assert assistance <= rules.assistance_ceiling.amount
