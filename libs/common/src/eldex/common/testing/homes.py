"""A tiny department for the tests of this library: homes, their beds and who moves in."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, ClassVar

from google.type.date_pb2 import Date

from eldex.api.registry.v1.resident_events_pb2 import ResidentDeceased
from eldex.common.aggregate import Aggregate
from eldex.common.errors import AlreadyExists, DomainError, Kind
from eldex.common.identifiers import RegionCode, new_key
from eldex.common.inbox import EventMeta
from eldex.common.store import (
    OUTBOX,
    ChangeSet,
    Document,
    Index,
    Mark,
    Outcome,
    Repository,
    UnitOfWork,
)
from eldex.common.testing.memory import MemoryBackend


class HomeFull(DomainError):
    """Every bed is taken."""

    kind, reason = Kind.CONFLICT, "HOME_FULL"
    zh, en = "{home}没有空床", "no free bed in {home}"


@dataclass(frozen=True)
class GuestAdmitted:
    """Somebody moved in."""

    home_key: str
    guest: str


class LicenceGiven(AlreadyExists):
    """Another home has the licence."""

    what = "licence"
    zh = "该许可证已发给另一机构：请核对许可证编号"
    en = "another home has this licence: check its number"


@dataclass(kw_only=True)
class Home(Aggregate):
    """A home with a number of beds."""

    licence: str = ""
    beds: int = 0
    region: RegionCode = field(default_factory=lambda: RegionCode("511702"))
    opened_on: date = date(2026, 1, 1)
    guests: list[str] = field(default_factory=list)

    def admit(self, guest: str) -> None:
        """Give the guest a bed; raises `HomeFull`."""
        if len(self.guests) >= self.beds:
            raise HomeFull(home=self.key)
        self.guests.append(guest)
        self.record(GuestAdmitted(self.key, guest))


class Homes(Repository[Home]):
    """The homes; a licence is given once."""

    kind = Home
    collection: ClassVar[str] = "homes"
    indexes: ClassVar[tuple[Index, ...]] = (
        Index((("licence", 1),), unique=True, taken=LicenceGiven),
        Index((("guests", 1),)),
    )
    history: ClassVar[bool] = True

    def derived(self, aggregate: Home) -> Document:
        """How many beds are free."""
        return {"free": aggregate.beds - len(aggregate.guests)}


def publish(event: object, version: int, now: datetime) -> Document:
    """An outbox document that tests can read; not one that a relay could send."""
    assert isinstance(event, GuestAdmitted)
    key = f"{event.home_key}/{version}/{event.guest}"
    return {"_id": key, "guest": event.guest, "sequence": version, "timestamp": now}


class Watched(MemoryBackend):
    """The twin, counting what it is asked, and holding answers back while its gate is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.fetches: list[tuple[str, list[Any]]] = []
        self.batches: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.fail_next: list[Exception] = []
        self.lose_next_answers = 0

    async def fetch(self, collection: str, path: str, values: Sequence[Any]) -> list[Document]:
        """Told to `fetches`; fails with what stands in `fail_next`."""
        self.fetches.append((f"{collection}.{path}", list(values)))
        if self.fail_next:
            raise self.fail_next.pop()
        found = await super().fetch(collection, path, values)
        await self.gate.wait()
        return found

    async def commit(self, batch: Sequence[ChangeSet]) -> list[Outcome]:
        """Told to `batches`; with `lose_next_answers` the driver tries again what was done."""
        self.batches.append(len(batch))
        await self.gate.wait()
        outcomes = await super().commit(batch)
        if self.lose_next_answers:
            self.lose_next_answers -= 1
            # The connection broke after the commit, and the driver's second try met the first's work.
            return await super().commit(batch)
        return outcomes

    def outbox(self) -> list[str]:
        """The guests of the events that wait, in order."""
        return [entry["guest"] for entry in self.collections[OUTBOX].values()]


def fresh() -> Mark:
    """A mark that no other act has."""
    return Mark(f"511700/member/civil-affairs/{uuid.uuid4()}")


def opening(key: str, beds: int, licence: str = "") -> Callable[[Homes, datetime], Awaitable[Home]]:
    """The act of opening a home."""

    async def act(homes: Homes, _: datetime) -> Home:
        home = Home(key=key, beds=beds, licence=licence or key)
        homes.save(home)
        return home

    return act


def admitting(home_key: str, guest: str) -> Callable[[Homes, datetime], Awaitable[Home]]:
    """The act of moving in."""

    async def act(homes: Homes, _: datetime) -> Home:
        home = await homes.get(home_key)
        home.admit(guest)
        homes.save(home)
        return home

    return act


async def home_of(work: UnitOfWork[Homes], key: str) -> Home:
    """The home as it is now."""
    return await work.read(lambda homes: homes.get(key))


async def until(holds: Callable[[], bool]) -> None:
    """Let the loop turn until something holds."""
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - nothing tells of a turn of the loop
            await asyncio.sleep(0)


def death(topic: str, resident_key: str, event_id: str = "", **entry: Any) -> Document:
    """An outbox entry of the registry that tells of a death."""
    message = ResidentDeceased(
        resident_key=resident_key,
        died_on=Date(year=2026, month=11, day=20),
        region_code="511702001",
        hukou_region_code="511702",
    )
    return {
        "_id": event_id or new_key("evt"),
        "aggregatetype": topic,
        "aggregateid": resident_key,
        "type": message.DESCRIPTOR.full_name,
        "payload": message.SerializeToString(),
        "timestamp": datetime(2026, 11, 22, 2, 0, tzinfo=UTC),
        "sequence": 1,
        "source": "//511700/registry",
        "regions": "511702,511702001",
        "traceparent": "",
        **entry,
    }


async def move_out(message: ResidentDeceased, meta: EventMeta, homes: Homes, _: datetime) -> None:
    """What the department does when a resident has died: note the event in the resident's home."""
    home = await homes.get(f"home-of-{message.resident_key}")
    home.admit(meta.event_id)
    homes.save(home)
