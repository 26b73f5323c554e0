"""Records find the platform of their party's nature, in time, once, and are taken down again."""

from __future__ import annotations

from typing import Any

import pytest

from eldex.api.credit.v1 import credit_events_pb2 as events_pb
from eldex.api.credit.v1 import credit_service_pb2 as pb
from eldex.api.credit.v1 import disclosure_pb2
from eldex.api.credit.v1 import listing_pb2 as words
from eldex.api.institutions.v1 import institution_events_pb2, institution_pb2
from eldex.credit.domain.disclosure import DisclosureStateForbids
from eldex.credit.domain.terms import DayImpossible

CREDIT_CHINA = words.DISCLOSURE_PLATFORM_CREDIT_CHINA
ENTERPRISES = words.DISCLOSURE_PLATFORM_ENTERPRISE_PUBLICITY


def filed(
    city: Any, code: str, nature: Any, day: str = "2026-11-20"
) -> institution_events_pb2.InstitutionFiled:
    return institution_events_pb2.InstitutionFiled(
        institution_key="ins_1",
        credit_code=code,
        institution_kind=institution_pb2.INSTITUTION_KIND_ELDER_CARE_HOME,
        profit_nature=nature,
        filed_on=city.on(day),
        opened_on=city.on(day),
        region_code=city.county,
    )


def fined(city: Any, code: str, key: str = "pen_1") -> institution_events_pb2.PenaltyImposed:
    return institution_events_pb2.PenaltyImposed(
        institution_key="ins_1",
        credit_code=code,
        penalty_key=key,
        imposed_on=city.on("2026-11-20"),
        region_code=city.county,
    )


def inspected(city: Any, code: str) -> institution_events_pb2.InspectionRecorded:
    return institution_events_pb2.InspectionRecorded(
        institution_key="ins_1",
        credit_code=code,
        inspection_key="isp_1",
        inspected_on=city.on("2026-11-20"),
        passed=False,
        region_code=city.county,
    )


async def records(city: Any, **more: Any) -> list[disclosure_pb2.Disclosure]:
    request = pb.ListDisclosuresRequest(**more)
    return list((await city.door.list_disclosures(request, city.call())).disclosures)


async def confirm(city: Any, key: str, **more: Any) -> Any:
    request = pb.ConfirmDisclosureRequest(
        request_id=city.rid(), record_key=key, receipt="XYZX-2026-001", **more
    )
    return (await city.door.confirm_disclosure(request, city.call())).disclosure


@pytest.mark.parametrize(
    ("nature", "platform"),
    [
        (institution_pb2.PROFIT_NATURE_PUBLIC, CREDIT_CHINA),
        (institution_pb2.PROFIT_NATURE_NON_PROFIT, CREDIT_CHINA),
        (institution_pb2.PROFIT_NATURE_FOR_PROFIT, ENTERPRISES),
    ],
)
async def test_the_three_kinds_of_records_go_where_the_profit_nature_says(
    city: Any, nature: Any, platform: Any
) -> None:
    for message in (
        filed(city, city.home, nature),
        fined(city, city.home),
        inspected(city, city.home),
    ):
        event_id = await city.service.deliver(message)
        await city.service.deliver(message, event_id=event_id)
        await city.service.deliver(message)  # told anew under another id
    found = await records(city, subject_key=city.home)
    assert sorted(r.record_kind for r in found) == [
        words.RECORD_KIND_FILING,
        words.RECORD_KIND_PENALTY,
        words.RECORD_KIND_INSPECTION,
    ]
    assert {r.platform for r in found} == {platform}
    # Seven working days after Friday, 20 November 2026.
    assert {city.iso(r.due_on) for r in found} == {"2026-12-01"}
    assert not city.service.dead_letters()


