"""What follows from the facts that registry and medical insurance tell about a person.

The order of arrival across departments is not the order of time: every fact is kept with its days,
and all is decided anew from all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from eldex.common.identifiers import RegionCode
from eldex.subsidies.domain.recipient import Recipient, share_ends
from eldex.subsidies.domain.schemes import AbilityLevel, EligibilityClass
from eldex.subsidies.handlers.deciding import decide_person, recipient
from eldex.subsidies.handlers.ports import Stores


@dataclass(frozen=True, slots=True)
class Settled:
    """A person lives in a division from a day on; `born_on` is known at the registration."""

    resident_key: str
    region_code: RegionCode
    hukou_region_code: RegionCode
    began_on: date
    born_on: date | None = None


async def decide_on_residence(fact: Settled, stores: Stores, now: datetime) -> None:
    """Somebody was registered, or has moved: another division's schemes and amounts (M002-65)."""
    person = await recipient(fact.resident_key, stores)
    person.born_on = fact.born_on or person.born_on
    person.live_in(fact.region_code, fact.began_on, fact.hukou_region_code)
    await decide_person(person, stores, now)


async def end_on_death(resident_key: str, died_on: date, stores: Stores, now: datetime) -> None:
    """All ends on the day of death; what was paid for it and later is claimed back."""
    person = await recipient(resident_key, stores)
    person.died_on = died_on
    await decide_person(person, stores, now)


async def go_on_after_revoked_death(
    resident_key: str, died_on: date, stores: Stores, now: datetime
) -> None:
    """The notice of a death was wrong: all goes on, and what is claimed back for it is withdrawn."""
    person = await recipient(resident_key, stores)
    if person.died_on == died_on:
        person.died_on = None
    await decide_person(person, stores, now)


async def merge_into_survivor(
    resident_key: str, survivor_key: str, stores: Stores, now: datetime
) -> None:
    """Two records were one person: the survivor has all facts, and was paid what either was paid."""
    person = await recipient(resident_key, stores)
    former, person.merged_into = person.merged_into, survivor_key
    decided = await decide_person(person, stores, now)
    if former and former not in decided:
        await decide_person(await recipient(former, stores), stores, now)


async def restore_after_merge(
    resident_key: str, survivor_key: str, stores: Stores, now: datetime
) -> None:
    """A merge was wrong: each record stands for itself again."""
    person = await recipient(resident_key, stores)
    if person.merged_into == survivor_key:
        person.merged_into = ""
    decided = await decide_person(person, stores, now)
    if survivor_key not in decided:
        await decide_person(await recipient(survivor_key, stores), stores, now)


@dataclass(frozen=True, slots=True)
class Belongs:
    """A person belongs to a class."""

    resident_key: str
    eligibility_key: str
    eligibility_class: EligibilityClass
    valid_from: date
    valid_to: date | None


async def decide_on_eligibility(fact: Belongs, stores: Stores, now: datetime) -> None:
    """Somebody belongs to a class: what follows is found without an application (M004-48)."""
    person = await recipient(fact.resident_key, stores)
    membership = person.membership(fact.eligibility_key, fact.eligibility_class)
    membership.valid_from, membership.valid_to = fact.valid_from, fact.valid_to
    share_ends([person, *await stores.recipients.by("memberships.key", membership.key)])
    await decide_person(person, stores, now)


async def decide_on_eligibility_end(
    resident_key: str,
    eligibility_key: str,
    eligibility_class: EligibilityClass,
    ended_on: date,
    stores: Stores,
    now: datetime,
) -> None:
    """Somebody no longer belongs to a class from a day on.

    It is told of the record that stands for the person by then; the membership is kept with the
    one under which it was granted.
    """
    holder = await _holder("memberships.key", eligibility_key, resident_key, stores)
    holder.membership(eligibility_key, eligibility_class).end(ended_on)
    await decide_person(holder, stores, now)


async def _holder(path: str, key: str, resident_key: str, stores: Stores) -> Recipient:
    """The record that knows a membership or assessment; else the one under which it is told of."""
    known = await stores.recipients.by(path, key)
    held = [each for each in known if each.entered(key)]
    return (held or known or [await recipient(resident_key, stores)])[0]


@dataclass(frozen=True, slots=True)
class Assessed:
    """A person's ability was assessed."""

    resident_key: str
    assessment_key: str
    level: AbilityLevel
    assessed_on: date
    supersedes_key: str


async def decide_on_assessment(fact: Assessed, stores: Stores, now: datetime) -> None:
    """A level of ability counts from a day on: what follows is found without an application."""
    person = await recipient(fact.resident_key, stores)
    assessment = person.assessment(fact.assessment_key)
    assessment.level, assessment.assessed_on = fact.level, fact.assessed_on
    assessment.supersedes_key = fact.supersedes_key
    share_ends([person, *await stores.recipients.by("assessments.key", assessment.key)])
    await decide_person(person, stores, now)


async def decide_on_annulment(
    resident_key: str, assessment_key: str, stores: Stores, now: datetime
) -> None:
    """An assessment never counted: on its days the one before it does. Told as an end of a class is."""
    holder = await _holder("assessments.key", assessment_key, resident_key, stores)
    holder.assessment(assessment_key).annulled = True
    await decide_person(holder, stores, now)


@dataclass(frozen=True, slots=True)
class Care:
    """Long-term-care insurance pays from a day on, or no longer."""

    resident_key: str
    benefit_key: str
    on: date
    version: int
    """Version of the benefit that tells it."""


async def decide_on_long_term_care(fact: Care, stores: Stores, now: datetime) -> None:
    """Long-term-care insurance pays from a day on (M004-11); also again, after it had ended."""
    person = await recipient(fact.resident_key, stores)
    person.benefit(fact.benefit_key).grant(fact.on, fact.version)
    await decide_person(person, stores, now)


async def decide_on_long_term_care_end(fact: Care, stores: Stores, now: datetime) -> None:
    """Long-term-care insurance pays no longer from a day on."""
    person = await recipient(fact.resident_key, stores)
    person.benefit(fact.benefit_key).end(fact.on, fact.version)
    await decide_person(person, stores, now)
