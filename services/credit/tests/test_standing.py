"""Joint punishment, reckoned per party: in force on a day if and only if some listing demands it."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from eldex.common.identifiers import RegionCode
from eldex.credit.domain.listing import Decision, Listing, ListingState
from eldex.credit.domain.parameters import Ground
from eldex.credit.domain.standing import JointPunishmentLifted, JointPunishmentOrdered, Standing
from eldex.credit.domain.terms import Colour, Measure, Source, Subject, SubjectKind, months_after

START = date(2026, 1, 1)
HORIZON = 40
FOR_HOMES = [m for m in Measure if m.concerns(SubjectKind.ORGANISATION)]
SUBJECT = Subject.organisation("52511702MJQ000018R")  # fictional
REGION = RegionCode.parse("511702")

spans = st.tuples(
    st.integers(0, HORIZON - 2),
    st.integers(1, 15),
    st.sets(st.sampled_from(FOR_HOMES), min_size=1),
    st.one_of(st.none(), st.integers(0, 14)),  # revoked so many days after it began
)


def listing(number: int, began: int, length: int, measures: set[Measure]) -> Listing:
    ground = Ground(
        code="OTHER",
        colour=Colour.BLACK,
        applies_to=(SubjectKind.ORGANISATION,),
        zh="其他",
        en="other",
        measures=tuple(m for m in Measure if m in measures),
        term_months=1,
        effective_from=START,
        source=Source("虚构办法"),
    )
    made = Listing(
        key=f"lst_{number}",
        subject=SUBJECT,
        colour=Colour.BLACK,
        ground_code="OTHER",
        authority="民政局",
        region_code=REGION,
        evidence=["x"],
        summary="x",
        legal_basis=ground.source,
    )
    began_on = START + timedelta(days=began)
    made.publish(
        Decision(f"d{number}", START, ""),
        ground,
        began_on,
        began_on + timedelta(days=length),
        START,
    )
    return made


@given(st.lists(spans, max_size=6))
def test_departments_hear_of_a_measure_exactly_for_the_days_on_which_a_listing_demands_it(
    drawn: list[tuple[int, int, set[Measure], int | None]],
) -> None:
    listings = [listing(i, began, long, ms) for i, (began, long, ms, _) in enumerate(drawn)]
    standing = Standing.of(SUBJECT)
    by_party: dict[date, set[Measure]] = {}
    by_listing: dict[date, set[Measure]] = {}
    party: set[Measure] = set()
    held: set[tuple[str, Measure]] = set()
    for offset in range(HORIZON + 20):
        day = START + timedelta(days=offset)
        for each, (began, _, _, revoked_after) in zip(listings, drawn, strict=True):
            each.refresh(day)
            due = revoked_after is not None and offset == began + revoked_after
            if due and each.state is ListingState.IN_FORCE:
                each.revoke("撤销决定", "错误", day, day)
        standing.follow(listings, day)
        for told in standing.events:
            match told:
                case JointPunishmentOrdered():
                    assert told.began_on == day
                    party |= set(told.measures)
                    held |= {(told.listing_key, m) for m in told.measures}
                case JointPunishmentLifted():
                    assert told.lifted_on == day
                    party -= set(told.measures)
                    held -= {(told.listing_key, m) for m in told.measures}
        standing.events.clear()
        by_party[day] = set(party)
        by_listing[day] = {measure for _, measure in held}
    for day, heard in by_party.items():
        demanded = {m for each in listings if each.counts_on(day) for m in each.measures}
        assert heard == demanded
        assert by_listing[day] == demanded
    assert standing.orders == []


def test_a_term_of_months_is_never_shorter_than_it_says() -> None:
    assert months_after(date(2024, 2, 29), 24) == date(2026, 3, 1)
    assert months_after(date(2026, 1, 31), 1) == date(2026, 3, 1)
    assert months_after(date(2026, 11, 22), 36) == date(2029, 11, 22)
    assert months_after(date(2026, 12, 31), 2) == date(2027, 3, 1)
    assert months_after(date(2025, 10, 31), 1) == date(2025, 12, 1)


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.integers(0, 600), st.integers(0, 600))
def test_more_months_never_end_earlier(day: date, some: int, more: int) -> None:
    assert months_after(day, some) <= months_after(day, some + more)
    assert months_after(day, 0) == day
