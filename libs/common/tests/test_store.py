"""Acts of the field: decided on what is true now, done once, told together with what they changed."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime, timedelta

import pytest

from eldex.api.topics import load_topics
from eldex.common.errors import NotFound, RequestIdReused, StaleVersion
from eldex.common.mongo import connect
from eldex.common.sealing import Sealer
from eldex.common.store import MARK_TTL, MARKS, Mark, Session, UnitOfWork, Write, collections_of
from eldex.common.testing.harness import FrozenClock
from eldex.common.testing.homes import (
    Home,
    HomeFull,
    Homes,
    LicenceGiven,
    Watched,
    admitting,
    fresh,
    home_of,
    opening,
    publish,
)
from eldex.local.mongod import Mongod

# --- state and event together ---------------------------------------------------------------------


async def test_state_event_and_mark_are_written_together(
    work: UnitOfWork[Homes], backend: Watched, clock: FrozenClock
) -> None:
    await work.write(fresh(), opening("h1", beds=2))
    done = await work.write(Mark("m"), admitting("h1", "王秀英"))
    assert done.result is not None
    assert (done.result.version, done.result.events) == (2, [])
    document = backend.collections["homes"]["h1"]
    assert document == {
        "_id": "h1",
        "version": 2,
        "licence": "h1",
        "beds": 2,
        "region": "511702",
        "opened_on": "2026-01-01",
        "guests": ["王秀英"],
        "free": 1,
    }
    assert backend.outbox() == ["王秀英"]
    assert backend.collections[MARKS]["m"]["expires_at"] == clock() + MARK_TTL


async def test_what_was_written_is_read_as_it_was(work: UnitOfWork[Homes]) -> None:
    await work.write(fresh(), opening("h1", beds=2))
    assert await home_of(work, "h1") == Home(key="h1", version=1, beds=2, licence="h1")


async def test_an_act_that_is_forbidden_writes_nothing(
    work: UnitOfWork[Homes], backend: Watched
) -> None:
    await work.write(fresh(), opening("h1", beds=1))

    async def admit_two(homes: Homes, now: datetime) -> None:
        await admitting("h1", "王秀英")(homes, now)
        await admitting("h1", "李桂兰")(homes, now)

    with pytest.raises(HomeFull):
        await work.write(Mark("m"), admit_two)
    assert (await home_of(work, "h1")).guests == []
    assert backend.outbox() == []
    assert "m" not in backend.collections[MARKS]


async def test_one_act_sees_one_object_however_often_it_loads(work: UnitOfWork[Homes]) -> None:
    await work.write(fresh(), opening("h1", beds=2))

    async def act(homes: Homes, _: datetime) -> None:
        first = await homes.get("h1")
        first.admit("王秀英")
        homes.save(first)
        assert await homes.get("h1") is first
        assert (await homes.page({}, size=5)).items[0] is first
        assert (await homes.by("licence", "h1"))[0] is first

    await work.write(fresh(), act)


async def test_nothing_by_that_key_is_told_with_the_key(work: UnitOfWork[Homes]) -> None:
    with pytest.raises(NotFound, match="no Home with key h9"):
        await home_of(work, "h9")


# --- stale acts -----------------------------------------------------------------------------------


async def test_an_act_that_lost_a_race_is_decided_again_on_what_is_true_now(
    work: UnitOfWork[Homes], backend: Watched
) -> None:
    await work.write(fresh(), opening("h1", beds=1))
    seen: list[list[str]] = []

    async def slow(homes: Homes, _: datetime) -> None:
        home = await homes.get("h1")
        seen.append(list(home.guests))
        if len(seen) == 1:  # while we think, somebody else is faster
            await work.write(fresh(), admitting("h1", "李桂兰"))
        home.admit("王秀英")
        homes.save(home)

    with pytest.raises(HomeFull):
        await work.write(fresh(), slow)
    assert seen == [[], ["李桂兰"]]
    assert backend.outbox() == ["李桂兰"]


async def test_an_act_that_always_loses_ends_as_stale(
    work: UnitOfWork[Homes], backend: Watched
) -> None:
    await work.write(fresh(), opening("h1", beds=100))
    tries = Counter[str]()

    async def unlucky(homes: Homes, _: datetime) -> None:
        tries["unlucky"] += 1
        home = await homes.get("h1")
        await work.write(fresh(), admitting("h1", f"guest {tries['unlucky']}"))
        home.admit("王秀英")
        homes.save(home)

    with pytest.raises(StaleVersion):
        await work.write(fresh(), unlucky)
    assert tries["unlucky"] == UnitOfWork.ATTEMPTS
    assert "王秀英" not in backend.outbox()


async def test_what_must_be_unique_is_told_to_the_second(
    work: UnitOfWork[Homes], backend: Watched
) -> None:
    await work.write(fresh(), opening("h1", beds=1, licence="A-1"))
    with pytest.raises(LicenceGiven) as refused:
        await work.write(fresh(), opening("h2", beds=1, licence="A-1"))
    # Which record it is and what to do, as the index says: no name of a field or an index.
    assert refused.value.reason == "ALREADY_EXISTS"
    assert refused.value.message("zh") == "该许可证已发给另一机构：请核对许可证编号"
    assert refused.value.message("en") == "another home has this licence: check its number"
    assert list(backend.collections["homes"]) == ["h1"]


async def test_a_projection_made_by_two_at_once_takes_up_what_the_other_made(
    work: UnitOfWork[Homes],
) -> None:
    """Taken at first, then overtaken again: neither is the caller's fault."""
    calls: list[str] = []

    async def keep(homes: Homes, _: datetime) -> None:
        home = await homes.find("h1")
        calls.append("found" if home else "made")
        if len(calls) == 1:
            await work.write(fresh(), opening("h1", beds=5))
        elif len(calls) == 2:
            await work.write(fresh(), admitting("h1", "李桂兰"))
        home = home or Home(key="h1", beds=5, licence="h1")
        home.admit("王秀英")
        homes.save(home)

    await work.write(fresh(), keep)
    assert calls == ["made", "found", "found"]
    assert (await home_of(work, "h1")).guests == ["李桂兰", "王秀英"]


