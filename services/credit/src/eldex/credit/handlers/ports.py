"""What credit needs: where its nouns are kept, its rules, and the calendar of working days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol, TypeVar

from eldex.common.aggregate import Aggregate, Page
from eldex.common.identifiers import PersonDocument, RegionCode
from eldex.credit.domain.cases import Case
from eldex.credit.domain.disclosure import CreditRecord, Organisation
from eldex.credit.domain.listing import Listing
from eldex.credit.domain.parameters import DeadlineName, ParameterSet, Rulebook, scopes_of
from eldex.credit.domain.standing import Standing
from eldex.credit.domain.terms import within_calendar
from eldex.credit.domain.worker import WorkerFile

A = TypeVar("A", bound=Aggregate)


class Kept(Protocol[A]):
    """Where aggregates of a kind are kept, each saved together with its events."""

    async def find(self, key: str) -> A | None:
        """The aggregate, or None."""
        ...

    async def get(self, key: str) -> A:
        """The aggregate; raises `NotFound`."""
        ...

    async def page(
        self, where: Mapping[str, Any], *, size: int, after: str | None = None
    ) -> Page[A]:
        """Those that match, in key order."""
        ...

    def save(self, aggregate: A) -> None:
        """Stage for the commit."""
        ...


class Listings(Kept[Listing], Protocol):
    """Listings."""

    async def of_subject(self, subject_key: str) -> list[Listing]:
        """All listings of a party."""
        ...

    async def known_at(self, key: str, instant: datetime) -> Listing:
        """The listing as recorded at an instant; raises `NotFound`."""
        ...


class CreditRecords(Kept[CreditRecord], Protocol):
    """Records on their way to a platform."""

    async def due_of(self, subject_key: str) -> list[CreditRecord]:
        """What the platform of a party does not have yet."""
        ...


class WorkerFiles(Kept[WorkerFile], Protocol):
    """Workers' credit files."""

    async def of_document(self, document: PersonDocument) -> WorkerFile | None:
        """The file of the person whom a document names."""
        ...


class Cases(Kept[Case], Protocol):
    """Cases."""

    async def of_subject(self, subject_key: str) -> list[Case]:
        """All cases about a party."""
        ...


class ParameterSets(Kept[ParameterSet], Protocol):
    """Parameters: each division's own, over those that come with the product."""

    async def layers(self, scopes: Sequence[str]) -> list[ParameterSet]:
        """What each of the scopes says, in that order; a scope without rules gives an empty set."""
        ...


class WorkingDayTable(Protocol):
    """The calendar of working days (工作日)."""

    def after(self, day: date, count: int) -> date:
        """The count-th working day after a day."""
        ...


@dataclass(frozen=True, slots=True)
class Stores:
    """Credit's ports, on one session."""

    listings: Listings
    standings: Kept[Standing]
    workers: WorkerFiles
    records: CreditRecords
    organisations: Kept[Organisation]
    cases: Cases
    parameter_sets: ParameterSets
    working_days: WorkingDayTable

    async def rulebook(self, region_code: RegionCode | None) -> Rulebook:
        """What counts in a division; None: in the country."""
        scopes = scopes_of(region_code)
        return Rulebook(scopes[0], await self.parameter_sets.layers(scopes))

    async def deadline(
        self, name: DeadlineName, region_code: RegionCode, day: date, today: date
    ) -> date:
        """The last day of a deadline that a day starts, by the rule that counts today."""
        within_calendar(day)
        rule = (await self.rulebook(region_code)).deadline(name, today)
        return self.working_days.after(day, rule.working_days)
