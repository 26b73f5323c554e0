"""Mutual TLS from a folder: ca.pem, cert.pem, key.pem; new files are taken up without a restart.

TLS 1.3 alone: see `insist_on_tls_1_3`.
"""

from __future__ import annotations

import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Final

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from eldex.common.errors import CannotStart

SUITES_VARIABLE: Final = "GRPC_SSL_CIPHER_SUITES"
NO_TLS_1_2: Final = "ECDHE-PSK-AES128-CBC-SHA"


def insist_on_tls_1_3() -> None:
    """Have this process speak TLS 1.3 alone; starts it anew if it was not started so.

    gRPC's Python API has no setting for the version, but one for the cipher suites of TLS 1.2, an
    environment variable that is read when gRPC is loaded. With a suite for pre-shared keys alone, of
    which there are none, no handshake of 1.2 comes about; the suites of 1.3 are not touched by it.
    """
    if os.environ.get(SUITES_VARIABLE) != NO_TLS_1_2:
        os.environ[SUITES_VARIABLE] = NO_TLS_1_2
        sys.stderr.flush()
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - ourselves, with the variable


class BadCertificateFolder(CannotStart):
    """A file that mutual TLS needs is missing or unreadable."""


def _read(folder: Path) -> tuple[bytes, bytes, bytes]:
    try:
        ca, cert, key = ((folder / f).read_bytes() for f in ("ca.pem", "cert.pem", "key.pem"))
    except OSError as error:
        raise BadCertificateFolder(
            f"{error.filename}: {error.strerror}; ELDEX_TLS_DIR must hold ca.pem, cert.pem and key.pem"
        ) from error
    try:
        x509.load_pem_x509_certificates(ca)
        named = x509.load_pem_x509_certificate(cert).public_key()
        fits = load_pem_private_key(key, password=None).public_key() == named
    except (ValueError, TypeError) as error:
        raise BadCertificateFolder(
            f"{folder}: ca.pem, cert.pem and key.pem must be PEM, the key without a password: {error}"
        ) from error
    if not fits:
        raise BadCertificateFolder(f"{folder}: key.pem is not the key of cert.pem")
    return ca, cert, key


class CertificateFiles:
    """The three files of a folder, read whole, and again when they have changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen = self._stamp()
        self.content = _read(folder)
        """The authority's certificates, our own, and its key."""

    def _stamp(self) -> tuple[int, ...]:
        try:
            return tuple(
                (self._folder / name).stat().st_mtime_ns
                for name in ("ca.pem", "cert.pem", "key.pem")
            )
        except OSError:
            return ()

    @property
    def ends_at(self) -> datetime:
        """When our own certificate ends: from then on nobody talks to us."""
        return x509.load_pem_x509_certificate(self.content[1]).not_valid_after_utc

    @property
    def uris(self) -> list[str]:
        """The URIs by which our own certificate names us."""
        own = x509.load_pem_x509_certificate(self.content[1])
        names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return names.get_values_for_type(x509.UniformResourceIdentifier)

    def changed(self) -> bool:
        """Whether there is new content; half-written files are none yet, and looked at again."""
        now = self._stamp()
        if now == self._seen or not now:
            return False
        try:
            self.content = _read(self._folder)
        except BadCertificateFolder:
            return False
        self._seen = now
        return True


def server_credentials(
    folder: Path, *, also_trusted: bytes = b"", demands_certificate: bool = True
) -> grpc.ServerCredentials:
    """Credentials that demand a client certificate; files are read again when they change.

    `also_trusted` are further authorities of clients, PEM. Without the demand nobody is known.
    """
    files = CertificateFiles(folder)

    def configuration() -> grpc.ServerCertificateConfiguration:
        ca, cert, key = files.content
        return grpc.ssl_server_certificate_configuration(
            [(key, cert)], root_certificates=ca + also_trusted
        )

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        return configuration() if files.changed() else None

    # None means "keep what you have"; the stubs do not know it.
    return grpc.dynamic_ssl_server_credentials(
        configuration(),
        fetch,  # type: ignore[arg-type]
        require_client_authentication=demands_certificate,
    )


def channel_credentials(files: CertificateFiles) -> grpc.ChannelCredentials:
    """Credentials of a client of this house, as the files are now."""
    ca, cert, key = files.content
    return grpc.ssl_channel_credentials(ca, key, cert)
