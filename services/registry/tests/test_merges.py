"""Two records of one person: the survivor takes over, the other rests, and parts again as it was."""

from __future__ import annotations

from typing import Any

import pytest

from eldex.api.registry.v1 import assessment_pb2, household_pb2, resident_pb2
from eldex.api.registry.v1 import eligibility_pb2 as e
from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.api.registry.v1 import resident_events_pb2 as events_pb
from eldex.common.errors import StaleVersion
from eldex.registry.domain.households import AlreadyInHousehold
from eldex.registry.domain.merging import MergeContradicts, NotMerged
from eldex.registry.domain.residents import RecordMerged

LOW_INCOME, ALONE = e.ELIGIBILITY_CLASS_LOW_INCOME, e.ELIGIBILITY_CLASS_LIVING_ALONE


async def merge(counter: Any, key: str, survivor: str, **more: str) -> Any:
    request = pb.MergeResidentsRequest(
        resident_key=key, survivor_key=survivor, evidence="派出所证明：同一人两号", **more
    )
    return await counter.ask(request)


async def reverse(counter: Any, key: str) -> Any:
    request = pb.ReverseMergeRequest(resident_key=key, evidence="指纹核验：并非同一人")
    reply = await counter.ask(request)
    await counter.settle()
    return reply


async def grant(counter: Any, key: str, kind: Any) -> str:
    request = pb.GrantEligibilityRequest(
        resident_key=key,
        eligibility_class=kind,
        valid_from=counter.day("2026-01-01"),
        source_department="通川区民政局",
        evidence="虚构证明",
    )
    return str((await counter.ask(request)).eligibility.eligibility_key)


async def household(counter: Any, head: str) -> str:
    request = pb.FormHouseholdRequest(
        region_code="511702001", head_key=head, formed_on=counter.day("2020-01-01")
    )
    return str((await counter.ask(request)).household.household_key)


def state_of(counter: Any, key: str) -> dict[str, Any]:
    """The stored record, but for what tells when and how often it was written and on what ground."""
    document = dict(counter.service.backend.collections["residents"][key])
    for name in ("version", "updated_at", "last_evidence"):
        del document[name]
    return document


async def test_the_survivor_takes_over_what_the_other_held(counter: Any) -> None:
    double = await counter.enter("王秀英")
    survivor = await counter.enter("王秀英")
    membership = await grant(counter, double, LOW_INCOME)
    made = await counter.assess(double, 40, "2026-06-01")
    home = await household(counter, double)
    both = await merge(counter, double, survivor)

    assert both.merged.vital_status == resident_pb2.VITAL_STATUS_MERGED
    assert both.merged.survivor_key == survivor
    assert list(both.survivor.merged_keys) == [double]
    assert list(both.survivor.eligibility_classes) == [LOW_INCOME]
    assert both.survivor.assessment_key == made.assessment_key
    (told,) = counter.service.events(events_pb.ResidentMerged)
    assert (told.resident_key, told.survivor_key) == (double, survivor)

    held = await counter.ask(pb.ListEligibilitiesRequest(resident_key=survivor))
    assert [each.eligibility_key for each in held.eligibilities] == [membership]
    homes = await counter.ask(pb.ListHouseholdsRequest(resident_key=survivor))
    assert [each.household_key for each in homes.households] == [home]
    assessed = await counter.ask(pb.ListAssessmentsRequest(resident_key=survivor))
    assert [each.assessment_key for each in assessed.assessments] == [made.assessment_key]
    with pytest.raises(AlreadyInHousehold):
        await household(counter, survivor)


async def test_who_was_entered_twice_is_listed_once(counter: Any) -> None:
    double = await counter.enter("王秀英")
    survivor = await counter.enter("王秀英")
    await grant(counter, double, LOW_INCOME)
    await counter.assess(double, 40, "2026-06-01")
    await merge(counter, double, survivor)
    for asked in (
        {"eligibility_class": LOW_INCOME},
        {"ability_level": assessment_pb2.ABILITY_LEVEL_SEVERE},
    ):
        found = await counter.ask(pb.ListResidentsRequest(region_code="5117", **asked))
        assert [each.resident_key for each in found.residents] == [survivor]


async def test_where_an_assessment_stands_is_the_same_under_either_record(counter: Any) -> None:
    double = await counter.enter("王秀英")
    survivor = await counter.enter("王秀英")
    await counter.assess(double, 40, "2026-05-01")
    await merge(counter, double, survivor)
    later = await counter.assess(survivor, 70, "2026-06-01")
    for key in (double, survivor):
        listed = await counter.ask(pb.ListAssessmentsRequest(resident_key=key))
        assert listed.assessments[0].superseded_by_key == later.assessment_key


