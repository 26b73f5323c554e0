"""What an attacker has: certificates that it made itself, and HTTP/2 frames that no library would send."""

from __future__ import annotations

import asyncio
import ssl
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.local.field import Field, Refused

Headers = Sequence[tuple[str, str]]
PEM = serialization.Encoding.PEM


class Forger:
    """Makes certificates: signed by the city's own authority, by another one, or by nobody."""

    def __init__(self, folder: Path, authority: Path) -> None:
        self._folder, self._authority = folder, authority

    def make(
        self,
        *uris: str,
        signed_by: str = "the city",
        begins: timedelta = timedelta(minutes=-5),
        ends: timedelta = timedelta(days=1),
    ) -> Path:
        """A folder with a certificate that carries these names."""
        key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
        root = x509.load_pem_x509_certificate((self._authority / "ca.pem").read_bytes())
        signer: Any = key
        if signed_by == "the city":
            found = (self._authority / "ca.key").read_bytes()
            signer = serialization.load_pem_private_key(found, None)
        elif signed_by == "another authority of the same name":
            signer = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
        names = [x509.DNSName("localhost"), *map(x509.UniformResourceIdentifier, uris)]
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if signed_by == "itself" else root.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begins)
            .not_valid_after(now + ends)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(signer, hashes.SHA256())
        )
        home = self._folder / f"{made.serial_number:x}"
        home.mkdir()
        plain = serialization.NoEncryption()
        (home / "ca.pem").write_bytes(root.public_bytes(PEM))
        (home / "cert.pem").write_bytes(made.public_bytes(PEM))
        (home / "key.pem").write_bytes(
            key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, plain)
        )
        return home


@pytest.fixture
def forger(tmp_path: Path, field: Field) -> Forger:
    return Forger(tmp_path, field.stack.pki / "ca")


@dataclass
class Wire:
    """An HTTP/2 connection that says whatever it is told to."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    http: h2.connection.H2Connection
    replies: dict[int, dict[str, str]] = field(default_factory=dict)
    """What headers and trailers came on each stream."""
    ended: set[int] = field(default_factory=set)
    is_closed: bool = False

    def begin(self, method: str, more: Headers = (), *, purpose: str | None = None) -> int:
        """Send the headers of a call; `more` are sent as they are, right or wrong."""
        stream = int(self.http.get_next_available_stream_id())
        headers = [
            (":method", "POST"),
            (":scheme", "https"),
            (":path", method),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ]
        if purpose is not None:
            headers.append(("eldex-purpose", purpose))
        self.http.send_headers(stream, [*headers, *more])
        return stream

    async def flush(self) -> None:
        """Send what was said."""
        self.writer.write(self.http.data_to_send())
        await self.writer.drain()

    async def send(self, stream: int, message: bytes, *, compressed: bool = False) -> None:
        """Send a message and end the stream."""
        data = struct.pack(">?I", compressed, len(message)) + message
        while data:
            room = min(
                self.http.local_flow_control_window(stream), self.http.max_outbound_frame_size
            )
            if stream in self.ended or self.is_closed:
                return
            if room <= 0:
                await self.hear()
                continue
            self.http.send_data(stream, data[:room], end_stream=len(data) <= room)
            data = data[room:]
            await self.flush()

    async def hear(self) -> None:
        """Take what the server says."""
        data = await self.reader.read(65_536)
        if not data:
            self.is_closed = True
            return
        for event in self.http.receive_data(data):
            match event:
                case h2.events.ResponseReceived() | h2.events.TrailersReceived():
                    found = {_text(k): _text(v) for k, v in event.headers or ()}
                    self.replies.setdefault(event.stream_id, {}).update(found)
                case h2.events.DataReceived():
                    self.http.acknowledge_received_data(
                        event.flow_controlled_length, event.stream_id
                    )
                case h2.events.StreamEnded() | h2.events.StreamReset():
                    self.ended.add(event.stream_id or 0)
                case h2.events.ConnectionTerminated():
                    self.is_closed = True
                case _:
                    pass
        await self.flush()

    async def call(
        self,
        method: str,
        message: bytes,
        more: Headers = (),
        *,
        purpose: str | None = None,
        compressed: bool = False,
    ) -> str:
        """The `grpc-status` of a call; `RESET` or `CLOSED` if there was none."""
        stream = self.begin(method, more, purpose=purpose)
        try:
            async with asyncio.timeout(30):
                await self.flush()
                await self.send(stream, message, compressed=compressed)
                while stream not in self.ended and not self.is_closed:
                    await self.hear()
        except (ConnectionError, ssl.SSLError, h2.exceptions.ProtocolError):
            self.is_closed = True
        found = self.replies.get(stream, {})
        otherwise = "CLOSED" if self.is_closed else f"RESET {found.get(':status', '')}".strip()
        return found.get("grpc-status", otherwise)


def _text(data: bytes | str) -> str:
    return data if isinstance(data, str) else data.decode("latin-1")


@asynccontextmanager
async def _wire(stack: Any, home: Path, port: str = "exchange") -> AsyncIterator[Wire]:
    context = ssl.create_default_context(cafile=home / "ca.pem")
    context.load_cert_chain(home / "cert.pem", home / "key.pem")
    context.set_alpn_protocols(["h2"])
    host, _, number = stack.address(port).rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(number), ssl=context)
    config = h2.config.H2Configuration(
        header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
    )
    wire = Wire(reader, writer, h2.connection.H2Connection(config))
    wire.http.initiate_connection()
    await wire.flush()
    try:
        yield wire
    finally:
        writer.transport.abort()


@pytest.fixture
def wire() -> Callable[..., Any]:
    """`async with wire(stack, home) as opened`."""
    return _wire


@dataclass(frozen=True)
class Health:
    """How healthy callers fared."""

    answered: int
    failed: list[str]
    p99_milliseconds: float


class Healthy:
    """A department that goes about its work, a few calls at a time."""

    def __init__(self, people: Field) -> None:
        self._department = people["civil-affairs"]

    async def work(self, calls: int, *, until: Callable[[], bool] = lambda: True) -> Health:
        """Make so many calls, and more until something is so."""
        times: list[float] = []
        failed: list[str] = []
        left = calls

        async def caller() -> None:
            nonlocal left
            while left > 0 or not until():
                left -= 1
                began = time.perf_counter()
                request = pb.ListResidentsRequest(region_code="511702", page_size=5)
                try:
                    await self._department.ask(
                        "RegistryService/ListResidents", request, timeout_seconds=30
                    )
                except Refused as refused:
                    failed.append(str(refused))
                times.append((time.perf_counter() - began) * 1000)

        await asyncio.gather(*(caller() for _ in range(4)))
        times.sort()
        return Health(len(times) - len(failed), failed, times[int(len(times) * 0.99)])

    async def beside(
        self, attack: Callable[[], Awaitable[str]], calls: int = 150
    ) -> tuple[Health, Health, str]:
        """How they fare alone, then beside an attack; and what the attack says of itself."""
        alone = await self.work(calls)
        attacking = asyncio.ensure_future(attack())
        beside = await self.work(calls, until=attacking.done)
        return alone, beside, await attacking


@pytest.fixture
def healthy(field: Field) -> Healthy:
    return Healthy(field)
