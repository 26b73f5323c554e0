"""What medical insurance needs of the world: where its nouns are kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from eldex.common.aggregate import Aggregate, Page
from eldex.medical.domain.claim import Claim
from eldex.medical.domain.enrolment import Enrolment
from eldex.medical.domain.parameter import Parameter
from eldex.medical.domain.person import Person
from eldex.medical.domain.rights import CareBenefit, DoctorContract, RemoteFiling

A = TypeVar("A", bound=Aggregate)


class Kept(Protocol[A]):
    """Where nouns of one kind are kept, each saved together with its events."""

    async def find(self, key: str) -> A | None:
        """The one with that key, or None."""
        ...

    async def get(self, key: str) -> A:
        """The one with that key; raises `NotFound`."""
        ...

    async def by(self, path: str, value: str) -> list[A]:
        """All whose field is, or holds, the value."""
        ...

    async def page(
        self, where: Mapping[str, Any], *, size: int, after: str | None = None
    ) -> Page[A]:
        """Some that match, in key order."""
        ...

    async def known_at(self, key: str, instant: datetime) -> A:
        """As it was recorded at an instant; raises `NotFound`."""
        ...

    def save(self, aggregate: A) -> None:
        """Stage for the commit."""
        ...


@dataclass(frozen=True, slots=True)
class Stores:
    """The ports, on one session."""

    people: Kept[Person]
    enrolments: Kept[Enrolment]
    filings: Kept[RemoteFiling]
    benefits: Kept[CareBenefit]
    contracts: Kept[DoctorContract]
    claims: Kept[Claim]
    parameters: Kept[Parameter]
