"""The log keeps what it acknowledged, whatever happens to the process and to the disk."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eldex.evidence.checkpoint import Checkpoint
from eldex.evidence.log import Archived, BrokenLog, Log, LogInUse
from eldex.evidence.records import MOST_BYTES
from eldex.evidence.segments import BrokenSegment, NotARecord, SegmentFile
from eldex.evidence.testing import ORIGIN, Exchange, files_of, head_of, key, record
from eldex.evidence.tree import EMPTY_ROOT, leaf_hash, verify_consistency, verify_inclusion

HEIGHT = 3


def some(first: int, count: int) -> list[bytes]:
    return [record(number).encode() for number in range(first, first + count)]


def opened(folder: Path) -> Log:
    return Log.open(folder, ORIGIN, height=HEIGHT)


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if path.suffix in {".segment", ".seal"} or path.name == "hashes"
    }


@contextlib.contextmanager
def disk_full_after(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes: the kernel writes up to there and then refuses."""
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("batches", [[1], [8], [9], [3, 5, 1], [30], [7, 1, 8, 20, 2]])
def test_the_files_are_those_of_the_format_in_whatever_batches(
    tmp_path: Path, batches: list[int]
) -> None:
    data = some(0, sum(batches))
    with opened(tmp_path) as log:
        done = 0
        for count in batches:
            appended = log.append(data[done : done + count])
            assert (appended.first, appended.size) == (done, done + count)
            assert appended.leaf_hashes == [leaf_hash(d) for d in data[done : done + count]]
            done += count
        assert log.checkpoint() == head_of(data)
    with opened(tmp_path) as log:  # which seals what was full
        assert log.checkpoint() == head_of(data)
        assert [log.record(index) for index in range(log.size)] == data
        expected = files_of(data, HEIGHT)
        assert {name: files(tmp_path).get(name) for name in expected} == expected


def test_proofs_of_every_size_verify(tmp_path: Path) -> None:
    data = some(0, 21)
    with opened(tmp_path) as log:
        log.append(data)
        roots = [log.root(size) for size in range(22)]
        for size in range(1, 22):
            for index in range(size):
                proof = log.inclusion_proof(index, size)
                verify_inclusion(index, size, leaf_hash(data[index]), proof, roots[size])
            for old in range(size + 1):
                proof = log.consistency_proof(old, size)
                verify_consistency(old, size, roots[old], roots[size], proof)
        for ask in (
            lambda: log.root(22),
            lambda: log.inclusion_proof(0, 22),
            lambda: log.inclusion_proof(5, 5),
            lambda: log.consistency_proof(3, 22),
            lambda: log.consistency_proof(4, 3),
            lambda: log.record(21),
            lambda: log.record(-1),
        ):
            with pytest.raises(ValueError, match=r"records|leaves|leaf"):
                ask()


def test_a_crash_at_any_byte_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    data = some(0, 11)
    whole = files_of(data, HEIGHT)
    acknowledged = 9
    kept = files_of(data[:acknowledged], HEIGHT)["000000000008.segment"]
    torn = whole["000000000008.segment"]
    for size in [*range(len(kept), len(torn), 97), len(torn) - 1, len(torn)]:
        for zeros in (0, 300):  # blocks that were allotted and never written
            folder = tmp_path / f"{size}-{zeros}"
            folder.mkdir()
            for name, content in whole.items():
                (folder / name).write_bytes(content)
            (folder / "000000000008.segment").write_bytes(torn[:size] + bytes(zeros))
            with opened(folder) as log:
                assert acknowledged <= log.size <= 11
                assert log.checkpoint() == head_of(data[: log.size])
                lines = torn[:size].count(b"\n")
                assert log.size == 8 + lines - 1
                log.append(data[log.size :])
                assert log.checkpoint() == head_of(data)
            assert files(folder) == whole


@pytest.mark.parametrize("size", [0, 1, 20])
def test_a_crash_while_a_segment_is_begun_leaves_nothing_of_it(tmp_path: Path, size: int) -> None:
    whole = files_of(some(0, 9), HEIGHT)
    for name in ("000000000000.segment", "hashes"):
        (tmp_path / name).write_bytes(whole[name])
    (tmp_path / "000000000008.segment").write_bytes(whole["000000000008.segment"][:size])
    with opened(tmp_path) as log:
        assert (log.size, log.torn_bytes) == (8, size)
        log.append(some(8, 1))
    with opened(tmp_path):
        assert files(tmp_path) == whole


