"""`docs/joining.md` is followed literally, with each client: every command it gives is run, in its order, and the member is in."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
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
from eldex.api.registry.v1 import registry_service_pb2
from eldex.common.rpc.channel import RenewedChannel
from eldex.common.rpc.client import channel
from eldex.local import acts
from eldex.local.field import Department, Field

ROOT = Path(__file__).parents[2]
_BLOCK = re.compile(r"^```sh ?(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""Commands, and for which client alone if they are not for all."""
_GO = (1, 26)
_MOST_SECONDS = 540
"""A client is built once, from nothing in some 50 s where nothing else runs."""
_PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def skip_without(client: str) -> None:
    """Skip where the client cannot be built; Java and Maven are here, the broker needs them."""
    if client != "go":
        return
    go = shutil.which("go", path=_PATH)
    said = subprocess.check_output([go, "version"], text=True) if go else "none"
    found = re.search(r"go(\d+)\.(\d+)", said)
    if found is None or (int(found[1]), int(found[2])) < _GO:
        pytest.skip(f"the Go client needs Go {_GO[0]}.{_GO[1]} or newer; here is {said}")


async def follow(commands: str, folder: Path, env: dict[str, str]) -> str:
    """Run the commands of a page; what they said on their output."""
    child = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", commands),
        cwd=folder,
        env=os.environ | env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(_MOST_SECONDS):
            said, problem = await child.communicate()
    finally:
        if child.returncode is None:
            os.killpg(child.pid, signal.SIGKILL)  # what it started, too
    assert child.returncode == 0, f"{commands}\n{problem.decode()[-4000:]}"
    return said.decode()


async def join(field: Field, folder: Path, client: str, subsystem: str) -> tuple[str, list[str]]:
    """Follow the page; a resident of whom the member was told, and the last three lines that were said."""
    resident, _ = await acts.enter_resident(field, name="何春梅", born_on="1938-02-02")
    stack = field.stack
    operator = stack.identity("service/console")
    env = {
        "PATH": _PATH,
        "ELDEX": str(ROOT),
        "JOIN": stack.address("exchange-join"),
        "EXCHANGE": stack.address("exchange"),
        "CA": str(operator / "ca.pem"),
        "SUBSYSTEM": subsystem,
        "OPERATOR": str(operator),
        "PROVIDER": str(stack.identity("member/police/household-registration")),
        "RESIDENT": resident,
    }
    page = (ROOT / "docs" / "joining.md").read_text("utf-8")
    commands = [code for only, code in _BLOCK.findall(page) if only in ("", client)]
    said = await follow("".join(commands), folder, env)
    return resident, said.splitlines()[-3:]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("client", ["python", "go", "java"])
async def test_the_page_followed_literally_makes_a_member(
    field: Field, tmp_path: Path, client: str
) -> None:
    skip_without(client)
    subsystem = f"member/partner-500100/day-care-{client}"
    resident, said = await join(field, tmp_path, client, subsystem)
    address, answered, event = said
    assert address == field.stack.address("exchange")
    assert answered == resident
    assert event.startswith("res_")
    own = tmp_path / "own"
    async with channel(field.stack.address("exchange"), own) as connection:
        found = await ExchangeServiceStub(connection).ListSubscriptions(
            exchange_service_pb2.ListSubscriptionsRequest()
        )
    (subscription,) = found.subscriptions
    assert subscription.acknowledged_cursor > 0
    await _loses_it_within_a_second(field, own, subsystem)


async def test_a_member_renews_its_certificate_while_it_calls_and_no_call_fails(
    field: Field, tmp_path: Path
) -> None:
    subsystem = "member/partner-500100/day-care-renewing"
    resident, _ = await join(field, tmp_path, "python", subsystem)
    own, stack = tmp_path / "own", field.stack
    old = _serial(own)
    asked = registry_service_pb2.GetResidentRequest(resident_key=resident)
    answers: asyncio.Queue[str] = asyncio.Queue()

    async def answered(times: int) -> None:
        while not answers.empty():
            answers.get_nowait()
        for _ in range(times):
            assert await answers.get() == resident

    async with (
        channel(stack.address("exchange"), own) as connection,
        channel(stack.address("exchange"), stack.identity("service/console")) as operations,
        asyncio.TaskGroup() as calling,  # the first call that fails ends the test
    ):
        assert isinstance(connection, RenewedChannel)
        member = Department(connection, subsystem, "cross-city-settlement")

        async def call_steadily() -> None:
            while True:
                told = await member.ask("RegistryService/GetResident", asked)
                answers.put_nowait(told.reply.resident.resident_key)

        callers = [calling.create_task(call_steadily()) for _ in range(8)]
        stream: Any = ExchangeServiceStub(connection).Subscribe(
            exchange_service_pb2.SubscribeRequest(subscription_name="first", after_cursor=0)
        )
        await stream.read()
        await answered(100)

        before = connection.current()
        new = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=day-care"
        await follow(f"openssl req -new {new} -keyout next-key.pem -out next.pem", own, {})
        renewed = await MembershipServiceStub(connection).RenewCertificate(
            membership_service_pb2.RenewCertificateRequest(
                request_id=str(uuid.uuid4()),
                certificate_signing_request_pem=(own / "next.pem").read_text(),
            )
        )
        (own / "next-cert.pem").write_text(renewed.certificate_pem)
        await follow("mv next-key.pem key.pem; mv next-cert.pem cert.pem", own, {})
        while connection.current() is before:
            await answered(1)

        # What runs on the old one goes on.
        later, _ = await acts.enter_resident(field, name="邓桂花", born_on="1939-03-03")
        while not any(event.subject == later for event in (await stream.read()).events):
            continue
        stream.cancel()
        while connection.left():
            await answered(1)
        # From here on nothing is by the old one, or this would end it.
        await _revoke(operations, old)
        await answered(100)
        for caller in callers:
            caller.cancel()
    assert _serial(own) != old


def _serial(folder: Path) -> str:
    certificate = x509.load_pem_x509_certificate((folder / "cert.pem").read_bytes())
    return f"{certificate.serial_number:X}"


async def _revoke(operations: grpc.aio.Channel, serial_number: str) -> None:
    await MembershipServiceStub(operations).RevokeCertificate(
        membership_service_pb2.RevokeCertificateRequest(
            request_id=str(uuid.uuid4()), serial_number=serial_number, reason="演练"
        )
    )


async def _loses_it_within_a_second(field: Field, member: Path, subsystem: str) -> None:
    """A stream runs and calls are made on one connection, until the operator revokes the certificate."""
    stack = field.stack
    async with (
        channel(stack.address("exchange"), member) as own,
        channel(stack.address("exchange"), stack.identity("service/console")) as operations,
    ):
        stream = ExchangeServiceStub(own).Subscribe(
            exchange_service_pb2.SubscribeRequest(subscription_name="second", after_cursor=0)
        )
        await stream.read()
        began = time.monotonic()
        await _revoke(operations, _serial(member))

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
        # Both refusals are in the log, which is searchable a moment later.
        stub = ExchangeServiceStub(operations)
        refusals = exchange_service_pb2.ListCallsRequest(subsystem=subsystem, denied_only=True)
        async with asyncio.timeout(10):
            while len(logged := (await stub.ListCalls(refusals)).calls) < 2:
                await asyncio.sleep(0.1)
        assert [each.method.rpartition("/")[2] for each in logged] == ["GetResident", "Subscribe"]
        assert {each.reason for each in logged} == {"CERTIFICATE_REVOKED"}


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
