"""A write asked for twice is done once; whose request it is belongs to its name."""

from __future__ import annotations

import uuid

import pytest

from eldex.api.operations.v1 import operations_service_pb2 as pb
from eldex.common.errors import RequestIdReused
from eldex.common.rpc.call import MEMBER, Call, Identity, language_of
from eldex.common.rpc.writes import write
from eldex.common.store import MARKS, UnitOfWork
from eldex.common.testing.doors import REPLAY
from eldex.common.testing.harness import FrozenClock
from eldex.common.testing.homes import Home, Homes, Watched, admitting, fresh, home_of, opening

REQUEST = pb.ReplayDeadLetterRequest(request_id=str(uuid.uuid4()), dead_letter_key="d1")


def by(caller: str, **metadata: str) -> Call:
    return Call(REPLAY, Identity("eldex.local", caller), FrozenClock()(), "en", metadata)


EXCHANGE = "511700/service/exchange"


def rendered(home: Home) -> pb.ReplayDeadLetterResponse:
    return pb.ReplayDeadLetterResponse(dead_letter=pb.DeadLetter(subject=home.etag))


async def test_a_request_that_is_repeated_gets_the_same_reply_and_one_effect(
    work: UnitOfWork[Homes],
) -> None:
    await work.write(fresh(), opening("h1", beds=9))
    for _ in range(3):
        reply = await write(work, REQUEST, by(EXCHANGE), admitting("h1", "王秀英"), rendered)
        assert reply.dead_letter.subject == "v2"
    assert (await home_of(work, "h1")).guests == ["王秀英"]


async def test_the_same_id_with_other_content_is_refused(work: UnitOfWork[Homes]) -> None:
    await work.write(fresh(), opening("h1", beds=9))
    await write(work, REQUEST, by(EXCHANGE), admitting("h1", "王秀英"), rendered)
    other = pb.ReplayDeadLetterRequest(request_id=REQUEST.request_id, dead_letter_key="d2")
    with pytest.raises(RequestIdReused):
        await write(work, other, by(EXCHANGE), admitting("h1", "李桂兰"), rendered)
    assert (await home_of(work, "h1")).guests == ["王秀英"]


async def test_two_callers_may_use_the_same_id(work: UnitOfWork[Homes], backend: Watched) -> None:
    await work.write(fresh(), opening("h1", beds=9))
    callers = [
        by(EXCHANGE, **{MEMBER: "511700/member/civil-affairs/care"}),
        by(EXCHANGE, **{MEMBER: "511700/member/police/hukou"}),
        by("511700/service/medical"),
    ]
    for call in callers:
        await write(work, REQUEST, call, admitting("h1", call.behalf), rendered)
    assert (await home_of(work, "h1")).guests == [call.behalf for call in callers]
    names = [name for name in backend.collections[MARKS] if name.endswith(REQUEST.request_id)]
    assert names == [f"{call.behalf}{REPLAY}/{REQUEST.request_id}" for call in callers]


def test_nobody_but_the_exchange_speaks_for_another() -> None:
    call = by("511700/service/medical", **{MEMBER: "511700/member/police/hukou"})
    assert call.behalf == "511700/service/medical"


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("zh", "zh"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("en-GB, zh;q=0.5", "en"),
        ("en;q=0.2, zh-Hant;q=0.7", "zh"),
        ("fr, de;q=0.9", "en"),
        ("fr, zh;q=0.1", "zh"),
        ("zh;q=high, en;q=0.1", "en"),
        ("*", "en"),
        (";;;,,q=", "en"),
    ],
)
def test_the_callers_first_choice_of_the_two_languages(header: str, language: str) -> None:
    assert language_of(header) == language
