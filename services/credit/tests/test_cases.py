"""Cases lead to listings only when they prove true; promises are counted against them."""

from __future__ import annotations

from typing import Any

import pytest

from eldex.api.credit.v1 import case_pb2
from eldex.api.credit.v1 import credit_service_pb2 as pb
from eldex.common.errors import InvalidRequest
from eldex.credit.domain.cases import CaseClosed, CaseNotSubstantiated


async def open_case(city: Any, **more: Any) -> str:
    fields: dict[str, Any] = {
        "request_id": city.rid(),
        "subject": city.organisation(),
        "kind": case_pb2.CASE_KIND_UNLAWFUL_FINANCING_FEES,
        "authority": "市金融工作局（虚构）",
        "region_code": city.county,
        "source": "举报 2026-88",
        "summary": "融资中违规收取费用",
    }
    reply = await city.door.open_case(pb.OpenCaseRequest(**(fields | more)), city.call())
    return str(reply.case.case_key)


async def close(city: Any, key: str, substantiated: bool) -> Any:
    request = pb.CloseCaseRequest(
        request_id=city.rid(),
        case_key=key,
        substantiated=substantiated,
        document="调查报告 2026-88",
        finding="已查明",
    )
    return (await city.door.close_case(request, city.call())).case


async def responsibilities(city: Any) -> dict[int, case_pb2.Responsibility]:
    return {each.area: each for each in (await city.check()).responsibilities}


async def test_a_listing_follows_from_a_case_that_was_so_and_from_no_other(city: Any) -> None:
    key = await open_case(city)
    for refused in (
        {"case_key": key},
        {"case_key": key, "subject": city.organisation(city.company)},
    ):
        with pytest.raises(CaseNotSubstantiated):
            await city.enter(**refused)
    await close(city, key, substantiated=True)
    with pytest.raises(CaseNotSubstantiated):
        await city.enter(case_key=key, subject=city.organisation(city.company))
    listing = await city.enter(case_key=key)
    assert listing.case_key == key
    with pytest.raises(CaseClosed):
        await close(city, key, substantiated=False)


async def test_promises_of_an_institution_are_counted_against_what_was_found(city: Any) -> None:
    fire = case_pb2.RESPONSIBILITY_AREA_FIRE_SAFETY
    letter = pb.RecordCommitmentRequest(
        request_id=city.rid(),
        credit_code=city.home,
        areas=[fire, case_pb2.RESPONSIBILITY_AREA_EMERGENCY],
        document="承诺书 2026-1",
        signed_on=city.on("2026-10-01"),
    )
    reply = await city.door.record_commitment(letter, city.call())
    assert len(reply.responsibilities) == 6
    breach = {"kind": case_pb2.CASE_KIND_COMMITMENT_BREACH, "area": fire}
    before = await open_case(city, **breach, opened_on=city.on("2026-09-01"))
    proven, unfounded = await open_case(city, **breach), await open_case(city, **breach)
    assert (await responsibilities(city))[fire].open_cases == 3
    await close(city, before, substantiated=True)
    await close(city, proven, substantiated=True)
    await close(city, unfounded, substantiated=False)
    now = (await responsibilities(city))[fire]
    assert (now.document, now.open_cases, now.substantiated_cases) == ("承诺书 2026-1", 0, 1)
    silent = (await responsibilities(city))[case_pb2.RESPONSIBILITY_AREA_REGISTRATION]
    assert silent.document == ""


async def test_a_breach_of_commitment_says_of_which(city: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await open_case(city, kind=case_pb2.CASE_KIND_COMMITMENT_BREACH)
    assert refused.value.violations[0].field == "area"


async def test_cases_are_found_by_what_they_are_about(city: Any) -> None:
    fees = await open_case(city)
    fund = await open_case(city, kind=case_pb2.CASE_KIND_ILLEGAL_FUNDRAISING)
    await close(city, fund, substantiated=False)

    async def find(**more: Any) -> list[str]:
        reply = await city.door.list_cases(pb.ListCasesRequest(**more), city.call())
        return [case.case_key for case in reply.cases]

    assert await find(kind=case_pb2.CASE_KIND_ILLEGAL_FUNDRAISING) == [fund]
    assert await find(state=case_pb2.CASE_STATE_OPEN) == [fees]
    assert await find(subject_key=city.home, region_code="5117") == sorted([fees, fund])
    request = pb.GetCaseRequest(case_key=fees)
    found = (await city.door.get_case(request, city.call())).case
    assert found.state == case_pb2.CASE_STATE_OPEN
