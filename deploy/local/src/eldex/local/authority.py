"""A certificate authority for one machine: who is who in the local city, by SPIFFE-style names."""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from eldex.local.paths import put

_AUTHORITY_LIFE: Final = timedelta(days=3650)
_LEAF_LIFE: Final = timedelta(days=397)
_RENEW_BEFORE: Final = timedelta(days=30)
_CLOCK_SKEW: Final = timedelta(minutes=5)
"""Certificates are valid from a little before now, for machines whose clock is a little behind."""


@dataclass(frozen=True)
class _Pair:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


class Authority:
    """Issues certificates whose URI is `spiffe://<trust domain>/<path>`; for development only.

    Everything is kept in one folder (`ca/`, and per identity a folder of its path with `ca.pem`,
    `cert.pem`, `key.pem`) and made again only when it is missing, damaged, of another authority, or
    within 30 days of its end.
    """

    def __init__(self, folder: Path, trust_domain: str, root: _Pair) -> None:
        """Use `open`, which loads or makes the root."""
        self.folder = folder
        self.trust_domain = trust_domain
        self._root = root

    @classmethod
    def open(
        cls, folder: Path, trust_domain: str = "eldex.local", *, now: datetime | None = None
    ) -> Self:
        """The authority of a folder; a new root is made when there is none that lasts 30 days more."""
        now = now or datetime.now(UTC)
        root = _load(folder / "ca" / "ca.pem", folder / "ca" / "ca.key")
        if root is None or _ends_soon(root.certificate, now):
            root = _make_root(trust_domain, now)
            put(folder / "ca" / "ca.key", _pem_of_key(root.key), private=True)
            put(folder / "ca" / "ca.pem", _pem(root.certificate))
        return cls(folder, trust_domain, root)

    def uri(self, path: str) -> str:
        """The name in the certificate of an identity, such as `511700/service/registry`."""
        return f"spiffe://{self.trust_domain}/{path}"

    def issue(self, path: str, folder: Path | None = None, *, now: datetime | None = None) -> Path:
        """The folder with `ca.pem`, `cert.pem` and `key.pem` of an identity, valid 30 days and more.

        The certificate serves both ends of a connection and names this machine (localhost,
        127.0.0.1) beside the identity.
        """
        now = now or datetime.now(UTC)
        home = folder or self.folder / path
        held = _load(home / "cert.pem", home / "key.pem")
        if held is None or not self._stands(held.certificate, path, now):
            leaf = self._make_leaf(path, now)
            put(home / "key.pem", _pem_of_key(leaf.key), private=True)
            put(home / "cert.pem", _pem(leaf.certificate))
        put(home / "ca.pem", _pem(self._root.certificate))
        return home

    def _stands(self, certificate: x509.Certificate, path: str, now: datetime) -> bool:
        try:
            certificate.verify_directly_issued_by(self._root.certificate)
            names = certificate.extensions.get_extension_for_class(
                x509.SubjectAlternativeName
            ).value
        except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound):
            return False
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        return uris == [self.uri(path)] and not _ends_soon(certificate, now)

    def _make_leaf(self, path: str, now: datetime) -> _Pair:
        key = ec.generate_private_key(ec.SECP256R1())
        authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(
            self._root.key.public_key()
        )
        certificate = (
            _blank(
                self._root.certificate.subject,
                _named(path.rsplit("/", 1)[-1]),
                key,
                now,
                _LEAF_LIFE,
            )
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage(
                    [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
                ),
                critical=False,
            )
            .add_extension(authority_key, critical=False)
            .add_extension(
                x509.SubjectAlternativeName(
                    [
                        x509.UniformResourceIdentifier(self.uri(path)),
                        x509.DNSName("localhost"),
                        x509.IPAddress(ipaddress.IPv4Address("127.0.0.1")),
                    ]
                ),
                critical=False,
            )
            .sign(self._root.key, hashes.SHA256())
        )
        return _Pair(certificate, key)


def _make_root(trust_domain: str, now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _named(f"Eldex development authority of {trust_domain}")
    subject_key = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        _blank(name, name, key, now, _AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(subject_key, critical=False)
        .sign(key, hashes.SHA256())
    )
    return _Pair(certificate, key)


def _blank(
    issuer: x509.Name,
    subject: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: datetime,
    life: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .issuer_name(issuer)
        .subject_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + life)
    )


def _usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _named(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _ends_soon(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_after_utc - now < _RENEW_BEFORE


def _load(certificate_file: Path, key_file: Path) -> _Pair | None:
    """The pair in two files, or None where they are missing, damaged, or do not belong together."""
    try:
        certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        key = serialization.load_pem_private_key(key_file.read_bytes(), password=None)
    except (FileNotFoundError, ValueError):
        return None
    if (
        not isinstance(key, ec.EllipticCurvePrivateKey)
        or key.public_key() != certificate.public_key()
    ):
        return None
    return _Pair(certificate, key)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _pem_of_key(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
