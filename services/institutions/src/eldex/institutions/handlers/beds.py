"""Beds added, converted, withdrawn; people admitted, discharged, transferred."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from eldex.common.clock import day_of
from eldex.common.identifiers import new_key
from eldex.institutions.domain.admission import Admission
from eldex.institutions.domain.bed import Bed, BedLabelTaken, BedOccupiedAlready, must_suit
from eldex.institutions.domain.days import past_or_today
from eldex.institutions.domain.events import BedClass, ReleaseCause
from eldex.institutions.handlers.people import People
from eldex.institutions.handlers.ports import Stores


@dataclass(frozen=True, slots=True)
class AddBeds:
    """New beds of one class."""

    institution_key: str
    bed_class: BedClass
    labels: tuple[str, ...]
    in_service_on: date


async def add_beds(command: AddBeds, stores: Stores, now: datetime) -> list[Bed]:
    """Add beds. The institution is written with them: one that closes meanwhile is noticed."""
    institution = await stores.institutions.get(command.institution_key)
    institution.must_hold_beds()
    must_suit(institution.institution_kind, command.bed_class)
    past_or_today(command.in_service_on, day_of(now))
    used = {bed.label for bed in await stores.beds.in_service(institution.key)}
    beds = []
    for label in command.labels:
        if label in used:
            raise BedLabelTaken(label=label)
        bed = Bed(
            key=new_key("bed"),
            institution_key=institution.key,
            institution_kind=institution.institution_kind,
            region_code=institution.region_code,
            label=label,
            bed_class=command.bed_class,
            in_service_on=command.in_service_on,
            settled_on=command.in_service_on,
        )
        stores.beds.save(bed)
        beds.append(bed)
    institution.bed_count += len(beds)
    institution.updated_at = now
    stores.institutions.save(institution)
    return beds


@dataclass(frozen=True, slots=True)
class ConvertBed:
    """A bed for something else."""

    bed_key: str
    etag: str
    bed_class: BedClass
    converted_on: date


async def convert_bed(command: ConvertBed, stores: Stores, now: datetime) -> Bed:
    """Convert a bed."""
    bed = await stores.beds.get(command.bed_key)
    bed.expect(command.etag)
    bed.convert(command.bed_class, command.converted_on, day_of(now))
    stores.beds.save(bed)
    return bed


@dataclass(frozen=True, slots=True)
class WithdrawBed:
    """A bed out of service."""

    bed_key: str
    etag: str
    withdrawn_on: date


async def withdraw_bed(command: WithdrawBed, stores: Stores, now: datetime) -> Bed:
    """Take a free bed out of service."""
    bed = await stores.beds.get(command.bed_key)
    bed.expect(command.etag)
    bed.withdraw(command.withdrawn_on, day_of(now))
    institution = await stores.institutions.get(bed.institution_key)
    institution.bed_count -= 1
    institution.updated_at = now
    stores.institutions.save(institution)
    stores.beds.save(bed)
    return bed


@dataclass(frozen=True, slots=True)
class AdmitResident:
    """A person moves in."""

    resident_key: str
    bed_key: str
    admitted_on: date
    agreement_number: str = ""


async def admit_resident(command: AdmitResident, stores: Stores, now: datetime) -> Admission:
    """Give a person a bed. A merged record admits its survivor."""
    today = day_of(now)
    past_or_today(command.admitted_on, today)
    bed = await stores.beds.get(command.bed_key)
    institution = await stores.institutions.get(bed.institution_key)
    institution.must_admit(command.admitted_on, today)
    people = People(stores)
    await people.must_be_known(command.resident_key)
    resident_key = await people.survivor_of(command.resident_key)
    for record in await people.records_of(resident_key):
        record.must_be_free(bed.bed_class, command.admitted_on)
    return await _give(
        bed, resident_key, command.admitted_on, people, stores, command.agreement_number
    )


async def _give(
    bed: Bed,
    resident_key: str,
    day: date,
    people: People,
    stores: Stores,
    agreement_number: str,
    previous_key: str = "",
) -> Admission:
    admission = Admission(
        key=new_key("adm"),
        institution_key=bed.institution_key,
        bed_key=bed.key,
        bed_class=bed.bed_class,
        region_code=bed.region_code,
        resident_key=resident_key,
        admitted_on=day,
        agreement_number=agreement_number,
        previous_key=previous_key,
    )
    person = await people.of(resident_key)
    person.enter(admission)
    bed.occupy(admission.key, resident_key, day)
    stores.people.save(person)
    stores.beds.save(bed)
    stores.admissions.save(admission)
    return admission


@dataclass(frozen=True, slots=True)
class DischargeResident:
    """A person leaves."""

    admission_key: str
    etag: str
    discharged_on: date
    note: str


async def discharge_resident(
    command: DischargeResident, stores: Stores, now: datetime
) -> Admission:
    """End an admission and have the bed back."""
    past_or_today(command.discharged_on, day_of(now))
    admission = await stores.admissions.get(command.admission_key)
    admission.expect(command.etag)
    people = People(stores)
    await people.end(admission, command.discharged_on, ReleaseCause.DISCHARGE, command.note)
    return admission


@dataclass(frozen=True, slots=True)
class TransferResident:
    """A person gets another bed."""

    admission_key: str
    etag: str
    bed_key: str
    transferred_on: date


async def transfer_resident(
    command: TransferResident, stores: Stores, now: datetime
) -> tuple[Admission, Admission]:
    """End one admission and begin the next on the same day: no day twice, none missed."""
    today = day_of(now)
    past_or_today(command.transferred_on, today)
    ended = await stores.admissions.get(command.admission_key)
    ended.expect(command.etag)
    bed = await stores.beds.get(command.bed_key)
    if bed.occupant is not None:
        # Checked before the bed that is left is free: it may be the same one.
        raise BedOccupiedAlready(bed_key=bed.key)
    institution = await stores.institutions.get(bed.institution_key)
    if bed.institution_key == ended.institution_key:
        institution.must_move_within()
    else:
        institution.must_admit(command.transferred_on, today)
    people = People(stores)
    await people.end(ended, command.transferred_on, ReleaseCause.TRANSFER)
    begun = await _give(
        bed,
        ended.resident_key,
        command.transferred_on,
        people,
        stores,
        ended.agreement_number if bed.institution_key == ended.institution_key else "",
        previous_key=ended.key,
    )
    return ended, begun
