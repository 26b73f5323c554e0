"""Streams that are ended from outside."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator
from typing import TypeVar

from eldex.common.errors import DomainError, Kind

T = TypeVar("T")


class ServerLeaves(DomainError):
    """A stream ends because its server does."""

    kind, reason = Kind.UNAVAILABLE, "SERVER_LEAVES"
    zh = "服务即将停止或重启，请稍后重新建立流，将从已确认处继续"
    en = "the server is about to stop: open the stream anew, and it goes on from what you acknowledged"


async def until(ended: asyncio.Event, stream: AsyncIterator[T]) -> AsyncIterator[T]:
    """What a stream yields until something has happened; then what is under way in it is cancelled."""
    told = asyncio.create_task(ended.wait())
    within = contextvars.copy_context()  # one for all steps: what a stream sets, it takes back

    async def step() -> T:
        return await anext(stream)

    try:
        while not ended.is_set():
            coming = asyncio.create_task(step(), context=within)
            try:
                await asyncio.wait({coming, told}, return_when=asyncio.FIRST_COMPLETED)
                if told.done():
                    return
                part = await coming
            except StopAsyncIteration:
                return
            finally:
                # Also when the caller has gone: what is under way ends with it.
                if coming.cancel():
                    await asyncio.wait({coming})
            yield part
    finally:
        told.cancel()
