"""The registry on the in-memory twin, behind a counter where requests are checked as at the real one."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from datetime import date
from typing import Any

import protovalidate
import pytest
from google.protobuf.message import Message
from google.type.date_pb2 import Date

from eldex.api.registry.v1 import assessment_pb2, resident_pb2
from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.api.registry.v1 import resident_events_pb2 as events_pb
from eldex.common.identifiers import check_character
from eldex.common.sealing import Sealer
from eldex.common.testing.harness import ServiceOnMemory
from eldex.registry import main, store
from eldex.registry.domain.scoring import ITEMS, Block
from eldex.registry.handlers.ports import Stores
from eldex.registry.rpc.service import RegistryService
from eldex.registry.wire.events import event

_SNAKE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_FIELDS = {
    Block.SELF_CARE: "self_care",
    Block.MOBILITY: "mobility",
    Block.MENTAL_STATE: "mental_state",
    Block.PARTICIPATION: "perception_and_participation",
}
TABLES = main.tables()


def day(text: str) -> Date:
    """A day of the contract from ISO text."""
    value = date.fromisoformat(text)
    return Date(year=value.year, month=value.month, day=value.day)


def fictional_number(born: str, sequence: str = "002", county: str = "511702") -> str:
    """A number that fits GB 11643 and is nobody's: made up for these stories."""
    body = f"{county}{born.replace('-', '')}{sequence}"
    return body + check_character(body)


class Counter:
    """The registry's counter: requests in, replies out, and what follows from its own events."""

    def __init__(self, service: ServiceOnMemory[Stores]) -> None:
        self.service = service
        self.rpc = RegistryService(service.work, TABLES)
        self.day, self.number = day, fictional_number
        self._sequence = self._sequences()
        self._settled = 0

    @staticmethod
    def _sequences() -> Iterator[str]:
        for number in range(2, 1000, 2):
            yield f"{number:03d}"

    async def ask(self, request: Message, language: str = "en") -> Any:
        """Hand in a request: checked by the contract's rules, with a request_id if it needs one."""
        fields = request.DESCRIPTOR.fields_by_name
        writable: Any = request
        if "request_id" in fields and not writable.request_id:
            writable.request_id = str(uuid.uuid4())
        protovalidate.validate(request)
        name = request.DESCRIPTOR.name.removesuffix("Request")
        method = f"/eldex.api.registry.v1.RegistryService/{name}"
        handler = getattr(self.rpc, _SNAKE.sub("_", name).lower())
        return await handler(request, self.service.call(method, language))

    async def enter(self, name: str, born: str = "1940-05-06", region: str = "511702001") -> str:
        """Register a person with a fictional number; returns the key."""
        number = fictional_number(born, next(self._sequence))
        reply = await self.ask(
            pb.RegisterResidentRequest(
                document=resident_pb2.PersonDocument(
                    kind=resident_pb2.DOCUMENT_KIND_RESIDENT_IDENTITY_CARD, number=number
                ),
                name=name,
                region_code=region,
                resident_since=day("2015-01-01"),
            )
        )
        return str(reply.resident.resident_key)

    async def show(self, key: str) -> resident_pb2.Resident:
        """The resident as known now."""
        reply: pb.GetResidentResponse = await self.ask(pb.GetResidentRequest(resident_key=key))
        return reply.resident

    async def die(self, key: str, on: str) -> None:
        """Register a death, and let the registry hear of it."""
        await self.ask(
            pb.RegisterDeathRequest(
                resident_key=key, died_on=day(on), evidence="居民死亡医学证明书"
            )
        )
        await self.settle()

    async def settle(self) -> None:
        """Deliver to the registry those of its own events that it listens to, each once."""
        kinds = (
            events_pb.ResidentDeceased,
            events_pb.ResidentDeathRevoked,
            events_pb.ResidentMergeReversed,
        )
        told: list[Message] = self.service.events()
        for message in told[self._settled :]:
            if isinstance(message, kinds):
                await self.service.deliver(message, producer="registry")
        self._settled = len(told)
        assert not self.service.dead_letters()

    @staticmethod
    def scores(total: int = 90) -> assessment_pb2.AbilityScores:
        """Points that add up to a total, taken off item by item in the order of table B."""
        scores, left = assessment_pb2.AbilityScores(), 90 - total
        for block, items in ITEMS.items():
            part = getattr(scores, _FIELDS[block])
            for item, most in items.items():
                off = min(left, most)
                setattr(part, item, most - off)
                left -= off
        return scores

    async def assess(self, key: str, total: int, on: str, **more: Any) -> assessment_pb2.Assessment:
        """Record an assessment with so many points."""
        reply: pb.RecordAssessmentResponse = await self.ask(
            pb.RecordAssessmentRequest(
                resident_key=key,
                reason=assessment_pb2.ASSESSMENT_REASON_REGULAR,
                assessed_on=day(on),
                assessor_credit_code="11220000013544357T",
                assessor_certificates=["虚构-评估员-017", "虚构-评估员-022"],
                findings=assessment_pb2.Findings(scores=self.scores(total), **more),
            )
        )
        return reply.assessment


@pytest.fixture
async def counter() -> Counter:
    """The registry, open."""
    store.use_sealer(Sealer({255: bytes(64)}, "registry/document"))
    service = ServiceOnMemory(
        "registry", store.stores, store.REPOSITORIES, event, main.subscriptions()
    )
    return Counter(await service.start())
