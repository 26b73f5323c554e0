"""Forming, changing and dissolving households."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from eldex.common.clock import day_of
from eldex.common.identifiers import RegionCode, new_key
from eldex.registry.domain.households import AlreadyInHousehold, Household, MemberRepeated
from eldex.registry.domain.relations import FamilyRelation
from eldex.registry.handlers.ports import DivisionTable, Stores, check_division

Related = Sequence[tuple[str, FamilyRelation]]
"""Residents' keys, each with the relation to the head."""


@dataclass(frozen=True, slots=True)
class FormHousehold:
    """People begin to keep house together."""

    region_code: RegionCode
    formed_on: date | None
    head_key: str
    others: Related


async def form_household(
    command: FormHousehold, stores: Stores, divisions: DivisionTable, now: datetime
) -> Household:
    """Form a household of people who live and belong to no other."""
    today = day_of(now)
    formed_on = command.formed_on or today
    check_division(divisions, "region_code", command.region_code, [today])
    others = _once(command.others)
    for key in (command.head_key, *others):
        await _must_be_free(key, formed_on, stores)
    household = Household.form(
        key=new_key("hh"),
        region_code=command.region_code,
        head_key=command.head_key,
        others=others,
        formed_on=formed_on,
        today=today,
    )
    return _saved(household, stores, now)


@dataclass(frozen=True, slots=True)
class AddHouseholdMember:
    """Somebody joins."""

    household_key: str
    resident_key: str
    relation: FamilyRelation
    joined_on: date | None
    etag: str


async def add_household_member(
    command: AddHouseholdMember, stores: Stores, now: datetime
) -> Household:
    """Let somebody join who lives and belongs to no other household."""
    household = await _loaded(command.household_key, command.etag, stores)
    joined_on = command.joined_on or day_of(now)
    await _must_be_free(command.resident_key, joined_on, stores, own=household)
    household.add(command.resident_key, command.relation, joined_on, day_of(now))
    return _saved(household, stores, now)


@dataclass(frozen=True, slots=True)
class RemoveHouseholdMember:
    """Somebody leaves."""

    household_key: str
    resident_key: str
    left_on: date | None
    etag: str


async def remove_household_member(
    command: RemoveHouseholdMember, stores: Stores, now: datetime
) -> Household:
    """Let a member leave."""
    household = await _loaded(command.household_key, command.etag, stores)
    today = day_of(now)
    household.remove(command.resident_key, command.left_on or today, today)
    return _saved(household, stores, now)


@dataclass(frozen=True, slots=True)
class ChangeHouseholdHead:
    """Another member becomes the head."""

    household_key: str
    head_key: str
    relations: Related
    etag: str


async def change_household_head(
    command: ChangeHouseholdHead, stores: Stores, now: datetime
) -> Household:
    """Name a new head and how the others are related to it."""
    household = await _loaded(command.household_key, command.etag, stores)
    household.change_head(command.head_key, _once(command.relations))
    return _saved(household, stores, now)


@dataclass(frozen=True, slots=True)
class MoveHousehold:
    """A household lives elsewhere."""

    household_key: str
    region_code: RegionCode
    etag: str


async def move_household(
    command: MoveHousehold, stores: Stores, divisions: DivisionTable, now: datetime
) -> Household:
    """Enter the household's new division; members' own residences are moved one by one."""
    household = await _loaded(command.household_key, command.etag, stores)
    check_division(divisions, "region_code", command.region_code, [day_of(now)])
    household.move(command.region_code)
    return _saved(household, stores, now)


@dataclass(frozen=True, slots=True)
class DissolveHousehold:
    """A household ends."""

    household_key: str
    dissolved_on: date | None
    etag: str


async def dissolve_household(
    command: DissolveHousehold, stores: Stores, now: datetime
) -> Household:
    """Dissolve a household."""
    household = await _loaded(command.household_key, command.etag, stores)
    today = day_of(now)
    household.dissolve(command.dissolved_on or today, today)
    return _saved(household, stores, now)


async def _loaded(household_key: str, etag: str, stores: Stores) -> Household:
    household = await stores.households.get(household_key)
    household.expect(etag)
    return household


async def _must_be_free(
    resident_key: str, day: date, stores: Stores, own: Household | None = None
) -> None:
    """Raise unless the person belongs to no household from a day on; days in `own` are its to ask."""
    resident = await stores.residents.get(resident_key)
    resident.must_live()
    resident.must_have_lived_on(day)
    for key in resident.record_keys:
        for household in await stores.households.of_member(key):
            stays = household.present if household is own else household.members
            if any(stay.resident_key == key and stay.reaches_beyond(day) for stay in stays):
                raise AlreadyInHousehold(
                    resident_key=resident_key, household_key=household.key, day=day
                )


def _once(related: Related) -> dict[str, FamilyRelation]:
    found: dict[str, FamilyRelation] = {}
    for key, relation in related:
        if key in found:
            raise MemberRepeated(resident_key=key)
        found[key] = relation
    return found


def _saved(household: Household, stores: Stores, now: datetime) -> Household:
    if household.events:
        household.updated_at = now
        stores.households.save(household)
    return household
