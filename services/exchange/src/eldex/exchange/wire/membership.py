"""Members and their certificates between the contract and the domain."""

from __future__ import annotations

from typing import Final

from google.protobuf.message import Message

from eldex.api.exchange.v1 import membership_events_pb2 as events
from eldex.api.exchange.v1 import membership_pb2 as pb
from eldex.common.dates import proto_day, proto_instant
from eldex.exchange.domain.membership import (
    CertificateIssued,
    CertificateRevoked,
    Joining,
    JoiningRefused,
    JoiningRequested,
    JoiningState,
    MemberAdmitted,
    MemberCertificate,
    MembershipFact,
)
from eldex.exchange.wire.catalogue import ROLES

STATES: Final = {
    JoiningState.INVITED: pb.JOINING_STATE_INVITED,
    JoiningState.PENDING: pb.JOINING_STATE_PENDING,
    JoiningState.ADMITTED: pb.JOINING_STATE_ADMITTED,
    JoiningState.REFUSED: pb.JOINING_STATE_REFUSED,
}


def joining(found: Joining) -> pb.Joining:
    """A joining as replies show it; nothing of its token."""
    return pb.Joining(
        joining_key=found.key,
        subsystem=found.subsystem,
        state=STATES[found.state],
        token_ends_at=proto_instant(found.token_ends_at),
        official_code=found.official_code,
        key_digest=found.key_digest,
        access_request_key=found.access_request_key,
        provider=found.provider,
        decisions=[
            pb.JoiningDecision(
                role=ROLES[each.role],
                approved=each.approved,
                official_code=each.official_code,
                decided_on=proto_day(each.decided_on),
                reason=each.reason,
            )
            for each in found.decisions
        ],
        awaits=[ROLES[role] for role in found.awaits],
        certificate_pem=found.certificate_pem,
        agreement_key=found.agreement_key,
        etag=found.etag,
    )


def certificate(found: MemberCertificate) -> pb.MemberCertificate:
    """A certificate as replies show it."""
    return pb.MemberCertificate(
        serial_number=found.key,
        subsystem=found.subsystem,
        issued_at=proto_instant(found.issued_at),
        ends_at=proto_instant(found.ends_at),
        renewed_by=found.renewed_by,
        revoked_at=proto_instant(found.revoked_at),
        revocation_reason=found.revocation_reason,
        revoked_by=found.revoked_by,
        etag=found.etag,
    )


def membership_event(fact: MembershipFact) -> Message:
    """What is told of members."""
    common = {"subsystem": fact.subsystem, "region_code": str(fact.region_code)}
    match fact:
        case JoiningRequested():
            return events.JoiningRequested(
                joining_key=fact.joining_key, provider=fact.provider, **common
            )
        case MemberAdmitted():
            return events.MemberAdmitted(
                joining_key=fact.joining_key, admitted_on=proto_day(fact.admitted_on), **common
            )
        case JoiningRefused():
            return events.JoiningRefused(
                joining_key=fact.joining_key, refused_on=proto_day(fact.refused_on), **common
            )
        case CertificateIssued():
            return events.CertificateIssued(
                serial_number=fact.serial_number, ends_at=proto_instant(fact.ends_at), **common
            )
        case CertificateRevoked():
            return events.CertificateRevoked(
                serial_number=fact.serial_number,
                revoked_at=proto_instant(fact.revoked_at),
                **common,
            )
