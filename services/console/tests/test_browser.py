"""The console as a person at operations uses it, in a real browser, at a desk and on a phone."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.async_api import Page, ViewportSize, async_playwright, expect

from eldex.common.kafka import FlowState

if TYPE_CHECKING:
    from services.console.tests.conftest import Console, Death

pytestmark = pytest.mark.browser

DESK: ViewportSize = {"width": 1360, "height": 900}
PHONE: ViewportSize = {"width": 360, "height": 740}
QUIET = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def browser() -> str:
    found = shutil.which("chromium")
    assert found, "install Debian's packages chromium and fonts-noto-cjk"
    return found


class Visit:
    """A page, and everything about it that must not happen."""

    def __init__(self, page: Page, url: str, pictures: Path) -> None:
        self.page, self.url, self._pictures = page, url, pictures
        self.elsewhere: list[str] = []
        self.complaints: list[str] = []
        page.on(
            "request", lambda r: None if r.url.startswith(url) else self.elsewhere.append(r.url)
        )
        page.on("console", lambda m: self._hear(m.type, m.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _hear(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.complaints.append(text)

    async def open(self, path: str) -> None:
        await self.page.goto(self.url + path)

    async def look(self, name: str) -> None:
        """Take a picture; nothing may stick out sideways."""
        await self.page.screenshot(path=self._pictures / f"{name}.png", full_page=True)
        wide, seen = await self.page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        assert wide <= seen, f"{name} is {wide} px wide in a window of {seen} px"

    async def sign_in(self, user: str, password: str) -> None:
        await self.page.locator("input[name=user]").fill(user)
        await self.page.locator("input[name=password]").fill(password)
        await self.page.locator("main button").click()
        await expect(self.page.locator(".who")).to_have_text(user)


@asynccontextmanager
async def visiting(
    console: Console, viewport: ViewportSize, locale: str, pictures: Path, dark: bool = False
) -> AsyncIterator[Visit]:
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=browser(), args=QUIET)
        context = await chromium.new_context(
            viewport=viewport, locale=locale, color_scheme="dark" if dark else "light"
        )
        context.set_default_timeout(15_000)
        visit = Visit(await context.new_page(), console.url, pictures)
        yield visit
        await chromium.close()
    assert visit.elsewhere == []
    assert visit.complaints == []


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("locale", ["zh-CN", "en-GB"])
async def test_an_operator_finds_a_death_follows_it_and_replays_what_was_set_aside(
    console: Console, death: Death, viewport: ViewportSize, locale: str, tmp_path: Path
) -> None:
    chinese = locale == "zh-CN"
    console.subsidies.readers.states = [FlowState("registry-residents", 0, 3, 2.5, "")]
    async with visiting(console, viewport, locale, tmp_path) as visit:
        page = visit.page
        await visit.open("/flows")
        await expect(page.locator("h1")).to_have_text("登录" if chinese else "Sign in")
        await visit.look("sign-in")
        await visit.sign_in("operator", console.passwords["operator"])
        await expect(page).to_have_url(console.url + "/flows")

        # A trace, searched for by an error in subsidies.
        await visit.open("/")
        await visit.look("overview")
        await page.locator("nav a[href='/traces']").click()
        await page.locator("select[name=service]").select_option("subsidies")
        operation = page.locator("#operation option[value='process registry-residents']")
        await expect(operation).to_be_attached()
        await page.locator("select[name=operation]").select_option("process registry-residents")
        await page.locator("input[name=errors]").check()
        await page.locator("form.search button").click()
        await expect(page.locator(".trace-line")).to_have_count(1)
        await visit.look("traces")

        # Its waterfall: folded, opened, read.
        await page.locator(".trace-line a").click()
        rows = page.locator(".waterfall > li:visible")
        await expect(rows).to_have_count(8)
        await expect(page.locator(".minimap rect")).to_have_count(8)
        await page.locator(".fold").nth(2).click()
        await expect(rows).to_have_count(3)
        await page.locator(".fold").nth(2).click()
        await expect(rows).to_have_count(8)
        await page.locator("summary", has_text="补贴" if chinese else "Subsidies").click()
        await expect(page.locator("details[open] .tags")).to_have_count(2)
        await expect(page.locator("details[open] .alert")).to_have_text("NO_POLICY_FOR_DIVISION")
        await visit.look("trace")

        # The matter of the resident.
        await visit.open("/matters")
        await page.locator("#q").fill(death.resident_key)
        await page.locator("form.find button").click()
        await expect(page.locator(".step")).to_have_count(8)
        sentence = "居民已去世" if chinese else "a resident has died"
        await expect(page.locator(".said", has_text=sentence).first).to_be_visible()
        await visit.look("matter")

        await visit.open("/map")
        await expect(page.locator("svg.map .node")).to_have_count(9)
        await visit.look("map")

        # The dead letter, replayed after the mend.
        await visit.open("/flows")
        await expect(page.locator(".letter")).to_have_count(1)
        await visit.look("flows")
        console.subsidies.mended = True
        await page.locator(".letter .button[href*=replay]").click()
        dialog = page.locator("dialog")
        await expect(dialog).to_be_visible()
        await visit.look("confirm")
        await dialog.locator("[data-close-dialog]").click()
        await expect(dialog).to_be_hidden()
        await page.locator(".letter .button[href*=replay]").click()
        await dialog.locator("button").click()
        await expect(page.locator(".notice")).to_be_visible()
        await expect(page.locator(".letter")).to_have_count(0)
        assert console.subsidies.ended == [death.resident_key]

        await visit.open("/actions")
        await expect(page.locator("tbody tr")).to_have_count(3)
        await visit.look("actions")
        # The other language is one click away, on the same page.
        await page.locator(".me > a").click()
        await expect(page.locator("h1")).to_have_text("Actions" if chinese else "操作日志")
        await expect(page).to_have_url(console.url + "/actions")


async def test_a_viewer_reads_everything_and_finds_no_button_to_replay(
    console: Console, death: Death, tmp_path: Path
) -> None:
    async with visiting(console, PHONE, "zh-CN", tmp_path) as visit:
        await visit.open("/flows")
        await visit.sign_in("viewer", console.passwords["viewer"])
        await expect(visit.page.locator(".letter")).to_contain_text("NO_POLICY_FOR_DIVISION")
        await expect(visit.page.locator(".letter .button")).to_have_count(0)
    assert death.event_id


async def test_the_lag_on_the_page_follows_the_department_without_a_reload(
    console: Console, tmp_path: Path
) -> None:
    console.subsidies.readers.states = [FlowState("registry-residents", 0, 77, 2.5, "")]
    async with visiting(console, DESK, "en-GB", tmp_path, dark=True) as visit:
        await visit.open("/flows")
        await visit.sign_in("viewer", console.passwords["viewer"])
        cell = visit.page.locator("tr", has_text="registry-residents").locator("td").nth(3)
        await expect(cell).to_have_text("77")
        console.subsidies.readers.states = [FlowState("registry-residents", 0, 0, 0.0, "")]
        await expect(cell).to_have_text("0", timeout=10_000)
        await visit.look("dark")


async def test_pages_are_named_labelled_and_usable_by_keyboard(
    console: Console, death: Death, tmp_path: Path
) -> None:
    async with visiting(console, DESK, "en-GB", tmp_path) as visit:
        page = visit.page
        await visit.open("/")
        await visit.sign_in("operator", console.passwords["operator"])
        for path in (
            "/",
            "/traces",
            f"/traces/{death.trace_id}",
            "/map",
            "/matters",
            "/flows",
            "/actions",
        ):
            await visit.open(path)
            assert re.fullmatch(r".+ · Eldex operations", await page.title())
            assert await page.locator("h1").count() == 1
            nameless = await page.evaluate(
                """[...document.querySelectorAll('button, a, input:not([type=hidden]), select')]
                   .filter(e => !(e.textContent || '').trim() && !e.getAttribute('aria-label')
                                && !(e.labels || []).length).map(e => e.outerHTML)"""
            )
            assert nameless == [], path
        await visit.open("/flows")
        await page.locator(".letter .button[href*=replay]").focus()
        await page.keyboard.press("Enter")
        await expect(page.locator("dialog")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.locator("dialog")).to_be_hidden()
        await expect(page.locator(".letter .button[href*=replay]")).to_be_focused()
