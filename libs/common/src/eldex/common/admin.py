"""Health, readiness and metrics over plain HTTP, for probes and Prometheus."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import uvicorn

from eldex.common import metrics

Scope = MutableMapping[str, Any]


class AdminServer(uvicorn.Server):
    """uvicorn, without taking the process's signals: `serve` has them."""

    def capture_signals(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Take none."""
        return nullcontext()


def admin_server(listen: str, problem: Callable[[], str]) -> AdminServer:
    """A server for /healthz, /readyz and /metrics; `problem` tells why the process is not ready."""

    async def app(
        scope: Scope,
        _receive: Callable[[], Awaitable[Scope]],
        send: Callable[[Scope], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            return
        status, body = 404, b"not found\n"
        if scope["path"] == "/healthz":
            status, body = 200, b"alive\n"
        elif scope["path"] == "/readyz":
            found = problem()
            status, body = (503, f"{found}\n".encode()) if found else (200, b"ready\n")
        elif scope["path"] == "/metrics":
            status, body = 200, metrics.exposition()
        headers = [(b"content-type", b"text/plain; version=0.0.4; charset=utf-8")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    host, _, port = listen.rpartition(":")
    config = uvicorn.Config(
        app,
        host=host,
        port=int(port),
        lifespan="off",
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=1,
    )
    return AdminServer(config)
