"""Relatives and guardians (M002-66): who is whose, since when, and who may be."""

from __future__ import annotations

from typing import Any

import pytest

from eldex.api.registry.v1 import household_pb2 as h
from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.api.registry.v1 import relation_pb2 as r
from eldex.api.registry.v1 import resident_events_pb2 as events_pb
from eldex.common.identifiers import InvalidCreditCode
from eldex.registry.domain.days import AlreadyEnded, DayImpossible
from eldex.registry.domain.guardianships import GuardianshipExists, GuardianUnfit
from eldex.registry.domain.relations import FamilyRelation, RelationContradicts, RelationToSelf
from eldex.registry.domain.residents import NotAlive

SPOUSE, CHILD = h.FAMILY_RELATION_SPOUSE, h.FAMILY_RELATION_CHILD
COMMITTEE = "11220000013544357T"


async def relate(
    counter: Any, key: str, relative: str, kind: Any, on: str = "2000-01-01"
) -> r.Relation:
    request = pb.RecordRelationRequest(
        resident_key=key,
        relative_key=relative,
        relation=kind,
        began_on=counter.day(on),
        evidence="户口簿",
    )
    reply: pb.RecordRelationResponse = await counter.ask(request)
    return reply.relation


async def relations(counter: Any, key: str, **more: Any) -> list[r.Relation]:
    ask = pb.ListRelationsRequest(resident_key=key, **more)
    return list((await counter.ask(ask)).relations)


async def appoint(counter: Any, ward: str, **more: Any) -> r.Guardianship:
    fields: dict[str, Any] = {"began_on": counter.day("2024-01-01")}
    request = pb.AppointGuardianRequest(
        resident_key=ward,
        kind=r.GUARDIANSHIP_KIND_DESIGNATED,
        evidence="居委会指定监护文书",
        **(fields | more),
    )
    reply: pb.AppointGuardianResponse = await counter.ask(request)
    return reply.guardianship


async def test_a_relation_is_seen_from_both_sides(counter: Any) -> None:
    mother, daughter = await counter.enter("王秀英"), await counter.enter("刘敏", born="1968-01-01")
    recorded = await relate(counter, mother, daughter, CHILD)
    assert await relations(counter, mother) == [recorded]
    assert await relations(counter, daughter) == [recorded]
    assert FamilyRelation.CHILD.inverse is FamilyRelation.PARENT
    assert FamilyRelation.SPOUSE.inverse is FamilyRelation.SPOUSE


async def test_relations_that_contradict_each_other_are_refused(counter: Any) -> None:
    wife, husband = await counter.enter("王秀英"), await counter.enter("刘建国")
    other = await counter.enter("张国强")
    marriage = await relate(counter, wife, husband, SPOUSE)
    with pytest.raises(RelationToSelf):
        await relate(counter, wife, wife, SPOUSE)
    with pytest.raises(RelationContradicts):
        await relate(counter, husband, wife, CHILD)  # the same pair
    with pytest.raises(RelationContradicts):
        await relate(counter, other, wife, SPOUSE)  # a second marriage
    end = pb.EndRelationRequest(
        relation_key=marriage.relation_key, ended_on=counter.day("2010-01-01")
    )
    await counter.ask(end)
    await relate(counter, other, wife, SPOUSE, "2011-01-01")
    assert len(await relations(counter, wife)) == 1
    assert len(await relations(counter, wife, include_past=True)) == 2


async def test_who_was_entered_twice_is_married_and_guarded_once(counter: Any) -> None:
    double, wife = await counter.enter("王秀英"), await counter.enter("王秀英")
    husband, other = await counter.enter("刘建国"), await counter.enter("张国强")
    son, twin = [await counter.enter("刘军", born="1965-01-01") for _ in range(2)]
    await relate(counter, double, husband, SPOUSE)
    await appoint(counter, double, guardian_resident_key=son)
    for key, survivor in ((double, wife), (son, twin)):
        request = pb.MergeResidentsRequest(
            resident_key=key, survivor_key=survivor, evidence="同一人两号"
        )
        await counter.ask(request)
    with pytest.raises(RelationContradicts):
        await relate(counter, wife, other, SPOUSE)  # a second marriage
    with pytest.raises(RelationContradicts):
        await relate(counter, husband, wife, SPOUSE)  # the same one again
    with pytest.raises(GuardianshipExists):
        await appoint(counter, wife, guardian_resident_key=twin)
    await relate(counter, wife, other, h.FAMILY_RELATION_SIBLING)


