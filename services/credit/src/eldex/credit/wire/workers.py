"""Workers' credit files."""

from __future__ import annotations

from datetime import date

from eldex.api.credit.v1 import credit_service_pb2 as pb
from eldex.api.credit.v1 import worker_file_pb2
from eldex.api.registry.v1 import resident_pb2
from eldex.common.dates import day, optional_day, proto_day, proto_instant
from eldex.common.identifiers import DocumentKind, PersonDocument, RegionCode, parse_document
from eldex.common.store import Document
from eldex.credit.domain.worker import Conduct, WorkerFile
from eldex.credit.handlers import workers as handlers
from eldex.credit.wire.terms import CONDUCT_KINDS, CONDUCT_STATES, ROLES

_KINDS = {
    resident_pb2.DOCUMENT_KIND_RESIDENT_IDENTITY_CARD: DocumentKind.RESIDENT_ID,
    resident_pb2.DOCUMENT_KIND_FOREIGN_PERMANENT_RESIDENT_CARD: (
        DocumentKind.FOREIGN_PERMANENT_RESIDENT
    ),
    resident_pb2.DOCUMENT_KIND_HONG_KONG_MACAO_TAIWAN_RESIDENCE_PERMIT: (
        DocumentKind.HK_MO_TW_RESIDENCE_PERMIT
    ),
    resident_pb2.DOCUMENT_KIND_HONG_KONG_MACAO_TRAVEL_PERMIT: DocumentKind.HK_MO_TRAVEL_PERMIT,
    resident_pb2.DOCUMENT_KIND_TAIWAN_TRAVEL_PERMIT: DocumentKind.TW_TRAVEL_PERMIT,
    resident_pb2.DOCUMENT_KIND_PASSPORT: DocumentKind.PASSPORT,
}
_KIND_NUMBERS = {kind: number for number, kind in _KINDS.items()}

HIDDEN = ("document.number",)
"""Left out of replies unless the read mask names it."""


def document(message: resident_pb2.PersonDocument, on: date) -> PersonDocument:
    """Read a document; raises the fact that is wrong with its number."""
    return parse_document(_KINDS[message.kind], message.number, on=on)


def open_worker_file(request: pb.OpenWorkerFileRequest, on: date) -> handlers.OpenWorkerFile:
    """Read the request."""
    return handlers.OpenWorkerFile(
        document(request.document, on),
        request.name,
        ROLES.member(request.role),
        RegionCode.parse(request.region_code),
    )


def record_conduct(request: pb.RecordConductRequest) -> handlers.RecordConduct:
    """Read the request."""
    return handlers.RecordConduct(
        request.worker_key,
        CONDUCT_KINDS.member(request.kind),
        day(request.happened_on, "happened_on"),
        request.source,
        request.document,
        request.summary,
        request.etag,
    )


def appeal_conduct(request: pb.AppealConductRequest) -> handlers.AppealConduct:
    """Read the request."""
    return handlers.AppealConduct(
        request.worker_key,
        request.conduct_key,
        optional_day(request.appealed_on, "appealed_on"),
        request.document,
        request.summary,
        request.etag,
    )


def decide_appeal(request: pb.DecideAppealRequest) -> handlers.DecideAppeal:
    """Read the request."""
    return handlers.DecideAppeal(
        request.worker_key,
        request.conduct_key,
        request.annulled,
        request.document,
        optional_day(request.decided_on, "decided_on"),
        request.etag,
    )


def list_worker_files(request: pb.ListWorkerFilesRequest) -> Document:
    """The condition that the wanted files match."""
    where: Document = {"lineage": str(RegionCode.parse(request.region_code))}
    if request.role:
        where["role"] = ROLES.member(request.role).value
    return where


def worker_file(found: WorkerFile, *, with_number: bool = False) -> worker_file_pb2.WorkerFile:
    """A file, for a reply; the number only where it was asked for by name."""
    paper = found.paper.document
    return worker_file_pb2.WorkerFile(
        worker_key=found.key,
        document=resident_pb2.PersonDocument(
            kind=_KIND_NUMBERS[paper.kind],
            number=paper.reveal() if with_number else "",
            masked_number=paper.masked,
        ),
        name=found.name,
        role=ROLES.number(found.role),
        region_code=str(found.region_code),
        conduct=[_conduct(entry) for entry in found.conduct],
        updated_at=proto_instant(found.updated_at),
        etag=found.etag,
    )


def _conduct(entry: Conduct) -> worker_file_pb2.Conduct:
    appeal = entry.appeal
    return worker_file_pb2.Conduct(
        conduct_key=entry.key,
        kind=CONDUCT_KINDS.number(entry.kind),
        happened_on=proto_day(entry.happened_on),
        source=entry.source,
        document=entry.document,
        summary=entry.summary,
        state=CONDUCT_STATES.number(entry.state),
        appeal=worker_file_pb2.Appeal(
            appealed_on=proto_day(appeal.appealed_on),
            document=appeal.document,
            summary=appeal.summary,
            decided_on=proto_day(appeal.decided_on),
            decision_document=appeal.decision_document,
        )
        if appeal
        else None,
        recorded_at=proto_instant(entry.recorded_at),
        appeal_until=proto_day(entry.appeal_until),
    )
