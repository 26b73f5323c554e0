"""What waits for operators of the exchange: changes of agreements, joinings, certificates to be revoked."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from eldex.api.exchange.v1 import access_service_pb2 as access
from eldex.api.exchange.v1 import agreement_pb2, catalogue_pb2, membership_pb2
from eldex.api.exchange.v1 import catalogue_service_pb2 as catalogue
from eldex.api.exchange.v1 import exchange_service_pb2 as exchange
from eldex.api.exchange.v1 import membership_service_pb2 as membership
from eldex.common.errors import DomainError, Kind
from eldex.console.domain.membership import Certificate, Validity, current

if TYPE_CHECKING:
    from services.console.tests.conftest import Browserless, Reply, Scene

NOW = datetime.now(UTC)
GET_RESIDENT = "/eldex.api.registry.v1.RegistryService/GetResident"


class SecondPersonNeeded(DomainError):
    kind, reason = Kind.DENIED, "SECOND_PERSON_NEEDED"
    zh, en = "须由两名不同的经办人办理", "it takes different people"


def plain(html: str) -> str:
    """What a reader sees."""
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def agreement(key: str, *purposes: str, **more: Any) -> agreement_pb2.Agreement:
    made = agreement_pb2.Agreement(
        agreement_key=key,
        subsystem="member/finance/payments",
        methods=[GET_RESIDENT],
        purposes=purposes,
        legal_basis="预算法",
        **more,
    )
    made.valid_from.year, made.valid_from.month, made.valid_from.day = 2026, 1, 1
    return made


def asked_for(wanted: agreement_pb2.Agreement, seat: str, etag: str) -> Any:
    change = agreement_pb2.AgreementChange(
        wanted=wanted,
        based_on_etag=wanted.etag,
        state=agreement_pb2.AGREEMENT_CHANGE_STATE_WAITING,
        proposed_by="li.wei",
        proposed_with=seat,
        etag=etag,
    )
    change.proposed_at.FromDatetime(NOW)
    return change


def two_changes(scene: Scene) -> None:
    """One of an agreement in force, asked for at another seat; one of a new agreement, at this one."""
    grant = agreement_pb2.FieldGrant(method=GET_RESIDENT, reply_fields=["resident.vital_status"])
    present = agreement("finance-look", "audit", etag="4", field_grants=[grant], rows_per_day=100)
    wanted = agreement("finance-look", "audit", "survey", etag="4")
    answers = scene.exchange.answers
    answers["ListAgreements"] = exchange.ListAgreementsResponse(agreements=[present])
    changes = [
        asked_for(wanted, "member/operations/watch", "w-1"),
        asked_for(agreement("finance-new", "audit"), "service/console", "w-2"),
    ]
    answers["ListAgreementChanges"] = exchange.ListAgreementChangesResponse(changes=changes)
    versions = access.ListAgreementVersionsResponse()
    versions.versions.add(agreement=present, version=4).recorded_at.FromDatetime(NOW)
    answers["ListAgreementVersions"] = lambda request: (
        versions if request.agreement_key == "finance-look" else NoSuchAgreement()
    )


class NoSuchAgreement(DomainError):
    kind, reason = Kind.NOT_FOUND, "NOT_FOUND"
    zh, en = "找不到协议", "no agreement"


async def confirmed(reader: Browserless, target: str, **more: str) -> Reply:
    """Ask for it, confirm it, and see what became of it."""
    question = await reader.get(target)
    assert question.status == 200, question.text
    form = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', question.text))
    reply = await reader.post(target.partition("?")[0], form | more)
    assert reply.status == 303, reply.text
    return await reader.get(reply.headers["location"])


async def test_what_waits_is_shown_with_all_that_it_gives_more(scene: Scene) -> None:
    two_changes(scene)
    viewer = await scene.console.signed_in("viewer")
    page = (await viewer.get("/agreements")).text
    known, new = page.split('<li class="asked">')[1:]
    assert "asked for by li.wei · operations/watch ·" in plain(known)
    assert re.findall(r"<(?:ins|del)>(.*?)</", known) == [
        "+ survey",
        f"− {GET_RESIDENT}: resident.vital_status",
        f"− {GET_RESIDENT}: –",
        "− 100",
    ]
    # What is not named any more is not limited any more: a reader of the difference is told so.
    assert known.count(">no limit<") == 3
    assert "+ member/finance/payments" in plain(new)
    assert "A new agreement." in new
    assert "/approve" not in page
    assert "/refuse" not in page

    operator = await scene.console.signed_in("operator")
    known, new = (await operator.get("/agreements")).text.split('<li class="asked">')[1:]
    assert 'href="/agreements/finance-look/approve"' in known
    assert "this console" not in plain(known)
    # One seat: what it has asked for itself it can take back and never approve.
    assert "/agreements/finance-new/approve" not in new
    assert 'href="/agreements/finance-new/refuse"' in new
    assert "another seat, with a certificate of its own, approves it" in new
    page = (await operator.get("/agreements/finance-new")).text
    assert "+ audit" in plain(page)
    assert "not in force" in page


async def test_an_agreement_that_has_changed_since_is_not_offered_for_approval(
    scene: Scene,
) -> None:
    two_changes(scene)
    scene.exchange.answers["ListAgreements"].agreements[0].etag = "5"
    operator = await scene.console.signed_in("operator")
    page = (await operator.get("/agreements")).text
    assert "The agreement has changed since" in page
    assert "/agreements/finance-look/approve" not in page
    assert "/agreements/finance-look/refuse" in page


async def test_an_operator_approves_or_refuses_what_was_looked_at_under_its_own_name(
    scene: Scene,
) -> None:
    two_changes(scene)
    reader = await scene.console.signed_in("operator")
    question = (await reader.get("/agreements/finance-look/approve")).text
    assert "+ survey" in plain(question)
    done = await confirmed(reader, "/agreements/finance-look/approve")
    assert "approve a change of an agreement: done" in plain(done.text)
    [request] = scene.exchange.requests("DecideAgreementChange")
    assert (request.agreement_key, request.etag) == ("finance-look", "w-1")
    assert (request.approved, request.decided_by) == (True, "operator")

    refused = await confirmed(reader, "/agreements/finance-look/refuse", reason=" ")
    assert "REASON_MISSING say why" in plain(refused.text)
    assert len(scene.exchange.requests("DecideAgreementChange")) == 1
    reason = "与 511702193801010012 无关"
    await confirmed(reader, "/agreements/finance-look/refuse", reason=reason)
    request = scene.exchange.requests("DecideAgreementChange")[1]
    assert (request.approved, request.reason) == (False, "与 <identity-number> 无关")
    told = plain((await reader.get("/actions")).text)
    assert "operator 127.0.0.1 approve a change of an agreement finance-look done" in told
    assert "refuse a change of an agreement finance-look: 与" in told
    assert "511702193801010012" not in told


async def test_that_it_takes_another_person_is_said_in_the_readers_words(scene: Scene) -> None:
    two_changes(scene)
    scene.exchange.answers["DecideAgreementChange"] = SecondPersonNeeded()
    reader = await scene.console.signed_in("operator")
    page = await confirmed(reader, "/agreements/finance-look/approve")
    assert "SECOND_PERSON_NEEDED it takes different people" in plain(page.text)
    assert "approve a change of an agreement: done" not in plain(page.text)


async def test_who_is_no_operator_decides_nothing_and_the_try_is_recorded(scene: Scene) -> None:
    two_changes(scene)
    some_members(scene)
    auditor = await scene.console.signed_in("auditor")
    for path in (
        "/agreements/finance-look/approve",
        "/members/joinings/jng_1/admit",
        "/members/certificates/AB01/revoke",
    ):
        assert (await auditor.get(path)).status == 403, path
        form = {"reason": "x", "form_token": await auditor.form_token()}
        assert (await auditor.post(path, form)).status == 403, path
    asked = {name for name, _ in scene.exchange.asked}
    assert not asked & {"DecideAgreementChange", "DecideJoining", "RevokeCertificate"}
    assert plain((await auditor.get("/actions")).text).count("ACCESS_DENIED") == 3
    for path in ("/members/joinings", "/members/certificates"):
        page = (await auditor.get(path)).text
        assert "hx-get" not in page, path


def some_members(scene: Scene) -> None:
    """One asks to join; of three certificates one ends soon, one was revoked."""
    joining = membership_pb2.Joining(
        joining_key="jng_1",
        subsystem="member/partner-500100/day-care",
        state=membership_pb2.JOINING_STATE_PENDING,
        official_code="cq-0001",
        key_digest="ab" * 32,
        access_request_key="acr_1",
        provider="police",
        awaits=[catalogue_pb2.DECISION_ROLE_OPERATOR],
        etag="2",
    )
    joining.token_ends_at.FromDatetime(NOW + timedelta(hours=60))
    decision = joining.decisions.add(
        role=catalogue_pb2.DECISION_ROLE_PROVIDER,
        approved=True,
        official_code="ga-1",
        reason="已核",
    )
    decision.decided_on.year, decision.decided_on.month, decision.decided_on.day = 2026, 11, 24
    answers = scene.exchange.answers
    answers["ListJoinings"] = membership.ListJoiningsResponse(joinings=[joining])
    request = catalogue_pb2.AccessRequest(
        request_key="acr_1",
        resource_code="101001/000001",
        subsystem=joining.subsystem,
        purpose="cross-city-settlement",
        need="核对异地托养老人状态",
        state=catalogue_pb2.ACCESS_REQUEST_STATE_PENDING,
        overdue=True,
        deadline=catalogue_pb2.AnswerDeadline(working_days=10),
    )
    day = request.deadline.due_on
    day.year, day.month, day.day = 2026, 12, 9
    request.requested_on.CopyFrom(day)
    answers["ListAccessRequests"] = catalogue.ListAccessRequestsResponse(access_requests=[request])

    found = membership.ListCertificatesResponse()
    for serial, left, revoked in (("AB01", 150, False), ("AB02", 30, False), ("AB03", 90, True)):
        each = found.certificates.add(serial_number=serial, subsystem=joining.subsystem)
        each.ends_at.FromDatetime(NOW + timedelta(hours=left))
        each.issued_at.FromDatetime(NOW + timedelta(hours=left - 168))
        if revoked:
            each.revoked_at.FromDatetime(NOW)
            each.revocation_reason, each.revoked_by = "密钥泄露", "511700/service/console"
    answers["ListCertificates"] = found


async def test_a_joining_is_shown_with_its_key_its_deadline_and_who_has_decided_and_is_decided(
    scene: Scene,
) -> None:
    some_members(scene)
    reader = await scene.console.signed_in("operator")
    page = plain((await reader.get("/members/joinings")).text)
    for said in (
        "partner-500100/day-care",
        "asked for by cq-0001",
        "ab" * 32,
        "to be answered by 2026-12-09",
        "overdue",
        "waits for: operator of the exchange",
        "provider: approved ga-1 · 2026-11-24 · 已核",
        "核对异地托养老人状态",
    ):
        assert said in page, said
    [asked] = scene.exchange.requests("ListJoinings")
    assert asked.state == membership_pb2.JOINING_STATE_PENDING
    await confirmed(reader, "/members/joinings/jng_1/admit", reason="密钥摘要已电话核对")
    await confirmed(reader, "/members/joinings/jng_1/refuse", reason="用途不符")
    admitted, refused = scene.exchange.requests("DecideJoining")
    assert (admitted.approved, admitted.official_code, admitted.etag) == (True, "operator", "2")
    assert (refused.approved, refused.reason) == (False, "用途不符")
    unsaid = await confirmed(reader, "/members/joinings/jng_1/admit", reason="")
    assert "REASON_MISSING" in unsaid.text
    assert len(scene.exchange.requests("DecideJoining")) == 2
    told = plain((await reader.get("/actions")).text)
    assert "admit a member jng_1: 密钥摘要已电话核对 done" in told


async def test_certificates_that_count_are_shown_as_they_end_and_one_is_revoked(
    scene: Scene,
) -> None:
    some_members(scene)
    reader = await scene.console.signed_in("operator")
    page = (await reader.get("/members/certificates")).text
    rows = [plain(row) for row in re.findall(r"<tr>.*?</tr>", page, re.DOTALL)[1:]]
    assert [row[:4] for row in rows] == ["AB02", "AB01"]
    assert "ends soon" in rows[0]
    assert '<span class="mark warn">ends soon</span>' in page
    page = plain((await reader.get("/members/certificates?kind=all")).text)
    assert "密钥泄露 · 511700/service/console" in page

    link = "/members/certificates/AB02/revoke?subsystem=member/partner-500100/day-care"
    assert (await reader.get(link.replace("AB02", "AB03"))).status == 404
    done = await confirmed(reader, link, reason="密钥泄露", with_renewed="1")
    assert "revoke a certificate: done" in plain(done.text)
    [request] = scene.exchange.requests("RevokeCertificate")
    assert (request.serial_number, request.with_renewed, request.reason) == (
        "AB02",
        True,
        "密钥泄露",
    )
    assert scene.exchange.requests("ListCertificates")[-1].revoked_only
    assert "revoke a certificate AB02: 密钥泄露 done" in plain((await reader.get("/actions")).text)


def test_a_certificate_is_near_its_end_when_a_third_of_its_time_is_left() -> None:
    def one(serial: str, hours_left: float, *, revoked: bool = False) -> Certificate:
        ends = NOW + timedelta(hours=hours_left)
        issued = ends - timedelta(hours=168)
        return Certificate(serial, "m", issued, ends, (), NOW if revoked else None, "", "")

    found = [one("a", 57), one("b", 55.9), one("c", 0), one("d", 90, revoked=True)]
    assert [each.validity(NOW) for each in found] == [
        Validity.GOOD,
        Validity.ENDING,
        Validity.ENDED,
        Validity.REVOKED,
    ]
    elsewhere = Certificate("e", "m", None, None, (), None, "", "")
    assert [each.serial_number for each in current([elsewhere, *found], NOW)] == ["b", "a", "e"]
