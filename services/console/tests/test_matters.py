"""One matter, followed across the departments in words."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from opentelemetry.trace import SpanKind

if TYPE_CHECKING:
    from services.console.tests.conftest import Console, Death


def told(page: str) -> list[str]:
    """The sentences of the time line."""
    steps = re.findall(r'<div class="said">\s*<p>(.*?)</p>', page, re.DOTALL)
    return [" ".join(html.unescape(re.sub(r"<[^>]+>", "", step)).split()) for step in steps]


async def test_a_death_is_told_step_by_step_whether_asked_by_trace_event_or_resident(
    console: Console, death: Death
) -> None:
    reader = await console.signed_in()
    pages = [
        (await reader.get(f"/matters?q={query}")).text
        for query in (death.trace_id, death.event_id, death.resident_key)
    ]
    assert told(pages[0]) == told(pages[1]) == told(pages[2])
    assert told(pages[0]) == [
        "Exchange let a call through: register death",
        "Registry did: register death",
        "Registry told: a resident has died",
        "Institutions acted on: a resident has died",
        "Subsidies could not act on: a resident has died",
        "Medical insurance acted on: a resident has died",
        "Medical insurance told: an insurance ended",
        "Exchange handed to partner-500100/elder-care: a resident has died",
    ]
    assert "asked by civil-affairs/elder-care" in pages[0]
    assert "+38 ms" in pages[0]
    assert "NO_POLICY_FOR_DIVISION" in pages[0]


async def test_the_same_matter_reads_in_chinese(console: Console, death: Death) -> None:
    reader = await console.signed_in()
    reader.language = "zh-CN,zh;q=0.9,en;q=0.5"
    page = (await reader.get(f"/matters?q={death.resident_key}")).text
    assert '<html lang="zh-CN">' in page
    sentences = [text.replace(" ", "") for text in told(page)]
    assert sentences[:3] == [
        "交换总线已放行：登记死亡",
        "登记已办理：登记死亡",
        "登记已通知：居民已去世",
    ]
    assert "养老机构已处理：居民已去世" in sentences


async def test_an_event_that_was_known_already_and_a_refused_call_are_told_so(
    console: Console,
) -> None:
    stories = console.telling()
    method = "eldex.api.registry.v1.RegistryService/MoveResident"
    asked = stories.span(
        "exchange", method, SpanKind.SERVER, 0, 2, error="ACCESS_DENIED",
        eldex__caller="police/household-registration", rpc__method=method,
    )  # fmt: skip
    stories.span(
        "medical", "process registry-residents", SpanKind.CONSUMER, 5, 1, asked,
        eldex__outcome="repeated", eldex__event__type="eldex.api.registry.v1.ResidentMoved",
    )  # fmt: skip
    await stories.arrive()
    reader = await console.signed_in()
    trace_id = f"{asked.get_span_context().trace_id:032x}"
    assert told((await reader.get(f"/matters?q={trace_id}")).text) == [
        "Exchange did not let a call through: move resident",
        "Medical insurance knew already: a resident moved to another division",
    ]


async def test_what_nobody_knows_is_said_to_be_unknown(console: Console) -> None:
    reader = await console.signed_in()
    assert "Nothing is known about it" in (await reader.get("/matters?q=res_nobody")).text


async def test_an_identity_number_is_neither_searched_for_nor_put_into_an_address(
    console: Console,
) -> None:
    reader = await console.signed_in()
    number = "511790194307121230"  # fictional: code 511790 was never given out
    token = await reader.form_token()
    for reply in (
        await reader.post("/matters", {"q": number, "form_token": token}),
        await reader.get(f"/matters?q={number}"),
        await reader.get(f"/traces?tags=who%3D{number}"),
        await reader.get(f"/traces/{number}"),
    ):
        assert reply.status == 400
        assert "do not enter identity numbers" in reply.text
        assert "location" not in reply.headers
    found = await reader.post("/matters", {"q": " res_1 ", "form_token": token})
    assert (found.status, found.headers["location"]) == (303, "/matters?q=res_1")