def test_a_crash_after_the_header_leaves_an_empty_segment(tmp_path: Path) -> None:
    whole = files_of(some(0, 1), HEIGHT)["000000000000.segment"]
    (tmp_path / "000000000000.segment").write_bytes(whole[: whole.index(b"\n") + 5])
    with opened(tmp_path) as log:
        assert (log.size, log.torn_bytes) == (0, 4)
        log.append(some(0, 1))
    assert (tmp_path / "000000000000.segment").read_bytes() == whole


def test_a_process_killed_while_it_appends_has_what_it_told(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from eldex.evidence.log import Log\n"
        "from eldex.evidence.testing import ORIGIN, record\n"
        f"log = Log.open(Path({str(tmp_path)!r}), ORIGIN, height={HEIGHT})\n"
        "while True:\n"
        "    first = log.size\n"
        "    done = log.append([record(n).encode() for n in range(first, first + 5)])\n"
        "    print(done.size, flush=True)\n"
    )
    told = 0
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            for line in process.stdout:
                told = int(line)
                if told % 60 == 0:
                    process.kill()
        with opened(tmp_path) as log:
            assert log.size >= told > 0
            assert log.checkpoint() == head_of(some(0, log.size))


@pytest.mark.parametrize("start", [0, 3, 7, 8])
@pytest.mark.parametrize("count", [1, 4, 12])
def test_a_full_disk_takes_back_the_whole_batch(tmp_path: Path, start: int, count: int) -> None:
    data = some(0, start + count)
    folder = tmp_path / "log"
    with opened(folder) as log:
        log.append(data[:start])
        before = log.checkpoint()
        was = files(folder)
        last = len(was["000000000000.segment"]) if start % 8 else 0
        refused = 0
        for room in (0, 10, 200, 900, 2500):
            with disk_full_after(last + room), contextlib.suppress(OSError):
                log.append(data[start:])
                break
            refused += 1
            assert log.checkpoint() == before
            now = files(folder)
            now["hashes"] = now["hashes"][: len(was["hashes"])]  # beyond are no records' hashes
            assert now == {**was, **{name: now[name] for name in now if name.endswith("0.seal")}}
        if log.size == start:
            log.append(data[start:])
        assert refused
        assert log.checkpoint() == head_of(data)
        assert [log.record(index) for index in range(len(data))] == data
    with opened(folder):
        expected = files_of(data, HEIGHT)
        assert {name: files(folder).get(name) for name in expected} == expected


def test_a_flush_that_fails_takes_back_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path) as log:
        log.append(some(0, 6))
        failing = iter([True, False, True])

        def fdatasync(_file: int) -> None:
            if next(failing, False):
                raise OSError(errno.EIO, "the disk is broken")

        monkeypatch.setattr(os, "fdatasync", fdatasync)
        for _ in range(2):  # in the first segment, then in the second of the batch
            with pytest.raises(OSError, match="broken"):
                log.append(some(6, 5))
            assert log.checkpoint() == head_of(some(0, 6))
        assert not (tmp_path / "000000000008.segment").exists()
        log.append(some(6, 5))
        assert log.checkpoint() == head_of(some(0, 11))


def test_hashes_that_cannot_be_written_take_back_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space left")

    with opened(tmp_path) as log:
        log.append(some(0, 6))
        before = files(tmp_path)
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", full)
            with pytest.raises(OSError, match="no space"):
                log.append(some(6, 5))
        assert files(tmp_path) == before
        assert log.append(some(6, 5)).root == head_of(some(0, 11)).root


def test_what_cannot_be_taken_back_stops_the_log_until_it_is_opened_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "the disk is broken")

    log = opened(tmp_path)
    log.append(some(0, 2))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", broken)
        patch.setattr(SegmentFile, "cut", broken)
        with pytest.raises(OSError, match="broken"):
            log.append(some(2, 1))
    with pytest.raises(BrokenLog, match="open the log again"):
        log.append(some(2, 1))
    log.close()
    with opened(tmp_path) as log:
        assert log.size in {2, 3}


def test_what_is_no_line_is_not_appended(tmp_path: Path) -> None:
    with opened(tmp_path) as log:
        for bad in (b"", b"a\nb", b"a\x00", b"x" * (MOST_BYTES + 1)):
            with pytest.raises(NotARecord):
                log.append([b"good", bad])
        assert log.size == 0
        assert log.append([]).size == 0
        assert log.append([b"x" * MOST_BYTES]).size == 1


def test_appending_costs_few_microseconds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = some(0, 64 * 50)
    with Log.open(tmp_path, ORIGIN) as log:
        began = time.process_time()
        for start in range(0, len(data), 64):
            log.append(data[start : start + 64])
        cost = (time.process_time() - began) / len(data) * 1e6
    with capsys.disabled():
        sys.stdout.write(f"\nappend in batches of 64: {cost:.1f} µs of CPU a record\n")
    assert cost < 30  # the aim is 10, on a machine that does nothing else


