"""One JSON line per thing that happened; an identity number never reaches one, wherever it is put."""

from __future__ import annotations

import io
import logging
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Any

import orjson
import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.trace import SpanKind

from eldex.common import logs, telemetry
from eldex.common.identifiers import check_character, new_key
from eldex.common.logs import logger
from eldex.common.privacy import masked, quotes_identity_number

NUMBER = "11010519491231002X"  # the standard's own example (GB 11643), nobody's
OLD_NUMBER = "110105491231002"
Lines = Callable[[], list[dict[str, Any]]]


class _Stderr:
    """Standard error with the bytes in reach."""

    def __init__(self) -> None:
        self.buffer = io.BytesIO()

    def write(self, text: str) -> int:
        return self.buffer.write(text.encode())

    def flush(self) -> None:
        """Nothing waits."""


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """What the process wrote, parsed line by line."""
    before, stderr = structlog.get_config(), _Stderr()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr(sys, "stderr", stderr)
    monkeypatch.setattr(logs, "_logger", logs.logger())  # put back afterwards
    logs.configure("registry", "registry-0", "info")

    def read() -> list[dict[str, Any]]:
        written = stderr.buffer.getvalue()
        stderr.buffer.seek(0)
        stderr.buffer.truncate()
        return [orjson.loads(line) for line in written.splitlines()]

    yield read
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


def test_a_line_is_json_and_says_who_wrote_it_when(lines: Lines) -> None:
    logger().info("service_started", port=5001, city="达州")
    (line,) = lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "service_started",
        "level": "info",
        "service": "registry",
        "instance": "registry-0",
        "port": 5001,
        "city": "达州",
    }


def test_a_line_within_a_span_carries_its_trace(lines: Lines) -> None:
    telemetry.configure("registry", "registry-0", "511700", "", 1.0)
    with telemetry.span("process residents", SpanKind.CONSUMER):
        logger().info("event_applied")
        trace = telemetry.trace_id()
        parent = telemetry.traceparent()
    logger().info("after")
    within, after = lines()
    assert within["trace_id"] == trace
    assert f"{within['trace_id']}-{within['span_id']}" in parent
    assert re.fullmatch("[0-9a-f]{32}", within["trace_id"])
    assert "trace_id" not in after


def test_what_is_below_the_level_is_not_written(lines: Lines) -> None:
    logger().debug("detail")
    assert lines() == []


def test_the_librarys_lines_are_json_too(lines: Lines) -> None:
    logging.getLogger("pymongo").warning("slow answer from %s about %s", "db-0", NUMBER)
    logging.getLogger("pymongo").info("chatter")
    (line,) = lines()
    assert (line["event"], line["logger"], line["level"]) == (
        "library_spoke",
        "pymongo",
        "warning",
    )
    assert line["message"] == "slow answer from db-0 about <identity-number>"


class Colour(Enum):
    RED = NUMBER


@dataclass
class Command:
    name: str
    number: str


class Opaque:
    def __repr__(self) -> str:
        return f"<Opaque {NUMBER}>"


PLACES: dict[str, dict[str, Any]] = {
    "alone": {"value": NUMBER},
    "small x": {"value": NUMBER.lower()},
    "fifteen digits": {"value": OLD_NUMBER},
    "in a sentence": {"value": f"身份证{NUMBER}号，王秀英"},
    "after letters": {"value": f"ID{NUMBER}", "other": f"resident_{NUMBER}.pdf"},
    "in a URL": {"value": f"https://x/residents/{NUMBER}?a=1"},
    "in groups": {"value": "110105 19491231 002X", "other": "110105-19491231-002X"},
    "in more groups": {
        "value": "110105 1949-12-31 002X",
        "dashes": "110105–19491231–002–X",
        "wide": "110105\u300019491231\u3000002X",
        "unseen": "110105\u200b19491231\u200b002X",
        "lines": "110105\n19491231\t002X",
        "dots": "110105.19491231.002X",
    },
    "in full width": {"value": "１１０１０５１９４９１２３１００２Ｘ"},
    "fifteen digits in groups": {"value": "110105 491231 002", "other": "110105-491231-002"},
    "fifteen digits in full width": {"value": "１１０１０５４９１２３１００２"},
    "as a whole number": {"value": 110105194912310021, "old": int(OLD_NUMBER)},
    "in a list": {"value": ["a", NUMBER], "tuple": (1, NUMBER)},
    "deep": {"value": {"a": [{"b": {"c": NUMBER}}]}},
    "as a key": {"value": {NUMBER: 1}},
    "as the name of a value": {NUMBER: 1},
    "in a dataclass": {"value": Command("王秀英", NUMBER)},
    "in an enum": {"value": Colour.RED},
    "in an object's repr": {"value": Opaque(), "list": [Opaque()]},
    "in bytes": {"value": NUMBER.encode()},
    "in a set": {"value": {NUMBER}},
    "in an exception as a value": {"value": ValueError(NUMBER)},
    "beside a backslash": {"value": f"line\n{OLD_NUMBER}\ttab", "quote": f'"{NUMBER}"'},
}


