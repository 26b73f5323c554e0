"""A member of the exchange, from its first request on: `python clients/python/member.py <step> …`.

The steps are those of docs/joining.md; each prints what comes next on one line. Needs `eldex-api` (the
generated contract) and `grpcio`, nothing else of this house.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import grpc

from eldex.api.exchange.v1 import catalogue_service_pb2 as catalogue
from eldex.api.exchange.v1 import exchange_service_pb2 as exchange
from eldex.api.exchange.v1 import joining_service_pb2 as joining
from eldex.api.exchange.v1 import membership_service_pb2 as membership
from eldex.api.exchange.v1.exchange_service_pb2_grpc import ExchangeServiceStub
from eldex.api.exchange.v1.joining_service_pb2_grpc import JoiningServiceStub
from eldex.api.exchange.v1.membership_pb2 import JoiningState
from eldex.api.exchange.v1.membership_service_pb2_grpc import MembershipServiceStub
from eldex.api.registry.v1 import registry_service_pb2 as registry
from eldex.api.registry.v1 import resident_events_pb2 as events
from eldex.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub


def connect(address: str, folder: Path) -> grpc.Channel:
    """A connection with the certificate of a folder: ca.pem, cert.pem, key.pem."""
    ca, cert, key = ((folder / name).read_bytes() for name in ("ca.pem", "cert.pem", "key.pem"))
    return grpc.secure_channel(address, grpc.ssl_channel_credentials(ca, key, cert))


def door(asked: argparse.Namespace) -> tuple[Any, list[tuple[str, str]]]:
    """The port to join at, known by the operator's ca.pem, and the token that goes with each call."""
    credentials = grpc.ssl_channel_credentials((asked.folder / "ca.pem").read_bytes())
    token = (asked.folder / "token").read_text().strip()
    stub = JoiningServiceStub(grpc.secure_channel(asked.address, credentials))
    return stub, [("authorization", f"Bearer {token}")]


def invite(asked: argparse.Namespace) -> str:
    """The operator registers a token, of which it sends the digest alone."""
    token = asked.token.read_text().strip()
    stub = MembershipServiceStub(connect(asked.address, asked.folder))
    request = membership.InviteMemberRequest(
        request_id=str(uuid.uuid4()),
        subsystem=asked.subsystem,
        token_digest=hashlib.sha256(token.encode()).hexdigest(),
    )
    return str(stub.InviteMember(request).joining.joining_key)


def ask(asked: argparse.Namespace) -> str:
    """The member asks, with its certificate signing request and what it needs first."""
    stub, metadata = door(asked)
    request_id = str(uuid.uuid4())
    request = joining.RequestToJoinRequest(
        request_id=request_id,
        certificate_signing_request_pem=(asked.folder / "csr.pem").read_text(),
        access=catalogue.RequestAccessRequest(
            request_id=request_id,
            resource_code=asked.resource,
            purpose=asked.purpose,
            legal_basis=asked.basis,
            need=asked.need,
            with_events=True,
            official_code=asked.official,
        ),
    )
    found = stub.RequestToJoin(request, metadata=metadata).joining
    return f"{found.joining_key} {found.key_digest}"


def approve(asked: argparse.Namespace) -> str:
    """The provider, or the operator, approves."""
    stub = MembershipServiceStub(connect(asked.address, asked.folder))
    request = membership.DecideJoiningRequest(
        request_id=str(uuid.uuid4()),
        joining_key=asked.joining,
        approved=True,
        reason=asked.reason,
        official_code=asked.official,
    )
    joined = stub.DecideJoining(request).joining
    return f"{joined.joining_key} {JoiningState.Name(joined.state)}"


def fetch(asked: argparse.Namespace) -> str:
    """The member fetches its certificate; prints where the exchange is."""
    stub, metadata = door(asked)
    while True:
        found = stub.GetJoinRequest(joining.GetJoinRequestRequest(), metadata=metadata)
        if found.joining.state == JoiningState.JOINING_STATE_REFUSED:
            raise SystemExit("member: the joining was refused")
        if found.joining.certificate_pem:
            (asked.folder / "cert.pem").write_text(found.joining.certificate_pem)
            (asked.folder / "ca.pem").write_text(found.authorities_pem)
            return str(found.exchange_address)
        time.sleep(2.0)


def call(asked: argparse.Namespace) -> str:
    """The first call: whether a resident is alive."""
    stub = RegistryServiceStub(connect(asked.address, asked.folder))
    request = registry.GetResidentRequest(resident_key=asked.resident)
    answer = stub.GetResident(request, metadata=[("eldex-purpose", asked.purpose)])
    return str(answer.resident.resident_key)


def listen(asked: argparse.Namespace) -> str:
    """Take the first event, a resident who was registered, and acknowledge it."""
    stub = ExchangeServiceStub(connect(asked.address, asked.folder))
    request = exchange.SubscribeRequest(
        subscription_name="first",
        event_types=[events.ResidentRegistered.DESCRIPTOR.full_name],
        after_cursor=0,
    )
    for delivery in stub.Subscribe(request):
        for event in delivery.events:
            registered = events.ResidentRegistered.FromString(event.payload)
            stub.AcknowledgeEvents(
                exchange.AcknowledgeEventsRequest(
                    request_id=str(uuid.uuid4()),
                    subscription_name="first",
                    cursor=event.cursor,
                )
            )
            return str(registered.resident_key)
    raise SystemExit("the stream ended without an event")


def main() -> None:
    """Take one step."""
    parser = argparse.ArgumentParser(description="A member of the exchange, step by step.")
    steps = parser.add_subparsers(dest="step", required=True)
    for step, more in (
        (invite, {"--subsystem": str, "--token": Path}),
        (
            ask,
            dict.fromkeys(("--resource", "--purpose", "--basis", "--need", "--official"), str),
        ),
        (approve, {"--joining": str, "--official": str, "--reason": str}),
        (fetch, {}),
        (call, {"--resident": str, "--purpose": str}),
        (listen, {}),
    ):
        own = steps.add_parser(step.__name__, help=step.__doc__)
        own.add_argument("address", help="host:port")
        own.add_argument(
            "folder", type=Path, help="the caller's certificate, or the member's folder"
        )
        for name, kind in more.items():
            own.add_argument(name, type=kind, required=True)
        own.set_defaults(take=step)
    asked = parser.parse_args()
    sys.stdout.write(asked.take(asked) + "\n")


if __name__ == "__main__":
    main()
