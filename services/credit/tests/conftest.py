"""The city of the stories: credit on the in-memory twin, behind a door that checks requests."""

from __future__ import annotations

import uuid
from datetime import date
from functools import cache
from typing import Any

import protovalidate
import pytest
from google.type.date_pb2 import Date

from eldex.api.credit.v1 import credit_service_pb2 as pb
from eldex.api.credit.v1 import listing_pb2, worker_file_pb2
from eldex.api.registry.v1 import resident_pb2
from eldex.common.clock import day_of
from eldex.common.identifiers import credit_check_character
from eldex.common.regions import Divisions
from eldex.common.sealing import Sealer
from eldex.common.store import UnitOfWork
from eldex.common.testing.harness import ServiceOnMemory
from eldex.credit import store
from eldex.credit.handlers.ports import Stores
from eldex.credit.main import SUBSCRIPTIONS, settle_due_listings
from eldex.credit.rpc.service import CreditService
from eldex.credit.wire import events

NUMBER = "11010519491231002X"  # the standard's own example (GB 11643), nobody's
COUNTY = "511702"


def code(body: str) -> str:
    """A fictional credit code with its right check character."""
    return body + credit_check_character(body)


HOME = code("52511702MJQ000018")
"""A non-profit home, registered by civil affairs."""
COMPANY = code("91511702MA6000019")
"""A company, registered by market regulation."""


# Both take a third of a second to make and never change.
shared_validator = cache(protovalidate.Validator)
divisions = cache(Divisions.load)


class Door:
    """The rpc object, behind the contract's field rules as at the real server."""

    def __init__(self, service: CreditService) -> None:
        self._service = service

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._service, name)

        async def checked(request: Any, call: Any) -> Any:
            shared_validator().validate(request)
            return await method(request, call)

        return checked


class City:
    """The credit service with its door, and short words for the acts of its stories."""

    home, company, county, number = HOME, COMPANY, COUNTY, NUMBER

    def __init__(self, service: ServiceOnMemory[Stores]) -> None:
        self.service = service
        self.enter_by(service.work)

    def enter_by(self, work: UnitOfWork[Stores]) -> None:
        """Have the door lead to another database."""
        self.work = work
        self.door = Door(CreditService(work, divisions()))

    @staticmethod
    def rid() -> str:
        """A request id of its own."""
        return str(uuid.uuid4())

    @staticmethod
    def on(text: str) -> Date:
        """A day for a request."""
        day = date.fromisoformat(text)
        return Date(year=day.year, month=day.month, day=day.day)

    @staticmethod
    def iso(day: Date) -> str:
        """A day of a reply."""
        return date(day.year, day.month, day.day).isoformat()

    @staticmethod
    def organisation(key: str = HOME) -> listing_pb2.Subject:
        """An organisation as the subject of a request."""
        return listing_pb2.Subject(kind=listing_pb2.SUBJECT_KIND_ORGANISATION, key=key)

    @classmethod
    async def open(cls) -> City:
        """A fresh city on Sunday, 22 November 2026."""
        store.use_sealer(Sealer({255: bytes(64)}, "credit/worker"))
        service = ServiceOnMemory(
            "credit", store.stores, store.REPOSITORIES, events.event, SUBSCRIPTIONS
        )
        return cls(await service.start())

    @property
    def today(self) -> date:
        """What the clock says."""
        return day_of(self.service.clock())

    async def until(self, text: str) -> int:
        """Let the days go by to a day, and the calendar act; returns how many were due."""
        self.service.clock.pass_days((date.fromisoformat(text) - self.today).days)
        return await settle_due_listings(self.work, self.today)

    def call(self) -> Any:
        """A call as the exchange makes it."""
        return self.service.call("/eldex.api.credit.v1.CreditService/Any")

    async def enter(self, **more: Any) -> Any:
        """Enter a decided listing: by default, the home defrauded public funds."""
        fields: dict[str, Any] = {
            "request_id": self.rid(),
            "subject": self.organisation(),
            "colour": listing_pb2.LIST_COLOUR_BLACK,
            "ground_code": "PUBLIC_FUNDS_FRAUD",
            "authority": "通川区民政局（虚构）",
            "region_code": COUNTY,
            "evidence": ["通民罚〔2026〕7号"],
            "summary": "虚报入住人数，骗取运营补贴",
            "document": f"通民信列〔2026〕{self.rid()[:4]}号",
        }
        reply = await self.door.enter_listing(
            pb.EnterListingRequest(**(fields | more)), self.call()
        )
        return reply.listing

    async def check(self, day: str = "", key: str = HOME) -> Any:
        """Where an organisation stands on a day."""
        request = pb.CheckSubjectRequest(
            subject=self.organisation(key), on=self.on(day) if day else None
        )
        return await self.door.check_subject(request, self.call())

    async def worker(self) -> str:
        """Open the file of 王秀英; returns its key."""
        request = pb.OpenWorkerFileRequest(
            request_id=self.rid(),
            document=resident_pb2.PersonDocument(
                kind=resident_pb2.DOCUMENT_KIND_RESIDENT_IDENTITY_CARD, number=NUMBER
            ),
            name="王秀英",
            role=worker_file_pb2.WORKER_ROLE_CARE_WORKER,
            region_code=COUNTY,
        )
        reply = await self.door.open_worker_file(request, self.call())
        return str(reply.worker_file.worker_key)


@pytest.fixture
async def city() -> City:
    """A fresh city."""
    return await City.open()
