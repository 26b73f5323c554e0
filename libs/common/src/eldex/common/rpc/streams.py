"""Streams that are ended from outside."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator
from typing import TypeVar

T = TypeVar("T")


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
