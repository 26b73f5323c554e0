"""A department asks for a resource; two people of two sides decide, in time, and an agreement comes of it."""

from __future__ import annotations

import uuid
from datetime import date
from typing import Any

import pytest
from google.type.date_pb2 import Date

from eldex.api.exchange.v1 import catalogue_pb2 as nouns
from eldex.api.exchange.v1 import catalogue_service_pb2 as pb
from eldex.api.exchange.v1.catalogue_events_pb2 import (
    AccessDenied,
    AccessGranted,
    AccessRequested,
)
from eldex.common.errors import Denied, DomainError, StaleVersion
from eldex.common.identifiers import RegionCode, new_key
from eldex.common.rpc.call import Call, Identity
from eldex.common.testing.harness import ServiceOnMemory
from eldex.exchange import wire
from eldex.exchange.domain.access_requests import (
    AccessEndsBefore,
    AlreadyDecided,
    NotYoursToDecide,
)
from eldex.exchange.domain.answer_deadlines import AnswerStep, NoDeadline
from eldex.exchange.domain.catalogue import ItemNotShared, ItemUnknown
from eldex.exchange.domain.operators import SecondPersonNeeded
from eldex.exchange.handlers import Stores
from eldex.exchange.rpc.agreement_table import AgreementTable
from eldex.exchange.rpc.catalogue import SERVICE, CatalogueService
from eldex.exchange.rpc.masking import check_grants
from eldex.exchange.store.collections import REPOSITORIES, stores
from eldex.exchange.wire.catalogue_file import read_settings
from eldex.exchange.wire.contract_catalogue import described

CITY = RegionCode.parse("511700")
CIVIL, INSURANCE = "member/civil-affairs/elder-care", "member/medical-insurance/claims"
POLICE = "member/police/household-registration"
COVER, SCHEMES, RESIDENTS = "303001/000002", "305001/000001", "101001/000001"
GET_RESIDENT = "/eldex.api.registry.v1.RegistryService/GetResident"


class Office:
    """The catalogue's door, and who comes to it."""

    def __init__(self, memory: ServiceOnMemory[Stores]) -> None:
        self.memory, self.table = memory, AgreementTable(memory.work)
        self.door = CatalogueService(
            memory.work, self.table, read_settings(None).rules, CITY, memory.clock
        )

    def call(self, who: str, method: str) -> Call:
        """A call of a member, or of the operator (through the console)."""
        identity = Identity("eldex.local", f"{CITY}/{who or 'service/console'}")
        return Call(f"{SERVICE}{method}", identity, self.memory.clock())

    async def ask(
        self, resource: str = COVER, who: str = CIVIL, **more: Any
    ) -> nouns.AccessRequest:
        """Ask for a resource."""
        fields: dict[str, Any] = {
            "request_id": str(uuid.uuid4()),
            "resource_code": resource,
            "purpose": "elder-care-administration",
            "legal_basis": "老年人权益保障法 第六条",
            "need": "核定补贴",
            "official_code": "mz-1042",
        }
        request = pb.RequestAccessRequest(**(fields | more))
        reply = await self.door.request_access(request, self.call(who, "RequestAccess"))
        return reply.access_request

    async def decide(
        self, key: str, who: str, official: str, *, approved: bool = True, etag: str = ""
    ) -> nouns.AccessRequest:
        """Approve or refuse."""
        request = pb.DecideAccessRequestRequest(
            request_id=str(uuid.uuid4()),
            request_key=key,
            approved=approved,
            reason="范围适当" if approved else "超出职责",
            official_code=official,
            etag=etag,
        )
        reply = await self.door.decide_access_request(
            request, self.call(who, "DecideAccessRequest")
        )
        return reply.access_request

    async def grant(self, **more: Any) -> nouns.AccessRequest:
        """Ask, and have it approved by both."""
        asked = await self.ask(**more)
        provider = POLICE if asked.resource_code == RESIDENTS else INSURANCE
        await self.decide(asked.request_key, provider, "p-1")
        return await self.decide(asked.request_key, "", "op-1")


