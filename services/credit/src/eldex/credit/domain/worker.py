"""Workers' credit files (从业人员信用档案, M003-37): commendations and misconduct, with appeal."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum

from eldex.common.aggregate import Aggregate
from eldex.common.errors import AlreadyExists, DomainError, Kind, NotFound
from eldex.common.identifiers import PersonDocument, RegionCode
from eldex.credit.domain.terms import not_after, not_before


class WorkerRole(Enum):
    """What somebody does in elder care."""

    CARE_WORKER = "care_worker"
    HEAD = "head"
    OTHER = "other"


class ConductKind(Enum):
    """Good (表彰, M004-84) or bad (不良行为)."""

    COMMENDATION = "commendation"
    MISCONDUCT = "misconduct"


class ConductState(Enum):
    """Whether an entry stands."""

    STANDS = "stands"
    APPEALED = "appealed"
    UPHELD = "upheld"
    ANNULLED = "annulled"


class ConductStateForbids(DomainError):
    """An entry is appealed against once, and an appeal decided once."""

    kind, reason = Kind.CONFLICT, "CONDUCT_STATE_FORBIDS"
    zh = "该记录处于 {state} 状态，不能办理此项"
    en = "the entry is {state}: this cannot be done with it"


class ConductAlreadyRecorded(DomainError):
    """The same document tells the same day once."""

    kind, reason = Kind.CONFLICT, "CONDUCT_ALREADY_RECORDED"
    zh = "同一文书记载的该项行为已登记（{conduct_key}）"
    en = "what this document tells of that day is entered already ({conduct_key})"


class AppealTooLate(DomainError):
    """The period for an appeal is over."""

    kind, reason = Kind.CONFLICT, "APPEAL_TOO_LATE"
    zh = "申诉期已于 {until} 届满"
    en = "the period for an appeal ended on {until}"


@dataclass(slots=True)
class Appeal:
    """An appeal against an entry."""

    appealed_on: date
    document: str
    summary: str
    decided_on: date | None = None
    decision_document: str = ""


@dataclass(slots=True, kw_only=True)
class Conduct:
    """An entry: what happened, who tells it, whether it stands."""

    key: str
    kind: ConductKind
    happened_on: date
    source: str
    document: str
    summary: str
    recorded_at: datetime
    appeal_until: date
    state: ConductState = ConductState.STANDS
    appeal: Appeal | None = None

    def contest(self, appeal: Appeal, recorded_on: date, today: date) -> None:
        """Take the worker's appeal, within its period."""
        self._must(ConductState.STANDS)
        not_after(appeal.appealed_on, today)
        not_before(appeal.appealed_on, recorded_on, "登记日期", "the entry")
        if appeal.appealed_on > self.appeal_until:
            raise AppealTooLate(until=self.appeal_until)
        self.appeal, self.state = appeal, ConductState.APPEALED

    def decide(self, annulled: bool, document: str, on: date, today: date) -> None:
        """Annul the entry, or uphold it."""
        self._must(ConductState.APPEALED)
        assert self.appeal is not None
        not_after(on, today)
        not_before(on, self.appeal.appealed_on, "申诉日期", "the appeal")
        self.appeal.decided_on, self.appeal.decision_document = on, document
        self.state = ConductState.ANNULLED if annulled else ConductState.UPHELD

    def _must(self, state: ConductState) -> None:
        if self.state is not state:
            raise ConductStateForbids(state=self.state.value)


@dataclass(frozen=True, slots=True)
class Paper:
    """The document that names a worker (身份证件); a type of its own, sealed where it is kept."""

    document: PersonDocument


class FileOpened(AlreadyExists):
    """A person has one file, whatever they work as."""

    what = "document"
    zh = "该证件已建有从业人员信用档案：请用 FindWorkerFile 查询，使用已有档案"
    en = "a worker's file is open for this document already: find it with FindWorkerFile, and use that one"


@dataclass(kw_only=True)
class WorkerFile(Aggregate):
    """A worker's credit file; its key names the worker in listings and events."""

    paper: Paper
    name: str
    role: WorkerRole
    region_code: RegionCode
    conduct: list[Conduct] = field(default_factory=list)
    updated_at: datetime | None = None

    def enter(self, conduct: Conduct, today: date) -> None:
        """Add an entry; the same document cannot tell the same day and kind twice."""
        not_after(conduct.happened_on, today)
        for known in self.conduct:
            if (known.document, known.happened_on, known.kind) == (
                conduct.document,
                conduct.happened_on,
                conduct.kind,
            ):
                raise ConductAlreadyRecorded(conduct_key=known.key)
        self.conduct.append(conduct)

    def entry(self, conduct_key: str) -> Conduct:
        """One entry; raises `NotFound`."""
        for conduct in self.conduct:
            if conduct.key == conduct_key:
                return conduct
        raise NotFound("Conduct", conduct_key)
