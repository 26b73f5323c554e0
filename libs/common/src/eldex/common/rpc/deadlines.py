"""Deadlines of calls: one timer for all that are under way.

A timer of its own costs a call more than reading its request does, and nearly none ever goes off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final, TypeVar

T = TypeVar("T")

_LOOK_EVERY_SECONDS: Final = 0.05
"""How much later than its deadline a call may be ended."""


@dataclass(eq=False, slots=True)
class _UnderWay:
    task: asyncio.Task[object]
    due: float
    cancelled_before: int
    is_late: bool = False


class Deadlines:
    """Ends what takes longer than it may."""

    def __init__(self) -> None:
        self._under_way: set[_UnderWay] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def within(self, seconds: float | None, work: Awaitable[T]) -> T:
        """The result of the work; raises `TimeoutError` if it took longer (None: it may take for ever)."""
        if seconds is None:
            return await work
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        entry = _UnderWay(task, loop.time() + seconds, task.cancelling())
        self._under_way.add(entry)
        if self._timer is None:
            self._timer = loop.call_later(_LOOK_EVERY_SECONDS, self._look)
        try:
            return await work
        except asyncio.CancelledError:
            # As `asyncio.timeout` does it: somebody else's cancellation goes on.
            if entry.is_late and task.cancelling() - 1 <= entry.cancelled_before:
                raise TimeoutError from None
            raise
        finally:
            self._under_way.discard(entry)
            if entry.is_late:
                task.uncancel()  # ours, whatever the work made of it

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for entry in self._under_way:
            if entry.due <= now and not entry.is_late:
                entry.is_late = True
                entry.task.cancel()
        again = bool(self._under_way)
        self._timer = loop.call_later(_LOOK_EVERY_SECONDS, self._look) if again else None
