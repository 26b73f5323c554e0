"""A department of medical insurance on the in-memory twin, and people who come to it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Awaitable, Callable
from datetime import date
from importlib.resources import files
from typing import Any

import protovalidate
import pytest
from google.protobuf import json_format
from google.type.date_pb2 import Date

from eldex.api.common.v1 import common_pb2
from eldex.api.medical.v1 import claim_pb2, parameter_pb2
from eldex.api.medical.v1 import medical_service_pb2 as pb
from eldex.api.registry.v1 import resident_events_pb2 as registry
from eldex.api.registry.v1 import resident_pb2
from eldex.common.regions import Divisions
from eldex.common.testing.harness import ServiceOnMemory
from eldex.medical import main, store
from eldex.medical.handlers.ports import Stores
from eldex.medical.rpc import MedicalService
from eldex.medical.wire import events

HOME, COUNTY = "511702", "511723"
"""通川区 and 开江县, of the city whose fund it is."""
DIVISIONS = Divisions.load()
SERVICE = "eldex.api.medical.v1.MedicalService"


def on(day: str) -> Date:
    """A day of the contract."""
    value = date.fromisoformat(day)
    return Date(year=value.year, month=value.month, day=value.day)


def facts(key: str, **more: Any) -> claim_pb2.ClaimFacts:
    """A stay in the county hospital for 10,000 yuan, 500 of it outside of the scope."""
    visit: dict[str, Any] = {
        "resident_key": key,
        "institution_code": "H51170200001",
        "visit_code": f"ZY{uuid.uuid4().hex[:12]}",
        "served_from": "2026-05-01",
        "served_until": "2026-05-08",
        "care_region_code": HOME,
        "care_kind": parameter_pb2.CARE_KIND_INPATIENT,
        "hospital_level": parameter_pb2.HOSPITAL_LEVEL_SECONDARY,
        "total_fen": 1_000_000,
        "out_of_scope_fen": 50_000,
    }
    visit |= more
    days = {name: on(visit[name]) for name in ("served_from", "served_until")}
    return claim_pb2.ClaimFacts(**(visit | days))


class Department:
    """The department as an official meets it: its calls, and the registry's news."""

    def __init__(self, service: ServiceOnMemory[Stores]) -> None:
        self.service = service
        self.door = MedicalService(service.work, DIVISIONS)
        self._validator = protovalidate.Validator()

    async def ask(self, rpc: str, **fields: Any) -> Any:
        """Make a call that the contract's rules let in; days as ISO text, a request id made up."""
        days = {k: on(v) for k, v in fields.items() if k.endswith(("_on", "_from")) or k == "on"}
        request: Any = getattr(pb, f"{rpc}Request")(**(fields | days))
        if "request_id" in request.DESCRIPTOR.fields_by_name and not request.request_id:
            request.request_id = str(uuid.uuid4())
        self._validator.validate(request)
        snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in rpc)[1:]
        method: Callable[..., Awaitable[Any]] = getattr(self.door, snake)
        call = self.service.call(f"/{SERVICE}/{rpc}")
        return await method(request, call)

    def told(self, kind: type[Any]) -> list[Any]:
        """What was published of one kind."""
        return self.service.events(kind)

    async def register(self, key: str, born_on: str = "1950-03-01", region_code: str = HOME) -> str:
        """The registry announces a person."""
        await self.service.deliver(
            registry.ResidentRegistered(
                resident_key=key,
                born_on=on(born_on),
                sex=resident_pb2.SEX_FEMALE,
                region_code=region_code,
                hukou_region_code=region_code,
                resident_since=on("2010-01-01"),
            )
        )
        return key

    async def die(self, key: str, died_on: str) -> None:
        """The registry announces a death."""
        await self.service.deliver(
            registry.ResidentDeceased(resident_key=key, died_on=on(died_on), region_code=HOME)
        )

    async def move(self, key: str, region_code: str, moved_on: str) -> None:
        """The registry announces a move."""
        await self.service.deliver(
            registry.ResidentMoved(
                resident_key=key,
                from_region_code=HOME,
                region_code=region_code,
                moved_on=on(moved_on),
            )
        )

    async def merge(self, key: str, survivor: str) -> None:
        """The registry announces that two records were one person."""
        await self.service.deliver(
            registry.ResidentMerged(resident_key=key, survivor_key=survivor, region_code=HOME)
        )

    async def part(self, key: str, survivor: str) -> None:
        """The registry announces that they were not."""
        await self.service.deliver(
            registry.ResidentMergeReversed(
                resident_key=key, survivor_key=survivor, region_code=HOME
            )
        )

    async def insure(
        self, key: str, scheme: str = "RESIDENT", since: str = "2024-01-01", region_code: str = HOME
    ) -> Any:
        """Open an enrolment."""
        reply = await self.ask(
            "OpenEnrolment",
            resident_key=key,
            scheme=f"INSURANCE_SCHEME_{scheme}",
            region_code=region_code,
            began_on=since,
        )
        return reply.enrolment

    async def settle(self, key: str, **more: Any) -> Any:
        """Settle a claim; see `facts` for what is not said."""
        return (await self.ask("SettleClaim", facts=facts(key, **more))).claim

    async def preview(self, key: str, **more: Any) -> Any:
        """What a claim would come to."""
        return (await self.ask("PreviewSettlement", facts=facts(key, **more))).settlement

    async def set(self, kind: str, value: int, **more: Any) -> Any:
        """Set one policy number for the city from 2026 on, or as said."""
        since, until = more.pop("since", "2026-01-01"), more.pop("until", "")
        period = common_pb2.Period(began_on=on(since), ended_on=on(until) if until else None)
        number = parameter_pb2.Parameter(
            kind=f"PARAMETER_KIND_{kind}",  # type: ignore[arg-type]
            value=value,
            period=period,
            source=common_pb2.Source(document="〔虚构〕通知", clause=more.pop("clause", "一")),
            **({"region_code": "5117"} | more),
        )
        return (await self.ask("SetParameters", parameters=[number])).parameters[0]

    async def enrolments(self, key: str) -> list[Any]:
        """What the person is enrolled in."""
        reply = await self.ask("ListEnrolments", resident_key=key)
        return list(reply.enrolments)

    async def covered(self, key: str, day: str) -> bool:
        """Whether basic insurance covers the person on a day."""
        reply = await self.ask("CheckCover", resident_key=key, on=day)
        return bool(reply.basic.covered)


@pytest.fixture
def shipped() -> pb.SetParametersRequest:
    """The numbers that come with the service, fictional and marked so."""
    path = files("eldex.medical") / "data" / "parameters.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    return json_format.ParseDict(content, pb.SetParametersRequest())


@pytest.fixture
async def office() -> Department:
    """A department without any parameter."""
    service = ServiceOnMemory(
        "medical", store.stores, store.REPOSITORIES, events.event, main.subscriptions()
    )
    return Department(await service.start())


@pytest.fixture
async def city(office: Department, shipped: pb.SetParametersRequest) -> Department:
    """A department with the shipped parameters, and 王秀英 (76) insured as a resident."""
    await office.ask("SetParameters", parameters=shipped.parameters)
    await office.register("res_wang")
    await office.insure("res_wang")
    return office
