"""Who may connect at all: a certificate of our authority that names its holder, old or new."""

from __future__ import annotations

import asyncio
import socket
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from eldex.api.operations.v1 import operations_service_pb2 as pb
from eldex.api.trunk.v1 import trunk_service_pb2 as trunk_pb
from eldex.api.trunk.v1.trunk_service_pb2_grpc import TrunkServiceStub
from eldex.common.rpc.call import Identity
from eldex.common.rpc.tls import BadCertificateFolder, channel_credentials, server_credentials
from eldex.common.testing.doors import GET, Caller, Desk, caller, open_door
from eldex.local.authority import Authority

REGISTRY, EXCHANGE = "511700/service/registry", "511700/service/exchange"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.open(tmp_path / "authority")


@pytest.fixture
def registry(authority: Authority) -> Path:
    return authority.issue(REGISTRY)


def certificate_without_a_name(authority: Authority, uris: list[str]) -> Path:
    """What the same authority would have issued to somebody it did not name so."""
    ca = authority.folder / "ca"
    root_key = serialization.load_pem_private_key((ca / "ca.key").read_bytes(), None)
    assert isinstance(root_key, ec.EllipticCurvePrivateKey)
    root = x509.load_pem_x509_certificate((ca / "ca.pem").read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    names = [x509.DNSName("localhost"), *(x509.UniformResourceIdentifier(uri) for uri in uris)]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")]))
        .issuer_name(root.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(root_key, hashes.SHA256())
    )
    home = authority.folder / "somebody"
    home.mkdir()
    pem = serialization.Encoding.PEM
    (home / "ca.pem").write_bytes((ca / "ca.pem").read_bytes())
    (home / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (home / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return home


async def refusal(port: int, credentials: grpc.ChannelCredentials) -> str:
    """The code with which a connection fails."""
    async with grpc.aio.secure_channel(f"localhost:{port}", credentials) as channel:
        reply = await Caller("unary", channel).ask(GET, b"", timeout_seconds=5)
    return reply.code


async def test_without_a_certificate_of_our_authority_nobody_is_talked_to(
    authority: Authority, registry: Path, tmp_path: Path
) -> None:
    foreign = Authority.open(tmp_path / "foreign").issue(EXCHANGE)
    # It knows our authority, but is not known by it.
    (foreign / "ca.pem").write_bytes((registry / "ca.pem").read_bytes())
    desk = Desk()
    async with open_door(registry, desk) as port:
        anonymous = grpc.ssl_channel_credentials((registry / "ca.pem").read_bytes())
        assert await refusal(port, anonymous) == "UNAVAILABLE"
        assert await refusal(port, channel_credentials(foreign)) == "UNAVAILABLE"
        async with grpc.aio.insecure_channel(f"localhost:{port}") as channel:
            reply = await Caller("unary", channel).ask(GET, b"", timeout_seconds=5)
            assert reply.code == "UNAVAILABLE"
        async with caller("unary", port, authority.issue(EXCHANGE)) as known:
            assert (await known.ask(GET, b"")).code == "OK"
    assert [str(call.caller) for call in desk.calls] == [EXCHANGE]


async def first_words_on_a_stream(channel: grpc.aio.Channel, language: str) -> None:
    stream = TrunkServiceStub(channel).Carry(metadata=[("accept-language", language)])
    await stream.write(trunk_pb.CarryRequest())
    await stream.read()


@pytest.mark.parametrize(
    "uris",
    [[], ["https://eldex.local/511700/service/exchange"]],
    ids=["no URI", "a URI that is no SPIFFE one"],
)
@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("zh", "客户端证书中没有标明调用方的 spiffe:// URI"),
        ("en", "the client certificate has no spiffe:// URI"),
    ],
)
async def test_a_certificate_must_name_its_holder(
    authority: Authority, registry: Path, uris: list[str], language: str, words: str
) -> None:
    nameless = certificate_without_a_name(authority, uris)
    async with open_door(registry, Desk()) as port, caller("unary", port, nameless) as opened:
        reply = await opened.ask(GET, b"", {"accept-language": language})
        assert (reply.code, reply.reason) == ("PERMISSION_DENIED", "ACCESS_DENIED")
        assert words in reply.message

        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await first_words_on_a_stream(opened.channel, language)
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert words in (refused.value.details() or "")


@pytest.mark.parametrize(
    ("uri", "path", "service"),
    [
        ("spiffe://eldex.local/511700/service/registry", "511700/service/registry", "registry"),
        ("spiffe://eldex.local/511700/member/x/service", "511700/member/x/service", None),
        ("spiffe://eldex.local/511700/service/a/b", "511700/service/a/b", None),
        ("spiffe://eldex.local/", None, None),
        ("spiffe:///511700/service/registry", None, None),
        ("https://eldex.local/511700/service/registry", None, None),
        ("", None, None),
    ],
)
def test_a_name_is_read_from_its_uri(uri: str, path: str | None, service: str | None) -> None:
    identity = Identity.of_uri(uri)
    assert (str(identity) if identity else None) == path
    assert (identity.service if identity else None) == service


def serial_shown(port: int, home: Path) -> int:
    """The serial number of the certificate that a server shows to a new connection."""
    context = ssl.create_default_context(cafile=home / "ca.pem")
    context.load_cert_chain(home / "cert.pem", home / "key.pem")
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("localhost", port), timeout=5) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as tls,
    ):
        shown = tls.getpeercert(binary_form=True)
    assert shown
    return x509.load_der_x509_certificate(shown).serial_number


