"""Whatever is done to a log is found, and told to the record: over a thousand seeded mutations.

Two who tamper. A *thief* has the files of the log and no key: bits, lines, whole files, or everything
rewritten so that it fits together again. The *operator* has the log's key too and has won over the
witnesses; what the operator cannot reach are the receipts that members keep and the checkpoints that
partners keep. An auditor has those, and what the log's folder holds afterwards.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest

from eldex.evidence.audit import Given, audit
from eldex.evidence.checkpoint import Checkpoint
from eldex.evidence.errors import EvidenceError
from eldex.evidence.findings import Finding, Kind, Report
from eldex.evidence.log import CHECKPOINT
from eldex.evidence.note import Note
from eldex.evidence.policy import Policy
from eldex.evidence.receipts import Bundle, MalformedBundle, Receipt
from eldex.evidence.records import Record
from eldex.evidence.segments import RECORD_AT, frame
from eldex.evidence.testing import BEGAN, ORIGIN, Exchange, files_of, head_of, key, record, salt
from eldex.evidence.tree import HASH_BYTES, leaf_before, leaf_hash

HEIGHT = 4
CAPACITY = 1 << HEIGHT
Files = dict[str, bytes]
Told = list[Finding]


@dataclass
class Case:
    """What an auditor is given after something was done, and what must be found."""

    files: Files
    records: set[int] = field(default_factory=set)
    """Records that must be named."""
    near: set[int] = field(default_factory=set)
    """Records that may be named besides: no other may."""
    source: str = ""
    """What must be named where no record is concerned: a file."""
    kinds: frozenset[Kind] = frozenset()
    """One of which must be found, if it is not left to the records or the source."""
    receipts: list[Receipt] | None = None
    partners: list[Note] | None = None
    bundles: list[Bundle] | None = None


class Scene:
    """A sound log of 119 records in 8 segments, and what others keep of it."""

    def __init__(self, folder: Path) -> None:
        exchange = self.exchange = Exchange(folder / "exchange", height=HEIGHT)
        exchange.answer(1, 9, 16, 7, 20, 3, 30, 1, 18, 14)
        self.records = exchange.records
        self.size = len(self.records)
        self.files = {
            **files_of(self.records, HEIGHT),
            CHECKPOINT: exchange.notes[-1].encode(),
        }
        self.partners = [exchange.notes[2], exchange.notes[6]]
        self.bundles = [Bundle.of(exchange.log, n, exchange.notes[7]) for n in (3, 60)]
        self.policy = Policy.parse(exchange.policy)
        self.desk = folder / "desk"
        self.desk.mkdir()
        self._there: Files = {}

    def verify(self, case: Case) -> Report:
        """What the auditor finds."""
        for name in self._there.keys() - case.files.keys():
            (self.desk / name).unlink()
        for name, data in case.files.items():
            if self._there.get(name) != data:
                (self.desk / name).write_bytes(data)
        self._there = dict(case.files)
        paths = [self.desk / name for name in sorted(case.files)]
        receipts = self.exchange.receipts if case.receipts is None else case.receipts
        partners = self.partners if case.partners is None else case.partners
        bundles = self.bundles if case.bundles is None else case.bundles
        checkpoints = [(CHECKPOINT, case.files[CHECKPOINT])] if CHECKPOINT in case.files else []
        return audit(
            Given(
                self.policy,
                ORIGIN,
                segments=[path for path in paths if path.suffix == ".segment"],
                seals=[path for path in paths if path.suffix == ".seal"],
                hashes=[path for path in paths if path.name == "hashes"],
                checkpoints=[
                    *checkpoints,
                    *((f"partner-{n}", note.encode()) for n, note in enumerate(partners)),
                ],
                receipts=[("receipts", receipt) for receipt in receipts],
                bundles=[(f"{n}.tlog-proof", bundle) for n, bundle in enumerate(bundles)],
            )
        )

    @property
    def uncovered(self) -> set[int]:
        """The records that nothing covers without the head in the folder."""
        return set(range(Checkpoint.parse(self.exchange.notes[7].text).size, self.size))

    # Helpers of those who tamper

    def segment(self, index: int) -> str:
        return f"{index // CAPACITY * CAPACITY:012d}.segment"

    def lines(self, index: int) -> tuple[list[bytes], int]:
        """The lines of the segment of a record, the header being the first, and its place."""
        lines = self.files[self.segment(index)].split(b"\n")[:-1]
        return lines, index % CAPACITY + 1

    def with_lines(self, index: int, lines: Iterable[bytes]) -> Files:
        return {**self.files, self.segment(index): b"".join(line + b"\n" for line in lines)}

    def rewritten(self, records: list[bytes]) -> Files:
        """All files anew, so that they fit together; the head stays, for want of a key."""
        return {**files_of(records, HEIGHT), CHECKPOINT: self.files[CHECKPOINT]}

    def signed_anew(self, records: list[bytes]) -> Files:
        """All files anew with a new head, signed by the operator and the witnesses."""
        note = self.exchange.sign(head_of(records))
        return {**files_of(records, HEIGHT), CHECKPOINT: note.encode()}

    def altered(self, index: int, rng: random.Random) -> bytes:
        """Another record in place of one: a field is not what it was."""
        was = Record.parse(self.records[index])
        changed: Record = rng.choice(
            [
                was._replace(subsystem="member/somebody/else"),
                was._replace(purpose="curiosity"),
                was._replace(subject_hashes=()),
                was._replace(reply_digest=bytes(32)),
                was._replace(agreement_version=was.agreement_version + 1),
                was._replace(code="PERMISSION_DENIED", reason="NOT_AGREED"),
            ]
        )
        return changed.encode()


def flipped(data: bytes, place: int, rng: random.Random) -> bytes:
    changed = bytearray(data)
    changed[place] ^= 1 << rng.randrange(8)
    return bytes(changed)


def stranger(rng: random.Random, at: int = 0) -> bytes:
    when = BEGAN + timedelta(milliseconds=40 * at, microseconds=rng.randrange(1, 30_000))
    return record(rng.randrange(10**6, 10**9), at=when).encode()


def line_of(data: bytes) -> bytes:
    return frame(leaf_hash(data), data)[:-1]


# What a thief does


def bit_in_a_segment(scene: Scene, rng: random.Random) -> Case:
    name = rng.choice([name for name in scene.files if name.endswith(".segment")])
    data, first = scene.files[name], int(name[:12])
    place = rng.randrange(len(data))
    files = {**scene.files, name: flipped(data, place, rng)}
    line = data[:place].count(b"\n") - 1  # of the header: -1
    if line < 0:
        near = {first} if data[place : place + 1] == b"\n" else set()
        return Case(
            files, source=name, near=near | set(range(first, first + CAPACITY)) if near else near
        )
    if data[place : place + 1] == b"\n":  # two lines become one
        return Case(files, {first + line}, near={first + line + 1})
    return Case(files, {first + line})


def bit_elsewhere(scene: Scene, rng: random.Random) -> Case:
    name = rng.choice([name for name in scene.files if not name.endswith(".segment")])
    data = scene.files[name]
    place = rng.randrange(len(data))
    files = {**scene.files, name: flipped(data, place, rng)}
    if name == "hashes":
        record_of_hash = leaf_before(place // HASH_BYTES)
        return Case(files, {record_of_hash}, kinds=frozenset({Kind.HASHES}))
    if name == CHECKPOINT:
        kinds = frozenset({Kind.CHECKPOINT})
        return Case(files, source=name, kinds=kinds, near=scene.uncovered)
    return Case(files, source=name, kinds=frozenset({Kind.SEAL}))


def line_dropped(scene: Scene, rng: random.Random) -> Case:
    index = rng.randrange(scene.size)
    lines, place = scene.lines(index)
    del lines[place]
    return Case(scene.with_lines(index, lines), {index})


def line_inserted(scene: Scene, rng: random.Random) -> Case:
    index = rng.randrange(scene.size)
    lines, place = scene.lines(index)
    lines.insert(place, line_of(stranger(rng, index)))
    return Case(scene.with_lines(index, lines), {index})


def line_doubled(scene: Scene, rng: random.Random) -> Case:
    index, other = rng.randrange(scene.size), rng.randrange(scene.size)
    lines, place = scene.lines(index)
    lines.insert(place, line_of(scene.records[other]))
    # A double beside the record itself: which of the two is the double, nobody can tell.
    return Case(scene.with_lines(index, lines), {index + (other == index)}, near={index})


def lines_swapped(scene: Scene, rng: random.Random) -> Case:
    one, other = rng.sample(range(scene.size), 2)
    files = scene.files
    for index, instead in ((one, other), (other, one)):
        lines = files[scene.segment(index)].split(b"\n")[:-1]
        lines[index % CAPACITY + 1] = line_of(scene.records[instead])
        files = {**files, scene.segment(index): b"".join(line + b"\n" for line in lines)}
    return Case(files, {one, other})


def record_altered(scene: Scene, rng: random.Random) -> Case:
    index = rng.randrange(scene.size)
    lines, place = scene.lines(index)
    data = scene.altered(index, rng)
    lines[place] = line_of(data) if rng.random() < 0.7 else lines[place][:RECORD_AT] + data
    return Case(scene.with_lines(index, lines), {index})


def tail_truncated(scene: Scene, rng: random.Random) -> Case:
    name = rng.choice([name for name in scene.files if name.endswith(".segment")])
    data, first = scene.files[name], int(name[:12])
    header = data.index(b"\n") + 1
    cut = rng.randrange(header, len(data))
    lost = first + data[:cut].count(b"\n") - 1
    end = min(first + CAPACITY, scene.size)
    return Case({**scene.files, name: data[:cut]}, set(range(lost, end)))


def file_removed(scene: Scene, rng: random.Random) -> Case:
    name = rng.choice([name for name in scene.files if name.endswith(".segment")])
    first = int(name[:12])
    files = {other: data for other, data in scene.files.items() if other != name}
    if rng.random() < 0.5:  # and its seal
        files.pop(f"{first:012d}.seal", None)
    return Case(files, set(range(first, min(first + CAPACITY, scene.size))))


def everything_rewritten(scene: Scene, rng: random.Random) -> Case:
    """Dropped, inserted, altered or swapped, and all files made to fit; the members' receipts tell."""
    records, index = list(scene.records), rng.randrange(scene.size - 1)
    match rng.randrange(4):
        case 0:
            del records[index]
            return Case(scene.rewritten(records), {index}, near=set(range(index, scene.size)))
        case 1:
            records.insert(index, stranger(rng, index))
            return Case(scene.rewritten(records), {index}, near=set(range(index, scene.size + 1)))
        case 2:
            records[index] = scene.altered(index, rng)
            return Case(scene.rewritten(records), {index})
    other = rng.choice([n for n in range(scene.size) if n != index])
    records[index], records[other] = records[other], records[index]
    return Case(scene.rewritten(records), {index, other}, near={index + 1, other + 1})


