"""Partners outside: their endpoints, and their exchanges, which answer calls and witness our log.

Webhooks are as Standard Webhooks and CloudEvents describe them.

A delivery is a POST of a CloudEvents 1.0 message in structured mode (`application/cloudevents+json`,
the event's protobuf message as `data_base64`), because what is signed is the body: in binary mode the
attributes would be headers, and anybody on the way could change them. `webhook-id` is the event's id,
`webhook-timestamp` the time of the try, `webhook-signature` an HMAC-SHA256 by every active secret.

Before anything is delivered the endpoint must agree (CloudEvents HTTP 1.1 Web Hooks §4): an OPTIONS
with `WebHook-Request-Origin` is answered with `WebHook-Allowed-Origin`. A redirect is not followed: it is
a refusal. A name is resolved once, every address it leads to must be allowed, and the connection goes to
the address that was judged; its certificate must be the name's.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import uuid
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import grpc
import httpcore
import orjson
from standardwebhooks import Webhook

from eldex.api.exchange.v1 import evidence_service_pb2
from eldex.api.trunk.v1 import trunk_service_pb2
from eldex.common import telemetry
from eldex.common.errors import CannotStart, DomainError, Unavailable
from eldex.common.rpc.client import Peer
from eldex.common.rpc.status import DETAILS_KEY, facts_of, reason_of
from eldex.exchange.domain.delivery.attributes import attributes_of
from eldex.exchange.domain.delivery.endpoints import (
    EndpointDisagrees,
    EndpointRefused,
    Rules,
    Target,
    parse_endpoint,
    usable,
)
from eldex.exchange.domain.delivery.schedule import retry_after
from eldex.exchange.domain.message_log import CheckpointForked, CheckpointStale, NotWitnessable
from eldex.exchange.domain.subscriptions import Endpoint, FeedEvent
from eldex.exchange.handlers.delivery import Answer, Outcome

USER_AGENT: Final = "eldex-exchange/1"
_ADD_CHECKPOINT: Final = "/eldex.api.exchange.v1.EvidenceService/AddCheckpoint"
_MOST_SAID: Final = 4_096
"""Bytes of an answer that are read; who says more is cut off."""
_KEEP_ALIVE_SECONDS: Final = 30.0
_GONE: Final = 410
_MOST_A_MINUTE: Final = 1_000_000
_MOST_CONNECTIONS: Final = 32
_FAILED: Final = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    TimeoutError,
    OSError,
)
"""Whatever can keep an answer from coming."""


class GuardedNetwork(httpcore.AnyIOBackend):
    """Connects only to addresses that are allowed, resolving a name once."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of the name that answers; TLS is checked against the name."""
        failed: Exception | None = None
        for address in await self.resolve(host, port):
            try:
                return await super().connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed or httpcore.ConnectError(f"{host} has no address")

    async def resolve(self, host: str, port: int) -> list[str]:
        """The addresses of a name, all of them allowed; raises `EndpointRefused`."""
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                host, port, type=socket.SOCK_STREAM
            )
        except OSError as error:
            raise httpcore.ConnectError("NAME_UNKNOWN") from error
        return usable([str(entry[4][0]) for entry in found], self._rules)