async def test_the_number_of_a_merged_record_leads_to_the_survivor(counter: Any) -> None:
    double = await counter.enter("王秀英")
    survivor = await counter.enter("王秀英")
    last = await counter.enter("王秀英")
    ask = pb.GetResidentRequest(resident_key=double)
    ask.read_mask.paths.append("document")
    document = (await counter.ask(ask)).resident.document
    assert document.number == ""  # the number must be named itself
    ask.read_mask.paths.append("document.number")
    document = (await counter.ask(ask)).resident.document
    document.masked_number = ""
    await merge(counter, double, survivor)
    await merge(counter, survivor, last)
    found = await counter.ask(pb.FindResidentRequest(document=document))
    assert found.resident.resident_key == last
    assert sorted(found.resident.merged_keys) == sorted([double, survivor])


async def test_a_merged_record_can_no_longer_be_written_to(counter: Any) -> None:
    double = await counter.enter("王秀英")
    survivor = await counter.enter("王秀英")
    await merge(counter, double, survivor)
    other = await counter.enter("李桂兰")
    relation = household_pb2.FAMILY_RELATION_SIBLING
    writes = [
        pb.MoveResidentRequest(
            resident_key=double, region_code="511703", moved_on=counter.day("2026-07-01")
        ),
        pb.RegisterDeathRequest(
            resident_key=double, died_on=counter.day("2026-07-01"), evidence="x"
        ),
        pb.CorrectDeathRequest(
            resident_key=double, died_on=counter.day("2026-07-01"), evidence="x", etag="v2"
        ),
        pb.RevokeDeathRequest(resident_key=double, evidence="x"),
        pb.CorrectResidentRequest(resident_key=double, name="王", evidence="x", etag="v2"),
        pb.GrantEligibilityRequest(
            resident_key=double,
            eligibility_class=ALONE,
            valid_from=counter.day("2026-07-01"),
            source_department="x",
            evidence="x",
        ),
        pb.FormHouseholdRequest(region_code="511702", head_key=double),
        pb.RecordRelationRequest(
            resident_key=other, relative_key=double, relation=relation, evidence="x"
        ),
        pb.MergeResidentsRequest(resident_key=double, survivor_key=other, evidence="x"),
        pb.MergeResidentsRequest(resident_key=other, survivor_key=double, evidence="x"),
    ]
    for request in writes:
        with pytest.raises(RecordMerged) as told:
            await counter.ask(request)
        assert told.value.facts["survivor_key"] == survivor
    with pytest.raises(RecordMerged):
        await counter.assess(double, 40, "2026-06-01")


async def test_a_reversal_restores_both_records_exactly(counter: Any) -> None:
    double = await counter.enter("王秀英")
    survivor = await counter.enter("王秀英")
    await grant(counter, double, LOW_INCOME)
    await grant(counter, survivor, ALONE)
    await counter.assess(double, 40, "2026-06-01")
    await counter.assess(survivor, 70, "2026-03-01")
    before = state_of(counter, double), state_of(counter, survivor)
    await merge(counter, double, survivor)
    assert (state_of(counter, double), state_of(counter, survivor)) != before
    await reverse(counter, double)
    assert (state_of(counter, double), state_of(counter, survivor)) == before
    (told,) = counter.service.events(events_pb.ResidentMergeReversed)
    assert (told.resident_key, told.survivor_key) == (double, survivor)
    with pytest.raises(NotMerged):
        await reverse(counter, double)


async def test_what_was_decided_in_between_goes_home_with_its_record(counter: Any) -> None:
    double = await counter.enter("王秀英")
    survivor = await counter.enter("王秀英")
    brought = await grant(counter, double, LOW_INCOME)
    await merge(counter, double, survivor)
    await grant(counter, survivor, ALONE)
    await counter.ask(
        pb.EndEligibilityRequest(
            eligibility_key=brought, ended_on=counter.day("2026-10-01"), reason="收入核对超标"
        )
    )
    (ended,) = counter.service.events(events_pb.EligibilityEnded)
    assert ended.resident_key == survivor  # the record that stands for the person
    await reverse(counter, double)
    assert list((await counter.show(double)).eligibility_classes) == []
    assert list((await counter.show(survivor)).eligibility_classes) == [ALONE]


async def test_a_chain_of_merges_is_undone_from_its_end(counter: Any) -> None:
    keys = [await counter.enter("王秀英") for _ in range(3)]
    membership = await grant(counter, keys[0], LOW_INCOME)
    await merge(counter, keys[0], keys[1])
    await merge(counter, keys[1], keys[2])
    assert list((await counter.show(keys[2])).eligibility_classes) == [LOW_INCOME]
    with pytest.raises(RecordMerged):
        await reverse(counter, keys[0])
    await reverse(counter, keys[1])
    assert list((await counter.show(keys[1])).eligibility_classes) == [LOW_INCOME]
    assert list((await counter.show(keys[2])).eligibility_classes) == []
    await reverse(counter, keys[0])
    held = await counter.ask(pb.ListEligibilitiesRequest(resident_key=keys[0]))
    assert held.eligibilities[0].eligibility_key == membership


async def test_records_that_tell_different_deaths_are_not_merged(counter: Any) -> None:
    double = await counter.enter("王秀英")
    survivor = await counter.enter("王秀英")
    await counter.die(double, "2026-06-01")
    with pytest.raises(MergeContradicts):
        await merge(counter, double, survivor)
    await counter.die(survivor, "2026-06-01")
    await merge(counter, double, survivor)
    with pytest.raises(MergeContradicts):
        await merge(counter, survivor, survivor)