# --- once and only once ---------------------------------------------------------------------------


async def test_the_same_request_gets_the_same_reply_and_is_not_done_again(
    work: UnitOfWork[Homes], backend: Watched
) -> None:
    await work.write(fresh(), opening("h1", beds=5))
    mark = Mark("m", b"content")
    first = await work.write(mark, admitting("h1", "王秀英"), lambda h: h.etag.encode())
    await work.write(fresh(), admitting("h1", "李桂兰"))
    again = await work.write(mark, admitting("h1", "王秀英"), lambda h: h.etag.encode())
    assert (first.reply, first.replayed) == (b"v2", False)
    assert (again.reply, again.replayed, again.result) == (b"v2", True, None)
    assert backend.outbox() == ["王秀英", "李桂兰"]


async def test_the_same_id_with_other_content_is_refused(
    work: UnitOfWork[Homes], backend: Watched
) -> None:
    await work.write(fresh(), opening("h1", beds=5))
    await work.write(Mark("m", b"one"), admitting("h1", "王秀英"))
    with pytest.raises(RequestIdReused):
        await work.write(Mark("m", b"other"), admitting("h1", "李桂兰"))
    assert backend.outbox() == ["王秀英"]


async def test_what_a_request_held_cannot_be_tried_out_with_the_database_alone(
    backend: Watched, clock: FrozenClock
) -> None:
    key, newer = bytes(range(64)), bytes(range(64, 128))

    def desk(keys: dict[int, bytes]) -> UnitOfWork[Homes]:
        return UnitOfWork(backend, Homes, publish, clock, sealer=Sealer(keys, "homes/marks"))

    work, request = desk({255: key}), Mark("m", b"11010519491231002X")
    await work.write(fresh(), opening("h1", beds=5))
    await work.write(request, admitting("h1", "王秀英"))
    kept = backend.collections[MARKS]["m"]["digest"]
    assert kept == Sealer({255: key}, "homes/marks").seal(request.digest())
    # Known again after the key was changed; and still told apart from another request.
    rotated = desk({1: key, 255: newer})
    assert (await rotated.write(request, admitting("h1", "王秀英"))).replayed
    with pytest.raises(RequestIdReused):
        await rotated.write(Mark("m", b"110105194912310011"), admitting("h1", "王秀英"))
    # So is what was kept before there was a key.
    before = UnitOfWork(backend, Homes, publish, clock)
    await before.write(Mark("old", b"once"), admitting("h1", "李桂兰"))
    assert (await work.write(Mark("old", b"once"), admitting("h1", "李桂兰"))).replayed


