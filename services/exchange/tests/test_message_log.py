"""The message log: on disk before the reply, whole after a crash, proven, closed while nothing can be written."""

from __future__ import annotations

import asyncio
import os
import resource
import secrets
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from eldex.common.clock import Clock
from eldex.common.errors import CannotStart
from eldex.common.testing.harness import FrozenClock
from eldex.common.testing.memory import MemoryBackend
from eldex.evidence.audit import Given, audit
from eldex.evidence.checkpoint import Checkpoint
from eldex.evidence.findings import Report
from eldex.evidence.note import Signer, signer_key
from eldex.evidence.policy import Policy
from eldex.evidence.receipts import Bundle, Receipt
from eldex.evidence.records import Record
from eldex.evidence.subjects import SubjectKeys
from eldex.exchange.domain.message_log import (
    MOST_SUBJECTS,
    LogEntry,
    NoEvidence,
    SegmentArchived,
    SizeUnknown,
)
from eldex.exchange.store.message_log import MessageLog
from eldex.exchange.store.record_index import COLLECTIONS, RECORDS, RecordIndex

ORIGIN = "511700/exchange"
SIGNER = Signer.parse(signer_key(ORIGIN, secrets.token_bytes(32)))
POLICY = Policy.parse(f"log {SIGNER.verifier}\nquorum none\n")
WANG = "res_06c3v0000000000000000000wa"
NOW = FrozenClock()


def entry(number: int, code: str = "OK", **changes: object) -> LogEntry:
    told = LogEntry(
        subsystem="member/police/household-registration",
        method="/eldex.api.registry.v1.RegistryService/MoveResident",
        purpose="residence-registration",
        agreement_key="police-registry",
        agreement_version=1,
        legal_basis="户口登记条例 第三条",
        request=b"request %d" % number,
        reply=b"reply %d" % number,
        code=code,
        reason="",
        trace_id=f"{number:032x}",
        subjects=(WANG,),
    )
    return told._replace(**changes)  # type: ignore[arg-type]


@asynccontextmanager
async def opened(
    folder: Path, backend: MemoryBackend | None = None, clock: Clock = NOW, height: int = 4
) -> AsyncIterator[MessageLog]:
    backend = backend or MemoryBackend()
    await backend.prepare(COLLECTIONS)
    keys = SubjectKeys(folder / "subject-keys")
    log = MessageLog(
        folder / "message-log", SIGNER, keys, RecordIndex(backend), clock, height=height
    )
    await log.start()
    try:
        yield log
    finally:
        await log.close()


def verified(folder: Path, receipts: list[Receipt]) -> Report:
    log = folder / "message-log"
    return audit(
        Given(
            POLICY,
            ORIGIN,
            segments=sorted(log.glob("*.segment")),
            seals=sorted(log.glob("*.seal")),
            hashes=[log / "hashes"],
            checkpoints=[("checkpoint", (log / "checkpoint").read_bytes())],
            receipts=[("ours", receipt) for receipt in receipts],
            bundles=[],
        )
    )


