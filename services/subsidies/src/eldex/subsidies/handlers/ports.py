"""Where the nouns of subsidies are kept, as the verbs need it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol, TypeVar

from eldex.common.aggregate import Aggregate, Page
from eldex.common.identifiers import RegionCode
from eldex.subsidies.domain.cycle import Cycle, Redecision
from eldex.subsidies.domain.entitlement import Disbursement, Entitlement
from eldex.subsidies.domain.grant import InstitutionGrant
from eldex.subsidies.domain.institution import BedStay, Conduct, Home
from eldex.subsidies.domain.recipient import Recipient
from eldex.subsidies.domain.recovery import Recovery
from eldex.subsidies.domain.schemes import Catalogue, ParameterSet

A = TypeVar("A", bound=Aggregate)


class Shelf(Protocol[A]):
    """Aggregates of one kind, each saved together with its events."""

    async def find(self, key: str) -> A | None:
        """The aggregate, or None."""
        ...

    async def get(self, key: str) -> A:
        """The aggregate; raises `NotFound`."""
        ...

    async def by(self, path: str, value: str) -> list[A]:
        """All whose `path` equals the value; concurrent acts share the query."""
        ...

    async def page(
        self, where: Mapping[str, Any], *, size: int, after: str | None = None
    ) -> Page[A]:
        """Some that match, in key order."""
        ...

    def save(self, aggregate: A) -> None:
        """Stage for the commit."""
        ...


class Recipients(Shelf[Recipient], Protocol):
    """What is known of persons."""

    async def changing_before(
        self, day: date, region_code: RegionCode | None, size: int
    ) -> Sequence[Recipient]:
        """Some for whom something changes before a day that is not decided yet."""
        ...

    async def decided_until(
        self, instant: datetime, region_code: RegionCode, size: int, after: str | None
    ) -> Page[Recipient]:
        """Some who live or lived in a division and were not decided since an instant."""
        ...


class Entitlements(Shelf[Entitlement], Protocol):
    """What persons are owed."""

    async def payable(
        self, region_code: RegionCode, since: date, size: int, after: str
    ) -> Page[Entitlement]:
        """Some that are due on the day or later, or were revised since they were last paid."""
        ...


class Homes(Shelf[Home], Protocol):
    """What is known of institutions."""

    async def changing_before(self, day: date, size: int) -> Sequence[Home]:
        """Some for which something changes before a day that is not decided yet."""
        ...


class Stays(Shelf[BedStay], Protocol):
    """Who was in which bed from when to when."""

    async def between(self, institution_key: str, began_on: date, ended_on: date) -> list[BedStay]:
        """All stays of an institution with a day in the period."""
        ...


class Grants(Shelf[InstitutionGrant], Protocol):
    """What institutions are owed."""

    async def in_division(
        self, region_code: RegionCode, size: int, after: str
    ) -> Page[InstitutionGrant]:
        """Some that a division, or one below it, pays."""
        ...


class ParameterSets(Shelf[ParameterSet], Protocol):
    """The parameters of schemes by division."""

    async def of_division(self, region_code: RegionCode) -> list[ParameterSet]:
        """All schemes' parameters of one division, to decide by and not to change."""
        ...

    async def known_at(self, key: str, instant: datetime) -> ParameterSet:
        """As recorded at an instant; raises `NotFound`."""
        ...


@dataclass(frozen=True, slots=True)
class Stores:
    """The ports of subsidies, on one session, with the schemes there are."""

    catalogue: Catalogue
    recipients: Recipients
    entitlements: Entitlements
    recoveries: Shelf[Recovery]
    disbursements: Shelf[Disbursement]
    parameters: ParameterSets
    cycles: Shelf[Cycle]
    redecisions: Shelf[Redecision]
    homes: Homes
    conducts: Shelf[Conduct]
    stays: Stays
    grants: Grants
