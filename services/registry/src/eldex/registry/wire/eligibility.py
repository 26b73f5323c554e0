"""Eligibility."""

from __future__ import annotations

from eldex.api.registry.v1 import eligibility_pb2
from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.common.dates import day, optional_day, proto_day, proto_instant
from eldex.registry.domain.eligibility import Eligibility
from eldex.registry.handlers import eligibility as handlers
from eldex.registry.wire.enums import CLASS_NUMBERS, CLASSES


def grant(request: pb.GrantEligibilityRequest) -> handlers.GrantEligibility:
    """Read the request."""
    return handlers.GrantEligibility(
        request.resident_key,
        CLASSES[request.eligibility_class],
        day(request.valid_from, "valid_from"),
        optional_day(request.valid_to, "valid_to"),
        request.source_department,
        request.evidence,
    )


def end(request: pb.EndEligibilityRequest) -> handlers.EndEligibility:
    """Read the request."""
    ended_on = day(request.ended_on, "ended_on")
    return handlers.EndEligibility(request.eligibility_key, ended_on, request.reason, request.etag)


def eligibility(found: Eligibility) -> eligibility_pb2.Eligibility:
    """A membership as replies show it."""
    return eligibility_pb2.Eligibility(
        eligibility_key=found.key,
        resident_key=found.resident_key,
        eligibility_class=CLASS_NUMBERS[found.eligibility_class],
        valid_from=proto_day(found.valid_from),
        valid_to=proto_day(found.valid_to),
        source_department=found.source_department,
        evidence=found.evidence,
        end_reason=found.end_reason,
        updated_at=proto_instant(found.updated_at),
        etag=found.etag,
    )