async def test_concurrent_calls_get_consecutive_numbers_and_an_auditor_finds_nothing_wrong(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as log:
        receipts = await asyncio.gather(*(log.append(entry(i)) for i in range(300)))
        assert sorted(r.index for r in receipts) == list(range(300))
        found = await log.record(7)
        assert receipts[7].shows(b"request 7", found.record.request_digest)
        assert receipts[7].shows(b"reply 7", found.record.reply_digest)
        assert len(str(receipts[299])) < 160
    report = verified(tmp_path, receipts)
    assert (report.exit_code, report.proven_records, report.receipts) == (0, 300, 300)


async def test_a_head_is_signed_at_the_stop_and_a_proof_leads_from_any_head_to_the_next(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as log:
        for i in range(20):
            await log.append(entry(i))
        note = await log.publish()
        bundle = Bundle.parse(await log.bundle(3, note))
        assert bundle.verify(POLICY).checkpoint.size == 20
        assert Record.parse(bundle.record).purpose == "residence-registration"
        await log.append(entry(20))
        assert len(await log.consistency_proof(20, 21)) > 0
        with pytest.raises(SizeUnknown, match="the log has 21 records"):
            await log.inclusion_proof(30, 40)
    async with opened(tmp_path) as log:
        assert Checkpoint.parse(log.note.text).size == 21


async def test_half_a_record_from_a_crash_is_cut_off_and_the_numbers_go_on(tmp_path: Path) -> None:
    async with opened(tmp_path) as log:
        receipts = [await log.append(entry(i)) for i in range(5)]
    (segment,) = (tmp_path / "message-log").glob("*.segment")
    segment.write_bytes(segment.read_bytes() + b"half a rec")
    async with opened(tmp_path) as log:
        receipts.append(await log.append(entry(5)))
    assert receipts[-1].index == 5
    assert verified(tmp_path, receipts).exit_code == 0


async def test_a_log_that_is_not_what_was_written_stops_the_start_and_names_the_record(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as log:
        receipts = [await log.append(entry(i)) for i in range(3)]
    (segment,) = (tmp_path / "message-log").glob("*.segment")
    whole = segment.read_bytes()
    segment.write_bytes(whole.replace(b"police-registry", b"police-registri", 2)[: len(whole)])
    with pytest.raises(CannotStart, match="message-log"):
        async with opened(tmp_path):
            pass
    report = verified(tmp_path, receipts)
    assert report.exit_code == 1
    assert {finding.index for finding in report.wrong if finding.index is not None} >= {0, 1}


async def test_whom_a_record_is_about_is_found_with_the_key_of_its_month_and_without_it_by_nobody(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as log:
        await log.append(entry(0))
        await log.append(entry(1, subjects=()))
        wang = SubjectKeys(tmp_path / "subject-keys").hash("2026-11", WANG)
        found, _ = await log.search({"subjects": {"$in": [wang]}}, size=50, before=None)
    assert [each.index for each in found] == [0]
    assert found[0].record.subject_period == "2026-11"
    text = b"".join(p.read_bytes() for p in (tmp_path / "message-log").iterdir())
    assert WANG.encode() not in text
    assert b"request 0" not in text


async def test_a_list_that_shows_too_many_names_as_many_as_a_record_holds_and_counts_the_rest(
    tmp_path: Path,
) -> None:
    crowd = tuple(f"res_{number:026d}" for number in range(MOST_SUBJECTS + 7))
    async with opened(tmp_path) as log:
        receipt = await log.append(entry(0, subjects=crowd, legal_basis="法" * 300))
        record = (await log.record(receipt.index)).record
    assert len(record.subject_hashes) == MOST_SUBJECTS
    assert record.reason == "SUBJECTS_BEYOND_LIMIT:7"


async def test_texts_that_no_record_can_tell_are_told_as_far_as_they_can(tmp_path: Path) -> None:
    async with opened(tmp_path) as log:
        strange = entry(0, method="/a\nb\x00" + "c" * 500, purpose="\ud800", trace_id="ZZ")
        receipt = await log.append(strange)
        record = (await log.record(receipt.index)).record
    assert (record.method[:6], record.purpose, record.trace_id) == (
        "/a\ufffdb\ufffdc",
        "\ufffd",
        "",
    )


async def test_the_clock_that_is_set_back_does_not_set_the_log_back(tmp_path: Path) -> None:
    clock = FrozenClock(datetime(2026, 11, 30, 23, 59, tzinfo=UTC))
    async with opened(tmp_path, clock=clock) as log:
        receipts = [await log.append(entry(0))]
        clock.at += timedelta(minutes=2)
        receipts.append(await log.append(entry(1)))
    clock.at -= timedelta(days=3)
    async with opened(tmp_path, clock=clock) as log:
        receipts.append(await log.append(entry(2)))
        told = [(await log.record(i)).record for i in range(3)]
    assert [each.subject_period for each in told] == ["2026-11", "2026-12", "2026-12"]
    assert told[2].answered_at == told[1].answered_at
    assert verified(tmp_path, receipts).exit_code == 0


async def test_a_sealed_segment_may_be_moved_away_and_its_proofs_stay(tmp_path: Path) -> None:
    async with opened(tmp_path) as log:
        for i in range(40):
            await log.append(entry(i))
    async with opened(tmp_path) as log:
        first, _, last = await log.segments()
        assert (first.is_sealed, first.is_archived, last.is_sealed) == (True, False, False)
        (tmp_path / "message-log" / first.file_name).rename(tmp_path / "archived.segment")
    async with opened(tmp_path) as log:
        assert (await log.segments())[0].is_archived
        assert len(await log.inclusion_proof(3, 40)) > 0
        with pytest.raises(SegmentArchived):
            await log.record(3)


async def answer(log: MessageLog, number: int) -> Receipt | None:
    try:
        return await log.append(entry(number))
    except NoEvidence:
        return None


async def can_write_again(log: MessageLog) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                return log.require()
            except NoEvidence:
                await asyncio.sleep(0.02)


@pytest.fixture
def small_disk() -> Iterator[Callable[[], None]]:
    """A process that may not write a file beyond 100 KB, as on a full disk; called, it may again."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before)
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


async def test_on_a_full_disk_no_receipt_is_given_and_what_was_given_still_stands(
    tmp_path: Path, small_disk: Callable[[], None]
) -> None:
    async with opened(tmp_path, height=16) as log:
        answers = [await answer(log, i) for i in range(300)]
        given = [receipt for receipt in answers if receipt is not None]
        assert answers[-1] is None
        assert len(given) > 10
        assert log.size == len(given)
        small_disk()
        await can_write_again(log)
        given += [await log.append(entry(i)) for i in range(300, 310)]
    assert [receipt.index for receipt in given] == list(range(len(given)))
    assert verified(tmp_path, given).exit_code == 0


@pytest.fixture
def small_drive(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 1 MB, where this machine lets us mount one."""
    folder = tmp_path / "drive"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting needs root; the limit of a file's size tells the same story")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


async def fill(log: MessageLog) -> list[Receipt]:
    given: list[Receipt] = []
    for round_ in range(200):
        answers = await asyncio.gather(*(answer(log, round_ * 16 + n) for n in range(16)))
        given += [receipt for receipt in answers if receipt is not None]
        if None in answers:
            return given
    raise AssertionError("the drive was never full")


async def test_a_real_drive_that_is_full_refuses_whole_calls_and_goes_on_when_there_is_room(
    small_drive: Path,
) -> None:
    ballast = small_drive / "somebody-elses-file"
    ballast.write_bytes(bytes(400_000))
    async with opened(small_drive, height=6) as log:
        given = await fill(log)
        with pytest.raises(NoEvidence):
            log.require()
        while (last := await answer(log, 0)) is not None:  # what is left takes single ones
            given.append(last)
        ballast.unlink()
        await can_write_again(log)
        given.append(await log.append(entry(5)))
        assert log.size == len(given)
    assert verified(small_drive, given).exit_code == 0


async def test_a_file_that_can_no_longer_be_written_is_opened_again_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as log:
        given = [await log.append(entry(i)) for i in range(3)]
        (segment,) = (tmp_path / "message-log").glob("*.segment")
        (number,) = [
            int(each.name)
            for each in Path("/proc/self/fd").iterdir()
            if each.exists() and each.resolve() == segment
        ]
        # As on a drive that the kernel has turned read-only: neither written nor taken back.
        os.dup2(os.open(segment, os.O_RDONLY), number)
        assert await answer(log, 3) is None
        await can_write_again(log)
        given.append(await log.append(entry(4)))
    assert [receipt.index for receipt in given] == [0, 1, 2, 3]
    assert verified(tmp_path, given).exit_code == 0


async def test_what_the_database_missed_is_searchable_after_the_next_start(tmp_path: Path) -> None:
    backend = MemoryBackend()
    async with opened(tmp_path, backend) as log:
        for i in range(10):
            await log.append(entry(i, "PERMISSION_DENIED" if i == 3 else "OK"))
    backend.collections[RECORDS] = {
        key: document for key, document in backend.collections[RECORDS].items() if key < 4
    }
    async with opened(tmp_path, backend) as log:
        records, rest = await log.search({}, size=6, before=None)
        assert [each.index for each in records] == [9, 8, 7, 6, 5, 4]
        assert rest == 4
        denied, _ = await log.search({"denied": True}, size=10, before=None)
        assert [each.index for each in denied] == [3]
