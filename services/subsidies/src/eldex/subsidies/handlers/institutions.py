"""What follows from the facts about institutions, their beds and their credit."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from eldex.common.clock import day_of
from eldex.common.errors import NotFound
from eldex.common.identifiers import RegionCode, new_key
from eldex.subsidies.domain.grant import InstitutionGrant
from eldex.subsidies.domain.institution import (
    BedStay,
    Conduct,
    Ground,
    Home,
    decide_institution,
    grounds,
)
from eldex.subsidies.domain.schemes import (
    Applicable,
    BedClass,
    InstitutionKind,
    Payee,
    ProfitNature,
    payer,
)
from eldex.subsidies.handlers.deciding import horizon_of, tables_of
from eldex.subsidies.handlers.entitlements import AwardedAlready, NotEntitled
from eldex.subsidies.handlers.ports import Stores


@dataclass(frozen=True, slots=True)
class Filed:
    """An institution's filing is complete."""

    institution_key: str
    credit_code: str
    kind: InstitutionKind
    nature: ProfitNature
    region_code: RegionCode


async def _home(institution_key: str, stores: Stores) -> Home:
    return await stores.homes.find(institution_key) or Home(key=institution_key)


async def _conduct(credit_code: str, stores: Stores) -> Conduct:
    return await stores.conducts.find(credit_code) or Conduct(key=credit_code)


async def decide_on_filing(fact: Filed, stores: Stores, now: datetime) -> None:
    """An institution may operate; what credit ordered about it before counts at once."""
    home = await _home(fact.institution_key, stores)
    home.credit_code, home.institution_kind, home.nature = (
        fact.credit_code,
        fact.kind,
        fact.nature,
    )
    home.region_code = fact.region_code
    conduct = await _conduct(fact.credit_code, stores)
    # Saved even unchanged: an order that arrives at this moment must meet the filing, or be met.
    stores.conducts.save(conduct)
    await decide_home(home, conduct, stores, now)


async def decide_on_opening(
    institution_key: str, opened_on: date, stores: Stores, now: datetime
) -> None:
    """An institution operates from a day on; that day counts, not the one its filing announced."""
    home = await _home(institution_key, stores)
    home.opened_on = opened_on
    await decide_home(home, await _conduct_of(home, stores), stores, now)


async def decide_on_suspension(
    institution_key: str, on: date, stores: Stores, now: datetime, *, suspended: bool
) -> None:
    """An institution may not operate from a day on, or may again."""
    home = await _home(institution_key, stores)
    home.turn(on, suspended=suspended)
    await decide_home(home, await _conduct_of(home, stores), stores, now)


async def decide_on_closure(
    institution_key: str, closed_on: date, stores: Stores, now: datetime
) -> None:
    """An institution has left the field."""
    home = await _home(institution_key, stores)
    home.closed_on = closed_on
    await decide_home(home, await _conduct_of(home, stores), stores, now)


async def decide_on_punishment(
    credit_code: str, listing_key: str, began_on: date, stores: Stores, now: datetime
) -> None:
    """Subsidies stop for as long as a listing lasts, for every institution of the organisation."""
    conduct = await _conduct(credit_code, stores)
    conduct.bar(listing_key).began_on = began_on
    await _decide_homes(conduct, stores, now)


async def decide_on_punishment_lifted(
    credit_code: str, listing_key: str, lifted_on: date, stores: Stores, now: datetime
) -> None:
    """Subsidies go on, unless something else stops them."""
    conduct = await _conduct(credit_code, stores)
    conduct.bar(listing_key).lifted_on = lifted_on
    await _decide_homes(conduct, stores, now)


async def _decide_homes(conduct: Conduct, stores: Stores, now: datetime) -> None:
    stores.conducts.save(conduct)
    for home in await stores.homes.by("credit_code", conduct.key):
        await decide_home(home, conduct, stores, now)


async def _conduct_of(home: Home, stores: Stores) -> Conduct | None:
    return await stores.conducts.find(home.credit_code) if home.credit_code else None


async def decide_again(home: Home, stores: Stores, now: datetime) -> None:
    """Decide an institution anew, because days went by or parameters changed."""
    await decide_home(home, await _conduct_of(home, stores), stores, now)


