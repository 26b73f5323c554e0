"""The receiver of docs/receiving-webhooks.md does what the page says."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from eldex.common.identifiers import RegionCode
from eldex.exchange.domain.subscriptions import FeedEvent
from eldex.exchange.peers import signed_headers, structured

PAGE = Path(__file__).parents[4] / "docs" / "receiving-webhooks.md"
SECRET, OTHER = "whsec_" + "QUJD" * 11, "whsec_" + "WFla" * 11
EVENT = FeedEvent(
    cursor=7,
    event_id="evt_7",
    type="eldex.api.registry.v1.ResidentDeceased",
    source="//511700/registry",
    subject="res_7",
    occurred_at=datetime(2026, 11, 22, tzinfo=UTC),
    regions=(RegionCode.parse("511702"),),
    payload=b"\x0a\x05res_7",
    traceparent="",
)

Receive = Callable[[dict[str, str], bytes, str], int]


@pytest.fixture
def receive() -> Receive:
    found = re.search(r"```python verify\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {}
    exec(found[1], names)
    given: Receive = names["receive"]
    return given


def delivery(*secrets: str, ago: timedelta = timedelta()) -> tuple[dict[str, str], bytes]:
    body = structured(EVENT)
    headers = signed_headers(EVENT.event_id, body, secrets, datetime.now(UTC) - ago)
    return {name.decode(): value.decode() for name, value in headers}, body


def test_a_delivery_is_taken_and_its_repeat_is_recognised_by_its_id(receive: Receive) -> None:
    headers, body = delivery(SECRET)
    assert receive(headers, body, SECRET) == 204
    seen = receive.__globals__["seen"]
    assert seen == {"evt_7"}
    assert receive(*delivery(SECRET), SECRET) == 204
    assert seen == {"evt_7"}


def test_while_secrets_are_rotated_either_of_them_verifies(receive: Receive) -> None:
    headers, body = delivery(SECRET, OTHER)
    assert receive(headers, body, SECRET) == receive(headers, body, OTHER) == 204


@pytest.mark.parametrize("minutes", [6, -6])
def test_a_delivery_that_is_replayed_later_is_refused(receive: Receive, minutes: int) -> None:
    assert receive(*delivery(SECRET, ago=timedelta(minutes=minutes)), SECRET) == 401


def test_what_was_changed_on_the_way_is_refused(receive: Receive) -> None:
    headers, body = delivery(SECRET)
    assert receive(headers, body.replace(b"res_7", b"res_8"), SECRET) == 401
    assert receive(headers | {"webhook-id": "evt_8"}, body, SECRET) == 401
    assert receive(headers, body, OTHER) == 401
    later = str(int(headers["webhook-timestamp"]) + 60)
    assert receive(headers | {"webhook-timestamp": later}, body, SECRET) == 401
