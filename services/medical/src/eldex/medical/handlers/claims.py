"""Settling claims: for covered days, by the rules of those days, each visit once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from eldex.common.clock import day_of
from eldex.common.errors import InvalidRequest, Violation
from eldex.common.identifiers import new_key
from eldex.medical.domain.claim import (
    Basis,
    Claim,
    ClaimAlreadySettled,
    ClaimTooLate,
    PersonalAccountNone,
    ServiceAfterDeath,
    covering,
    filing_for,
    is_remote,
    used_up,
)
from eldex.medical.domain.enrolment import Enrolment, Scheme
from eldex.medical.domain.parameter import CarePlace, Case, Name, Policy
from eldex.medical.domain.person import Person
from eldex.medical.domain.settlement import Facts, Rules, Split, settle
from eldex.medical.domain.tenure import DayImpossible
from eldex.medical.handlers.people import enrolments_of, person_of, policy_of, records_of
from eldex.medical.handlers.ports import Stores


@dataclass(frozen=True, slots=True)
class Settled:
    """A settlement as worked out, not kept yet."""

    person: Person
    basis: Basis
    split: Split
    number: int


async def preview_settlement(facts: Facts, stores: Stores, now: datetime) -> Settled:
    """What a claim comes to now; raises what forbids to settle it."""
    today = day_of(now)
    _possible(facts, today)
    person = await person_of(stores, facts.resident_key)
    person.may_begin(date.min)  # a merged record claims under the one that stands for it
    if person.died_on is not None and facts.served_until > person.died_on:
        raise ServiceAfterDeath(died_on=person.died_on, served_until=facts.served_until)
    enrolments = await enrolments_of(stores, person.key, basic=True)
    cover = covering(enrolments, facts.served_from, facts.served_until, person.died_on)
    _may_use_account(facts, cover)
    policy = await policy_of(stores, cover.region_code)
    basis = await _basis(facts, cover, policy, stores)
    records = await records_of(stores, person)
    claims = await claims_of(stores, records)
    for other in claims:
        if other.standing and _visit(other.facts) == _visit(facts):
            raise ClaimAlreadySettled(claim_key=other.key)
    case = _case(facts, basis, records)
    _in_time(facts, policy, case, today)
    rules = Rules.of(policy, case, facts.served_until)
    split = settle(facts, rules, used_up(claims, facts, basis, rules))
    number = 1 + max((each.number for each in claims), default=0)
    return Settled(person, basis, split, number)


async def settle_claim(facts: Facts, stores: Stores, now: datetime) -> Claim:
    """Settle a claim and keep it."""
    settled = await preview_settlement(facts, stores, now)
    claim = Claim.settle(
        new_key("clm"), facts, settled.basis, settled.split, settled.number, day_of(now)
    )
    stores.claims.save(claim)
    # Two claims at once would both find the deductible unused: the second is settled anew.
    stores.people.save(settled.person)
    return claim


@dataclass(frozen=True, slots=True)
class ReverseSettlement:
    """Take a settlement back."""

    claim_key: str
    reason: str
    etag: str


async def reverse_settlement(command: ReverseSettlement, stores: Stores, now: datetime) -> Claim:
    """Take it back, the last one of a year first; deductible and ceiling are as before it."""
    claim = await stores.claims.get(command.claim_key)
    claim.expect(command.etag)
    records = await records_of(stores, await person_of(stores, claim.resident_key))
    claim.reverse(command.reason, day_of(now), await claims_of(stores, records))
    if claim.events:
        stores.claims.save(claim)
        stores.people.save(records[0])
    return claim


async def claims_of(stores: Stores, records: list[Person]) -> list[Claim]:
    """The claims of all records that are one person."""
    return [claim for each in records for claim in await stores.claims.by("resident_key", each.key)]


async def record_keys(resident_key: str, stores: Stores) -> list[str]:
    """The records under which a person's claims were settled; of a merged one, itself alone."""
    person = await stores.people.find(resident_key)
    if person is None or person.survivor_key:
        return [resident_key]
    return [each.key for each in await records_of(stores, person)]


def _possible(facts: Facts, today: date) -> None:
    if facts.served_until > today:
        raise DayImpossible(
            day=facts.served_until,
            why_zh="服务结束日晚于今天",
            why="services are claimed after they were given, not in the future",
        )
    if facts.served_until < facts.served_from:
        raise DayImpossible(
            day=facts.served_until,
            why_zh=f"早于服务开始日 {facts.served_from}",
            why=f"it lies before the first day of the services, {facts.served_from}",
        )
    if facts.out_of_scope_fen > facts.total_fen:
        raise InvalidRequest(
            Violation(
                "facts.out_of_scope_fen",
                "不能超过医疗费总额",
                "is a part of total_fen and cannot exceed it",
                "EXCEEDS_TOTAL",
            )
        )


def _may_use_account(facts: Facts, cover: Enrolment) -> None:
    if facts.personal_account_fen and cover.scheme is not Scheme.EMPLOYEE:
        raise PersonalAccountNone


def _visit(facts: Facts) -> tuple[str, str]:
    return facts.institution_code, facts.visit_code


async def _basis(facts: Facts, cover: Enrolment, policy: Policy, stores: Stores) -> Basis:
    fund, care = cover.region_code, facts.care_region_code
    pooling = policy.level(Name.POOLING_LEVEL, facts.served_until, cover.scheme)
    place, filing_key = CarePlace.LOCAL, ""
    if is_remote(fund, care, pooling):
        place = CarePlace.REMOTE_UNFILED
        # Filed before the services began: a filing made on the sick-bed counts from its own day.
        filings = await stores.filings.by("resident_key", cover.resident_key)
        filing = filing_for(filings, fund, care, facts.served_from)
        if filing is not None:
            place, filing_key = CarePlace.REMOTE_FILED, filing.key
    pool = fund.at(pooling) if pooling else None
    return Basis(cover.scheme, cover.key, fund, place, filing_key, pool)


def _case(facts: Facts, basis: Basis, records: list[Person]) -> Case:
    ages = [age for each in records if (age := each.age_on(facts.served_until)) is not None]
    return Case(
        scheme=basis.scheme,
        care_kind=facts.care_kind,
        hospital_level=facts.hospital_level,
        care_place=basis.care_place,
        # The record that stands comes first: the registry decided that it is the right one.
        age=ages[0] if ages else None,
        classes=frozenset().union(*(each.classes_on(facts.served_until) for each in records)),
    )


def _in_time(facts: Facts, policy: Policy, case: Case, today: date) -> None:
    deadline = policy.find(Name.CLAIM_DEADLINE_DAYS, case, facts.served_until)
    if deadline is None:
        return
    until = facts.served_until + timedelta(days=deadline.amount)
    if today > until:
        raise ClaimTooLate(
            days=deadline.amount,
            until=until,
            document=deadline.value.document,
            clause=deadline.value.clause,
        )
