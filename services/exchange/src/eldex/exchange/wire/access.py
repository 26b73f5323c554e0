"""What decisions rest on beside the agreements, between the contract's messages and our nouns."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.message import Message

from eldex.api.exchange.v1 import access_events_pb2 as events_pb
from eldex.api.exchange.v1 import access_pb2 as access_pb
from eldex.common.dates import day, optional_day, proto_day, proto_instant
from eldex.common.identifiers import RegionCode
from eldex.exchange.domain.break_glass import (
    BreakGlass,
    BreakGlassReviewed,
    BreakGlassUsed,
    ReviewRule,
    State,
)
from eldex.exchange.domain.consents import Consent


def access_event(fact: BreakGlassUsed | BreakGlassReviewed) -> Message:
    """What is told of emergencies."""
    match fact:
        case BreakGlassUsed():
            return events_pb.BreakGlassUsed(
                break_glass_key=fact.break_glass_key,
                subsystem=fact.subsystem,
                method=fact.method,
                purpose=fact.purpose,
                agreement_key=fact.agreement_key,
                review_by=proto_instant(fact.review_by),
                region_code=str(fact.region_code),
            )
        case BreakGlassReviewed():
            return events_pb.BreakGlassReviewed(
                break_glass_key=fact.break_glass_key,
                subsystem=fact.subsystem,
                justified=fact.justified,
                late=fact.late,
                region_code=str(fact.region_code),
            )


_STATES = {
    State.OPEN: access_pb.BREAK_GLASS_STATE_OPEN,
    State.OVERDUE: access_pb.BREAK_GLASS_STATE_OVERDUE,
    State.JUSTIFIED: access_pb.BREAK_GLASS_STATE_JUSTIFIED,
    State.UNJUSTIFIED: access_pb.BREAK_GLASS_STATE_UNJUSTIFIED,
}


def state_in(value: int) -> State | None:
    """The state that a request names, if it names one."""
    return next((state for state, number in _STATES.items() if number == value), None)


def consent(found: Consent) -> access_pb.Consent:
    """A consent as replies show it."""
    return access_pb.Consent(
        consent_key=found.key,
        resident_key=found.resident_key,
        subsystem=found.subsystem,
        purpose=found.purpose,
        evidence=found.evidence,
        given_at=proto_instant(found.given_at),
        valid_to=proto_day(found.valid_to),
        withdrawn_at=proto_instant(found.withdrawn_at),
        withdrawal_evidence=found.withdrawal_evidence,
        recorded_by=found.recorded_by,
        etag=found.etag,
    )


def break_glass(found: BreakGlass, now: datetime) -> access_pb.BreakGlass:
    """A use of break-glass as replies show it."""
    return access_pb.BreakGlass(
        break_glass_key=found.key,
        subsystem=found.subsystem,
        method=found.method,
        purpose=found.purpose,
        agreement_key=found.agreement_key,
        agreement_version=found.agreement_version,
        justification=found.justification,
        resident_keys=found.resident_keys,
        set_aside=found.set_aside,
        used_at=proto_instant(found.used_at),
        review_by=proto_instant(found.review_by),
        state=_STATES[found.state(now)],
        reviewed_by=found.reviewed_by,
        finding=found.finding,
        reviewed_at=proto_instant(found.reviewed_at),
        trace_id=found.trace_id,
        etag=found.etag,
    )


def review_rule(found: ReviewRule) -> access_pb.ReviewRule:
    """A deadline as replies show it."""
    return access_pb.ReviewRule(
        review_rule_key=found.key,
        region_code=str(found.region_code),
        review_within_hours=found.review_within_hours,
        valid_from=proto_day(found.valid_from),
        valid_to=proto_day(found.valid_to),
        source=found.source,
        etag=found.etag,
    )


def review_rule_in(message: access_pb.ReviewRule) -> ReviewRule:
    """Read a deadline of a request; its key is made of division and first day."""
    region = RegionCode.parse(message.region_code)
    first = day(message.valid_from, "review_rule.valid_from")
    return ReviewRule(
        key=f"{region}/{first}",
        region_code=region,
        review_within_hours=message.review_within_hours,
        valid_from=first,
        valid_to=optional_day(message.valid_to, "review_rule.valid_to"),
        source=message.source,
    )
