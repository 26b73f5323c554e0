"""The door: every call of the contract has somebody who answers it, and bad input is told field by field."""

from __future__ import annotations

from typing import Any

import pytest
from google.rpc import error_details_pb2, status_pb2

from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.common.rpc.call import Identity
from eldex.common.rpc.server import Answer, Dispatcher
from eldex.common.service import service_descriptor

SERVICE = service_descriptor(pb, "RegistryService")
PATHS = [f"/{SERVICE.full_name}/{method.name}" for method in SERVICE.methods]
EXCHANGE = Identity("eldex.local", "511700/service/exchange")


async def knock(counter: Any, path: str, payload: bytes, language: str = "zh") -> Answer:
    dispatcher = Dispatcher([(SERVICE, counter.rpc)], counter.service.clock)
    return await dispatcher.answer(path, payload, EXCHANGE, {"accept-language": language}, 5.0)


def complaints(answer: Answer) -> dict[str, str]:
    assert answer.failure is not None
    assert answer.failure.reason == "REQUEST_INVALID", answer.failure
    status, bad = (
        status_pb2.Status.FromString(answer.failure.details),
        error_details_pb2.BadRequest(),
    )
    for detail in status.details:
        if detail.Unpack(bad):
            break
    return {each.field: each.description for each in bad.field_violations}


@pytest.mark.parametrize("path", PATHS)
async def test_an_empty_request_is_refused_with_the_fields_to_mend(counter: Any, path: str) -> None:
    assert complaints(await knock(counter, path, b""))
    assert not counter.service.events()


@pytest.mark.parametrize("path", PATHS)
async def test_what_is_no_message_is_refused(counter: Any, path: str) -> None:
    assert complaints(await knock(counter, path, b"\xff\xff\xff"))


async def test_an_item_that_was_left_out_or_has_too_many_points_is_named(counter: Any) -> None:
    request = pb.ExplainAssessmentRequest(region_code="511702")
    request.findings.scores.CopyFrom(counter.scores(90))
    request.findings.scores.self_care.ClearField("eating")
    request.findings.scores.mobility.stairs = 4
    path = f"/{SERVICE.full_name}/ExplainAssessment"
    told = complaints(await knock(counter, path, request.SerializeToString()))
    assert told["findings.scores.self_care.eating"] == "必须填写"
    assert set(told) == {"findings.scores.self_care.eating", "findings.scores.mobility.stairs"}
    request.findings.scores.CopyFrom(counter.scores(90))
    request.assessed_on.year = 2026
    told = complaints(await knock(counter, path, request.SerializeToString()))
    assert "assessed_on" in told


async def test_a_division_too_large_to_live_in_is_told_with_its_field(counter: Any) -> None:
    request = pb.FormHouseholdRequest(
        request_id="6f1d2c3b-4a59-4e87-9d10-000000000001", region_code="511700", head_key="res_x"
    )
    path = f"/{SERVICE.full_name}/FormHousehold"
    assert "region_code" in complaints(await knock(counter, path, request.SerializeToString()))
