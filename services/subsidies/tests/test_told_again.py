"""What was told and taken back, corrected or told under another record of the person, counts as it stands at last."""

from __future__ import annotations

import itertools
import uuid
from typing import Any

import pytest

from eldex.api.medical.v1 import medical_events_pb2 as medical
from eldex.api.subsidies.v1 import entitlement_pb2 as pb
from eldex.api.subsidies.v1 import scheme_pb2
from eldex.api.subsidies.v1 import subsidies_service_pb2 as calls
from eldex.common.identifiers import credit_check_character
from eldex.subsidies.handlers.entitlements import AwardedAlready

OLD, NEW = "res_old", "res_new"
OLD_AGE, CARE, HOME_CARE = "old-age-allowance", "care-allowance", "home-care-service-subsidy"


async def days(office: Any, key: str, scheme: str) -> list[tuple[str, int]]:
    """From which day on what a month is worth, whoever pays."""
    return [
        (office.text_of(s.began_on), s.monthly_amount_fen)
        for e in await office.entitlements(key, scheme)
        for s in e.stretches
    ]


async def in_need(office: Any, *keys: str) -> None:
    """People of 76 who would receive the care allowance since February."""
    for key in keys:
        await office.tell(
            office.registered(key, "1950-02-11"),
            office.belongs(key, "MINIMUM_LIVING", "2026-01-01"),
            office.assessed(key, "SEVERE", "2026-02-01", name=f"a_{key}"),
        )


# --- long-term care that ended with a death that was none (M004-11) ------------------------------


async def test_care_insurance_that_goes_on_after_a_revoked_death_stops_the_allowance_again(
    office: Any,
) -> None:
    await in_need(office, OLD)
    await office.tell(
        office.cared_for(OLD, "2026-06-01"),
        office.died(OLD, "2026-10-10"),
        office.cared_for_no_more(OLD, "2026-10-11"),
        office.death_revoked(OLD, "2026-10-10"),
        office.cared_for(OLD, "2026-06-01"),
    )
    assert await days(office, OLD, CARE) == [("2026-02-01", 36000), ("2026-06-01", 0)]
    await office.pay("2026-11")
    assert ("2026-11", CARE) not in await office.paid(OLD)


async def test_a_later_day_of_death_gives_the_days_before_it_to_care_insurance(office: Any) -> None:
    await in_need(office, OLD)
    await office.tell(
        office.cared_for(OLD, "2026-06-01"),
        office.died(OLD, "2026-09-10"),
        office.cared_for_no_more(OLD, "2026-09-11"),
        office.died(OLD, "2026-10-20"),
        office.cared_for(OLD, "2026-06-01"),
        office.cared_for_no_more(OLD, "2026-10-21"),
    )
    assert await days(office, OLD, CARE) == [
        ("2026-02-01", 36000),
        ("2026-06-01", 0),
        ("2026-10-20", 0),
    ]


def care(office: Any, key: str, *, granted: bool) -> Any:
    """The one benefit of a person, told of either record."""
    first = office.on("2026-06-01")
    if granted:
        return medical.LongTermCareGranted(resident_key=key, benefit_key="ltc", began_on=first)
    return medical.LongTermCareEnded(resident_key=key, benefit_key="ltc", ended_on=first)


async def test_care_insurance_handed_over_by_a_merge_and_back_is_never_forgotten(
    office: Any,
) -> None:
    await in_need(office, OLD)
    await office.tell(office.registered(NEW, "1950-02-11"), care(office, OLD, granted=True))
    await office.tell(
        office.merged(OLD, NEW), care(office, OLD, granted=False), care(office, NEW, granted=True)
    )
    assert (await days(office, NEW, CARE))[-1] == ("2026-06-01", 0)
    await office.tell(
        office.merge_reversed(OLD, NEW),
        care(office, NEW, granted=False),
        care(office, OLD, granted=True),
    )
    assert (await days(office, OLD, CARE))[-1] == ("2026-06-01", 0)
    assert await days(office, NEW, CARE) == []


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_what_a_later_version_of_a_benefit_tells_counts_in_any_order(
    office: Any, order: tuple[int, ...]
) -> None:
    await in_need(office, OLD)
    told = [
        (office.cared_for(OLD, "2026-06-01"), 1),
        (office.cared_for_no_more(OLD, "2026-10-11"), 2),
        (office.cared_for(OLD, "2026-06-01"), 3),
    ]
    for number in order:
        fact, version = told[number]
        await office.tell(fact, version=version)
    assert await days(office, OLD, CARE) == [("2026-02-01", 36000), ("2026-06-01", 0)]


