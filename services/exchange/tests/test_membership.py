"""A partner city's day-care platform joins: invited, asked, two approve, its certificate works, is renewed, is revoked."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha import reflection_pb2

from eldex.api.exchange.v1 import (
    catalogue_service_pb2,
    joining_service_pb2,
    membership_pb2,
    membership_service_pb2,
)
from eldex.api.exchange.v1.catalogue_service_pb2_grpc import CatalogueServiceStub
from eldex.api.exchange.v1.joining_service_pb2_grpc import JoiningServiceStub
from eldex.api.exchange.v1.membership_service_pb2_grpc import MembershipServiceStub
from eldex.common.errors import Overloaded
from eldex.common.identifiers import RegionCode
from eldex.common.rpc.revocation import CertificateRevoked, Revocations, identity_of
from eldex.common.rpc.server import Dispatcher, GrpcDoor, grpc_server
from eldex.common.rpc.status import DETAILS_KEY, reason_of
from eldex.common.rpc.tls import server_credentials
from eldex.common.service import service_descriptor
from eldex.exchange.rpc.admin_log import Logged
from eldex.exchange.rpc.catalogue import CatalogueService
from eldex.exchange.rpc.join_door import Allowance, JoinDoor
from eldex.exchange.rpc.membership_service import JoiningService, Known, MembershipService
from eldex.exchange.rpc.reflection import ReflectionDoor
from eldex.exchange.rpc.revocation_watch import RevocationWatch
from eldex.exchange.rpc.roles import Roles
from eldex.exchange.rpc.service import may_call
from eldex.exchange.store import secrets as exchange_keys
from eldex.exchange.store.authority import FileAuthority
from eldex.exchange.wire.catalogue_file import read_settings
from eldex.exchange.wire.contract_catalogue import described, services

CITY = "511700"
SUBSYSTEM = "member/partner-500100/day-care"
RESIDENTS = "101001/000001"
PREFIX = f"spiffe://eldex.local/{CITY}/"


@dataclass
class House:
    """The exchange as members meet it: its port, and the port to join at."""

    city: Any
    port: int
    join_port: int
    tls: Path
    revocations: Revocations
    watch: RevocationWatch

    def as_service(self, name: str = "console") -> Any:
        """An operator's stub."""
        return MembershipServiceStub(
            self._channel(self.city.authority.issue(f"{CITY}/service/{name}"))
        )

    def as_member(self, path: str) -> Any:
        """A member's stub, with a certificate of the house's authority."""
        return MembershipServiceStub(self._channel(self.city.authority.issue(f"{CITY}/{path}")))

    def _channel(self, home: Path) -> grpc.aio.Channel:
        key, cert = ((home / name).read_bytes() for name in ("key.pem", "cert.pem"))
        return self.channel(key, cert)

    def channel(self, key: bytes, cert: bytes) -> grpc.aio.Channel:
        """A connection of its own with a key and a certificate."""
        credentials = grpc.ssl_channel_credentials((self.tls / "ca.pem").read_bytes(), key, cert)
        opened = grpc.aio.secure_channel(
            f"localhost:{self.port}", credentials, [("grpc.use_local_subchannel_pool", 1)]
        )
        self.city.stack.push_async_callback(opened.close)
        return opened

    def door(self) -> Any:
        """The port to join at: no certificate of one's own."""
        credentials = grpc.ssl_channel_credentials((self.tls / "ca.pem").read_bytes())
        opened = grpc.aio.secure_channel(f"localhost:{self.join_port}", credentials)
        self.city.stack.push_async_callback(opened.close)
        return JoiningServiceStub(opened)

    async def invite(self, subsystem: str = SUBSYSTEM) -> str:
        """The operator gives out a token."""
        token = secrets.token_hex(32)
        await self.as_service().InviteMember(
            membership_service_pb2.InviteMemberRequest(
                request_id=str(uuid.uuid4()),
                subsystem=subsystem,
                token_digest=hashlib.sha256(token.encode()).hexdigest(),
            )
        )
        return token

    async def ask(self, token: str, csr: str) -> membership_pb2.Joining:
        """The member asks."""
        request_id = str(uuid.uuid4())
        request = joining_service_pb2.RequestToJoinRequest(
            request_id=request_id,
            certificate_signing_request_pem=csr,
            access=catalogue_service_pb2.RequestAccessRequest(
                request_id=request_id,
                resource_code=RESIDENTS,
                purpose="cross-city-settlement",
                legal_basis="川渝养老服务协作协议（虚构）",
                need="核对异地托养老人状态",
                paths=["resident_key", "vital_status"],
                with_events=True,
                official_code="cq-0001",
            ),
        )
        answer = await self.door().RequestToJoin(request, metadata=bearer(token))
        found: membership_pb2.Joining = answer.joining
        return found

    async def decide(self, stub: Any, joining: Any, official: str, *, approved: bool = True) -> Any:
        """Somebody decides."""
        answer = await stub.DecideJoining(
            membership_service_pb2.DecideJoiningRequest(
                request_id=str(uuid.uuid4()),
                joining_key=joining.joining_key,
                approved=approved,
                reason="密钥摘要已电话核对",
                official_code=official,
            )
        )
        return answer.joining

    async def admit(self) -> tuple[ec.EllipticCurvePrivateKey, str]:
        """The whole way: a key and its certificate."""
        key, csr = new_request()
        joining = await self.ask(await self.invite(), csr)
        await self.decide(self.as_member("member/police/household-registration"), joining, "ga-1")
        done = await self.decide(self.as_service(), joining, "op-1")
        return key, done.certificate_pem


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


