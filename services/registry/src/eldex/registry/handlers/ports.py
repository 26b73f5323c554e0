"""What the registry's handlers need: where things are kept, and the tables they look up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol, TypeVar

from eldex.common.aggregate import Aggregate, Page
from eldex.common.errors import AlreadyExists, DomainError, Kind
from eldex.common.identifiers import PersonDocument, RegionCode
from eldex.registry.domain.assessments import Assessment
from eldex.registry.domain.eligibility import Eligibility
from eldex.registry.domain.guardianships import Guardianship
from eldex.registry.domain.households import Household
from eldex.registry.domain.relations import Relation
from eldex.registry.domain.residents import Resident

A = TypeVar("A", bound=Aggregate)


class Kept(Protocol[A]):
    """Where aggregates of one kind are kept, each saved together with its events."""

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

    async def known_at(self, key: str, instant: datetime) -> A:
        """The aggregate as recorded at an instant; raises `NotFound`."""
        ...

    def save(self, aggregate: A) -> None:
        """Stage for the commit."""
        ...


class Residents(Kept[Resident], Protocol):
    """Residents."""

    async def of_document(self, document: PersonDocument) -> Resident | None:
        """The record that a document names, merged or not."""
        ...


class Households(Kept[Household], Protocol):
    """Households."""

    async def of_member(self, resident_key: str) -> list[Household]:
        """Those to which a record belongs or belonged."""
        ...


class Relations(Kept[Relation], Protocol):
    """Relations."""

    async def of_person(self, resident_key: str) -> list[Relation]:
        """Those in which a record is on either side."""
        ...


class Guardianships(Kept[Guardianship], Protocol):
    """Guardianships."""

    async def of_person(self, resident_key: str) -> list[Guardianship]:
        """Those in which a record is ward or guardian."""
        ...


class DivisionTable(Protocol):
    """The dated table of divisions."""

    def known(self, code: RegionCode, on: date | None = None) -> bool:
        """Whether the code was in force on that day, or ever if no day is given."""
        ...

    def ever_known(self, code: RegionCode) -> bool:
        """Whether the code was ever in force."""
        ...

    def abolished_on(self, code: RegionCode) -> date | None:
        """Day from which it no longer is."""
        ...

    def current(self, code: RegionCode, on: date) -> tuple[RegionCode, ...]:
        """The codes that stand for it on a day."""
        ...


class DocumentRegistered(AlreadyExists):
    """A document names one person, who is registered once."""

    what = "document"
    zh = "该证件已有居民登记：请用 FindResident 查询，使用已有的居民标识"
    en = "a resident is registered with this document already: find the record with FindResident and use its key"


class DivisionUnknown(DomainError):
    """No table has the code."""

    kind, reason = Kind.INVALID, "DIVISION_UNKNOWN"
    zh = "{field}：区划代码 {code} 不在区划表中。请核对；若为新设区划，请由运维人员导入新的区划表"
    en = "{field}: division code {code} is in no table: check it; if it is new, have operations import a newer table"


class DivisionAbolished(DomainError):
    """The code is no longer in force."""

    kind, reason = Kind.INVALID, "DIVISION_ABOLISHED"
    zh = "{field}：区划代码 {code} 已撤销，现行代码：{successors}"
    en = "{field}: division code {code} is abolished; in force today: {successors}"


def check_division(
    divisions: DivisionTable, field: str, code: RegionCode, days: Sequence[date]
) -> str:
    """Whether people can live there on any of the days; returns a warning for a person to look at, or "".

    Villages are in the table only where operations imported them: an unknown one in a known
    township is a warning. Raises `DivisionUnknown` and `DivisionAbolished`.
    """
    if any(divisions.known(code, day) for day in days):
        return ""
    if divisions.ever_known(code):
        found = divisions.current(code, max(days))
        successors = ", ".join(str(each) for each in found) or "-"
        raise DivisionAbolished(field=field, code=code, successors=successors)
    parent = code.parent()
    is_village = len(code.value) == len("511702001001")
    if is_village and parent is not None and any(divisions.known(parent, day) for day in days):
        return (
            f"{field}: village {code} is not in the division table / 村级代码 {code} 不在区划表中"
        )
    raise DivisionUnknown(field=field, code=code)


@dataclass(frozen=True, slots=True)
class Stores:
    """The registry's ports, on one session."""

    residents: Residents
    households: Households
    relations: Relations
    guardianships: Guardianships
    eligibilities: Kept[Eligibility]
    assessments: Kept[Assessment]


async def standing(resident_key: str, stores: Stores, known_at: datetime | None = None) -> Resident:
    """The record that stands for a person: the one of the key, or the last survivor of its merges.

    As known now, or at an earlier instant.
    """
    kept = stores.residents
    while True:
        asked = kept.known_at(resident_key, known_at) if known_at else kept.get(resident_key)
        resident = await asked
        if not resident.survivor_key:
            return resident
        resident_key = resident.survivor_key
