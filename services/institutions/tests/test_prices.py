"""What an inclusive institution may charge (M002-52), with every number's document."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eldex.common.calendar import InvalidPeriod
from eldex.common.errors import InvalidRequest
from eldex.common.identifiers import RegionCode
from eldex.common.regions import UnknownDivision
from eldex.institutions.domain.events import BedClass
from eldex.institutions.domain.parameters import (
    ClosureNotice,
    LocalIncome,
    MarketPrice,
    Parameter,
    ParameterMissing,
    ParameterTwice,
    PriceRule,
    Source,
    effective,
)
from eldex.institutions.domain.price import check_price

NURSING = "BED_CLASS_NURSING"


def parameter(region: str, year: int, **value: Any) -> dict[str, Any]:
    return {
        "region_code": region,
        "valid_from": {"year": year, "month": 1, "day": 1},
        "source": {"document": f"{region or '全国'} 统计公报 {year}（虚构）", "clause": "表 3"},
        **value,
    }


def income(region: str, year: int, fen: int) -> dict[str, Any]:
    return parameter(region, year, local_income={"yearly_income_fen": fen})


def market(region: str, year: int, fen: int) -> dict[str, Any]:
    return parameter(region, year, market_price={"bed_class": NURSING, "monthly_price_fen": fen})


async def check(field: Any, key: str, fen: int, language: str = "en", **more: Any) -> Any:
    return await field.ask(
        "CheckPrice",
        language,
        institution_key=key,
        bed_class=NURSING,
        monthly_price_fen=fen,
        **more,
    )


async def test_a_price_is_held_against_income_and_market_to_the_fen(field: Any) -> None:
    key = await field.open(inclusive=True)
    with pytest.raises(ParameterMissing, match="local-income"):
        await check(field, key, 1)
    await field.ask(
        "SetParameters",
        parameters=[income("5117", 2025, 36_000_00), market("5117", 2025, 5_000_00)],
    )
    at_most = await check(field, key, 4_000_00)
    assert at_most.applies
    assert at_most.allowed
    assert [test.ceiling_fen for test in at_most.tests] == [4_500_00, 4_000_00]
    assert at_most.tests[1].rule_source.clause.endswith("(M002-52)")
    assert at_most.target.ceiling_fen == 3_500_00
    assert not at_most.target.passed
    a_fen_more = await check(field, key, 4_000_01, "zh")
    assert not a_fen_more.allowed
    assert [test.passed for test in a_fen_more.tests] == [True, False]
    assert "月收费 4,000.01 元超过市场化养老机构月价格" in a_fen_more.tests[1].explanation


async def test_the_nearest_division_and_the_day_decide(field: Any) -> None:
    key = await field.open(inclusive=True)
    await field.ask(
        "SetParameters",
        parameters=[
            income("51", 2025, 99_000_00),
            market("5117", 2025, 5_000_00),
            market("511702", 2026, 4_000_00),
            income("511702001", 2025, 30_000_00),
        ],
    )
    now = await check(field, key, 3_000_00)
    assert [test.base_fen for test in now.tests] == [2_500_00, 4_000_00]
    before = await check(field, key, 3_000_00, on=date(2025, 6, 1))
    assert [test.base_fen for test in before.tests] == [2_500_00, 5_000_00]


async def test_others_charge_what_the_market_bears(field: Any) -> None:
    key = await field.open()
    verdict = await check(field, key, 9_999_00)
    assert (verdict.applies, verdict.allowed) == (False, True)


async def test_a_parameter_set_again_is_replaced_and_twice_in_one_request_refused(
    field: Any,
) -> None:
    first = await field.ask("SetParameters", parameters=[income("5117", 2025, 30_000_00)])
    second = await field.ask("SetParameters", parameters=[income("5117", 2025, 31_000_00)])
    assert first.parameters[0].parameter_key == second.parameters[0].parameter_key
    found = await field.ask("GetParameters", region_code="511702001")
    values = {p.WhichOneof("value"): p for p in found.parameters}
    assert values["local_income"].local_income.yearly_income_fen == 31_000_00
    assert values["price_rule"].price_rule.market_target_percent == 70
    assert set(values) == {"grading_rule", "local_income", "price_rule"}
    with pytest.raises(ParameterTwice):
        await field.ask(
            "SetParameters", parameters=[income("5117", 2025, 1), income("511700", 2025, 2)]
        )


async def test_what_contradicts_itself_is_not_set(field: Any) -> None:
    backwards = income("5117", 2025, 1) | {"valid_to": {"year": 2024, "month": 1, "day": 1}}
    with pytest.raises(InvalidPeriod):
        await field.ask("SetParameters", parameters=[backwards])
    with pytest.raises(UnknownDivision):
        await field.ask("SetParameters", parameters=[income("519999", 2025, 1)])
    easier_above = {
        "maxima": {"environment": 1, "equipment": 1, "management": 1, "service": 1},
        "thresholds": [{"grade": 1, "points": 3}, {"grade": 2, "points": 2}],
    }
    with pytest.raises(InvalidRequest):
        await field.ask(
            "SetParameters", parameters=[parameter("", 2025, grading_rule=easier_above)]
        )


def of(value: Any, region: str | None = None, begins: int = 2020, ends: int | None = None) -> Any:
    return Parameter(
        key="",
        region_code=RegionCode.parse(region) if region else None,
        valid_from=date(begins, 1, 1),
        valid_to=date(ends, 1, 1) if ends else None,
        source=Source("文件", "条款"),
        value=value,
    )


@given(
    price=st.integers(1, 10**7),
    yearly=st.integers(1, 10**8),
    monthly=st.integers(1, 10**7),
    shares=st.tuples(st.integers(1, 300), st.integers(1, 300)),
)
def test_a_ceiling_is_the_highest_price_within_the_share(
    price: int, yearly: int, monthly: int, shares: tuple[int, int]
) -> None:
    verdict = check_price(
        price,
        of(PriceRule(*shares, market_target_percent=0)),
        of(LocalIncome(yearly)),
        of(MarketPrice(BedClass.NURSING, monthly)),
    )
    by_income, by_market = verdict.tests
    assert by_income.passed == (price * 1200 <= yearly * shares[0])
    assert by_market.passed == (price * 100 <= monthly * shares[1])
    assert verdict.target is None


@given(
    data=st.lists(
        st.tuples(
            st.sampled_from([None, "51", "5117", "511702", "511702001"]),
            st.integers(2018, 2026),
            st.integers(0, 4),
        ),
        max_size=8,
    ),
    year=st.integers(2018, 2028),
)
def test_one_parameter_holds_at_most_and_none_nearer_was_passed_over(
    data: list[tuple[str | None, int, int]], year: int
) -> None:
    day = date(year, 6, 1)
    parameters = [
        of(ClosureNotice(n + 1), region, begins, begins + length if length else None)
        for n, (region, begins, length) in enumerate(data)
    ]
    found = effective(parameters, RegionCode("511702001"), day).get("closure-notice")
    holding = [p for p in parameters if p.holds_on(day)]
    assert (found is None) == (not holding)
    if found is not None:
        depth = max(len(str(p.region_code or "")) for p in holding)
        assert len(str(found.region_code or "")) == depth
        near = [p for p in holding if len(str(p.region_code or "")) == depth]
        assert found.valid_from == max(p.valid_from for p in near)
