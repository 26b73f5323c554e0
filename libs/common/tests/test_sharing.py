"""Concurrent acts share transactions and queries, and are still as if one came after the other."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eldex.common.errors import AlreadyExists, Unavailable
from eldex.common.mongo import connect
from eldex.common.store import (
    Backend,
    ChangeSet,
    GroupCommit,
    Mark,
    Outcome,
    Taken,
    UnitOfWork,
    Write,
    collections_of,
)
from eldex.common.store import commit as commit_module
from eldex.common.testing.harness import FrozenClock, waiting_events
from eldex.common.testing.homes import (
    Homes,
    Watched,
    admitting,
    fresh,
    home_of,
    opening,
    publish,
    until,
)
from eldex.common.testing.memory import MemoryBackend
from eldex.local.mongod import Mongod

# --- committing together --------------------------------------------------------------------------


async def test_concurrent_acts_share_transactions(
    work: UnitOfWork[Homes], backend: Watched
) -> None:
    await asyncio.gather(*(work.write(fresh(), opening(f"h{i}", beds=1)) for i in range(100)))
    assert sum(backend.batches) == 100
    assert len(backend.batches) <= 5
    assert len(backend.collections["homes"]) == 100


async def test_an_act_that_fails_does_not_fail_its_neighbours(
    work: UnitOfWork[Homes], backend: Watched
) -> None:
    await work.write(fresh(), opening("h0", beds=1, licence="A-1"))
    backend.batches.clear()
    licences = ["A-1" if i % 5 == 0 else f"B-{i}" for i in range(20)]
    outcomes = await asyncio.gather(
        *(
            work.write(fresh(), opening(f"h{i + 1}", 1, licence=name))
            for i, name in enumerate(licences)
        ),
        return_exceptions=True,
    )
    assert backend.batches[0] > 1
    refused = [i for i, outcome in enumerate(outcomes) if isinstance(outcome, AlreadyExists)]
    assert refused == [0, 5, 10, 15]
    assert len(backend.collections["homes"]) == 17


async def test_two_acts_on_one_aggregate_never_share_a_transaction(backend: Watched) -> None:
    group = GroupCommit(backend, lanes=1)

    def change(key: str, version: int) -> ChangeSet:
        document = {"_id": key, "version": version}
        return ChangeSet([Write("notes", document, replaces=version - 1 or None)])

    outcomes = await asyncio.gather(
        *(group.submit(change("h1", v)) for v in (1, 2, 3)), group.submit(change("h2", 1))
    )
    assert outcomes == [None] * 4
    assert backend.batches == [2, 1, 1]


async def test_a_slow_transaction_holds_back_only_those_who_want_its_documents(
    backend: Watched,
) -> None:
    group = GroupCommit(backend, lanes=2)
    backend.gate.clear()
    first = asyncio.create_task(group.submit(ChangeSet([Write("notes", {"_id": "n1"})])))
    await until(lambda: len(backend.batches) == 1)
    same = asyncio.create_task(group.submit(ChangeSet([Write("notes", {"_id": "n1"})])))
    other = asyncio.create_task(group.submit(ChangeSet([Write("notes", {"_id": "n2"})])))
    await until(lambda: len(backend.batches) == 2)
    assert backend.batches == [1, 1]  # n2 is on its way in the second lane, n1's rival waits
    backend.gate.set()
    assert await first is None
    assert await other is None
    assert isinstance(await same, Taken)


def one(key: str) -> ChangeSet:
    """A change set that nobody waits for."""
    return ChangeSet([Write("notes", {"_id": key})])


async def test_while_acts_are_decided_commits_keep_a_pace_and_go_together(
    backend: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_module, "_PACE_SECONDS", 60.0)
    group = GroupCommit(backend, lanes=2)
    assert await group.submit(one("n1")) is None  # alone: it never waits
    with group.expecting():
        waiting = [asyncio.create_task(group.submit(one(f"n{i}"))) for i in range(2, 5)]
        for _ in range(20):
            await asyncio.sleep(0)
        assert backend.batches == [1]  # somebody is still deciding: the three wait for the fourth
        waiting.append(asyncio.create_task(group.submit(one("n5"))))
        await asyncio.sleep(0)
    # Nobody decides any more: they need not wait for the pace.
    async with asyncio.timeout(5):
        assert await asyncio.gather(*waiting) == [None] * 4
    assert backend.batches == [1, 4]


async def test_the_pace_is_kept_no_longer_than_it_lasts(
    backend: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_module, "_PACE_SECONDS", 0.05)
    loop = asyncio.get_running_loop()
    group = GroupCommit(backend, lanes=2)
    began = loop.time()
    await group.submit(one("n1"))
    with group.expecting():  # by an act that never ends
        async with asyncio.timeout(5):
            assert await group.submit(one("n2")) is None
    assert loop.time() - began >= 0.05
    assert backend.batches == [1, 1]


async def test_a_batch_that_is_half_full_waits_for_no_pace_and_no_other_lane(
    backend: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commit_module, "_PACE_SECONDS", 60.0)
    monkeypatch.setattr(commit_module, "_PATIENCE_SECONDS", 60.0)
    group = GroupCommit(backend, lanes=2, max_batch=10)
    backend.gate.clear()
    waiting = [asyncio.create_task(group.submit(one("n0")))]
    await until(lambda: backend.batches == [1])  # the first lane is busy from here on
    waiting += [asyncio.create_task(group.submit(one(f"n{i}"))) for i in range(1, 5)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert backend.batches == [1]  # four are less than half of ten
    waiting.append(asyncio.create_task(group.submit(one("n5"))))
    await until(lambda: backend.batches == [1, 5])
    waiting += [asyncio.create_task(group.submit(one(f"n{i}"))) for i in range(6, 20)]
    for _ in range(20):
        await asyncio.sleep(0)
    assert backend.batches == [1, 5]  # two lanes are all there are
    backend.gate.set()
    assert await asyncio.gather(*waiting) == [None] * 20
    assert sorted(backend.batches[2:]) == [4, 10]


async def test_no_more_than_the_batch_limit_goes_into_one_transaction(backend: Watched) -> None:
    group = GroupCommit(backend, lanes=1, max_batch=10)
    changes = [ChangeSet([Write("outbox", {"_id": f"e{i}"})]) for i in range(25)]
    assert await asyncio.gather(*map(group.submit, changes)) == [None] * 25
    assert backend.batches == [10, 10, 5]


async def test_a_database_that_fails_is_told_to_everybody_in_the_batch_and_to_nobody_after(
    work: UnitOfWork[Homes], backend: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    committing = backend.commit

    async def away(_: Sequence[ChangeSet]) -> list[Outcome]:
        raise Unavailable("MongoDB")

    monkeypatch.setattr(backend, "commit", away)
    outcomes = await asyncio.gather(
        *(work.write(fresh(), opening(f"h{i}", beds=1)) for i in range(5)), return_exceptions=True
    )
    assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
    monkeypatch.setattr(backend, "commit", committing)
    await work.write(fresh(), opening("h1", beds=1))
    assert list(backend.collections["homes"]) == ["h1"]


async def test_a_caller_that_gives_up_leaves_its_act_and_the_others_whole(
    work: UnitOfWork[Homes], backend: Watched
) -> None:
    backend.gate.clear()
    impatient = asyncio.create_task(work.write(Mark("m"), opening("h1", beds=1)))
    patient = asyncio.create_task(work.write(fresh(), opening("h2", beds=1)))
    backend.gate.set()
    await until(lambda: bool(backend.batches))
    impatient.cancel()
    await asyncio.wait([impatient])
    await patient
    done = await work.write(Mark("m"), opening("h1", beds=1))
    assert done.replayed == impatient.cancelled()
    assert sorted(backend.collections["homes"]) == ["h1", "h2"]


# --- reading together -----------------------------------------------------------------------------


async def test_concurrent_readers_share_a_query(work: UnitOfWork[Homes], backend: Watched) -> None:
    for i in range(20):
        await work.write(fresh(), opening(f"h{i}", beds=1))
    backend.fetches.clear()
    backend.gate.clear()
    first = asyncio.create_task(home_of(work, "h0"))
    await until(lambda: len(backend.fetches) == 1)
    rest = [asyncio.create_task(home_of(work, f"h{i}")) for i in range(20)]
    await asyncio.sleep(0)
    backend.gate.set()
    assert [home.key for home in await asyncio.gather(*rest)] == [f"h{i}" for i in range(20)]
    assert (await first).key == "h0"
    assert backend.fetches == [
        ("homes._id", ["h0"]),
        ("homes._id", [f"h{i}" for i in range(20)]),
    ]


async def test_a_read_is_never_older_than_the_moment_it_was_asked_for(
    work: UnitOfWork[Homes], backend: Watched
) -> None:
    await work.write(fresh(), opening("h1", beds=5))
    backend.gate.clear()
    early = asyncio.create_task(home_of(work, "h1"))
    await until(lambda: backend.fetches[-1:] == [("homes._id", ["h1"])])
    # The answer to `early` is on its way when a guest moves in; who asks now must see the guest.
    await MemoryBackend.commit(
        backend,
        [
            ChangeSet(
                [
                    Write(
                        "homes",
                        backend.collections["homes"]["h1"] | {"version": 2, "guests": ["王秀英"]},
                        replaces=1,
                    )
                ]
            )
        ],
    )
    late = asyncio.create_task(home_of(work, "h1"))
    await asyncio.sleep(0)
    backend.gate.set()
    assert (await early).guests == []
    assert (await late).guests == ["王秀英"]


async def test_readers_of_one_batch_do_not_share_an_aggregate(work: UnitOfWork[Homes]) -> None:
    await work.write(fresh(), opening("h1", beds=5))
    one, other = await asyncio.gather(home_of(work, "h1"), home_of(work, "h1"))
    one.guests.append("王秀英")
    assert other.guests == []


async def test_a_read_that_fails_is_told_and_the_next_one_works(
    work: UnitOfWork[Homes], backend: Watched
) -> None:
    await work.write(fresh(), opening("h1", beds=5))
    backend.fail_next = [Unavailable("MongoDB")]
    outcomes = await asyncio.gather(
        home_of(work, "h1"), home_of(work, "h1"), return_exceptions=True
    )
    assert all(isinstance(outcome, Unavailable) for outcome in outcomes)
    assert (await home_of(work, "h1")).key == "h1"


async def test_a_value_that_an_array_holds_finds_its_aggregate(work: UnitOfWork[Homes]) -> None:
    await work.write(fresh(), opening("h1", beds=5))
    await work.write(fresh(), opening("h2", beds=5))
    await work.write(fresh(), admitting("h1", "王秀英"))
    await work.write(fresh(), admitting("h1", "李桂兰"))
    await work.write(fresh(), admitting("h2", "李桂兰"))

    async def homes_of(homes: Homes, guest: str) -> list[str]:
        return [home.key for home in await homes.by("guests", guest)]

    found = await asyncio.gather(
        *(work.read(partial(homes_of, guest=g)) for g in ("王秀英", "李桂兰", "张玉珍"))
    )
    assert found == [["h1"], ["h1", "h2"], []]


async def test_pages_follow_one_another_without_gap_or_repetition(work: UnitOfWork[Homes]) -> None:
    for i in range(7):
        await work.write(fresh(), opening(f"h{i}", beds=1 + i % 2))
    keys: list[str] = []
    after: str | None = None
    sizes = []
    while True:
        page = await work.read(partial(Homes.page, where={"beds": 1}, size=3, after=after))
        keys += [home.key for home in page.items]
        sizes.append(len(page.items))
        after = page.next_key
        if after is None:
            break
    assert keys == ["h0", "h2", "h4", "h6"]
    assert sizes == [3, 1]
    assert await work.read(lambda homes: homes.count({"beds": 1})) == 4


# --- whatever the interleaving --------------------------------------------------------------------

admissions = st.lists(st.integers(0, 2), min_size=1, max_size=24)


async def admit_all(works: Sequence[UnitOfWork[Homes]], choices: Sequence[int]) -> None:
    """Every choice is a guest who moves into home `h<choice>`, all of them at once."""
    await asyncio.gather(
        *(
            works[i % len(works)].write(fresh(), admitting(f"h{home}", f"guest {i}"))
            for i, home in enumerate(choices)
        )
    )


async def assert_serialised(backend: Backend, choices: Sequence[int]) -> None:
    for home in range(3):
        (document,) = await backend.fetch("homes", "_id", [f"h{home}"])
        expected = {f"guest {i}" for i, choice in enumerate(choices) if choice == home}
        assert len(document["guests"]) == len(expected)
        assert set(document["guests"]) == expected
        assert document["version"] == 1 + len(expected)
        events = [e for e in await waiting_events(backend) if e["_id"].startswith(f"h{home}/")]
        # Events of one home are in the outbox in the order in which its state changed.
        assert [e["guest"] for e in events] == document["guests"]
        assert [e["sequence"] for e in events] == list(range(2, 2 + len(expected)))


@given(admissions)
def test_concurrent_acts_are_as_if_one_after_the_other(choices: list[int]) -> None:
    async def story() -> None:
        backend = MemoryBackend()
        await backend.prepare(collections_of([Homes]))
        works = [UnitOfWork(backend, Homes, publish, FrozenClock()) for _ in range(2)]
        for i in range(3):
            await works[0].write(fresh(), opening(f"h{i}", beds=99))
        await admit_all(works, choices)
        await assert_serialised(backend, choices)

    asyncio.run(story())


@given(choices=admissions)
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_concurrent_acts_of_two_replicas_are_so_on_the_real_database(
    mongod: Mongod, choices: list[int]
) -> None:
    async def story() -> None:
        name = f"test_{uuid.uuid4().hex[:12]}"
        async with connect(mongod.uri, name) as one, connect(mongod.uri, name) as other:
            await one.prepare(collections_of([Homes]))
            works = [UnitOfWork(each, Homes, publish, FrozenClock()) for each in (one, other)]
            for i in range(3):
                await works[0].write(fresh(), opening(f"h{i}", beds=99))
            await admit_all(works, choices)
            await assert_serialised(one, choices)
            await one.ask(lambda database: database.client.drop_database(database.name))

    asyncio.run(story())
