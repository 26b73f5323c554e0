"""Paying a month: started once, paid entitlement by entitlement, never twice."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from eldex.common.clock import day_of
from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers import RegionCode, RegionLevel, new_key
from eldex.subsidies.domain.cycle import Cycle, CycleState, PaidMonth, cycle_key
from eldex.subsidies.domain.days import month, period_of
from eldex.subsidies.domain.entitlement import Disbursement, disbursement_key
from eldex.subsidies.domain.events import Cause
from eldex.subsidies.domain.grant import InstitutionGrant
from eldex.subsidies.domain.institution import BedStay, months_later
from eldex.subsidies.domain.recovery import Recovery, RecoveryStatus, Repayment
from eldex.subsidies.domain.schemes import Payee
from eldex.subsidies.handlers.ports import Stores

PAGE = 256
"""How many are looked at side by side; their writes share transactions."""


class RegionTooSmall(DomainError):
    """Counties pay; there is no cycle of a township."""

    kind, reason = Kind.INVALID, "REGION_PAYS_NOT"
    zh = "{region_code} 低于县级：发放以县级及以上区划为单位"
    en = "{region_code} lies below the county: cycles are run for a county or a division above it"


async def start_cycle(
    first_day: date, region_code: RegionCode, stores: Stores, now: datetime
) -> Cycle:
    """Begin the cycle of a month in a division, or find the one that was begun."""
    name = month(first_day, day_of(now))
    if region_code.level > RegionLevel.COUNTY:
        raise RegionTooSmall(region_code=region_code)
    key = cycle_key(name, region_code)
    found = await stores.cycles.find(key)
    if found is not None:
        return found
    cycle = Cycle(key=key, month=name, region_code=region_code, began_at=now)
    cycle.catches_up = await _paid_months(name, region_code, stores)
    stores.cycles.save(cycle)
    return cycle


async def _paid_months(name: str, region_code: RegionCode, stores: Stores) -> list[PaidMonth]:
    """The other months for which anybody in the division was paid already."""
    earlier: list[Cycle] = []
    for code in region_code.ancestors():
        earlier += await stores.cycles.by("region_code", str(code))
    after: str | None = None
    while True:
        page = await stores.cycles.page({"lineage": str(region_code)}, size=PAGE, after=after)
        earlier += page.items
        after = page.next_key
        if after is None:
            break
    return [PaidMonth(c.month, c.region_code) for c in earlier if c.month != name]


async def pay_entitlement(cycle: Cycle, key: str, stores: Stores, now: datetime) -> None:
    """Pay what is due of one entitlement for the cycle's month and for those paid before.

    The payment's name is made of the entitlement and the month, and the database holds no two of
    one name: whatever is repeated, nobody is paid twice.
    """
    entitlement = await stores.entitlements.get(key)
    name = disbursement_key(key, cycle.month)
    if await stores.disbursements.find(name) is not None:
        return
    months = cycle.months_for(entitlement.payer, entitlement.one_off_month)
    lines = {each: fen for each in months if (fen := entitlement.unpaid_fen(each))}
    if lines:
        disbursement = Disbursement(
            key=name,
            entitlement_key=key,
            payee_key=entitlement.resident_key,
            scheme_code=entitlement.scheme_code,
            payer=entitlement.payer,
            cycle_key=cycle.key,
            month=cycle.month,
            lines_fen=lines,
            documents=entitlement.documents(lines),
        )
        if entitlement.offset_recoveries:
            await _offset(disbursement, stores, day_of(now))
        entitlement.settle(disbursement)
        stores.disbursements.save(disbursement)
    if lines or entitlement.revised:
        entitlement.revised = False
        stores.entitlements.save(entitlement)


async def _offset(disbursement: Disbursement, stores: Stores, today: date) -> None:
    """Hold back what is claimed back: of institutions always, of persons where parameters allow it."""
    found = await stores.recoveries.by("entitlement_key", disbursement.entitlement_key)
    for recovery in sorted(found, key=lambda r: (r.opened_on, r.key)):
        fen = min(recovery.outstanding_fen, disbursement.amount_fen)
        if fen > 0 and recovery.status is RecoveryStatus.OPEN:
            recovery.take(Repayment(today, fen, disbursement.key))
            disbursement.offset_fen += fen
            stores.recoveries.save(recovery)


async def pay_grant(cycle: Cycle, key: str, stores: Stores, now: datetime) -> None:
    """Pay what is due of one institution's grant: only months that are over, by bed days in them.

    What facts told late took off an earlier month is held back; if it is more than what is due,
    nothing is paid, and the rest is claimed back: from the next payments, or if there are none, as
    any recovery is.
    """
    grant = await stores.grants.get(key)
    name = disbursement_key(key, cycle.month)
    if await stores.disbursements.find(name) is not None:
        return
    today = day_of(now)
    bed_days: dict[str, int] = {}
    if grant.one_off_month:
        lines = await _one_off(cycle, grant, stores, today)
    else:
        lines = await _bed_days(cycle, grant, bed_days, stores, today)
    if not lines:
        return
    fen = sum(lines.values())
    if fen <= 0:
        grant.recount(lines, bed_days)
        stores.grants.save(grant)
        if fen < 0:
            stores.recoveries.save(_claimed(grant, lines, today))
        return
    settled = sum(grant.settled_bed_days.get(each, 0) for each in bed_days)
    disbursement = Disbursement(
        key=name,
        entitlement_key=key,
        payee_key=grant.institution_key,
        scheme_code=grant.scheme_code,
        payer=grant.payer,
        cycle_key=cycle.key,
        month=cycle.month,
        lines_fen=lines,
        bed_days=max(0, sum(bed_days.values()) - settled),
        documents=grant.documents(lines),
    )
    await _offset(disbursement, stores, today)
    grant.settle(disbursement, bed_days)
    stores.disbursements.save(disbursement)
    stores.grants.save(grant)


def _claimed(grant: InstitutionGrant, lines: dict[str, int], today: date) -> Recovery:
    """What an institution was paid too much, less what it is owed: opened, and told."""
    recovery = Recovery(
        key=new_key("rec"),
        entitlement_key=grant.key,
        resident_key="",
        institution_key=grant.institution_key,
        scheme_code=grant.scheme_code,
        payer=grant.payer,
        hukou_region_code=None,
        cause=Cause.CIRCUMSTANCES_CHANGED,
        opened_on=today,
        lines_fen={month: -fen for month, fen in lines.items()},
        amount_fen=-sum(lines.values()),
    )
    recovery.open()
    return recovery


async def _one_off(
    cycle: Cycle, grant: InstitutionGrant, stores: Stores, today: date
) -> dict[str, int]:
    """What is due once; nothing while a credit listing orders that subsidies stop."""
    home = await stores.homes.get(grant.institution_key)
    conduct = await stores.conducts.find(home.credit_code) if home.credit_code else None
    barred = conduct is not None and conduct.barred_on(today)
    due = grant.one_off_month in cycle.months_for(grant.payer, grant.one_off_month)
    left = grant.one_off_fen - grant.settled_fen.get(grant.one_off_month, 0)
    return {grant.one_off_month: left} if due and left and not barred else {}


async def _bed_days(
    cycle: Cycle,
    grant: InstitutionGrant,
    bed_days: dict[str, int],
    stores: Stores,
    today: date,
) -> dict[str, int]:
    """What the months that are over are worth, less what was settled; fills in their bed days."""
    oldest = months_later(period_of(cycle.month).began_on, -grant.recount_months)
    over = [
        each
        for each in cycle.months_for(grant.payer)
        if (ended_on := period_of(each).ended_on)
        and ended_on <= today
        and period_of(each).began_on >= oldest
    ]
    if not over:
        return {}
    end = period_of(over[-1]).ended_on
    assert end is not None
    stays: list[BedStay] = await stores.stays.between(
        grant.institution_key, period_of(over[0]).began_on, end
    )
    lines: dict[str, int] = {}
    for each in over:
        fen, bed_days[each] = grant.due(each, stays)
        difference = fen - grant.settled_fen.get(each, 0)
        if difference:
            lines[each] = difference
    return lines


@dataclass(frozen=True, slots=True)
class PageDone:
    """A page of a cycle was looked at."""

    cycle_key: str
    state: CycleState
    cursor: str
    keys: tuple[str, ...]
    next_key: str | None


async def finish_page(page: PageDone, stores: Stores, now: datetime) -> None:
    """Enter what a page paid and where to go on; a page entered already is not entered again."""
    cycle = await stores.cycles.get(page.cycle_key)
    if (cycle.state, cycle.cursor) != (page.state, page.cursor):
        return
    payments, amount_fen = 0, 0
    for key in page.keys:
        paid = await stores.disbursements.find(disbursement_key(key, cycle.month))
        if paid is not None and paid.cycle_key == cycle.key:
            payments += 1
            amount_fen += paid.amount_fen
    last = page.keys[-1] if page.keys else page.cursor
    more = page.next_key is not None
    cycle.advance(last, len(page.keys), payments, amount_fen, more=more)
    if cycle.state is CycleState.DONE:
        cycle.finished_at = now
    stores.cycles.save(cycle)


def payee_is_person(payee: Payee) -> bool:
    """Whether a scheme pays persons."""
    return payee in {Payee.RESIDENT_MONTHLY, Payee.RESIDENT_ONCE}
