"""Whatever comes from outside is decoded, or refused with the error that the decoder documents.

Every decoder gets spoilt messages, made from good ones by a seed: ten thousand in all in each run, a
million with `--exhaustive`. What breaks is told by decoder and number, and is made again by
`fuzzing.spoilt(decoder, number, …)`.
"""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import DecodeError
from google.type.date_pb2 import Date
from opentelemetry.trace import SpanKind

from eldex.api.exchange.v1 import exchange_service_pb2 as exchange_pb
from eldex.api.registry.v1 import registry_service_pb2 as registry_pb
from eldex.api.registry.v1 import resident_events_pb2, resident_pb2
from eldex.api.trunk.v1 import trunk_service_pb2 as trunk_pb
from eldex.common import paging, telemetry
from eldex.common.contract import load_contract
from eldex.common.errors import DomainError, InvalidRequest
from eldex.common.identifiers import RegionCode
from eldex.common.inbox import EventMeta
from eldex.common.kafka import Record as KafkaRecord
from eldex.common.rpc.call import Identity, language_of
from eldex.common.testing import fuzzing
from eldex.evidence import testing as evidence
from eldex.evidence.checkpoint import Checkpoint
from eldex.evidence.errors import EvidenceError
from eldex.evidence.note import Note
from eldex.evidence.policy import Policy
from eldex.evidence.receipts import Bundle, Receipt
from eldex.evidence.records import Record
from eldex.evidence.segments import Seal, read_segment
from eldex.evidence.verify import main as verify
from eldex.exchange.domain.break_glass import read_reason
from eldex.exchange.domain.cesql.errors import FilterRefused
from eldex.exchange.domain.cesql.filters import Filter
from eldex.exchange.domain.decision import check_purpose
from eldex.exchange.domain.delivery.endpoints import Rules, parse_endpoint
from eldex.exchange.domain.delivery.schedule import retry_after
from eldex.exchange.domain.subscriptions import FeedEvent
from eldex.exchange.peers import signed_headers, structured
from eldex.exchange.rpc.cities import ON_BEHALF, caller_of
from eldex.exchange.rpc.forwarding import department_of
from eldex.exchange.rpc.masking import fields_beyond, masked
from eldex.exchange.rpc.methods import shape_of
from eldex.exchange.rpc.subjects import Subjects

ROOT = Path(__file__).parents[3]
HOME = RegionCode.parse("511700")
PARTNER = Identity("eldex.local", "511700/member/partner-500100/exchange")
NOW = datetime(2026, 11, 22, tzinfo=UTC)
SECRET = "whsec_" + "QUJD" * 11
GET = "/eldex.api.registry.v1.RegistryService/GetResident"


@dataclass
class Told:
    """How many messages were taken and refused; what else was raised, and at which."""

    taken: int = 0
    refused: int = 0
    broken: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Decoder:
    """What is decoded: good examples, how, and the errors that its documentation names."""

    name: str
    good: Sequence[bytes]
    decode: Callable[[bytes], object]
    refuses: tuple[type[Exception], ...] = ()
    weight: int = 10
    """Its share of the messages; less where one takes milliseconds."""

    def attack(self, count: int) -> Told:
        """What became of so many spoilt messages."""
        told = Told()
        for number, data in fuzzing.all_spoilt(self.name, count, self.good):
            try:
                self.decode(data)
            except self.refuses:
                told.refused += 1
            except Exception as error:  # noqa: BLE001 - what is looked for
                told.broken.append(f"{self.name} #{number}: {error!r}: {data[:200]!r}")
            else:
                told.taken += 1
        return told


def text(decode: Callable[[str], object]) -> Callable[[bytes], object]:
    """Of what comes as text: bytes that are none are somebody else's to refuse."""
    return lambda data: decode(data.decode("utf-8", "replace"))


def ascii_text(decode: Callable[[str], object]) -> Callable[[bytes], object]:
    """Of what comes as a metadata value, which gRPC gives as Latin-1 at worst."""
    return lambda data: decode(data.decode("latin-1"))


# --- the contract's messages ---------------------------------------------------------------------


def resident() -> resident_pb2.Resident:
    return resident_pb2.Resident(
        resident_key="res_1",
        name="王秀英",
        region_code="511702001",
        born_on=Date(year=1940, month=1, day=1),
    )


def trunk_frames() -> list[bytes]:
    call = trunk_pb.Call(call_id=1, method=GET, request=b"\x0a\x05res_1", timeout_seconds=1.5)
    call.metadata.add(key="eldex-purpose", value=b"ability-assessment")
    return [trunk_pb.CarryRequest(calls=[call] * n).SerializeToString() for n in (1, 3)]


def look_through(data: bytes) -> None:
    """What the exchange does with the bytes of a request and of a reply: masks, and whom they name."""
    shape = shape_of(GET)
    assert shape is not None
    Subjects().of_call(GET, data, data)
    fields_beyond(shape.request, frozenset({"resident_key"}), data)
    kept = shape.read_reply(data)
    assert masked(type(kept), data) is not None


