"""What waits for operators is decided in a real browser, and counts: at the exchange, and for who calls it."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from playwright.async_api import Page, ViewportSize, async_playwright, expect

from eldex.api.exchange.v1 import agreement_pb2, membership_pb2
from eldex.api.exchange.v1 import catalogue_service_pb2 as catalogue
from eldex.api.exchange.v1 import exchange_service_pb2 as exchange
from eldex.api.exchange.v1 import joining_service_pb2 as joining_pb
from eldex.api.exchange.v1 import membership_service_pb2 as membership
from eldex.api.exchange.v1.catalogue_service_pb2_grpc import CatalogueServiceStub
from eldex.api.exchange.v1.joining_service_pb2_grpc import JoiningServiceStub
from eldex.api.registry.v1 import registry_service_pb2 as registry
from eldex.common.rpc.client import Peer, channel
from eldex.local import acts, pictures
from eldex.local.field import Field, Refused
from tests.integration.test_console_shows_the_exchange import DESK, PHONE, looks_right

pytestmark = pytest.mark.browser
expect.set_options(timeout=20_000)  # a page may have to wait for its turn on a busy machine

_SERVICE = "/eldex.api.exchange.v1."
LOOK = "/eldex.api.registry.v1.RegistryService/GetResident"


@dataclass
class Applicant:
    """A day-care platform that has asked to join, and whom the provider has approved."""

    joining: membership_pb2.Joining
    door: Any
    token: str
    key: bytes

    async def certificate(self) -> bytes:
        """What it was given; empty as long as it is not admitted."""
        got = await self.door.GetJoinRequest(
            joining_pb.GetJoinRequestRequest(), metadata=_bearer(self.token)
        )
        return bytes(got.joining.certificate_pem, "ascii")


def _bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


@dataclass
class Story:
    """A city, its operators, and what they are asked."""

    city: Field
    console: Peer
    closing: AsyncExitStack
    resident: str
    purposes: list[str] = field(default_factory=list)

    @property
    def authorities(self) -> bytes:
        return (self.city.stack.identity("service/console") / "ca.pem").read_bytes()

    async def new_agreement(self, proposed_by: str) -> str:
        """Health asks for a look at residents; proposed at the seat of the member `operations`."""
        key = f"health-look-{uuid.uuid4().hex[:8]}"
        self.purposes.append(f"follow-up-{uuid.uuid4().hex[:8]}")
        wanted = agreement_pb2.Agreement(
            agreement_key=key,
            subsystem="member/health/assessment",
            methods=[LOOK],
            purposes=[self.purposes[-1]],
            legal_basis="老年人能力评估规范",
        )
        wanted.valid_from.year, wanted.valid_from.month, wanted.valid_from.day = 2026, 1, 1
        await self.city["operations"].ask(
            "ExchangeService/PutAgreement",
            exchange.PutAgreementRequest(agreement=wanted, proposed_by=proposed_by),
        )
        return key

    async def in_force(self, key: str) -> agreement_pb2.Agreement | None:
        """The agreement as the exchange has it."""
        found = await self.console.ask(
            f"{_SERVICE}ExchangeService/ListAgreements",
            exchange.ListAgreementsRequest(subsystem="member/health/assessment", page_size=500),
            exchange.ListAgreementsResponse,
        )
        return next((each for each in found.agreements if each.agreement_key == key), None)

    async def look(self) -> str:
        """Health looks at a resident for the newest purpose; the reason of the refusal, or empty."""
        request = registry.GetResidentRequest(resident_key=self.resident)
        try:
            await self.city["health"].ask(
                "RegistryService/GetResident", request, purpose=self.purposes[-1]
            )
        except Refused as refused:
            return refused.reason
        return ""

    async def applicant(self) -> Applicant:
        """Somebody is invited and asks; the police, who provide what it needs, have approved."""
        token, subsystem = secrets.token_hex(32), f"member/day-care-{uuid.uuid4().hex[:8]}/desk"
        await self.console.ask(
            f"{_SERVICE}MembershipService/InviteMember",
            membership.InviteMemberRequest(
                request_id=str(uuid.uuid4()),
                subsystem=subsystem,
                token_digest=hashlib.sha256(token.encode()).hexdigest(),
            ),
            membership.InviteMemberResponse,
        )
        opened = grpc.aio.secure_channel(
            self.city.stack.address("exchange-join"),
            grpc.ssl_channel_credentials(self.authorities),
        )
        self.closing.push_async_callback(opened.close)
        key = ec.generate_private_key(ec.SECP256R1())
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        csr = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()
        request_id = str(uuid.uuid4())
        asked = await JoiningServiceStub(opened).RequestToJoin(
            joining_pb.RequestToJoinRequest(
                request_id=request_id,
                certificate_signing_request_pem=csr,
                access=catalogue.RequestAccessRequest(
                    request_id=request_id,
                    resource_code="101001/000001",
                    purpose="cross-city-settlement",
                    legal_basis="川渝养老服务协作协议（虚构）",
                    need="核对异地托养老人状态",
                    paths=["resident_key", "vital_status"],
                    official_code="cq-0001",
                ),
            ),
            metadata=_bearer(token),
        )
        await self.city["police"].ask(
            "MembershipService/DecideJoining",
            membership.DecideJoiningRequest(
                joining_key=asked.joining.joining_key,
                approved=True,
                reason="已核",
                official_code="ga-3310",
            ),
        )
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        door = JoiningServiceStub(opened)
        return Applicant(asked.joining, door, token, pem)

    def connection(self, applicant: Applicant, certificate: bytes) -> Any:
        """What a member may ask about itself, on a connection with its certificate."""
        credentials = grpc.ssl_channel_credentials(self.authorities, applicant.key, certificate)
        opened = grpc.aio.secure_channel(self.city.stack.address("exchange"), credentials)
        self.closing.push_async_callback(opened.close)
        return CatalogueServiceStub(opened)


@pytest_asyncio.fixture(loop_scope="session")
async def story(field: Field) -> AsyncIterator[Story]:
    resident, _ = await acts.enter_resident(field, name="何春梅", born_on="1938-02-02")
    async with AsyncExitStack() as closing:
        stack = field.stack
        opened = channel(stack.address("exchange"), stack.identity("service/console"))
        closing.push_async_callback(opened.close)
        yield Story(field, Peer(opened, "exchange", 10.0), closing, resident)


@pytest_asyncio.fixture(loop_scope="session")
async def browsing() -> AsyncIterator[Any]:
    """Opens windows of a real browser; nothing in them may break."""
    broken: list[str] = []
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=pictures.browser(), args=list(pictures.QUIET)
        )

        async def window(viewport: ViewportSize, locale: str) -> Page:
            context = await chromium.new_context(viewport=viewport, locale=locale)
            context.set_default_timeout(20_000)
            page = await context.new_page()
            page.on("pageerror", lambda error: broken.append(str(error)))
            return page

        yield window
        await chromium.close()
    assert broken == []


async def sign_in(page: Page, story: Story, path: str, user: str = "operator") -> None:
    stack = story.city.stack
    passwords = json.loads((stack.secrets / "console-passwords.json").read_text("utf-8"))
    await page.goto(f"http://{stack.address('console-web')}{path}")
    await page.locator("input[name=user]").fill(user)
    await page.locator("input[name=password]").fill(passwords[user])
    await page.locator("main button").click()


EVERYWHERE = pytest.mark.parametrize(
    ("viewport", "locale"),
    [(DESK, "zh-CN"), (DESK, "en-GB"), (PHONE, "zh-CN"), (PHONE, "en-GB")],
    ids=["desk-zh", "desk-en", "phone-zh", "phone-en"],
)


@EVERYWHERE
async def test_a_change_is_in_force_when_an_operator_has_approved_it_and_not_before(
    story: Story, browsing: Any, viewport: ViewportSize, locale: str
) -> None:
    chinese = locale == "zh-CN"
    key = await story.new_agreement("zhang.min")
    assert await story.look() == "ACCESS_DENIED"
    page = await browsing(viewport, locale)
    await sign_in(page, story, "/agreements")
    waiting = page.locator("#waiting li", has_text=key)
    await expect(waiting).to_contain_text("operations/watch")
    await expect(waiting.locator("ins", has_text=story.purposes[-1])).to_be_visible()
    await looks_right(page)

    # Looked at, and left: nothing happens.
    dialog = page.locator("dialog")
    await waiting.locator("a.button[href$=approve]").click()
    await expect(dialog.locator("ins", has_text=LOOK)).to_be_visible()
    await dialog.locator("[data-close-dialog]").click()
    assert await story.in_force(key) is None

    await waiting.locator("a.button[href$=approve]").click()
    await dialog.locator("button").click()
    await expect(page.locator(".notice")).to_contain_text("完成" if chinese else "done")
    await expect(page.locator("#asked")).to_contain_text(
        "operator 审批 · service/console" if chinese else "decided by operator · service/console"
    )
    await looks_right(page)
    found = await story.in_force(key)
    assert found is not None
    assert list(found.purposes) == story.purposes[-1:]
    assert await story.look() == ""

    # The same account at another seat is not a second person, and is told so; then it is refused.
    own = await story.new_agreement("operator")
    await page.goto(re.sub(r"/agreements.*", f"/agreements/{own}", page.url))
    await page.locator("a.button[href$=approve]").click()
    await dialog.locator("button").click()
    await expect(page.locator(".alert")).to_contain_text("SECOND_PERSON_NEEDED")
    await expect(page.locator(".alert")).to_contain_text(
        "须由两名不同的经办人办理" if chinese else "it takes different people"
    )
    assert await story.look() == "ACCESS_DENIED"
    await page.locator("a.button[href$=refuse]").click()
    await dialog.locator("input[name=reason]").fill("用途不明")
    await dialog.locator("button").click()
    await expect(page.locator("#asked")).to_contain_text("用途不明")
    await expect(page.locator("a.button")).to_have_count(0)
    await looks_right(page)
    assert await story.in_force(own) is None
    await page.goto(re.sub(r"/agreements.*", "/actions", page.url))
    row = page.locator("tr", has_text=f"{own}: 用途不明").first
    await expect(row).to_contain_text("operator")


@EVERYWHERE
async def test_a_member_is_admitted_and_loses_its_certificate_in_the_browser(
    story: Story, browsing: Any, viewport: ViewportSize, locale: str
) -> None:
    chinese = locale == "zh-CN"
    applicant = await story.applicant()
    subsystem = applicant.joining.subsystem.removeprefix("member/")
    page = await browsing(viewport, locale)
    await sign_in(page, story, "/members/joinings")
    waiting = page.locator(".letter", has_text=subsystem)
    await expect(waiting).to_contain_text(applicant.joining.key_digest)
    await expect(waiting).to_contain_text("ga-3310")
    await expect(waiting).to_contain_text("个工作日" if chinese else "working days")
    await looks_right(page)
    assert await applicant.certificate() == b""
    dialog = page.locator("dialog")
    await waiting.locator("a.button[href$=admit]").click()
    await dialog.locator("input[name=reason]").fill("密钥摘要已电话核对")
    await dialog.locator("button").click()
    await expect(page.locator(".notice")).to_be_visible()
    await expect(waiting).to_have_count(0)
    member = story.connection(applicant, await applicant.certificate())
    rights = await member.ListMyRights(catalogue.ListMyRightsRequest())
    assert len(rights.rights) == 1

    await page.locator("a[href$='state=admitted']").click()
    admitted = page.locator(".letter", has_text=subsystem)
    await expect(admitted).to_contain_text(rights.rights[0].agreement_key)
    await admitted.locator("a[href*=certificates]").click()
    row = page.locator("tbody tr")
    await expect(row).to_have_count(1)
    await expect(row).to_contain_text("有效" if chinese else "in force")
    await looks_right(page)
    await row.locator("a.button").click()
    await dialog.locator("input[name=reason]").fill("密钥可能泄露")
    await dialog.locator("button").click()
    await expect(page.locator(".notice")).to_be_visible()
    await expect(row).to_contain_text("密钥可能泄露")
    await expect(row.locator("a.button")).to_have_count(0)
    await looks_right(page)
    # On the connection that stands, and on a new one.
    for each in (member, story.connection(applicant, await applicant.certificate())):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await each.ListMyRights(catalogue.ListMyRightsRequest())
        assert "revoked" in (refused.value.details() or "")


async def test_who_is_no_operator_sees_what_waits_and_finds_no_button(
    story: Story, browsing: Any
) -> None:
    key = await story.new_agreement("zhang.min")
    applicant = await story.applicant()
    page = await browsing(PHONE, "zh-CN")
    await sign_in(page, story, "/agreements", "viewer")
    await expect(page.locator("#waiting li", has_text=key)).to_be_visible()
    for path, said in (
        (f"/agreements/{key}", story.purposes[-1]),
        ("/members/joinings", applicant.joining.key_digest),
        ("/members/certificates", "证书"),
    ):
        await page.goto(re.sub(r"/(agreements|members).*", path, page.url))
        await expect(page.locator("main")).to_contain_text(said)
        await expect(page.locator("a.button")).to_have_count(0)
    assert Path(page.url).name == "certificates"
