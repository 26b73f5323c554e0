"""Story 1: a death stops payments everywhere, once, in one trace; a late notice is claimed back."""

from __future__ import annotations

import pytest
from google.type.date_pb2 import Date

from eldex.api.institutions.v1 import bed_events_pb2
from eldex.api.medical.v1 import medical_events_pb2
from eldex.api.registry.v1 import resident_events_pb2
from eldex.api.subsidies.v1 import entitlement_events_pb2
from eldex.api.subsidies.v1 import subsidies_service_pb2 as subsidies_pb
from eldex.local import acts, stories
from eldex.local.acts import on
from eldex.local.field import Field, Refused
from eldex.local.narrating import Silent

EFFECTS = (
    resident_events_pb2.ResidentDeceased,
    entitlement_events_pb2.EntitlementEnded,
    medical_events_pb2.EnrolmentEnded,
    bed_events_pb2.BedReleased,
)


async def test_a_death_ends_what_it_must_in_every_department_in_one_trace(field: Field) -> None:
    key, trace_id = await stories.death_stops_payments(field, Silent())
    for kind in EFFECTS:
        (seen,) = field.watcher.of(kind, resident_key=key)
        assert seen.trace_id == trace_id
    (partner_told,) = field.partner.of(resident_events_pb2.ResidentDeceased, resident_key=key)
    assert partner_told.trace_id == trace_id
    (ended,) = field.watcher.of(entitlement_events_pb2.EntitlementEnded, resident_key=key)
    assert ended.message.ended_on == on("2026-11-01")
    (released,) = field.watcher.of(bed_events_pb2.BedReleased, resident_key=key)
    assert released.message.cause == bed_events_pb2.RELEASE_CAUSE_DEATH


async def test_the_same_notice_twice_changes_nothing(field: Field) -> None:
    key, _ = await stories.death_stops_payments(field, Silent())
    again = await acts.register_death(field, key, "2026-11-01")
    assert again.reply.resident.resident_key == key
    marker, _ = await acts.enter_resident(field, name="标记", born_on="1990-01-01")
    await field.watcher.until(resident_events_pb2.ResidentRegistered, resident_key=marker)
    for kind in EFFECTS:
        assert len(field.watcher.of(kind, resident_key=key)) == 1
    with pytest.raises(Refused) as refused:
        await acts.register_death(field, key, "2026-11-02")
    assert refused.value.reason == "DEATH_ALREADY_REGISTERED"


async def test_a_late_notice_turns_what_was_overpaid_into_a_recovery(field: Field) -> None:
    key, _ = await acts.enter_resident(field, name="孙桂英", born_on="1939-05-05")
    await field.watcher.until(
        entitlement_events_pb2.EntitlementGranted, resident_key=key, scheme_code=stories.OLD_AGE
    )
    await run_cycle(field, "2026-10-01")
    paid = await field.watcher.until(
        entitlement_events_pb2.DisbursementMade, resident_key=key, timeout_seconds=60
    )
    await acts.register_death(field, key, "2026-10-16")
    recovery = await field.watcher.until(entitlement_events_pb2.RecoveryOpened, resident_key=key)
    # October has 31 days; 1 to 15 October are due, 16 to 31 are not: of 60 yuan a month 16 of 31 days come back.
    assert (paid.message.month, paid.message.amount_fen) == (on("2026-10-01"), 6000)
    due = 6000 * 15 // 31
    assert (due, recovery.message.amount_fen) == (2903, 6000 - due)
    ended = await field.watcher.until(entitlement_events_pb2.EntitlementEnded, resident_key=key)
    assert ended.message.ended_on == on("2026-10-16")


async def run_cycle(field: Field, month: str) -> None:
    """Finance pays a month; what is paid already is not paid again."""
    day: Date = on(month)
    await field["finance"].ask(
        "SubsidiesService/RunCycle",
        subsidies_pb.RunCycleRequest(month=day, region_code="5117"),
        timeout_seconds=60,
    )