async def test_a_penalty_known_before_the_filing_is_sent_where_the_filing_says(city: Any) -> None:
    await city.service.deliver(fined(city, city.company))
    (record,) = await records(city)
    assert record.platform == ENTERPRISES  # registered by market regulation
    await city.service.deliver(filed(city, city.company, institution_pb2.PROFIT_NATURE_NON_PROFIT))
    assert {r.platform for r in await records(city)} == {CREDIT_CHINA}
    await city.service.deliver(
        filed(city, city.company, institution_pb2.PROFIT_NATURE_FOR_PROFIT, "2020-01-01")
    )
    assert {r.platform for r in await records(city)} == {CREDIT_CHINA}


async def test_what_is_late_is_listed_as_overdue_until_the_receipt_comes(city: Any) -> None:
    await city.service.deliver(fined(city, city.home))
    city.service.clock.pass_days(9)  # 1 December, the last day
    assert await records(city, overdue_only=True) == []
    city.service.clock.pass_days(1)
    (late,) = await records(city, overdue_only=True)
    assert late.overdue
    with pytest.raises(DayImpossible):
        await confirm(city, late.record_key, confirmed_on=city.on("2026-11-19"))
    done = await confirm(city, late.record_key, confirmed_on=city.on("2026-12-02"))
    assert done.state == disclosure_pb2.DISCLOSURE_STATE_DISCLOSED
    assert await records(city, overdue_only=True) == []
    (told,) = city.service.events(events_pb.RecordDisclosed)
    assert (told.subject_key, told.platform, told.record_kind) == (
        city.home,
        CREDIT_CHINA,
        words.RECORD_KIND_PENALTY,
    )
    with pytest.raises(DisclosureStateForbids):
        await confirm(city, late.record_key)
    assert len(city.service.events(events_pb.RecordDisclosed)) == 1


async def test_a_disclosed_record_stays_where_it_is(city: Any) -> None:
    await city.service.deliver(fined(city, city.company))
    (record,) = await records(city)
    await confirm(city, record.record_key)
    await city.service.deliver(filed(city, city.company, institution_pb2.PROFIT_NATURE_NON_PROFIT))
    (kept,) = await records(city, state=disclosure_pb2.DISCLOSURE_STATE_DISCLOSED)
    assert kept.platform == ENTERPRISES


async def test_a_listing_is_disclosed_and_taken_down_when_it_ends(city: Any) -> None:
    listing = await city.enter(
        subject=city.organisation(city.company), ends_on=city.on("2027-01-04")
    )
    (record,) = await records(city, subject_key=city.company)
    assert (record.source_key, record.platform) == (listing.listing_key, ENTERPRISES)
    await confirm(city, record.record_key)
    await city.until("2027-01-04")
    (over,) = await records(city, state=disclosure_pb2.DISCLOSURE_STATE_WITHDRAWAL_DUE)
    assert city.iso(over.due_on) == "2027-01-13"
    gone = await confirm(city, over.record_key)
    assert gone.state == disclosure_pb2.DISCLOSURE_STATE_WITHDRAWN
    assert len(city.service.events(events_pb.RecordDisclosed)) == 1


async def test_a_listing_revoked_before_its_disclosure_is_never_disclosed(city: Any) -> None:
    listing = await city.enter()
    request = pb.RevokeListingRequest(
        request_id=city.rid(), listing_key=listing.listing_key, document="复议 9", reason="错误"
    )
    await city.door.revoke_listing(request, city.call())
    (record,) = await records(city)
    assert record.state == disclosure_pb2.DISCLOSURE_STATE_CANCELLED
    with pytest.raises(DisclosureStateForbids):
        await confirm(city, record.record_key)


async def test_a_list_of_records_goes_page_by_page(city: Any) -> None:
    for number in range(5):
        await city.service.deliver(fined(city, city.home, f"pen_{number}"))
    question = pb.ListDisclosuresRequest(region_code="5117", page_size=3)
    question.read_mask.paths.append("record_key")
    first = await city.door.list_disclosures(question, city.call())
    question.page_token = first.next_page_token
    second = await city.door.list_disclosures(question, city.call())
    keys = [r.record_key for r in [*first.disclosures, *second.disclosures]]
    assert keys == [f"penalty-pen_{number}" for number in range(5)]
    assert second.next_page_token == ""
    assert first.disclosures[0].source_key == ""
