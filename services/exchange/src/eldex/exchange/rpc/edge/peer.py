"""Who calls, as Envoy saw it: the certificate of the connection, in a header that Envoy alone writes.

`x-forwarded-client-cert` of a member's own is thrown away by Envoy (SANITIZE_SET). It is believed from the
Envoy of this process alone: by its process id (`door`), or by the exchange's own certificate.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote

import grpc
from cryptography import x509

from eldex.common.errors import Denied
from eldex.common.rpc.call import Identity
from eldex.common.rpc.revocation import identity_of
from eldex.common.rpc.server import metadata_of
from eldex.common.rpc.tls import CertificateFiles
from eldex.exchange.rpc.edge.door import CERTIFICATE

_KNOWN_CERTIFICATES: Final = 10_000
_FORM: Final = re.compile(r'(?:^|;)Cert="([^"]+)"')


@lru_cache(_KNOWN_CERTIFICATES)
def _identity(forwarded: str) -> Identity | None:
    found = _FORM.search(forwarded)
    if found is None:
        return None
    certificate = x509.load_pem_x509_certificate(unquote(found[1]).encode())
    serial = f"{certificate.serial_number:X}"
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    for uri in names.get_values_for_type(x509.UniformResourceIdentifier):
        if (identity := Identity.of_uri(uri, serial)) is not None:
            return identity
    return None


class Peers:
    """Tells who calls."""

    def __init__(self, own: CertificateFiles) -> None:
        """`own`: the exchange's certificate, with which Envoy calls it."""
        self._own = next(filter(None, map(Identity.of_uri, own.uris)))

    def by_header(self, forwarded: str) -> Identity:
        """Whose certificate Envoy saw; raises `Denied` for none that names the caller."""
        identity = _identity(forwarded)
        if identity is None:
            raise Denied(
                missing="the client certificate has no spiffe:// URI that names the caller",
                missing_zh="客户端证书中没有标明调用方的 spiffe:// URI",
            )
        return identity

    def of(self, context: grpc.aio.ServicerContext[Any, Any]) -> Identity:
        """Who calls the server behind: by its own certificate, or by the word of our Envoy."""
        identity = identity_of(context)
        if identity == self._own:
            forwarded = metadata_of(context).get(CERTIFICATE)
            if forwarded is not None:
                return self.by_header(forwarded)
        return identity
