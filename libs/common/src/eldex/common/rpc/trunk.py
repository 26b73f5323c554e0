"""The trunk: many calls per message on one long-lived stream, in both directions.

What arrives while a message is under way goes into the next one, so that batches grow with the
load and a lone call is never held back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeVar

import grpc

from eldex.api.trunk.v1 import trunk_service_pb2 as pb
from eldex.api.trunk.v1.trunk_service_pb2_grpc import TrunkServiceStub
from eldex.common.errors import Unavailable
from eldex.common.logs import logger
from eldex.common.rpc.call import Call
from eldex.common.rpc.channel import current
from eldex.common.rpc.server import MAX_MESSAGE_BYTES, Answer, Dispatcher
from eldex.common.rpc.status import Failure, plain, reason_of

_MOST_PER_MESSAGE = 512
_MOST_BYTES_PER_MESSAGE = 1024 * 1024
"""A batch is closed when it has so many bytes; one call may be larger, up to the limit of a call."""


P = TypeVar("P", pb.Call, pb.Reply)


def _batch(queue: list[P]) -> list[P]:
    """Take from the front of a queue what may travel together."""
    count = size = 0
    for part in queue[:_MOST_PER_MESSAGE]:
        size += part.ByteSize()
        if count and size > _MOST_BYTES_PER_MESSAGE:
            break
        count += 1
    batch = queue[:count]
    del queue[:count]
    return batch


class TrunkService:
    """Answers what a trunk brings through the process's dispatcher."""

    def __init__(self) -> None:
        self.dispatcher: Dispatcher | None = None

    async def carry(
        self, requests: AsyncIterator[pb.CarryRequest], call: Call
    ) -> AsyncIterator[pb.CarryResponse]:
        """One stream: every call is answered on its own, replies leave as they are ready.

        A process that is about to stop says so, once: its caller closes the stream, and loses no call.
        """
        assert self.dispatcher is not None
        dispatcher = self.dispatcher
        ready: list[pb.Reply] = []
        wake = asyncio.Event()
        working: set[asyncio.Task[None]] = set()

        async def work(each: pb.Call) -> None:
            # As with unary calls, binary entries are left out.
            metadata = {
                entry.key: entry.value.decode(errors="replace")
                for entry in each.metadata
                if not entry.key.endswith("-bin")
            }
            answer = await dispatcher.answer(
                each.method, each.request, call.caller, metadata, each.timeout_seconds or None
            )
            ready.append(_reply(each.call_id, answer))
            wake.set()

        async def read() -> None:
            async for message in requests:
                for each in message.calls:
                    task = asyncio.create_task(work(each))
                    working.add(task)
                    task.add_done_callback(working.discard)

        reader = asyncio.create_task(read())
        reader.add_done_callback(lambda _: wake.set())
        leaving, told = asyncio.create_task(dispatcher.leaving.wait()), False
        leaving.add_done_callback(lambda _: wake.set())
        try:
            while not (reader.done() and not working and not ready):
                await wake.wait()
                wake.clear()
                if leaving.done() and not told:
                    told = True
                    yield pb.CarryResponse(leaving=True)
                while ready:
                    yield pb.CarryResponse(replies=_batch(ready))
                if reader.done() and working:
                    await asyncio.wait(working)
                    wake.set()
            reader.result()  # what could not be read ends the stream, after the answers to what could
        finally:
            reader.cancel()
            leaving.cancel()
            for task in working:
                task.cancel()


def _reply(call_id: int, answer: Answer) -> pb.Reply:
    reply = pb.Reply(call_id=call_id, response=answer.response)
    if answer.failure:
        reply.code = answer.failure.code.value[0]
        reply.message = answer.failure.message
    for key, value in answer.trailing():
        data = value if isinstance(value, bytes) else value.encode()
        reply.trailing_metadata.add(key=key, value=data)
    return reply


