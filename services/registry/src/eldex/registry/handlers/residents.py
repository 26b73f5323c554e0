"""Entering, finding, moving and correcting residents."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from eldex.common.clock import day_of
from eldex.common.errors import NotFound
from eldex.common.identifiers import PersonDocument, RegionCode, ResidentId, Sex, new_key
from eldex.registry.domain.residents import Resident
from eldex.registry.handlers.ports import (
    DivisionTable,
    DocumentRegistered,
    Stores,
    check_division,
    standing,
)


@dataclass(frozen=True, slots=True)
class RegisterResident:
    """Enter a person."""

    document: PersonDocument
    name: str
    sex: Sex
    born_on: date
    region_code: RegionCode
    hukou_region_code: RegionCode
    resident_since: date | None


async def register_resident(
    command: RegisterResident, stores: Stores, divisions: DivisionTable, now: datetime
) -> Resident:
    """Enter a person; the same document cannot be entered twice.

    The division inside an identity number is that of the first registration: whatever is odd about
    it is a warning, never a refusal.
    """
    if await stores.residents.of_document(command.document) is not None:
        raise DocumentRegistered
    today = day_of(now)
    places = {
        "region_code": command.region_code,
        "hukou_region_code": command.hukou_region_code,
    }
    warnings = [check_division(divisions, name, code, [today]) for name, code in places.items()]
    if isinstance(command.document, ResidentId):
        odd = command.document.division_warning(divisions)
        warnings.append(f"{odd.en} / {odd.zh}" if odd else "")
    resident = Resident.register(
        key=new_key("res"),
        document=command.document,
        name=command.name,
        sex=command.sex,
        born_on=command.born_on,
        region_code=command.region_code,
        hukou_region_code=command.hukou_region_code,
        resident_since=command.resident_since or today,
        warnings=[warning for warning in warnings if warning],
        today=today,
    )
    return _saved(resident, stores, now)


@dataclass(frozen=True, slots=True)
class MoveResident:
    """A person lives in another division from a day on."""

    resident_key: str
    region_code: RegionCode
    moved_on: date
    hukou_region_code: RegionCode | None
    etag: str


async def move_resident(
    command: MoveResident, stores: Stores, divisions: DivisionTable, now: datetime
) -> Resident:
    """Register a move, by a code in force on its day or today."""
    resident = await stores.residents.get(command.resident_key)
    resident.expect(command.etag)
    today = day_of(now)
    places = (command.region_code, command.hukou_region_code)
    _warn(resident, divisions, places, [command.moved_on, today])
    resident.move(command.region_code, command.moved_on, command.hukou_region_code, today)
    return _saved(resident, stores, now)


@dataclass(frozen=True, slots=True)
class CorrectResident:
    """What was entered wrongly, as it should be; "" and None leave it."""

    resident_key: str
    name: str
    region_code: RegionCode | None
    hukou_region_code: RegionCode | None
    evidence: str
    etag: str
    document: PersonDocument | None = None


async def correct_resident(
    command: CorrectResident, stores: Stores, divisions: DivisionTable, now: datetime
) -> Resident:
    """Mend an entry; what stood there before can still be read as known then."""
    resident = await stores.residents.get(command.resident_key)
    resident.expect(command.etag)
    days = [day_of(now), resident.residences[-1].began_on]
    _warn(resident, divisions, (command.region_code, command.hukou_region_code), days)
    resident.correct(command.name, command.region_code, command.hukou_region_code, command.evidence)
    if command.document is not None:
        known = await stores.residents.of_document(command.document)
        if known is not None and known.key != resident.key:
            raise DocumentRegistered
        resident.replace_document(command.document)
    return _saved(resident, stores, now)


def _warn(
    resident: Resident,
    divisions: DivisionTable,
    places: tuple[RegionCode | None, RegionCode | None],
    days: list[date],
) -> None:
    for name, code in zip(("region_code", "hukou_region_code"), places, strict=True):
        warning = check_division(divisions, name, code, days) if code else ""
        if warning and warning not in resident.warnings:
            resident.warnings.append(warning)


async def find_resident(document: PersonDocument, stores: Stores) -> Resident:
    """The record that stands for whom a document names; raises `NotFound` without the number."""
    resident = await stores.residents.of_document(document)
    if resident is None:
        raise NotFound("Resident", document.masked)
    return await standing(resident.survivor_key or resident.key, stores)


async def doubts(resident: Resident, stores: Stores) -> list[str]:
    """What merged records brought that cannot all be so: two households in which the person lives.

    It is told anew whenever the person is read, so that it is gone when one of them is left.
    """
    if not resident.merged_keys or resident.survivor_key:
        return []
    lived_in = {
        household.key
        for key in resident.record_keys
        for household in await stores.households.of_member(key)
        if any(stay.resident_key == key for stay in household.present)
    }
    if len(lived_in) < 2:
        return []
    keys = ", ".join(sorted(lived_in))
    return [f"belongs to several households ({keys}) / 同时属于多户（{keys}），请核实并迁出其一"]


async def get_resident(resident_key: str, known_at: datetime | None, stores: Stores) -> Resident:
    """One record, as known now or at an earlier instant."""
    if known_at is not None:
        return await stores.residents.known_at(resident_key, known_at)
    return await stores.residents.get(resident_key)


def _saved(resident: Resident, stores: Stores, now: datetime) -> Resident:
    resident.updated_at = now
    stores.residents.save(resident)
    return resident
