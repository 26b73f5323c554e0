"""Who may connect at all: a certificate of our authority that names its holder, old or new."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from google.protobuf.message import Message

from eldex.api.operations.v1 import operations_service_pb2 as pb
from eldex.api.trunk.v1 import trunk_service_pb2 as trunk_pb
from eldex.api.trunk.v1.trunk_service_pb2_grpc import TrunkServiceStub
from eldex.common.errors import Unavailable
from eldex.common.rpc import channel as channel_module
from eldex.common.rpc.call import Call, Identity
from eldex.common.rpc.channel import RenewedChannel
from eldex.common.rpc.tls import (
    BadCertificateFolder,
    CertificateFiles,
    channel_credentials,
    server_credentials,
)
from eldex.common.testing.doors import GET, Caller, Desk, Road, caller, open_door
from eldex.local.authority import Authority
from eldex.local.ports import reserve

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
        assert await refusal(port, channel_credentials(CertificateFiles(foreign))) == "UNAVAILABLE"
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


async def is_answered(opened: Caller) -> bool:
    try:
        return (await opened.ask(GET, b"")).code == "OK"
    except Unavailable:
        return False


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


ROADS: list[Road] = ["unary", "trunk"]


class Flow:
    """Calls that keep coming, eight at a time from each end, and how they were answered."""

    def __init__(self, ends: Sequence[Caller]) -> None:
        self.codes: list[str] = []
        self._finished = False
        self._calling = [asyncio.create_task(self._call(end)) for end in ends for _ in range(8)]

    async def _call(self, end: Caller) -> None:
        while not self._finished:
            self.codes.append((await end.ask(GET, b"")).code)

    async def goes_on(self) -> None:
        """Wait until so many more were answered that some began after this."""
        so_far = len(self.codes)
        async with asyncio.timeout(20):
            while len(self.codes) < so_far + 100:
                await asyncio.sleep(0.005)

    async def end(self) -> set[str]:
        """Stop calling; how all calls were answered."""
        self._finished = True
        await asyncio.gather(*self._calling)
        return set(self.codes)


async def still_answers(stream: Any) -> bool:
    """Whether a stream of a trunk that is open carries another call."""
    await stream.write(trunk_pb.CarryRequest(calls=[trunk_pb.Call(call_id=1, method=GET)]))
    message = await stream.read()
    return [(reply.call_id, reply.code) for reply in message.replies] == [(1, 0)]


async def succeed(successor: Authority, ends: dict[Path, str], flow: Flow) -> None:
    """The way to a new authority: both trusted, then certificates of the new one, then it alone."""
    new = (successor.folder / "ca" / "ca.pem").read_bytes()
    for folder in ends:
        (folder / "ca.pem").write_bytes((folder / "ca.pem").read_bytes() + new)
    await flow.goes_on()
    for folder, name in ends.items():
        issued = successor.issue(name)
        for file in ("key.pem", "cert.pem"):
            (folder / file).write_bytes((issued / file).read_bytes())
        await flow.goes_on()
    for folder in ends:
        (folder / "ca.pem").write_bytes(new)
    await flow.goes_on()


async def test_both_ends_get_new_certificates_and_then_a_new_authority_while_calls_flow(
    authority: Authority, registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_module, "_LOOK_EVERY_SECONDS", 0.0)
    home, port = authority.issue(EXCHANGE), reserve()
    homes = {home: EXCHANGE, registry: REGISTRY}
    async with AsyncExitStack() as stack, AsyncExitStack() as first_life:
        await first_life.enter_async_context(open_door(registry, Desk(), port=port))
        ends = [await stack.enter_async_context(caller(road, port, home)) for road in ROADS]
        flow = Flow(ends)
        await flow.goes_on()
        long_lived = TrunkServiceStub(ends[0].channel).Carry()
        for _ in range(4):
            for folder, name in homes.items():
                (folder / "cert.pem").unlink()
                await flow.goes_on()  # half of the files are there: the old ones hold
                authority.issue(name)
                await flow.goes_on()
            assert await still_answers(long_lived)
        await succeed(Authority.open(tmp_path / "successor"), homes, flow)
        assert await still_answers(long_lived)
        assert await flow.end() == {"OK"}
        long_lived.cancel()

        # A new process at the other end knows the new authority only.
        await first_life.aclose()
        async with open_door(registry, Desk(), port=port), asyncio.timeout(15):
            for end in ends:
                while not await is_answered(end):
                    await asyncio.sleep(0.05)  # the channel waits a little before it tries again


@asynccontextmanager
async def slow_road_to(port: int) -> AsyncIterator[int]:
    """A way to a port on which the first byte takes half a second, as on a machine that is busy."""
    roads: set[asyncio.Task[None]] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def taken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.5)  # what it is about
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
        for each in (carry(reader, there_writer), carry(there_reader, writer)):
            roads.add(asyncio.create_task(each))

    server = await asyncio.start_server(taken, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for road in roads:
            road.cancel()
        await asyncio.gather(*roads, return_exceptions=True)


async def test_a_handshake_that_takes_its_time_is_waited_for(
    authority: Authority, registry: Path
) -> None:
    async with (
        open_door(registry, Desk()) as port,
        slow_road_to(port) as road,
        caller("unary", road, authority.issue(EXCHANGE)) as opened,
    ):
        assert (await opened.ask(GET, b"")).code == "OK"


async def test_what_was_left_for_a_new_certificate_is_closed_after_its_last_call(
    authority: Authority, registry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_module, "_LOOK_EVERY_SECONDS", 0.0)
    home, desk, going = authority.issue(EXCHANGE), Desk(), asyncio.Event()
    quick = desk.answer

    async def slow(request: object, call: Call) -> Message:
        await going.wait()
        return await quick(request, call)

    async with open_door(registry, desk) as port, AsyncExitStack() as stack:
        ends = [await stack.enter_async_context(caller(road, port, home)) for road in ROADS]
        desk.answer = slow
        under_way = [asyncio.create_task(end.ask(GET, b"")) for end in ends]
        async with asyncio.timeout(10):
            while len(desk.calls) < 2:
                await asyncio.sleep(0.005)
        desk.answer = quick
        (home / "cert.pem").unlink()
        authority.issue(EXCHANGE)
        assert [(await end.ask(GET, b"")).code for end in ends] == ["OK", "OK"]
        channels = [end.channel for end in ends]
        assert all(isinstance(each, RenewedChannel) and each.left() == 1 for each in channels)
        assert not any(task.done() for task in under_way)
        going.set()
        assert [(await task).code for task in under_way] == ["OK", "OK"]
        async with asyncio.timeout(10):
            while any(isinstance(each, RenewedChannel) and each.left() for each in channels):
                await asyncio.sleep(0.005)


def test_a_folder_that_is_not_what_it_should_be_says_what_is_wrong(
    authority: Authority, registry: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadCertificateFolder, match=r"ELDEX_TLS_DIR must hold ca\.pem, cert\.pem"):
        server_credentials(tmp_path / "nowhere")
    with pytest.raises(BadCertificateFolder, match="No such file"):
        CertificateFiles(tmp_path)

    other = authority.issue("511700/service/medical")
    key = (registry / "key.pem").read_bytes()
    (registry / "key.pem").write_bytes((other / "key.pem").read_bytes())
    with pytest.raises(BadCertificateFolder, match=r"key\.pem is not the key of cert\.pem"):
        server_credentials(registry)
    (registry / "key.pem").write_bytes(key)

    (registry / "cert.pem").write_text("王秀英")
    with pytest.raises(BadCertificateFolder, match="must be PEM"):
        CertificateFiles(registry)


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


_SERVER = """
import asyncio, sys
from pathlib import Path
from eldex.common.rpc.tls import insist_on_tls_1_3
insist_on_tls_1_3()
import grpc
from eldex.common.rpc.tls import server_credentials
async def serve():
    server = grpc.aio.server()
    port = server.add_secure_port("localhost:0", server_credentials(Path(sys.argv[1])))
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()
asyncio.run(serve())
"""


def test_a_process_that_insists_refuses_tls_1_2(registry: Path, tmp_path: Path) -> None:
    """As a service does at its start, although gRPC was loaded before."""
    program = tmp_path / "server.py"
    program.write_text("import grpc\n" + _SERVER)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(registry / "ca.pem")
    context.load_cert_chain(registry / "cert.pem", registry / "key.pem")
    context.set_alpn_protocols(["h2"])
    command = [sys.executable, str(program), str(registry)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            place = ("localhost", int(server.stdout.readline()))
            with (
                socket.create_connection(place, 10) as raw,
                context.wrap_socket(raw, server_hostname="localhost") as tls,
            ):
                assert tls.version() == "TLSv1.3"
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            with socket.create_connection(place, 10) as raw, pytest.raises((ssl.SSLError, OSError)):
                context.wrap_socket(raw, server_hostname="localhost")
        finally:
            server.kill()
