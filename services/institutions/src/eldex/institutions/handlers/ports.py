"""What the verbs need: where things are kept, and what tells divisions and working days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol, TypeVar

from eldex.common.aggregate import Aggregate, Page
from eldex.common.identifiers import CreditCode, RegionCode
from eldex.institutions.domain.admission import Admission, Person
from eldex.institutions.domain.bed import Bed
from eldex.institutions.domain.events import BedClass, InstitutionKind
from eldex.institutions.domain.grading import Grade
from eldex.institutions.domain.institution import Institution
from eldex.institutions.domain.operator import Operator
from eldex.institutions.domain.parameters import Parameter
from eldex.institutions.domain.supervision import Hazard, Inspection, Penalty

A = TypeVar("A", bound=Aggregate)


class Kept(Protocol[A]):
    """Where things of one kind are kept, each saved together with its events."""

    async def get(self, key: str) -> A:
        """The thing; raises `NotFound`."""
        ...

    async def find(self, key: str) -> A | None:
        """The thing, or None."""
        ...

    async def page(
        self, where: Mapping[str, Any], *, size: int, after: str | None = None
    ) -> Page[A]:
        """Those that match, in key order."""
        ...

    def save(self, aggregate: A) -> None:
        """Stage for the commit."""
        ...


class Institutions(Kept[Institution], Protocol):
    """Institutions."""

    async def of_operator(self, credit_code: CreditCode) -> list[Institution]:
        """All that a credit code runs or ran, in key order."""
        ...

    async def known_at(self, key: str, instant: datetime) -> Institution:
        """The institution as recorded at an instant; raises `NotFound`."""
        ...


class Beds(Kept[Bed], Protocol):
    """Beds."""

    async def in_service(self, institution_key: str) -> list[Bed]:
        """Those of an institution that are in service."""
        ...

    async def counts(
        self, region_code: RegionCode, kind: InstitutionKind | None
    ) -> list[tuple[BedClass, int, int]]:
        """Class, beds in service and occupied ones of a division."""
        ...


class Admissions(Kept[Admission], Protocol):
    """Admissions."""

    async def of_resident(self, resident_key: str) -> list[Admission]:
        """All that stand under a resident's key."""
        ...


class Parameters(Kept[Parameter], Protocol):
    """Policy numbers that officials have set."""

    async def for_place(self, region_code: RegionCode | None) -> list[Parameter]:
        """Those of a division, of all above it and of the whole country."""
        ...

    async def in_slot(self, slot: str) -> Parameter | None:
        """The one that another with the same slot replaces."""
        ...


class DivisionTable(Protocol):
    """The dated table of divisions."""

    def get(self, code: RegionCode, on: date | None = None) -> object:
        """The division; raises if there is none."""
        ...


class Calendar(Protocol):
    """What counts working days (工作日)."""

    def after(self, day: date, count: int) -> date:
        """The count-th working day after a day."""
        ...


@dataclass(frozen=True, slots=True)
class Stores:
    """The service's ports, on one session."""

    institutions: Institutions
    operators: Kept[Operator]
    beds: Beds
    admissions: Admissions
    people: Kept[Person]
    grades: Kept[Grade]
    inspections: Kept[Inspection]
    hazards: Kept[Hazard]
    penalties: Kept[Penalty]
    parameters: Parameters


@dataclass(frozen=True, slots=True)
class Tables:
    """What does not change while the service runs."""

    divisions: DivisionTable
    calendar: Calendar
    seeds: Sequence[Parameter]
    """Parameters that come with the service; what officials set goes before them."""
