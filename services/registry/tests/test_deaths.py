"""Deaths: told once, mended openly, taken back with all that followed from them."""

from __future__ import annotations

from typing import Any

import pytest

from eldex.api.registry.v1 import household_pb2, relation_pb2, resident_pb2
from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.api.registry.v1 import resident_events_pb2 as events_pb
from eldex.api.registry.v1.household_events_pb2 import HouseholdChanged
from eldex.common.errors import StaleVersion
from eldex.registry.domain.days import DayImpossible
from eldex.registry.domain.residents import DeathAlreadyRegistered, NotAlive, NotDeceased


def notice(counter: Any, key: str, on: str) -> pb.RegisterDeathRequest:
    return pb.RegisterDeathRequest(
        resident_key=key, died_on=counter.day(on), evidence="居民死亡医学证明书 2026-117"
    )


async def test_a_death_is_told_once_however_often_the_notice_comes(counter: Any) -> None:
    key = await counter.enter("王秀英")
    for _ in range(2):
        await counter.ask(notice(counter, key, "2026-11-01"))
    (told,) = counter.service.events(events_pb.ResidentDeceased)
    assert (told.resident_key, told.died_on) == (key, counter.day("2026-11-01"))
    assert not told.HasField("corrected_from")
    with pytest.raises(DeathAlreadyRegistered):
        await counter.ask(notice(counter, key, "2026-11-02"))


@pytest.mark.parametrize("impossible", ["2027-01-01", "1900-01-01"])
async def test_a_death_in_the_future_or_before_birth_cannot_be(
    counter: Any, impossible: str
) -> None:
    key = await counter.enter("王秀英")
    with pytest.raises(DayImpossible):
        await counter.ask(notice(counter, key, impossible))
    assert not counter.service.events(events_pb.ResidentDeceased)


async def test_the_dead_do_not_move(counter: Any) -> None:
    key = await counter.enter("王秀英")
    await counter.die(key, "2026-11-01")
    with pytest.raises(NotAlive):
        await counter.ask(
            pb.MoveResidentRequest(
                resident_key=key, region_code="511703", moved_on=counter.day("2026-11-10")
            )
        )


async def test_a_move_in_life_may_be_told_after_the_death_and_on_its_very_day(counter: Any) -> None:
    key = await counter.enter("王秀英")
    await counter.die(key, "2026-11-01")
    for region, moved_on in (("511703", "2026-10-01"), ("511723", "2026-11-01")):
        await counter.ask(
            pb.MoveResidentRequest(
                resident_key=key, region_code=region, moved_on=counter.day(moved_on)
            )
        )
    with pytest.raises(NotAlive):
        await counter.ask(
            pb.MoveResidentRequest(
                resident_key=key, region_code="511702", moved_on=counter.day("2026-11-02")
            )
        )
    told = counter.service.events(events_pb.ResidentMoved)
    assert [each.region_code for each in told] == ["511703", "511723"]
    assert not (await counter.show(key)).warnings


async def test_a_late_notice_shows_what_cannot_be_true_of_the_dead(counter: Any) -> None:
    key = await counter.enter("王秀英")
    await counter.ask(
        pb.MoveResidentRequest(
            resident_key=key, region_code="511703", moved_on=counter.day("2026-07-01")
        )
    )
    await counter.assess(key, 40, "2026-08-01")
    await counter.die(key, "2026-06-30")  # what matters first: payments stop
    moved, assessed = (await counter.show(key)).warnings
    assert "511703" in moved
    assert "2026-08-01" in assessed
    await counter.ask(pb.RevokeDeathRequest(resident_key=key, evidence="本人到场"))
    assert not (await counter.show(key)).warnings


async def test_a_corrected_day_is_told_with_the_one_it_corrects(counter: Any) -> None:
    key = await counter.enter("王秀英")
    await counter.die(key, "2026-11-01")
    request = pb.CorrectDeathRequest(
        resident_key=key, died_on=counter.day("2026-10-11"), evidence="火化证明", etag="v2"
    )
    corrected = (await counter.ask(request)).resident
    assert corrected.died_on == counter.day("2026-10-11")
    told = counter.service.events(events_pb.ResidentDeceased)[-1]
    assert told.died_on == counter.day("2026-10-11")
    assert told.corrected_from == counter.day("2026-11-01")
    request.request_id = ""
    with pytest.raises(StaleVersion):
        await counter.ask(request)


