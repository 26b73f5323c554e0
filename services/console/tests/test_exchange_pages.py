"""What operations see of the exchange and do with it; who may, and what is recorded of it."""

from __future__ import annotations

import re
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf.timestamp_pb2 import Timestamp

from eldex.api.exchange.v1 import access_service_pb2 as access
from eldex.api.exchange.v1 import agreement_pb2
from eldex.api.exchange.v1 import catalogue_service_pb2 as catalogue
from eldex.api.exchange.v1 import delivery_service_pb2 as delivery
from eldex.api.exchange.v1 import evidence_service_pb2 as evidence
from eldex.api.exchange.v1.delivery_pb2 import (
    DELIVERY_KIND_WEBHOOK,
    PAUSE_CAUSE_ENDPOINT_DEAD,
    SUBSCRIPTION_STATE_PAUSED,
    DeliveryDeadLetter,
    EventSubscription,
    SubscriptionLag,
)
from eldex.common.errors import AlreadyExists, DomainError, Kind
from eldex.console.domain.sharing import changes
from eldex.console.web import words
from eldex.console.wire import exchange as wire
from eldex.evidence.log import Log
from eldex.evidence.note import COSIGNATURE_V1, Signer, signer_key
from eldex.evidence.receipts import Bundle
from services.console.tests.test_proofs import ORIGIN, SIGNER, a_record

if TYPE_CHECKING:
    from services.console.tests.conftest import Browserless, Scene

PARTNER = "member/partner-500100/elder-care"
WITNESS = Signer.parse(signer_key("500100/witness", bytes(range(1, 33)), COSIGNATURE_V1))
DECEASED = "eldex.api.registry.v1.ResidentDeceased"


class NoCosignature(DomainError):
    kind, reason = Kind.UNAVAILABLE, "NO_COSIGNATURE"
    zh, en = "尚无联署", "no partner has co-signed"


PAGES = (
    "/members",
    "/members/joinings",
    "/members/certificates",
    "/agreements",
    "/agreements/x",
    "/catalogue",
    "/catalogue/requests",
    "/catalogue/101001/000001",
    "/log",
    "/log/7",
    "/subscribers",
    "/subscribers/member/partner-500100/elder-care/deaths",
)


async def test_without_the_exchange_each_of_its_pages_says_so_and_the_rest_goes_on(
    scene: Scene,
) -> None:
    await scene.server.stop(0)
    reader = await scene.console.signed_in("operator")
    for path in PAGES:
        page = await reader.get(path)
        assert page.status == 503, path
        assert "the exchange does not answer now (UNAVAILABLE)" in page.text
        assert f'<a href="{path}">Try again</a>' in page.text
    assert (await reader.get("/flows")).status == 200


async def test_an_empty_exchange_is_shown_as_empty(scene: Scene) -> None:
    reader = await scene.console.signed_in("operator")
    said = {
        "/members": "There is no member yet.",
        "/members/joinings": "There is none.",
        "/members/certificates": "There is none.",
        "/agreements": "There is no agreement here.",
        "/catalogue": "There is no such resource.",
        "/catalogue/requests": "There is none.",
        "/log": "No record fits.",
        "/subscribers": "Nobody has subscribed yet.",
    }
    for path, text in said.items():
        page = await reader.get(path)
        assert (page.status, text in page.text) == (200, True), path
    for path in (
        "/log/-1",
        "/log/x",
        "/log/99999999999999999999",
        "/deliveries/change?act=drop",
        "/agreements/x/approve",
        "/agreements/x/drop",
        "/members/joinings/x/admit",
        "/members/certificates/1/revoke",
    ):
        assert (await reader.get(path)).status == 404, path


