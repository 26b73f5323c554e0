"""Who is who in the local city: certificates that two sides of a connection accept."""

import socket
import ssl
import stat
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from eldex.local.authority import Authority

CIVIL_AFFAIRS = "511700/member/civil-affairs/elder-care"
EXCHANGE = "511700/service/exchange"


def certificate_in(home: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate((home / "cert.pem").read_bytes())


def names_in(home: Path) -> x509.SubjectAlternativeName:
    extensions = certificate_in(home).extensions
    return extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def side(home: Path, purpose: ssl.Purpose) -> ssl.SSLContext:
    context = ssl.create_default_context(purpose, cafile=home / "ca.pem")
    context.load_cert_chain(home / "cert.pem", home / "key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def shake_hands(server: Path, client: Path) -> str:
    """The URI that the server sees in the client's certificate, over a real mutual TLS handshake."""
    one, other = socket.socketpair()
    seen: list[str] = []

    def serve() -> None:
        try:
            with side(server, ssl.Purpose.CLIENT_AUTH).wrap_socket(one, server_side=True) as tls:
                peer = tls.getpeercert() or {}
                seen.extend(str(v) for k, v in peer["subjectAltName"] if k == "URI")  # type: ignore[str-unpack]
        except ssl.SSLError:
            one.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        context = side(client, ssl.Purpose.SERVER_AUTH)
        with context.wrap_socket(other, server_hostname="localhost") as tls:
            tls.read(1)
    finally:
        other.close()
        thread.join()
    return seen[0]


def test_the_exchange_learns_the_caller_from_its_certificate(tmp_path: Path) -> None:
    authority = Authority.open(tmp_path)
    server, client = authority.issue(EXCHANGE), authority.issue(CIVIL_AFFAIRS)
    seen = shake_hands(server, client)
    assert seen == "spiffe://eldex.local/511700/member/civil-affairs/elder-care"


def test_a_certificate_names_its_identity_and_this_machine_and_nothing_else(tmp_path: Path) -> None:
    home = Authority.open(tmp_path).issue(EXCHANGE)
    names = names_in(home)
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [
        "spiffe://eldex.local/511700/service/exchange"
    ]
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    key = certificate_in(home).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert key.curve.name == "secp256r1"


def test_a_caller_of_another_citys_authority_is_refused(tmp_path: Path) -> None:
    ours = Authority.open(tmp_path / "ours").issue(EXCHANGE)
    theirs = Authority.open(tmp_path / "theirs").issue(CIVIL_AFFAIRS)
    (theirs / "ca.pem").write_bytes((ours / "ca.pem").read_bytes())
    with pytest.raises((ssl.SSLError, ConnectionError)):
        shake_hands(ours, theirs)


def test_keys_are_for_their_owners_eyes_only(tmp_path: Path) -> None:
    home = Authority.open(tmp_path).issue(EXCHANGE)
    for key in (home / "key.pem", tmp_path / "ca" / "ca.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_asking_again_changes_no_file(tmp_path: Path) -> None:
    def everything() -> dict[Path, tuple[bytes, int]]:
        files = [file for file in tmp_path.rglob("*") if file.is_file()]
        return {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in files}

    Authority.open(tmp_path).issue(EXCHANGE)
    before = everything()
    Authority.open(tmp_path).issue(EXCHANGE)
    assert everything() == before


def test_a_certificate_is_renewed_in_its_last_thirty_days(tmp_path: Path) -> None:
    authority = Authority.open(tmp_path)
    first = certificate_in(authority.issue(EXCHANGE)).serial_number
    now = datetime.now(UTC)
    for days, is_same in ((365, True), (368, False)):
        home = authority.issue(EXCHANGE, now=now + timedelta(days=days))
        assert (certificate_in(home).serial_number == first) is is_same


def test_a_new_authority_makes_every_certificate_new(tmp_path: Path) -> None:
    Authority.open(tmp_path).issue(EXCHANGE)
    first = certificate_in(tmp_path / EXCHANGE)
    later = datetime.now(UTC) + timedelta(days=3640)
    renewed = Authority.open(tmp_path, now=later)
    renewed.issue(EXCHANGE, now=later)
    assert certificate_in(tmp_path / EXCHANGE).serial_number != first.serial_number
    assert (tmp_path / EXCHANGE / "ca.pem").read_bytes() == (tmp_path / "ca/ca.pem").read_bytes()


@pytest.mark.parametrize("damaged", ["cert.pem", "key.pem"])
def test_a_damaged_identity_is_made_again(tmp_path: Path, damaged: str) -> None:
    home = Authority.open(tmp_path).issue(EXCHANGE)
    (home / damaged).write_text("-----BEGIN nothing")
    Authority.open(tmp_path).issue(EXCHANGE)
    assert shake_hands(home, home).endswith("service/exchange")
