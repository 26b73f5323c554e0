"""Institutions: filed, opened, suspended, closed; halted and reopened by credit listings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime

from eldex.common.clock import day_of
from eldex.common.errors import NotFound
from eldex.common.identifiers import CreditCode, RegionCode, new_key
from eldex.institutions.domain.events import InstitutionKind
from eldex.institutions.domain.filing import Details
from eldex.institutions.domain.institution import ClosurePlan, Institution
from eldex.institutions.domain.operator import Halt, OneNature, Operator, SiteAlreadyFiled
from eldex.institutions.domain.parameters import ClosureNotice
from eldex.institutions.domain.status import Status
from eldex.institutions.handlers.parameters import in_force
from eldex.institutions.handlers.ports import Stores, Tables


@dataclass(frozen=True, slots=True)
class FileInstitution:
    """A filing."""

    credit_code: CreditCode
    institution_kind: InstitutionKind
    region_code: RegionCode
    details: Details


async def file_institution(
    command: FileInstitution, stores: Stores, tables: Tables, now: datetime
) -> Institution:
    """Take a filing; an operator files each place once, and listings against it hold there too."""
    tables.divisions.get(command.region_code)
    await _must_go_with_others(command.credit_code, command.details, stores)
    institution = Institution.file(
        new_key("ins"),
        command.credit_code,
        command.institution_kind,
        command.region_code,
        command.details,
        day_of(now),
    )
    operator = await _operator(str(command.credit_code), stores)
    operator.institution_keys.append(institution.key)
    institution.halts = [Halt(h.listing_key, h.halted_on, h.lifted_on) for h in operator.halts]
    institution.updated_at = now
    stores.operators.save(operator)
    stores.institutions.save(institution)
    return institution


async def _must_go_with_others(
    credit_code: CreditCode, details: Details, stores: Stores, but: str = ""
) -> None:
    """Raise what the operator's other places forbid: the same site, or another nature."""
    for other in await stores.institutions.of_operator(credit_code):
        if other.key == but or other.status is Status.CLOSED:
            continue
        if other.details.site == details.site:
            raise SiteAlreadyFiled(institution_key=other.key)
        if other.details.profit_nature is not details.profit_nature:
            raise OneNature(institution_key=other.key, nature=other.details.profit_nature.value)


async def _operator(credit_code: str, stores: Stores) -> Operator:
    return await stores.operators.find(credit_code) or Operator(key=credit_code)


Change = Callable[[Institution, date], None]
"""What happens to an institution, and the day on which it is told."""


@dataclass(frozen=True, slots=True)
class ChangeInstitution:
    """One act on one institution, as its domain method."""

    institution_key: str
    etag: str
    change: Change


async def change_institution(
    command: ChangeInstitution, stores: Stores, now: datetime
) -> Institution:
    """Load, change and save one institution: accept, return, review, start, suspend, resume."""
    institution = await stores.institutions.get(command.institution_key)
    institution.expect(command.etag)
    command.change(institution, day_of(now))
    institution.updated_at = now
    stores.institutions.save(institution)
    return institution


@dataclass(frozen=True, slots=True)
class AmendFiling:
    """A corrected filing, or a change after it."""

    institution_key: str
    etag: str
    details: Details
    note: str


async def amend_filing(command: AmendFiling, stores: Stores, now: datetime) -> Institution:
    """Take the new details; the place must still be the operator's only one of that name."""
    institution = await stores.institutions.get(command.institution_key)
    details = command.details
    await _must_go_with_others(institution.credit_code, details, stores, but=institution.key)

    def amend(found: Institution, today: date) -> None:
        found.amend(command.details, command.note, today)

    change = ChangeInstitution(command.institution_key, command.etag, amend)
    return await change_institution(change, stores, now)


@dataclass(frozen=True, slots=True)
class PlanClosure:
    """An institution means to close."""

    institution_key: str
    etag: str
    closes_on: date
    reason: str
    resettlement_plan: str


async def plan_closure(
    command: PlanClosure, stores: Stores, tables: Tables, now: datetime
) -> Institution:
    """Announce the end, with the notice that the place asks for."""
    institution = await stores.institutions.get(command.institution_key)
    institution.expect(command.etag)
    today = day_of(now)
    found = await in_force(institution.region_code, today, stores, tables)
    notice, parameter = (0, ""), found.get("closure-notice")
    if parameter is not None and isinstance(parameter.value, ClosureNotice):
        notice = (parameter.value.notice_days, parameter.source.document)
    plan = ClosurePlan(today, command.closes_on, command.reason, command.resettlement_plan)
    beds = await stores.beds.in_service(institution.key)
    institution.plan_closure(plan, sum(bed.occupant is not None for bed in beds), notice)
    institution.updated_at = now
    stores.institutions.save(institution)
    return institution


@dataclass(frozen=True, slots=True)
class CloseInstitution:
    """An institution closes."""

    institution_key: str
    etag: str
    closed_on: date


async def close_institution(
    command: CloseInstitution, stores: Stores, now: datetime
) -> Institution:
    """Close it and take its beds out of service.

    Each bed is written with it: an admission decided at the same moment loses the race and finds
    the bed withdrawn.
    """
    institution = await stores.institutions.get(command.institution_key)
    institution.expect(command.etag)
    today = day_of(now)
    beds = await stores.beds.in_service(institution.key)
    occupied = sum(bed.occupant is not None for bed in beds)
    institution.close(command.closed_on, occupied, today)
    for bed in beds:
        bed.withdraw(command.closed_on, today)
        stores.beds.save(bed)
    institution.updated_at = now
    stores.institutions.save(institution)
    return institution


async def find_institutions(credit_code: CreditCode, stores: Stores) -> list[Institution]:
    """What a credit code runs; raises `NotFound` if nothing was ever filed under it."""
    found = await stores.institutions.of_operator(credit_code)
    if not found:
        raise NotFound("Institution", str(credit_code))
    return found


async def halt_on_punishment(
    credit_code: str, listing_key: str, began_on: date, stores: Stores, now: datetime
) -> None:
    """A joint punishment forbids admissions: at every place of the operator, present and later."""

    def halt(found: Institution | Operator) -> None:
        found.halt(listing_key, began_on)

    await _at_every_place(credit_code, halt, stores, now)


async def reopen_on_lifting(
    credit_code: str, listing_key: str, lifted_on: date, stores: Stores, now: datetime
) -> None:
    """The punishment is lifted; places reopen for which no other listing stands."""

    def lift(found: Institution | Operator) -> None:
        found.lift(listing_key, lifted_on)

    await _at_every_place(credit_code, lift, stores, now)


async def _at_every_place(
    credit_code: str,
    change: Callable[[Institution | Operator], None],
    stores: Stores,
    now: datetime,
) -> None:
    operator = await _operator(credit_code, stores)
    change(operator)
    stores.operators.save(operator)
    for key in operator.institution_keys:
        institution = await stores.institutions.get(key)
        change(institution)
        institution.updated_at = now
        stores.institutions.save(institution)
