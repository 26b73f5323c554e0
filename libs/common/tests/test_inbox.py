"""An event has its effect once; one that cannot have it is set aside with the reason, and replayed."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from datetime import datetime

import pytest

from eldex.api.operations.v1 import operations_service_pb2 as pb
from eldex.api.registry.v1.resident_events_pb2 import ResidentDeceased, ResidentMoved
from eldex.common import inbox as inbox_module
from eldex.common.errors import InvalidRequest, NotFound, Unavailable
from eldex.common.inbox import (
    DeadLetterClosed,
    DeadLetterReplayed,
    EventMeta,
    Inbox,
    TooManyDeadLetters,
)
from eldex.common.kafka import Record
from eldex.common.operations import OperationsService
from eldex.common.outbox import record_of
from eldex.common.rpc.call import Call, Identity
from eldex.common.store import DEAD_LETTERS, OUTBOX, Mark, UnitOfWork
from eldex.common.testing.harness import FrozenClock
from eldex.common.testing.homes import (
    HomeFull,
    Homes,
    Watched,
    death,
    fresh,
    home_of,
    move_out,
    opening,
)

EXCHANGE = Identity("eldex.local", "511700/service/exchange")


def told(
    resident: str, event_id: str = "", *, offset: int = 0, headers: Mapping[str, str | None] = {}
) -> Record:
    """A death as it arrives; headers given as None are missing."""
    record = record_of(death("residents", resident, event_id))
    mixed = {**record.headers, **headers}
    kept = {name: value for name, value in mixed.items() if value is not None}
    return Record(record.topic, record.key, record.value, kept, 0, offset, 0.0)


@pytest.fixture
async def inbox(work: UnitOfWork[Homes]) -> Inbox[Homes]:
    await work.write(fresh(), opening("home-of-res_1", beds=1))
    await work.write(fresh(), opening("home-of-res_2", beds=500))
    return Inbox("institutions", {ResidentDeceased: move_out}, work)


async def effects(work: UnitOfWork[Homes], resident: str) -> list[str]:
    return (await home_of(work, f"home-of-{resident}")).guests


async def test_an_event_that_comes_twice_has_one_effect(
    inbox: Inbox[Homes], work: UnitOfWork[Homes], backend: Watched
) -> None:
    event = told("res_2", "evt_1")
    await inbox.apply(event)
    await inbox.apply(event)
    await asyncio.gather(*(inbox.apply(event) for _ in range(10)))
    assert await effects(work, "res_2") == ["evt_1"]
    assert backend.outbox() == ["evt_1"]


async def test_the_handler_is_told_what_the_event_says_about_itself(
    work: UnitOfWork[Homes], clock: FrozenClock
) -> None:
    seen: list[tuple[ResidentDeceased, EventMeta, datetime]] = []

    async def note(message: ResidentDeceased, meta: EventMeta, _: Homes, now: datetime) -> None:
        seen.append((message, meta, now))

    await Inbox("medical", {ResidentDeceased: note}, work).apply(told("res_1", "evt_1"))
    ((message, meta, now),) = seen
    assert message.resident_key == "res_1"
    assert (meta.event_id, meta.subject) == ("evt_1", "res_1")
    assert meta.source == "//511700/registry"
    assert meta.type == "eldex.api.registry.v1.ResidentDeceased"
    assert meta.occurred_at.isoformat() == "2026-11-22T02:00:00+00:00"
    assert meta.regions == ("511702", "511702001")
    assert now == clock.at


async def test_what_nobody_here_listens_to_is_passed_over_without_being_read(
    inbox: Inbox[Homes], backend: Watched
) -> None:
    moved = ResidentMoved.DESCRIPTOR.full_name
    record = told("res_1", headers={"ce_type": moved, "ce_time": "no time at all"})
    backend.fetches.clear()
    await inbox.apply(Record("residents", "res_1", b"\xff not protobuf", record.headers))
    await inbox.apply(Record("residents", "res_1", b"", {"ce_type": "of.a.year.to.Come"}))
    assert backend.fetches == []
    assert backend.collections[DEAD_LETTERS] == {}


@pytest.mark.parametrize(
    ("record", "reason", "said"),
    [
        (told("res_1", headers={"ce_type": None}), "REQUEST_INVALID", "ce_type"),
        (told("res_1", headers={"ce_id": None}), "REQUEST_INVALID", "ce_id"),
        (told("res_1", headers={"ce_time": "昨天"}), "REQUEST_INVALID", "ce_time"),
        (
            Record("residents", "res_1", b"\xff\xff", told("res_1").headers, 0, 0),
            "REQUEST_INVALID",
            "payload",
        ),
        (told("res_9"), "NOT_FOUND", "home-of-res_9"),
    ],
    ids=["no type", "no id", "no such time", "not protobuf", "the rules forbid it"],
)
async def test_what_can_never_be_applied_is_set_aside_with_its_reason(
    inbox: Inbox[Homes], backend: Watched, record: Record, reason: str, said: str
) -> None:
    await inbox.apply(record)
    (letter,) = backend.collections[DEAD_LETTERS].values()
    assert (letter["_id"], letter["state"]) == ("residents/0/0", "waiting")
    assert letter["reason"] == reason
    assert said in letter["detail"]
    assert (letter["payload"], letter["headers"]) == (record.value, dict(record.headers))
    entry = backend.collections[OUTBOX]["dead/institutions/residents/0/0"]
    sent = record_of(entry)
    assert (sent.topic, sent.key, sent.value) == (
        "residents-dead-letters",
        "res_9" if reason == "NOT_FOUND" else "res_1",
        record.value,
    )
    assert sent.headers["dead_letter_reason"] == reason
    assert sent.headers["dead_letter_service"] == "institutions"
    assert sent.headers["dead_letter_key"] == "residents/0/0"
    # Read again, after a crash before its offset was committed, it is the same dead letter.
    await inbox.apply(record)
    assert len(backend.collections[DEAD_LETTERS]) == 1


async def test_what_may_succeed_later_is_not_set_aside(
    inbox: Inbox[Homes], work: UnitOfWork[Homes], backend: Watched
) -> None:
    backend.fail_next = [Unavailable("MongoDB")]
    with pytest.raises(Unavailable):
        await inbox.apply(told("res_2", "evt_1"))
    assert backend.collections[DEAD_LETTERS] == {}
    await inbox.apply(told("res_2", "evt_1"))
    assert await effects(work, "res_2") == ["evt_1"]


async def test_a_defect_of_ours_is_not_a_dead_letter(
    work: UnitOfWork[Homes], backend: Watched
) -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Inbox("medical", {ResidentDeceased: broken}, work).apply(told("res_1"))
    assert backend.collections[DEAD_LETTERS] == {}


async def test_a_dead_letter_is_replayed_once_after_the_mend(
    inbox: Inbox[Homes], work: UnitOfWork[Homes], backend: Watched, clock: FrozenClock
) -> None:
    await inbox.apply(told("res_9", "evt_1", offset=7))
    with pytest.raises(NotFound, match="home-of-res_9"):
        await inbox.replay("residents/0/7")
    assert backend.collections[DEAD_LETTERS]["residents/0/7"]["state"] == "waiting"

    await work.write(fresh(), opening("home-of-res_9", beds=5))
    replays = await asyncio.gather(*(inbox.replay("residents/0/7") for _ in range(5)))
    assert {each["state"] for each in replays} == {"replayed"}
    again = await inbox.replay("residents/0/7")
    assert again["replayed_at"] == clock.at
    assert await effects(work, "res_9") == ["evt_1"]
    letter = backend.collections[DEAD_LETTERS]["residents/0/7"]
    assert (letter["state"], letter["version"]) == ("replayed", 2)
    with pytest.raises(NotFound, match="DeadLetter"):
        await inbox.replay("residents/0/8")


async def test_a_dead_letter_that_is_not_even_an_event_cannot_be_replayed(
    inbox: Inbox[Homes],
) -> None:
    await inbox.apply(told("res_1", headers={"ce_id": None}))
    with pytest.raises(InvalidRequest, match="ce_id"):
        await inbox.replay("residents/0/0")


async def test_so_many_dead_letters_that_the_fault_must_be_ours_stop_the_reading(
    inbox: Inbox[Homes], backend: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    for offset in range(100):
        await inbox.apply(told("res_9", offset=offset))
    with pytest.raises(TooManyDeadLetters):
        await inbox.apply(told("res_9", offset=100))
    assert len(backend.collections[DEAD_LETTERS]) == 100
    await inbox.apply(told("res_2", "fine", offset=101))

    # Over a longer time they are theirs.
    monkeypatch.setattr(inbox_module, "_WINDOW_SECONDS", 0.0)
    await inbox.apply(told("res_9", offset=100))
    assert len(backend.collections[DEAD_LETTERS]) == 101


# --- what operations see --------------------------------------------------------------------------


def call() -> Call:
    return Call("/eldex.api.operations.v1.OperationsService/X", EXCHANGE, FrozenClock()())


async def test_operations_page_through_the_dead_letters_and_replay_one(
    inbox: Inbox[Homes], work: UnitOfWork[Homes], backend: Watched
) -> None:
    for offset in range(5):
        await inbox.apply(told("res_9", f"evt_{offset}", offset=offset))
    door = OperationsService("institutions", backend, None, inbox)
    await work.write(fresh(), opening("home-of-res_9", beds=5))
    replay = pb.ReplayDeadLetterRequest(
        request_id=str(uuid.uuid4()), dead_letter_key="residents/0/1"
    )
    done = await door.replay_dead_letter(replay, call())
    assert done.dead_letter.replayed_at.ToJsonString() == "2026-11-22T02:00:00Z"

    keys: list[str] = []
    request = pb.ListDeadLettersRequest(page_size=3)
    request.read_mask.paths.extend(["dead_letter_key", "reason"])
    while True:
        page = await door.list_dead_letters(request, call())
        keys += [letter.dead_letter_key for letter in page.dead_letters]
        assert all(letter.reason == "NOT_FOUND" for letter in page.dead_letters)
        assert not any(letter.event_id for letter in page.dead_letters)
        request.page_token = page.next_page_token
        if not request.page_token:
            break
    assert keys == [f"residents/0/{n}" for n in (0, 2, 3, 4)]
    everything = pb.ListDeadLettersRequest(include_replayed=True)
    assert len((await door.list_dead_letters(everything, call())).dead_letters) == 5

    flows = await door.get_flows(pb.GetFlowsRequest(), call())
    assert (flows.service, flows.dead_letters) == ("institutions", 4)
    # Five dead letters and the effect of the replay wait to be published.
    assert flows.outbox_events == 6


async def test_what_can_never_be_applied_is_closed_with_a_reason_and_is_not_replayed_any_more(
    inbox: Inbox[Homes], work: UnitOfWork[Homes], backend: Watched
) -> None:
    for offset in (1, 2):
        await inbox.apply(told("res_9", f"evt_{offset}", offset=offset))
    door = OperationsService("institutions", backend, None, inbox)

    def closing(key: str, reason: str) -> pb.CloseDeadLetterRequest:
        return pb.CloseDeadLetterRequest(
            request_id=str(uuid.uuid4()), dead_letter_key=key, reason=reason, closed_by="li.wei"
        )

    # What is told must not be an identity number, whoever types it.
    request = closing("residents/0/1", "registered twice, see 511791193801010011")
    closed = (await door.close_dead_letter(request, call())).dead_letter
    assert closed.closed_at.ToJsonString() == "2026-11-22T02:00:00Z"
    assert (closed.closed_by, closed.replayed_at.seconds) == ("li.wei", 0)
    assert closed.closing_reason == "registered twice, see <identity-number>"
    again = (await door.close_dead_letter(closing("residents/0/1", "no"), call())).dead_letter
    assert again == closed

    await work.write(fresh(), opening("home-of-res_9", beds=5))
    with pytest.raises(DeadLetterClosed):
        await inbox.replay("residents/0/1")
    assert await effects(work, "res_9") == []
    await inbox.replay("residents/0/2")
    with pytest.raises(DeadLetterReplayed):
        await door.close_dead_letter(closing("residents/0/2", "no"), call())
    flows = await door.get_flows(pb.GetFlowsRequest(), call())
    waiting = await door.list_dead_letters(pb.ListDeadLettersRequest(), call())
    assert (flows.dead_letters, list(waiting.dead_letters)) == (0, [])


async def test_what_is_closed_while_it_is_replayed_is_told_as_replayed(
    work: UnitOfWork[Homes], backend: Watched
) -> None:
    closing: list[Inbox[Homes]] = []

    async def move_out_slowly(
        message: ResidentDeceased, meta: EventMeta, homes: Homes, now: datetime
    ) -> None:
        for inbox in closing:  # an operator is faster than this act
            await inbox.close("residents/0/1", "nobody knows them", "li.wei")
        closing.clear()
        await move_out(message, meta, homes, now)

    inbox = Inbox("institutions", {ResidentDeceased: move_out_slowly}, work)
    await inbox.apply(told("res_9", "evt_1", offset=1))
    await work.write(fresh(), opening("home-of-res_9", beds=5))
    closing.append(inbox)
    replayed = await inbox.replay("residents/0/1")
    assert await effects(work, "res_9") == ["evt_1"]
    assert backend.collections[DEAD_LETTERS]["residents/0/1"] == replayed
    assert replayed["state"] == "replayed"


async def test_a_home_that_is_full_says_so_in_the_dead_letter(
    inbox: Inbox[Homes], backend: Watched
) -> None:
    await inbox.apply(told("res_1", "evt_1", offset=1))
    await inbox.apply(told("res_1", "evt_2", offset=2))
    (letter,) = backend.collections[DEAD_LETTERS].values()
    assert (letter["reason"], letter["detail"]) == (
        HomeFull.reason,
        "no free bed in home-of-res_1",
    )
    assert letter["detail_zh"] == HomeFull.zh.format(home="home-of-res_1")


async def test_a_mark_of_an_event_is_not_a_mark_of_a_call(
    inbox: Inbox[Homes], work: UnitOfWork[Homes]
) -> None:
    await inbox.apply(told("res_2", "evt_1"))
    done = await work.write(Mark("evt_1"), opening("h9", beds=1))
    assert not done.replayed
