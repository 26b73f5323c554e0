"""Deciding a person's entitlements anew, whenever a fact or a parameter changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import date, datetime

from eldex.common.calendar import first_of_next_month
from eldex.common.clock import day_of
from eldex.common.identifiers import RegionCode, new_key
from eldex.subsidies.domain.decision import Decision, decide
from eldex.subsidies.domain.entitlement import Entitlement
from eldex.subsidies.domain.events import Cause
from eldex.subsidies.domain.reasons import explain
from eldex.subsidies.domain.recipient import Facts, Recipient, facts_of, share_ends
from eldex.subsidies.domain.recovery import Recovery
from eldex.subsidies.domain.schemes import Payee, Scheme, Tables, lineage
from eldex.subsidies.handlers.ports import Stores


def horizon_of(now: datetime) -> date:
    """The first day that is not decided yet: the running month and the next one are.

    So a cycle of the running month rests on decided days, and people hear of a change in time.
    """
    return first_of_next_month(first_of_next_month(day_of(now)))


async def recipient(resident_key: str, stores: Stores) -> Recipient:
    """What is known of a person; nothing yet, for somebody never heard of."""
    return await stores.recipients.find(resident_key) or Recipient(key=resident_key)


async def tables_of(regions: Iterable[RegionCode], stores: Stores) -> Tables:
    """The parameters of some places and of all divisions above them."""
    codes = {code for region in regions for code in lineage(region)}
    found = await asyncio.gather(*(stores.parameters.of_division(code) for code in sorted(codes)))
    return Tables(parameter_set for some in found for parameter_set in some)


async def survivor_of(record: Recipient, stores: Stores) -> Recipient:
    """The record that stands for the person: its own, or the one that it was merged into."""
    seen = {record.key}
    while record.merged_into and record.merged_into not in seen:
        seen.add(record.merged_into)
        record = await recipient(record.merged_into, stores)
    return record


async def merged_with(
    survivor: Recipient, stores: Stores, known: Sequence[Recipient] = ()
) -> list[Recipient]:
    """The records merged into one, directly or by others; `known` are fresher than the database."""
    found: dict[str, Recipient] = {}
    todo = [survivor.key]
    while todo:
        key = todo.pop()
        for record in [*known, *await stores.recipients.by("merged_into", key)]:
            if record.merged_into == key and record.key not in {survivor.key, *found}:
                found[record.key] = record
                todo.append(record.key)
    return [found[key] for key in sorted(found)]


async def decide_person(record: Recipient, stores: Stores, now: datetime) -> set[str]:
    """Decide all entitlements of the person whom a record stands for, and save what changed.

    Every record of the person is saved, so that two facts that arrive at once cannot pass each
    other by: the one that commits second decides again. Returns their keys: to decide one of them
    once more in the same act would create what this one created.
    """
    survivor = await survivor_of(record, stores)
    merged = await merged_with(survivor, stores, [record])
    records = [survivor, *merged]
    share_ends(records)
    held = dict(
        zip(
            (r.key for r in records),
            await asyncio.gather(*(stores.entitlements.by("resident_key", r.key) for r in records)),
            strict=True,
        )
    )
    tables = await tables_of({r.region_code for one in records for r in one.residences}, stores)
    ledger = Ledger(stores, day_of(now))
    for one in records:
        facts = facts_of(one, merged if one is survivor else ())
        one.next_change_on = _follow(one, facts, tables, held[one.key], ledger, horizon_of(now))
        one.decided_at = now
        stores.recipients.save(one)
    await ledger.balance(survivor.key)
    return set(held)


def _follow(
    record: Recipient,
    facts: Facts,
    tables: Tables,
    held: Sequence[Entitlement],
    ledger: Ledger,
    horizon: date,
) -> date | None:
    """Bring a record's entitlements in line with its facts; the next day on which something changes."""
    changes = []
    for scheme in ledger.stores.catalogue.of(Payee.RESIDENT_MONTHLY):
        decision = decide(scheme, facts, tables, horizon)
        by_payer = {e.payer: e for e in held if e.scheme_code == scheme.code}
        for division in sorted(decision.payers() - set(by_payer)):
            by_payer[division] = Entitlement(
                key=new_key("ent"),
                resident_key=record.key,
                scheme_code=scheme.code,
                payer=division,
            )
        for _, entitlement in sorted(by_payer.items()):
            _follow_one(entitlement, scheme, facts, tables, decision, ledger)
        changes.append(decision.next_change_on)
    return min((day for day in changes if day), default=None)


