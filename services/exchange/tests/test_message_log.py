"""The message log: on disk before the reply, whole after a crash, chained, closed when it is full."""

from __future__ import annotations

import asyncio
import resource
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from eldex.common.testing.memory import MemoryBackend
from eldex.exchange.domain.message_log import LogEntry, Receipt
from eldex.exchange.store.message_log import (
    CALLS,
    BrokenLog,
    MessageLog,
    NoEvidence,
    entry_hash,
    read_segment,
)


def entry(number: int, code: str = "OK") -> LogEntry:
    return LogEntry(
        at=datetime(2026, 11, 22, tzinfo=UTC),
        subsystem="member/police/household-registration",
        method="/eldex.api.registry.v1.RegistryService/MoveResident",
        purpose="residence-registration",
        agreement_key="police-registry",
        agreement_version=1,
        legal_basis="户口登记条例 第三条",
        request_digest=bytes([number % 256]) * 32,
        reply_digest=b"",
        code=code,
        reason="",
        trace_id=f"{number:032x}",
    )


async def opened(folder: Path, backend: MemoryBackend | None = None) -> MessageLog:
    log = MessageLog(folder, backend or MemoryBackend())
    await log.start()
    return log


def segment(folder: Path) -> Path:
    (only,) = folder.glob("*.log")
    return only


async def test_concurrent_calls_get_consecutive_numbers_and_the_chain_holds(
    tmp_path: Path,
) -> None:
    log = await opened(tmp_path)
    receipts = await asyncio.gather(*(log.append(entry(i)) for i in range(300)))
    await log.close()
    assert sorted(r.index for r in receipts) == list(range(300))
    last = bytes(32)
    hashes = {}
    for _, call, data in read_segment(segment(tmp_path)):
        assert call.previous_hash == last
        last = hashes[call.log_index] = entry_hash(data)
    assert all(hashes[r.index] == r.entry_hash for r in receipts)


async def test_half_an_entry_from_a_crash_is_cut_off_and_the_numbers_go_on(
    tmp_path: Path,
) -> None:
    log = await opened(tmp_path)
    await asyncio.gather(*(log.append(entry(i)) for i in range(5)))
    await log.close()
    whole = segment(tmp_path).read_bytes()
    segment(tmp_path).write_bytes(whole + whole[: len(whole) // 7])
    log = await opened(tmp_path)
    receipt = await log.append(entry(5))
    await log.close()
    assert receipt.index == 5
    assert [call.log_index for _, call, _ in read_segment(segment(tmp_path))] == list(range(6))


async def test_a_changed_entry_is_found_when_the_log_is_opened(tmp_path: Path) -> None:
    log = await opened(tmp_path)
    for i in range(3):
        await log.append(entry(i))
    await log.close()
    data = bytearray(segment(tmp_path).read_bytes())
    position = data.index(bytes([1]) * 32)
    data[position] ^= 1
    segment(tmp_path).write_bytes(bytes(data))
    with pytest.raises(BrokenLog, match="entry 2 does not follow"):
        await opened(tmp_path)


@pytest.fixture
def small_disk() -> Iterator[None]:
    """A process that may not write a file beyond some 20 KB, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


async def answer(log: MessageLog, number: int) -> Receipt | None:
    try:
        return await log.append(entry(number))
    except NoEvidence:
        return None


@pytest.mark.usefixtures("small_disk")
async def test_on_a_full_disk_no_receipt_is_given_and_what_was_given_still_stands(
    tmp_path: Path,
) -> None:
    log = await opened(tmp_path)
    answers = [await answer(log, i) for i in range(100)]
    given = [receipt for receipt in answers if receipt is not None]
    assert answers[-1] is None
    await log.close()
    assert len(given) > 10
    stored = [call.log_index for _, call, _ in read_segment(segment(tmp_path))]
    assert stored == [receipt.index for receipt in given]


async def test_what_the_database_missed_is_searchable_after_the_next_start(
    tmp_path: Path,
) -> None:
    backend = MemoryBackend()
    log = await opened(tmp_path, backend)
    for i in range(10):
        await log.append(entry(i, "PERMISSION_DENIED" if i == 3 else "OK"))
    await log.close()
    backend.collections[CALLS] = {
        key: document for key, document in backend.collections[CALLS].items() if key < 4
    }
    log = await opened(tmp_path, backend)
    calls, rest = await log.search({}, size=6, before=None)
    assert [call.index for call in calls] == [9, 8, 7, 6, 5, 4]
    assert rest == 4
    denied, _ = await log.search({"denied": True}, size=10, before=None)
    assert [call.index for call in denied] == [3]
    await log.close()