def signed_by_another(scene: Scene, rng: random.Random) -> Case:
    """A head of one's own, signed with a key of one's own: of another name, or of the log's name."""
    records = [*scene.records[:-1], stranger(rng, scene.size)]
    head, note = head_of(records), Note.parse(scene.files[CHECKPOINT])
    mine = key(f"thief-{rng.randrange(10**6)}.example/log")
    forged = [
        Note(head.text(), (mine.sign(head.text()),)),
        Note(head.text(), (replace(mine.sign(head.text()), name=ORIGIN), *note.signatures[1:])),
        Note(head.text(), note.signatures),
        head.sign(scene.exchange.signer),  # no witness
        Note(note.text, (mine.sign(note.text), *note.signatures[1:])),
    ]
    data = rng.choice(forged).encode()
    files = {**scene.files, CHECKPOINT: data}
    kinds = frozenset({Kind.CHECKPOINT})
    return Case(files, source=CHECKPOINT, kinds=kinds, near=scene.uncovered)


# What the operator does


def old_head(scene: Scene, rng: random.Random) -> Case:
    """The log put back to an earlier state; a partner, or the members, know of a later one."""
    note = scene.exchange.notes[rng.randrange(len(scene.exchange.notes) - 1)]
    size = Checkpoint.parse(note.text).size
    files = {**files_of(scene.records[:size], HEIGHT), CHECKPOINT: note.encode()}
    lost = set(range(size, scene.size))
    if rng.random() < 0.5:
        return Case(files, lost, near=lost, partners=[], bundles=[])
    newest = Note.parse(scene.files[CHECKPOINT])
    return Case(files, lost, near=lost, receipts=[], bundles=[], partners=[newest])