@pytest.fixture
async def office() -> Office:
    memory = await ServiceOnMemory("exchange", stores, REPOSITORIES, wire.event).start()
    made = Office(memory)
    await made.door.publish(described({}))
    await made.table.refresh()
    return made


async def test_two_approvals_make_an_agreement_of_what_was_asked_and_no_more(
    office: Office,
) -> None:
    asked = await office.ask(
        RESIDENTS,
        paths=["resident_key", "vital_status"],
        with_events=True,
        region_codes=["511702"],
        valid_to=Date(year=2028, month=1, day=1),
    )
    assert asked.awaits == [nouns.DECISION_ROLE_PROVIDER, nouns.DECISION_ROLE_OPERATOR]
    half = await office.decide(asked.request_key, POLICE, "ga-3310")
    assert half.state == nouns.ACCESS_REQUEST_STATE_PENDING
    assert office.table.of(CIVIL) == ()
    done = await office.decide(asked.request_key, "", "op-7", etag=half.etag)
    assert done.state == nouns.ACCESS_REQUEST_STATE_GRANTED
    (agreement,) = office.table.of(CIVIL)
    check_grants(agreement)
    assert agreement.key == done.agreement_key
    for key, requests in ((agreement.key, [done]), ("another", [])):
        listing = pb.ListAccessRequestsRequest(agreement_key=key)
        page = await office.door.list_access_requests(
            listing, office.call("", "ListAccessRequests")
        )
        assert list(page.access_requests) == requests
    assert (agreement.valid_from, agreement.valid_to) == (date(2026, 11, 22), date(2028, 1, 1))
    grant = agreement.grant(GET_RESIDENT)
    assert grant is not None
    assert grant.reply_fields == ("resident.resident_key", "resident.vital_status")
    finding = agreement.grant("/eldex.api.registry.v1.RegistryService/FindResident")
    assert finding is not None
    assert "eldex.api.registry.v1.ResidentDeceased" in agreement.event_types
    assert agreement.region_codes == [RegionCode.parse("511702")]
    assert [e.subsystem for e in office.memory.events(AccessRequested)] == [CIVIL]
    (granted,) = office.memory.events(AccessGranted)
    assert (granted.agreement_key, granted.valid_to.year) == (agreement.key, 2028)


async def test_nobody_searches_by_what_was_not_granted(office: Office) -> None:
    await office.grant(resource=RESIDENTS, paths=["resident_key"])
    (agreement,) = office.table.of(CIVIL)
    grant = agreement.grant("/eldex.api.registry.v1.RegistryService/ListResidents")
    assert grant is not None
    assert not {"born_on", "eligibility_classes", "name"} & set(grant.request_fields)


async def test_one_person_is_not_two(office: Office) -> None:
    asked = await office.ask()
    # Whoever asked cannot approve, in whatever letters the number is written.
    with pytest.raises(SecondPersonNeeded):
        await office.decide(asked.request_key, INSURANCE, "MZ-1042")
    await office.decide(asked.request_key, INSURANCE, "yb-2071")
    with pytest.raises(SecondPersonNeeded):
        await office.decide(asked.request_key, "", "yb-2071")
    assert office.memory.events(AccessGranted) == []


async def test_only_the_provider_and_the_operator_decide_and_each_once(office: Office) -> None:
    asked = await office.ask()
    for other in (CIVIL, POLICE):
        with pytest.raises(NotYoursToDecide):
            await office.decide(asked.request_key, other, "x-1")
    await office.decide(asked.request_key, INSURANCE, "yb-2071")
    with pytest.raises(AlreadyDecided):
        await office.decide(asked.request_key, INSURANCE, "yb-2072")
    with pytest.raises(StaleVersion):
        await office.decide(asked.request_key, "", "op-7", etag="v1")


async def test_one_refusal_refuses(office: Office) -> None:
    asked = await office.ask()
    denied = await office.decide(asked.request_key, INSURANCE, "yb-2071", approved=False)
    assert denied.state == nouns.ACCESS_REQUEST_STATE_DENIED
    assert denied.decisions[0].reason == "超出职责"
    with pytest.raises(AlreadyDecided):
        await office.decide(asked.request_key, "", "op-7")
    assert [e.request_key for e in office.memory.events(AccessDenied)] == [asked.request_key]
    assert office.table.of(CIVIL) == ()


