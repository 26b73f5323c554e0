"""What the registry tells of residents, and what follows from it.

Every handler is idempotent by state: told late, twice or out of order, it changes nothing twice.
A fact about somebody never heard of before is kept; nothing fails because it came early.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, TypeVar

from eldex.common.identifiers import RegionCode, new_key
from eldex.medical.domain.enrolment import Enrolment
from eldex.medical.domain.person import Membership, Person, share_ends
from eldex.medical.domain.rights import RemoteFiling
from eldex.medical.domain.tenure import Tenure
from eldex.medical.handlers.people import records_of
from eldex.medical.handlers.ports import Kept, Stores
from eldex.medical.handlers.rights import (
    care_residence_level,
    doctor_residence_level,
    follow_moves,
)

T = TypeVar("T", bound=Tenure)


async def _known(stores: Stores, resident_key: str) -> Person:
    return await stores.people.find(resident_key) or Person(key=resident_key)


async def on_registered(
    resident_key: str, born_on: date, region_code: RegionCode, since: date, stores: Stores
) -> None:
    """A person is known from now on, with age and residence."""
    person = await _known(stores, resident_key)
    person.born_on = born_on
    person.live_in(region_code, since)
    stores.people.save(person)


async def on_moved(
    resident_key: str, region_code: RegionCode, moved_on: date, stores: Stores
) -> None:
    """Enrolments stay; what is bound to a residence ends where a parameter says so.

    A corrected move is told as one from the same day: what the wrong one ended goes on.
    """
    person = await _known(stores, resident_key)
    person.live_in(region_code, moved_on)
    stores.people.save(person)
    benefits = await stores.benefits.by("resident_key", resident_key)
    for benefit in benefits:
        level = await care_residence_level(stores, benefit)
        if follow_moves(benefit, person, level, benefits):
            stores.benefits.save(benefit)
    contracts = await stores.contracts.by("resident_key", resident_key)
    for contract in contracts:
        level = await doctor_residence_level(stores, contract)
        if follow_moves(contract, person, level, contracts):
            stores.contracts.save(contract)


async def on_deceased(resident_key: str, died_on: date, stores: Stores) -> None:
    """Everything ends: the day of death is the last one with cover, benefit and contract.

    A corrected day of death undoes the former end first. Claims that were settled for services
    after the day are marked, to be looked at (mission map 4.14: 505 dead people paid).
    """
    await _die(resident_key, died_on, stores)


async def on_death_revoked(resident_key: str, stores: Stores) -> None:
    """The person lives: everything that the death ended stands again."""
    await _die(resident_key, None, stores)


async def _die(resident_key: str, died_on: date | None, stores: Stores) -> None:
    person = await _known(stores, resident_key)
    if person.version and person.died_on == died_on:
        return
    person.died_on = died_on
    stores.people.save(person)
    for tenures, kept in await _all_of(resident_key, stores):
        for each in tenures:
            if each.days.empty and each.before_death is None:
                continue
            if person.first_day_after_life is None:
                each.revive()
            else:
                each.end_by_death(person.first_day_after_life)
            _save_if_told(each, kept)
    if person.survivor_key:
        # A death before its first day had left nothing of it to be handed over by the merge.
        await _hand_over(person.key, await _known(stores, person.survivor_key), stores)
    for record in [person] if person.survivor_key else await records_of(stores, person):
        await _doubt_claims(record.key, died_on, stores)


async def on_merged(merged_key: str, survivor_key: str, stores: Stores) -> None:
    """Two records were one person: nobody is insured twice (mission map 4.14: 8,367 were).

    What the merged record holds goes to the survivor for the days on which the survivor holds
    nothing of the kind; the rest of it never held.
    """
    merged = await _known(stores, merged_key)
    if merged.survivor_key == survivor_key:
        return
    survivor = await _known(stores, survivor_key)
    merged.survivor_key = survivor_key
    survivor.absorbed_keys.append(merged_key)
    share_ends([merged, survivor])
    stores.people.save(merged)
    stores.people.save(survivor)
    await _hand_over(merged_key, survivor, stores)
    await _doubt_claims(merged_key, survivor.died_on, stores)


async def _hand_over(merged_key: str, survivor: Person, stores: Stores) -> None:
    """Give what a merged record holds to its survivor, for the days on which that holds nothing."""
    theirs = {id(kept): tenures for tenures, kept in await _all_of(survivor.key, stores)}
    for tenures, kept in await _all_of(merged_key, stores):
        held = list(theirs[id(kept)])
        for each in sorted(tenures, key=lambda t: (t.began_on, t.key)):
            taken = [other.days for other in held if _family(other) == _family(each)]
            made = each.hand_over(survivor.key, taken, _new_key_like(each))
            held += [piece for piece in made if piece.resident_key == survivor.key]
            for piece in made:
                if piece.resident_key == survivor.key and survivor.first_day_after_life:
                    piece.end_by_death(survivor.first_day_after_life)
                kept.save(piece)


async def on_merge_reversed(merged_key: str, survivor_key: str, stores: Stores) -> None:
    """The merge was wrong: what the record had held is its own again, as it stood before."""
    merged = await _known(stores, merged_key)
    if merged.survivor_key != survivor_key:
        return
    survivor = await _known(stores, survivor_key)
    merged.survivor_key = ""
    survivor.absorbed_keys = [key for key in survivor.absorbed_keys if key != merged_key]
    stores.people.save(merged)
    stores.people.save(survivor)
    for kept in _kinds(stores):
        for each in await kept.by("handed_over.resident_key", merged_key):
            if each.hand_back(merged_key, survivor_key):
                if each.resident_key == merged_key:
                    # It stands as before the merge: what was told of the record's death since counts.
                    if merged.first_day_after_life:
                        each.end_by_death(merged.first_day_after_life)
                    else:
                        each.revive()
                kept.save(each)
    await _doubt_claims(merged_key, merged.died_on, stores)


async def on_eligibility_granted(resident_key: str, membership: Membership, stores: Stores) -> None:
    """A person belongs to a class: other shares of the pools may apply (M002-33, M002-37)."""
    person = await _known(stores, resident_key)
    person.belong(membership)
    key = membership.eligibility_key
    share_ends([person, *await stores.people.by("memberships.eligibility_key", key)])
    stores.people.save(person)


async def on_eligibility_ended(resident_key: str, ended: Membership, stores: Stores) -> None:
    """The membership no longer holds from a day on; what was settled stays settled.

    The end is told of the record that stands for the person by then; the membership may have been
    told of one that was merged into it since, and is still kept with that one, or not known yet.
    """
    key = ended.eligibility_key
    people = await stores.people.by("memberships.eligibility_key", key)
    if not people:
        people = [await _known(stores, resident_key)]
        people[0].belong(ended)
    for person in people:
        for membership in person.memberships:
            if membership.eligibility_key == key and ended.valid_to is not None:
                membership.end(ended.valid_to)
        stores.people.save(person)


async def _doubt_claims(resident_key: str, died_on: date | None, stores: Stores) -> None:
    """Mark the claims of a record that are for services after a death, and no others."""
    for claim in await stores.claims.by("resident_key", resident_key):
        if claim.doubt(died_on):
            stores.claims.save(claim)


def _save_if_told(right: T, kept: Kept[T]) -> None:
    if right.events:
        kept.save(right)


def _kinds(stores: Stores) -> tuple[Kept[Any], ...]:
    return stores.enrolments, stores.filings, stores.benefits, stores.contracts


async def _all_of(resident_key: str, stores: Stores) -> list[tuple[list[Tenure], Kept[Any]]]:
    """Everything a record holds, by kind."""
    return [(await kept.by("resident_key", resident_key), kept) for kept in _kinds(stores)]


def _family(right: Tenure) -> object:
    """What a person has one of at a time: basic insurance, a filing for one division, and so on."""
    if isinstance(right, Enrolment):
        return right.scheme.basic
    if isinstance(right, RemoteFiling):
        return right.region_code, right.care_region_code
    return None


def _new_key_like(right: Tenure) -> Callable[[], str]:
    prefix = right.key.partition("_")[0]
    return lambda: new_key(prefix)
