"""The authority of the exchange that signs its members' certificates, from the folder of secrets.

It is trusted on the exchange's own port and nowhere else: no department believes a certificate of it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from eldex.common.errors import CannotStart
from eldex.exchange.domain.membership import CsrUnfit, Issued

CERTIFICATE, KEY = "member-ca.pem", "member-ca.key"
_ROOT_LIFE: Final = timedelta(days=3650)
_CLOCK_SKEW: Final = timedelta(minutes=5)
"""Certificates count from a little before now, for machines whose clock is a little behind."""
_LEAST_RSA_BITS: Final = 3072


class FileAuthority:
    """Signs with the key in a folder; implements `MemberAuthority`."""

    def __init__(self, folder: Path, prefix: str, life: timedelta) -> None:
        """`prefix` is what every name begins with: `spiffe://<trust domain>/<city>/`."""
        try:
            self.pem = (folder / CERTIFICATE).read_bytes()
            key = load_pem_private_key((folder / KEY).read_bytes(), password=None)
            self._root = x509.load_pem_x509_certificate(self.pem)
        except (OSError, ValueError, TypeError) as error:
            raise CannotStart(
                f"{folder}: {CERTIFICATE} and {KEY} sign members' certificates and cannot be read "
                f"({error}); they are made once, with "
                "`python -m eldex.exchange.store.secrets FOLDER CITY`, and kept"
            ) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or (
            key.public_key() != self._root.public_key()
        ):
            raise CannotStart(f"{folder}: {KEY} is not the key of {CERTIFICATE}")
        self._key, self._prefix, self._life = key, prefix, life

    def check(self, csr_pem: str, subsystem: str) -> str:
        """The SHA-256 of the public key (SubjectPublicKeyInfo), hexadecimal; raises `CsrUnfit`."""
        key = self._read(csr_pem, subsystem).public_key()
        digest = hashes.Hash(hashes.SHA256())
        digest.update(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
        return digest.finalize().hex()

    def issue(self, csr_pem: str, subsystem: str, now: datetime) -> Issued:
        """A client certificate whose only name is the subsystem's URI; raises `CsrUnfit`."""
        request = self._read(csr_pem, subsystem)
        ends_at = min(now + self._life, self._root.not_valid_after_utc).replace(microsecond=0)
        serial = x509.random_serial_number()
        authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        certificate = (
            x509.CertificateBuilder()
            .issuer_name(self._root.subject)
            .subject_name(_named(subsystem.rsplit("/", 1)[-1]))
            .public_key(request.public_key())
            .serial_number(serial)
            .not_valid_before(now - _CLOCK_SKEW)
            .not_valid_after(ends_at)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(authority_key, critical=False)
            .add_extension(
                x509.SubjectAlternativeName(
                    [x509.UniformResourceIdentifier(self._prefix + subsystem)]
                ),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )
        return Issued(f"{serial:X}", certificate.public_bytes(Encoding.PEM).decode(), ends_at)

    def _read(self, csr_pem: str, subsystem: str) -> x509.CertificateSigningRequest:
        try:
            request = x509.load_pem_x509_csr(csr_pem.encode())
            is_signed = request.is_signature_valid
            key = request.public_key()
            extensions = request.extensions
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            raise CsrUnfit(
                "it is not a PKCS #10 request in PEM", "不是 PEM 格式的 PKCS #10 请求"
            ) from None
        if not is_signed:
            raise CsrUnfit("its signature is not of its key", "签名与公钥不符")
        is_fit = (
            isinstance(key, ec.EllipticCurvePublicKey)
            and isinstance(key.curve, ec.SECP256R1 | ec.SECP384R1)
        ) or (isinstance(key, rsa.RSAPublicKey) and key.key_size >= _LEAST_RSA_BITS)
        if not is_fit:
            raise CsrUnfit(
                f"its key must be EC P-256 or P-384, or RSA of {_LEAST_RSA_BITS} bits or more",
                f"密钥须为 EC P-256、P-384，或不少于 {_LEAST_RSA_BITS} 位的 RSA",
            )
        own = x509.UniformResourceIdentifier(self._prefix + subsystem)
        for extension in extensions:
            value = extension.value
            if isinstance(value, x509.SubjectAlternativeName) and list(value) != [own]:
                raise CsrUnfit(f"it names another than {own.value}", f"其中的名称不是 {own.value}")
            if isinstance(value, x509.BasicConstraints) and value.ca:
                raise CsrUnfit("it asks to be an authority", "不得申请签发机构证书")
        return request


def make_root(city: str, now: datetime) -> tuple[bytes, bytes]:
    """A new authority for a city's members: its key and its certificate, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _named(f"Eldex members of {city}")
    root = (
        x509.CertificateBuilder()
        .issuer_name(name)
        .subject_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _ROOT_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return secret, root.public_bytes(Encoding.PEM)


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
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name[:64])])
