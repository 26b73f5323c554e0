"""What the hop is measured beside, in a process of its own; all of it grpc.aio with mutual TLS.

- `bare`: answers with an empty message; what a call costs that does nothing.
- `plain`: a plain proxy, which passes every call on by unary gRPC and writes a line to a log.
- `xroad`: the same with the cost of X-Road's protocol as a MODEL: request and reply are each signed with
  RSA-2048 and SHA-512 and stored by a majority-acknowledged, journalled insert. It is not X-Road: no SOAP,
  no batch signatures, no second security server; it stands for nothing but these costs.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import uvloop
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from pymongo import AsyncMongoClient, WriteConcern

from bench.child import Job, serve
from eldex.common.rpc.client import channel
from eldex.common.rpc.server import grpc_server
from eldex.common.rpc.tls import server_credentials

Tell = Callable[[str, bytes, bytes], Awaitable[None]]


class Door(grpc.GenericRpcHandler):
    """Answers every method in one way."""

    def __init__(self, answer: Callable[[str, bytes], Awaitable[bytes]]) -> None:
        self._answer = answer

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """A handler for any method."""
        method = handler_call_details.method

        async def unary(payload: bytes, _: Any) -> bytes:
            return await self._answer(method, payload)

        return grpc.unary_unary_rpc_method_handler(unary)


def into_file(path: Path) -> Tell:
    """A line for each call, handed to the system, not flushed to the disk."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def tell(method: str, request: bytes, reply: bytes) -> None:
        line = {
            "at": time.time(),
            "method": method,
            "request": hashlib.sha256(request).hexdigest(),
            "reply": hashlib.sha256(reply).hexdigest(),
        }
        os.write(file, json.dumps(line).encode() + b"\n")

    return tell


def as_xroad(uri: str) -> Tell:
    """Request and reply, each signed and stored."""
    key = rsa.generate_private_key(65_537, 2_048)
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(uri)
    kept = client["xroad_model"].get_collection(
        "messages", write_concern=WriteConcern("majority", j=True)
    )

    async def tell(method: str, request: bytes, reply: bytes) -> None:
        for message in (request, reply):
            signature = key.sign(message, padding.PKCS1v15(), hashes.SHA512())
            await kept.insert_one({"method": method, "body": message, "signature": signature})

    return tell


async def main(kind: str, listen: str, tls: Path, target: str, place: str) -> None:
    """Serve until the input ends."""
    tell = as_xroad(place) if kind == "xroad" else into_file(Path(place))
    onward = channel(target, tls)

    async def forward(method: str, payload: bytes) -> bytes:
        rpc: Any = onward.unary_unary(method)
        reply: bytes = await rpc(payload, timeout=30.0)
        await tell(method, payload, reply)
        return reply

    async def nothing(_: str, __: bytes) -> bytes:
        return b""

    server = grpc_server([Door(nothing if kind == "bare" else forward)])
    server.add_secure_port(listen, server_credentials(tls))
    await server.start()

    async def do(_: Job) -> Job:
        return {}

    await serve(do)
    await server.stop(0)
    await onward.close()


if __name__ == "__main__":
    kind, listen, tls, target, place = sys.argv[1:]
    uvloop.run(main(kind, listen, Path(tls), target, place))
