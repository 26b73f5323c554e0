"""Make the pictures of the documentation anew: `python -m eldex.local.pictures` beside a running city.

Needs Chromium (Debian: `apt-get install chromium fonts-noto-cjk`). The pictures show what is there,
so play the stories first (`make demo`, or `make up` and some calls).
"""

import argparse
import asyncio
import json
import os
import shutil
from pathlib import Path
from typing import Final

from playwright.async_api import BrowserContext, Page, ViewportSize, async_playwright

from eldex.local.process import PartFailed
from eldex.local.stack import BadSetting, Settings

_ROOT: Final = Path(__file__).parents[5]
_DESK: Final[ViewportSize] = {"width": 1280, "height": 860}
_PHONE: Final[ViewportSize] = {"width": 390, "height": 780}
_LANGUAGES: Final = {"en": "en-GB", "zh": "zh-CN"}
QUIET: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_STORY: Final = "RegisterDeath"
"""The rpc whose newest trace is shown."""


def browser() -> str:
    """The Chromium to use: `ELDEX_CHROMIUM`, else one on the PATH."""
    for name in (os.environ.get("ELDEX_CHROMIUM"), "chromium", "chromium-browser", "google-chrome"):
        if name and (found := shutil.which(name)):
            return found
    raise PartFailed(
        "Chromium is not there: install Debian's packages chromium and fonts-noto-cjk, or name one "
        "with ELDEX_CHROMIUM"
    )


async def take(url: str, password: str, folder: Path) -> list[Path]:
    """Take every picture, in both languages, into a folder that exists; returns the files."""
    taken = []
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=browser(), args=list(QUIET))
        for language, locale in _LANGUAGES.items():
            desk = await chromium.new_context(viewport=_DESK, locale=locale, device_scale_factor=1)
            page = await _signed_in(desk, url, password)
            trace = await _newest_trace(page, url)
            matter = f"/matters?q={trace}"
            record = await _first_record(page, url, trace)
            for name, path in {
                "overview": "/",
                "traces": "/traces?window=1d&service=registry",
                "trace": f"/traces/{trace}",
                "matter": matter,
                "map": "/map?window=1d",
                "flows": "/flows",
                "record": record,
                "subscribers": "/subscribers",
                "catalogue": "/catalogue",
            }.items():
                await _open(page, url + path)
                taken.append(await _shoot(page, folder / f"{name}-{language}.png"))
            phone = await chromium.new_context(
                viewport=_PHONE, locale=locale, storage_state=await desk.storage_state()
            )
            small = await phone.new_page()
            await _open(small, url + matter)
            taken.append(await _shoot(small, folder / f"phone-{language}.png"))
        await chromium.close()
    return taken


async def _signed_in(context: BrowserContext, url: str, password: str) -> Page:
    page = await context.new_page()
    await page.goto(f"{url}/sign-in")
    await page.locator("input[name=user]").fill("operator")
    await page.locator("input[name=password]").fill(password)
    await page.locator("main button").click()
    if await page.locator("main [role=alert]").count():
        raise PartFailed("the console did not let the operator in: is this the city's console?")
    return page


async def _newest_trace(page: Page, url: str) -> str:
    """The id of the newest trace of the story."""
    await page.goto(f"{url}/traces?service=exchange&window=7d")
    options = page.locator(f"#operation option[value$={_STORY}]")
    if not await options.count():
        raise PartFailed("no death has been registered in this city yet: run `make demo` first")
    operation = await options.first.get_attribute("value")
    await page.locator("select[name=operation]").select_option(operation)
    await page.locator("form.search button").click()
    await page.locator(".trace-line a").first.click()
    return page.url.rpartition("/")[2]


async def _first_record(page: Page, url: str, trace: str) -> str:
    """The record of the call that the story begins with; the search itself, if there is none."""
    search = f"/log?window=all&trace={trace}"
    await page.goto(url + search)
    found = page.locator("tbody a[href^='/log/']")
    return await found.last.get_attribute("href") or search if await found.count() else search


async def _open(page: Page, address: str) -> None:
    """Go there; a page that tells of a failure is no picture."""
    answer = await page.goto(address)
    if answer is None or not answer.ok:
        said = await page.locator("main").inner_text()
        raise PartFailed(f"{address} could not be shown: {' '.join(said.split())}")


async def _shoot(page: Page, file: Path) -> Path:
    await page.screenshot(path=file, animations="disabled")
    return file


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m eldex.local.pictures")
    parser.add_argument("url", nargs="?", help="the console; the local city's without")
    parser.add_argument("--city", default="511700", help="division code of the local city")
    parser.add_argument("--folder", type=Path, default=_ROOT / "docs" / "pictures")
    asked = parser.parse_args()
    try:
        settings = Settings.from_env(asked.city)
        url = asked.url or f"http://127.0.0.1:{settings.ports['console-web']}"
        kept = settings.root / "secrets" / "console-passwords.json"
        if not kept.exists():
            raise PartFailed(f"{kept} is not there: start the city with `make up`")
        password = json.loads(kept.read_text("utf-8"))["operator"]
        asked.folder.mkdir(parents=True, exist_ok=True)
        for file in asyncio.run(take(url.rstrip("/"), password, asked.folder)):
            print(file)
    except (PartFailed, BadSetting) as error:
        raise SystemExit(f"eldex: {error}") from None


if __name__ == "__main__":
    main()