async def test_a_new_certificate_is_taken_up_under_way_and_no_call_fails(
    authority: Authority, registry: Path
) -> None:
    home = authority.issue(EXCHANGE)
    codes: list[str] = []
    finished = asyncio.Event()
    async with open_door(registry, Desk()) as port, caller("unary", port, home) as steady:

        async def keep_calling() -> None:
            while not finished.is_set():
                codes.append((await steady.ask(GET, b"")).code)

        async def keep_connecting() -> None:
            while not finished.is_set():
                async with caller("unary", port, home) as new:
                    codes.append((await new.ask(GET, b"")).code)

        calling = [asyncio.create_task(keep_calling()), asyncio.create_task(keep_connecting())]
        serials = {await asyncio.to_thread(serial_shown, port, home)}
        for _ in range(5):
            (registry / "cert.pem").unlink()
            so_far = len(codes)
            async with asyncio.timeout(10):
                while len(codes) < so_far + 20:  # half of the files are there: the old ones hold
                    await asyncio.sleep(0.005)
            authority.issue(REGISTRY)
            serials.add(await asyncio.to_thread(serial_shown, port, home))
        finished.set()
        await asyncio.gather(*calling)
    assert set(codes) == {"OK"}
    assert len(serials) == 6


def test_a_folder_that_is_not_what_it_should_be_says_what_is_wrong(
    authority: Authority, registry: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadCertificateFolder, match=r"ELDEX_TLS_DIR must hold ca\.pem, cert\.pem"):
        server_credentials(tmp_path / "nowhere")
    with pytest.raises(BadCertificateFolder, match="No such file"):
        channel_credentials(tmp_path)

    other = authority.issue("511700/service/medical")
    key = (registry / "key.pem").read_bytes()
    (registry / "key.pem").write_bytes((other / "key.pem").read_bytes())
    with pytest.raises(BadCertificateFolder, match=r"key\.pem is not the key of cert\.pem"):
        server_credentials(registry)
    (registry / "key.pem").write_bytes(key)

    (registry / "cert.pem").write_text("王秀英")
    with pytest.raises(BadCertificateFolder, match="must be PEM"):
        channel_credentials(registry)


async def test_an_answer_is_for_the_one_who_asked(authority: Authority, registry: Path) -> None:
    """Two callers on one server are told apart by their certificates, call by call."""
    desk = Desk()

    async def who(_: object, call: object) -> pb.GetFlowsResponse:
        return pb.GetFlowsResponse(service=str(getattr(call, "caller", "")))

    desk.answer = who
    names = ["exchange", "medical", "console"]
    homes = {name: authority.issue(f"511700/service/{name}") for name in names}
    async with open_door(registry, desk) as port:
        for name, home in homes.items():
            async with caller("unary", port, home) as opened:
                reply = await opened.ask(GET, b"")
                told = pb.GetFlowsResponse.FromString(reply.response).service
                assert told == f"511700/service/{name}"