async def test_what_is_unconditional_needs_no_provider(office: Office) -> None:
    asked = await office.ask(SCHEMES)
    assert asked.awaits == [nouns.DECISION_ROLE_OPERATOR]
    assert asked.deadline.working_days == 2
    granted = await office.decide(asked.request_key, "", "op-7")
    assert granted.state == nouns.ACCESS_REQUEST_STATE_GRANTED


async def test_the_answer_is_due_in_working_days_and_late_is_seen(office: Office) -> None:
    asked = await office.ask()
    # Asked on a Sunday; ten working days later it is Friday, 4 December.
    assert (asked.deadline.due_on.month, asked.deadline.due_on.day) == (12, 4)
    assert asked.deadline.document
    assert not asked.deadline.verified
    request = pb.ListAccessRequestsRequest(state=nouns.ACCESS_REQUEST_STATE_PENDING)
    for days, overdue in ((12, False), (1, True)):
        office.memory.clock.pass_days(days)
        listed = await office.door.list_access_requests(
            request, office.call(INSURANCE, "ListAccessRequests")
        )
        assert [each.overdue for each in listed.access_requests] == [overdue]
    # Late is late, and still an answer.
    late = await office.decide(asked.request_key, INSURANCE, "yb-2071")
    assert len(late.decisions) == 1


def test_the_nearest_division_sets_the_days() -> None:
    rules, on = read_settings(None).rules, date(2026, 11, 20)
    days = {
        code: rules.deadline(AnswerStep.PROVIDER_ANSWER, code, on).working_days
        for code in ("511700", "520100", "140581")
    }
    assert days == {"511700": 10, "520100": 10, "140581": 5}
    with pytest.raises(NoDeadline):
        rules.deadline(AnswerStep.CORRECTION_ANSWER, "511700", date(2024, 1, 1))


async def test_asked_again_the_agreement_is_extended_and_keeps_what_it_gave(
    office: Office,
) -> None:
    first = await office.grant(resource=RESIDENTS, paths=["resident_key"], with_events=True)
    again = await office.grant(
        resource=RESIDENTS, paths=["vital_status"], valid_to=Date(year=2029, month=1, day=1)
    )
    assert again.agreement_key == first.agreement_key
    (agreement,) = office.table.of(CIVIL)
    grant = agreement.grant(GET_RESIDENT)
    assert grant is not None
    assert set(grant.reply_fields) == {"resident.resident_key", "resident.vital_status"}
    assert agreement.version == 2
    assert agreement.event_types


async def test_asking_for_more_does_not_lengthen_what_was_granted_for_less(office: Office) -> None:
    ends = Date(year=2027, month=1, day=1)
    await office.grant(resource=RESIDENTS, paths=["resident_key"], valid_to=ends)
    await office.grant(
        resource=RESIDENTS, paths=["vital_status"], valid_to=Date(year=2029, month=1, day=1)
    )
    assert office.table.of(CIVIL)[0].valid_to == date(2027, 1, 1)
    # All of it asked for again, with the later end: that was looked at as a whole.
    await office.grant(
        resource=RESIDENTS,
        paths=["resident_key", "vital_status"],
        valid_to=Date(year=2029, month=1, day=1),
    )
    assert office.table.of(CIVIL)[0].valid_to == date(2029, 1, 1)


async def test_what_has_ended_does_not_come_back_with_something_else(office: Office) -> None:
    ends = Date(year=2027, month=1, day=1)
    await office.grant(resource=RESIDENTS, paths=["resident_key"], valid_to=ends)
    office.memory.clock.pass_days(60)
    await office.grant(resource=RESIDENTS, paths=["vital_status"])
    (agreement,) = office.table.of(CIVIL)
    grant = agreement.grant(GET_RESIDENT)
    assert grant is not None
    assert (grant.reply_fields, agreement.valid_to) == (("resident.vital_status",), None)


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"paths": ["horoscope"]}, ItemUnknown),
        (
            {"resource": "302002/000001", "paths": ["findings.diagnoses.icd10_code"]},
            ItemNotShared,
        ),
        ({"valid_to": Date(year=2026, month=11, day=22)}, AccessEndsBefore),
        ({"who": ""}, Denied),
    ],
)
async def test_what_cannot_be_asked_is_refused_at_once(
    more: dict[str, Any], error: type[DomainError], office: Office
) -> None:
    with pytest.raises(error) as refused:
        await office.ask(**more)
    assert refused.value.message("zh") != refused.value.message("en")
    assert office.memory.events(AccessRequested) == []


