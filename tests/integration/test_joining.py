"""`docs/joining.md` is followed literally: every command it gives is run, in its order, and the member is in."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509

from eldex.api.exchange.v1 import exchange_service_pb2, membership_service_pb2
from eldex.api.exchange.v1.exchange_service_pb2_grpc import ExchangeServiceStub
from eldex.api.exchange.v1.membership_service_pb2_grpc import MembershipServiceStub
from eldex.common.rpc.client import channel
from eldex.local import acts
from eldex.local.field import Field

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


async def follow(commands: str, folder: Path, env: dict[str, str]) -> str:
    """Run the commands of a page; what they said on their output."""
    child = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", commands),
        cwd=folder,
        env=os.environ | env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, problem = await child.communicate()
    assert child.returncode == 0, f"{commands}\n{problem.decode()[-4000:]}"
    return said.decode()


@pytest.mark.timeout(300)
async def test_the_page_followed_literally_makes_a_member(field: Field, tmp_path: Path) -> None:
    resident, _ = await acts.enter_resident(field, name="何春梅", born_on="1938-02-02")
    stack = field.stack
    (tmp_path / "clients").symlink_to(ROOT / "clients")
    operator = stack.identity("service/console")
    env = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "JOIN": stack.address("exchange-join"),
        "EXCHANGE": stack.address("exchange"),
        "CA": str(operator / "ca.pem"),
        "OPERATOR": str(operator),
        "PROVIDER": str(stack.identity("member/police/household-registration")),
        "RESIDENT": resident,
    }
    document = (ROOT / "docs" / "joining.md").read_text("utf-8")
    said = [await follow(block[1], tmp_path, env) for block in _BLOCK.finditer(document)]
    address, answered, event = said[-1].split()
    assert address == env["EXCHANGE"]
    assert answered == resident
    assert event.startswith("res_")

    member = tmp_path / "member"
    await _loses_it_within_a_second(field, member)


async def _loses_it_within_a_second(field: Field, member: Path) -> None:
    """A stream runs and calls are made on one connection, until the operator revokes the certificate."""
    stack = field.stack
    serial = x509.load_pem_x509_certificate((member / "cert.pem").read_bytes()).serial_number
    async with (
        channel(stack.address("exchange"), member) as own,
        channel(stack.address("exchange"), stack.identity("service/console")) as operations,
    ):
        stream = ExchangeServiceStub(own).Subscribe(
            exchange_service_pb2.SubscribeRequest(subscription_name="second", after_cursor=0)
        )
        await stream.read()
        began = time.monotonic()
        await MembershipServiceStub(operations).RevokeCertificate(
            membership_service_pb2.RevokeCertificateRequest(
                request_id=str(uuid.uuid4()), serial_number=f"{serial:X}", reason="演练"
            )
        )

        async def read_on() -> None:
            while await stream.read() is not grpc.aio.EOF:
                pass

        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await read_on()
        assert ended.value.code() is grpc.StatusCode.PERMISSION_DENIED
        call: Any = own.unary_unary("/eldex.api.registry.v1.RegistryService/GetResident")
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(b"", metadata=(("eldex-purpose", "cross-city-settlement"),))
        assert "revoked" in (refused.value.details() or "")
        # From the operator's call on, its own time included.
        assert time.monotonic() - began < 1.0


@pytest.mark.parametrize("part", ["exchange", "exchange-join", "registry"])
async def test_tls_1_2_is_refused_at_every_port(field: Field, part: str) -> None:
    home = field.stack.identity("service/console")
    host, _, port = field.stack.address(part).partition(":")

    def handshake(version: ssl.TLSVersion) -> str | None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(home / "ca.pem")
        context.load_cert_chain(home / "cert.pem", home / "key.pem")
        context.set_alpn_protocols(["h2"])
        context.maximum_version = version
        try:
            with (
                socket.create_connection((host, int(port)), 10) as raw,
                context.wrap_socket(raw, server_hostname=host) as tls,
            ):
                return tls.version()
        except OSError:  # the connection is closed on the hello; how, differs
            return None

    assert await asyncio.to_thread(handshake, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
    assert await asyncio.to_thread(handshake, ssl.TLSVersion.TLSv1_2) is None
