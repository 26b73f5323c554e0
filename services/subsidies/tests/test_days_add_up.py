"""Properties: days add up, whatever happened in whatever order, and money follows the days."""

from __future__ import annotations

import asyncio
import itertools
from calendar import monthrange
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eldex.api.subsidies.v1 import subsidies_service_pb2 as calls
from eldex.common.calendar import Period
from eldex.subsidies.domain.days import fen_of_days, worth
from eldex.subsidies.domain.institution import months_later

CHEN = "res_chenyuzhen"
CARE = "care-allowance"
FIRST, LAST = date(2026, 8, 1), date(2026, 11, 30)
TODAY = "2026-12-05"
MONTHS = ("2026-08", "2026-09", "2026-10", "2026-11")


# --- arithmetic ----------------------------------------------------------------------------------


@given(
    fen=st.integers(0, 10**7),
    year=st.integers(2020, 2030),
    month=st.integers(1, 12),
    cuts=st.lists(st.integers(1, 31), max_size=6),
)
def test_a_month_cut_anywhere_adds_up_to_the_amount_and_is_fair_to_the_fen(
    fen: int, year: int, month: int, cuts: list[int]
) -> None:
    days = monthrange(year, month)[1]
    first = date(year, month, 1)
    edges = sorted({0, days, *(cut for cut in cuts if cut < days)})
    parts = [
        fen_of_days(fen, first + timedelta(days=a), first + timedelta(days=b))
        for a, b in itertools.pairwise(edges)
    ]
    assert sum(parts) == fen
    for part, (a, b) in zip(parts, itertools.pairwise(edges), strict=True):
        assert abs(part - fen * (b - a) / days) < 1


@given(fen=st.integers(0, 10**6), start=st.dates(date(2024, 1, 1), date(2026, 12, 31)),
       length=st.integers(1, 800), cut=st.integers(1, 799))  # fmt: skip
def test_a_period_cut_anywhere_is_worth_as_much_as_in_one_piece(
    fen: int, start: date, length: int, cut: int
) -> None:
    end = start + timedelta(days=length)
    middle = start + timedelta(days=min(cut, length - 1))
    parts = [Period(start, middle)] if middle > start else []
    parts.append(Period(middle, end))
    assert sum(worth(fen, part) for part in parts) == worth(fen, Period(start, end))


def test_days_of_two_months_are_refused() -> None:
    with pytest.raises(ValueError, match="one month"):
        fen_of_days(100, date(2026, 10, 30), date(2026, 11, 2))


@pytest.mark.parametrize(
    ("day", "months", "later"),
    [
        ("2024-03-01", 12, "2025-03-01"),
        ("2024-02-29", 12, "2025-03-01"),
        ("2025-12-31", 2, "2026-03-01"),
        ("2024-12-31", 12, "2025-12-31"),
        ("2025-10-31", 1, "2025-12-01"),
        ("9999-12-31", 24, "9999-12-31"),
    ],
)
def test_a_year_is_over_on_the_same_day_or_the_next_that_there_is(
    day: str, months: int, later: str
) -> None:
    assert months_later(date.fromisoformat(day), months) == date.fromisoformat(later)


# --- a person's facts, and what they come to when reckoned day by day ------------------------------

days = st.dates(FIRST - timedelta(days=20), LAST)
Fact = tuple[str, date, Any]
facts = st.lists(
    st.one_of(
        st.tuples(st.just("move"), days, st.sampled_from(["511702001", "511702002", "511723", "5117"])),
        st.tuples(st.just("class"), days, st.integers(1, 90)),
        st.tuples(st.just("level"), days, st.sampled_from(["MILD", "MODERATE", "SEVERE", "COMPLETE"])),
        st.tuples(st.just("care"), days, st.integers(1, 60)),
    ),
    max_size=8,
    unique_by=lambda fact: (fact[0], fact[1]),
)  # fmt: skip
deaths = st.one_of(st.none(), days)

AMOUNTS = {
    "511702": {"MODERATE": 20000, "SEVERE": 36000, "COMPLETE": 50000},
    "": {"MODERATE": 15000, "SEVERE": 30000, "COMPLETE": 40000},
}


def county_on(found: list[Fact], day: date) -> str:
    moves = sorted((on, what) for kind, on, what in found if kind == "move" and on <= day)
    return (moves[-1][1] if moves else "511702001")[:6]


def monthly_on(found: list[Fact], died_on: date | None, day: date) -> int:
    """What one looks up by hand: the county's amount for the level, or nothing."""
    if died_on is not None and day >= died_on:
        return 0
    if not any(
        kind == "class" and on <= day < on + timedelta(days=length) for kind, on, length in found
    ):
        return 0
    if any(
        kind == "care" and on <= day < on + timedelta(days=length) for kind, on, length in found
    ):
        return 0
    levels = sorted((on, level) for kind, on, level in found if kind == "level" and on <= day)
    table = AMOUNTS.get(county_on(found, day), AMOUNTS[""])
    return table.get(levels[-1][1], 0) if levels else 0


