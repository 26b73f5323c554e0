"""What happens to each person: classes, insurances, an assessment."""

from __future__ import annotations

from datetime import date, timedelta
from random import Random
from typing import TypeVar

from eldex.common.calendar import birthday_at
from eldex.local.city import shape
from eldex.local.city.families import Draft, Family
from eldex.local.city.records import (
    ABILITY_ITEMS,
    FictionalAssessment,
    FictionalEligibility,
    FictionalEnrolment,
)
from eldex.local.city.shape import Eligibility, Scheme

T = TypeVar("T")
_MOST = tuple(most for _, most in ABILITY_ITEMS)
_WHOLE = sum(_MOST)
_LEVEL_TOTALS = ((90, 90), (66, 89), (46, 65), (30, 45), (0, 29))
"""Lowest and highest total of the levels 0 to 4 (GB/T 42195, map §4.1)."""
_CONSCIOUSNESS = [name for name, _ in ABILITY_ITEMS].index("意识水平")
_LIVELIHOOD = frozenset(
    {Eligibility.EXTREME_POVERTY, Eligibility.MINIMUM_LIVING, Eligibility.LOW_INCOME}
)


AT_HOME = frozenset({Eligibility.LIVING_ALONE, Eligibility.EMPTY_NEST, Eligibility.LEFT_BEHIND})
"""Classes that follow from how somebody lives at home; who lives in an institution has none."""


def eligibility(
    person: Draft, family: Family, born_on: date, as_of: date, rng: Random
) -> tuple[FictionalEligibility, ...]:
    """The classes of an elder, several at once; none for the young."""
    if person.age < shape.ELDER_AGE:
        return ()
    found = []
    livelihood = rng.random()
    for drawn in shape.DRAWN_CLASSES:
        if person.age < drawn.from_age:
            continue
        if drawn.kind in _LIVELIHOOD:
            # One draw for all three, so that nobody is in two of them.
            inside = 0 <= livelihood < drawn.share
            livelihood -= drawn.share
        else:
            inside = drawn.share >= 1 or rng.random() < drawn.share
        if inside:
            if drawn.from_age >= 80:
                since = birthday_at(born_on, drawn.from_age)
            else:
                since = _some_day(as_of, 3000, rng)
            found.append(FictionalEligibility(drawn.kind, drawn.source, since))
    lives = family.arrangement
    elders_only = lives == "alone"
    since = _some_day(as_of, 2000, rng)
    if elders_only and len(family.members) == 1:
        found.append(FictionalEligibility(Eligibility.LIVING_ALONE, "civil-affairs", since))
    if elders_only:
        found.append(FictionalEligibility(Eligibility.EMPTY_NEST, "civil-affairs", since))
    if lives == "grandchildren":
        found.append(FictionalEligibility(Eligibility.LEFT_BEHIND, "civil-affairs", since))
    return tuple(found)


def enrolments(
    person: Draft, born_on: date, as_of: date, rng: Random
) -> tuple[FictionalEnrolment, ...]:
    """The insurance schemes somebody is in: one of a kind, employees' or residents'."""
    employee = person.age >= 20 and rng.random() < shape.EMPLOYEE_SHARE
    found = []
    if person.age >= 16 and rng.random() < shape.PENSION_COVERAGE:
        scheme = Scheme.PENSION_EMPLOYEE if employee else Scheme.PENSION_RESIDENT
        found.append(_enrolment(scheme, born_on.year + 17, as_of, rng))
    if rng.random() < shape.MEDICAL_COVERAGE:
        scheme = Scheme.MEDICAL_EMPLOYEE if employee else Scheme.MEDICAL_RESIDENT
        found.append(_enrolment(scheme, born_on.year + 1, as_of, rng))
        if employee:
            found.append(_enrolment(Scheme.LONG_TERM_CARE, born_on.year + 20, as_of, rng))
    return tuple(found)


def assessment(
    person: Draft, dementia: bool, as_of: date, rng: Random
) -> FictionalAssessment | None:
    """An ability assessment for some of the elders, its points in keeping with a drawn level."""
    if person.age < shape.ELDER_AGE or rng.random() >= _from_age(shape.ASSESSED, person.age):
        return None
    drawn, level = rng.random(), 0
    for level, share in enumerate(_from_age(shape.LEVEL_SHARES, person.age)):  # noqa: B007
        if drawn < share:
            break
        drawn -= share
    low, high = _LEVEL_TOTALS[level]
    points = _points(low + int(rng.random() * (high - low + 1)), rng)
    falls = 2 + int(rng.random() * 2) if rng.random() < 0.02 else int(rng.random() < 0.06)
    return FictionalAssessment(_some_day(as_of, 700, rng), points, dementia, falls)


def _points(total: int, rng: Random) -> tuple[int, ...]:
    """Points by item that add up to a total; consciousness is lost last, and only near nothing."""
    points = [round(most * total / _WHOLE) for most in _MOST]
    points[_CONSCIOUSNESS] = min(2, total) if total > 4 else 0
    gap = total - sum(points)
    step = 1 if gap > 0 else -1
    while gap:
        i = int(rng.random() * len(points))
        if i != _CONSCIOUSNESS and 0 <= points[i] + step <= _MOST[i]:
            points[i] += step
            gap -= step
    return tuple(points)


def _enrolment(scheme: Scheme, year: int, as_of: date, rng: Random) -> FictionalEnrolment:
    """Enrolment begins with a year: not before the year given nor the scheme's 2009."""
    first = max(year, 2009)
    last = max(first, as_of.year - 1)
    began_on = date(first + int(rng.random() * min(4, last - first + 1)), 1, 1)
    return FictionalEnrolment(scheme, min(began_on, as_of))


def _some_day(as_of: date, within: int, rng: Random) -> date:
    return as_of - timedelta(days=1 + int(rng.random() * within))


def _from_age(steps: tuple[tuple[int, T], ...], age: int) -> T:
    """The value of the last step that begins at or below the age."""
    value = steps[0][1]
    for from_age, each in steps:
        if age >= from_age:
            value = each
    return value
