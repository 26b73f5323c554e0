"""The bus: no look without a reason, none without a proof."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import grpc
import pytest

from eldex.api.exchange.v1 import exchange_service_pb2 as exchange_pb
from eldex.api.exchange.v1 import exchange_service_pb2_grpc as exchange_grpc
from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.api.registry.v1 import registry_service_pb2_grpc as registry_grpc
from eldex.api.registry.v1 import resident_pb2
from eldex.common.rpc.client import channel
from eldex.evidence.receipts import Receipt
from eldex.local.field import Field, Refused


def registration(number: str) -> pb.RegisterResidentRequest:
    return pb.RegisterResidentRequest(
        request_id=str(uuid.uuid4()),
        document=resident_pb2.PersonDocument(
            kind=resident_pb2.DOCUMENT_KIND_RESIDENT_IDENTITY_CARD, number=number
        ),
        name="王秀英",
        region_code="511702001",
    )


async def test_a_call_without_a_purpose_or_with_another_one_is_refused_and_explained(
    field: Field, new_number: Callable[[str], str]
) -> None:
    with pytest.raises(Refused) as refused:
        await field["health"].ask(
            "RegistryService/RegisterResident", registration(new_number("19400101"))
        )
    assert refused.value.code is grpc.StatusCode.PERMISSION_DENIED
    assert "no agreement covers this call" in refused.value.words
    with pytest.raises(Refused) as refused:
        await field["police"].ask(
            "RegistryService/RegisterResident",
            registration(new_number("19400101")),
            purpose="curiosity",
            language="zh-CN,zh;q=0.9",
        )
    assert "不包括用途 curiosity" in refused.value.words


async def test_every_call_is_in_the_log_with_digests_and_without_bodies_the_denied_ones_too(
    field: Field, new_number: Callable[[str], str]
) -> None:
    number = new_number("19410101")
    request = registration(number)
    told = await field["police"].ask("RegistryService/RegisterResident", request)
    with pytest.raises(Refused):
        await field["health"].ask("RegistryService/RegisterResident", registration(number))
    receipt = Receipt.parse(told.receipt)
    operations = channel(field.stack.address("exchange"), field.stack.identity("service/console"))
    stub: exchange_grpc.ExchangeServiceAsyncStub = exchange_grpc.ExchangeServiceStub(operations)
    log = await stub.ListCalls(exchange_pb.ListCallsRequest(page_size=50))
    await operations.close()
    (entry,) = [call for call in log.calls if call.log_index == receipt.index]
    # Salted, so that nobody can try out whom it was about; the salt is in the caller's receipt alone.
    assert receipt.shows(request.SerializeToString(), entry.request_digest)
    assert receipt.shows(told.reply.SerializeToString(), entry.reply_digest)
    assert (entry.purpose, entry.agreement_key) == (
        "residence-registration",
        "police-household-registration",
    )
    denied = log.calls[0]
    assert (denied.code, denied.subsystem) == ("PERMISSION_DENIED", "member/health/assessment")
    assert number not in str(log)


async def test_services_take_calls_from_the_exchange_and_from_nobody_else(field: Field) -> None:
    direct = channel(
        field.stack.address("registry"),
        field.stack.identity("member/civil-affairs/elder-care"),
    )
    stub: registry_grpc.RegistryServiceAsyncStub = registry_grpc.RegistryServiceStub(direct)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.GetResident(pb.GetResidentRequest(resident_key="res_x"))
    await direct.close()
    assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_a_method_that_nobody_offers_and_a_department_that_is_not_there_are_said_so(
    field: Field,
) -> None:
    raw = field["civil-affairs"].exchange
    metadata = (("eldex-purpose", "elder-care-administration"),)
    for method in (
        "/eldex.api.registry.v1.RegistryService/Nonsense",
        "/eldex.api.weather.v1.WeatherService/GetWeather",
    ):
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = raw.unary_unary(method)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(b"", metadata=metadata)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_the_same_request_sent_twice_is_answered_alike_and_done_once(
    field: Field, new_number: Callable[[str], str]
) -> None:
    request = registration(new_number("19420101"))
    first = await field["police"].ask("RegistryService/RegisterResident", request)
    second = await field["police"].ask("RegistryService/RegisterResident", request)
    assert first.reply == second.reply
    assert first.receipt != second.receipt