def old_head_alone(scene: Scene, rng: random.Random) -> Case:
    """All records, and a head that covers only some of them: the others are not proven."""
    note = scene.exchange.notes[rng.randrange(len(scene.exchange.notes) - 1)]
    size = Checkpoint.parse(note.text).size
    files = {**scene.files, CHECKPOINT: note.encode()}
    open_records = set(range(size, scene.size))
    return Case(files, open_records, partners=[], bundles=[])


def forked(scene: Scene, rng: random.Random) -> Case:
    """Another history from some record on, signed and co-signed; partners have the first one's head."""
    records, index = (
        list(scene.records),
        rng.randrange(66),
    )  # before the last head that partners keep
    records[index] = scene.altered(index, rng)
    if rng.random() < 0.5:
        records += [stranger(rng, scene.size + n) for n in range(rng.randrange(1, 40))]
    files = scene.signed_anew(records)
    if rng.random() < 0.5:
        return Case(files, {index}, kinds=frozenset({Kind.FORK}), bundles=[])
    return Case(files, source="partner-1", kinds=frozenset({Kind.FORK}), receipts=[], bundles=[])


def clock_set_back(scene: Scene, rng: random.Random) -> Case:
    """A log that was written so from the beginning: nothing contradicts it but its times."""
    index = rng.randrange(1, scene.size)
    before = Record.parse(scene.records[index - 1]).answered_at
    back = before - timedelta(microseconds=rng.randrange(1, 10**9))
    records = list(scene.records)
    until = rng.choice([index + 1, scene.size])  # for one record, or for good
    for number in range(index, until):
        at = back + timedelta(milliseconds=40 * (number - index))
        records[number] = record(number, at=at).encode()
    return honest_but(scene, records, {index})


