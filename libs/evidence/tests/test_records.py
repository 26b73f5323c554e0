"""A record has one spelling, that of RFC 8785; whatever else says the same is refused."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import subprocess
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eldex.evidence.records import (
    MalformedRecord,
    Record,
    Spelling,
    SteadyClock,
    message_digest,
    time_of,
)
from eldex.evidence.subjects import NoSubjectKey, SubjectKeys, period_of
from eldex.evidence.testing import BEGAN, record, salt

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=20)
digests = st.binary(min_size=32, max_size=32)
records = st.builds(
    Record,
    answered_at=st.datetimes(datetime(1000, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    subsystem=texts,
    method=texts,
    purpose=texts,
    legal_basis=texts,
    agreement_key=texts,
    agreement_version=st.integers(0, 10**14),
    subject_period=texts,
    subject_hashes=st.sets(digests, max_size=3).map(sorted).map(tuple),
    request_digest=digests,
    reply_digest=st.one_of(st.just(b""), digests),
    code=texts,
    reason=texts,
    trace_id=st.one_of(st.just(""), st.binary(min_size=16, max_size=16).map(bytes.hex)),
    kind=texts,
)


@settings(deadline=None)
@given(records)
def test_a_record_survives_and_any_json_reader_reads_it(made: Record) -> None:
    data = made.encode()
    assert Record.parse(data) == made
    assert time_of(data) == made.answered_at.isoformat(timespec="microseconds")[:26] + "Z"
    plain: dict[str, Any] = json.loads(data)
    assert plain["legal_basis"] == made.legal_basis
    # RFC 8785 for texts without control characters and for whole numbers.
    spelt = json.dumps(plain, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    assert spelt.encode() == data


def test_a_record_as_an_auditor_reads_it() -> None:
    assert record(1, legal_basis='民发〔2019〕103号 "第二条" a\\b').encode().decode() == (
        '{"agreement_key":"civil-registry-2026","agreement_version":3,'
        '"answered_at":"2026-11-22T01:02:03.496789Z","code":"OK","kind":"call",'
        '"legal_basis":"民发〔2019〕103号 \\"第二条\\" a\\\\b",'
        '"method":"/eldex.api.registry.v1.RegistryService/GetResident",'
        '"purpose":"pension-eligibility","reason":"",'
        f'"reply_digest":"{message_digest(salt(1), b"reply 1").hex()}",'
        f'"request_digest":"{message_digest(salt(1), b"request 1").hex()}",'
        f'"subject_hashes":["{hashlib.sha256(b"resident 1").hexdigest()}"],'
        '"subject_period":"2026-11","subsystem":"member/b-city/settlement",'
        f'"trace_id":"{hashlib.sha256(b"trace 1").hexdigest()[:32]}","v":1}}'
    )


GOOD = record(0, subject_hashes=(bytes(32), b"\x01" * 32)).encode().decode()


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("{", "{ ", "agreement_key"),
        (":3,", ": 3,", "agreement_version"),
        (":3,", ":03,", "agreement_version"),
        (":3,", ":3.0,", "agreement_version"),
        (":3,", ":-3,", "agreement_version"),
        (":3,", ':"3",', "agreement_version"),
        ('"code":"OK","kind":"call"', '"kind":"call","code":"OK"', "order"),
        ('"code":"OK",', "", "code"),
        ('"code":"OK",', '"code":"OK","code":"OK",', "order"),
        ('"code":"OK"', '"code":"\\u004fK"', "code"),
        ('"code":"OK"', '"code":"O\\/K"', "code"),
        ('"code":"OK"', '"code":"O\tK"', "code"),
        ('"code":"OK"', '"code":"O\\tK"', "code"),
        ('"code":"OK"', '"code":"O\x7fK"', "code"),
        ('"code":"OK"', '"code":null', "code"),
        ("01:02:03.456789Z", "01:02:03.456789+00:00", "answered_at"),
        ("01:02:03.456789Z", "01:02:03Z", "answered_at"),
        ("01:02:03.456789Z", "25:02:03.456789Z", "answered_at"),
        ("01:02:03.456789Z", "01:02:60.456789Z", "answered_at"),
        ("2026-11-22", "2026-11-31", "calendar"),
        ("2026-11-22", "2026-13-01", "answered_at"),
        ("2026-11-22", "٢026-11-22", "answered_at"),
        ("0" * 64, "0" * 63, "subject_hashes"),
        ("0" * 64, "2" * 64, "ascend"),
        ("0" * 64, "01" * 32, "ascend"),
        ("0" * 64, "0" * 63 + "A", "subject_hashes"),
        ('"subject_hashes":[', '"subject_hashes":[,', "subject_hashes"),
        ('"v":1', '"v":2', "v is"),
        ('"v":1', '"v":1,"x":1', "order"),
        ("}", "}\n", "order"),
        ("}", "}}", "order"),
    ],
)
def test_any_other_spelling_is_refused(old: str, new: str, why: str) -> None:
    assert old in GOOD
    with pytest.raises(MalformedRecord, match=why):
        Record.parse(GOOD.replace(old, new, 1).encode())
    with pytest.raises(MalformedRecord):
        time_of(GOOD.replace(old, new, 1).encode())


@settings(deadline=None)
@given(records, st.data())
def test_a_byte_that_is_changed_gives_another_record_or_none(
    made: Record, draw: st.DataObject
) -> None:
    data = bytearray(made.encode())
    place = draw.draw(st.integers(0, len(data) - 1))
    data[place] ^= draw.draw(st.integers(1, 255))
    with contextlib.suppress(MalformedRecord):
        assert Record.parse(bytes(data)) != made
        assert Record.parse(bytes(data)).encode() == bytes(data)


@pytest.mark.parametrize(
    "fields",
    [
        {"purpose": "two\nlines"},
        {"purpose": "\x00"},
        {"purpose": "\ud800"},
        {"reply_digest": b"short"},
        {"request_digest": b""},
        {"trace_id": "ABC"},
        {"agreement_version": -1},
        {"subject_hashes": (b"\x02" * 32, b"\x01" * 32)},
        {"subject_hashes": (b"\x01" * 32, b"\x01" * 32)},
        {"answered_at": datetime(2026, 1, 1)},  # noqa: DTZ001
        {"answered_at": BEGAN.astimezone(timezone(timedelta(hours=8)))},
        {"legal_basis": "x" * 70_000},
    ],
)
def test_what_cannot_be_told_is_not_made(fields: dict[str, Any]) -> None:
    with pytest.raises(MalformedRecord):
        record(0, **fields).encode()


def test_what_is_too_long_or_not_utf8_is_refused() -> None:
    for data in (b"\xff", b"{" * 70_000, b""):
        with pytest.raises(MalformedRecord):
            Record.parse(data)


def test_no_input_makes_parsing_slow() -> None:
    hostile = GOOD.replace('"code":"OK"', '"code":"' + '\\"' * 30_000)
    began = datetime.now(UTC)
    for _ in range(20):
        with pytest.raises(MalformedRecord):
            Record.parse(hostile.encode())
    assert datetime.now(UTC) - began < timedelta(seconds=2)


def test_a_digest_tells_nothing_without_its_salt_and_can_be_checked_by_hand(tmp_path: Path) -> None:
    digest = message_digest(salt(1), b"request")
    assert digest != message_digest(salt(2), b"request")
    (tmp_path / "message").write_bytes(salt(1) + b"request")
    by_hand = subprocess.run(
        ["sha256sum", tmp_path / "message"], capture_output=True, check=True, text=True
    )
    assert by_hand.stdout.startswith(digest.hex())
    with pytest.raises(ValueError, match="16 bytes"):
        message_digest(b"short", b"request")


def test_the_clock_of_the_log_is_never_set_back() -> None:
    told = [BEGAN, BEGAN + timedelta(seconds=2), BEGAN + timedelta(seconds=1)]
    told.append(BEGAN + timedelta(seconds=3))
    clock = SteadyClock(iter(told).__next__, last=BEGAN + timedelta(seconds=1))
    heard = [(clock() - BEGAN).total_seconds() for _ in told]
    assert heard == [1, 2, 2, 3]


def test_a_person_is_found_within_a_period_and_forgotten_with_its_key(tmp_path: Path) -> None:
    keys = SubjectKeys(tmp_path / "subjects")
    october, november = period_of(datetime(2026, 10, 31, 23, tzinfo=UTC)), "2026-11"
    for period in (october, november):
        keys.make(period)
        keys.make(period)
    assert keys.periods() == ["2026-10", "2026-11"]
    found = keys.hash(november, "res_06gne86dt15va4hf6h2l9h9rro")
    assert found == SubjectKeys(tmp_path / "subjects").hash(
        november, "res_06gne86dt15va4hf6h2l9h9rro"
    )
    assert found != keys.hash(october, "res_06gne86dt15va4hf6h2l9h9rro")
    assert list(keys.hashes(november, ["b", "a", "b"])) == sorted(
        {keys.hash(november, "a"), keys.hash(november, "b")}
    )
    data = record(0, subject_period=november, subject_hashes=(found,)).encode()

    keys.destroy(november)
    for again in (keys, SubjectKeys(tmp_path / "subjects")):
        with pytest.raises(NoSubjectKey):
            again.hash(november, "res_06gne86dt15va4hf6h2l9h9rro")
        with pytest.raises(NoSubjectKey, match="destroyed"):
            again.make(november)
    assert keys.periods() == ["2026-10"]
    assert Record.parse(data).subject_hashes == (
        found,
    )  # the record, and so its proof, is as it was
    assert (tmp_path / "subjects" / "2026-10.key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("period", ["", "../2026-11", "2026-1", "2026-11\n"])
def test_a_period_is_no_path(tmp_path: Path, period: str) -> None:
    with pytest.raises(NoSubjectKey):
        SubjectKeys(tmp_path).make(period)


def test_half_a_key_is_no_key(tmp_path: Path) -> None:
    (tmp_path / "2026-11.key").write_text("00" * 31)
    with pytest.raises(NoSubjectKey, match="32 bytes"):
        SubjectKeys(tmp_path).hash("2026-11", "x")


@settings(deadline=None)
@given(records, records)
def test_what_is_spelt_in_parts_is_the_one_spelling(kind: Record, other: Record) -> None:
    """`kind` gives what its records have in common, `other` all that differs."""
    told = Spelling(kind).line(
        other.answered_at.isoformat(timespec="microseconds")[:26].encode(),
        other.request_digest,
        other.reply_digest,
        other.subject_hashes,
        b"2026-11",
        other.trace_id,
    )
    whole = kind._replace(
        answered_at=other.answered_at,
        request_digest=other.request_digest,
        reply_digest=other.reply_digest,
        subject_hashes=other.subject_hashes,
        subject_period="2026-11",
        trace_id=other.trace_id,
    )
    assert told == whole.encode()


def test_a_subject_is_told_by_an_hmac(tmp_path: Path) -> None:
    keys = SubjectKeys(tmp_path)
    keys.make("2026-11")
    key = bytes.fromhex((tmp_path / "2026-11.key").read_text())
    assert keys.hash("2026-11", "res_1") == hmac.digest(key, b"res_1", "sha256")


def test_a_record_in_parts_is_not_longer_than_a_record_may_be() -> None:
    spelling = Spelling(record(1))
    many = [number.to_bytes(32, "big") for number in range(1_000)]
    with pytest.raises(MalformedRecord, match="at most"):
        spelling.line(b"2026-11-25T08:30:00.000000", bytes(32), b"", many, b"2026-11", "")