class HttpWebhooks:
    """Posts to endpoints; a pool of connections of its own for every subscription."""

    def __init__(
        self,
        origin: str,
        rules: Rules,
        *,
        timeout_seconds: float = 15.0,
        ca_file: Path | None = None,
    ) -> None:
        """`origin` is the name by which endpoints know this exchange."""
        self._origin, self._rules, self._timeout = origin, rules, timeout_seconds
        self._network = GuardedNetwork(rules)
        self._tls = ssl.create_default_context()
        self._tls.minimum_version = ssl.TLSVersion.TLSv1_2
        if ca_file is not None:
            self._tls.load_verify_locations(ca_file)
        self._pools: dict[str, httpcore.AsyncConnectionPool] = {}

    def check(self, url: str) -> None:
        """Raise `EndpointRefused` for an address that is not posted to."""
        parse_endpoint(url, self._rules)

    async def ask(self, url: str) -> int | None:
        """Whether the endpoint agrees to deliveries; returns how many a minute (None: any)."""
        target = parse_endpoint(url, self._rules)
        headers = [
            (b"WebHook-Request-Origin", self._origin.encode()),
            (b"WebHook-Request-Rate", b"*"),
        ]
        try:
            async with self._pool(1) as pool:
                status, answered, _ = await self._exchange(pool, "OPTIONS", target, headers, b"")
        except EndpointRefused:
            raise
        except _FAILED as error:
            raise EndpointDisagrees(answer=_why(error), origin=self._origin) from error
        allowed = [name.strip() for name in answered.get("webhook-allowed-origin", "").split(",")]
        if status // 100 != 2 or not {self._origin, "*"} & set(allowed):
            raise EndpointDisagrees(answer=f"HTTP {status}", origin=self._origin)
        rate = answered.get("webhook-allowed-rate", "*").strip()
        if rate.isascii() and rate.isdigit() and 0 < int(rate[:10]) < _MOST_A_MINUTE:
            return int(rate[:10])
        return None

    async def post(
        self,
        subscription_key: str,
        endpoint: Endpoint,
        secrets: Sequence[str],
        event: FeedEvent,
        now: datetime,
    ) -> Answer:
        """Post an event, signed with every secret."""
        body = structured(event)
        headers = signed_headers(event.event_id, body, secrets, now)
        headers += [
            (b"Content-Type", b"application/cloudevents+json; charset=utf-8"),
            (b"WebHook-Request-Origin", self._origin.encode()),
        ]
        if event.traceparent:
            headers.append((b"traceparent", event.traceparent.encode()))
        try:
            target = parse_endpoint(endpoint.url, self._rules)
            pool = self._pools.get(subscription_key)
            if pool is None:
                pool = self._pools[subscription_key] = self._pool(_MOST_CONNECTIONS)
            status, answered, said = await self._exchange(pool, "POST", target, headers, body)
        except EndpointRefused:
            return Answer(Outcome.REFUSED, "ENDPOINT_REFUSED", body)
        except _FAILED as error:
            return Answer(Outcome.REFUSED, _why(error), body)
        wish = retry_after(answered["retry-after"], now) if "retry-after" in answered else None
        if status // 100 == 2:
            return Answer(Outcome.TAKEN, f"HTTP_{status}", body, said)
        outcome = Outcome.GONE if status == _GONE else Outcome.REFUSED
        return Answer(outcome, f"HTTP_{status}", body, said, wish)

    async def forget(self, subscription_key: str) -> None:
        """Close the connections that were kept for a subscription."""
        pool = self._pools.pop(subscription_key, None)
        if pool is not None:
            await pool.aclose()

    async def close(self) -> None:
        """Close all of them."""
        for key in list(self._pools):
            await self.forget(key)

    def _pool(self, connections: int) -> httpcore.AsyncConnectionPool:
        return httpcore.AsyncConnectionPool(
            ssl_context=self._tls,
            max_connections=connections,
            max_keepalive_connections=connections,
            keepalive_expiry=_KEEP_ALIVE_SECONDS,
            network_backend=self._network,
        )

    async def _exchange(
        self,
        pool: httpcore.AsyncConnectionPool,
        method: str,
        target: Target,
        headers: Sequence[tuple[bytes, bytes]],
        body: bytes,
    ) -> tuple[int, dict[str, str], bytes]:
        """One request: status, headers, the beginning of the body. The whole has one deadline."""
        default = 443 if target.scheme == "https" else 80
        name = f"[{target.host}]" if ":" in target.host else target.host
        host = name if target.port == default else f"{name}:{target.port}"
        url = httpcore.URL(
            scheme=target.scheme.encode(),
            host=target.host.encode(),
            port=target.port,
            target=target.path.encode(),
        )
        every = [
            (b"Host", host.encode()),
            (b"User-Agent", USER_AGENT.encode()),
            (b"Accept", b"*/*"),
            (b"Content-Length", str(len(body)).encode()),
            *headers,
        ]
        # Each step of a slow answer would fit into the client's own timeouts: the whole must not.
        async with (
            asyncio.timeout(self._timeout),
            pool.stream(method, url, headers=every, content=body) as response,
        ):
            said = b""
            async for part in response.aiter_stream():
                said += part[: _MOST_SAID - len(said)]
                if len(said) >= _MOST_SAID:
                    break
            answered = {
                name.decode("latin-1").lower(): value.decode("latin-1")
                for name, value in response.headers
            }
            return response.status, answered, said


def structured(event: FeedEvent) -> bytes:
    """The event in CloudEvents' JSON format, as it is signed and sent."""
    message: dict[str, Any] = {
        **attributes_of(event),
        "dataschema": f"type.googleapis.com/{event.type}",
        "data_base64": b64encode(event.payload).decode(),
    }
    return orjson.dumps(message)