async def test_a_relation_ends_once(counter: Any) -> None:
    wife, husband = await counter.enter("王秀英"), await counter.enter("刘建国")
    marriage = await relate(counter, wife, husband, SPOUSE)

    async def end(on: str) -> r.Relation:
        request = pb.EndRelationRequest(
            relation_key=marriage.relation_key, ended_on=counter.day(on)
        )
        reply: pb.EndRelationResponse = await counter.ask(request)
        return reply.relation

    with pytest.raises(DayImpossible):
        await end("1999-12-31")
    with pytest.raises(DayImpossible):
        await end("2027-01-01")
    ended = await end("2010-01-01")
    assert (await end("2010-01-01")).etag == ended.etag
    with pytest.raises(AlreadyEnded):
        await end("2011-01-01")


async def test_a_guardian_is_appointed_told_listed_for_both_and_ended(counter: Any) -> None:
    ward, son = await counter.enter("王秀英"), await counter.enter("刘军", born="1965-01-01")
    appointed = await appoint(counter, ward, guardian_resident_key=son)
    (told,) = counter.service.events(events_pb.GuardianAppointed)
    assert (told.resident_key, told.guardian_key) == (ward, son)
    assert told.began_on == counter.day("2024-01-01")
    for key in (ward, son):
        listed = (await counter.ask(pb.ListGuardianshipsRequest(resident_key=key))).guardianships
        assert list(listed) == [appointed]
    with pytest.raises(GuardianshipExists):
        await appoint(counter, ward, guardian_resident_key=son)

    end = pb.EndGuardianshipRequest(
        guardianship_key=appointed.guardianship_key,
        ended_on=counter.day("2026-01-01"),
        reason="法院撤销监护人资格",
        etag=appointed.etag,
    )
    assert (await counter.ask(end)).guardianship.end_reason == "法院撤销监护人资格"
    (ended,) = counter.service.events(events_pb.GuardianshipEnded)
    assert (ended.guardianship_key, ended.ended_on) == (
        appointed.guardianship_key,
        counter.day("2026-01-01"),
    )
    assert not (await counter.ask(pb.ListGuardianshipsRequest(resident_key=ward))).guardianships


async def test_for_an_elder_without_kin_an_organisation_answers(counter: Any) -> None:
    ward = await counter.enter("赵德明")
    appointed = await appoint(counter, ward, guardian_credit_code=COMMITTEE)
    assert appointed.guardian_credit_code == COMMITTEE
    assert counter.service.events(events_pb.GuardianAppointed)[0].guardian_key == COMMITTEE
    with pytest.raises(InvalidCreditCode):
        await appoint(counter, ward, guardian_credit_code="112200000135443570")
    await counter.die(ward, "2026-11-01")
    (ended,) = counter.service.events(events_pb.GuardianshipEnded)
    assert ended.guardian_key == COMMITTEE


async def test_minors_the_dead_and_the_ward_itself_are_no_guardians(counter: Any) -> None:
    ward = await counter.enter("王秀英")
    minor = await counter.enter("刘小军", born="2010-01-01")
    dead = await counter.enter("刘建国")
    await counter.die(dead, "2026-01-01")
    with pytest.raises(GuardianUnfit):
        await appoint(counter, ward, guardian_resident_key=minor)
    with pytest.raises(GuardianUnfit):
        await appoint(counter, ward, guardian_resident_key=ward)
    with pytest.raises(NotAlive):
        await appoint(counter, ward, guardian_resident_key=dead)
    assert not counter.service.events(events_pb.GuardianAppointed)


async def test_somebody_may_be_guardian_from_the_18th_birthday_on(counter: Any) -> None:
    ward = await counter.enter("王秀英")
    grown = await counter.enter("刘小军", born="2007-05-05")
    with pytest.raises(GuardianUnfit):
        await appoint(
            counter, ward, guardian_resident_key=grown, began_on=counter.day("2025-05-04")
        )
    await appoint(counter, ward, guardian_resident_key=grown, began_on=counter.day("2025-05-05"))
