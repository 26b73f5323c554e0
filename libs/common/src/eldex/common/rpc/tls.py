"""Mutual TLS from a folder: ca.pem, cert.pem, key.pem; new files are taken up without a restart."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from eldex.common.errors import CannotStart


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


def server_credentials(folder: Path) -> grpc.ServerCredentials:
    """Credentials that demand a client certificate; files are read again when they change."""
    files = CertificateFiles(folder)

    def configuration() -> grpc.ServerCertificateConfiguration:
        ca, cert, key = files.content
        return grpc.ssl_server_certificate_configuration([(key, cert)], root_certificates=ca)

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        return configuration() if files.changed() else None

    # None means "keep what you have"; the stubs do not know it.
    return grpc.dynamic_ssl_server_credentials(
        configuration(),
        fetch,  # type: ignore[arg-type]
        require_client_authentication=True,
    )


def channel_credentials(files: CertificateFiles) -> grpc.ChannelCredentials:
    """Credentials of a client of this house, as the files are now."""
    ca, cert, key = files.content
    return grpc.ssl_channel_credentials(ca, key, cert)
