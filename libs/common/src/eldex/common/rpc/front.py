"""What may stand before a gRPC server: a proxy that takes the callers' connections instead of it."""

from __future__ import annotations

from typing import Any, Protocol

import grpc

from eldex.common.rpc.call import Identity


class Front(Protocol):
    """Takes the callers' connections and hands their calls to the gRPC server behind it."""

    @property
    def behind(self) -> str:
        """Where the server listens for it."""
        ...

    @property
    def problem(self) -> str:
        """Why it lets nobody in; empty if it does."""
        ...

    def identify(self, context: grpc.aio.ServicerContext[Any, Any]) -> Identity:
        """Who calls the server; raises `Denied`."""
        ...

    async def start(self) -> int:
        """Let callers in; the port. The server behind answers already."""
        ...

    async def run(self) -> None:
        """What it does as long as the process lives."""
        ...

    async def drain(self, seconds: float) -> None:
        """Take no new callers, and answer what was accepted."""
        ...

    async def stop(self) -> None:
        """End it."""
        ...
