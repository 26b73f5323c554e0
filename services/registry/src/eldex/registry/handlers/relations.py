"""Relatives and guardians."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from eldex.common.clock import day_of
from eldex.common.identifiers import CreditCode, new_key
from eldex.registry.domain.guardianships import (
    GuardianRule,
    Guardianship,
    GuardianshipExists,
    GuardianshipKind,
    rule_on,
)
from eldex.registry.domain.relations import FamilyRelation, Relation
from eldex.registry.domain.residents import Resident
from eldex.registry.handlers.ports import Stores, standing


@dataclass(frozen=True, slots=True)
class RecordRelation:
    """One person is another's relative."""

    resident_key: str
    relative_key: str
    relation: FamilyRelation
    began_on: date | None
    evidence: str


async def record_relation(command: RecordRelation, stores: Stores, now: datetime) -> Relation:
    """Relate two people who live; one relation of a pair holds at a time, and one marriage of a person."""
    today = day_of(now)
    began_on = command.began_on or today
    relation = Relation.between(
        key=new_key("rel"),
        resident_key=command.resident_key,
        relative_key=command.relative_key,
        relation=command.relation,
        began_on=began_on,
        evidence=command.evidence,
        today=today,
    )
    people = [await stores.residents.get(k) for k in (command.resident_key, command.relative_key)]
    standing_keys = {key: person.key for person in people for key in person.record_keys}
    for person in people:
        person.must_live()
        person.must_have_lived_on(began_on)
    for key in standing_keys:
        for other in await stores.relations.of_person(key):
            other.must_allow(relation, standing_keys)
    relation.updated_at = now
    stores.relations.save(relation)
    return relation


@dataclass(frozen=True, slots=True)
class EndRelation:
    """A relation no longer holds."""

    relation_key: str
    ended_on: date
    etag: str


async def end_relation(command: EndRelation, stores: Stores, now: datetime) -> Relation:
    """End a relation."""
    relation = await stores.relations.get(command.relation_key)
    relation.expect(command.etag)
    if relation.ended_on != command.ended_on:
        relation.end(command.ended_on, day_of(now))
        relation.updated_at = now
        stores.relations.save(relation)
    return relation


@dataclass(frozen=True, slots=True)
class AppointGuardian:
    """Somebody becomes a guardian."""

    resident_key: str
    guardian: str | CreditCode
    """A resident's key, or an organisation."""
    kind: GuardianshipKind
    evidence: str
    began_on: date | None


async def appoint_guardian(
    command: AppointGuardian, stores: Stores, rules: Sequence[GuardianRule], now: datetime
) -> Guardianship:
    """Appoint a guardian; a ward may have several, the same one only once."""
    today = day_of(now)
    began_on = command.began_on or today
    ward, guardian = await stores.residents.get(command.resident_key), command.guardian
    known = await stores.residents.get(guardian) if isinstance(guardian, str) else guardian
    guardianship = Guardianship.appoint(
        key=new_key("gua"),
        ward=ward,
        guardian=known,
        kind=command.kind,
        evidence=command.evidence,
        began_on=began_on,
        rule=rule_on(rules, began_on),
        today=today,
    )
    same = known.record_keys if isinstance(known, Resident) else [guardianship.guardian_key]
    for key in ward.record_keys:
        for other in await stores.guardianships.of_person(key):
            is_ward = other.resident_key == key
            if is_ward and other.guardian_key in same and other.ended_on is None:
                raise GuardianshipExists(guardianship_key=other.key)
    guardianship.updated_at = now
    stores.guardianships.save(guardianship)
    return guardianship


@dataclass(frozen=True, slots=True)
class EndGuardianship:
    """A guardianship no longer holds."""

    guardianship_key: str
    ended_on: date
    reason: str
    etag: str


async def end_guardianship(command: EndGuardianship, stores: Stores, now: datetime) -> Guardianship:
    """End a guardianship."""
    guardianship = await stores.guardianships.get(command.guardianship_key)
    guardianship.expect(command.etag)
    ward = await standing(guardianship.resident_key, stores)
    guardianship.end(command.ended_on, command.reason, ward.region_code, day_of(now))
    if guardianship.events:
        guardianship.updated_at = now
        stores.guardianships.save(guardianship)
    return guardianship