def price(monthly: int, day: date) -> int:
    length = monthrange(day.year, day.month)[1]
    return monthly * day.day // length - monthly * (day.day - 1) // length


def by_hand(found: list[Fact], died_on: date | None, month: str) -> dict[str, int]:
    """By county: what the days of a month are worth."""
    totals: dict[str, int] = {}
    day = date.fromisoformat(f"{month}-01")
    while day.isoformat()[:7] == month:
        fen = price(monthly_on(found, died_on, day), day)
        if fen:
            county = county_on(found, day)
            totals[county] = totals.get(county, 0) + fen
        day += timedelta(days=1)
    return totals


def messages(office: Any, found: list[Fact], died_on: date | None) -> list[tuple[int, Any]]:
    """What is told, each with its place in the order in which it was."""
    told = [office.registered(CHEN, "1950-02-11")]
    for number, (kind, on, what) in enumerate(found):
        day = on.isoformat()
        if kind == "move":
            told.append(office.moved(CHEN, what, day))
        elif kind == "level":
            told.append(office.assessed(CHEN, what, day))
        else:
            end = (on + timedelta(days=what)).isoformat()
            name = f"{kind}_{number}"
            if kind == "class":
                told.append(office.belongs(CHEN, "MINIMUM_LIVING", day, name=name))
                told.append(office.belongs_no_more(CHEN, "MINIMUM_LIVING", end, name=name))
            else:
                told += [
                    office.cared_for(CHEN, day, name),
                    office.cared_for_no_more(CHEN, end, name),
                ]
    if died_on is not None:
        told.append(office.died(CHEN, died_on.isoformat()))
    return list(enumerate(told, start=1))


async def stretches(office: Any) -> list[Any]:
    """What stands, for all divisions: only days that are paid."""
    return [
        (e.region_code, office.text_of(s.began_on), s.monthly_amount_fen, s.region_code)
        for e in await office.entitlements(CHEN, CARE)
        for s in e.stretches
        if s.monthly_amount_fen
    ]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(found=facts, died_on=deaths, shuffle=st.randoms(use_true_random=False))
def test_facts_in_any_order_of_arrival_lead_to_the_same_days(
    new_office: Any, found: list[Fact], died_on: date | None, shuffle: Any
) -> None:
    async def story() -> None:
        first, second = await new_office().start(TODAY), await new_office().start(TODAY)
        told = messages(first, found, died_on)
        for version, fact in told:
            await first.tell(fact, version=version)
        shuffle.shuffle(told)
        for version, fact in told:
            await second.tell(fact, version=version)
        assert await stretches(first) == await stretches(second)

    asyncio.run(story())


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    found=facts,
    died_on=deaths,
    shuffle=st.randoms(use_true_random=False),
    paid_after=st.lists(st.integers(0, 12), min_size=4, max_size=4),
)
def test_whatever_was_paid_when_in_the_end_exactly_the_entitled_days_are_paid(
    new_office: Any, found: list[Fact], died_on: date | None, shuffle: Any, paid_after: list[int]
) -> None:
    """Months are paid while facts still arrive, late and in disorder; one last cycle settles all."""

    async def story() -> None:
        office = await new_office().start(TODAY)
        told = messages(office, found, died_on)
        shuffle.shuffle(told)
        months = dict(zip(MONTHS, sorted(paid_after), strict=True))
        for number, (version, fact) in enumerate(told):
            for month in [m for m, after in months.items() if after <= number]:
                await office.pay(month)
                del months[month]
            await office.tell(fact, version=version)
        for month in months:
            await office.pay(month)
        await office.pay("2026-12")
        await check_money(office, found, died_on)

    asyncio.run(story())


async def check_money(office: Any, found: list[Fact], died_on: date | None) -> None:
    expected = {
        (m, county): fen for m in MONTHS for county, fen in by_hand(found, died_on, m).items()
    }
    standing = {
        (office.text_of(month.month)[:7], e.region_code): month.settled_fen
        for e in await office.entitlements(CHEN, CARE)
        for month in e.months
        if month.settled_fen and office.text_of(month.month)[:7] in MONTHS
    }
    assert standing == expected
    request = calls.ListDisbursementsRequest(payee_key=CHEN, page_size=500)
    paid: dict[str, int] = {}
    for made in (await office.door.list_disbursements(request, office.call())).disbursements:
        for line in made.lines if made.scheme_code == CARE else ():
            month = office.text_of(line.month)[:7]
            paid[month] = paid.get(month, 0) + line.amount_fen
    for recovery in await office.recoveries(CHEN):
        for line in recovery.lines if recovery.scheme_code == CARE else ():
            paid[office.text_of(line.month)[:7]] -= line.amount_fen
    for month in MONTHS:
        assert paid.get(month, 0) == sum(by_hand(found, died_on, month).values())