async def test_requests_are_seen_by_those_they_concern(office: Office) -> None:
    asked = await office.ask()
    for who, sees in ((CIVIL, True), (INSURANCE, True), ("", True), (POLICE, False)):
        listed = await office.door.list_access_requests(
            pb.ListAccessRequestsRequest(), office.call(who, "ListAccessRequests")
        )
        found = [each.request_key for each in listed.access_requests]
        assert found == ([asked.request_key] if sees else []), who


async def test_my_rights_say_methods_fields_events_and_until_when(office: Office) -> None:
    await office.grant(
        resource=RESIDENTS,
        paths=["vital_status"],
        with_events=True,
        valid_to=Date(year=2028, month=1, day=1),
    )
    await office.grant()

    async def rights(who: str, **more: Any) -> list[nouns.Right]:
        request = pb.ListMyRightsRequest(**more)
        found: list[nouns.Right] = []
        while True:
            page = await office.door.list_my_rights(request, office.call(who, "ListMyRights"))
            found += page.rights
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    assert len(await rights(CIVIL, page_size=1)) == 2
    (right,) = await rights(CIVIL, resource_code=RESIDENTS)
    get = next(each for each in right.methods if each.method == GET_RESIDENT)
    assert list(get.reply_fields) == ["resident.vital_status"]
    assert get.resource_code == RESIDENTS
    assert right.valid_to.year == 2028
    assert "eldex.api.registry.v1.ResidentDeceased" in right.event_types
    assert await rights(POLICE) == []
    office.memory.clock.pass_days(800)
    assert RESIDENTS not in {m.resource_code for r in await rights(CIVIL) for m in r.methods}


async def test_a_wrong_fact_is_reported_and_its_provider_answers(office: Office) -> None:
    request = pb.RequestCorrectionRequest(
        request_id=str(uuid.uuid4()),
        resource_code=RESIDENTS,
        record_key=new_key("res"),
        path="born_on",
        finding="与户口簿原件不符",
        evidence="达通民核〔2026〕17号",
        official_code="mz-1042",
    )
    told = await office.door.request_correction(request, office.call(CIVIL, "RequestCorrection"))
    same = await office.door.request_correction(request, office.call(CIVIL, "RequestCorrection"))
    assert told == same
    assert told.correction.deadline.due_on.day == 4

    def answer(official: str) -> pb.DecideCorrectionRequest:
        return pb.DecideCorrectionRequest(
            request_id=str(uuid.uuid4()),
            correction_key=told.correction.correction_key,
            corrected=True,
            answer="已核对原始档案并更正",
            official_code=official,
        )

    for other in (CIVIL, INSURANCE, ""):
        with pytest.raises(NotYoursToDecide):
            await office.door.decide_correction(
                answer("x-1"), office.call(other, "DecideCorrection")
            )
    done = await office.door.decide_correction(
        answer("ga-3310"), office.call(POLICE, "DecideCorrection")
    )
    assert done.correction.state == nouns.CORRECTION_STATE_CORRECTED
    with pytest.raises(AlreadyDecided):
        await office.door.decide_correction(
            answer("ga-3311"), office.call(POLICE, "DecideCorrection")
        )
    listed = await office.door.list_corrections(
        pb.ListCorrectionsRequest(), office.call(CIVIL, "ListCorrections")
    )
    assert [each.decided_by for each in listed.corrections] == ["ga-3310"]
    request.path, request.request_id = "horoscope", str(uuid.uuid4())
    with pytest.raises(ItemUnknown):
        await office.door.request_correction(request, office.call(CIVIL, "RequestCorrection"))