async def test_a_revoked_death_leaves_somebody_who_moves_and_can_die_again(counter: Any) -> None:
    key = await counter.enter("王秀英")
    with pytest.raises(NotDeceased):
        await counter.ask(pb.RevokeDeathRequest(resident_key=key, evidence="本人到场"))
    await counter.die(key, "2026-11-01")
    revoked = await counter.ask(pb.RevokeDeathRequest(resident_key=key, evidence="本人到场"))
    assert revoked.resident.vital_status == resident_pb2.VITAL_STATUS_ALIVE
    assert not revoked.resident.HasField("died_on")
    (told,) = counter.service.events(events_pb.ResidentDeathRevoked)
    assert (told.resident_key, told.died_on) == (key, counter.day("2026-11-01"))
    await counter.ask(
        pb.MoveResidentRequest(
            resident_key=key, region_code="511703", moved_on=counter.day("2026-11-10")
        )
    )
    await counter.die(key, "2026-11-20")
    assert (await counter.show(key)).died_on == counter.day("2026-11-20")


async def household_of(counter: Any, *keys: str) -> Any:
    head, *others = keys
    child = household_pb2.FAMILY_RELATION_CHILD
    reply = await counter.ask(
        pb.FormHouseholdRequest(
            region_code="511702001",
            formed_on=counter.day("2020-01-01"),
            head_key=head,
            members=[
                household_pb2.HouseholdMemberRelation(resident_key=key, relation_to_head=child)
                for key in others
            ],
        )
    )
    return reply.household


async def guardian(counter: Any, ward: str, guardian_key: str) -> str:
    reply = await counter.ask(
        pb.AppointGuardianRequest(
            resident_key=ward,
            guardian_resident_key=guardian_key,
            kind=relation_pb2.GUARDIANSHIP_KIND_STATUTORY,
            evidence="监护关系证明",
            began_on=counter.day("2024-01-01"),
        )
    )
    return str(reply.guardianship.guardianship_key)


async def guardianships(counter: Any, key: str) -> list[relation_pb2.Guardianship]:
    ask = pb.ListGuardianshipsRequest(resident_key=key, include_past=True)
    return list((await counter.ask(ask)).guardianships)


async def test_a_death_closes_membership_and_guardianship_and_its_revocation_opens_them_again(
    counter: Any,
) -> None:
    mother = await counter.enter("王秀英")
    daughter = await counter.enter("刘敏", born="1968-03-03")
    household = await household_of(counter, mother, daughter)
    await guardian(counter, mother, daughter)

    await counter.die(mother, "2026-11-01")
    told = counter.service.events(HouseholdChanged)[-1]
    assert (list(told.member_keys), told.head_key) == ([daughter], "")
    (ended,) = counter.service.events(events_pb.GuardianshipEnded)
    assert (ended.resident_key, ended.ended_on) == (mother, counter.day("2026-11-01"))

    request = pb.CorrectDeathRequest(
        resident_key=mother, died_on=counter.day("2026-10-11"), evidence="火化证明", etag="v2"
    )
    await counter.ask(request)
    await counter.settle()
    assert (await guardianships(counter, mother))[0].ended_on == counter.day("2026-10-11")

    await counter.ask(pb.RevokeDeathRequest(resident_key=mother, evidence="本人到场"))
    await counter.settle()
    ask = pb.GetHouseholdRequest(household_key=household.household_key)
    again = (await counter.ask(ask)).household
    assert again.head_key == mother
    assert not again.members[0].HasField("left_on")
    assert not (await guardianships(counter, mother))[0].HasField("ended_on")
    assert len(counter.service.events(events_pb.GuardianAppointed)) == 2


async def test_who_lives_elsewhere_before_a_death_is_known_to_be_wrong_is_told_of_with_what_to_do(
    counter: Any,
) -> None:
    """No rule stands in the way, only the index: the news waits for a person who reads its words."""
    mother = await counter.enter("王秀英")
    son, daughter = [await counter.enter(name, born="1968-03-03") for name in ("刘军", "刘敏")]
    await household_of(counter, mother, son)
    other = await household_of(counter, daughter)
    await counter.die(mother, "2026-11-01")
    await counter.ask(pb.RevokeDeathRequest(resident_key=mother, evidence="本人到场"))
    await counter.ask(
        pb.AddHouseholdMemberRequest(
            household_key=other.household_key,
            member=household_pb2.HouseholdMemberRelation(
                resident_key=mother, relation_to_head=household_pb2.FAMILY_RELATION_PARENT
            ),
        )
    )
    (revoked,) = counter.service.events(events_pb.ResidentDeathRevoked)
    await counter.service.deliver(revoked, producer="registry")
    (letter,) = counter.service.dead_letters()
    assert letter["reason"] == "ALREADY_EXISTS"
    assert letter["detail"].startswith("one of these residents belongs to another household now")
    assert letter["detail_zh"].startswith("其中有居民现属另一户：请用 ListHouseholds 查询")


