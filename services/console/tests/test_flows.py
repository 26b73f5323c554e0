"""Lag, outboxes, health; and dead letters that are replayed after the mend."""

from __future__ import annotations

import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from eldex.api.exchange.v1 import exchange_service_pb2
from eldex.common.kafka import FlowState
from eldex.common.rpc.server import grpc_server
from eldex.common.rpc.tls import server_credentials
from eldex.console.domain.people import Act
from eldex.console.peers import PeerDepartments
from eldex.local.authority import Authority

if TYPE_CHECKING:
    from services.console.tests.conftest import Browserless, Console, Death


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
    assert "registry-residents Subsidies 2 1,234 1 m 01 s partition 1: UNAVAILABLE" in rows
    assert "medical-insurance Subsidies 1 0 none –" in rows
    tiles = re.findall(r'<li class="tile (\S+)">\s*<b>([^<]+)', page.text)
    assert sorted(tiles) == [("down", "Medical insurance"), ("serving", "Subsidies")]
    # There is no exchange among the peers: the page says so and goes on.
    assert "The exchange does not tell now." in page.text


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
    assert (refused.status, "only operators may replay" in refused.text) == (403, True)
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


async def test_the_subscribers_of_the_exchange_are_told_with_their_lag(tmp_path: Path) -> None:
    authority = Authority.open(tmp_path / "pki")
    answer = exchange_service_pb2.ListSubscriptionsResponse()
    answer.subscriptions.add(
        subsystem="partner-500100/elder-care",
        subscription_name="deaths",
        acknowledged_cursor=4_711,
        lag_events=1_000,
        lag_seconds=3_600.0,
    )

    async def list_subscriptions(_: Any, __: Any) -> bytes:
        return answer.SerializeToString()

    handler = grpc.method_handlers_generic_handler(
        "eldex.api.exchange.v1.ExchangeService",
        {"ListSubscriptions": grpc.unary_unary_rpc_method_handler(list_subscriptions)},
    )
    server = grpc_server([handler])
    credentials = server_credentials(authority.issue("511700/service/exchange"))
    port = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    tls_dir = authority.issue("511700/service/console")
    departments = PeerDepartments({"exchange": f"127.0.0.1:{port}"}, tls_dir)
    try:
        [partner] = (await departments.subscribers()).known
        assert (partner.subsystem, partner.name, partner.cursor, partner.connected) == (
            "partner-500100/elder-care",
            "deaths",
            4_711,
            False,
        )
        assert (partner.lag_events, partner.lag_seconds, partner.seen_at) == (1_000, 3_600.0, None)
        await server.stop(0)
        assert (await departments.subscribers()).problem == "UNAVAILABLE"
    finally:
        await departments.close()
        await server.stop(0)
