"""Cases and commitment letters: what a party is suspected of, and what it has promised."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from eldex.common.clock import day_of
from eldex.common.errors import NotFound
from eldex.common.identifiers import RegionCode, new_key
from eldex.credit.domain.cases import Case, CaseKind, CaseState, ResponsibilityArea
from eldex.credit.domain.standing import Commitment, Standing
from eldex.credit.domain.terms import Subject, SubjectKind, not_after
from eldex.credit.handlers.ports import Stores


@dataclass(frozen=True, slots=True)
class OpenCase:
    """Something has to be looked into."""

    subject: Subject
    kind: CaseKind
    area: ResponsibilityArea | None
    authority: str
    region_code: RegionCode
    source: str
    summary: str
    opened_on: date | None


async def open_case(command: OpenCase, stores: Stores, now: datetime) -> Case:
    """Open a case about a party."""
    subject, today = command.subject, day_of(now)
    if subject.kind is SubjectKind.WORKER and await stores.workers.find(subject.key) is None:
        raise NotFound("WorkerFile", subject.key)
    opened_on = command.opened_on or today
    not_after(opened_on, today)
    case = Case(
        key=new_key("cas"),
        subject=subject,
        kind=command.kind,
        area=command.area,
        authority=command.authority,
        region_code=command.region_code,
        source=command.source,
        summary=command.summary,
        opened_on=opened_on,
    )
    stores.cases.save(case)
    return case


@dataclass(frozen=True, slots=True)
class CloseCase:
    """It was so, or it was not."""

    case_key: str
    substantiated: bool
    document: str
    closed_on: date | None
    finding: str
    etag: str


async def close_case(command: CloseCase, stores: Stores, now: datetime) -> Case:
    """Close a case with its finding."""
    today = day_of(now)
    case = await stores.cases.get(command.case_key)
    case.expect(command.etag)
    closed_on = command.closed_on or today
    case.close(command.substantiated, command.document, command.finding, closed_on, today)
    stores.cases.save(case)
    return case


@dataclass(frozen=True, slots=True)
class RecordCommitment:
    """A commitment letter."""

    subject: Subject
    areas: list[ResponsibilityArea]
    document: str
    signed_on: date | None


async def record_commitment(
    command: RecordCommitment, stores: Stores, now: datetime
) -> list[Responsibility]:
    """Keep a commitment letter; returns where the organisation stands with its six areas."""
    today = day_of(now)
    standing = await stores.standings.find(command.subject.key) or Standing.of(command.subject)
    standing.commit_to(command.areas, command.document, command.signed_on or today, today)
    stores.standings.save(standing)
    return _responsibilities(
        standing.commitments, await stores.cases.of_subject(command.subject.key), today
    )


@dataclass(frozen=True, slots=True)
class Responsibility:
    """What was promised for one area, and how the promise was kept."""

    area: ResponsibilityArea
    commitment: Commitment | None
    open_cases: int
    substantiated_cases: int


async def responsibilities(subject: Subject, on: date, stores: Stores) -> list[Responsibility]:
    """Where an organisation stands with its six responsibilities (M002-112) on a day."""
    standing = await stores.standings.find(subject.key)
    cases = await stores.cases.of_subject(subject.key)
    return _responsibilities(standing.commitments if standing else [], cases, on)


def _responsibilities(
    commitments: list[Commitment], cases: list[Case], on: date
) -> list[Responsibility]:
    promised = {each.area: each for each in commitments if each.signed_on <= on}
    found = []
    for area in ResponsibilityArea:
        letter = promised.get(area)
        mine = [case for case in cases if case.area is area and case.opened_on <= on]
        open_cases = [c for c in mine if c.closed_on is None or c.closed_on > on]
        proven = [
            case
            for case in mine
            if case.state is CaseState.SUBSTANTIATED
            and case.closed_on is not None
            and case.closed_on <= on
            and (letter is None or case.opened_on >= letter.signed_on)
        ]
        found.append(Responsibility(area, letter, len(open_cases), len(proven)))
    return found
