"""Who calls, by its certificate; and certificates that count no more, on calls and on running streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from functools import lru_cache
from typing import Any, Final, TypeVar

import grpc
from cryptography import x509

from eldex.common.errors import Denied
from eldex.common.rpc.call import Identity
from eldex.common.rpc.streams import until

T = TypeVar("T")

_KNOWN_CERTIFICATES: Final = 10_000


class CertificateRevoked(Denied):
    """The caller's certificate was revoked."""

    reason = "CERTIFICATE_REVOKED"

    def __init__(self) -> None:
        super().__init__(
            missing="the client certificate was revoked: ask the operator of the exchange",
            missing_zh="客户端证书已被吊销，请联系交换平台运营方",
        )


@lru_cache(_KNOWN_CERTIFICATES)
def serial_of(certificate_pem: bytes) -> str:
    """A certificate's serial number, hexadecimal, capital letters, as `openssl x509 -serial` tells it."""
    return f"{x509.load_pem_x509_certificate(certificate_pem).serial_number:X}"


class Revocations:
    """The serial numbers that are revoked; whoever feeds it decides how fresh it is."""

    def __init__(self) -> None:
        self._revoked: set[str] = set()
        self._running: dict[str, set[asyncio.Event]] = {}

    def revoke(self, serial_numbers: Iterable[str]) -> None:
        """From now on nobody is let in with these, and what runs on them ends."""
        for serial in serial_numbers:
            self._revoked.add(serial)
            for event in self._running.pop(serial, ()):
                event.set()

    def require(self, serial_number: str) -> None:
        """Raise `CertificateRevoked` if it is."""
        if serial_number in self._revoked:
            raise CertificateRevoked

    async def while_good(self, serial_number: str, stream: AsyncIterator[T]) -> AsyncIterator[T]:
        """What a stream yields, until its certificate is revoked: then `CertificateRevoked`."""
        revoked = asyncio.Event()
        self._running.setdefault(serial_number, set()).add(revoked)
        try:
            self.require(serial_number)
            async for part in until(revoked, stream):
                yield part
            if revoked.is_set():
                raise CertificateRevoked
        finally:
            running = self._running.get(serial_number, set())
            running.discard(revoked)
            if not running:
                self._running.pop(serial_number, None)


def identity_of(context: grpc.aio.ServicerContext[Any, Any]) -> Identity:
    """Whose certificate the connection came with; raises `Denied` without a SPIFFE one."""
    peer = context.auth_context()
    serial = serial_of(next(iter(peer["x509_pem_cert"])))
    for uri in peer.get("peer_spiffe_id", ()):
        identity = Identity.of_uri(uri.decode(), serial)
        if identity is not None:
            return identity
    raise Denied(
        missing="the client certificate has no spiffe:// URI that names the caller",
        missing_zh="客户端证书中没有标明调用方的 spiffe:// URI",
    )
