"""Story 4: a blacklisted home admits nobody and is paid nothing, until its credit is repaired."""

from __future__ import annotations

from eldex.api.credit.v1 import credit_events_pb2, disclosure_pb2, listing_pb2
from eldex.api.credit.v1 import credit_service_pb2 as credit_pb
from eldex.api.institutions.v1 import institution_events_pb2
from eldex.api.subsidies.v1 import institution_subsidy_events_pb2
from eldex.local import stories
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


async def test_the_records_of_a_non_profit_home_go_to_the_platform_of_its_nature(
    field: Field,
) -> None:
    home, _ = await stories.blacklisting_halts_and_repair_restores(field, Silent())
    told = await field["market-regulation"].ask(
        "CreditService/ListDisclosures",
        credit_pb.ListDisclosuresRequest(subject_key=home.credit_code, page_size=50),
    )
    assert told.reply.disclosures
    platforms = {each.platform for each in told.reply.disclosures}
    assert platforms == {listing_pb2.DISCLOSURE_PLATFORM_CREDIT_CHINA}
    assert all(
        each.state != disclosure_pb2.DISCLOSURE_STATE_UNSPECIFIED for each in told.reply.disclosures
    )