def test_two_processes_do_not_write_one_log(tmp_path: Path) -> None:
    with opened(tmp_path), pytest.raises(LogInUse):
        opened(tmp_path)
    with opened(tmp_path):
        pass


def test_threads_that_append_and_ask_see_a_log_that_only_grows(tmp_path: Path) -> None:
    wrong: list[bytes] = []
    with opened(tmp_path) as log:
        stop = threading.Event()

        def ask() -> None:
            while not stop.is_set():
                head = log.checkpoint()
                if head.size:
                    index = head.size - 1
                    leaf = leaf_hash(log.record(index))
                    proof = log.inclusion_proof(index, head.size)
                    verify_inclusion(index, head.size, leaf, proof, head.root)
                    found = [log.record(place) for place in range(0, head.size, 9)]
                    wrong.extend(data for data in found if not data.startswith(b"record"))

        def append(writer: int) -> None:
            for number in range(40):
                log.append([b"record %d of %d" % (n, writer) for n in range(number % 5)])

        asking = [threading.Thread(target=ask) for _ in range(2)]
        writing = [threading.Thread(target=append, args=(n,)) for n in range(3)]
        for thread in asking + writing:
            thread.start()
        for thread in writing:
            thread.join()
        stop.set()
        for thread in asking:
            thread.join()
        assert log.size == 3 * 80
        head = log.checkpoint()
    assert not wrong
    with opened(tmp_path) as log:
        assert log.checkpoint() == head


def test_the_log_does_not_open_with_less_than_it_published(tmp_path: Path) -> None:
    exchange = Exchange(tmp_path, height=HEIGHT)
    assert exchange.log.published() is None
    exchange.answer(5, 6)
    assert exchange.log.published() == exchange.notes[-1]
    with pytest.raises(ValueError, match="not a checkpoint of this log"):
        exchange.log.publish(Checkpoint(ORIGIN, 3, bytes(32)).sign(key(ORIGIN)))
    exchange.log.close()
    # An older backup, and one with another history.
    for data in (some(0, 9), [*some(0, 10), record(77).encode()]):
        for name, content in files_of(data, HEIGHT).items():
            (tmp_path / name).write_bytes(content)
        with pytest.raises(BrokenLog, match="checkpoint"):
            opened(tmp_path)
    for name, content in files_of(some(0, 12), HEIGHT).items():
        (tmp_path / name).write_bytes(content)
    with opened(tmp_path) as log:
        assert log.size == 12


def test_segments_move_away_and_proofs_stay(tmp_path: Path) -> None:
    data = some(0, 30)
    with opened(tmp_path) as log:
        log.append(data)
        log.append(some(30, 1))
    for first in (0, 8):
        (tmp_path / f"{first:012d}.segment").rename(tmp_path / f"moved-{first}")
    with opened(tmp_path) as log:
        head = log.checkpoint()
        assert head == head_of([*data, *some(30, 1)])
        verify_inclusion(3, 31, leaf_hash(data[3]), log.inclusion_proof(3, 31), head.root)
        with pytest.raises(Archived, match="000000000008"):
            log.record(9)
        assert log.record(16) == data[16]
        (tmp_path / "moved-8").rename(tmp_path / "000000000008.segment")
        assert log.record(9) == data[9]


def test_hashes_that_are_lost_are_made_again(tmp_path: Path) -> None:
    data = some(0, 30)
    with opened(tmp_path) as log:
        log.append(data)
    with opened(tmp_path):
        whole = files(tmp_path)
    for kept in (0, 31, 32 * 7, 32 * 15, 32 * 20, 32 * 30, 32 * 31):
        (tmp_path / "hashes").write_bytes(whole["hashes"][:kept])
        with opened(tmp_path) as log:
            assert log.root(30) == head_of(data).root
        assert files(tmp_path) == whole
    for wrong in (14, 29, 30, 45):  # roots of segments, and what is above and after them
        place = wrong * 32
        spoilt = whole["hashes"][:place] + bytes(32) + whole["hashes"][place + 32 :]
        (tmp_path / "hashes").write_bytes(spoilt)
        with opened(tmp_path) as log:
            assert log.root(30) == head_of(data).root
        assert files(tmp_path) == whole
    (tmp_path / "hashes").unlink()
    (tmp_path / "000000000008.segment").rename(tmp_path / "moved")
    with pytest.raises(BrokenLog, match=r"bring the segment back"):
        opened(tmp_path)


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data.replace(old, new, 1)


