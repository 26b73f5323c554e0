"""Residents: entered once under any of their papers, found by them, moved in order, corrected openly."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.api.registry.v1 import resident_events_pb2 as events_pb
from eldex.api.registry.v1 import resident_pb2
from eldex.common.errors import (
    AlreadyExists,
    DomainError,
    InvalidRequest,
    NotFound,
    RequestIdReused,
    StaleVersion,
)
from eldex.common.identifiers import InvalidIdentityNumber
from eldex.common.sealing import Sealer
from eldex.common.store import Document
from eldex.registry import store
from eldex.registry.domain.days import DayImpossible
from eldex.registry.domain.documents import DocumentContradicts, IdentityNumberForLife
from eldex.registry.handlers.ports import DivisionAbolished, DivisionUnknown, DocumentRegistered

NUMBER = "11010519491231002X"  # the standard's own example (GB 11643), nobody's
CARD = resident_pb2.DOCUMENT_KIND_RESIDENT_IDENTITY_CARD


def registration(number: str = NUMBER, kind: Any = CARD, **more: Any) -> pb.RegisterResidentRequest:
    fields: dict[str, Any] = {"name": "王秀英", "region_code": "511702001"}
    return pb.RegisterResidentRequest(
        document=resident_pb2.PersonDocument(kind=kind, number=number), **(fields | more)
    )


def question(number: str, kind: Any = CARD) -> pb.FindResidentRequest:
    return pb.FindResidentRequest(document=resident_pb2.PersonDocument(kind=kind, number=number))


async def test_an_entered_resident_is_found_by_number_and_shown_without_it(counter: Any) -> None:
    entered = (await counter.ask(registration())).resident
    found = (await counter.ask(question(NUMBER))).resident
    assert found.resident_key == entered.resident_key
    assert found.document.number == ""
    assert found.document.masked_number == "1101*************X"
    assert found.sex == resident_pb2.SEX_FEMALE
    assert NUMBER not in str(counter.service.backend.collections)


async def test_the_number_is_given_only_to_a_mask_that_names_it(counter: Any) -> None:
    entered = (await counter.ask(registration())).resident
    request = pb.GetResidentRequest(resident_key=entered.resident_key)
    request.read_mask.paths.append("document.number")
    reply = await counter.ask(request)
    assert reply.resident.document.number == NUMBER
    assert reply.resident.name == ""


async def test_the_same_document_is_not_entered_twice(counter: Any) -> None:
    await counter.ask(registration())
    with pytest.raises(AlreadyExists):
        await counter.ask(registration())
    assert len(counter.service.events(events_pb.ResidentRegistered)) == 1


async def test_after_a_new_sealing_key_old_records_are_found_by_number_and_not_entered_twice(
    counter: Any,
) -> None:
    entered = (await counter.ask(registration())).resident
    store.use_sealer(Sealer({1: bytes(64), 255: bytes(range(64))}, "registry/document"))
    found = (await counter.ask(question(NUMBER))).resident
    assert found.resident_key == entered.resident_key
    with pytest.raises(AlreadyExists):
        await counter.ask(registration())

    # What is written again is sealed with the new key, and still found.
    await counter.die(entered.resident_key, "2026-11-01")
    store.use_sealer(Sealer({255: bytes(range(64))}, "registry/document"))
    found = (await counter.ask(question(NUMBER))).resident
    assert found.resident_key == entered.resident_key
    with pytest.raises(AlreadyExists):
        await counter.ask(registration())


async def test_a_repeated_request_gets_the_first_reply_and_other_content_is_refused(
    counter: Any,
) -> None:
    request = registration(request_id=str(uuid.uuid4()))
    first = await counter.ask(request)
    assert await counter.ask(request) == first
    request.name = "王秀兰"
    with pytest.raises(RequestIdReused):
        await counter.ask(request)


async def test_an_old_number_of_15_digits_is_the_same_person_as_the_18_of_today(
    counter: Any,
) -> None:
    old = "110105491231002"
    entered = (await counter.ask(registration(old))).resident
    assert entered.born_on == counter.day("1949-12-31")
    assert (await counter.ask(question(NUMBER))).resident.resident_key == entered.resident_key
    with pytest.raises(AlreadyExists):
        await counter.ask(registration(NUMBER))


async def test_those_born_before_1900_are_entered_under_old_and_new_numbers(counter: Any) -> None:
    born_1880 = (await counter.ask(registration("440524188001010014"))).resident
    assert born_1880.born_on.year == 1880
    centenarian = (await counter.ask(registration("511702981231998"))).resident
    assert centenarian.born_on == counter.day("1898-12-31")


@pytest.mark.parametrize("county", ["513021", "513001", "511721", "150202", "220102", "450702"])
async def test_an_elder_whose_county_code_has_changed_since_is_not_turned_away(
    counter: Any, county: str
) -> None:
    number = counter.number("1941-03-09", county=county)
    entered = (await counter.ask(registration(number))).resident
    assert not entered.warnings
    assert (await counter.ask(question(number))).resident.resident_key == entered.resident_key


async def test_a_county_code_that_no_table_knows_is_a_warning_for_a_person_to_look_at(
    counter: Any,
) -> None:
    entered = (
        await counter.ask(registration(counter.number("1941-03-09", county="511799")))
    ).resident
    assert "511799" in entered.warnings[0]


async def test_a_mistyped_digit_is_told_without_repeating_the_number(counter: Any) -> None:
    with pytest.raises(InvalidIdentityNumber) as told:
        await counter.ask(registration("110105194912310021"))
    assert "110105194912310021" not in f"{told.value} {told.value.message('zh')} {told.value.facts}"


PAPERS = [
    ("HONG_KONG_MACAO_TRAVEL_PERMIT", "H12345678", "H1234567801"),
    ("TAIWAN_TRAVEL_PERMIT", "01234567", "0123 4567"),
    ("PASSPORT", "FRA/12AB34567", "fra/12ab34567"),
    ("FOREIGN_PERMANENT_RESIDENT_CARD", "FRA110049123101", "fra110049123101"),
]


@pytest.mark.parametrize(("kind", "number", "as_written_elsewhere"), PAPERS)
async def test_people_with_other_papers_are_entered_and_found_by_them(
    counter: Any, kind: str, number: str, as_written_elsewhere: str
) -> None:
    kind_number = resident_pb2.DocumentKind.Value(f"DOCUMENT_KIND_{kind}")
    told = {"sex": resident_pb2.SEX_MALE, "born_on": counter.day("1949-12-31")}
    with pytest.raises(InvalidRequest):  # such papers do not tell the birth date
        await counter.ask(registration(number, kind_number))
    entered = (await counter.ask(registration(number, kind_number, **told))).resident
    found = (await counter.ask(question(as_written_elsewhere, kind_number))).resident
    assert found.resident_key == entered.resident_key


async def test_a_residence_permit_of_hong_kong_is_its_own_kind_and_no_identity_card(
    counter: Any,
) -> None:
    number = counter.number("1949-12-31", county="810000")
    kind = resident_pb2.DOCUMENT_KIND_HONG_KONG_MACAO_TAIWAN_RESIDENCE_PERMIT
    with pytest.raises(InvalidIdentityNumber):
        await counter.ask(registration(number))
    entered = (await counter.ask(registration(number, kind))).resident
    assert entered.born_on == counter.day("1949-12-31")


async def test_a_foreigners_card_tells_what_it_tells_and_nothing_else_is_taken(
    counter: Any,
) -> None:
    """The form of 2023 tells birth date and sex; the older one the date but for its century."""
    kind = resident_pb2.DOCUMENT_KIND_FOREIGN_PERMANENT_RESIDENT_CARD
    new, old = counter.number("1960-02-29", county="911840"), "KOR110060022911"
    male, female = resident_pb2.SEX_MALE, resident_pb2.SEX_FEMALE
    for number, field, told in (
        (new, "born_on", {"born_on": counter.day("1961-02-28")}),
        (new, "sex", {"sex": male}),
        (old, "born_on", {"born_on": counter.day("1960-03-01"), "sex": male}),
    ):
        with pytest.raises(InvalidRequest) as refused:
            await counter.ask(registration(number, kind, **told))
        (violation,) = refused.value.violations
        assert (violation.field, violation.rule) == (field, "CONTRADICTS_DOCUMENT")
        assert number not in str(refused.value)
    with pytest.raises(InvalidRequest):  # 1960 or 2060, and nothing of the sex
        await counter.ask(registration(old, kind))
    entered = (await counter.ask(registration(new, kind))).resident
    assert (entered.born_on, entered.sex) == (counter.day("1960-02-29"), female)
    told = {"born_on": counter.day("1960-02-29"), "sex": male}
    assert (await counter.ask(registration(old, kind, **told))).resident.sex == male


async def test_what_contradicts_the_number_is_refused(counter: Any) -> None:
    with pytest.raises(InvalidRequest) as told:
        await counter.ask(registration(sex=resident_pb2.SEX_MALE))
    assert told.value.violations[0].field == "sex"


@pytest.mark.parametrize(
    ("region", "fact"),
    [("999999", DivisionUnknown), ("511702999", DivisionUnknown), ("511721", DivisionAbolished)],
)
async def test_nobody_is_entered_where_nobody_can_live(
    counter: Any, region: str, fact: type[DomainError]
) -> None:
    with pytest.raises(fact) as told:
        await counter.ask(registration(region_code=region))
    if fact is DivisionAbolished:  # 达县 is 达川区 today
        assert "511703" in told.value.message("zh")
    with pytest.raises(InvalidRequest):
        await counter.ask(registration(region_code="511700"))
    assert not counter.service.events()


async def test_a_village_that_is_not_in_the_table_is_a_warning(counter: Any) -> None:
    entered = (await counter.ask(registration(region_code="110108012003"))).resident
    assert "110108012003" in entered.warnings[0]


async def move(counter: Any, key: str, region: str, on: str, **more: Any) -> resident_pb2.Resident:
    reply: pb.MoveResidentResponse = await counter.ask(
        pb.MoveResidentRequest(
            resident_key=key, region_code=region, moved_on=counter.day(on), **more
        )
    )
    return reply.resident


async def test_a_move_down_to_the_village_keeps_the_past(counter: Any) -> None:
    key = await counter.enter("王秀英")
    moved = await move(counter, key, "511702001001", "2026-07-01", etag="v1")
    assert [r.region_code for r in moved.residences] == ["511702001", "511702001001"]
    assert moved.residences[0].ended_on == moved.residences[1].began_on
    with pytest.raises(StaleVersion):
        await move(counter, key, "511703", "2026-08-01", etag="v1")


@pytest.mark.parametrize("zone", ["511778", "150271"])
async def test_people_move_to_functional_zones_that_no_national_standard_codes(
    counter: Any, zone: str
) -> None:
    key = await counter.enter("李桂兰")
    assert (await move(counter, key, zone, "2026-07-01")).region_code == zone
    (told,) = counter.service.events(events_pb.ResidentMoved)
    assert (told.from_region_code, told.region_code) == ("511702001", zone)


async def test_a_late_notice_of_a_move_may_use_the_code_of_that_day_or_of_today(
    counter: Any,
) -> None:
    key = await counter.enter("张国强", region="511781")
    with pytest.raises(DayImpossible):
        await move(counter, key, "511703", "2014-12-31")  # before the present residence
    with pytest.raises(DayImpossible):
        await move(counter, key, "511703", "2027-01-01")
    with pytest.raises(DivisionAbolished):
        await move(counter, key, "511721", "2016-01-01")
    assert (await move(counter, key, "511703", "2016-01-01")).region_code == "511703"


async def test_a_correction_is_told_as_a_move_from_the_first_day_and_the_past_can_be_read(
    counter: Any,
) -> None:
    key = await counter.enter("王秀英")
    entered_at = counter.service.clock()
    counter.service.clock.pass_days(1)
    request = pb.CorrectResidentRequest(
        resident_key=key, name="王秀瑛", region_code="511702002", evidence="户口簿复印件", etag="v1"
    )
    corrected = (await counter.ask(request)).resident
    assert (corrected.name, corrected.region_code) == ("王秀瑛", "511702002")
    assert len(corrected.residences) == 1
    (told,) = counter.service.events(events_pb.ResidentMoved)
    assert told.moved_on == counter.day("2015-01-01")

    then = pb.GetResidentRequest(resident_key=key)
    then.known_at.FromDatetime(entered_at)
    known = (await counter.ask(then)).resident
    assert (known.name, known.region_code) == ("王秀英", "511702001")

    with pytest.raises(StaleVersion):
        await counter.ask(
            pb.CorrectResidentRequest(resident_key=key, name="王", evidence="x", etag="v1")
        )
    with pytest.raises(InvalidRequest):
        await counter.ask(pb.CorrectResidentRequest(resident_key=key, evidence="x", etag="v2"))


def renewal(key: str, number: str, kind: Any, etag: str) -> pb.CorrectResidentRequest:
    document = resident_pb2.PersonDocument(kind=kind, number=number)
    return pb.CorrectResidentRequest(
        resident_key=key, document=document, evidence="新证件复印件", etag=etag
    )


async def test_a_renewed_passport_names_the_same_person_and_so_does_the_former_one(
    counter: Any,
) -> None:
    passport = resident_pb2.DOCUMENT_KIND_PASSPORT
    card = resident_pb2.DOCUMENT_KIND_FOREIGN_PERMANENT_RESIDENT_CARD
    told = {"sex": resident_pb2.SEX_FEMALE, "born_on": counter.day("1960-02-29")}
    key = (await counter.ask(registration("FRA/12AB34567", passport, **told))).resident.resident_key
    await counter.ask(registration("FRA/99ZZ99999", passport, **told))
    entered_at = counter.service.clock()
    counter.service.clock.pass_days(1)

    with pytest.raises(DocumentRegistered):
        await counter.ask(renewal(key, "FRA/99ZZ99999", passport, "v1"))
    for number in (counter.number("1961-02-28", county="911840"), "FRA110060022811"):
        with pytest.raises(DocumentContradicts):
            await counter.ask(renewal(key, number, card, "v1"))
    with pytest.raises(DocumentContradicts):
        await counter.ask(renewal(key, counter.number("1960-02-29", "001", "911840"), card, "v1"))
    await counter.ask(renewal(key, "FRA/34CD56789", passport, "v1"))
    number = counter.number("1960-02-29", county="911840")
    await counter.ask(renewal(key, number, card, "v2"))

    for paper, kind in (("FRA/12AB34567", passport), ("FRA/34CD56789", passport), (number, card)):
        assert (await counter.ask(question(paper, kind))).resident.resident_key == key
        with pytest.raises(DocumentRegistered):  # nobody is entered again by a paper of before
            await counter.ask(registration(paper, kind, **told))
    then = pb.GetResidentRequest(resident_key=key)
    then.read_mask.paths.append("document.number")
    assert (await counter.ask(then)).resident.document.number == number
    then.known_at.FromDatetime(entered_at)
    assert (await counter.ask(then)).resident.document.number == "FRA/12AB34567"

    citizen = await counter.enter("王秀英")
    with pytest.raises(IdentityNumberForLife):
        await counter.ask(renewal(citizen, "FRA/55EE55555", passport, "v1"))


async def test_a_corrected_name_is_nobody_elses_business(counter: Any) -> None:
    key = await counter.enter("王秀英")
    request = pb.CorrectResidentRequest(
        resident_key=key, name="王秀瑛", evidence="户口簿复印件", etag="v1"
    )
    await counter.ask(request)
    assert not counter.service.events(events_pb.ResidentMoved)


async def test_a_list_goes_page_by_page_through_a_division_and_all_below_it(counter: Any) -> None:
    keys = [await counter.enter(name) for name in ("王秀英", "李桂兰", "张国强")]
    await counter.enter("赵德明", region="150271")
    ask = pb.ListResidentsRequest(region_code="5117", page_size=2)
    first = await counter.ask(ask)
    ask.page_token = first.next_page_token
    second = await counter.ask(ask)
    assert [r.resident_key for r in [*first.residents, *second.residents]] == sorted(keys)
    assert second.next_page_token == ""
    ask.born_until.CopyFrom(counter.day("1950-01-01"))
    with pytest.raises(InvalidRequest):  # the token belongs to another question
        await counter.ask(ask)


async def test_a_list_finds_by_age_and_vital_status(counter: Any) -> None:
    old = await counter.enter("王秀英", born="1930-01-01")
    dead = await counter.enter("李桂兰", born="1931-01-01")
    await counter.enter("张国强", born="1960-01-01")
    await counter.die(dead, "2026-11-01")
    ask = pb.ListResidentsRequest(
        region_code="511702",
        born_until=counter.day("1946-11-22"),
        vital_status=resident_pb2.VITAL_STATUS_ALIVE,
    )
    assert [r.resident_key for r in (await counter.ask(ask)).residents] == [old]


async def test_nobody_is_found_by_a_number_that_was_never_entered(counter: Any) -> None:
    with pytest.raises(NotFound) as told:
        await counter.ask(question(NUMBER))
    assert NUMBER not in str(told.value)


async def test_a_death_and_a_move_load_exactly_one_document(counter: Any) -> None:
    key = await counter.enter("王秀英")
    loaded: list[tuple[str, int]] = []
    fetch, query = counter.service.backend.fetch, counter.service.backend.query

    async def counted(collection: str, path: str, values: Any) -> list[Document]:
        found: list[Document] = await fetch(collection, path, values)
        loaded.append((collection, len(found)))
        return found

    async def queried(collection: str, *rest: Any) -> list[Document]:
        found: list[Document] = await query(collection, *rest)
        if rest[1:]:
            loaded.append((f"query {collection}", len(found)))
        return found

    counter.service.backend.fetch, counter.service.backend.query = counted, queried
    await move(counter, key, "511703", "2026-07-01")
    await counter.ask(
        pb.RegisterDeathRequest(
            resident_key=key, died_on=counter.day("2026-11-01"), evidence="证明"
        )
    )
    assert loaded == [("residents", 1)] * 2
