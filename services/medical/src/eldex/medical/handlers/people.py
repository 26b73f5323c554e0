"""Whom an act concerns, and by which rules: asked for by every other verb."""

from __future__ import annotations

import asyncio
from datetime import date, datetime

from eldex.common.clock import day_of
from eldex.common.identifiers import RegionCode
from eldex.medical.domain.enrolment import Enrolment
from eldex.medical.domain.parameter import Policy
from eldex.medical.domain.person import Person, ResidentUnknown
from eldex.medical.domain.tenure import DayImpossible
from eldex.medical.handlers.ports import Stores

_OLDEST = date(1951, 1, 1)
"""The first labour insurance of the country: what begins before it is a slip of the pen."""
_YEARS_AHEAD = 2
"""How far ahead a first day may lie before it is taken for a slip of the pen."""


def must_be_plausible(began_on: date, now: datetime) -> None:
    """Refuse a first day that nobody can mean."""
    last_year = day_of(now).year + _YEARS_AHEAD
    if began_on < _OLDEST or began_on.year > last_year:
        raise DayImpossible(
            day=began_on,
            why_zh=f"起始日应在 {_OLDEST} 至 {last_year} 年之间",
            why=f"what begins here begins between {_OLDEST} and the year {last_year}",
        )


async def person_of(stores: Stores, resident_key: str) -> Person:
    """The person, as the registry told of them; raises `ResidentUnknown`.

    Load the person before what belongs to them, and save them with what begins for them: a clerk
    who was unaware of another is then told by the version, and decided again.
    """
    person = await stores.people.find(resident_key)
    if person is None:
        raise ResidentUnknown(resident_key=resident_key)
    return person


async def standing_for(stores: Stores, person: Person) -> Person:
    """The person who stands for a record, through however many merges.

    News of two records come in no order between them: while a merge in one direction is known and
    the reversal of the other is not yet, they would stand for each other. Then the last one stands.
    """
    seen = {person.key}
    while person.survivor_key and person.survivor_key not in seen:
        seen.add(person.survivor_key)
        person = await person_of(stores, person.survivor_key)
    return person


async def records_of(stores: Stores, person: Person) -> list[Person]:
    """Every record that is this person: the one that stands, and all that were merged into it."""
    found: dict[str, Person] = {}
    waiting = [await standing_for(stores, person)]
    while waiting:
        each = waiting.pop()
        found[each.key] = each
        waiting += [await person_of(stores, k) for k in each.absorbed_keys if k not in found]
    return list(found.values())


async def policy_of(stores: Stores, region_code: RegionCode) -> Policy:
    """The parameters that can answer for a division: its own and those of all above it."""
    lineage = region_code.lineage()
    found = await asyncio.gather(
        *(stores.parameters.by("region_code", str(code)) for code in lineage)
    )
    return Policy(region_code, [each for some in found for each in some])


async def enrolments_of(stores: Stores, resident_key: str, *, basic: bool) -> list[Enrolment]:
    """The person's enrolments of one family: the two basic schemes, or long-term care."""
    found = await stores.enrolments.by("resident_key", resident_key)
    return [each for each in found if each.scheme.basic is basic]