async def test_the_same_death_heard_twice_changes_nothing_more(counter: Any) -> None:
    mother = await counter.enter("王秀英")
    daughter = await counter.enter("刘敏", born="1968-03-03")
    await household_of(counter, mother, daughter)
    await counter.die(mother, "2026-11-01")
    before = len(counter.service.events())
    (told,) = counter.service.events(events_pb.ResidentDeceased)
    await counter.service.deliver(told, producer="registry")  # another event id, same fact
    assert len(counter.service.events()) == before


async def test_the_last_member_takes_the_household_along_and_brings_it_back(counter: Any) -> None:
    alone = await counter.enter("赵德明")
    household = await household_of(counter, alone)
    await counter.die(alone, "2026-11-01")
    ask = pb.GetHouseholdRequest(household_key=household.household_key)
    assert (await counter.ask(ask)).household.dissolved_on == counter.day("2026-11-01")
    assert not counter.service.events(HouseholdChanged)[-1].member_keys
    await counter.ask(pb.RevokeDeathRequest(resident_key=alone, evidence="本人到场"))
    await counter.settle()
    assert not (await counter.ask(ask)).household.HasField("dissolved_on")


async def test_of_two_deaths_the_earlier_ends_a_guardianship_and_the_other_outlives_a_revocation(
    counter: Any,
) -> None:
    ward = await counter.enter("王秀英")
    son = await counter.enter("刘军", born="1965-01-01")
    await guardian(counter, ward, son)
    await counter.die(son, "2026-09-01")
    await counter.die(ward, "2026-10-01")
    assert (await guardianships(counter, ward))[0].ended_on == counter.day("2026-09-01")
    await counter.ask(pb.RevokeDeathRequest(resident_key=son, evidence="本人到场"))
    await counter.settle()
    assert (await guardianships(counter, ward))[0].ended_on == counter.day("2026-10-01")


async def test_of_two_deaths_the_earlier_ends_a_guardianship_after_a_correction_too(
    counter: Any,
) -> None:
    ward = await counter.enter("王秀英")
    son = await counter.enter("刘军", born="1965-01-01")
    await guardian(counter, ward, son)
    await counter.die(son, "2026-09-01")
    await counter.die(ward, "2026-10-01")
    await counter.ask(
        pb.CorrectDeathRequest(
            resident_key=son, died_on=counter.day("2026-11-01"), evidence="火化证明", etag="v2"
        )
    )
    await counter.settle()
    assert (await guardianships(counter, ward))[0].ended_on == counter.day("2026-10-01")
    for key in (ward, son):
        await counter.ask(pb.RevokeDeathRequest(resident_key=key, evidence="本人到场"))
        await counter.settle()
    assert not (await guardianships(counter, ward))[0].HasField("ended_on")


async def test_a_guardian_who_died_under_another_record_guards_nobody_who_lives_after_all(
    counter: Any,
) -> None:
    ward = await counter.enter("王秀英")
    son, double = [await counter.enter("刘军", born="1965-01-01") for _ in range(2)]
    await guardian(counter, ward, double)
    await counter.die(ward, "2026-08-01")
    await counter.ask(
        pb.MergeResidentsRequest(resident_key=double, survivor_key=son, evidence="同一人两号")
    )
    await counter.die(son, "2026-09-01")
    await counter.ask(pb.RevokeDeathRequest(resident_key=ward, evidence="本人到场"))
    await counter.settle()
    assert (await guardianships(counter, ward))[0].ended_on == counter.day("2026-09-01")


async def test_what_people_had_ended_before_a_death_stays_as_they_ended_it(counter: Any) -> None:
    ward = await counter.enter("王秀英")
    son = await counter.enter("刘军", born="1965-01-01")
    key = await guardian(counter, ward, son)
    await counter.ask(
        pb.EndGuardianshipRequest(
            guardianship_key=key, ended_on=counter.day("2025-01-01"), reason="法院撤销监护人资格"
        )
    )
    await counter.die(son, "2026-09-01")
    await counter.ask(pb.RevokeDeathRequest(resident_key=son, evidence="本人到场"))
    await counter.settle()
    assert (await guardianships(counter, ward))[0].ended_on == counter.day("2025-01-01")