def page_token(data: bytes) -> None:
    asked = exchange_pb.ListCallsRequest(page_size=5, denied_only=True)
    given = data.decode("utf-8", "replace")
    with suppress(InvalidRequest):
        paging.after(asked, given)
    # Who knows how they are made makes one that belongs to the question, with any place in it.
    forged = paging.token(asked, given or "0")
    assert paging.after(asked, forged) == (given or "0")
    paging.after_number(asked, forged)


def event(data: bytes) -> None:
    """A record of a topic, whose headers are lines of `name: value`."""
    lines = [line.partition(": ") for line in data.decode("utf-8", "replace").split("\n")]
    headers = {name: value for name, _, value in lines}
    meta = EventMeta.of(KafkaRecord("registry-residents", "res_1", data, headers))
    assert meta.occurred_at is not None
    resident_events_pb2.ResidentDeceased.FromString(data)


EVENT = b"ce_id: evt_1\nce_type: t\nce_source: //511700/registry\nce_time: 2026-11-22T08:00:00Z"


def webhook() -> tuple[list[bytes], Callable[[bytes], object]]:
    """A delivery as it is on the wire, and the receiver of docs/receiving-webhooks.md."""
    page = (ROOT / "docs" / "receiving-webhooks.md").read_text("utf-8")
    found = re.search(r"```python verify\n(.*?)```", page, re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {}
    exec(found[1], names)
    feed_event = FeedEvent(
        cursor=7,
        event_id="evt_7",
        type="eldex.api.registry.v1.ResidentDeceased",
        source="//511700/registry",
        subject="res_7",
        occurred_at=NOW,
        regions=(RegionCode.parse("511702"),),
        payload=b"\x0a\x05res_7",
        traceparent="",
    )
    body = structured(feed_event)
    headers = signed_headers(feed_event.event_id, body, [SECRET], datetime.now(UTC))
    head = b"\n".join(name + b": " + value for name, value in headers)

    def receive(data: bytes) -> None:
        head_sent, _, body_sent = data.partition(b"\n\n")
        lines = [line.partition(": ") for line in head_sent.decode("latin-1").split("\n")]
        sent = {name: value for name, _, value in lines}
        status = names["receive"](sent, body_sent, SECRET)
        assert status == 401 or (status, body_sent) == (204, body), status

    return [head + b"\n\n" + body], receive


class Log:
    """A message log of a few records, whose files are spoilt one at a time."""

    def __init__(self, folder: Path) -> None:
        exchange = evidence.Exchange(folder / "log", height=4)
        exchange.answer(9, 14, 11)
        self.exchange, self.desk = exchange, folder / "desk"
        self.desk.mkdir()
        (self.desk / "policy").write_text(exchange.policy)
        self.files = {path.name: path.read_bytes() for path in (folder / "log").iterdir()}
        self.names = sorted(self.files)

    def of(self, suffix: str) -> list[bytes]:
        return [self.files[name] for name in self.names if name.endswith(suffix)]

    def read(self, suffix: str, reader: Callable[[Path], object]) -> Callable[[bytes], object]:
        name = next(name for name in self.names if name.endswith(suffix))

        def decode(data: bytes) -> None:
            (self.desk / name).write_bytes(data)
            found = reader(self.desk / name)
            for leaf in getattr(found, "leaves", tuple)():
                assert leaf

        return decode

    def verify(self, data: bytes) -> None:
        """The auditor's command, one file of the log being what came."""
        name = self.names[len(data) % len(self.names)]
        path = self.exchange.folder / name
        path.write_bytes(data)
        policy = str(self.desk / "policy")
        try:
            code = verify(["--policy", policy, str(self.exchange.folder)])
        finally:
            path.write_bytes(self.files[name])
        is_sound = data.rstrip(b"\0") == self.files[name].rstrip(b"\0")
        assert code in ({0} if is_sound else {0, 1, 2, 3}), code
        if name.endswith(".segment") and not is_sound:
            assert code != 0, "a segment that was changed passed"


def decoders(folder: Path) -> list[Decoder]:
    load_contract()
    log = Log(folder)
    note = log.exchange.notes[-1]
    deliveries, receive = webhook()
    messages = [registry_pb.GetResidentResponse(resident=resident()).SerializeToString()]
    attributes = {"type": "a", "subject": "res_1", "regioncodes": "511702", "n": "1"}

    def filtering(given: str) -> None:
        Filter.parse(given).evaluate(attributes)

    filters = [
        b"type = 'a' AND NOT (subject LIKE 'res\\_%' OR EXISTS regioncodes)",
        b"LEFT(subject, 3) = 'res' XOR 1 + 2 * -3 % 4 < LENGTH(type)",
        b"regioncodes IN ('511702', \"511703\") AND INT('7') != 8",
    ]
    of_evidence = (EvidenceError,)
    metadata = [b"zh-CN,zh;q=0.9,en;q=0.8", b"elder-care-administration", b"%E8%80%81%20text%20x"]
    return [
        Decoder("trunk frames", trunk_frames(), trunk_pb.CarryRequest.FromString, (DecodeError,)),
        Decoder("requests and replies", messages, look_through, (DecodeError,)),
        Decoder("filters", filters, text(filtering), (FilterRefused,)),
        Decoder("page tokens", [b"res_1", b"41"], page_token, (InvalidRequest,)),
        Decoder("events", [EVENT], event, (InvalidRequest, DecodeError)),
        Decoder("webhook deliveries", deliveries, receive),
        Decoder("segments", log.of(".segment"), log.read(".segment", read_segment), of_evidence),
        Decoder("seals", log.of(".seal"), log.read(".seal", Seal.read), of_evidence),
        Decoder("records", log.exchange.records, Record.parse, of_evidence),
        Decoder("signed notes", [note.encode()], Note.parse, of_evidence),
        Decoder(
            "checkpoints",
            [note.encode()],
            lambda data: Checkpoint.parse(Note.parse(data).text),
            of_evidence,
        ),
        Decoder(
            "trusted checkpoints",
            [note.encode()],
            Policy.parse(log.exchange.policy).check,
            of_evidence,
        ),
        Decoder("policies", [log.exchange.policy.encode()], text(Policy.parse), of_evidence),
        Decoder(
            "receipts",
            [str(r).encode() for r in log.exchange.receipts],
            text(Receipt.parse),
            of_evidence,
        ),
        Decoder(
            "bundles",
            [Bundle.of(log.exchange.log, 3, note).encode()],
            Bundle.parse,
            of_evidence,
        ),
        Decoder("eldex-verify", list(log.files.values()), log.verify, weight=1),
        Decoder("accept-language", metadata, ascii_text(language_of)),
        Decoder("purposes", metadata, ascii_text(check_purpose), (DomainError,)),
        Decoder("reasons of break-glass", metadata, ascii_text(read_reason), (DomainError,)),
        Decoder(
            "traceparent",
            [f"00-{'a' * 32}-{'b' * 16}-0{flag}".encode() for flag in (0, 1)],
            ascii_text(continue_trace),
        ),
        Decoder("methods", [GET.encode()], text(department_of)),
        Decoder(
            "identities",
            [b"spiffe://eldex.local/511700/member/health/assessment"],
            text(lambda uri: caller_of(Identity.of_uri(uri) or Identity("", ""), {}, HOME, ())),
            (DomainError,),
        ),
        Decoder(
            "departments of partner cities",
            [b"500100/member/health/assessment"],
            text(lambda given: caller_of(PARTNER, {ON_BEHALF: given}, HOME, {"500100"})),
            (DomainError,),
        ),
        Decoder(
            "endpoints",
            [b"https://partner.example:8443/in?a=b", b"https://[2001:db8::1]/"],
            text(lambda url: parse_endpoint(url, Rules())),
            (DomainError,),
        ),
        Decoder(
            "Retry-After",
            [b"120", b"Fri, 31 Dec 2026 23:59:59 GMT"],
            ascii_text(lambda given: retry_after(given, NOW)),
        ),
    ]


def continue_trace(given: str) -> None:
    with telemetry.span("x", SpanKind.SERVER, {"traceparent": given}):
        assert telemetry.traceparent() == given or re.fullmatch(
            r"(00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2})?", telemetry.traceparent()
        )


def attack_all(folder: Path, count: int, capsys: pytest.CaptureFixture[str]) -> None:
    attacked = decoders(folder)
    whole = sum(decoder.weight for decoder in attacked)
    sent, lines, broken = 0, [], []
    for decoder in attacked:
        share = -(-count * decoder.weight // whole)
        began = time.perf_counter()
        told = decoder.attack(share)
        sent += share
        seconds = time.perf_counter() - began
        lines.append(
            f"  {decoder.name}: {share} in {seconds:.1f} s, {told.taken} taken, {told.refused} refused"
        )
        broken += told.broken
        capsys.readouterr()  # what eldex-verify says
    with capsys.disabled():
        sys.stdout.write(f"\n{sent} spoilt messages, {len(attacked)} decoders\n" + "\n".join(lines))
    assert not broken, f"{len(broken)}: " + "\n".join(broken[:20])
    assert sent >= count


def test_eight_thousand_spoilt_messages_meet_documented_errors_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    attack_all(tmp_path, 8_000, capsys)


@pytest.mark.exhaustive
@pytest.mark.timeout(7_200)
def test_a_million_spoilt_messages_meet_documented_errors_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    attack_all(tmp_path, 1_000_000, capsys)
