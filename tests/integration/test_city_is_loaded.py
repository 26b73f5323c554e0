"""The generated city is brought in by the departments that may, through the exchange: once, however often."""

from __future__ import annotations

from collections import Counter
from datetime import date
from fractions import Fraction

from eldex.api.institutions.v1 import (
    bed_calls_pb2,
    bed_events_pb2,
    filing_calls_pb2,
    institution_events_pb2,
    institution_pb2,
    institution_record_pb2,
)
from eldex.common.regions import Divisions
from eldex.local.city import FictionalCity, InstitutionKind, generate
from eldex.local.field import Field
from eldex.local.loading import Loaded, load_city

AS_OF = date(2026, 11, 1)


def a_town() -> FictionalCity:
    """The smallest city there can be: some sixty elders, and an institution of every kind."""
    return generate(seed=77, scale=Fraction(1, 20_000), as_of=AS_OF, divisions=Divisions.load())


async def institutions_of(
    field: Field, town: FictionalCity
) -> list[institution_record_pb2.Institution]:
    found = []
    for each in town.institutions:
        told = await field["civil-affairs"].ask(
            "InstitutionsService/FindInstitution",
            filing_calls_pb2.FindInstitutionRequest(credit_code=str(each.credit_code)),
        )
        found += list(told.reply.institutions)
    return found


async def occupied(field: Field) -> int:
    told = await field["civil-affairs"].ask(
        "InstitutionsService/GetOccupancy", bed_calls_pb2.GetOccupancyRequest(region_code="5117")
    )
    return sum(each.occupied_count for each in told.reply.occupancies)


async def test_the_city_has_its_institutions_beds_and_elders_however_often_it_is_loaded(
    field: Field,
) -> None:
    town = a_town()
    before = await occupied(field)
    steps: list[tuple[int, int, int]] = []

    def step(loaded: Loaded) -> None:
        steps.append((loaded.institutions, loaded.residents, loaded.described))

    first = await load_city(field, town, AS_OF, step)
    assert steps == sorted(steps), "whoever waits sees it go on"
    assert steps[-1] == (len(town.institutions), first.elders, first.elders)
    found = await institutions_of(field, town)
    kinds = Counter(each.institution_kind for each in found)
    assert kinds[institution_pb2.INSTITUTION_KIND_ELDER_CARE_HOME] == 3
    assert set(kinds) == {1, 2, 3, 5}
    assert {each.status for each in found} == {institution_record_pb2.INSTITUTION_STATUS_OPERATING}
    wanted = {
        str(each.credit_code): each.places if each.kind is InstitutionKind.CHILDCARE else each.beds
        for each in town.institutions
    }
    assert {each.credit_code: each.bed_count for each in found} == wanted
    assert first.beds == sum(wanted.values())
    assert first.admissions > 0
    assert await occupied(field) == before + first.admissions

    again = await load_city(field, town, AS_OF)
    assert again == first
    assert await institutions_of(field, town) == found
    assert await occupied(field) == before + first.admissions
    keys = {each.institution_key for each in found}
    await field.watcher.until_true(lambda: len(told(field, keys)) >= len(found), "the openings")
    assert len(told(field, keys)) == len(found)
    beds = [
        seen.message.bed_key
        for seen in field.watcher.of(bed_events_pb2.BedOccupied)
        if seen.message.institution_key in keys
    ]
    assert len(beds) == len(set(beds)) == first.admissions


def told(field: Field, keys: set[str]) -> list[str]:
    """Those of these institutions of whose opening the others were told."""
    seen = field.watcher.of(institution_events_pb2.InstitutionOpened)
    return [each.message.institution_key for each in seen if each.message.institution_key in keys]
