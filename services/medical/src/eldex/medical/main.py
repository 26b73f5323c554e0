"""Medical insurance as a process: wiring, and nothing else."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from eldex.api.medical.v1 import medical_service_pb2
from eldex.api.registry.v1 import resident_events_pb2 as registry
from eldex.common.dates import day, optional_day
from eldex.common.identifiers import RegionCode
from eldex.common.inbox import EventMeta, Subscriptions
from eldex.common.regions import Divisions
from eldex.common.service import Parts, Plan, Served, run, service_descriptor
from eldex.common.settings import Settings
from eldex.medical import store
from eldex.medical.domain.person import Membership
from eldex.medical.handlers import residents
from eldex.medical.handlers.ports import Stores
from eldex.medical.rpc import MedicalService
from eldex.medical.wire import enums, events


async def _registered(
    message: registry.ResidentRegistered, _meta: EventMeta, stores: Stores, _now: datetime
) -> None:
    await residents.on_registered(
        message.resident_key,
        day(message.born_on, "born_on"),
        RegionCode.parse(message.region_code),
        day(message.resident_since, "resident_since"),
        stores,
    )


async def _moved(
    message: registry.ResidentMoved, _meta: EventMeta, stores: Stores, _now: datetime
) -> None:
    region, moved_on = RegionCode.parse(message.region_code), day(message.moved_on, "moved_on")
    await residents.on_moved(message.resident_key, region, moved_on, stores)


async def _deceased(
    message: registry.ResidentDeceased, _meta: EventMeta, stores: Stores, _now: datetime
) -> None:
    await residents.on_deceased(message.resident_key, day(message.died_on, "died_on"), stores)


async def _death_revoked(
    message: registry.ResidentDeathRevoked, _meta: EventMeta, stores: Stores, _now: datetime
) -> None:
    await residents.on_death_revoked(message.resident_key, stores)


async def _merged(
    message: registry.ResidentMerged, _meta: EventMeta, stores: Stores, _now: datetime
) -> None:
    await residents.on_merged(message.resident_key, message.survivor_key, stores)


async def _merge_reversed(
    message: registry.ResidentMergeReversed, _meta: EventMeta, stores: Stores, _now: datetime
) -> None:
    await residents.on_merge_reversed(message.resident_key, message.survivor_key, stores)


async def _eligibility_granted(
    message: registry.EligibilityGranted, _meta: EventMeta, stores: Stores, _now: datetime
) -> None:
    eligibility_class = enums.CLASSES.maybe(message.eligibility_class)
    if eligibility_class is None:
        return  # a class that a later contract knows: no number here can be about it yet
    membership = Membership(
        message.eligibility_key,
        eligibility_class,
        day(message.valid_from, "valid_from"),
        optional_day(message.valid_to, "valid_to"),
    )
    await residents.on_eligibility_granted(message.resident_key, membership, stores)


async def _eligibility_ended(
    message: registry.EligibilityEnded, _meta: EventMeta, stores: Stores, _now: datetime
) -> None:
    eligibility_class = enums.CLASSES.maybe(message.eligibility_class)
    if eligibility_class is None:
        return
    ended_on = day(message.ended_on, "ended_on")
    ended = Membership(message.eligibility_key, eligibility_class, None, ended_on)
    await residents.on_eligibility_ended(message.resident_key, ended, stores)


def subscriptions(_parts: Any = None) -> Subscriptions[Stores]:
    """What the registry tells, and who acts on it here."""
    return {
        registry.ResidentRegistered: _registered,
        registry.ResidentMoved: _moved,
        registry.ResidentDeceased: _deceased,
        registry.ResidentDeathRevoked: _death_revoked,
        registry.ResidentMerged: _merged,
        registry.ResidentMergeReversed: _merge_reversed,
        registry.EligibilityGranted: _eligibility_granted,
        registry.EligibilityEnded: _eligibility_ended,
    }


def plan(_settings: Settings) -> Plan[Stores]:
    """Medical insurance, described."""

    def services(parts: Parts[Stores]) -> Served:
        descriptor = service_descriptor(medical_service_pb2, "MedicalService")
        return [(descriptor, MedicalService(parts.work, Divisions.load()))]

    return Plan(
        name="medical",
        stores=store.stores,
        repositories=store.REPOSITORIES,
        to_message=events.event,
        services=services,
        subscriptions=subscriptions,
    )


def main() -> None:
    """Run medical insurance."""
    settings = Settings.read()
    run(plan(settings), settings)


if __name__ == "__main__":
    main()