async def test_a_merge_based_on_an_old_version_of_either_is_refused(counter: Any) -> None:
    double = await counter.enter("王秀英")
    survivor = await counter.enter("王秀英")
    await grant(counter, survivor, ALONE)
    with pytest.raises(StaleVersion):
        await merge(counter, double, survivor, survivor_etag="v1")
    await merge(counter, double, survivor, etag="v1", survivor_etag="v2")


async def test_the_survivors_death_reaches_what_the_other_brought_and_a_reversal_undoes_that(
    counter: Any,
) -> None:
    double = await counter.enter("王秀英")
    survivor = await counter.enter("王秀英")
    home = await household(counter, double)
    await merge(counter, double, survivor)
    await counter.die(survivor, "2026-11-01")
    ask = pb.GetHouseholdRequest(household_key=home)
    assert (await counter.ask(ask)).household.dissolved_on == counter.day("2026-11-01")
    await reverse(counter, double)
    assert (await counter.ask(ask)).household.head_key == double
    assert (await counter.show(double)).vital_status == resident_pb2.VITAL_STATUS_ALIVE


async def test_a_merged_record_is_no_longer_listed_among_the_living(counter: Any) -> None:
    double = await counter.enter("王秀英")
    survivor = await counter.enter("王秀英")
    await merge(counter, double, survivor)
    ask = pb.ListResidentsRequest(
        region_code="511702", vital_status=resident_pb2.VITAL_STATUS_ALIVE
    )
    assert [r.resident_key for r in (await counter.ask(ask)).residents] == [survivor]


async def test_a_death_that_both_records_told_is_revoked_of_both(counter: Any) -> None:
    double = await counter.enter("王秀英")
    survivor = await counter.enter("王秀英")
    for key in (double, survivor):
        await counter.die(key, "2026-06-01")
    await merge(counter, double, survivor)
    await counter.ask(pb.RevokeDeathRequest(resident_key=survivor, evidence="本人到场"))
    told = counter.service.events(events_pb.ResidentDeathRevoked)
    assert {each.resident_key for each in told} == {double, survivor}
    await reverse(counter, double)
    for key in (double, survivor):
        assert (await counter.show(key)).vital_status == resident_pb2.VITAL_STATUS_ALIVE


async def test_a_death_that_both_records_told_is_corrected_of_both_and_a_later_one_is_not(
    counter: Any,
) -> None:
    double = await counter.enter("王秀英")
    survivor = await counter.enter("王秀英")
    for key in (double, survivor):
        await counter.die(key, "2026-06-01")
    await merge(counter, double, survivor)

    async def correct(day: str) -> None:
        etag = (await counter.show(survivor)).etag
        request = pb.CorrectDeathRequest(
            resident_key=survivor, died_on=counter.day(day), evidence="x", etag=etag
        )
        await counter.ask(request)

    await correct("2026-07-01")
    told = [e for e in counter.service.events(events_pb.ResidentDeceased) if e.corrected_from.year]
    assert {each.resident_key for each in told} == {double, survivor}
    assert {each.died_on.month for each in told} == {7}
    await counter.ask(pb.RevokeDeathRequest(resident_key=survivor, evidence="本人到场"))
    await counter.die(survivor, "2026-09-01")
    await correct("2026-10-01")
    await reverse(counter, double)
    assert (await counter.show(double)).vital_status == resident_pb2.VITAL_STATUS_ALIVE
    assert (await counter.show(survivor)).died_on == counter.day("2026-10-01")


async def test_records_of_another_sex_or_birthday_are_merged_with_a_warning_until_they_part(
    counter: Any,
) -> None:
    woman = await counter.enter("王秀英", born="1940-05-06")
    number = counter.number("1990-01-01", "001")
    kind = resident_pb2.DOCUMENT_KIND_RESIDENT_IDENTITY_CARD
    request = pb.RegisterResidentRequest(
        document=resident_pb2.PersonDocument(kind=kind, number=number),
        name="王建国",
        region_code="511702001",
    )
    man = (await counter.ask(request)).resident.resident_key
    told = (await merge(counter, man, woman)).survivor.warnings
    assert [f"merged record {man} tells another {what}" for what in ("sex", "day of birth")] == [
        each.partition(" / ")[0] for each in told
    ]
    assert list((await counter.show(woman)).warnings) == list(told)
    await reverse(counter, man)
    assert list((await counter.show(woman)).warnings) == []


async def test_who_lives_in_two_households_after_a_merge_is_told_until_one_is_left(
    counter: Any,
) -> None:
    double = await counter.enter("王秀英")
    survivor = await counter.enter("王秀英")
    homes = [await household(counter, key) for key in (double, survivor)]
    (told,) = (await merge(counter, double, survivor)).survivor.warnings
    assert all(home in told for home in homes)
    assert list((await counter.show(survivor)).warnings) == [told]
    await counter.ask(pb.DissolveHouseholdRequest(household_key=homes[0]))
    assert list((await counter.show(survivor)).warnings) == []