def signed_headers(
    event_id: str, body: bytes, secrets: Sequence[str], now: datetime
) -> list[tuple[bytes, bytes]]:
    """The three headers of Standard Webhooks."""
    at = now.astimezone(UTC)
    signatures = [Webhook(secret).sign(event_id, at, body.decode()) for secret in secrets]
    return [
        (b"webhook-id", event_id.encode()),
        (b"webhook-timestamp", str(int(at.timestamp())).encode()),
        (b"webhook-signature", " ".join(signatures).encode()),
    ]


def _why(error: Exception) -> str:
    """A stable reason: nothing of it comes from the other side."""
    if str(error) == "NAME_UNKNOWN":
        return "NAME_UNKNOWN"
    if isinstance(error, httpcore.ConnectTimeout | httpcore.TimeoutException | TimeoutError):
        return "TIMEOUT"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return "TLS_REFUSED"
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpcore.ConnectError | OSError):
        return "NOT_REACHED"
    return "NO_ANSWER"


class GrpcWitnesses:
    """The exchanges of partner cities, asked to co-sign the heads of our log."""

    def __init__(self, partners: Mapping[str, Peer]) -> None:
        """`partners` by the witness's name."""
        self._partners = partners

    async def add_checkpoint(
        self, witness: str, old_size: int, proof: Sequence[bytes], checkpoint: bytes
    ) -> str:
        """Have a head co-signed; the line of the signature.

        Raises `CheckpointStale`, `CheckpointForked`, `NotWitnessable` for another refusal, `Unavailable`.
        """
        request = evidence_service_pb2.AddCheckpointRequest(
            request_id=str(uuid.uuid4()), old_size=old_size, hashes=proof, checkpoint=checkpoint
        )
        try:
            with telemetry.untraced():  # every few seconds, for ever
                answer = await self._partners[witness].ask(
                    _ADD_CHECKPOINT, request, evidence_service_pb2.AddCheckpointResponse
                )
        except grpc.aio.AioRpcError as error:
            raise _not_co_signed(error) from error
        return str(answer.cosignature)


def _not_co_signed(error: grpc.aio.AioRpcError) -> DomainError:
    trailing: dict[str, Any] = dict(error.trailing_metadata() or ())
    details = trailing.get(DETAILS_KEY)
    reason, size = reason_of(details), facts_of(details).get("size", "")
    if reason == CheckpointStale.reason and size.isascii() and size.isdigit() and len(size) < 19:
        return CheckpointStale(size=int(size))
    if reason == CheckpointForked.reason:
        return CheckpointForked()
    return NotWitnessable(why=reason or error.code().name)


class PartnerExchange:
    """The exchange of a partner city, called for our departments; answers as a trunk does."""

    def __init__(self, opened: grpc.aio.Channel) -> None:
        """`opened` has the certificate that the partner's authority gave our exchange."""
        self._channel = opened

    async def call(
        self, method: str, request: bytes, metadata: Mapping[str, str], timeout_seconds: float
    ) -> trunk_service_pb2.Reply:
        """One call; raises `Unavailable` where it may not have arrived, `TimeoutError`."""
        rpc: Any = self._channel.unary_unary(method)
        calling = rpc(request, metadata=tuple(metadata.items()), timeout=timeout_seconds)
        reply = trunk_service_pb2.Reply()
        try:
            reply.response = await calling
            told = await calling.trailing_metadata()
        except grpc.aio.AioRpcError as error:
            told = error.trailing_metadata()
            if DETAILS_KEY not in dict(told or ()):
                # Not said by the exchange but by the way to it.
                if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise TimeoutError from error
                raise Unavailable("partner exchange") from error
            reply.code, reply.message = error.code().value[0], error.details() or ""
        for key, value in told or ():
            data = value if isinstance(value, bytes) else value.encode()
            reply.trailing_metadata.add(key=key, value=data)
        return reply


def address_of(url: str) -> str:
    """`host:port` of a partner's exchange; raises `CannotStart` for what is no `https://` address."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or 443
    except ValueError as error:
        raise CannotStart(f"partner exchange {url[:100]!r} is no address") from error
    if parts.scheme != "https" or not host or parts.path.strip("/") or parts.query:
        raise CannotStart(f"partner exchange {url[:100]!r} must be https://<host>:<port>")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
