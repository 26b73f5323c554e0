"""The port on which somebody without a certificate asks to join: TLS, a token, little at a time."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Any, Final

import grpc

from eldex.api.exchange.v1 import joining_service_pb2
from eldex.common.clock import Clock
from eldex.common.errors import Overloaded
from eldex.common.rpc.call import Identity
from eldex.common.rpc.server import Dispatcher, GrpcDoor, metadata_of
from eldex.common.rpc.tls import server_credentials
from eldex.common.service import service_descriptor
from eldex.exchange.rpc.admin_log import Logged
from eldex.exchange.rpc.membership_service import AUTHORIZATION, digest_of

_SERVICE: Final = "/eldex.api.exchange.v1.JoiningService/"
_MOST_BYTES: Final = 32 * 1024
_MOST_CONNECTION_SECONDS: Final = 60
_MOST_ADDRESSES: Final = 10_000


class Allowance:
    """So many calls at once from one address, and one more as often as that; and of all addresses together."""

    def __init__(
        self, at_once: int = 20, every_seconds: float = 1.0, all_at_once: int = 200
    ) -> None:
        self._at_once, self._every, self._all = at_once, every_seconds, all_at_once
        self._used: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, address: str, now: float) -> None:
        """Count a call; raises `Overloaded` with the seconds to wait."""
        for who, most, every in (
            (address, self._at_once, self._every),
            ("", self._all, self._every * self._at_once / self._all),
        ):
            used, at = self._used.get(who, (0.0, now))
            used = max(0.0, used - (now - at) / every)
            if used + 1 > most:
                raise Overloaded(retry_after_seconds=round(every, 2))
            self._used[who] = (used + 1, now)
            self._used.move_to_end(who)
        while len(self._used) > _MOST_ADDRESSES:
            self._used.popitem(last=False)


class JoinDoor:
    """Serves `JoiningService` alone."""

    def __init__(self, service: Logged, clock: Clock, city: str, allowance: Allowance) -> None:
        descriptor = service_descriptor(joining_service_pb2, "JoiningService")
        self._city, self._allowance = city, allowance
        dispatcher = Dispatcher([(descriptor, service)], clock, self._may, max_in_flight=20)
        self._door = GrpcDoor(dispatcher, identify=self._identify)

    def _may(self, identity: Identity, method: str) -> bool:
        return identity.path.startswith(f"{self._city}/guest/") and method.startswith(_SERVICE)

    def _identify(self, context: grpc.aio.ServicerContext[Any, Any]) -> Identity:
        # Whoever has no certificate is known by the token alone; its digest names it in the log.
        self._allowance.take(context.peer().rpartition(":")[0], time.monotonic())
        digest = digest_of(metadata_of(context).get(AUTHORIZATION, ""))
        return Identity("", f"{self._city}/guest/{digest[:16] or 'nobody'}")

    async def open(self, listen: str, tls_dir: Any) -> tuple[grpc.aio.Server, int]:
        """Start to serve; the server and its port."""
        server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", _MOST_BYTES),
                ("grpc.max_metadata_size", 8 * 1024),
                ("grpc.so_reuseport", 0),
                ("grpc.max_connection_age_ms", _MOST_CONNECTION_SECONDS * 1000),
                ("grpc.max_connection_idle_ms", 10_000),
                ("grpc.max_concurrent_streams", 10),
            ]
        )
        server.add_generic_rpc_handlers((self._door,))
        port = server.add_secure_port(
            listen, server_credentials(tls_dir, demands_certificate=False)
        )
        await server.start()
        return server, port
