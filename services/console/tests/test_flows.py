"""Lag, outboxes, health; and dead letters that are replayed after the mend."""

from __future__ import annotations

import html
import re
import uuid
from typing import TYPE_CHECKING

from eldex.common.identifiers import new_key
from eldex.common.kafka import FlowState
from eldex.console.domain.people import Act
from services.console.tests.conftest import Death

if TYPE_CHECKING:
    from services.console.tests.conftest import Browserless, Console


def rows_of(page: str) -> list[str]:
    found = re.findall(r"<tr>.*?</tr>", page, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in found]


async def the_letters_key(reader: Browserless) -> str:
    found = re.search(r"key=([^\"&]+)", (await reader.get("/flows")).text)
    assert found
    return found[1].replace("%2F", "/")


async def test_lag_holds_and_health_are_told_and_a_department_that_is_down_is_shown_as_down(
    console: Console,
) -> None:
    console.subsidies.readers.states = [
        FlowState("registry-residents", 0, 1_200, 4.5, ""),
        FlowState("registry-residents", 1, 34, 61.0, "UNAVAILABLE"),
        FlowState("medical-insurance", 0, 0, 0.0, ""),
    ]
    reader = await console.signed_in()
    page = await reader.get("/flows")
    assert page.status == 200
    rows = rows_of(page.text)
    assert (
        "registry-residents Subsidies 2 1,234 1 m 01 s partition 1: UNAVAILABLE something it needs does not answer; it goes on by itself"
        in rows
    )
    assert "medical-insurance Subsidies 1 0 none –" in rows
    tiles = re.findall(r'<li class="tile (\S+)">\s*<b>([^<]+)', page.text)
    assert sorted(tiles) == [("down", "Medical insurance"), ("serving", "Subsidies")]


async def test_the_lag_is_refreshed_by_a_part_of_the_page_alone(console: Console) -> None:
    reader = await console.signed_in()
    part = await reader.get("/flows", hx_request="true", hx_target="flows")
    assert part.status == 200
    assert "<html" not in part.text
    assert 'id="letters"' in part.text
    reader.cookies.clear()
    gone = await reader.get("/flows", hx_request="true", hx_target="flows")
    assert (gone.status, gone.headers["hx-redirect"]) == (401, "/sign-in?next=/")


async def test_an_operator_replays_a_dead_letter_after_the_mend_and_it_takes_effect_once(
    console: Console, death: Death
) -> None:
    reader = await console.signed_in("operator")
    key = await the_letters_key(reader)
    asked = await reader.get(f"/dead-letters/replay?department=subsidies&key={key}")
    assert "Replay this dead letter?" in asked.text
    form = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', asked.text))
    assert form["key"] == key

    not_mended = await reader.post("/dead-letters/replay", form)
    page = (await reader.get(not_mended.headers["location"])).text
    assert "Could not be replayed" in page
    assert "no policy is in force for this division" in page
    assert console.subsidies.ended == []

    console.subsidies.mended = True
    form["request_id"] = str(uuid.uuid4())
    done = await reader.post("/dead-letters/replay", form)
    assert "Replayed: subsidies" in (await reader.get(done.headers["location"])).text
    await reader.post("/dead-letters/replay", form)  # a second click
    assert console.subsidies.ended == [death.resident_key]
    assert "None: everything could be applied." in (await reader.get("/flows")).text
    assert "NO_POLICY_FOR_DIVISION" in (await reader.get("/flows?replayed=1")).text

    rows = rows_of((await reader.get("/actions")).text)[1:]
    outcomes = [row.split(key)[-1].strip() for row in rows if " replay " in row]
    assert outcomes[:4] == ["done", "asked", "done", "asked"]
    assert outcomes[4].startswith("NO_POLICY_FOR_DIVISION")
    assert all("operator" in row for row in rows)


async def test_a_viewer_sees_dead_letters_but_cannot_replay_them_and_the_attempt_is_recorded(
    console: Console, death: Death
) -> None:
    console.subsidies.mended = True
    reader = await console.signed_in("viewer")
    page = (await reader.get("/flows")).text
    assert "NO_POLICY_FOR_DIVISION" in page
    assert "/dead-letters/replay" not in page
    form = {
        "department": "subsidies",
        "key": "registry-residents/0/0",
        "request_id": str(uuid.uuid4()),
        "form_token": await reader.form_token(),
    }
    refused = await reader.post("/dead-letters/replay", form)
    assert (refused.status, "only operators may do this" in refused.text) == (403, True)
    looked = await reader.get(
        "/dead-letters/replay?department=subsidies&key=registry-residents/0/0"
    )
    assert looked.status == 403
    assert console.subsidies.ended == []
    assert "viewer" in (await reader.get("/actions")).text
    rows = rows_of((await reader.get("/actions")).text)
    assert any(f" {Act.REPLAY.value} " in row and "ACCESS_DENIED" in row for row in rows)
    assert death.event_id