async def test_a_repeat_of_what_would_now_be_refused_gets_the_first_reply(
    work: UnitOfWork[Homes], backend: Watched
) -> None:
    """The mark is looked up late: the act runs again, meets a full home, and is still known as done."""
    await work.write(fresh(), opening("h1", beds=1))
    mark = Mark("m", b"content")
    await work.write(mark, admitting("h1", "王秀英"), lambda h: h.etag.encode())
    backend.batches.clear()
    again = await work.write(mark, admitting("h1", "王秀英"), lambda h: h.etag.encode())
    assert (again.reply, again.replayed) == (b"v2", True)
    with pytest.raises(RequestIdReused):
        await work.write(Mark("m", b"other"), admitting("h1", "李桂兰"))
    with pytest.raises(HomeFull):
        await work.write(fresh(), admitting("h1", "李桂兰"))
    assert backend.batches == []
    assert backend.outbox() == ["王秀英"]


async def test_events_that_come_again_as_a_whole_batch_have_no_second_effect(
    work: UnitOfWork[Homes], backend: Watched
) -> None:
    await work.write(fresh(), opening("h1", beds=100))
    marks = [Mark(f"event/{n}") for n in range(40)]
    for n, mark in enumerate(marks):
        await work.write(mark, admitting("h1", f"guest {n}"))
    backend.batches.clear()
    backend.fetches.clear()

    async def note(_: Homes, __: datetime) -> None:
        """An act that would never refuse."""

    done = await asyncio.gather(*(work.write(mark, note) for mark in marks))
    assert all(each.replayed for each in done)
    assert backend.outbox() == [f"guest {n}" for n in range(40)]
    # One commit finds them all, one query their replies.
    assert backend.batches == [40]
    assert [(path, len(names)) for path, names in backend.fetches] == [("marks._id", 40)]


def test_an_event_is_remembered_longer_than_its_topic_keeps_it() -> None:
    """A consumer that reads a topic from its beginning must know all that it has done."""
    segment = timedelta(days=7)  # the broker's default: younger ones are deleted as a whole
    for topic in load_topics().values():
        assert timedelta(seconds=topic.retention_seconds) + segment < MARK_TTL, topic.name


async def test_a_reply_that_got_lost_after_the_commit_is_found_again(
    work: UnitOfWork[Homes], backend: Watched
) -> None:
    await work.write(fresh(), opening("h1", beds=5))
    backend.lose_next_answers = 1
    done = await work.write(Mark("m"), admitting("h1", "王秀英"), lambda h: h.etag.encode())
    assert (done.reply, done.replayed) == (b"v2", True)
    assert backend.outbox() == ["王秀英"]


async def test_sixty_four_at_once_with_one_request_id_have_one_effect(
    work: UnitOfWork[Homes], backend: Watched
) -> None:
    await work.write(fresh(), opening("h1", beds=100))
    calls = [
        work.write(Mark("m"), admitting("h1", "王秀英"), lambda h: h.etag.encode())
        for _ in range(64)
    ]
    done = await asyncio.gather(*calls)
    assert {d.reply for d in done} == {b"v2"}
    assert sum(not d.replayed for d in done) == 1
    assert backend.outbox() == ["王秀英"]


