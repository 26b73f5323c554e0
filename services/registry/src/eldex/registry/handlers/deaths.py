"""Deaths: registered, corrected, revoked, and what follows in the registry itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from eldex.common.clock import day_of
from eldex.registry.domain.guardianships import Guardianship
from eldex.registry.domain.merging import share_death
from eldex.registry.domain.residents import Resident
from eldex.registry.handlers.ports import Stores, standing


@dataclass(frozen=True, slots=True)
class RegisterDeath:
    """A person has died."""

    resident_key: str
    died_on: date
    evidence: str
    etag: str


async def register_death(command: RegisterDeath, stores: Stores, now: datetime) -> Resident:
    """Register a death; the events that follow stop the payments (DESIGN §3)."""
    resident = await stores.residents.get(command.resident_key)
    resident.expect(command.etag)
    resident.register_death(command.died_on, command.evidence, day_of(now))
    return _saved(resident, stores, now)


@dataclass(frozen=True, slots=True)
class CorrectDeath:
    """A registered death had another day."""

    resident_key: str
    died_on: date
    evidence: str
    etag: str


async def correct_death(command: CorrectDeath, stores: Stores, now: datetime) -> Resident:
    """Mend the day of a death; it is told anew with the day it corrects."""
    resident = await stores.residents.get(command.resident_key)
    resident.expect(command.etag)
    before = resident.died_on
    resident.correct_death(command.died_on, command.evidence, day_of(now))
    for each in await _who_share(resident, before, stores):
        share_death(each, resident)
        _saved(each, stores, now)
    return _saved(resident, stores, now)


@dataclass(frozen=True, slots=True)
class RevokeDeath:
    """A registered death was not one."""

    resident_key: str
    evidence: str
    etag: str


async def revoke_death(command: RevokeDeath, stores: Stores, now: datetime) -> Resident:
    """Take back a death."""
    resident = await stores.residents.get(command.resident_key)
    resident.expect(command.etag)
    before = resident.died_on
    resident.revoke_death(command.evidence)
    for each in await _who_share(resident, before, stores):
        share_death(each, resident)
        _saved(each, stores, now)
    return _saved(resident, stores, now)


async def _who_share(resident: Resident, died_on: date | None, stores: Stores) -> list[Resident]:
    """The records merged into one that tell the same death: it was registered of both."""
    merged = [await stores.residents.get(key) for key in resident.merged_keys]
    return [each for each in merged if each.died_on is not None and each.died_on == died_on]


def _saved(resident: Resident, stores: Stores, now: datetime) -> Resident:
    if resident.events:  # the same death told again changes nothing
        resident.updated_at = now
        stores.residents.save(resident)
    return resident


async def settle_on_life_or_death(resident_key: str, stores: Stores, now: datetime) -> None:
    """Bring households and guardianships in line with whether a person lives.

    It goes by what the registry knows now, not by the event that woke it: told twice or late, it
    changes nothing more.
    """
    person = await standing(resident_key, stores)
    for key in person.record_keys:
        for household in await stores.households.of_member(key):
            if person.died_on is None:
                household.reopen_after_revocation(key)
            else:
                household.close_on_death(key, person.died_on)
            if household.events:
                household.updated_at = now
                stores.households.save(household)
        for guardianship in await stores.guardianships.of_person(key):
            await _settle(guardianship, key, person.died_on, stores)
            if guardianship.events:
                guardianship.updated_at = now
                stores.guardianships.save(guardianship)


async def _settle(
    guardianship: Guardianship, key: str, died_on: date | None, stores: Stores
) -> None:
    deaths = [(died_on, key)] if died_on is not None else []
    other_key = guardianship.other_than(key)
    if other_key:
        other = await standing(other_key, stores)
        if other.died_on is not None:
            deaths.append((other.died_on, other_key))
    if deaths:  # of two, the earlier one ends it
        ended_on, whose = min(deaths)
        guardianship.close_on_death(whose, ended_on)
    else:
        guardianship.reopen_after_revocation()
