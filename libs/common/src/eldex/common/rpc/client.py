"""Calling other services: deadlines, a retry budget, the trace carried on."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message
from opentelemetry.trace import SpanKind

from eldex.common import metrics, telemetry
from eldex.common.errors import Unavailable
from eldex.common.rpc.channel import RenewedChannel
from eldex.common.rpc.server import MAX_FRAME_BYTES
from eldex.common.rpc.tls import CertificateFiles, channel_credentials

M = TypeVar("M", bound=Message)

_AGAIN = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.ABORTED}


def channel(target: str, tls_dir: Path) -> grpc.aio.Channel:
    """A channel with the process's own certificate, also after that was renewed."""

    def opening(files: CertificateFiles) -> grpc.aio.Channel:
        return grpc.aio.secure_channel(
            target,
            channel_credentials(files),
            options=[
                ("grpc.max_receive_message_length", MAX_FRAME_BYTES),
                ("grpc.max_send_message_length", MAX_FRAME_BYTES),
                ("grpc.initial_reconnect_backoff_ms", 100),
                # How long an attempt may take: a handshake on a busy machine takes its time.
                ("grpc.min_reconnect_backoff_ms", 5_000),
                ("grpc.max_reconnect_backoff_ms", 2_000),
            ],
        )

    return RenewedChannel(CertificateFiles(tls_dir), opening)


class Peer:
    """Another service, asked with a deadline and a budget for retries.

    A retry costs one token, an answered call earns a tenth of one: when a peer is down, the calls
    to it are not multiplied. Idempotent methods only, or requests with a `request_id`.
    """

    def __init__(
        self, grpc_channel: grpc.aio.Channel, name: str, timeout_seconds: float = 2.0
    ) -> None:
        self._channel, self.name, self._timeout = grpc_channel, name, timeout_seconds
        self._tokens = 10.0

    async def ask(
        self,
        method: str,
        request: Message,
        response: type[M],
        metadata: Mapping[str, str] | None = None,
    ) -> M:
        """Call a method; raises `Unavailable`, or `grpc.aio.AioRpcError` for a refusal."""
        multicallable: Callable[..., Awaitable[M]] = self._channel.unary_unary(
            method,
            request_serializer=type(request).SerializeToString,
            response_deserializer=response.FromString,
        )
        attempt = 0
        with telemetry.span(method[1:], SpanKind.CLIENT, None, {"rpc.system": "grpc"}) as span:
            entries: list[tuple[str, Any]] = [*(metadata or {}).items()]
            entries.append(("traceparent", telemetry.traceparent()))
            while True:
                try:
                    answer = await multicallable(request, timeout=self._timeout, metadata=entries)
                except grpc.aio.AioRpcError as error:
                    metrics.peer_calls.labels(method, error.code().name).inc()
                    if error.code() not in _AGAIN or self._tokens < 1 or attempt >= 2:
                        telemetry.failed(span, error.code().name)
                        if error.code() in _AGAIN or (
                            error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
                        ):
                            raise Unavailable(self.name) from error
                        raise
                    self._tokens -= 1
                    attempt += 1
                    await asyncio.sleep(random.uniform(0.02, 0.05) * 2**attempt)  # noqa: S311 - jitter
                else:
                    metrics.peer_calls.labels(method, "OK").inc()
                    self._tokens = min(10.0, self._tokens + 0.1)
                    return answer