async def test_so_they_have_on_the_real_database_from_two_replicas(
    mongod: Mongod, database: str, clock: FrozenClock
) -> None:
    async with connect(mongod.uri, database) as one, connect(mongod.uri, database) as other:
        await one.prepare(collections_of([Homes]))
        replicas = [UnitOfWork(each, Homes, publish, clock) for each in (one, other)]
        await replicas[0].write(fresh(), opening("h1", beds=100))
        done = await asyncio.gather(
            *(
                replicas[i % 2].write(
                    Mark("m"), admitting("h1", "王秀英"), lambda h: h.etag.encode()
                )
                for i in range(64)
            )
        )
        assert {d.reply for d in done} == {b"v2"}
        assert (await one.backlog()).events == 1
        assert (await home_of(replicas[1], "h1")).guests == ["王秀英"]


# --- what was known when --------------------------------------------------------------------------


async def test_what_was_known_when(work: UnitOfWork[Homes], clock: FrozenClock) -> None:
    opened = clock.at
    await work.write(fresh(), opening("h1", beds=5))
    clock.pass_days(10)
    await work.write(fresh(), admitting("h1", "王秀英"))

    async def guests_at(instant: datetime) -> list[str]:
        home = await work.read(lambda homes: homes.known_at("h1", instant))
        return home.guests

    assert await guests_at(opened) == []
    assert await guests_at(opened + timedelta(days=9, hours=23)) == []
    assert await guests_at(opened + timedelta(days=10)) == ["王秀英"]
    with pytest.raises(NotFound):
        await guests_at(opened - timedelta(milliseconds=1))


async def test_the_tenth_version_comes_after_the_ninth(
    work: UnitOfWork[Homes], clock: FrozenClock
) -> None:
    await assert_every_version_is_known(work, clock)


async def test_so_it_does_on_the_real_database(
    mongod: Mongod, database: str, clock: FrozenClock
) -> None:
    async with connect(mongod.uri, database) as backend:
        await backend.prepare(collections_of([Homes]))
        await assert_every_version_is_known(UnitOfWork(backend, Homes, publish, clock), clock)


async def assert_every_version_is_known(work: UnitOfWork[Homes], clock: FrozenClock) -> None:
    """Twelve versions, a day apart; and those of keys that begin alike are somebody else's."""
    began = clock.at
    for key in ("h1", "h10", "h1-2", "h"):
        await work.write(fresh(), opening(key, beds=100))
    for n in range(11):
        clock.pass_days(1)
        await work.write(fresh(), admitting("h1", f"guest {n}"))
    clock.pass_days(1)
    await work.write(fresh(), admitting("h10", "another's guest"))
    for days in range(13):
        then = began + timedelta(days=days)
        home = await work.read(lambda homes: homes.known_at("h1", then))  # noqa: B023 - awaited here
        assert home.guests == [f"guest {n}" for n in range(min(days, 11))]
        assert home.version == 1 + min(days, 11)


async def test_an_etag_of_yesterday_is_refused_and_none_expects_nothing(
    work: UnitOfWork[Homes],
) -> None:
    await work.write(fresh(), opening("h1", beds=5))
    await work.write(fresh(), admitting("h1", "王秀英"))
    home = await home_of(work, "h1")
    home.expect("")
    home.expect("v2")
    with pytest.raises(StaleVersion):
        home.expect("v1")


def test_every_service_has_the_collections_of_the_house() -> None:
    needed = collections_of([Homes])
    assert set(needed) == {
        "outbox",
        "marks",
        "dead_letters",
        "leases",
        "homes",
        "homes_history",
    }
    assert needed[MARKS][0].expire_after_seconds == 0


async def test_facts_without_a_life_are_written_with_the_act(
    backend: Watched, clock: FrozenClock
) -> None:
    work: UnitOfWork[Session] = UnitOfWork(backend, lambda session: session, publish, clock)

    async def note(session: Session, now: datetime) -> None:
        session.extra.append(Write("notes", {"_id": "n1", "at": now}))

    await work.write(fresh(), note)
    assert backend.collections["notes"] == {"n1": {"_id": "n1", "at": clock.at}}