async def decide_home(home: Home, conduct: Conduct | None, stores: Stores, now: datetime) -> None:
    """Decide what an institution is owed by bed days, and save what changed."""
    held = {g.scheme_code: g for g in await stores.grants.by("institution_key", home.key)}
    changes: list[date | None] = []
    region = home.region_code
    if region is not None:
        tables = await tables_of([region], stores)
        for scheme in stores.catalogue.of(Payee.INSTITUTION_BED_DAYS):
            horizon = horizon_of(now)
            verdicts, change = decide_institution(scheme, home, conduct, tables, horizon)
            changes.append(change)
            grant = held.get(scheme.code)
            if grant is None:
                if not any(verdict.cause is None for verdict in verdicts):
                    continue
                grant = InstitutionGrant(
                    key=new_key("gra"),
                    institution_key=home.key,
                    scheme_code=scheme.code,
                    region_code=region,
                    payer=payer(region),
                )

            def reasons(
                day: date, code: str = scheme.code, place: RegionCode = region
            ) -> list[str]:
                return lines(home, conduct, tables.find(code, place, day), day)

            if grant.follow(verdicts, reasons):
                stores.grants.save(grant)
    home.next_change_on = min((day for day in changes if day), default=None)
    stores.homes.save(home)


def lines(home: Home, conduct: Conduct | None, found: Applicable | None, day: date) -> list[str]:
    """The reasons of a grant, one line for each condition, with its clause."""
    source = found.version.source if found else ""
    return [
        f"{ground.zh} | {ground.en} [{source}]" for ground in grounds(home, conduct, found, day)
    ]


async def explain_institution(
    institution_key: str, scheme_code: str, day: date, stores: Stores
) -> tuple[list[Ground], Applicable | None]:
    """Why an institution is, or is not, entitled on a day."""
    stores.catalogue.get(scheme_code, Payee.INSTITUTION_BED_DAYS, Payee.INSTITUTION_ONCE)
    home = await stores.homes.get(institution_key)
    found = None
    if home.region_code is not None:
        tables = await tables_of([home.region_code], stores)
        found = tables.find(scheme_code, home.region_code, day)
    return grounds(home, await _conduct_of(home, stores), found, day), found


@dataclass(frozen=True, slots=True)
class GrantInstitutionSubsidy:
    """Grant a one-off subsidy, e.g. for construction (M001-48)."""

    institution_key: str
    scheme_code: str
    units: int
    """Beds or places that were built."""
    evidence: str


async def grant_institution_subsidy(
    command: GrantInstitutionSubsidy, stores: Stores, now: datetime
) -> InstitutionGrant:
    """Grant a one-off subsidy, paid by the next cycle; raises `NotEntitled` with what is lacking."""
    scheme = stores.catalogue.get(command.scheme_code, Payee.INSTITUTION_ONCE)
    home = await stores.homes.get(command.institution_key)
    today = day_of(now)
    for other in await stores.grants.by("institution_key", home.key):
        if other.scheme_code == scheme.code:
            raise AwardedAlready(key=other.key)
    found_grounds, found = await explain_institution(home.key, scheme.code, today, stores)
    missing = [ground for ground in found_grounds if not ground.met]
    rule = found.version.institution if found else None
    if missing or rule is None or found is None:
        raise NotEntitled(
            why_zh="；".join(f"须{ground.zh}" for ground in missing),
            why="; ".join(f"required: {ground.en}" for ground in missing),
        )
    region = home.region_code
    if region is None:
        raise NotFound("Home", home.key)
    grant = InstitutionGrant(
        key=new_key("gra"),
        institution_key=home.key,
        scheme_code=scheme.code,
        region_code=region,
        payer=payer(region),
    )
    reasons = lines(home, await _conduct_of(home, stores), found, today)
    amount_fen = rule.fixed_fen + rule.unit_fen * command.units
    grant.award(amount_fen, today, str(found.version.source), command.evidence, reasons)
    stores.grants.save(grant)
    return grant


@dataclass(frozen=True, slots=True)
class BedFact:
    """A bed is occupied, or free again, from a day on."""

    institution_key: str
    admission_key: str
    bed_key: str
    bed_class: BedClass
    on: date
    occupied: bool


async def take_note_of_bed(fact: BedFact, stores: Stores) -> None:
    """Keep who was in which bed: operation subsidies follow beds actually occupied (M001-49)."""
    key = f"{fact.admission_key}/{fact.bed_key}"
    stay = await stores.stays.find(key) or BedStay(
        key=key,
        institution_key=fact.institution_key,
        bed_key=fact.bed_key,
        bed_class=fact.bed_class,
    )
    if fact.occupied:
        stay.bed_class = fact.bed_class
        stay.occupy(fact.on)
    else:
        stay.release(fact.on)
    stores.stays.save(stay)


async def take_note_of_conversion(
    bed_key: str, bed_class: BedClass, on: date, stores: Stores
) -> None:
    """A bed keeps its occupant and is paid by another rate from a day on.

    Whoever has it later is told with the class of then.
    """
    for stay in await stores.stays.by("bed_key", bed_key):
        if stay.last_on > on:
            stay.convert(on, bed_class)
            stores.stays.save(stay)
