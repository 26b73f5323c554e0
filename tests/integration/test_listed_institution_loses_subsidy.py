"""Story 4: a blacklisted home admits nobody and is paid nothing, until its credit is repaired."""

from __future__ import annotations

import asyncio

import pytest

from eldex.api.credit.v1 import credit_events_pb2, disclosure_pb2, listing_pb2
from eldex.api.credit.v1 import credit_service_pb2 as credit_pb
from eldex.api.institutions.v1 import (
    institution_events_pb2,
    institution_pb2,
    supervision_calls_pb2,
    supervision_pb2,
)
from eldex.api.subsidies.v1 import institution_subsidy_events_pb2
from eldex.local import acts, stories
from eldex.local.field import Field
from eldex.local.narrating import Silent


async def test_a_listing_halts_and_stops_in_one_trace_and_repair_restores(field: Field) -> None:
    home, trace_id = await stories.blacklisting_halts_and_repair_restores(field, Silent())
    key = home.institution_key
    for kind in (
        institution_events_pb2.AdmissionsHalted,
        institution_subsidy_events_pb2.InstitutionSubsidyStopped,
    ):
        stopped = field.watcher.of(kind, institution_key=key)
        assert stopped
        assert {seen.trace_id for seen in stopped} == {trace_id}
    assert (
        len(field.watcher.of(institution_events_pb2.AdmissionsReopened, institution_key=key)) == 1
    )
    (delisted,) = field.watcher.of(credit_events_pb2.PartyDelisted, subject_key=home.credit_code)
    assert delisted.message.cause == listing_pb2.DELISTING_CAUSE_REPAIR


async def disclosures(field: Field, home: acts.Home, count: int) -> list[disclosure_pb2.Disclosure]:
    """The records of a home on their way to a platform, once credit has heard of so many."""
    request = credit_pb.ListDisclosuresRequest(subject_key=home.credit_code, page_size=50)
    async with asyncio.timeout(20):
        while True:
            told = await field["market-regulation"].ask("CreditService/ListDisclosures", request)
            if len(told.reply.disclosures) >= count:
                return list(told.reply.disclosures)
            await asyncio.sleep(0.05)  # of a record that is due no event tells


async def test_what_was_repaired_before_it_was_public_is_not_disclosed_and_the_filing_is(
    field: Field,
) -> None:
    home, _ = await stories.blacklisting_halts_and_repair_restores(field, Silent())
    found = await disclosures(field, home, 2)
    assert {each.platform for each in found} == {listing_pb2.DISCLOSURE_PLATFORM_CREDIT_CHINA}
    assert {each.record_kind: each.state for each in found} == {
        listing_pb2.RECORD_KIND_FILING: disclosure_pb2.DISCLOSURE_STATE_DUE,
        listing_pb2.RECORD_KIND_LISTING: disclosure_pb2.DISCLOSURE_STATE_CANCELLED,
    }


@pytest.mark.parametrize(
    ("nature", "platform"),
    [
        (institution_pb2.PROFIT_NATURE_PUBLIC, listing_pb2.DISCLOSURE_PLATFORM_CREDIT_CHINA),
        (institution_pb2.PROFIT_NATURE_NON_PROFIT, listing_pb2.DISCLOSURE_PLATFORM_CREDIT_CHINA),
        (
            institution_pb2.PROFIT_NATURE_FOR_PROFIT,
            listing_pb2.DISCLOSURE_PLATFORM_ENTERPRISE_PUBLICITY,
        ),
    ],
)
async def test_filing_inspection_and_penalty_go_where_the_nature_says_and_get_a_receipt(
    field: Field,
    nature: institution_pb2.ProfitNature.ValueType,
    platform: listing_pb2.DisclosurePlatform.ValueType,
) -> None:
    """The table of M004-72, from the institution's acts to the platform's receipt."""
    home = await acts.open_home(field, name="康乐养老院", nature=nature)
    civil = field["civil-affairs"]
    await civil.ask(
        "InstitutionsService/RecordInspection",
        supervision_calls_pb2.RecordInspectionRequest(
            institution_key=home.institution_key,
            inspection_kind=supervision_pb2.INSPECTION_KIND_RANDOM,
            inspected_on=acts.ago(9),
            authority="511702 民政局（虚构）",
            document="通民检〔2026〕1号（虚构）",
        ),
    )
    await civil.ask(
        "InstitutionsService/ImposePenalty",
        supervision_calls_pb2.ImposePenaltyRequest(
            institution_key=home.institution_key,
            penalty_kind=supervision_pb2.PENALTY_KIND_WARNING,
            legal_basis="养老机构管理办法第四十六条",
            document="通民罚〔2026〕1号（虚构）",
            imposed_on=acts.ago(8),
        ),
    )
    found = await disclosures(field, home, 3)
    assert {each.record_kind for each in found} == {
        listing_pb2.RECORD_KIND_FILING,
        listing_pb2.RECORD_KIND_INSPECTION,
        listing_pb2.RECORD_KIND_PENALTY,
    }
    assert {each.platform for each in found} == {platform}
    assert {each.state for each in found} == {disclosure_pb2.DISCLOSURE_STATE_DUE}
    for each in found:
        told = await field["market-regulation"].ask(
            "CreditService/ConfirmDisclosure",
            credit_pb.ConfirmDisclosureRequest(
                record_key=each.record_key, receipt="回执-1（虚构）", confirmed_on=acts.ago(0)
            ),
        )
        assert told.reply.disclosure.state == disclosure_pb2.DISCLOSURE_STATE_DISCLOSED
    disclosed = await field.watcher.until(
        credit_events_pb2.RecordDisclosed, subject_key=home.credit_code, count=3
    )
    assert disclosed.message.platform == platform
