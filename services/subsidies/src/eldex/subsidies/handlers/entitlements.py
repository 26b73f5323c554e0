"""What officials do with entitlements: ask why, stop, resume, end, award."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from eldex.common.clock import day_of
from eldex.common.errors import DomainError, Kind, NotFound
from eldex.common.identifiers import new_key
from eldex.subsidies.domain.entitlement import Entitlement
from eldex.subsidies.domain.institution import months_later
from eldex.subsidies.domain.reasons import Explanation, explain
from eldex.subsidies.domain.recipient import facts_of, release
from eldex.subsidies.domain.schemes import CarerGrade, Payee, payer
from eldex.subsidies.handlers.deciding import (
    decide_person,
    merged_with,
    recipient,
    survivor_of,
    tables_of,
)
from eldex.subsidies.handlers.ports import Stores


class NotByHand(DomainError):
    """A one-off award is paid or not; it is neither stopped nor resumed."""

    kind, reason = Kind.CONFLICT, "ONE_OFF_NOT_STOPPABLE"
    zh = "一次性奖励不适用停发、恢复或终止"
    en = "a one-off award is neither stopped, resumed nor ended"


class NotEntitled(DomainError):
    """Conditions of a one-off award or subsidy do not hold; the sentences say which."""

    kind, reason = Kind.CONFLICT, "NOT_ENTITLED"
    zh = "不符合条件：{why_zh}"
    en = "not entitled: {why}"


class AwardedAlready(DomainError):
    """A one-off award or subsidy is given once."""

    kind, reason = Kind.CONFLICT, "AWARDED_ALREADY"
    zh = "该一次性补贴已核定：{key}"
    en = "this one-off subsidy was granted already: {key}"


async def explain_decision(
    resident_key: str, scheme_code: str, day: date, stores: Stores
) -> Explanation:
    """Why a person is, or is not, entitled on a day."""
    scheme = stores.catalogue.get(scheme_code, Payee.RESIDENT_MONTHLY)
    record = await stores.recipients.find(resident_key)
    if record is None:
        raise NotFound("Recipient", resident_key)
    merged = [] if record.merged_into else await merged_with(record, stores)
    facts = facts_of(record, merged)
    tables = await tables_of({r.region_code for r in facts.residences}, stores)
    return explain(scheme, facts, tables, day)


@dataclass(frozen=True, slots=True)
class HoldEntitlement:
    """Stop an entitlement by hand, or end it."""

    entitlement_key: str
    began_on: date
    note: str
    final: bool
    etag: str


async def hold_entitlement(command: HoldEntitlement, stores: Stores, now: datetime) -> Entitlement:
    """Stop or end by hand from a day on; what was paid for it and later is claimed back.

    It holds for the person and the scheme wherever the person lives: nobody gets round it by moving.
    """
    entitlement = await stores.entitlements.get(command.entitlement_key)
    entitlement.expect(command.etag)
    if entitlement.variant:
        raise NotByHand
    record = await survivor_of(await recipient(entitlement.resident_key, stores), stores)
    record.hold(entitlement.scheme_code, command.began_on, command.note, final=command.final)
    await decide_person(record, stores, now)
    stores.entitlements.save(entitlement)
    return entitlement


async def resume_entitlement(
    entitlement_key: str, resumed_on: date, etag: str, stores: Stores, now: datetime
) -> Entitlement:
    """Let an entitlement go on that was stopped or ended by hand, as far as its conditions hold."""
    entitlement = await stores.entitlements.get(entitlement_key)
    entitlement.expect(etag)
    if entitlement.variant:
        raise NotByHand
    record = await survivor_of(await recipient(entitlement.resident_key, stores), stores)
    records = [record, *await merged_with(record, stores)]
    release(records, entitlement.scheme_code, resumed_on)
    await decide_person(record, stores, now)
    stores.entitlements.save(entitlement)
    return entitlement


@dataclass(frozen=True, slots=True)
class GrantCarerAward:
    """Award a care worker once for a grade (M001-53)."""

    resident_key: str
    scheme_code: str
    grade: CarerGrade
    in_post_since: date
    """First day of uninterrupted work in a care post of the division (M001-54)."""
    institution_key: str
    evidence: str


async def grant_carer_award(command: GrantCarerAward, stores: Stores, now: datetime) -> Entitlement:
    """Award a care worker; paid by the next cycle. Each grade is awarded once in a division."""
    scheme = stores.catalogue.get(command.scheme_code, Payee.RESIDENT_ONCE)
    today = day_of(now)
    home = await stores.homes.get(command.institution_key)
    worker = await stores.recipients.get(command.resident_key)
    if home.region_code is None:
        raise NotFound("Home", command.institution_key)
    tables = await tables_of([home.region_code], stores)
    found = tables.find(scheme.code, home.region_code, today)
    rule = found.version.carer if found else None
    if found is None or rule is None:
        raise NotEntitled(why_zh="机构所在地未实行该项奖励", why="it is not offered there")
    amount_fen = rule.amounts_fen.get(command.grade.value, 0)
    if not amount_fen:
        raise NotEntitled(why_zh="该等级没有奖励标准", why="there is no amount for this grade")
    if months_later(command.in_post_since, 12 * rule.years_in_post) > today:
        raise NotEntitled(
            why_zh=f"在本地养老护理岗位连续从业未满{rule.years_in_post}年",
            why=f"fewer than {rule.years_in_post} uninterrupted years in a care post here",
        )
    if worker.died_on is not None or worker.merged_into:
        raise NotEntitled(why_zh="本人已登记死亡或记录已合并", why="deceased, or a merged record")
    division = payer(home.region_code)
    for record in [worker, *await merged_with(worker, stores)]:
        for other in await stores.entitlements.by("resident_key", record.key):
            same = (other.scheme_code, other.payer, other.variant)
            if same == (scheme.code, division, command.grade.value):
                raise AwardedAlready(key=other.key)
    stores.recipients.save(worker)  # a merge that is told at this moment must meet the award
    entitlement = Entitlement(
        key=new_key("ent"),
        resident_key=command.resident_key,
        scheme_code=scheme.code,
        payer=division,
        variant=command.grade.value,
        hukou_region_code=worker.residences[-1].hukou_region_code if worker.residences else None,
    )
    years, where = rule.years_in_post, found.version.source
    grade = command.grade.value
    held = f"取得{grade}证书 | holds the {grade} certificate [{where}]"
    worked = f"在本地养老护理岗位连续从业满{years}年 | {years} years in a care post here [{where}]"
    entitlement.award(amount_fen, today, str(where), [held, worked])
    stores.entitlements.save(entitlement)
    return entitlement