@pytest.mark.parametrize(
    ("name", "change", "why"),
    [
        ("000000000024.segment", replaced(b"OK", b"KO"), "record 24"),
        ("000000000024.segment", lambda data: data[:-9] + b"x" + data[-8:], "record 29"),
        ("000000000024.segment", lambda data: data + b"\n", "record 30"),
        ("000000000024.segment", replaced(b"a-city", b"z-city"), "z-city"),
        ("000000000024.segment", replaced(b" 24 3", b" 24 2"), "2"),
        ("000000000024.segment", replaced(b" 24 3", b" 32 3"), "32"),
        ("000000000024.segment", replaced(b"segment/1", b"segment/2"), "header"),
        ("000000000008.seal", lambda data: data[:-4] + b"AA=\n", "seal"),
        ("000000000008.seal", replaced(b" 8 3", b" 16 3"), "16"),
        ("000000000008.seal", replaced(b"a-city", b"z-city"), "z-city"),
        ("000000000008.seal", lambda data: data + b"x", "one line"),
        ("000000000008.seal", lambda data: data[:-45] + b"A" * 43 + b"=\n", "not what its seal"),
    ],
)
def test_a_log_that_was_changed_does_not_open(
    tmp_path: Path, name: str, change: Callable[[bytes], bytes], why: str
) -> None:
    with opened(tmp_path) as log:
        log.append(some(0, 30))
    with opened(tmp_path):
        path = tmp_path / name
    changed = change(path.read_bytes())
    assert changed != path.read_bytes()
    path.write_bytes(changed)
    with pytest.raises(BrokenLog, match=why):
        opened(tmp_path)
    with pytest.raises(BrokenLog):  # and it let go of the folder
        opened(tmp_path)


def test_a_record_that_was_changed_is_not_handed_out(tmp_path: Path) -> None:
    with opened(tmp_path) as log:
        log.append(some(0, 12))
        for name in ("000000000000.segment", "000000000008.segment"):
            path = tmp_path / name
            path.write_bytes(path.read_bytes().replace(b"OK", b"KO", 1))
        for index in (0, 8):
            with pytest.raises(BrokenSegment, match=f"record {index}:"):
                log.record(index)
        assert log.record(1) == some(1, 1)[0]


def test_a_missing_seal_or_segment_is_told(tmp_path: Path) -> None:
    with opened(tmp_path) as log:
        log.append(some(0, 30))
    with opened(tmp_path):
        pass
    seal = (tmp_path / "000000000008.seal").read_bytes()
    (tmp_path / "000000000008.seal").unlink()
    with pytest.raises(BrokenLog, match=r"before 000000000016\.seal is missing"):
        opened(tmp_path)
    (tmp_path / "000000000008.seal").write_bytes(seal)
    (tmp_path / "000000000016.seal").unlink()
    (tmp_path / "000000000016.segment").unlink()
    with pytest.raises(BrokenLog, match="does not follow"):
        opened(tmp_path)


def test_a_segment_that_ends_too_early_before_another_is_told(tmp_path: Path) -> None:
    whole = files_of(some(0, 9), HEIGHT)
    for name in ("000000000000.segment", "000000000008.segment"):
        (tmp_path / name).write_bytes(whole[name])
    with opened(tmp_path) as log:  # a crash before it was sealed
        assert log.checkpoint() == head_of(some(0, 9))
    (tmp_path / "000000000000.seal").unlink()
    (tmp_path / "000000000000.segment").write_bytes(whole["000000000000.segment"][:-9])
    with pytest.raises(BrokenLog, match=r"000000000000\.segment ends before its last record"):
        opened(tmp_path)


def test_the_checkpoint_of_another_log_is_refused(tmp_path: Path) -> None:
    stranger = key("exchange.z-city.example/log")
    note = Checkpoint(stranger.verifier.name, 0, EMPTY_ROOT).sign(stranger)
    (tmp_path / "checkpoint").write_bytes(note.encode())
    with pytest.raises(BrokenLog, match="z-city"):
        opened(tmp_path)


def test_heights_that_cannot_be_are_refused(tmp_path: Path) -> None:
    for height in (0, 25):
        with pytest.raises(ValueError, match="segment"):
            Log.open(tmp_path, ORIGIN, height=height)
    opened(tmp_path).close()
    with opened(tmp_path) as log:
        log.append(some(0, 1))
    with pytest.raises(BrokenLog, match="2\\^3 a segment"):
        Log.open(tmp_path, ORIGIN, height=4)