async def test_who_may_look_into_the_message_log_and_that_each_look_is_recorded(
    scene: Scene,
) -> None:
    viewer = await scene.console.signed_in("viewer")
    for path in ("/log", "/log/7", "/log/7/bundle"):
        assert (await viewer.get(path)).status == 403, path
    assert scene.exchange.requests("ListRecords") == []
    auditor = await scene.console.signed_in("auditor")
    query = "subsystem=finance/payments&code=NOT_FOUND&window=custom&since=2026-11-25T08:00&until=2026-11-25T09:30"
    assert (await auditor.get(f"/log?{query}")).status == 200
    [request] = scene.exchange.requests("ListRecords")
    assert (request.subsystem, request.code) == ("member/finance/payments", "NOT_FOUND")
    assert request.from_time.ToJsonString() == "2026-11-25T00:00:00Z"
    assert request.until_time.ToJsonString() == "2026-11-25T01:30:00Z"
    rows = re.findall(r"<tr>.*?</tr>", (await auditor.get("/actions")).text, re.DOTALL)
    looks = [re.sub(r"<[^>]+>", " ", row) for row in rows if "look into the message log" in row]
    assert "subsystem=member/finance/payments code=NOT_FOUND" in looks[0]
    assert sum("ACCESS_DENIED" in look for look in looks) == 3
    # An auditor looks and changes nothing.
    change = {
        "act": "pause",
        "subsystem": PARTNER,
        "name": "deaths",
        "request_id": str(uuid.uuid4()),
        "form_token": await auditor.form_token(),
    }
    assert (await auditor.post("/deliveries/change", change)).status == 403
    assert scene.exchange.requests("PauseSubscription") == []


async def test_a_search_that_cannot_be_understood_is_not_asked(scene: Scene) -> None:
    reader = await scene.console.signed_in("auditor")
    page = await reader.get("/log?trace=xyz&window=custom&since=yesterday")
    assert "A trace id has 32 hexadecimal digits." in page.text
    assert "Give a day and a time" in page.text
    assert (await reader.get("/log?agreement=511702193801010012")).status == 400
    assert scene.exchange.requests("ListRecords") == []


async def test_a_record_is_verified_with_the_key_that_was_seen_first_and_no_other_later(
    scene: Scene, tmp_path: Path
) -> None:
    log = Log.open(tmp_path / "log", ORIGIN)
    log.append([a_record(number).encode() for number in range(9)])
    policy = f"log {SIGNER.verifier}\nwitness cq {WITNESS.verifier}\ngroup p any cq\nquorum p\n"
    keys = evidence.GetLogKeyResponse(origin=ORIGIN, policy=policy)
    scene.exchange.answers["GetLogKey"] = keys
    note = log.checkpoint().sign(SIGNER)
    bundle = evidence.GetBundleResponse(bundle=Bundle.of(log, 7, note).encode())
    scene.exchange.answers["GetBundle"] = lambda asked: (
        NoCosignature() if asked.cosigned else bundle
    )
    reader = await scene.console.signed_in("auditor")
    page = (await reader.get("/log/7")).text
    assert "Verified here" in page
    assert "nobody yet" in page
    assert "member/police" not in page.split("What the record says")[0]
    assert "户口登记条例 第三条" in page
    assert page.count("→ <code>") == len(log.inclusion_proof(7, 9))
    file = await reader.get("/log/7/bundle")
    assert file.text.encode() == bundle.bundle
    assert "record-7.tlog-proof" in file.headers["content-disposition"]

    note = note.signed(WITNESS.sign(note.text, 1_795_579_200))
    scene.exchange.answers["GetBundle"] = evidence.GetBundleResponse(
        bundle=Bundle.of(log, 7, note).encode()
    )
    page = (await reader.get("/log/7")).text
    assert "nobody yet" not in page
    assert "2026-11-25 12:00:00" in page.split("Co-signed by")[1]

    # The exchange begins to sign with another key, and says that it is the right one.
    other = Signer.parse(signer_key(ORIGIN, bytes(32)))
    keys.policy = f"log {other.verifier}\nquorum none\n"
    scene.exchange.answers["GetBundle"] = evidence.GetBundleResponse(
        bundle=Bundle.of(log, 7, log.checkpoint().sign(other)).encode()
    )
    page = (await reader.get("/log/7")).text
    assert "Not verified." in page
    assert re.search(r'"not-ok">✗</b> The checkpoint is signed with the log', page)
    log.close()


async def test_lists_go_on_page_by_page(scene: Scene) -> None:
    answer = evidence.ListRecordsResponse(next_page_token="older+1/2=")
    answer.records.add(log_index=12, subsystem=PARTNER, method=DECEASED, code="OK", kind="delivery")
    scene.exchange.answers["ListRecords"] = answer
    reader = await scene.console.signed_in("auditor")
    page = (await reader.get("/log?kind=delivery")).text
    following = re.search(r'<a href="(/log\?[^"]+)">More</a>', page)
    assert following
    await reader.get(following[1].replace("&amp;", "&"))
    first, second = scene.exchange.requests("ListRecords")
    assert (first.page_token, second.page_token) == ("", "older+1/2=")
    assert second.kind == first.kind == "delivery"
    assert "a resident has died" in page


