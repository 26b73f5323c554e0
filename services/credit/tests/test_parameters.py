"""Grounds and deadlines: the nearest division's count, from their day on, each with its source."""

from __future__ import annotations

from typing import Any

import pytest

from eldex.api.common.v1 import common_pb2
from eldex.api.credit.v1 import credit_service_pb2 as pb
from eldex.api.credit.v1 import disclosure_pb2, parameters_pb2
from eldex.api.credit.v1 import listing_pb2 as words
from eldex.common.errors import StaleVersion
from eldex.common.regions import UnknownDivision
from eldex.credit import store
from eldex.credit.domain.parameters import GroundContradicts


async def read(city: Any, region: str, day: str = "") -> Any:
    request = pb.GetParametersRequest(region_code=region, on=city.on(day) if day else None)
    return (await city.door.get_parameters(request, city.call())).parameters


def disclosure(days: int, since: Any, **more: Any) -> parameters_pb2.Deadline:
    return parameters_pb2.Deadline(
        name=parameters_pb2.DEADLINE_NAME_DISCLOSURE,
        working_days=days,
        effective_from=since,
        source=common_pb2.Source(document="达市信用〔2026〕1号（虚构）", clause="第三条"),
        **more,
    )


async def put(city: Any, region: str, **more: Any) -> Any:
    request = pb.SetParametersRequest(request_id=city.rid(), region_code=region, **more)
    return (await city.door.set_parameters(request, city.call())).parameters


def days_of(found: parameters_pb2.Parameters) -> tuple[int, str]:
    (rule,) = (d for d in found.deadlines if d.name == parameters_pb2.DEADLINE_NAME_DISCLOSURE)
    return rule.working_days, rule.region_code


def test_every_rule_that_comes_with_the_product_names_its_document_and_clause() -> None:
    country = store.shipped_parameters()["00"]
    assert len([g for g in country.grounds if g.colour.value == "black"]) == 10
    sources = [d.source for d in country.deadlines] + [g.source for g in country.grounds]
    assert all(source.document and source.clause for source in sources)


async def test_the_nearest_division_wins_from_its_day_on_down_to_the_township(city: Any) -> None:
    assert days_of(await read(city, "511702001")) == (7, "00")
    await put(city, "5117", deadlines=[disclosure(5, city.on("2026-01-01"))])
    await put(city, "511702001", deadlines=[disclosure(3, city.on("2026-12-01"))])
    assert days_of(await read(city, "511702001")) == (5, "5117")
    assert days_of(await read(city, "511702001", "2026-12-01")) == (3, "511702001")
    assert days_of(await read(city, city.county, "2026-12-01")) == (5, "5117")
    assert days_of(await read(city, "00")) == (7, "00")
    assert days_of(await read(city, city.county, "2025-12-31")) == (7, "00")


async def test_a_repealed_rule_leaves_the_one_above(city: Any) -> None:
    await put(city, "5117", deadlines=[disclosure(5, city.on("2026-01-01"))])
    await put(city, "5117", deadlines=[disclosure(0, city.on("2026-12-01"), repealed=True)])
    assert days_of(await read(city, city.county, "2026-11-30")) == (5, "5117")
    assert days_of(await read(city, city.county, "2026-12-01")) == (7, "00")
    with pytest.raises(GroundContradicts):
        await put(city, "00", deadlines=[disclosure(0, city.on("2026-12-01"), repealed=True)])


async def test_a_change_does_not_touch_what_was_decided_and_a_stale_one_is_refused(
    city: Any,
) -> None:
    listing = await city.enter()
    ground = next(
        g for g in (await read(city, city.county)).grounds if g.code == "PUBLIC_FUNDS_FRAUD"
    )
    ground.effective_from.CopyFrom(city.on("2026-11-22"))
    ground.term_months, ground.repair_after_months = 12, 6
    assert (await put(city, city.county, grounds=[ground])).etag == "v1"
    with pytest.raises(StaleVersion):
        await put(city, city.county, grounds=[ground], etag="v0")
    request = pb.GetListingRequest(listing_key=listing.listing_key)
    kept = (await city.door.get_listing(request, city.call())).listing
    assert city.iso(kept.ends_on) == "2029-11-22"
    fresh = await city.enter()
    assert (city.iso(fresh.ends_on), city.iso(fresh.repair_from)) == ("2027-11-22", "2027-05-22")


async def test_no_rule_is_set_for_a_division_that_no_table_has(city: Any) -> None:
    with pytest.raises(UnknownDivision) as refused:
        await put(city, "519999", deadlines=[disclosure(5, city.on("2026-01-01"))])
    assert "519999" in refused.value.message("zh")


async def test_what_contradicts_itself_is_refused(city: Any) -> None:
    ground = next(
        g for g in (await read(city, city.county)).grounds if g.code == "COMMITMENTS_KEPT"
    )
    ground.measures.append(words.MEASURE_HALT_ADMISSIONS)
    with pytest.raises(GroundContradicts):
        await put(city, city.county, grounds=[ground])


async def test_a_division_discloses_within_its_own_days(city: Any) -> None:
    await put(city, city.county, deadlines=[disclosure(2, city.on("2026-01-01"))])
    await city.enter()
    request = pb.ListDisclosuresRequest(state=disclosure_pb2.DISCLOSURE_STATE_DUE)
    (record,) = (await city.door.list_disclosures(request, city.call())).disclosures
    assert city.iso(record.due_on) == "2026-11-24"
