"""Subsidies as a process: wiring, and nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, TypeVar

from eldex.api.credit.v1 import credit_events_pb2 as credit
from eldex.api.institutions.v1 import bed_events_pb2 as beds
from eldex.api.institutions.v1 import institution_events_pb2 as homes
from eldex.api.medical.v1 import medical_events_pb2 as medical
from eldex.api.registry.v1 import resident_events_pb2 as registry
from eldex.api.subsidies.v1 import subsidies_service_pb2
from eldex.common.dates import day
from eldex.common.inbox import EventMeta, Subscriptions
from eldex.common.regions import Divisions
from eldex.common.service import Parts, Plan, Served, run, service_descriptor
from eldex.common.settings import Settings
from eldex.common.store import Mark, UnitOfWork
from eldex.subsidies.handlers import facts, institutions
from eldex.subsidies.handlers.ports import Stores
from eldex.subsidies.handlers.working import Worker
from eldex.subsidies.rpc.service import SubsidiesService
from eldex.subsidies.store.collections import REPOSITORIES, stores_with
from eldex.subsidies.wire import enums, parameter_files
from eldex.subsidies.wire import facts as wire
from eldex.subsidies.wire.events import event

T = TypeVar("T")

_LEASE_SECONDS = 10.0


class UnitOfWorkForWorker:
    """The unit of work as the worker needs it."""

    def __init__(self, work: UnitOfWork[Stores]) -> None:
        self._work = work

    async def read(self, act: Callable[[Stores], Awaitable[T]]) -> T:
        """Run an act that writes nothing."""
        return await self._work.read(act)

    async def once(self, name: str, act: Callable[[Stores, datetime], Awaitable[None]]) -> None:
        """Run and commit an act, unless one of that name was committed before."""
        await self._work.write(Mark(name), act)


# --- what it listens to ------------------------------------------------------------------------

Listener = Callable[[Any, EventMeta, Stores, datetime], Awaitable[None]]


def _on(act: Callable[[Any, Stores, datetime], Awaitable[None]]) -> Listener:
    async def listen(told: Any, _meta: EventMeta, stores: Stores, now: datetime) -> None:
        await act(told, stores, now)

    return listen


def _stops_subsidies(told: credit.JointPunishmentOrdered | credit.JointPunishmentLifted) -> bool:
    return told.subject_kind == enums.ORGANISATION and enums.STOP_SUBSIDIES in told.measures


async def _punished(told: credit.JointPunishmentOrdered, stores: Stores, now: datetime) -> None:
    if _stops_subsidies(told):
        began_on = day(told.began_on, "began_on")
        await institutions.decide_on_punishment(
            told.subject_key, told.listing_key, began_on, stores, now
        )


async def _pardoned(told: credit.JointPunishmentLifted, stores: Stores, now: datetime) -> None:
    if _stops_subsidies(told):
        lifted_on = day(told.lifted_on, "lifted_on")
        await institutions.decide_on_punishment_lifted(
            told.subject_key, told.listing_key, lifted_on, stores, now
        )


async def _cared_for(
    told: medical.LongTermCareGranted, meta: EventMeta, stores: Stores, now: datetime
) -> None:
    await facts.decide_on_long_term_care(wire.care_granted(told, meta.sequence), stores, now)


async def _cared_for_no_more(
    told: medical.LongTermCareEnded, meta: EventMeta, stores: Stores, now: datetime
) -> None:
    await facts.decide_on_long_term_care_end(wire.care_ended(told, meta.sequence), stores, now)


SUBSCRIPTIONS: Subscriptions[Stores] = {
    registry.ResidentRegistered: _on(
        lambda told, s, now: facts.decide_on_residence(wire.registered(told), s, now)
    ),
    registry.ResidentMoved: _on(
        lambda told, s, now: facts.decide_on_residence(wire.moved(told), s, now)
    ),
    registry.ResidentDeceased: _on(
        lambda told, s, now: facts.end_on_death(
            told.resident_key, day(told.died_on, "died_on"), s, now
        )
    ),
    registry.ResidentDeathRevoked: _on(
        lambda told, s, now: facts.go_on_after_revoked_death(
            told.resident_key, day(told.died_on, "died_on"), s, now
        )
    ),
    registry.ResidentMerged: _on(
        lambda told, s, now: facts.merge_into_survivor(told.resident_key, told.survivor_key, s, now)
    ),
    registry.ResidentMergeReversed: _on(
        lambda told, s, now: facts.restore_after_merge(told.resident_key, told.survivor_key, s, now)
    ),
    registry.EligibilityGranted: _on(
        lambda told, s, now: facts.decide_on_eligibility(wire.belongs(told), s, now)
    ),
    registry.EligibilityEnded: _on(
        lambda told, s, now: facts.decide_on_eligibility_end(
            told.resident_key,
            told.eligibility_key,
            wire.eligibility_class(told.eligibility_class),
            day(told.ended_on, "ended_on"),
            s,
            now,
        )
    ),
    registry.AssessmentCompleted: _on(
        lambda told, s, now: facts.decide_on_assessment(wire.assessed(told), s, now)
    ),
    registry.AssessmentAnnulled: _on(
        lambda told, s, now: facts.decide_on_annulment(
            told.resident_key, told.assessment_key, s, now
        )
    ),
    medical.LongTermCareGranted: _cared_for,
    medical.LongTermCareEnded: _cared_for_no_more,
    homes.InstitutionFiled: _on(
        lambda told, s, now: institutions.decide_on_filing(wire.filed(told), s, now)
    ),
    homes.InstitutionOpened: _on(
        lambda told, s, now: institutions.decide_on_opening(
            told.institution_key, day(told.opened_on, "opened_on"), s, now
        )
    ),
    homes.InstitutionSuspended: _on(
        lambda told, s, now: institutions.decide_on_suspension(
            told.institution_key, day(told.suspended_on, "suspended_on"), s, now, suspended=True
        )
    ),
    homes.InstitutionResumed: _on(
        lambda told, s, now: institutions.decide_on_suspension(
            told.institution_key, day(told.resumed_on, "resumed_on"), s, now, suspended=False
        )
    ),
    homes.InstitutionClosed: _on(
        lambda told, s, now: institutions.decide_on_closure(
            told.institution_key, day(told.closed_on, "closed_on"), s, now
        )
    ),
    beds.BedOccupied: _on(lambda told, s, _: institutions.take_note_of_bed(wire.occupied(told), s)),
    beds.BedReleased: _on(lambda told, s, _: institutions.take_note_of_bed(wire.released(told), s)),
    beds.BedConverted: _on(
        lambda told, s, _: institutions.take_note_of_conversion(
            told.bed_key, wire.bed_class(told.bed_class), day(told.converted_on, "converted_on"), s
        )
    ),
    credit.JointPunishmentOrdered: _on(_punished),
    credit.JointPunishmentLifted: _on(_pardoned),
}


# --- the process -------------------------------------------------------------------------------


def plan(settings: Settings) -> Plan[Stores]:  # noqa: ARG001 - every service's plan is made alike
    """Subsidies, described."""
    shipped = parameter_files.load()
    workers: dict[int, Worker] = {}

    def worker(parts: Parts[Stores]) -> Worker:
        return workers.setdefault(
            id(parts),
            Worker(
                UnitOfWorkForWorker(parts.work),
                parts.clock,
                shipped.seeds,
                lambda: parts.backend.lease("worker", parts.settings.instance, _LEASE_SECONDS),
            ),
        )

    def services(parts: Parts[Stores]) -> Served:
        return [
            (
                service_descriptor(subsidies_service_pb2, "SubsidiesService"),
                SubsidiesService(parts.work, Divisions.load(), worker(parts).wake),
            )
        ]

    return Plan(
        name="subsidies",
        stores=stores_with(shipped.catalogue),
        repositories=REPOSITORIES,
        to_message=event,
        services=services,
        prepare=lambda parts: worker(parts).seed(),
        subscriptions=lambda _: SUBSCRIPTIONS,
        tasks=lambda parts: [worker(parts).run],
    )


def main() -> None:
    """Run subsidies."""
    settings = Settings.read()
    run(plan(settings), settings)


if __name__ == "__main__":
    main()
