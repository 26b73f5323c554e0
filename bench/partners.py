"""Those who are delivered to: a process with streams and endpoints that measures when each event came.

An event's id ends with the moment at which it was to be told (`monotonic_ns`, the same clock for all
processes of a machine).
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections import defaultdict
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import orjson
import uvloop

from bench.child import Job, serve
from eldex.api.exchange.v1 import exchange_service_pb2
from eldex.common.rpc.client import channel

_SUBSCRIBE = "/eldex.api.exchange.v1.ExchangeService/Subscribe"


class Partners:
    """Subscribers by name, and what each got."""

    def __init__(self, exchange: str, pki: Path, exits: AsyncExitStack) -> None:
        self._exchange, self._pki, self._exits = exchange, pki, exits
        self._got: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
        """Run and subscriber → event → seconds from when it was to be told until it came first."""
        self._wanted = 0
        self._more = asyncio.Event()
        """Set whenever somebody has all that is wanted."""
        self._hung: set[str] = set()
        self._awake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def do(self, job: Job) -> Job:
        """One job."""
        answer: Job = await getattr(self, job.pop("do"))(**job)
        return answer

    async def stream(self, name: str, subsystem: str) -> Job:
        """Take part as a member that keeps a stream open."""
        opened = channel(self._exchange, self._pki / subsystem)
        self._exits.push_async_callback(opened.close)
        rpc: Any = opened.unary_stream(
            _SUBSCRIBE,
            request_serializer=exchange_service_pb2.SubscribeRequest.SerializeToString,
            response_deserializer=exchange_service_pb2.SubscribeResponse.FromString,
        )

        async def read() -> None:
            wanted = exchange_service_pb2.SubscribeRequest(subscription_name="bench")
            async for message in rpc(wanted):
                for event in message.events:
                    self._note(name, event.event_id)

        task = asyncio.create_task(read())
        self._tasks.add(task)
        self._exits.callback(task.cancel)
        return {}

    async def endpoint(self, name: str) -> Job:
        """Take part as an endpoint for webhooks; its port."""

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            # Cancelled at the end of the bench, when nobody asks any more.
            with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
                while True:
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(await self._answer(name, head, reader))
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        self._exits.callback(server.close)
        return {"port": server.sockets[0].getsockname()[1]}

    async def _answer(self, name: str, head: bytes, reader: asyncio.StreamReader) -> bytes:
        fields = dict(
            line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line
        )
        body = await reader.readexactly(int(fields.get(b"content-length", b"0")))
        if head.startswith(b"OPTIONS"):
            origin = fields[b"webhook-request-origin"]
            agreed = b"WebHook-Allowed-Origin: " + origin + b"\r\nWebHook-Allowed-Rate: *\r\n"
            return b"HTTP/1.1 200 OK\r\n" + agreed + b"Content-Length: 0\r\n\r\n"
        if name in self._hung:
            await self._awake.wait()
        self._note(name, orjson.loads(body)["id"])
        return b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"

    def _note(self, name: str, event_id: str) -> None:
        if not event_id.startswith("bench-"):
            return  # the exchange tells of itself too
        _, run, _, planned = event_id.split("-")
        got = self._got[run, name]
        got.setdefault(event_id, (time.monotonic_ns() - int(planned)) / 1e9)
        if len(got) == self._wanted:
            self._more.set()

    async def hang(self, name: str) -> Job:
        """Let somebody answer nothing from now on."""
        self._awake.clear()
        self._hung.add(name)
        return {}

    async def wake(self) -> Job:
        """Let everybody answer again."""
        self._hung.clear()
        self._awake.set()
        return {}

    async def waits(self, run: str, names: list[str], count: int, seconds: float) -> Job:
        """What these got of a run, as soon as each has all of it, or the time is over."""
        self._wanted = count
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while any(len(self._got[run, name]) < count for name in names):
                    await self._more.wait()
                    self._more.clear()
        for task in self._tasks:
            if task.done():
                task.result()  # a stream broke: say why
        found = [list(self._got[run, name].values()) for name in names]
        lost = sum(count - len(each) for each in found)
        return {"waits": [wait for each in found for wait in each], "lost": lost}


async def main(exchange: str, pki: Path) -> None:
    """Serve until the input ends."""
    async with AsyncExitStack() as exits:
        await serve(Partners(exchange, pki, exits).do)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], Path(sys.argv[2])))