async def test_a_replay_needs_the_token_of_the_session_and_a_page_of_this_site(
    console: Console, death: Death
) -> None:
    console.subsidies.mended = True
    reader = await console.signed_in("operator")
    form = {
        "department": "subsidies",
        "key": await the_letters_key(reader),
        "request_id": str(uuid.uuid4()),
    }
    other = await console.signed_in("operator")
    for token in ("", "guessed", await other.form_token()):
        reply = await reader.post("/dead-letters/replay", form | {"form_token": token})
        assert reply.status == 403, token
    right = form | {"form_token": await reader.form_token()}
    elsewhere = await reader.post("/dead-letters/replay", right, origin="https://elsewhere.example")
    assert elsewhere.status == 403
    assert console.subsidies.ended == []
    assert death.event_id


async def test_a_replay_of_something_that_is_not_there_is_refused_in_words(
    console: Console,
) -> None:
    reader = await console.signed_in("operator")
    token = await reader.form_token()
    for department, key in (("subsidies", "no/1/2"), ("nowhere", "no/1/2"), ("medical", "no/1/2")):
        form = {"department": department, "key": key, "request_id": str(uuid.uuid4())}
        reply = await reader.post("/dead-letters/replay", form | {"form_token": token})
        assert reply.status == 303
        page = (await reader.get(reply.headers["location"])).text
        assert "Could not be replayed" in page


async def test_what_can_never_be_applied_is_closed_with_a_reason_by_an_operator(
    console: Console, death: Death
) -> None:
    reader = await console.signed_in("operator")
    key = await the_letters_key(reader)
    asked = await reader.get(f"/dead-letters/close?department=subsidies&key={key}")
    assert "Close this dead letter unapplied?" in asked.text
    form = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', asked.text))

    without = await reader.post("/dead-letters/close", form | {"reason": " "})
    page = (await reader.get(without.headers["location"])).text
    assert "Could not be closed" in page
    assert "say why" in page
    assert "NO_POLICY_FOR_DIVISION" in (await reader.get("/flows")).text

    viewer = await console.signed_in("viewer")
    as_viewer = form | {"reason": "x", "form_token": await viewer.form_token()}
    assert (await viewer.post("/dead-letters/close", as_viewer)).status == 403

    form["request_id"] = str(uuid.uuid4())
    done = await reader.post("/dead-letters/close", form | {"reason": "entered twice"})
    assert "Closed: subsidies" in (await reader.get(done.headers["location"])).text
    assert "None: everything could be applied." in (await reader.get("/flows")).text
    assert "Closed by operator: entered twice" in (await reader.get("/flows?replayed=1")).text
    console.subsidies.mended = True
    form["request_id"] = str(uuid.uuid4())
    too_late = await reader.post("/dead-letters/replay", form)
    assert "DEAD_LETTER_CLOSED" in (await reader.get(too_late.headers["location"])).text
    assert console.subsidies.ended == []
    rows = rows_of((await reader.get("/actions")).text)
    assert any("close a dead letter" in row and "entered twice" in row for row in rows)
    assert death.event_id


async def test_every_dead_letter_can_be_reached_however_many_there_are(
    console: Console, death: Death
) -> None:
    """A rule that is wrong sets many aside: the first fifty stand on the page, the others are a click away."""
    for _ in range(98):
        more = Death(death.trace_id, new_key("res"), new_key("evt"))
        await console.subsidies.receive_death(more)
    reader = await console.signed_in("operator")
    path, keys, pages = "/flows", set[str](), 0
    while path:
        page = (await reader.get(path)).text
        keys |= set(
            re.findall(r'href="/dead-letters/replay\?department=subsidies&amp;key=([^"]+)"', page)
        )
        further = re.search(r'href="(/dead-letters\?[^"]+)"', page)
        path, pages = (html.unescape(further[1]) if further else ""), pages + 1
    assert (len(keys), pages) == (99, 2)
    wrong = await reader.get("/dead-letters?department=subsidies&page=nonsense")
    assert (wrong.status, "page_token" in wrong.text) == (409, True)
    assert (await reader.get("/dead-letters?department=nowhere")).status == 404


async def test_why_an_event_was_set_aside_is_said_in_the_readers_language(
    console: Console, death: Death
) -> None:
    reader = await console.signed_in("viewer")
    assert "no policy is in force for this division" in (await reader.get("/flows")).text
    reader.language = "zh"
    assert "该区划没有现行政策参数" in (await reader.get("/flows")).text
    assert death.event_id
