"""Story 3: an assessment finds the care allowance; long-term care and allowance never overlap."""

from __future__ import annotations

from eldex.api.subsidies.v1 import entitlement_events_pb2, entitlement_pb2
from eldex.local import stories
from eldex.local.acts import on
from eldex.local.field import Field
from eldex.local.narrating import Silent


async def test_the_allowance_is_found_without_an_application_decided_with_reasons_and_excluded(
    field: Field,
) -> None:
    key, trace_id = await stories.assessment_finds_the_allowance(field, Silent())
    (granted,) = field.watcher.of(
        entitlement_events_pb2.EntitlementGranted, resident_key=key, scheme_code=stories.CARE
    )
    assert granted.trace_id == trace_id
    assert granted.message.began_on == on("2026-11-02")
    assert len(granted.message.reasons) >= 2
    (stopped,) = field.watcher.of(
        entitlement_events_pb2.EntitlementStopped, resident_key=key, scheme_code=stories.CARE
    )
    assert stopped.message.stopped_on == on("2026-12-01")
    assert stopped.message.cause == entitlement_pb2.END_CAUSE_LONG_TERM_CARE
