"""What a consumer has made durable, and when: the end of every measurement."""

from __future__ import annotations

import asyncio
import time

from bench.child import Job


class Tally:
    """Counts effects of one projection; told by it after each durable write, asked by the bench.

    Times are CLOCK_MONOTONIC in nanoseconds, the same clock in every process of a machine.
    """

    def __init__(self) -> None:
        self._count = 0
        self._goal = 0
        self._reached = asyncio.Event()
        self._at: dict[str, int] = {}
        self._keeping = False

    def add(self, names: list[str]) -> None:
        """These effects are durable now (in the loop's thread)."""
        self._count += len(names)
        now = time.monotonic_ns()
        if self._keeping:
            self._at.update(dict.fromkeys(names, now))
        if self._goal and self._count >= self._goal:
            self._reached.set()

    async def do(self, job: Job) -> Job:
        """`reset`: count from 0, keeping times or not; `await`: wait for so many; the times kept."""
        if job["do"] == "reset":
            self._count = self._goal = 0
            self._keeping = bool(job.get("keep"))
            self._at.clear()
            self._reached.clear()
            return {}
        self._goal = int(job["count"])
        if self._count < self._goal:
            async with asyncio.timeout(120):
                await self._reached.wait()
        return {"at": time.monotonic_ns(), "count": self._count, "times": self._at}


def name_of(resident_key: str, year: int, month: int, day: int) -> str:
    """How a move is called on both ends of the measurement."""
    return f"{resident_key}/{year}-{month}-{day}"
