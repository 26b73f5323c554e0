"""The gate: what a caller gets, what it does not, and what a refusal tells."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from google.type.date_pb2 import Date

from eldex.api.exchange.v1 import access_pb2
from eldex.api.exchange.v1 import access_service_pb2 as access
from eldex.api.registry.v1 import assessment_pb2, resident_pb2
from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.common.errors import DomainError, Kind, NotFound
from eldex.common.identifiers import RegionCode
from eldex.common.testing.harness import waiting_events
from eldex.exchange.domain.agreements import Agreement, FieldGrant, PurposeTerms
from eldex.exchange.rpc.review_watch import ReviewWatch

REGISTRY = "/eldex.api.registry.v1.RegistryService"
GET, LIST, MOVE = (f"{REGISTRY}/{n}" for n in ("GetResident", "ListResidents", "MoveResident"))
ACCESS = "/eldex.api.exchange.v1.AccessService"
HEALTH, CIVIL = "member/health/assessment", "member/civil-affairs/elder-care"
REASON = quote("老人昏迷送医，需确认监护人")
CARD = resident_pb2.DOCUMENT_KIND_RESIDENT_IDENTITY_CARD
NUMBER = "51170219400101001X"
HERE, ELSEWHERE = "511702001", "511703002"

City = Any


def agreement(**changes: object) -> Agreement:
    facts: dict[str, object] = {
        "key": "health-assessment",
        "subsystem": HEALTH,
        "methods": [f"{REGISTRY}/*"],
        "purposes": ["ability-assessment", "home-care"],
        "legal_basis": "GB/T 42195-2022",
        "valid_from": date(2026, 1, 1),
    }
    return Agreement(**(facts | changes))  # type: ignore[arg-type]


def within(code: str = "511702", **changes: object) -> Agreement:
    return agreement(subject_regions=[RegionCode(code)], checks_subjects=True, **changes)


def resident(key: str) -> resident_pb2.Resident:
    return resident_pb2.Resident(
        resident_key=key,
        name="王秀英",
        document=resident_pb2.PersonDocument(number=NUMBER, masked_number="5***X"),
        region_code=HERE,
        etag="v1",
    )


def answering(city: City, known: Sequence[str]) -> None:
    """The registry knows these residents, all of whom it lists."""

    async def answer(method: str, request: Any, _: Any) -> Any:
        if method == LIST:
            return pb.ListResidentsResponse(
                residents=[resident(key) for key in known], next_page_token="go-on"
            )
        if request.resident_key not in known:
            raise NotFound("Resident", request.resident_key)
        kind = pb.MoveResidentResponse if method == MOVE else pb.GetResidentResponse
        return kind(resident=resident(request.resident_key))

    city.department.answer = answer


async def told(
    city: City, name: str, request: Any, member: str = "service/console", **how: Any
) -> Any:
    """What `AccessService` answers; operations ask unless a member does."""
    if "request_id" in request.DESCRIPTOR.fields_by_name:
        request.request_id = str(uuid.uuid4())
    reply = await city.ask(member, f"{ACCESS}/{name}", request, **how)
    if reply.code != "OK":
        return reply
    kind = getattr(access, f"{name}Response")
    return kind.FromString(reply.response)


def getting(key: str) -> pb.GetResidentRequest:
    return pb.GetResidentRequest(resident_key=key)


async def test_only_granted_fields_leave_and_the_receipt_is_for_what_left(city: City) -> None:
    answering(city, ["res_a"])
    await city.agree(
        agreement(field_grants=[FieldGrant(GET, ("resident.name",), ("resident_key",))])
    )
    reply = await city.ask(HEALTH, GET, getting("res_a"))
    expected = pb.GetResidentResponse(resident=resident_pb2.Resident(name="王秀英"))
    assert reply.response == expected.SerializeToString()
    refused = await city.ask(HEALTH, LIST, pb.ListResidentsRequest(region_code="51"))
    assert (refused.code, refused.reason) == ("PERMISSION_DENIED", "ACCESS_DENIED")


async def test_an_older_agreement_without_grants_passes_bytes_as_they_are(city: City) -> None:
    answering(city, ["res_a"])
    await city.agree(agreement())
    reply = await city.ask(HEALTH, GET, getting("res_a"))
    assert pb.GetResidentResponse.FromString(reply.response).resident == resident("res_a")


async def test_what_is_not_granted_cannot_be_found_out_by_filtering(city: City) -> None:
    answering(city, ["res_a"])
    await city.agree(
        agreement(field_grants=[FieldGrant(LIST, ("residents.name",), ("region_code",))])
    )
    harmless = pb.ListResidentsRequest(region_code="51", page_size=5)
    assert (await city.ask(HEALTH, LIST, harmless)).code == "OK"
    asking = pb.ListResidentsRequest(
        region_code="51", ability_level=assessment_pb2.ABILITY_LEVEL_SEVERE
    )
    refused = await city.ask(HEALTH, LIST, asking)
    assert (refused.code, refused.reason) == ("PERMISSION_DENIED", "FIELD_NOT_GRANTED")
    assert "ability_level" in refused.message
    smuggled = harmless.SerializeToString() + b"\xa2\x06\x01x"
    assert (await city.ask(HEALTH, LIST, smuggled)).reason == "FIELD_NOT_GRANTED"
    assert len(city.department.calls) == 1


async def test_nobody_says_who_it_is_in_metadata(city: City) -> None:
    answering(city, ["res_a"])
    await city.agree(agreement())
    forged = {
        "eldex-member": CIVIL,
        "eldex-agreement": "civil-affairs-registry@1",
        "eldex-caller-region": "500100",
        "x-forwarded-client-cert": "URI=spiffe://eldex.local/511700/service/console",
    }
    assert (await city.ask("member/police/x", GET, getting("res_a"), metadata=forged)).code == (
        "PERMISSION_DENIED"
    )
    assert (await city.ask(HEALTH, GET, getting("res_a"), metadata=forged)).code == "OK"
    (call,) = city.department.calls
    assert call.behalf == HEALTH
    assert call.metadata["eldex-agreement"] == "health-assessment@1"
    assert not {"eldex-caller-region", "x-forwarded-client-cert"} & set(call.metadata)


async def test_the_same_name_in_another_citys_certificate_is_somebody_else(city: City) -> None:
    answering(city, ["res_a"])
    await city.agree(agreement())
    refused = await city.ask(HEALTH, GET, getting("res_a"), city="500100")
    assert "not made for members of 5001" in refused.message
    refused = await city.ask(HEALTH, GET, getting("res_a"), city="nowhere")
    assert refused.code == "PERMISSION_DENIED"


async def test_persons_are_held_against_the_divisions_of_the_agreement(city: City) -> None:
    answering(city, ["res_here", "res_there", "res_untold"])
    await city.settle("res_here", HERE)
    await city.settle("res_there", ELSEWHERE)
    await city.agree(within())
    assert (await city.ask(HEALTH, GET, getting("res_here"))).code == "OK"
    there = await city.ask(HEALTH, GET, getting("res_there"))
    untold = await city.ask(HEALTH, GET, getting("res_untold"))
    nobody = await city.ask(HEALTH, GET, getting("res_nobody"))
    assert there.code == "PERMISSION_DENIED"
    assert there.message == untold.message == nobody.message
    assert len(city.department.calls) == 1
    moving = pb.MoveResidentRequest(
        request_id=str(uuid.uuid4()), resident_key="res_there", region_code=HERE
    )
    assert (await city.ask(HEALTH, MOVE, moving)).code == "PERMISSION_DENIED"
    await city.settle("res_there", HERE, Date(year=2026, month=11, day=1))
    assert (await city.ask(HEALTH, GET, getting("res_there"))).code == "OK"


async def test_lists_are_of_the_agreements_divisions_and_rows_of_others_are_left_out(
    city: City,
) -> None:
    answering(city, ["res_here", "res_there"])
    await city.settle("res_here", HERE)
    await city.settle("res_there", ELSEWHERE)
    await city.agree(within())
    for code, expected in (
        ("511702", "OK"),
        ("51", "PERMISSION_DENIED"),
        ("511703", "PERMISSION_DENIED"),
    ):
        reply = await city.ask(HEALTH, LIST, pb.ListResidentsRequest(region_code=code))
        assert reply.code == expected, code
    # A read that names neither person nor division: whom it shows is looked at.
    shown = "res_there"

    async def answer(_: str, __: Any, ___: Any) -> Any:
        return pb.FindResidentResponse(resident=resident(shown))

    city.department.answer = answer
    find = pb.FindResidentRequest(document=resident_pb2.PersonDocument(kind=CARD, number=NUMBER))
    assert (await city.ask(HEALTH, f"{REGISTRY}/FindResident", find)).code == "PERMISSION_DENIED"
    shown = "res_here"
    assert (await city.ask(HEALTH, f"{REGISTRY}/FindResident", find)).code == "OK"


async def test_where_existence_is_concealed_a_miss_and_a_refusal_are_the_same(city: City) -> None:
    answering(city, ["res_here", "res_there"])
    await city.settle("res_here", HERE)
    await city.settle("res_there", ELSEWHERE)
    await city.settle("res_gone", HERE)
    await city.agree(within(conceals_existence=True))
    replies = [
        await city.ask(HEALTH, GET, getting(key)) for key in ("res_there", "res_gone", "res_nobody")
    ]
    alike = [(r.code, r.message, r.trailing["grpc-status-details-bin"]) for r in replies]
    assert alike[0] == alike[1] == alike[2]
    assert replies[0].code == "NOT_FOUND"
    assert "res_" not in replies[0].message
    # In time too: each went to the registry and back.
    assert len(city.department.calls) == 3
    assert (await city.ask(HEALTH, GET, getting("res_here"))).code == "OK"


async def test_a_consent_counts_from_the_next_call_and_so_does_its_withdrawal(city: City) -> None:
    answering(city, ["res_a", "res_b"])
    await city.agree(agreement(purpose_terms=[PurposeTerms("home-care", requires_consent=True)]))
    asking = {"purpose": "home-care"}
    refused = await city.ask(HEALTH, GET, getting("res_a"), **asking)
    assert refused.code == "PERMISSION_DENIED"
    assert "consent" in refused.message
    assert "RequestAccess" in refused.message
    given = await told(
        city,
        "RecordConsent",
        access.RecordConsentRequest(
            resident_key="res_a", subsystem=HEALTH, purpose="home-care", evidence="同意书 1"
        ),
    )
    assert (await city.ask(HEALTH, GET, getting("res_a"), **asking)).code == "OK"
    assert (await city.ask(HEALTH, GET, getting("res_b"), **asking)).code == "PERMISSION_DENIED"
    assert (await city.ask(HEALTH, GET, getting("res_b"))).code == "OK"  # another purpose
    listed = await city.ask(HEALTH, LIST, pb.ListResidentsRequest(region_code="51"), **asking)
    shown = pb.ListResidentsResponse.FromString(listed.response)
    assert [r.resident_key for r in shown.residents] == ["res_a"]
    city.clock.at += timedelta(seconds=1)
    withdrawing = access.WithdrawConsentRequest(
        consent_key=given.consent.consent_key, evidence="撤回 1"
    )
    withdrawn = await told(city, "WithdrawConsent", withdrawing)
    assert withdrawn.consent.HasField("withdrawn_at")
    assert (await city.ask(HEALTH, GET, getting("res_a"), **asking)).code == "PERMISSION_DENIED"
    found = await told(city, "ListConsents", access.ListConsentsRequest(resident_key="res_a"))
    assert [c.consent_key for c in found.consents] == [given.consent.consent_key]


async def test_a_recipient_cannot_say_that_the_person_agreed(city: City) -> None:
    request = access.RecordConsentRequest(
        resident_key="res_a", subsystem=HEALTH, purpose="home-care", evidence="x"
    )
    refused = await told(city, "RecordConsent", request, HEALTH)
    assert refused.reason == "ACCESS_DENIED"
    await city.agree(agreement(methods=[f"{ACCESS}/*"]))
    refused = await told(city, "RecordConsent", request, HEALTH)
    assert refused.reason == "CONSENT_OF_OWN_MAKING"
    await city.agree(agreement(key="civil", subsystem=CIVIL, methods=[f"{ACCESS}/RecordConsent"]))
    assert (await told(city, "RecordConsent", request, CIVIL)).consent.recorded_by.endswith(CIVIL)


async def test_an_emergency_passes_loudly_and_is_reviewed_by_somebody_else(city: City) -> None:
    answering(city, ["res_there"])
    await city.settle("res_there", ELSEWHERE)
    broken = {"eldex-break-glass": REASON}
    await city.agree(within())
    refused = await city.ask(HEALTH, GET, getting("res_there"), metadata=broken)
    assert "permits no emergencies" in refused.message
    await city.agree(within(permits_break_glass=True))
    assert (await city.ask(HEALTH, GET, getting("res_there"))).code == "PERMISSION_DENIED"
    rule = access_pb2.ReviewRule(
        region_code="51",
        review_within_hours=2,
        valid_from=Date(year=2026, month=1, day=1),
        source="共享数据应急调用审查办法（虚构）第四条",
    )
    await told(city, "PutReviewRule", access.PutReviewRuleRequest(review_rule=rule))
    assert (await city.ask(HEALTH, GET, getting("res_there"), metadata=broken)).code == "OK"
    (event,) = await waiting_events(city.backend)
    assert event["type"] == "eldex.api.exchange.v1.BreakGlassUsed"
    (use,) = (await told(city, "ListBreakGlass", access.ListBreakGlassRequest())).break_glass
    assert use.justification == "老人昏迷送医，需确认监护人"
    assert (list(use.set_aside), list(use.resident_keys)) == (["SUBJECT_REGION"], ["res_there"])
    assert use.review_by.seconds - use.used_at.seconds == 2 * 3600
    city.clock.at += timedelta(hours=3)
    assert await ReviewWatch(city.work).look() == 1
    overdue = access.ListBreakGlassRequest(state=access_pb2.BREAK_GLASS_STATE_OVERDUE)
    assert len((await told(city, "ListBreakGlass", overdue)).break_glass) == 1
    review = access.ReviewBreakGlassRequest(
        break_glass_key=use.break_glass_key,
        justified=False,
        finding="无急诊记录",
        reviewer="op-0042",
    )
    await city.agree(agreement(key="own", methods=[f"{ACCESS}/*"]))
    assert (await told(city, "ReviewBreakGlass", review, HEALTH)).reason == "REVIEW_OF_OWN_ACT"
    reviewed = (await told(city, "ReviewBreakGlass", review)).break_glass
    assert reviewed.state == access_pb2.BREAK_GLASS_STATE_UNJUSTIFIED
    assert reviewed.reviewed_by == "service/console op-0042"
    assert (await told(city, "ReviewBreakGlass", review)).reason == "ALREADY_REVIEWED"


@pytest.mark.parametrize(
    "reason",
    ["", "short", "x" * 301, "a%00bbbbbbbbbbbb", "%ff%fe%ff%fe%ff%fe%ff%fe%ff", "a" * 2_001],
)
async def test_an_emergency_without_a_reason_that_can_be_reviewed_is_none(
    city: City, reason: str
) -> None:
    await city.agree(agreement(permits_break_glass=True))
    refused = await city.ask(HEALTH, GET, getting("res_a"), metadata={"eldex-break-glass": reason})
    assert refused.reason == "BREAK_GLASS_REASON_INVALID"
    assert city.department.calls == []


async def test_no_more_rows_leave_than_the_agreement_gives_out_in_a_call_and_a_day(
    city: City,
) -> None:
    answering(city, [f"res_{i}" for i in range(5)])
    await city.agree(agreement(rows_per_call=5, rows_per_day=12))
    listing = pb.ListResidentsRequest(region_code="51")
    codes = [(await city.ask(HEALTH, LIST, listing)).code for _ in range(3)]
    assert codes == ["OK", "OK", "PERMISSION_DENIED"]
    assert [(await city.ask(HEALTH, GET, getting("res_1"))).code for _ in range(3)] == [
        "OK",
        "OK",
        "PERMISSION_DENIED",
    ]
    city.clock.pass_days(1)
    assert (await city.ask(HEALTH, LIST, listing)).code == "OK"
    await city.agree(agreement(rows_per_call=4))
    refused = await city.ask(HEALTH, LIST, listing)
    assert refused.reason == "VOLUME_EXCEEDED"
    assert "at most 4 rows a call" in refused.message


async def test_a_change_counts_from_the_next_call_and_the_past_can_be_explained(city: City) -> None:
    answering(city, ["res_a"])
    await city.agree(agreement())
    first = await city.ask(HEALTH, GET, getting("res_a"))
    index = int(str(first.trailing["eldex-receipt"]).split()[2])
    city.clock.pass_days(1)
    await city.agree(agreement(purposes=["home-care"], legal_basis="changed"))
    assert (await city.ask(HEALTH, GET, getting("res_a"))).code == "PERMISSION_DENIED"
    then = await told(city, "ExplainDecision", access.ExplainDecisionRequest(log_index=index))
    assert (then.allowed, then.agreement_version, then.legal_basis) == (True, 1, "GB/T 42195-2022")
    denied = await told(city, "ExplainDecision", access.ExplainDecisionRequest(log_index=index + 1))
    assert [step.condition for step in denied.steps if not step.met] == ["PURPOSE"]
    assert denied.agreement_version == 2
    inputs = access.DecisionInputs(
        agreement_key="health-assessment",
        agreement_version=1,
        subsystem=HEALTH,
        method=GET,
        purpose="home-care",
        decided_on=Date(year=2026, month=11, day=22),
    )
    again = await told(city, "ExplainDecision", access.ExplainDecisionRequest(inputs=inputs))
    assert again.allowed
    versions = await told(
        city,
        "ListAgreementVersions",
        access.ListAgreementVersionsRequest(agreement_key="health-assessment"),
    )
    assert [v.version for v in versions.versions] == [2, 1]
    hidden = await told(
        city,
        "ListAgreementVersions",
        access.ListAgreementVersionsRequest(agreement_key="health-assessment"),
        CIVIL,
    )
    assert hidden.code == "NOT_FOUND"


async def test_a_past_decision_is_explained_with_places_and_consents_as_they_were(
    city: City,
) -> None:
    await city.settle("res_a", HERE)
    await city.settle("res_a", ELSEWHERE, Date(year=2026, month=11, day=22))
    await city.agree(within(purpose_terms=[PurposeTerms("home-care", requires_consent=True)]))

    async def explained(day: int) -> dict[str, bool]:
        inputs = access.DecisionInputs(
            agreement_key="health-assessment",
            agreement_version=1,
            subsystem=HEALTH,
            method=GET,
            purpose="home-care",
            decided_on=Date(year=2026, month=11, day=day),
            resident_keys=["res_a"],
        )
        found = await told(city, "ExplainDecision", access.ExplainDecisionRequest(inputs=inputs))
        return {step.condition: step.met for step in found.steps}

    before, after = await explained(21), await explained(22)
    assert (before["SUBJECT_REGION"], after["SUBJECT_REGION"]) == (True, False)
    assert not before["CONSENT"]


async def test_a_refusal_by_the_state_tells_nothing_that_the_mask_would_not(city: City) -> None:
    class AlreadyDeceased(DomainError):
        kind, reason = Kind.CONFLICT, "DEATH_ALREADY_REGISTERED"
        zh, en = "已于 {died_on} 登记死亡", "the death was registered for {died_on}"

    async def answer(_: str, __: Any, ___: Any) -> Any:
        raise AlreadyDeceased(died_on="2026-11-01")

    city.department.answer = answer
    await city.agree(agreement())
    assert "2026-11-01" in (await city.ask(HEALTH, GET, getting("res_a"))).message
    await city.agree(agreement(field_grants=[FieldGrant(GET, ("resident.name",), ("*",))]))
    refused = await city.ask(HEALTH, GET, getting("res_a"))
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "DEATH_ALREADY_REGISTERED")
    assert "2026" not in refused.message
    assert b"2026" not in refused.trailing["grpc-status-details-bin"]