class _Stream:
    """One stream of a trunk: what is to be sent on it, and who waits for a reply."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.channel = channel
        self._waiting: dict[int, asyncio.Future[pb.Reply]] = {}
        self._queue: list[pb.Call] = []
        self._wake = asyncio.Event()
        self.is_left = False
        self.task = asyncio.create_task(self._run())

    async def call(self, call: pb.Call) -> pb.Reply:
        """Send one call and wait for its reply; raises `Unavailable`, `TimeoutError`."""
        future: asyncio.Future[pb.Reply] = asyncio.get_running_loop().create_future()
        self._waiting[call.call_id] = future
        self._queue.append(call)
        self._wake.set()
        try:
            # The far end keeps the deadline; ours only guards against its silence.
            async with asyncio.timeout(call.timeout_seconds + 0.5):
                return await future
        finally:
            self._waiting.pop(call.call_id, None)

    def leave(self) -> None:
        """No call will come after those that have; the far end answers them and ends the stream."""
        self.is_left = True
        self._wake.set()

    async def _run(self) -> None:
        stub: Any = TrunkServiceStub(self.channel)
        stream = stub.Carry()

        async def write() -> None:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._queue:
                    await stream.write(pb.CarryRequest(calls=_batch(self._queue)))
                if self.is_left:
                    await stream.done_writing()
                    return

        writer = asyncio.create_task(write())
        # A broken stream is told to every caller below; the writer meets it too.
        writer.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            async for message in stream:
                if message.leaving:
                    self.leave()
                for reply in message.replies:
                    future = self._waiting.get(reply.call_id)
                    if future is not None and not future.done():
                        future.set_result(reply)
        except grpc.aio.AioRpcError as broken:
            # Told to every caller below, as UNAVAILABLE; why, here alone.
            code, why = broken.code().name, broken.details() or ""
            logger().warning("trunk_broke", code=code, why=why[:200], calls=len(self._waiting))
        finally:
            writer.cancel()
            stream.cancel()
            self._queue.clear()
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(Unavailable("trunk"))


class Trunk:
    """The caller's end. Opens by itself, and opens again after a break or under a new certificate.

    Calls that were under way when it broke fail with UNAVAILABLE; whether they had happened, their
    request_id tells. Under a new certificate nothing breaks: who is under way ends on the old stream.
    """

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self._stream: _Stream | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._last_id = 0

    async def call(
        self,
        method: str,
        request: bytes,
        metadata: Mapping[str, str] | None = None,
        timeout_seconds: float = 10.0,
    ) -> pb.Reply:
        """Send one call and wait for its reply; raises `Unavailable`, `TimeoutError`."""
        self._last_id += 1
        call = pb.Call(
            call_id=self._last_id, method=method, request=request, timeout_seconds=timeout_seconds
        )
        for key, value in (metadata or {}).items():
            call.metadata.add(key=key, value=value.encode())
        if len(request) > MAX_MESSAGE_BYTES:
            # Sent, it would break the stream.
            return _reply(call.call_id, Answer(failure=_too_large()))
        return await self._open().call(call)

    def _open(self) -> _Stream:
        channel, stream = current(self._channel), self._stream
        if stream is not None and not stream.task.done():
            if stream.channel is channel and not stream.is_left:
                return stream
            stream.leave()
        self._stream = stream = _Stream(channel)
        self._tasks.add(stream.task)
        stream.task.add_done_callback(self._tasks.discard)
        return stream

    async def close(self) -> None:
        """End the stream."""
        if self._tasks:
            tasks = set(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


def _too_large() -> Failure:
    zh = f"请求超过 {MAX_MESSAGE_BYTES} 字节"
    en = f"the request is larger than {MAX_MESSAGE_BYTES} bytes"
    return plain(grpc.StatusCode.RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE", zh, en, "en")


def failure_of(reply: pb.Reply) -> Failure | None:
    """The failure a reply carries, or None."""
    if reply.code == 0:
        return None
    trailing = {entry.key: entry.value for entry in reply.trailing_metadata}
    details = trailing.get("grpc-status-details-bin", b"")
    code = next(c for c in grpc.StatusCode if c.value[0] == reply.code)
    return Failure(code, reply.message, details, reason_of(details))