async def test_what_one_version_of_a_benefit_tells_of_one_record_counts_in_its_order(
    office: Any,
) -> None:
    """Handed back to the record that had it by another merge: it ends and begins in one act."""
    await in_need(office, OLD)
    await office.tell(care(office, OLD, granted=True), version=1)
    for granted in (False, True):
        await office.tell(care(office, OLD, granted=granted), version=2)
    assert (await days(office, OLD, CARE))[-1] == ("2026-06-01", 0)


# --- told of the survivor what the merged record holds -----------------------------------------


@pytest.mark.parametrize("first", [0, 1, 2])
async def test_the_end_of_a_class_told_of_the_survivor_ends_what_the_merged_record_brought(
    office: Any, first: int
) -> None:
    """However late the survivor's news is, or the merged record's."""
    granted = office.belongs(OLD, "MINIMUM_LIVING", "2026-01-01", name="eli")
    ended = office.belongs_no_more(NEW, "MINIMUM_LIVING", "2026-06-01", name="eli")
    facts = [granted, office.merged(OLD, NEW)]
    facts.insert(first, ended)
    await office.tell(office.registered(OLD, "1950-02-11"), office.registered(NEW, "1950-02-11"))
    await office.tell(*facts)
    assert await days(office, NEW, HOME_CARE) == [("2026-01-01", 30000), ("2026-06-01", 0)]
    await office.tell(office.merge_reversed(OLD, NEW))
    assert await days(office, OLD, HOME_CARE) == [("2026-01-01", 30000), ("2026-06-01", 0)]
    assert await days(office, NEW, HOME_CARE) == []


async def test_an_end_that_was_still_on_its_way_when_the_merge_was_reversed_finds_its_class(
    office: Any,
) -> None:
    await office.tell(
        office.registered(OLD, "1950-02-11"),
        office.registered(NEW, "1950-02-11"),
        office.belongs(OLD, "MINIMUM_LIVING", "2026-01-01", name="eli"),
        office.merged(OLD, NEW),
        office.merge_reversed(OLD, NEW),
        office.belongs_no_more(NEW, "MINIMUM_LIVING", "2026-06-01", name="eli"),
    )
    assert (await days(office, OLD, HOME_CARE))[-1] == ("2026-06-01", 0)


@pytest.mark.parametrize("first", [0, 1, 2])
async def test_an_assessment_annulled_under_the_survivor_never_counted(
    office: Any, first: int
) -> None:
    facts = [office.assessed(OLD, "COMPLETE", "2026-05-01", name="a1"), office.merged(OLD, NEW)]
    facts.insert(first, office.annulled(NEW, "a1"))
    await office.tell(
        office.registered(OLD, "1950-02-11"),
        office.registered(NEW, "1950-02-11"),
        office.belongs(NEW, "MINIMUM_LIVING", "2026-01-01"),
        *facts,
    )
    assert [fen for _, fen in await days(office, NEW, CARE) if fen] == []


async def test_a_merge_the_other_way_round_heard_before_the_reversal_of_the_first_pays_once(
    office: Any,
) -> None:
    """The reversal then brings what was granted to neither; it is granted once, and not set aside."""
    await office.tell(
        office.merged(OLD, NEW),
        office.merged(NEW, OLD),
        office.registered(OLD, "1940-02-11"),
        office.registered(NEW, "1940-02-11"),
    )
    await office.tell(office.merge_reversed(OLD, NEW))
    assert await days(office, OLD, OLD_AGE) == [("2024-01-01", 6000)]
    assert await days(office, NEW, OLD_AGE) == []


