"""The house's side of the pipeline's end: a projection on the house's own consumer runtime.

It keeps where each resident lives, as every department does: consumer, inbox with its marks, unit
of work with group commit, a version-guarded aggregate. Everything is on: spans, metrics, logs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from google.protobuf.message import Message

from bench.child import serve
from bench.tally import Tally, name_of
from eldex.api.registry.v1 import resident_events_pb2 as events_pb
from eldex.common.aggregate import Aggregate
from eldex.common.dates import day
from eldex.common.identifiers import RegionCode
from eldex.common.inbox import EventMeta, Inbox, Subscriptions
from eldex.common.kafka import Consumer, Record
from eldex.common.service import Parts, Plan, run
from eldex.common.settings import Settings
from eldex.common.store import Repository, Session

TOPIC = "registry-residents"


@dataclass(kw_only=True)
class Abode(Aggregate):
    """Where a resident lives, as this department has been told."""

    region_code: RegionCode
    since: date

    def told(self, region_code: RegionCode, since: date) -> bool:
        """Take over what is newer; False if it is not."""
        if since <= self.since:
            return False
        self.region_code, self.since = region_code, since
        return True


class MongoAbodes(Repository[Abode]):
    """Abodes by resident."""

    kind = Abode
    collection = "abodes"


async def on_moved(
    message: events_pb.ResidentMoved, _: EventMeta, abodes: MongoAbodes, __: datetime
) -> None:
    """A resident lives elsewhere."""
    region, since = RegionCode.parse(message.region_code), day(message.moved_on, "moved_on")
    abode = await abodes.find(message.resident_key)
    if abode is None:
        abode = Abode(key=message.resident_key, region_code=region, since=date.min)
    if abode.told(region, since):
        abodes.save(abode)


async def on_registered(
    message: events_pb.ResidentRegistered, _: EventMeta, abodes: MongoAbodes, __: datetime
) -> None:
    """A resident is new."""
    region = RegionCode.parse(message.region_code)
    since = day(message.resident_since, "resident_since")
    if await abodes.find(message.resident_key) is None:
        abodes.save(Abode(key=message.resident_key, region_code=region, since=since))


def name_of_record(record: Record) -> str:
    """How the bench calls the effect of a record."""
    if not record.headers["ce_type"].endswith("ResidentMoved"):
        return record.key
    event = events_pb.ResidentMoved.FromString(record.value)
    moved_on = event.moved_on
    return name_of(event.resident_key, moved_on.year, moved_on.month, moved_on.day)


def plan() -> Plan[MongoAbodes]:
    """The projection as a service of the house."""
    tally = Tally()

    def tasks(parts: Parts[MongoAbodes]) -> Sequence[Callable[[], Any]]:
        subscriptions: Subscriptions[MongoAbodes] = {
            events_pb.ResidentMoved: on_moved,
            events_pb.ResidentRegistered: on_registered,
        }
        inbox = Inbox("bench", subscriptions, parts.work)

        async def apply(record: Record) -> None:
            await inbox.apply(record)
            tally.add([name_of_record(record)])

        # What `subscriptions` of a plan does, but for being told when each effect is durable.
        consumer = Consumer(parts.settings.kafka_bootstrap, "bench", [TOPIC], apply)
        # A task that ends ends the service: so it goes when the bench does.
        return [consumer.run, lambda: serve(tally.do)]

    def to_message(event: Any) -> Message:
        raise AssertionError(f"a projection tells nothing: {event}")

    return Plan(
        name="bench",
        stores=_stores,
        repositories=(MongoAbodes,),
        to_message=to_message,
        services=lambda _: [],
        tasks=tasks,
    )


def _stores(session: Session) -> MongoAbodes:
    return MongoAbodes(session)


if __name__ == "__main__":
    run(plan(), Settings.read())
