"""Workers' credit files."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from eldex.common.clock import day_of
from eldex.common.errors import NotFound
from eldex.common.identifiers import PersonDocument, RegionCode, new_key
from eldex.credit.domain.parameters import DeadlineName
from eldex.credit.domain.worker import (
    Appeal,
    Conduct,
    ConductKind,
    FileOpened,
    Paper,
    WorkerFile,
    WorkerRole,
)
from eldex.credit.handlers.ports import Stores


@dataclass(frozen=True, slots=True)
class OpenWorkerFile:
    """Open a file."""

    document: PersonDocument
    name: str
    role: WorkerRole
    region_code: RegionCode


async def open_worker_file(command: OpenWorkerFile, stores: Stores, now: datetime) -> WorkerFile:
    """Open the file of a person; the same document has one."""
    if await stores.workers.of_document(command.document) is not None:
        raise FileOpened
    file = WorkerFile(
        key=new_key("wkr"),
        paper=Paper(command.document),
        name=command.name,
        role=command.role,
        region_code=command.region_code,
        updated_at=now,
    )
    stores.workers.save(file)
    return file


@dataclass(frozen=True, slots=True)
class RecordConduct:
    """A commendation or misconduct."""

    worker_key: str
    kind: ConductKind
    happened_on: date
    source: str
    document: str
    summary: str
    etag: str


async def record_conduct(
    command: RecordConduct, stores: Stores, now: datetime
) -> tuple[WorkerFile, str]:
    """Enter it in the file; returns the file and the key of the entry."""
    today = day_of(now)
    file = await _take(command.worker_key, command.etag, stores, now)
    conduct = Conduct(
        key=new_key("cdt"),
        kind=command.kind,
        happened_on=command.happened_on,
        source=command.source,
        document=command.document,
        summary=command.summary,
        recorded_at=now,
        appeal_until=await stores.deadline(DeadlineName.APPEAL, file.region_code, today, today),
    )
    file.enter(conduct, today)
    return file, conduct.key


@dataclass(frozen=True, slots=True)
class AppealConduct:
    """The worker appeals against an entry."""

    worker_key: str
    conduct_key: str
    appealed_on: date | None
    document: str
    summary: str
    etag: str


async def appeal_conduct(command: AppealConduct, stores: Stores, now: datetime) -> WorkerFile:
    """Take an appeal; until it is decided the entry is shown as disputed."""
    today = day_of(now)
    file = await _take(command.worker_key, command.etag, stores, now)
    entry = file.entry(command.conduct_key)
    appeal = Appeal(command.appealed_on or today, command.document, command.summary)
    entry.contest(appeal, day_of(entry.recorded_at), today)
    return file


@dataclass(frozen=True, slots=True)
class DecideAppeal:
    """Decide on an appeal."""

    worker_key: str
    conduct_key: str
    annulled: bool
    document: str
    decided_on: date | None
    etag: str


async def decide_appeal(command: DecideAppeal, stores: Stores, now: datetime) -> WorkerFile:
    """Uphold the entry, or annul it."""
    today = day_of(now)
    file = await _take(command.worker_key, command.etag, stores, now)
    entry = file.entry(command.conduct_key)
    entry.decide(command.annulled, command.document, command.decided_on or today, today)
    return file


async def find_worker_file(document: PersonDocument, stores: Stores) -> WorkerFile:
    """The file of the person whom a document names; raises `NotFound` without the number."""
    file = await stores.workers.of_document(document)
    if file is None:
        raise NotFound("WorkerFile", document.masked)
    return file


async def _take(worker_key: str, etag: str, stores: Stores, now: datetime) -> WorkerFile:
    file = await stores.workers.get(worker_key)
    file.expect(etag)
    file.updated_at = now
    stores.workers.save(file)
    return file
