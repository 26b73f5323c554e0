"""Households."""

from __future__ import annotations

from collections.abc import Iterable

from eldex.api.registry.v1 import household_pb2
from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.common.dates import optional_day, proto_day, proto_instant
from eldex.registry.domain.households import Household
from eldex.registry.domain.relations import FamilyRelation
from eldex.registry.handlers import households as handlers
from eldex.registry.wire.enums import CAUSE_NUMBERS, RELATION_NUMBERS, RELATIONS
from eldex.registry.wire.residents import place


def form(request: pb.FormHouseholdRequest) -> handlers.FormHousehold:
    """Read the request."""
    return handlers.FormHousehold(
        place(request.region_code, "region_code"),
        optional_day(request.formed_on, "formed_on"),
        request.head_key,
        _related(request.members),
    )


def add(request: pb.AddHouseholdMemberRequest) -> handlers.AddHouseholdMember:
    """Read the request."""
    return handlers.AddHouseholdMember(
        request.household_key,
        request.member.resident_key,
        RELATIONS[request.member.relation_to_head],
        optional_day(request.joined_on, "joined_on"),
        request.etag,
    )


def remove(request: pb.RemoveHouseholdMemberRequest) -> handlers.RemoveHouseholdMember:
    """Read the request."""
    left_on = optional_day(request.left_on, "left_on")
    return handlers.RemoveHouseholdMember(
        request.household_key, request.resident_key, left_on, request.etag
    )


def change_head(request: pb.ChangeHouseholdHeadRequest) -> handlers.ChangeHouseholdHead:
    """Read the request."""
    return handlers.ChangeHouseholdHead(
        request.household_key, request.head_key, _related(request.members), request.etag
    )


def move(request: pb.MoveHouseholdRequest) -> handlers.MoveHousehold:
    """Read the request."""
    region = place(request.region_code, "region_code")
    return handlers.MoveHousehold(request.household_key, region, request.etag)


def dissolve(request: pb.DissolveHouseholdRequest) -> handlers.DissolveHousehold:
    """Read the request."""
    dissolved_on = optional_day(request.dissolved_on, "dissolved_on")
    return handlers.DissolveHousehold(request.household_key, dissolved_on, request.etag)


def _related(
    members: Iterable[household_pb2.HouseholdMemberRelation],
) -> list[tuple[str, FamilyRelation]]:
    return [(each.resident_key, RELATIONS[each.relation_to_head]) for each in members]


def household(found: Household) -> household_pb2.Household:
    """A household as replies show it."""
    return household_pb2.Household(
        household_key=found.key,
        region_code=str(found.region_code),
        head_key=found.head_key,
        members=[
            household_pb2.HouseholdMember(
                resident_key=stay.resident_key,
                relation_to_head=RELATION_NUMBERS[stay.relation_to_head]
                if stay.relation_to_head
                else household_pb2.FAMILY_RELATION_UNSPECIFIED,
                joined_on=proto_day(stay.joined_on),
                left_on=proto_day(stay.left_on),
                leave_cause=CAUSE_NUMBERS[stay.leave_cause]
                if stay.leave_cause
                else household_pb2.LEAVE_CAUSE_UNSPECIFIED,
            )
            for stay in found.members
        ],
        formed_on=proto_day(found.formed_on),
        dissolved_on=proto_day(found.dissolved_on),
        updated_at=proto_instant(found.updated_at),
        etag=found.etag,
    )
