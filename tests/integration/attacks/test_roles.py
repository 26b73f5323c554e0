"""Who may ask the exchange itself what: a table of every rpc, compared with what is answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf import message_factory
from google.protobuf.json_format import Parse

from eldex.api.exchange.v1 import (
    access_service_pb2,
    catalogue_service_pb2,
    delivery_service_pb2,
    evidence_service_pb2,
    exchange_service_pb2,
    membership_service_pb2,
)
from eldex.common.rpc.client import channel
from eldex.local.field import Field

EXAMPLES = Path(__file__).parents[3] / "proto" / "examples" / "exchange"

OPERATORS = set(
    """ListCalls PutReviewRule InviteMember RequestShredding ApproveShredding PutAgreement
    DecideAgreementChange ListAgreementChanges""".split()
)
"""What operators do (the last five from a seat of their own), and no agreement gives to anybody else."""
BY_AGREEMENT = set(
    """RecordConsent WithdrawConsent ListConsents ListBreakGlass ReviewBreakGlass ExplainDecision
    ListSubjectLedger ListSegments ListShreddings""".split()
)
"""Operators, and members one of whose agreements names it."""
MEMBERS = set(
    """Subscribe AcknowledgeEvents RequestAccess RequestCorrection ListMyRights
    RenewCertificate""".split()
)
"""Members about themselves; an operator is none."""
OWN = set(
    """ListAgreements ListSubscriptions ListReviewRules ListAgreementVersions ListResources GetResource
    ExportCatalogue ListAccessRequests DecideAccessRequest ListCorrections DecideCorrection
    CreateSubscription GetSubscription ListEventSubscriptions UpdateSubscription DeleteSubscription
    PauseSubscription ResumeSubscription ReplaySubscription AddSecret RetireSecret ListDeadLetters
    RedeliverDeadLetter GetLag GetLogKey GetCheckpoint GetInclusionProof GetConsistencyProof GetBundle
    GetRecord ListRecords AddCheckpoint AddCosignature ListJoinings DecideJoining
    RevokeCertificate ListCertificates""".split()
)
"""Everybody, of what is its own or open to all; operators of all."""
SERVICES = [
    access_service_pb2.DESCRIPTOR.services_by_name["AccessService"],
    catalogue_service_pb2.DESCRIPTOR.services_by_name["CatalogueService"],
    delivery_service_pb2.DESCRIPTOR.services_by_name["DeliveryService"],
    evidence_service_pb2.DESCRIPTOR.services_by_name["EvidenceService"],
    exchange_service_pb2.DESCRIPTOR.services_by_name["ExchangeService"],
    membership_service_pb2.DESCRIPTOR.services_by_name["MembershipService"],
]
METHODS = {method.name: method for service in SERVICES for method in service.methods}
VALUES = {
    "resident_key": "res_0",
    "subject_key": "res_0",
    "log_index": 0,
    "size": 1,
    "resource_code": "200000/000001",
    "agreement_key": "finance-payments",
    "subscription_name": "watch",
    "subsystem": "member/finance/payments",
}
"""What a read may have to name, by the field."""


def request_of(method: Any) -> bytes:
    """A request that is well-formed: the golden one, or one with what must be there."""
    snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in method.name).lstrip("_")
    message: Any = message_factory.GetMessageClass(method.input_type)()
    example = EXAMPLES / f"{snake}_request.json"
    if example.exists():
        return bytes(Parse(example.read_text(), message).SerializeToString())
    for name, value in VALUES.items():
        if name in method.input_type.fields_by_name:
            setattr(message, name, value)
    return bytes(message.SerializeToString())


@pytest_asyncio.fixture(loop_scope="session")
async def ask(field: Field) -> AsyncIterator[Any]:
    """The code of a call by somebody, and its receipt."""
    async with AsyncExitStack() as closing:
        opened: dict[Path, grpc.aio.Channel] = {}

        async def asked(home: Path, method: Any) -> tuple[str, str]:
            if home not in opened:
                opened[home] = channel(field.stack.address("exchange"), home)
                closing.push_async_callback(opened[home].close)
            path = f"/{method.containing_service.full_name}/{method.name}"
            metadata = [("eldex-purpose", "subsidy-payment")]
            trailing: Any = ()
            try:
                if method.server_streaming:
                    stream: Any = opened[home].unary_stream(path)
                    call = stream(request_of(method), metadata=metadata, timeout=20)
                    await call.read()
                    call.cancel()
                else:
                    unary: Any = opened[home].unary_unary(path)
                    await unary(request_of(method), metadata=metadata, timeout=20)
            except grpc.aio.AioRpcError as error:
                trailing = error.trailing_metadata() or ()
                return error.code().name, dict(trailing).get("eldex-receipt", "")
            return "OK", ""

        yield asked


def test_every_rpc_of_the_exchange_has_its_place_in_the_table() -> None:
    kinds = [OPERATORS, BY_AGREEMENT, MEMBERS, OWN]
    assert set().union(*kinds) == set(METHODS)
    assert sum(map(len, kinds)) == len(METHODS)


@pytest.mark.parametrize("name", METHODS)
async def test_who_has_not_the_role_is_refused_and_that_is_in_the_log(
    field: Field, ask: Any, forger: Any, name: str
) -> None:
    method = METHODS[name]
    strangers = [
        field.stack.identity("service/registry"),
        forger.make("spiffe://eldex.local/500100/service/console"),
    ]
    member = field.stack.identity("member/finance/payments")
    if name in OPERATORS | BY_AGREEMENT:
        strangers.append(member)
    for home in strangers:
        code, receipt = await ask(home, method)
        assert (code, bool(receipt)) == ("PERMISSION_DENIED", True), home
    if name in MEMBERS | OWN and "request_id" not in method.input_type.fields_by_name:
        assert (await ask(member, method))[0] in {"OK", "NOT_FOUND", "PERMISSION_DENIED"}
    if "request_id" not in method.input_type.fields_by_name:
        code, _ = await ask(field.stack.identity("service/console"), method)
        assert (code == "PERMISSION_DENIED") is (name in MEMBERS), code
