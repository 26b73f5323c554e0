"""Insuring people: open, suspend, resume, end, and whether there is cover."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from eldex.common.identifiers import RegionCode, new_key
from eldex.medical.domain.enrolment import AlreadyEnrolled, Cover, Enrolment, Scheme, cover_on
from eldex.medical.domain.tenure import Days, EndCause
from eldex.medical.handlers.people import (
    enrolments_of,
    must_be_plausible,
    person_of,
    standing_for,
)
from eldex.medical.handlers.ports import Kept, Stores


@dataclass(frozen=True, slots=True)
class OpenEnrolment:
    """Insure a person."""

    resident_key: str
    scheme: Scheme
    region_code: RegionCode
    began_on: date


async def open_enrolment(command: OpenEnrolment, stores: Stores, now: datetime) -> Enrolment:
    """Insure a person under a scheme; nobody is in two basic schemes on one day."""
    must_be_plausible(command.began_on, now)
    person = await person_of(stores, command.resident_key)
    person.may_begin(command.began_on)
    wanted = Days(command.began_on, person.first_day_after_life)
    for other in await enrolments_of(stores, person.key, basic=command.scheme.basic):
        if other.days.overlaps(wanted):
            raise AlreadyEnrolled(enrolment_key=other.key, began_on=other.began_on)
    enrolment = Enrolment(
        key=new_key("enr"),
        resident_key=person.key,
        scheme=command.scheme,
        region_code=command.region_code,
        began_on=command.began_on,
    )
    enrolment.tell_begun()
    if person.first_day_after_life is not None:
        # Entered late: the services before the death are to be settled still.
        enrolment.end_by_death(person.first_day_after_life)
    stores.enrolments.save(enrolment)
    stores.people.save(person)
    return enrolment


@dataclass(frozen=True, slots=True)
class SuspendEnrolment:
    """Have an enrolment rest."""

    enrolment_key: str
    suspended_on: date
    reason: str
    etag: str


async def suspend_enrolment(command: SuspendEnrolment, stores: Stores, _now: datetime) -> Enrolment:
    """Have it rest; a care benefit that rests on it ends on that day."""
    enrolment = await stores.enrolments.get(command.enrolment_key)
    enrolment.expect(command.etag)
    enrolment.suspend(command.suspended_on, command.reason)
    stores.enrolments.save(enrolment)
    if not enrolment.scheme.basic:
        await _end_what_rests_on(enrolment, enrolment.days, command.suspended_on, stores)
    return enrolment


@dataclass(frozen=True, slots=True)
class ResumeEnrolment:
    """Have an enrolment give cover again."""

    enrolment_key: str
    resumed_on: date
    etag: str


async def resume_enrolment(command: ResumeEnrolment, stores: Stores, _now: datetime) -> Enrolment:
    """Have it give cover again; a care benefit that ended is granted anew, not by itself."""
    enrolment = await stores.enrolments.get(command.enrolment_key)
    enrolment.expect(command.etag)
    enrolment.resume(command.resumed_on)
    stores.enrolments.save(enrolment)
    return enrolment


@dataclass(frozen=True, slots=True)
class EndEnrolment:
    """End an enrolment."""

    enrolment_key: str
    ended_on: date
    cause: EndCause
    etag: str


async def end_enrolment(command: EndEnrolment, stores: Stores, _now: datetime) -> Enrolment:
    """End it, and with it what rests on it."""
    enrolment = await stores.enrolments.get(command.enrolment_key)
    enrolment.expect(command.etag)
    held = enrolment.days
    enrolment.end(command.ended_on, command.cause)
    if enrolment.events:
        stores.enrolments.save(enrolment)
        await _end_what_rests_on(enrolment, held, command.ended_on, stores)
    return enrolment


async def _end_what_rests_on(enrolment: Enrolment, held: Days, day: date, stores: Stores) -> None:
    """Filings, or care benefits, that began within the days it `held` end where it ends or rests."""
    person = await person_of(stores, enrolment.resident_key)
    kept: Kept[Any] = stores.filings if enrolment.scheme.basic else stores.benefits
    for right in await kept.by("resident_key", enrolment.resident_key):
        if held.contains(right.began_on) and right.cut(day, EndCause.COVER_LOST):
            kept.save(right)
    # What is being granted at this moment must see that the cover is gone.
    stores.people.save(person)


@dataclass(frozen=True, slots=True)
class CoverAnswer:
    """Who was looked at, and what cover there is."""

    resident_key: str
    basic: Cover
    long_term_care: Cover


async def check_cover(resident_key: str, day: date, stores: Stores) -> CoverAnswer:
    """Whether a person is covered on a day. Who is not known is not covered."""
    person = await stores.people.find(resident_key)
    if person is not None:
        person = await standing_for(stores, person)
    key = person.key if person else resident_key
    died_on = person.died_on if person else None
    return CoverAnswer(
        key,
        cover_on(await enrolments_of(stores, key, basic=True), day, died_on),
        cover_on(await enrolments_of(stores, key, basic=False), day, died_on),
    )