def _follow_one(
    entitlement: Entitlement,
    scheme: Scheme,
    facts: Facts,
    tables: Tables,
    decision: Decision,
    ledger: Ledger,
) -> None:
    def reasons(day: date) -> list[str]:
        return [reason.line() for reason in explain(scheme, facts, tables, day).grounds]

    before = entitlement.hukou_region_code, entitlement.offset_recoveries
    if facts.residences:
        entitlement.hukou_region_code = facts.residences[-1].hukou_region_code
    last = decision.verdicts[-1].applicable if decision.verdicts else None
    if last is not None and last.version.monthly is not None:
        entitlement.offset_recoveries = last.version.monthly.offset_recoveries
    cause = entitlement.follow(decision, reasons)
    changed = before != (entitlement.hukou_region_code, entitlement.offset_recoveries)
    ledger.enter(entitlement, cause, changed=changed)


class Ledger:
    """Brings what was paid to a person in line with what is due: claims back, or claims less.

    What was paid under a record that is merged now counts for the record that stands for the person:
    nobody is asked to give back what is due, only under another name.
    """

    def __init__(self, stores: Stores, today: date) -> None:
        self.stores = stores
        self._today = today
        self._entered: dict[tuple[str, RegionCode], list[tuple[Entitlement, Cause | None]]] = {}
        self._changed: set[str] = set()

    def enter(self, entitlement: Entitlement, cause: Cause | None, *, changed: bool) -> None:
        """Have an entitlement looked at; `cause` tells why its days changed, None if they did not."""
        if changed or cause is not None:
            self._changed.add(entitlement.key)
        place = (entitlement.scheme_code, entitlement.payer)
        self._entered.setdefault(place, []).append((entitlement, cause))

    async def balance(self, survivor_key: str) -> None:
        """Open recoveries for what is not due, withdraw what is due after all, save what changed."""
        for entered in self._entered.values():
            # The record that stands for the person first: what is due was paid under it, if it was.
            entered.sort(key=lambda e: (e[0].resident_key != survivor_key, e[0].key))
            lead = entered[0][0] if entered[0][0].resident_key == survivor_key else None
            months = {m for e, _ in entered for m in (*e.settled_fen, *e.credited_fen)}
            credited = dict.fromkeys(months, 0)
            over: dict[str, dict[str, int]] = {e.key: {} for e, _ in entered}
            for month in sorted(months):
                left = lead.due_fen(month) if lead else 0
                for entitlement, _ in entered:
                    settled = entitlement.settled_fen.get(month, 0)
                    covered = min(settled, left)
                    left -= covered
                    if settled > covered:
                        over[entitlement.key][month] = settled - covered
                    if entitlement is not lead:
                        credited[month] += covered
                if left:
                    credited[month] += await self._withdraw(entered, lead, month, left)
            credited = {month: fen for month, fen in credited.items() if fen}
            for entitlement, cause in entered:
                mine = credited if entitlement is lead else {}
                if entitlement.credited_fen != mine:
                    entitlement.credited_fen, entitlement.revised = mine, True
                    self._changed.add(entitlement.key)
                if self._claim(entitlement, cause, over[entitlement.key]) or (
                    entitlement.key in self._changed
                ):
                    self.stores.entitlements.save(entitlement)

    def _claim(self, entitlement: Entitlement, cause: Cause | None, over: dict[str, int]) -> bool:
        if not over:
            return False
        for month, fen in over.items():
            entitlement.settled_fen[month] -= fen
        recovery = Recovery(
            key=new_key("rec"),
            entitlement_key=entitlement.key,
            resident_key=entitlement.resident_key,
            scheme_code=entitlement.scheme_code,
            payer=entitlement.payer,
            hukou_region_code=entitlement.hukou_region_code,
            cause=cause or Cause.CIRCUMSTANCES_CHANGED,
            opened_on=self._today,
            lines_fen=over,
            amount_fen=sum(over.values()),
        )
        recovery.open()
        self.stores.recoveries.save(recovery)
        return True

    async def _withdraw(
        self,
        entered: Sequence[tuple[Entitlement, Cause | None]],
        lead: Entitlement | None,
        month: str,
        left: int,
    ) -> int:
        """Claim less for a month that is due after all; what came to records other than the lead's."""
        elsewhere = 0
        for entitlement, _ in entered:
            for recovery in await self.stores.recoveries.by("entitlement_key", entitlement.key):
                fen = recovery.withdraw(month, left)
                if not fen:
                    continue
                left -= fen
                entitlement.settled_fen[month] = entitlement.settled_fen.get(month, 0) + fen
                elsewhere += 0 if entitlement is lead else fen
                self._changed.add(entitlement.key)
                self.stores.recoveries.save(recovery)
        return elsewhere
