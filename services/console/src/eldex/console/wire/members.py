"""The exchange's messages → the console's nouns of joining and certificates."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from google.protobuf.message import Message

from eldex.api.exchange.v1 import membership_pb2
from eldex.common.dates import instant
from eldex.console.domain.membership import Certificate, Joining
from eldex.console.domain.sharing import AccessRequest, Approval
from eldex.console.wire.exchange import ROLES, day

STATES: Final = {
    "pending": membership_pb2.JOINING_STATE_PENDING,
    "invited": membership_pb2.JOINING_STATE_INVITED,
    "admitted": membership_pb2.JOINING_STATE_ADMITTED,
    "refused": membership_pb2.JOINING_STATE_REFUSED,
}
_STATE_OF: Final = {number: name for name, number in STATES.items()}


def joining(found: membership_pb2.Joining, access: AccessRequest | None) -> Joining:
    """A joining, with what it needs first as far as that is asked."""
    return Joining(
        key=found.joining_key,
        subsystem=found.subsystem,
        state=_STATE_OF[found.state],
        token_ends_at=instant(found.token_ends_at),
        official_code=found.official_code,
        key_digest=found.key_digest,
        provider=found.provider,
        decisions=tuple(
            Approval(
                ROLES[each.role],
                each.approved,
                each.official_code,
                day(each.decided_on),
                each.reason,
            )
            for each in found.decisions
        ),
        awaits=tuple(ROLES[role] for role in found.awaits),
        agreement_key=found.agreement_key,
        etag=found.etag,
        access=access,
    )


def certificate(found: membership_pb2.MemberCertificate) -> Certificate:
    """A certificate as it was issued or revoked."""
    return Certificate(
        serial_number=found.serial_number,
        subsystem=found.subsystem,
        issued_at=_if_said(found, "issued_at"),
        ends_at=_if_said(found, "ends_at"),
        renewed_by=tuple(found.renewed_by),
        revoked_at=_if_said(found, "revoked_at"),
        reason=found.revocation_reason,
        revoked_by=found.revoked_by,
    )


def _if_said(message: Message, name: str) -> datetime | None:
    return instant(getattr(message, name)) if message.HasField(name) else None