def new_request(*uris: str) -> tuple[ec.EllipticCurvePrivateKey, str]:
    """A key and its signing request, which names these."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "day-care")])
    )
    if uris:
        names = [x509.UniformResourceIdentifier(uri) for uri in uris]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    request = builder.sign(key, hashes.SHA256())
    return key, request.public_bytes(Encoding.PEM).decode()


def pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def forged(key: ec.EllipticCurvePrivateKey, uri: str, days: int = 1) -> bytes:
    """A certificate that signs itself."""
    now, name = datetime.now(UTC), x509.Name([])
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
    return (
        x509.CertificateBuilder()
        .issuer_name(name)
        .subject_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.PEM)
    )


def reason(error: pytest.ExceptionInfo[grpc.aio.AioRpcError]) -> str:
    """The stable reason of a refusal."""
    trailing: dict[str, Any] = dict(error.value.trailing_metadata() or ())
    return reason_of(trailing.get(DETAILS_KEY, b""))


@pytest_asyncio.fixture
async def house(city: Any, tmp_path: Path) -> AsyncIterator[House]:
    home, settings = RegionCode.parse(CITY), read_settings(None)
    keys = tmp_path / "secrets"
    keys.mkdir()
    exchange_keys.ensure(keys, CITY)
    city.clock.at = datetime.now(UTC).replace(microsecond=0)
    authority = FileAuthority(keys, PREFIX, timedelta(days=7))
    revocations = Revocations()
    watch = RevocationWatch(city.work, revocations)
    tls = city.authority.issue(f"{CITY}/service/exchange")
    catalogue = CatalogueService(city.work, city.table, settings.rules, home, city.clock)
    await catalogue.publish(described(settings.providers))
    known = Known(tls, "exchange.example:443")
    membership = MembershipService(
        work=city.work,
        agreements=city.table,
        authority=authority,
        revocations=watch,
        known=known,
        city=home,
    )
    roles = Roles(home, city.table, city.clock)

    def logged(module: Any, name: str, service: object) -> tuple[Any, Logged]:
        descriptor = service_descriptor(module, name)
        return descriptor, Logged(descriptor, service, city.log, roles)

    served = [
        logged(membership_service_pb2, "MembershipService", membership),
        logged(catalogue_service_pb2, "CatalogueService", catalogue),
    ]
    door = GrpcDoor(Dispatcher(served, city.clock, may_call, revocations=revocations))
    reflection = ReflectionDoor(
        services(), city.table, identity_of, revocations, may_call, city.clock
    )
    server = grpc_server([door, reflection])
    credentials = server_credentials(tls, also_trusted=authority.pem)
    port = server.add_secure_port("localhost:0", credentials)
    await server.start()
    city.stack.push_async_callback(server.stop, None)
    joining = JoiningService(city.work, authority, settings.rules, known)
    _, joins = logged(joining_service_pb2, "JoiningService", joining)
    opened, join_port = await JoinDoor(joins, city.clock, CITY, Allowance()).open(
        "localhost:0", tls
    )
    city.stack.push_async_callback(opened.stop, None)
    yield House(city, port, join_port, tls, revocations, watch)


async def test_two_approve_and_the_certificate_is_answered(house: House) -> None:
    token = await house.invite()
    key, csr = new_request()
    joining = await house.ask(token, csr)
    assert joining.provider == "police"
    waiting = await house.door().GetJoinRequest(
        joining_service_pb2.GetJoinRequestRequest(), metadata=bearer(token)
    )
    assert not waiting.joining.certificate_pem
    assert not waiting.exchange_address

    provider = house.as_member("member/police/household-registration")
    seen = await provider.ListJoinings(membership_service_pb2.ListJoiningsRequest())
    assert [each.key_digest for each in seen.joinings] == [joining.key_digest]
    await house.decide(provider, joining, "ga-1")
    await house.decide(house.as_service(), joining, "op-1")

    got = await house.door().GetJoinRequest(
        joining_service_pb2.GetJoinRequestRequest(), metadata=bearer(token)
    )
    assert got.exchange_address == "exchange.example:443"
    certificate = x509.load_pem_x509_certificate(got.joining.certificate_pem.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [PREFIX + SUBSYSTEM]
    assert certificate.not_valid_after_utc - datetime.now(UTC) < timedelta(days=7, minutes=1)

    channel = house.channel(pem(key), got.joining.certificate_pem.encode())
    rights = await CatalogueServiceStub(channel).ListMyRights(
        catalogue_service_pb2.ListMyRightsRequest()
    )
    assert [each.agreement_key for each in rights.rights] == [got.joining.agreement_key]
    assert "eldex.api.registry.v1.ResidentDeceased" in rights.rights[0].event_types


async def test_it_takes_two_people_and_neither_is_who_asked(house: House) -> None:
    joining = await house.ask(await house.invite(), new_request()[1])
    provider = house.as_member("member/police/household-registration")
    stranger = house.as_member("member/finance/payments")
    for stub, official, why in (
        (stranger, "cz-1", "NOT_YOURS_TO_DECIDE"),
        (provider, "CQ-0001", "SECOND_PERSON_NEEDED"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await house.decide(stub, joining, official)
        assert reason(refused) == why
    await house.decide(provider, joining, "ga-1")
    for stub, official, why in (
        (provider, "ga-2", "ALREADY_DECIDED"),
        (house.as_service(), "GA-1", "SECOND_PERSON_NEEDED"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await house.decide(stub, joining, official)
        assert reason(refused) == why
    refusal = await house.decide(house.as_service(), joining, "op-1", approved=False)
    assert refusal.state == membership_pb2.JOINING_STATE_REFUSED
    assert not refusal.certificate_pem
    assert not await house.city.work.read(lambda stores: stores.agreements.find("x"))


async def test_a_token_asks_once_and_only_for_its_own_name(house: House) -> None:
    token = await house.invite()
    for names in ([PREFIX + "member/police/household-registration"], [PREFIX + "service/exchange"]):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await house.ask(token, new_request(*names)[1])
        assert reason(refused) == "CSR_UNFIT"
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await house.ask(token, "no request")
    assert reason(refused) == "CSR_UNFIT"
    await house.ask(token, new_request(PREFIX + SUBSYSTEM)[1])
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await house.ask(token, new_request()[1])
    assert reason(refused) == "TOKEN_USED"
    for wrong in (secrets.token_hex(32), ""):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await house.ask(wrong, new_request()[1])
        assert reason(refused) == "TOKEN_UNKNOWN"
    late = await house.invite("member/partner-500100/night-care")
    house.city.clock.at += timedelta(hours=73)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await house.ask(late, new_request()[1])
    assert reason(refused) == "TOKEN_UNKNOWN"


async def test_the_port_to_join_at_serves_nothing_else_and_not_too_much(house: House) -> None:
    token = await house.invite()
    credentials = grpc.ssl_channel_credentials((house.tls / "ca.pem").read_bytes())
    async with grpc.aio.secure_channel(f"localhost:{house.join_port}", credentials) as other:
        members: Any = MembershipServiceStub(other)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await members.ListCertificates(membership_service_pb2.ListCertificatesRequest())
    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED
    asking = joining_service_pb2.GetJoinRequestRequest()
    door = house.door()

    async def code() -> str:
        try:
            await door.GetJoinRequest(asking, metadata=bearer(token))
        except grpc.aio.AioRpcError as error:
            return error.code().name
        return "OK"

    codes = [await code() for _ in range(60)]
    assert codes[0] == "OK"
    assert "RESOURCE_EXHAUSTED" in codes


def test_one_address_does_not_use_up_what_others_may() -> None:
    allowance = Allowance(at_once=2, every_seconds=1.0, all_at_once=10)
    allowance.take("a", 0.0)
    allowance.take("a", 0.0)
    with pytest.raises(Overloaded):
        allowance.take("a", 0.5)
    allowance.take("b", 0.5)
    allowance.take("a", 1.5)


async def test_a_certificate_is_renewed_by_itself_and_by_nobody_else(house: House) -> None:
    key, cert = await house.admit()
    stub: Any = MembershipServiceStub(house.channel(pem(key), cert.encode()))
    next_key, csr = new_request()
    renewed = await stub.RenewCertificate(
        membership_service_pb2.RenewCertificateRequest(
            request_id=str(uuid.uuid4()), certificate_signing_request_pem=csr
        )
    )
    again: Any = MembershipServiceStub(
        house.channel(pem(next_key), renewed.certificate_pem.encode())
    )
    found = await again.ListCertificates(membership_service_pb2.ListCertificatesRequest())
    assert {each.subsystem for each in found.certificates} == {SUBSYSTEM}
    assert len(found.certificates) == 2
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.RenewCertificate(
            membership_service_pb2.RenewCertificateRequest(
                request_id=str(uuid.uuid4()),
                certificate_signing_request_pem=new_request(PREFIX + "member/a/b")[1],
            )
        )
    assert reason(refused) == "CSR_UNFIT"


async def test_what_is_revoked_counts_no_more_on_connections_that_stand(house: House) -> None:
    key, cert = await house.admit()
    channel = house.channel(pem(key), cert.encode())
    stub: Any = MembershipServiceStub(channel)
    renewed = await stub.RenewCertificate(
        membership_service_pb2.RenewCertificateRequest(
            request_id=str(uuid.uuid4()), certificate_signing_request_pem=new_request()[1]
        )
    )
    serial = f"{x509.load_pem_x509_certificate(cert.encode()).serial_number:x}"
    other = house.as_member("member/finance/payments")
    revoking = membership_service_pb2.RevokeCertificateRequest(
        request_id=str(uuid.uuid4()), serial_number=serial, with_renewed=True, reason="私钥疑似泄露"
    )
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await other.RevokeCertificate(revoking)
    assert reason(refused) == "ACCESS_DENIED"
    done = await house.as_service().RevokeCertificate(revoking)
    began = time.monotonic()
    assert {each.serial_number for each in done.certificates} == {
        serial.upper(),
        renewed.certificate.serial_number,
    }
    for stands in (stub, MembershipServiceStub(house.channel(pem(key), cert.encode()))):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stands.ListCertificates(membership_service_pb2.ListCertificatesRequest())
        assert reason(refused) == "CERTIFICATE_REVOKED"
    assert time.monotonic() - began < 1.0

    # Another replica learns of it by asking.
    elsewhere = Revocations()
    await RevocationWatch(house.city.work, elsewhere).refresh()
    with pytest.raises(Exception, match="CERTIFICATE_REVOKED"):
        elsewhere.require(serial.upper())


async def test_a_stream_ends_when_its_certificate_is_revoked() -> None:
    revocations, going = Revocations(), asyncio.Event()

    async def events() -> AsyncIterator[int]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            going.set()

    seen = []

    async def follow() -> None:
        async for each in revocations.while_good("AB", events()):
            seen.append(each)
            asyncio.get_running_loop().call_soon(revocations.revoke, ["AB"])

    with pytest.raises(CertificateRevoked):
        await follow()
    assert seen == [1]
    assert going.is_set()


@pytest.mark.parametrize("kind", ["self-signed", "expired", "another authority", "wrong name"])
async def test_certificates_that_prove_nothing(house: House, tmp_path: Path, kind: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    uri = PREFIX + "member/police/household-registration"
    if kind == "self-signed":
        cert, secret = forged(key, uri), pem(key)
    else:
        authority = house.city.authority
        if kind == "another authority":
            authority = type(authority).open(tmp_path / "other")
        path = "x" if kind == "wrong name" else f"{CITY}/member/police/household-registration"
        then = datetime.now(UTC) - timedelta(days=500) if kind == "expired" else None
        home = authority.issue(path, tmp_path / "home", now=then)
        cert, secret = (home / "cert.pem").read_bytes(), (home / "key.pem").read_bytes()
    stub: Any = MembershipServiceStub(house.channel(secret, cert))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.ListCertificates(membership_service_pb2.ListCertificatesRequest(), timeout=5)
    # Who proves nothing does not even get a connection; who has another name gets no answer.
    wanted = "PERMISSION_DENIED" if kind == "wrong name" else "UNAVAILABLE"
    assert refused.value.code().name == wanted


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
async def test_reflection_tells_what_the_caller_may_call(house: House, version: str) -> None:
    key, cert = await house.admit()
    reflect: Any = house.channel(pem(key), cert.encode()).stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )

    async def ask(**what: Any) -> Any:
        asking = iter([reflection_pb2.ServerReflectionRequest(**what)])
        return await anext(aiter(reflect(asking)))

    listed = (await ask(list_services="")).list_services_response.service
    names = {each.name for each in listed}
    assert "eldex.api.registry.v1.RegistryService" in names
    assert "eldex.api.exchange.v1.MembershipService" in names
    assert "eldex.api.subsidies.v1.SubsidiesService" not in names
    found = await ask(file_containing_symbol="eldex.api.registry.v1.RegistryService")
    files = found.file_descriptor_response.file_descriptor_proto
    first = descriptor_pb2.FileDescriptorProto.FromString(files[0])
    methods = {method.name for service in first.service for method in service.method}
    assert "GetResident" in methods
    assert "RegisterDeath" not in methods
    hidden = await ask(file_containing_symbol="eldex.api.subsidies.v1.SubsidiesService")
    assert hidden.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
