"""Deadlines of calls: who takes too long is ended, and nobody else is touched."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from eldex.common.rpc.deadlines import Deadlines


async def for_ever() -> str:
    await asyncio.Event().wait()
    return "never"


async def at_once(answer: str = "done") -> str:
    return answer


@pytest.fixture
def deadlines() -> Deadlines:
    return Deadlines()


def my_task() -> asyncio.Task[object]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def test_what_takes_too_long_is_ended_soon_after_its_deadline(deadlines: Deadlines) -> None:
    loop = asyncio.get_running_loop()
    began, ended = loop.time(), asyncio.Event()

    async def endless() -> str:
        try:
            return await for_ever()
        finally:
            ended.set()

    with pytest.raises(TimeoutError):
        await deadlines.within(0.1, endless())
    assert ended.is_set()
    assert 0.1 <= loop.time() - began < 5
    assert my_task().cancelling() == 0  # whoever goes on in this task is not cancelled


async def test_a_call_in_time_is_answered_and_leaves_nothing_behind(deadlines: Deadlines) -> None:
    assert await deadlines.within(0.01, at_once()) == "done"
    with pytest.raises(ValueError, match="a defect"):
        await deadlines.within(0.01, _fails())
    # The next one's end shows that the timer has looked since: nothing of the first two is left.
    with pytest.raises(TimeoutError):
        await deadlines.within(0.1, for_ever())
    assert my_task().cancelling() == 0
    assert not deadlines._under_way
    async with asyncio.timeout(5):
        while deadlines._timer is not None:  # nobody is under way: it is not set again
            await asyncio.sleep(0.01)


async def _fails() -> str:
    raise ValueError("a defect")


async def test_without_a_deadline_a_call_takes_as_long_as_it_takes(deadlines: Deadlines) -> None:
    going = asyncio.Event()

    async def patient() -> str:
        await going.wait()
        return "done"

    waiting = asyncio.create_task(deadlines.within(None, patient()))
    with pytest.raises(TimeoutError):
        await deadlines.within(0.01, for_ever())
    assert not waiting.done()
    going.set()
    assert await waiting == "done"


async def test_each_is_ended_at_its_own_deadline_and_no_other(deadlines: Deadlines) -> None:
    going = asyncio.Event()

    async def until_told() -> str:
        await going.wait()
        return "done"

    ended: list[float] = []

    async def call(seconds: float, work: Awaitable[str]) -> str:
        try:
            return await deadlines.within(seconds, work)
        except TimeoutError:
            ended.append(seconds)
            return "late"

    slow = [asyncio.create_task(call(s, for_ever())) for s in (0.4, 0.05, 0.2)]
    patient = [asyncio.create_task(call(60, until_told())) for _ in range(3)]
    assert await asyncio.gather(*slow) == ["late"] * 3
    assert ended == [0.05, 0.2, 0.4]
    assert not any(task.done() for task in patient)
    going.set()
    assert await asyncio.gather(*patient) == ["done"] * 3


async def test_somebody_elses_cancellation_goes_on(deadlines: Deadlines) -> None:
    begun = asyncio.Event()

    async def begins() -> str:
        begun.set()
        return await for_ever()

    given_up = asyncio.create_task(deadlines.within(60, begins()))
    await begun.wait()
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    assert not deadlines._under_way


async def test_a_cancellation_that_meets_the_deadline_goes_on_too(deadlines: Deadlines) -> None:
    given_up: asyncio.Task[str] | None = None

    async def cancelled_as_it_is_late() -> str:
        try:
            return await for_ever()
        finally:
            assert given_up is not None
            given_up.cancel()  # the caller hangs up while the deadline ends the call

    given_up = asyncio.create_task(deadlines.within(0.01, cancelled_as_it_is_late()))
    with pytest.raises(asyncio.CancelledError):
        await given_up


async def test_work_that_makes_something_else_of_its_end_leaves_nothing_behind(
    deadlines: Deadlines,
) -> None:
    async def saves_what_it_can() -> str:
        try:
            return await for_ever()
        except asyncio.CancelledError:
            return "half of it"

    assert await deadlines.within(0.01, saves_what_it_can()) == "half of it"
    assert my_task().cancelling() == 0
    async with asyncio.timeout(5):
        assert await at_once() == "done"
