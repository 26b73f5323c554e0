"""Story 2: a move to another county changes scheme and amount from the right day, no day lost."""

from __future__ import annotations

from eldex.api.subsidies.v1 import entitlement_events_pb2
from eldex.local import stories
from eldex.local.acts import on
from eldex.local.field import Field
from eldex.local.narrating import Silent


async def test_a_resident_who_moves_is_paid_by_the_new_county_from_the_day_of_the_move(
    field: Field,
) -> None:
    key, trace_id = await stories.move_changes_the_amount(field, Silent())
    granted = [
        s.message
        for s in field.watcher.of(
            entitlement_events_pb2.EntitlementGranted,
            resident_key=key,
            scheme_code=stories.OLD_AGE,
        )
    ]
    (ended,) = field.watcher.of(entitlement_events_pb2.EntitlementEnded, resident_key=key)
    assert [each.region_code[:6] for each in granted] == ["511702", "511723"]
    assert ended.message.region_code.startswith("511702")
    assert ended.message.ended_on == granted[1].began_on == on("2026-10-16")
    assert granted[0].monthly_amount_fen != granted[1].monthly_amount_fen
    assert ended.trace_id == trace_id
