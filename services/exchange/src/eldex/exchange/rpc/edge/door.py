"""The door behind Envoy: one forwarded call after the other on connections of HTTP/1.1, by a socket in the file system.

Envoy has spoken TLS and HTTP/2 with the member and sends on whole requests: `Content-Length` is there. What
goes back is chunked, because gRPC's status is a trailer. Nobody but the Envoy that this process started is
listened to: the kernel tells who is at the other end.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import re
import socket
import struct
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Final, cast
from urllib.parse import quote

import grpc

from eldex.common.logs import logger
from eldex.common.rpc.call import Identity, language_of
from eldex.common.rpc.server import Answer
from eldex.common.rpc.status import plain
from eldex.exchange.rpc.cities import CITY
from eldex.exchange.rpc.forwarding import Forwarding, Incoming

CERTIFICATE: Final = "x-forwarded-client-cert"
_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-accept-encoding: identity\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
_END_OF_HEAD: Final = b"\r\n\r\n"
_MOST_COMING: Final = 1_024
"""Connections of Envoy's that may wait to be taken; one beyond is a call that failed."""
_PREFIX: Final = struct.Struct(">BI")
"""gRPC's prefix of a message: whether it is compressed, and its length."""
_TIMEOUT: Final = re.compile(r"([0-9]{1,8})([HMSmun])")
_SECONDS: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_PLAIN: Final = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
"""What stands for itself in `grpc-message`."""


class EdgeDoor:
    """Listens to Envoy alone."""

    def __init__(self, forwarding: Forwarding, identify: Callable[[str], Identity]) -> None:
        """`identify` reads what Envoy says of the caller's certificate; raises `Denied`."""
        self._forwarding, self._identify = forwarding, identify
        self.envoy: int | None = None
        """The process that is listened to."""
        self._working: set[asyncio.Task[None]] = set()

    async def open(self, path: Path) -> asyncio.Server:
        """Listen."""
        loop = asyncio.get_running_loop()
        return await loop.create_unix_server(partial(_Connection, self), path, backlog=_MOST_COMING)

    async def drained(self, seconds: float) -> None:
        """Wait until what was accepted is answered, as long as that."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._working:
                    await asyncio.wait(self._working)

    def begin(self, connection: _Connection, head: str, body: bytes) -> asyncio.Task[None]:
        """Answer a request on its connection."""
        task = asyncio.create_task(self._answer(connection, head, body))
        self._working.add(task)
        task.add_done_callback(self._working.discard)
        return task

    async def _answer(self, connection: _Connection, head: str, body: bytes) -> None:
        request, *lines = head.split("\r\n")
        method = request.split(" ", 2)[1]
        metadata = dict(line.split(": ", 1) for line in lines)
        try:
            answer = await self._ask(method, metadata, body)
        except Exception as error:  # noqa: BLE001 - the boundary: every error becomes a status
            logger().error("call_broke", method=method[:200], exc_info=error)
            told = ("INTERNAL", "系统内部错误，已记录", "an error of ours; it has been recorded")
            answer = _refused(metadata, grpc.StatusCode.INTERNAL, *told)
        connection.reply(_written(answer))

    async def _ask(self, method: str, metadata: Mapping[str, str], body: bytes) -> Answer:
        whose = self._forwarding.whose(method, is_abroad=CITY in metadata)
        code = grpc.StatusCode
        if not whose:
            told = ("METHOD_UNKNOWN", "没有这个方法", "there is no such method")
            return _refused(metadata, code.UNIMPLEMENTED, *told)
        is_compressed, size = _PREFIX.unpack_from(body) if len(body) >= _PREFIX.size else (0, -1)
        if is_compressed:
            zh, en = "不接受压缩的请求", "compressed requests are not taken: send them as they are"
            return _refused(metadata, code.UNIMPLEMENTED, "REQUEST_COMPRESSED", zh, en)
        if size != len(body) - _PREFIX.size:
            zh, en = "请求须恰好包含一条消息", "a request is one message, and the whole of it"
            return _refused(metadata, code.INVALID_ARGUMENT, "REQUEST_NOT_ONE_MESSAGE", zh, en)
        identify = partial(self._identify, metadata.get(CERTIFICATE, ""))
        left = _seconds_of(metadata.get("grpc-timeout", ""))
        call = Incoming(method, body[_PREFIX.size :], metadata, identify, left)
        return await self._forwarding.answer(whose, call)


class _Connection(asyncio.Protocol):
    """One connection of Envoy's, which has one request on it at a time."""

    def __init__(self, door: EdgeDoor) -> None:
        self._door = door
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._wanted = 0
        """How many bytes the request has that is coming; 0 until its head is read."""
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let Envoy in, and nobody else."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        if process_of(transport.get_extra_info("socket")) != self._door.envoy:
            logger().warning("edge_stranger")
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Begin with a request when the whole of it is there."""
        self._buffer += data
        if len(self._buffer) < self._wanted:
            return
        end = self._buffer.find(_END_OF_HEAD)
        if end < 0:
            return
        head = self._buffer[:end].decode("latin-1")
        begin = end + len(_END_OF_HEAD)
        _, is_sized, sized = head.partition("\r\ncontent-length: ")
        self._wanted = begin + (int(sized.split("\r\n", 1)[0]) if is_sized else 0)
        if len(self._buffer) >= self._wanted:
            body = bytes(self._buffer[begin : self._wanted])
            del self._buffer[: self._wanted]
            self._wanted = 0
            self._task = self._door.begin(self, head, body)

    def reply(self, response: bytes) -> None:
        """Send what is the answer."""
        assert self._transport is not None
        self._transport.write(response)
        self._task = None

    def connection_lost(self, exc: Exception | None) -> None:
        """The caller has gone, or Envoy has: nobody waits for the answer."""
        if self._task is not None:
            self._task.cancel()


def process_of(connection: socket.socket) -> int:
    """Who is at the other end of a connection by a socket of the file system, as the kernel knows it."""
    told = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    found: int = struct.unpack("3i", told)[0]
    return found


def _refused(
    metadata: Mapping[str, str], code: grpc.StatusCode, reason: str, zh: str, en: str
) -> Answer:
    language = language_of(metadata.get("accept-language", ""))
    return Answer(failure=plain(code, reason, zh, en, language))


def _seconds_of(timeout: str) -> float | None:
    found = _TIMEOUT.fullmatch(timeout)
    return int(found[1]) * _SECONDS[found[2]] if found else None


def _written(answer: Answer) -> bytes:
    """An answer as HTTP/1.1 says it."""
    failed = answer.failure
    if failed is None:
        size = len(answer.response)
        body = b"%x\r\n%b%b\r\n" % (size + 5, _PREFIX.pack(0, size), answer.response)
        status = "grpc-status: 0\r\n"
    else:
        body = b""
        message = quote(failed.message, safe=_PLAIN)
        status = f"grpc-status: {failed.code.value[0]}\r\ngrpc-message: {message}\r\n"
    trailers = "".join(
        f"{key}: {value if isinstance(value, str) else base64.b64encode(value).decode()}\r\n"
        for key, value in answer.trailing()
    )
    return b"%b%b0\r\n%b\r\n" % (_HEAD, body, (status + trailers).encode("latin-1"))
