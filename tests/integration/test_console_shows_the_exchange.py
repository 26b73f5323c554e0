"""What operations look at, on the real city, in a real browser: who may what, the proof, the subscribers."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Page, ViewportSize, async_playwright, expect

from eldex.api.exchange.v1 import agreement_pb2, exchange_service_pb2
from eldex.api.exchange.v1 import catalogue_service_pb2 as catalogue
from eldex.api.exchange.v1 import delivery_pb2 as nouns
from eldex.api.exchange.v1 import delivery_service_pb2 as delivery
from eldex.api.registry.v1 import registry_service_pb2
from eldex.common.rpc.client import Peer, channel
from eldex.evidence.receipts import Receipt
from eldex.local import acts, pictures
from eldex.local.field import Field

pytestmark = pytest.mark.browser

RESIDENTS = "101001/000001"
DESK: ViewportSize = {"width": 1280, "height": 860}
PHONE: ViewportSize = {"width": 360, "height": 740}


@dataclass
class Story:
    """What has happened in the city before anybody looks."""

    field: Field
    receipt: Receipt
    agreement_key: str
    operations: Peer
    new_name: Callable[[], str]

    async def subscription(self, name: str) -> nouns.EventSubscription:
        """How the exchange has it."""
        request = delivery.GetSubscriptionRequest(
            subsystem="member/partner-500100/elder-care", subscription_name=name
        )
        answer = await self.operations.ask(
            "/eldex.api.exchange.v1.DeliveryService/GetSubscription",
            request,
            delivery.GetSubscriptionResponse,
        )
        return answer.subscription


@pytest_asyncio.fixture(loop_scope="session")
async def story(field: Field) -> AsyncIterator[Story]:
    """Somebody was looked up, an agreement has two versions, a request waits, a partner subscribes."""
    key, _ = await acts.enter_resident(field, name="罗桂芳", born_on="1939-03-03")
    look = registry_service_pb2.GetResidentRequest(resident_key=key)
    seen = await field["police"].ask("RegistryService/GetResident", look)
    await field["finance"].ask(
        "CatalogueService/RequestAccess",
        catalogue.RequestAccessRequest(
            resource_code=RESIDENTS,
            purpose=f"audit-{uuid.uuid4().hex[:8]}",
            legal_basis="中华人民共和国预算法",
            need="核对已故人员待遇",
            paths=["resident_key", "vital_status"],
            official_code="cz-0042",
        ),
    )
    opened = channel(field.stack.address("exchange"), field.stack.identity("service/console"))
    operations = Peer(opened, "exchange", 10.0)
    agreement = agreement_pb2.Agreement(
        agreement_key=f"health-look-{uuid.uuid4().hex[:8]}",
        subsystem="member/health/assessment",
        methods=["/eldex.api.registry.v1.RegistryService/GetHousehold"],
        purposes=["ability-assessment"],
        legal_basis="老年人能力评估规范",
    )
    agreement.valid_from.year, agreement.valid_from.month, agreement.valid_from.day = 2026, 1, 1
    service = "/eldex.api.exchange.v1.ExchangeService"
    for purposes in ([], ["follow-up"]):
        agreement.purposes.extend(purposes)
        asked = await operations.ask(
            f"{service}/PutAgreement",
            exchange_service_pb2.PutAgreementRequest(
                request_id=str(uuid.uuid4()), agreement=agreement, proposed_by="li.wei"
            ),
            exchange_service_pb2.PutAgreementResponse,
        )
        decided = await field["operations"].ask(
            "ExchangeService/DecideAgreementChange",
            exchange_service_pb2.DecideAgreementChangeRequest(
                agreement_key=agreement.agreement_key,
                etag=asked.change.etag,
                approved=True,
                decided_by="zhang.min",
            ),
        )
        agreement.CopyFrom(decided.reply.agreement)

    def new_name() -> str:
        return f"deaths-{uuid.uuid4().hex[:8]}"

    yield Story(field, Receipt.parse(seen.receipt), agreement.agreement_key, operations, new_name)
    await opened.close()


async def looks_right(page: Page) -> None:
    """Nothing sticks out sideways, and there is one heading."""
    wide, seen = await page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide <= seen, f"{page.url} is {wide} px wide in a window of {seen} px"
    await expect(page.locator("h1")).to_have_count(1)


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("locale", ["zh-CN", "en-GB"])
async def test_an_operator_finds_a_record_and_its_proof_an_agreement_a_request_and_holds_a_partner(
    story: Story, viewport: ViewportSize, locale: str
) -> None:
    chinese = locale == "zh-CN"
    stack = story.field.stack
    url = f"http://{stack.address('console-web')}"
    password = json.loads((stack.secrets / "console-passwords.json").read_text("utf-8"))["operator"]
    name = story.new_name()
    await story.field["partner"].ask(
        "DeliveryService/CreateSubscription",
        delivery.CreateSubscriptionRequest(
            subscription_name=name, kind=nouns.DELIVERY_KIND_STREAM, after_cursor=0
        ),
    )
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(
            executable_path=pictures.browser(), args=list(pictures.QUIET)
        )
        context = await chromium.new_context(viewport=viewport, locale=locale)
        context.set_default_timeout(20_000)
        page = await context.new_page()
        broken: list[str] = []
        page.on("pageerror", lambda error: broken.append(str(error)))
        await page.goto(f"{url}/log")
        await page.locator("input[name=user]").fill("operator")
        await page.locator("input[name=password]").fill(password)
        await page.locator("main button").click()

        # The look of the police, found by who and what, and verified here.
        await page.locator("select[name=window]").select_option("all")
        await page.locator("input[name=subsystem]").fill("police/household-registration")
        await page.locator("input[name=method]").fill(
            "/eldex.api.registry.v1.RegistryService/GetResident"
        )
        await page.locator("select[name=code]").select_option("OK")
        await page.locator("form.search button").click()
        await looks_right(page)
        await page.locator(f"a[href='/log/{story.receipt.index}']").click()
        await expect(page.locator("#verdict")).to_contain_text(
            "已在此核验" if chinese else "Verified here"
        )
        await expect(page.locator("#checks .ok")).to_have_count(3)
        await expect(
            page.locator(f"code:text-is('{story.receipt.leaf_hash.hex()}')")
        ).to_be_visible()
        await page.locator("details summary").click()
        await expect(page.locator(".path li").first).to_be_visible()
        await looks_right(page)
        await page.locator("a[href$='?explain=1#why']").click()
        await expect(page.locator("#why .mark.good")).to_have_text("允许" if chinese else "allowed")
        assert await page.locator("#why .ok").count() >= 5

        # The agreement, with what changed; members; the catalogue and the request that waits.
        await page.goto(f"{url}/agreements/{story.agreement_key}")
        await expect(page.locator("#changes ins")).to_have_text("+ follow-up")
        await looks_right(page)
        await page.goto(f"{url}/members")
        await expect(page.locator("a[href*='police']").first).to_be_visible()
        await looks_right(page)
        await page.goto(f"{url}/catalogue?class=conditional")
        await page.locator(f"a[href='/catalogue/{RESIDENTS}']").click()
        await expect(page.locator("h1")).not_to_be_empty()
        await expect(page.locator("tr", has_text="vital_status")).to_contain_text(
            "有条件共享" if chinese else "conditional"
        )
        await looks_right(page)
        await page.goto(f"{url}/catalogue/requests")
        await expect(page.locator(".letter", has_text="cz-0042").first).to_contain_text(
            "个工作日" if chinese else "working days"
        )
        await looks_right(page)

        # The partner: held, resumed, delivered again from the beginning, each confirmed.
        await page.goto(f"{url}/subscribers")
        await looks_right(page)
        await page.locator("a", has_text=name).click()
        dialog = page.locator("dialog")
        await page.locator("a.button[href*='act=pause']").click()
        await expect(dialog).to_be_visible()
        await dialog.locator("[data-close-dialog]").click()
        assert (await story.subscription(name)).state == nouns.SUBSCRIPTION_STATE_ACTIVE
        await page.locator("a.button[href*='act=pause']").click()
        await dialog.locator("button").click()
        await expect(page.locator(".notice")).to_be_visible()
        held = await story.subscription(name)
        assert (held.state, held.pause_cause) == (
            nouns.SUBSCRIPTION_STATE_PAUSED,
            nouns.PAUSE_CAUSE_OPERATOR,
        )
        await page.locator("a.button[href*='act=resume']").click()
        await dialog.locator("button").click()
        await expect(page.locator("a.button[href*='act=pause']")).to_be_visible()
        await page.locator("input[name=after_cursor]").fill("0")
        await page.locator("#replay button").click()
        await dialog.locator("button").click()
        await expect(page.locator(".notice")).to_be_visible()
        await looks_right(page)
        assert (await story.subscription(name)).state == nouns.SUBSCRIPTION_STATE_ACTIVE

        # Written down twice: here by the operator's name, in the message log as an operators' call.
        await page.goto(f"{url}/actions")
        row = page.locator("tr", has_text=f"{name} from 0").first
        await expect(row).to_contain_text("operator")
        await page.goto(f"{url}/log?window=1h&kind=admin&subsystem=service/console")
        said = "重放订阅" if chinese else "replay subscription"
        await expect(page.locator("tr", has_text=said).first).to_be_visible()
        await page.goto(url)
        await expect(page.locator(".tile").first).to_contain_text(
            re.compile("证书有效期至 20" if chinese else "certificate until 20")
        )
        await looks_right(page)
        await chromium.close()
    assert broken == []


async def test_the_pictures_of_the_documentation_are_made_anew_by_one_command(
    story: Story, traced: Callable[[set[str]], Awaitable[None]], tmp_path: Path
) -> None:
    field = story.field
    key, _ = await acts.enter_resident(field, name="何秀兰", born_on="1938-04-04")
    told = await acts.register_death(field, key, "2026-11-01")
    await traced({told.trace_id})
    stack = field.stack
    passwords = json.loads((stack.secrets / "console-passwords.json").read_text("utf-8"))
    url = f"http://{stack.address('console-web')}"
    taken = await pictures.take(url, passwords["operator"], tmp_path)
    assert len({file.name for file in taken}) == 20
    for file in taken:
        assert file.read_bytes().startswith(b"\x89PNG"), file
