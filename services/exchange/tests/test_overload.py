"""More calls than can be served: the crowd is turned away at once, and no department starves another."""

from __future__ import annotations

import asyncio
from datetime import date
from typing import Any

from google.rpc import error_details_pb2

from eldex.api.medical.v1 import medical_service_pb2
from eldex.api.registry.v1 import registry_service_pb2
from eldex.common import metrics
from eldex.common.errors import Overloaded
from eldex.exchange.domain.agreements import Agreement

REGISTRY = "/eldex.api.registry.v1.RegistryService"
MEDICAL = "/eldex.api.medical.v1.MedicalService"
GET, ENROLMENT = f"{REGISTRY}/GetResident", f"{MEDICAL}/GetEnrolment"
HEALTH = "member/health/assessment"
EACH = 250
"""Half of what the city's door takes."""


def shed_until_now() -> float:
    labels = {"method": "forwarded/registry", "code": "RESOURCE_EXHAUSTED"}
    return metrics.registry.get_sample_value("eldex_calls_total", labels) or 0.0


async def test_a_department_that_hangs_turns_its_own_callers_away_and_nobody_elses(
    city: Any,
) -> None:
    await city.agree(
        Agreement(
            key="health-assessment",
            subsystem=HEALTH,
            methods=[f"{REGISTRY}/*", f"{MEDICAL}/*"],
            purposes=["ability-assessment"],
            legal_basis="GB/T 42195-2022",
            valid_from=date(2026, 1, 1),
        )
    )
    going, arrived = asyncio.Event(), asyncio.Semaphore(0)

    async def answer(method: str, _: Any, __: Any) -> Any:
        if method == ENROLMENT:
            return medical_service_pb2.GetEnrolmentResponse()
        arrived.release()
        await going.wait()
        return registry_service_pb2.GetResidentResponse()

    city.department.answer = answer
    request = registry_service_pb2.GetResidentRequest(resident_key="res_a")
    waiting = [asyncio.create_task(city.ask(HEALTH, GET, request)) for _ in range(EACH)]
    async with asyncio.timeout(20):
        for _ in range(EACH):
            await arrived.acquire()
    before = sum(segment.records for segment in await city.log.segments())

    counted = shed_until_now()
    shed = await city.ask(HEALTH, GET, request, language="zh")
    assert (shed.code, shed.reason) == ("RESOURCE_EXHAUSTED", Overloaded.reason)
    assert shed.message == "系统繁忙，请在 0.5 秒后重试"
    (retry,) = shed.details(error_details_pb2.RetryInfo)
    assert retry.retry_delay.ToTimedelta().total_seconds() == 0.5
    async with asyncio.timeout(10):  # by whichever door it was turned away
        while shed_until_now() == counted:
            await asyncio.sleep(0.05)
    assert shed_until_now() == counted + 1
    assert len(city.department.calls) == EACH
    other = medical_service_pb2.GetEnrolmentRequest(enrolment_key="enr_a")
    assert (await city.ask(HEALTH, ENROLMENT, other)).code == "OK"

    going.set()
    assert {reply.code for reply in await asyncio.gather(*waiting)} == {"OK"}
    # What was turned away is the only one that left no record.
    assert sum(segment.records for segment in await city.log.segments()) == before + EACH + 1
    assert (await city.ask(HEALTH, GET, request)).code == "OK"
