"""The field: institutions on the in-memory twin, asked by rpc and told by events."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any

import protovalidate
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.type.date_pb2 import Date

from eldex.api.credit.v1 import credit_events_pb2 as credit
from eldex.api.credit.v1 import listing_pb2
from eldex.api.institutions.v1 import institution_pb2, institution_record_pb2
from eldex.api.registry.v1 import resident_events_pb2 as registry
from eldex.common.clock import day_of
from eldex.common.identifiers import credit_check_character
from eldex.common.testing.harness import ServiceOnMemory
from eldex.institutions import store
from eldex.institutions.handlers.ports import Stores
from eldex.institutions.main import SUBSCRIPTIONS, tables
from eldex.institutions.rpc.service import InstitutionsService
from eldex.institutions.wire.events import event

SERVICE = "eldex.api.institutions.v1.InstitutionsService"


# Both take a third of a second to make and never change.
shared_tables = cache(tables)
shared_validator = cache(protovalidate.Validator)


class Field:
    """The rpc object and the service behind it, with the words that most stories need."""

    def __init__(self, memory: ServiceOnMemory[Stores]) -> None:
        self.memory = memory
        self.door = InstitutionsService(memory.work, shared_tables())
        self._validator = shared_validator()
        self._rpcs = descriptor_pool.Default().FindServiceByName(SERVICE).methods_by_name
        self._codes = 0
        self._registered: set[str] = set()
        self._registering = asyncio.Lock()

    async def ask(self, rpc: str, language: str = "en", **fields: Any) -> Any:
        """Call an rpc with these fields, as the exchange would; days may be `date`s."""
        method = self._rpcs[rpc]
        request = message_factory.GetMessageClass(method.input_type)(
            **{name: proto(value) for name, value in fields.items()}
        )
        if "request_id" in method.input_type.fields_by_name and not fields.get("request_id"):
            request.request_id = str(uuid.uuid4())  # type: ignore[attr-defined]
        self._validator.validate(request)
        snake = "".join(f"_{c.lower()}" if c.isupper() else c for c in rpc)[1:]
        call = self.memory.call(f"/{SERVICE}/{rpc}", language)
        return await getattr(self.door, snake)(request, call)

    @property
    def today(self) -> date:
        """The day it is."""
        return day_of(self.memory.clock())

    def ago(self, days: int) -> date:
        """A day that many days back."""
        return self.today - timedelta(days=days)

    def new_code(self, authority: str = "52", division: str = "511702") -> str:
        """A credit code that nobody has; fictional."""
        self._codes += 1
        body = f"{authority}{division}MJ{self._codes:06d}X"
        return body + credit_check_character(body)

    def details(self, **more: Any) -> Any:
        """What a home says of itself."""
        fields: dict[str, Any] = {
            "institution_name": "夕阳红养老院（虚构）",
            "address": "东城街道滨河路 1 号",
            "profit_nature": institution_pb2.PROFIT_NATURE_NON_PROFIT,
            "opens_on": self.ago(400),
            "established_on": self.ago(500),
            "papers": [paper("COMMITMENT", "承诺〔2025〕8 号")],
        }
        return institution_record_pb2.InstitutionDetails(
            **{name: proto(day) for name, day in (fields | more).items() if day is not None}
        )

    async def file(
        self, kind: str = "ELDER_CARE_HOME", region: str = "511702001", code: str = "", **more: Any
    ) -> Any:
        """File an institution; returns it."""
        reply = await self.ask(
            "FileInstitution",
            credit_code=code or self.new_code(),
            institution_kind=f"INSTITUTION_KIND_{kind}",
            region_code=region,
            details=self.details(**more),
        )
        return reply.institution

    async def accept(self, key: str, authority: str) -> Any:
        """One authority accepts."""
        reply = await self.ask(
            "AcceptFiling", institution_key=key, authority_code=authority, document="备案回执 17"
        )
        return reply.institution

    async def open(self, kind: str = "ELDER_CARE_HOME", **more: Any) -> str:
        """File, accept and open an institution of one-level filing; returns its key."""
        filed = await self.file(kind, **more)
        await self.accept(filed.institution_key, filed.region_code[:6])
        await self.ask(
            "StartOperation", institution_key=filed.institution_key, opened_on=self.ago(300)
        )
        return str(filed.institution_key)

    async def beds(self, key: str, count: int = 1, bed_class: str = "NURSING") -> list[str]:
        """Add beds, in service since 300 days; returns their keys."""
        reply = await self.ask(
            "AddBeds",
            institution_key=key,
            bed_class=f"BED_CLASS_{bed_class}",
            labels=[f"{bed_class[0]}-{uuid.uuid4().hex[:8]}" for _ in range(count)],
            in_service_on=self.ago(300),
        )
        return [bed.bed_key for bed in reply.beds]

    async def admit(self, resident: str, bed: str, day: date | None = None) -> Any:
        """Give a person a bed, of whom the registry has told; returns the admission."""
        await self.registers(resident)
        reply = await self.ask(
            "AdmitResident",
            resident_key=resident,
            bed_key=bed,
            admitted_on=day or self.ago(100),
            agreement_number="服协 2026-031",
        )
        return reply.admission

    async def institution(self, key: str) -> Any:
        """The institution as it is now."""
        return (await self.ask("GetInstitution", institution_key=key)).institution

    async def admission(self, key: str) -> Any:
        """The admission as it is now."""
        return (await self.ask("GetAdmission", admission_key=key)).admission

    async def registers(self, resident: str) -> None:
        """The registry tells of a resident, once."""
        async with self._registering:
            if resident not in self._registered:
                self._registered.add(resident)
                told = registry.ResidentRegistered(resident_key=resident, region_code="511702")
                await self.memory.deliver(told, producer="registry")

    async def dies(self, resident: str, day: date) -> None:
        """The registry tells of a death."""
        await self.memory.deliver(
            registry.ResidentDeceased(
                resident_key=resident, died_on=proto(day), region_code="511702"
            ),
            producer="registry",
        )

    async def lives(self, resident: str, day: date) -> None:
        """The registry tells that the death it had told of that day was wrong."""
        await self.memory.deliver(
            registry.ResidentDeathRevoked(
                resident_key=resident, died_on=proto(day), region_code="511702"
            ),
            producer="registry",
        )

    async def merges(self, resident: str, survivor: str) -> None:
        """The registry tells that two records were one person."""
        await self.memory.deliver(
            registry.ResidentMerged(resident_key=resident, survivor_key=survivor),
            producer="registry",
        )

    async def unmerges(self, resident: str, survivor: str) -> None:
        """The registry tells that they were not."""
        await self.memory.deliver(
            registry.ResidentMergeReversed(resident_key=resident, survivor_key=survivor),
            producer="registry",
        )

    async def punishes(
        self, code: str, listing: str, day: date, measure: str = "HALT_ADMISSIONS"
    ) -> None:
        """Credit orders a joint punishment."""
        await self.memory.deliver(
            credit.JointPunishmentOrdered(
                subject_key=code,
                subject_kind=listing_pb2.SUBJECT_KIND_ORGANISATION,
                listing_key=listing,
                measures=[listing_pb2.Measure.Value(f"MEASURE_{measure}")],
                began_on=proto(day),
            ),
            producer="credit",
        )

    async def pardons(self, code: str, listing: str, day: date) -> None:
        """Credit lifts it."""
        await self.memory.deliver(
            credit.JointPunishmentLifted(
                subject_key=code,
                subject_kind=listing_pb2.SUBJECT_KIND_ORGANISATION,
                listing_key=listing,
                measures=[listing_pb2.MEASURE_HALT_ADMISSIONS],
                lifted_on=proto(day),
            ),
            producer="credit",
        )


def proto(value: Any) -> Any:
    """Days as the contract has them; anything else as it is."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return Date(year=value.year, month=value.month, day=value.day)
    return value


def paper(kind: str, number: str) -> institution_record_pb2.FilingPaper:
    """A paper of a filing."""
    code = institution_record_pb2.FilingPaperKind.Value(f"FILING_PAPER_KIND_{kind}")
    return institution_record_pb2.FilingPaper(kind=code, number=number)


async def new_field() -> Field:
    """A field of its own."""
    memory = ServiceOnMemory("institutions", store.stores, store.REPOSITORIES, event, SUBSCRIPTIONS)
    return Field(await memory.start())


@pytest.fixture
async def field() -> AsyncIterator[Field]:
    """A field of its own; at its end nothing was set aside that the story did not mention."""
    made = await new_field()
    yield made
    assert made.memory.dead_letters() == []


@pytest.fixture(scope="session")
def fields() -> Any:
    """Makes as many fields as a property needs."""
    return new_field
