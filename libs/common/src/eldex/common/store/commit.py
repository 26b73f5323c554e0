"""Concurrent change sets share a transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from eldex.common import metrics
from eldex.common.store.backend import OUTBOX, Backend, ChangeSet, Outcome
from eldex.common.store.session import settle

_PATIENCE_SECONDS = 0.02
"""A transaction that takes longer holds up only those who want its documents."""
_PACE_SECONDS = 0.015
"""While acts are being decided, transactions begin no closer than this, unless one would be full: it
costs database and driver some 2 ms, whatever is in it. Who comes alone never waits."""


@dataclass(frozen=True, slots=True)
class _Entry:
    changes: ChangeSet
    touched: set[tuple[str, Any]]
    done: asyncio.Future[Outcome]


class GroupCommit:
    """Lets concurrent change sets share a transaction, without sharing their fate.

    Up to `lanes` transactions run side by side. The next lane opens only when half a batch waits or
    the last one takes long: two small transactions cost more than a larger one. A change set that
    touches a document which is being written waits for the next round, so that batches never fight
    over a document.
    """

    def __init__(self, backend: Backend, *, lanes: int = 2, max_batch: int = 512) -> None:
        self._backend = backend
        self._lanes, self._max_batch = lanes, max_batch
        self._queue: list[_Entry] = []
        self._in_flight: set[tuple[str, Any]] = set()
        self._tasks: set[asyncio.Task[bool]] = set()
        self._last_began = 0.0
        self._coming = 0
        self._timer: asyncio.TimerHandle | None = None
        self.on_commit: Callable[[], None] = lambda: None
        """Called after each commit that has events (the relay's wake-up)."""

    @contextmanager
    def expecting(self) -> Iterator[None]:
        """While an act is decided: what waits here may wait a moment for its change set."""
        self._coming += 1
        try:
            yield
        finally:
            self._coming -= 1
            self._start()

    async def submit(self, changes: ChangeSet) -> Outcome:
        """Have it committed; returns when it is durable, or why it could not be."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._queue.append(_Entry(changes, changes.touched(), future))
        self._start()
        return await future

    def _start(self) -> None:
        if not self._queue or len(self._tasks) >= self._lanes:
            return
        loop = asyncio.get_running_loop()
        if len(self._queue) < self._max_batch // 2 and (self._tasks or self._coming):
            due = self._last_began + (_PATIENCE_SECONDS if self._tasks else _PACE_SECONDS)
            if loop.time() < due:
                if self._timer is None:
                    self._timer = loop.call_at(due, self._overdue)
                return
        self._last_began = loop.time()
        task = asyncio.create_task(self._round())
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _overdue(self) -> None:
        self._timer = None
        self._start()

    def _finished(self, task: asyncio.Task[bool]) -> None:
        self._tasks.discard(task)
        if task.result():
            self._start()
        # Else all that waits touches what another lane is writing: that lane starts the next.

    def _take(self) -> tuple[list[_Entry], set[tuple[str, Any]]]:
        taken: list[_Entry] = []
        left: list[_Entry] = []
        touched: set[tuple[str, Any]] = set()
        for entry in self._queue:
            if (
                len(taken) < self._max_batch
                and touched.isdisjoint(entry.touched)
                and self._in_flight.isdisjoint(entry.touched)
            ):
                touched |= entry.touched
                taken.append(entry)
            else:
                left.append(entry)
        self._queue = left
        return taken, touched

    async def _round(self) -> bool:
        await asyncio.sleep(0)  # let those who are ready in this turn of the loop come along
        batch, touched = self._take()
        if not batch:
            return False
        self._in_flight |= touched
        metrics.commit_batch.observe(len(batch))
        try:
            outcomes = await self._backend.commit([entry.changes for entry in batch])
        except Exception as error:  # noqa: BLE001 - told to everybody in the batch
            for entry in batch:
                settle(entry.done, error)
        else:
            for entry, outcome in zip(batch, outcomes, strict=True):
                if not entry.done.done():
                    entry.done.set_result(outcome)  # Lost and Taken are told, not raised
            if any(write.collection == OUTBOX for e in batch for write in e.changes.writes):
                self.on_commit()
        finally:
            self._in_flight -= touched
        return True