def clock_set_forward(scene: Scene, rng: random.Random) -> Case:
    """Times that witnesses, when they co-signed, had not seen yet."""
    ahead = timedelta(minutes=6, seconds=rng.randrange(10**6))
    shifted = [
        record(number, at=BEGAN + timedelta(milliseconds=40 * number) + ahead).encode()
        for number in range(scene.size)
    ]
    return honest_but(scene, shifted, {scene.size - 1})


def doubled_from_the_beginning(scene: Scene, rng: random.Random) -> Case:
    index = rng.randrange(scene.size)
    records = [*scene.records[: index + 1], *scene.records[index:]]
    return honest_but(scene, records, {index + 1})


def honest_but(scene: Scene, records: list[bytes], named: set[int]) -> Case:
    receipts = [
        Receipt(ORIGIN, index, leaf_hash(data), salt(index)) for index, data in enumerate(records)
    ]
    files = scene.signed_anew(records)
    return Case(files, named, receipts=receipts, partners=[], bundles=[])


# What a member does


def receipt_forged(scene: Scene, rng: random.Random) -> Case:
    receipts = list(scene.exchange.receipts)
    index = rng.randrange(scene.size)
    other = rng.choice([n for n in range(scene.size + 9) if n != index])
    receipts[index] = rng.choice(
        [
            replace(receipts[index], leaf_hash=rng.randbytes(32)),
            replace(receipts[index], index=other),
        ]
    )
    return Case(scene.files, {receipts[index].index}, receipts=receipts)