def a_webhook(scene: Scene) -> EventSubscription:
    """A partner's endpoint that has died, with a dead letter."""
    found = EventSubscription(
        subscription_key=f"{PARTNER}/deaths",
        subsystem=PARTNER,
        subscription_name="deaths",
        kind=DELIVERY_KIND_WEBHOOK,
        state=SUBSCRIPTION_STATE_PAUSED,
        pause_cause=PAUSE_CAUSE_ENDPOINT_DEAD,
        acknowledged_cursor=4_711,
    )
    found.webhook.url = "https://hooks.example/eldex"
    found.filter.event_types.append(DECEASED)
    answers = scene.exchange.answers
    answers["GetSubscription"] = delivery.GetSubscriptionResponse(subscription=found)
    listing = delivery.ListEventSubscriptionsResponse(subscriptions=[found])
    answers["ListEventSubscriptions"] = listing
    lag = SubscriptionLag(
        newest_cursor=5_711,
        lag_events=1_000,
        lag_seconds=3_600.0,
        retrying_events=8,
        dead_letters=1,
    )
    answers["GetLag"] = delivery.GetLagResponse(lag=lag)
    letter = DeliveryDeadLetter(
        dead_letter_key=f"{PARTNER}/deaths/4700",
        subscription_key=found.subscription_key,
        cursor=4_700,
        event_type=DECEASED,
        event_id="evt_1",
        subject="res_1",
        reason="HTTP_503",
        attempts=9,
        set_aside_at=Timestamp(seconds=1_795_579_200),
    )
    answers["ListDeadLetters"] = delivery.ListDeadLettersResponse(dead_letters=[letter])
    return found


async def confirmed(reader: Browserless, target: str, **more: str) -> Any:
    """Ask for a change, confirm it, and see what became of it."""
    asked = await reader.get(target)
    assert asked.status == 200, asked.text
    form = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', asked.text))
    reply = await reader.post("/deliveries/change", form | more)
    assert reply.status == 303, reply.text
    return await reader.get(reply.headers["location"])


async def test_a_subscriber_is_seen_held_resumed_replayed_and_redelivered_by_an_operator(
    scene: Scene,
) -> None:
    a_webhook(scene)
    reader = await scene.console.signed_in("operator")
    page = (await reader.get("/subscribers")).text
    row = re.search(r"<tbody>.*?</tr>", page, re.DOTALL)
    assert row
    cells = re.sub(r"<[^>]+>", " ", row[0]).split()
    assert cells == (
        "partner-500100/elder-care/deaths webhook paused 1,000 1 h 00 m 8 1 4,711".split()
    )
    page = (await reader.get(f"/subscribers/{PARTNER}/deaths")).text
    for said in (
        "the endpoint accepted nothing for too long",
        "the endpoint answered HTTP 503",
        "9 tries",
        "4,711 / 5,711",
        "a resident has died",
        "https://hooks.example/eldex",
    ):
        assert said in page, said
    link = f"/deliveries/change?subsystem={PARTNER}&name=deaths&act="
    for act in ("pause", "resume"):
        assert f"{act} a delivery: done" in re.sub(
            r"\s+", " ", (await confirmed(reader, link + act)).text
        ).replace("hold a delivery", "pause a delivery")
    await confirmed(reader, link + "replay-subscription&from_time=2026-11-25T08:30")
    await confirmed(reader, link + "replay-subscription&after_cursor=4000")
    await confirmed(reader, link + f"redeliver&letter={PARTNER}/deaths/4700")
    by_time, by_cursor = scene.exchange.requests("ReplaySubscription")
    assert by_time.from_time.ToJsonString() == "2026-11-25T00:30:00Z"
    assert by_cursor.after_cursor == 4_000
    [redelivered] = scene.exchange.requests("RedeliverDeadLetter")
    assert redelivered.dead_letter_key == f"{PARTNER}/deaths/4700"
    for name in ("PauseSubscription", "ResumeSubscription"):
        [request] = scene.exchange.requests(name)
        assert (request.subsystem, request.subscription_name) == (PARTNER, "deaths")

    scene.exchange.answers["ResumeSubscription"] = AlreadyExists("EndpointDisagrees")
    refused = (await confirmed(reader, link + "resume")).text
    assert "ALREADY_EXISTS" in refused
    rows = re.findall(r"<tr>.*?</tr>", (await reader.get("/actions")).text, re.DOTALL)
    told = [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in rows]
    assert any("replay a subscription" in row and "from 4000 done" in row for row in told)
    assert sum("resume a delivery" in row and row.endswith("asked") for row in told) == 2


