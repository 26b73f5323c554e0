"""The records of the log, its files and what is forgotten, as messages."""

from __future__ import annotations

from eldex.api.exchange.v1 import evidence_pb2 as pb
from eldex.common.dates import proto_instant
from eldex.exchange.domain.message_log import LoggedRecord, Segment, Shredding


def log_record(found: LoggedRecord) -> pb.LogRecord:
    """A record of the log as it is shown."""
    record = found.record
    return pb.LogRecord(
        log_index=found.index,
        canonical=record.encode(),
        answered_at=proto_instant(record.answered_at),
        kind=record.kind,
        subsystem=record.subsystem,
        method=record.method,
        purpose=record.purpose,
        legal_basis=record.legal_basis,
        agreement_key=record.agreement_key,
        agreement_version=record.agreement_version,
        subject_period=record.subject_period,
        subject_count=len(record.subject_hashes),
        request_digest=record.request_digest,
        reply_digest=record.reply_digest,
        code=record.code,
        reason=record.reason,
        trace_id=record.trace_id,
    )


def log_segment(found: Segment) -> pb.LogSegment:
    """A file of the log as it is shown."""
    return pb.LogSegment(
        first_index=found.first_index,
        record_count=found.records,
        file_name=found.file_name,
        sealed=found.is_sealed,
        archived=found.is_archived,
    )


def shredding(found: Shredding) -> pb.Shredding:
    """A destruction as it is shown."""
    return pb.Shredding(
        period=found.key,
        reason=found.reason,
        requested_by=found.requested_by,
        requested_at=proto_instant(found.requested_at),
        approved_by=found.approved_by,
        requested_with=found.requested_with,
        approved_with=found.approved_with,
        approved_at=proto_instant(found.approved_at),
    )
