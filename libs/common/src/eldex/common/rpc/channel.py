"""A channel that takes up new certificates; gRPC's Python API reads a client's only once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Final, Self

import grpc

from eldex.common.logs import logger
from eldex.common.rpc.tls import CertificateFiles

_LOOK_EVERY_SECONDS: Final = 1.0
_LEFT_SECONDS: Final = 3600.0
"""How long a call may go on under the old certificate, which is valid for far longer."""


class RenewedChannel(grpc.aio.Channel):
    """A channel that is opened anew when the files of its certificate have changed.

    New calls go by the new one; those under way end on the old one, which is closed after the last.
    Without this a connection that breaks after the old certificate's end would never come back.
    """

    def __init__(
        self, files: CertificateFiles, opening: Callable[[CertificateFiles], grpc.aio.Channel]
    ) -> None:
        self._files, self._opening = files, opening
        self._current = opening(files)
        self._looked_at = asyncio.get_running_loop().time()
        self._left: dict[grpc.aio.Channel, asyncio.Task[None]] = {}

    def current(self) -> grpc.aio.Channel:
        """The channel for a new call."""
        now = asyncio.get_running_loop().time()
        if now - self._looked_at >= _LOOK_EVERY_SECONDS:
            self._looked_at = now
            if self._files.changed():
                self._leave(self._current)
                self._current = self._opening(self._files)
                logger().info("certificate_renewed")
        return self._current

    def _leave(self, old: grpc.aio.Channel) -> None:
        leaving = self._left[old] = asyncio.create_task(old.close(_LEFT_SECONDS))
        leaving.add_done_callback(lambda _: self._left.pop(old, None))

    def left(self) -> int:
        """How many channels still have calls that began under an older certificate."""
        return len(self._left)

    def _by_current(self, kind: str, about: tuple[Any, ...], how: dict[str, Any]) -> Any:
        made_for = self._current
        method = getattr(made_for, kind)(*about, **how)

        def call(*args: Any, **kwargs: Any) -> Any:
            nonlocal made_for, method
            if (now := self.current()) is not made_for:
                made_for, method = now, getattr(now, kind)(*about, **how)
            return method(*args, **kwargs)

        return call

    def unary_unary(self, *about: Any, **how: Any) -> Any:
        """As `grpc.aio.Channel` has it; so are the others."""
        return self._by_current("unary_unary", about, how)

    def unary_stream(self, *about: Any, **how: Any) -> Any:
        """One request, many replies."""
        return self._by_current("unary_stream", about, how)

    def stream_unary(self, *about: Any, **how: Any) -> Any:
        """Many requests, one reply."""
        return self._by_current("stream_unary", about, how)

    def stream_stream(self, *about: Any, **how: Any) -> Any:
        """Many of both."""
        return self._by_current("stream_stream", about, how)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Of the channel that a new call would take."""
        return self.current().get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Of the channel that a new call would take."""
        await self.current().wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Wait for a connection."""
        await self.current().channel_ready()

    async def close(self, grace: float | None = None) -> None:
        """Close it, and those that were left for it and still have calls."""
        left = list(self._left)
        for leaving in self._left.values():
            leaving.cancel()
        await asyncio.gather(*(each.close(grace) for each in [*left, self._current]))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        await self.close()


def current(channel: grpc.aio.Channel) -> grpc.aio.Channel:
    """What a new call on the channel would take."""
    return channel.current() if isinstance(channel, RenewedChannel) else channel
