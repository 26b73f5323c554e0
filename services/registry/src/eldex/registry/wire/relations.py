"""Relatives and guardians."""

from __future__ import annotations

from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.api.registry.v1 import relation_pb2
from eldex.common.dates import day, optional_day, proto_day, proto_instant
from eldex.common.identifiers import CreditCode
from eldex.registry.domain.guardianships import Guardianship
from eldex.registry.domain.relations import Relation
from eldex.registry.handlers import relations as handlers
from eldex.registry.wire.enums import (
    GUARDIANSHIP_KINDS,
    GUARDIANSHIP_NUMBERS,
    RELATION_NUMBERS,
    RELATIONS,
)


def record(request: pb.RecordRelationRequest) -> handlers.RecordRelation:
    """Read the request."""
    return handlers.RecordRelation(
        request.resident_key,
        request.relative_key,
        RELATIONS[request.relation],
        optional_day(request.began_on, "began_on"),
        request.evidence,
    )


def end(request: pb.EndRelationRequest) -> handlers.EndRelation:
    """Read the request."""
    ended_on = day(request.ended_on, "ended_on")
    return handlers.EndRelation(request.relation_key, ended_on, request.etag)


def appoint(request: pb.AppointGuardianRequest) -> handlers.AppointGuardian:
    """Read the request; an organisation's credit code is checked."""
    code = request.guardian_credit_code
    return handlers.AppointGuardian(
        request.resident_key,
        CreditCode.parse(code) if code else request.guardian_resident_key,
        GUARDIANSHIP_KINDS[request.kind],
        request.evidence,
        optional_day(request.began_on, "began_on"),
    )


def end_guardianship(request: pb.EndGuardianshipRequest) -> handlers.EndGuardianship:
    """Read the request."""
    ended_on = day(request.ended_on, "ended_on")
    return handlers.EndGuardianship(
        request.guardianship_key, ended_on, request.reason, request.etag
    )


def relation(found: Relation) -> relation_pb2.Relation:
    """A relation as replies show it."""
    return relation_pb2.Relation(
        relation_key=found.key,
        resident_key=found.resident_key,
        relative_key=found.relative_key,
        relation=RELATION_NUMBERS[found.relation],
        began_on=proto_day(found.began_on),
        ended_on=proto_day(found.ended_on),
        evidence=found.evidence,
        updated_at=proto_instant(found.updated_at),
        etag=found.etag,
    )


def guardianship(found: Guardianship) -> relation_pb2.Guardianship:
    """A guardianship as replies show it."""
    organisation = found.guardian_organisation
    return relation_pb2.Guardianship(
        guardianship_key=found.key,
        resident_key=found.resident_key,
        guardian_resident_key=found.guardian_resident_key,
        guardian_credit_code=str(organisation) if organisation else "",
        kind=GUARDIANSHIP_NUMBERS[found.kind],
        evidence=found.evidence,
        began_on=proto_day(found.began_on),
        ended_on=proto_day(found.ended_on),
        end_reason=found.end_reason,
        updated_at=proto_instant(found.updated_at),
        etag=found.etag,
    )