@pytest.mark.parametrize("place", PLACES, ids=str)
def test_an_identity_number_is_masked_wherever_it_is_put(lines: Lines, place: str) -> None:
    logger().info("resident_found", **PLACES[place])
    (line,) = lines()
    text = orjson.dumps(line).decode()
    assert "<identity-number>" in text
    for number in (NUMBER, NUMBER.lower(), OLD_NUMBER, "491231", "４９１２３１", "12-31"):
        assert number not in text


def test_an_identity_number_is_masked_in_the_name_of_the_event(lines: Lines) -> None:
    logger().info(f"looked for {NUMBER}")
    assert lines()[0]["event"] == "looked for <identity-number>"


def test_a_defect_is_told_by_kind_and_place_without_its_text(lines: Lines) -> None:
    def drive() -> None:
        raise LookupError(f"document {{'number': '{NUMBER}', 'name': '王秀英'}}")

    try:
        try:
            drive()
        except LookupError as cause:
            raise ValueError("王秀英") from cause
    except ValueError as error:
        logger().error("call_broke", exc_info=error)
    (line,) = lines()
    outer, inner = line["defect"]
    assert (outer["kind"], inner["kind"]) == ("ValueError", "LookupError")
    assert inner["at"][-1].startswith("test_logs.py:")
    assert inner["at"][-1].endswith(" drive")
    assert "王秀英" not in orjson.dumps(line).decode()


WITHOUT_DIGITS = st.text(alphabet=st.characters(exclude_categories=["Nd", "Cs"]))
BODIES = st.tuples(
    st.from_regex(r"[1-9][0-9]{5}", fullmatch=True),
    st.dates(date(1850, 1, 1), date(2100, 1, 1)).map(lambda born: born.strftime("%Y%m%d")),
    st.from_regex(r"[0-9]{3}", fullmatch=True),
).map("".join)


@given(BODIES, WITHOUT_DIGITS, WITHOUT_DIGITS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_number_is_masked_in_every_text(
    lines: Lines, body: str, before: str, after: str
) -> None:
    number = body + check_character(body)
    logger().info("event", value=[before + number + after])
    (line,) = lines()
    assert number not in orjson.dumps(line).decode()


def test_what_is_no_identity_number_stays(lines: Lines) -> None:
    for harmless in (
        new_key("res"),
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "91511700MA62ABCD0X",  # a credit code
        "2026-11-22T02:00:00.000Z",
        "511702001",
        "12,345.60",
        "1795320068657123456",
        "250000, 181203, 500",
        "0818-2123456、13800138000",
    ):
        assert masked(harmless) == harmless
        assert not quotes_identity_number(harmless)
    logger().info("paid", amount_fen=1_234_560, at_ns=1_795_320_068_657_123_456, ok=True)
    (line,) = lines()
    assert (line["amount_fen"], line["ok"]) == (1_234_560, True)
    assert line["at_ns"] == 1_795_320_068_657_123_456


def test_a_value_that_json_does_not_know_costs_nobody_the_act(lines: Lines) -> None:
    logger().info("odd", value=object, bytes=b"\xff", keys={1: "one", None: 2})
    assert lines()[0]["event"] == "odd"