# --- two records that told one death ---------------------------------------------------------------


@pytest.mark.parametrize("each_record_is_told", [False, True])
async def test_a_death_of_both_records_that_is_revoked_after_the_merge_ends_nothing(
    office: Any, each_record_is_told: bool
) -> None:
    await office.tell(
        office.registered(OLD, "1940-02-11"),
        office.registered(NEW, "1940-02-11"),
        office.died(OLD, "2026-10-01"),
        office.died(NEW, "2026-10-01"),
        office.merged(OLD, NEW),
    )
    if each_record_is_told:
        await office.tell(office.death_revoked(OLD, "2026-10-01"))
    await office.tell(office.death_revoked(NEW, "2026-10-01"))
    assert await days(office, NEW, OLD_AGE) == [("2024-01-01", 6000)]
    assert (await office.entitlement(NEW)).status == pb.ENTITLEMENT_STATUS_ACTIVE


async def test_a_death_of_both_records_is_corrected_to_a_later_day(office: Any) -> None:
    await office.tell(
        office.registered(OLD, "1940-02-11"),
        office.registered(NEW, "1940-02-11"),
        office.died(OLD, "2026-10-01"),
        office.died(NEW, "2026-10-01"),
        office.merged(OLD, NEW),
        office.died(NEW, "2026-11-01"),
    )
    assert await days(office, NEW, OLD_AGE) == [("2024-01-01", 6000), ("2026-11-01", 0)]


# --- assessments that were annulled ----------------------------------------------------------------


async def test_on_the_days_of_an_annulled_assessment_the_one_before_it_counts(office: Any) -> None:
    await office.tell(
        office.registered(OLD, "1950-02-11"),
        office.belongs(OLD, "MINIMUM_LIVING", "2026-01-01"),
        office.assessed(OLD, "MODERATE", "2026-02-01", name="a1"),
        office.assessed(OLD, "COMPLETE", "2026-05-01", name="a2"),
        office.assessed(OLD, "SEVERE", "2026-08-01", name="a3"),
        office.annulled(OLD, "a2", counts_now="SEVERE"),
    )
    assert await days(office, OLD, CARE) == [("2026-02-01", 20000), ("2026-08-01", 36000)]


async def test_where_all_assessments_were_annulled_nothing_is_paid(office: Any) -> None:
    await office.tell(
        office.registered(OLD, "1950-02-11"),
        office.belongs(OLD, "MINIMUM_LIVING", "2026-01-01"),
        office.assessed(OLD, "MODERATE", "2026-02-01", name="a1"),
        office.assessed(OLD, "COMPLETE", "2026-05-01", name="a2"),
        office.annulled(OLD, "a2", counts_now="MODERATE"),
        office.annulled(OLD, "a1"),
    )
    assert [fen for _, fen in await days(office, OLD, CARE) if fen] == []


# --- awards ----------------------------------------------------------------------------------------


async def test_what_a_merged_record_was_awarded_once_is_not_awarded_to_the_survivor(
    office: Any,
) -> None:
    body = "52511702MJQ000018"
    await office.tell(
        office.filed(body + credit_check_character(body)),
        office.opened("2024-03-01"),
        office.registered(OLD, "1980-02-11"),
        office.registered(NEW, "1980-02-11"),
    )

    async def award(key: str) -> None:
        request = calls.GrantCarerAwardRequest(
            request_id=str(uuid.uuid4()),
            resident_key=key,
            scheme_code="carer-award",
            grade=scheme_pb2.CARER_GRADE_JUNIOR,
            in_post_since=office.on("2020-01-01"),
            institution_key=office.home,
            evidence="证书（虚构）",
        )
        await office.door.grant_carer_award(request, office.call())

    await award(OLD)
    await office.tell(office.merged(OLD, NEW))
    with pytest.raises(AwardedAlready):
        await award(NEW)