async def test_a_replay_needs_one_point_to_begin_at(scene: Scene) -> None:
    a_webhook(scene)
    reader = await scene.console.signed_in("operator")
    link = f"/deliveries/change?subsystem={PARTNER}&name=deaths&act=replay-subscription"
    for start in (
        "",
        "&from_time=soon",
        "&after_cursor=-1",
        "&after_cursor=1&from_time=2026-11-25",
    ):
        reply = await reader.get(link + start)
        assert (reply.status, "say where to begin" in reply.text) == (400, True), start
    assert scene.exchange.requests("ReplaySubscription") == []


def test_nothing_that_an_agreement_says_is_missing_where_versions_are_compared() -> None:
    plain = agreement_pb2.Agreement(agreement_key="a", subsystem="member/a/b", legal_basis="x")
    plain.valid_from.year, plain.valid_from.month, plain.valid_from.day = 2026, 1, 1
    plain.purposes.append("care")
    known = wire.agreement(plain)
    for field_ in plain.DESCRIPTOR.fields:
        if field_.name in {"agreement_key", "etag"}:
            continue
        other = agreement_pb2.Agreement()
        other.CopyFrom(plain)
        value: Any = getattr(other, field_.name)
        match field_.name:
            case "valid_from" | "valid_to":
                value.year, value.month, value.day = 2027, 1, 1
            case "purpose_terms":
                value.add(purpose="care", legal_basis="y", requires_consent=True)
            case "field_grants":
                value.add(method="/s/M", reply_fields=["name"])
            case "event_grants":
                value.add(event_type=DECEASED)
            case _ if field_.is_repeated:
                value.append("x")
            case _:
                setattr(other, field_.name, type(value)(1))
        found = changes(known, wire.agreement(other))
        assert found, f"{field_.name} can change unseen: tell it in wire/exchange.py"
        assert {change.term for change in found} <= set(words.NAMED["term"])


async def test_what_changed_between_versions_and_who_approved_is_shown(scene: Scene) -> None:
    versions = access.ListAgreementVersionsResponse()
    for number, purposes in ((3, ["a-care", "b-audit"]), (2, ["a-care"]), (1, ["c-old"])):
        each = versions.versions.add(version=number)
        each.recorded_at.FromDatetime(datetime(2026, 11, number, tzinfo=UTC))
        each.agreement.agreement_key = "finance-residents"
        each.agreement.subsystem = "member/finance/payments"
        each.agreement.purposes.extend(purposes)
        each.agreement.legal_basis = "预算法"
        each.agreement.valid_from.year, each.agreement.valid_from.month = 2026, 1
        each.agreement.valid_from.day = 1
    scene.exchange.answers["ListAgreementVersions"] = versions
    approved = catalogue.ListAccessRequestsResponse()
    request = approved.access_requests.add(
        request_key="acr_1", resource_code="101001/000001", subsystem="member/finance/payments",
        state=2, official_code="cz-0007", agreement_key="finance-residents",
    )  # fmt: skip
    request.requested_on.year, request.requested_on.month, request.requested_on.day = 2026, 1, 1
    for role, official in ((1, "ga-3310"), (2, "op-0001")):
        decision = request.decisions.add(role=role, approved=True, official_code=official)
        decision.decided_on.year, decision.decided_on.month, decision.decided_on.day = 2026, 1, 2
    scene.exchange.answers["ListAccessRequests"] = approved
    reader = await scene.console.signed_in("viewer")
    page = (await reader.get("/agreements/finance-residents")).text
    assert "What changed from version 2 to version 3" in page
    assert re.findall(r"<(?:ins|del)>(.*?)</", page) == ["+ b-audit"]
    page = (await reader.get("/agreements/finance-residents?from=1&to=2")).text
    assert re.findall(r"<(?:ins|del)>(.*?)</", page) == ["− c-old", "+ a-care"]
    for official in ("ga-3310", "op-0001"):
        assert official in page
    assert scene.exchange.requests("ListAccessRequests")[0].agreement_key == "finance-residents"
    # Who may not look into the log is not led there.
    assert "/log?" not in page
