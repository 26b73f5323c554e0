"""Institutions as a process: wiring, and nothing else."""

from __future__ import annotations

from datetime import datetime

from eldex.api.credit.v1 import credit_events_pb2 as credit
from eldex.api.credit.v1 import listing_pb2
from eldex.api.institutions.v1 import institutions_service_pb2
from eldex.api.registry.v1 import resident_events_pb2 as registry
from eldex.common.calendar import WorkingDays
from eldex.common.dates import day
from eldex.common.inbox import EventMeta, Subscriptions
from eldex.common.regions import Divisions
from eldex.common.service import Parts, Plan, Served, run, service_descriptor
from eldex.common.settings import Settings
from eldex.institutions import store
from eldex.institutions.handlers import filing, people
from eldex.institutions.handlers.ports import Stores, Tables
from eldex.institutions.rpc.service import InstitutionsService
from eldex.institutions.wire.events import event
from eldex.institutions.wire.parameters import seeds


def tables() -> Tables:
    """Divisions, working days and the parameters that come with the service."""
    return Tables(Divisions.load(), WorkingDays(), seeds())


async def _registered(
    told: registry.ResidentRegistered, _meta: EventMeta, stores: Stores, _now: datetime
) -> None:
    await people.know(told.resident_key, stores)


async def _deceased(
    told: registry.ResidentDeceased, _meta: EventMeta, stores: Stores, _now: datetime
) -> None:
    await people.release_on_death(told.resident_key, day(told.died_on, "died_on"), stores)


async def _death_revoked(
    told: registry.ResidentDeathRevoked, _meta: EventMeta, stores: Stores, _now: datetime
) -> None:
    died_on = day(told.died_on, "died_on")
    await people.readmit_after_revoked_death(told.resident_key, died_on, stores)


async def _merged(
    told: registry.ResidentMerged, _meta: EventMeta, stores: Stores, _now: datetime
) -> None:
    await people.carry_over_on_merge(told.resident_key, told.survivor_key, stores)


async def _merge_reversed(
    told: registry.ResidentMergeReversed, _meta: EventMeta, stores: Stores, _now: datetime
) -> None:
    await people.give_back_on_reversal(told.resident_key, told.survivor_key, stores)


def _concerns_us(told: credit.JointPunishmentOrdered | credit.JointPunishmentLifted) -> bool:
    return (
        told.subject_kind == listing_pb2.SUBJECT_KIND_ORGANISATION
        and listing_pb2.MEASURE_HALT_ADMISSIONS in told.measures
    )


async def _punished(
    told: credit.JointPunishmentOrdered, _meta: EventMeta, stores: Stores, now: datetime
) -> None:
    if _concerns_us(told):
        began_on = day(told.began_on, "began_on")
        await filing.halt_on_punishment(told.subject_key, told.listing_key, began_on, stores, now)


async def _pardoned(
    told: credit.JointPunishmentLifted, _meta: EventMeta, stores: Stores, now: datetime
) -> None:
    if _concerns_us(told):
        lifted_on = day(told.lifted_on, "lifted_on")
        await filing.reopen_on_lifting(told.subject_key, told.listing_key, lifted_on, stores, now)


SUBSCRIPTIONS: Subscriptions[Stores] = {
    registry.ResidentRegistered: _registered,
    registry.ResidentDeceased: _deceased,
    registry.ResidentDeathRevoked: _death_revoked,
    registry.ResidentMerged: _merged,
    registry.ResidentMergeReversed: _merge_reversed,
    credit.JointPunishmentOrdered: _punished,
    credit.JointPunishmentLifted: _pardoned,
}


def plan(settings: Settings) -> Plan[Stores]:  # noqa: ARG001 - every service's plan is made alike
    """Institutions, described."""

    def services(parts: Parts[Stores]) -> Served:
        return [
            (
                service_descriptor(institutions_service_pb2, "InstitutionsService"),
                InstitutionsService(parts.work, tables()),
            )
        ]

    return Plan(
        name="institutions",
        stores=store.stores,
        repositories=store.REPOSITORIES,
        to_message=event,
        services=services,
        subscriptions=lambda _: SUBSCRIPTIONS,
    )


def main() -> None:
    """Run institutions."""
    settings = Settings.read()
    run(plan(settings), settings)


if __name__ == "__main__":
    main()