def bundle_forged(scene: Scene, rng: random.Random) -> Case:
    bundle = rng.choice(scene.bundles)
    forged: Bundle | None = None
    while forged is None:  # until it is one: what cannot be read is refused before
        data = bundle.encode()
        try:
            forged = Bundle.parse(flipped(data, rng.randrange(len(data)), rng))
        except MalformedBundle:
            continue
    where = {forged.index}
    return Case(scene.files, where, bundles=[forged], kinds=frozenset({Kind.RECEIPT}))


MUTATIONS: list[tuple[Callable[[Scene, random.Random], Case], int]] = [
    (bit_in_a_segment, 250),
    (bit_elsewhere, 120),
    (line_dropped, 80),
    (line_inserted, 80),
    (line_doubled, 60),
    (lines_swapped, 80),
    (record_altered, 80),
    (tail_truncated, 60),
    (file_removed, 30),
    (everything_rewritten, 120),
    (signed_by_another, 40),
    (old_head, 40),
    (old_head_alone, 20),
    (forked, 60),
    (clock_set_back, 50),
    (clock_set_forward, 20),
    (doubled_from_the_beginning, 20),
    (receipt_forged, 40),
    (bundle_forged, 40),
]


def named(findings: Iterable[Finding]) -> Iterator[int]:
    """The records that findings name."""
    for finding in findings:
        if finding.index is not None and finding.kind is not Kind.ROOT:
            yield from range(finding.index, finding.until or finding.index + 1)


def faults(case: Case, report: Report) -> list[str]:
    """What was to be found and was not, or was told and should not be."""
    wrong = []
    if not report.exit_code:
        wrong.append("nothing was found")
    told = set(named(report.findings))
    if missing := case.records - told:
        wrong.append(f"not named: {sorted(missing)}")
    if strange := told - case.records - case.near:
        wrong.append(f"named without a reason: {sorted(strange)}")
    sources = {finding.source for finding in report.findings}
    if case.source and case.source not in sources | {f.segment for f in report.findings}:
        wrong.append(f"not named: {case.source}")
    if case.kinds and not case.kinds & {finding.kind for finding in report.findings}:
        wrong.append(f"no {' or '.join(case.kinds)}")
    return wrong


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("scene"))


def test_the_log_is_sound_before(scene: Scene) -> None:
    report = scene.verify(Case(scene.files))
    assert report.findings == []
    assert (report.records, report.proven_records) == (119, 119)
    assert report.receipts == 119 + 2


def tamper(scene: Scene, seeds: str, times: int) -> tuple[Counter[str], list[str]]:
    """All mutations so many times: how many of each, and what was not found or not located."""
    done, failures = Counter[str](), list[str]()
    for mutate, count in MUTATIONS:
        name = mutate.__name__
        for number in range(count * times):
            case = mutate(scene, random.Random(f"{seeds} {name} {number}"))
            report = scene.verify(case)
            done[name.replace("_", " ")] += 1
            if wrong := faults(case, report):
                failures.append(f"{name} {number}: {wrong}\n  {report.findings}")
    return done, failures


def test_everything_is_found_and_told_to_the_record(
    scene: Scene, capsys: pytest.CaptureFixture[str]
) -> None:
    done, failures = tamper(scene, "every run", 1)
    with capsys.disabled():
        names = ", ".join(f"{name} {count}" for name, count in done.items())
        exact = done.total() - len(failures)
        sys.stdout.write(
            f"\ntampering: {done.total()} mutations, {exact} found and located exactly ({names})\n"
        )
    assert failures == []
    assert done.total() >= 1_000


@pytest.mark.exhaustive
@pytest.mark.timeout(3600)
def test_a_hundred_thousand_more(scene: Scene) -> None:
    done, failures = tamper(scene, "exhaustive", 80)
    assert failures == []
    assert done.total() >= 100_000


def test_a_checkpoint_that_is_changed_by_a_bit_is_never_trusted(scene: Scene) -> None:
    data = scene.files[CHECKPOINT]
    for place in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            with pytest.raises(EvidenceError):
                scene.policy.check(bytes(changed))
