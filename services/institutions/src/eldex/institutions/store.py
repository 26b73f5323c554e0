"""The collections of institutions, and the indexes that hold what must be unique."""

from __future__ import annotations

import asyncio

from eldex.common.errors import AlreadyExists
from eldex.common.identifiers import CreditCode, RegionCode
from eldex.common.store import Document, Index, Repository, Session
from eldex.institutions.domain.admission import Admission, BedGiven, Person
from eldex.institutions.domain.bed import Bed, LabelInService
from eldex.institutions.domain.events import BedClass, InstitutionKind
from eldex.institutions.domain.grading import Grade
from eldex.institutions.domain.institution import Institution
from eldex.institutions.domain.operator import Operator, SiteFiled
from eldex.institutions.domain.parameters import Parameter, ParameterSet
from eldex.institutions.domain.status import Status
from eldex.institutions.domain.supervision import Hazard, Inspection, Penalty
from eldex.institutions.handlers.ports import Stores

_OF_INSTITUTION = Index((("institution_key", 1), ("_id", 1)))
_OF_PLACE = Index((("lineage", 1), ("_id", 1)))
COUNTRY = "country"
"""The scope of parameters that hold everywhere."""


def _unique_while_set(path: str, taken: type[AlreadyExists]) -> Index:
    """Unique among documents in which the field holds a text; the others have None there."""
    return Index(((path, 1),), unique=True, where={path: {"$gt": ""}}, taken=taken)


def _lineage(region_code: RegionCode) -> Document:
    """The division and all above it, so that a page of any division is one index range."""
    return {"lineage": [str(code) for code in region_code.lineage()]}


class MongoInstitutions(Repository[Institution]):
    """Institutions, found by key, credit code and division; every version is kept."""

    kind = Institution
    collection = "institutions"
    history = True
    indexes = (
        Index((("credit_code", 1),)),
        _OF_PLACE,
        Index((("lineage", 1), ("status", 1), ("_id", 1))),
        _unique_while_set("open_site", SiteFiled),
    )

    async def of_operator(self, credit_code: CreditCode) -> list[Institution]:
        """All that a credit code runs or ran, in key order."""
        return sorted(await self.by("credit_code", str(credit_code)), key=lambda found: found.key)

    def derived(self, aggregate: Institution) -> Document:
        """Its divisions, and the place that nobody else may file while this one is not closed."""
        site = f"{aggregate.credit_code}/{aggregate.details.site}"
        is_open = aggregate.status is not Status.CLOSED
        return _lineage(aggregate.region_code) | {"open_site": site if is_open else None}


class MongoOperators(Repository[Operator]):
    """Operators, by credit code."""

    kind = Operator
    collection = "operators"


class MongoBeds(Repository[Bed]):
    """Beds, a document each: admissions to different beds never wait for each other."""

    kind = Bed
    collection = "beds"
    indexes = (
        _OF_INSTITUTION,
        _OF_PLACE,
        Index((("lineage", 1), ("state", 1), ("bed_class", 1))),
        _unique_while_set("label_in_service", LabelInService),
    )

    async def in_service(self, institution_key: str) -> list[Bed]:
        """Those of an institution that are in service."""
        beds = await self.by("institution_key", institution_key)
        return [bed for bed in beds if bed.withdrawn_on is None]

    async def counts(
        self, region_code: RegionCode, kind: InstitutionKind | None
    ) -> list[tuple[BedClass, int, int]]:
        """Class, beds in service and occupied ones of a division."""
        where: Document = {"lineage": str(region_code)}
        if kind is not None:
            where["institution_kind"] = kind.value
        asked = [
            {**where, "state": state, "bed_class": bed_class.value}
            for bed_class in BedClass
            for state in ("free", "occupied")
        ]
        found = await asyncio.gather(*(self.count(each) for each in asked))
        pairs = zip(BedClass, found[::2], found[1::2], strict=True)
        return [(bed_class, free + occupied, occupied) for bed_class, free, occupied in pairs]

    def derived(self, aggregate: Bed) -> Document:
        """Its divisions, its state, and its label while nobody else may have it."""
        in_service = aggregate.withdrawn_on is None
        label = f"{aggregate.institution_key}/{aggregate.label}"
        state = "withdrawn"
        if in_service:
            state = "free" if aggregate.occupant is None else "occupied"
        return _lineage(aggregate.region_code) | {
            "state": state,
            "label_in_service": label if in_service else None,
        }


class MongoAdmissions(Repository[Admission]):
    """Admissions. Two open ones for one bed cannot be written."""

    kind = Admission
    collection = "admissions"
    indexes = (
        _OF_INSTITUTION,
        _OF_PLACE,
        Index((("resident_key", 1), ("_id", 1))),
        _unique_while_set("open_bed", BedGiven),
    )

    async def of_resident(self, resident_key: str) -> list[Admission]:
        """All that stand under a resident's key."""
        return await self.by("resident_key", resident_key)

    def derived(self, aggregate: Admission) -> Document:
        """Its divisions, its state, and the bed that nobody else may have while it is open."""
        is_open = aggregate.ended_on is None
        return _lineage(aggregate.region_code) | {
            "state": "open" if is_open else "ended",
            "open_bed": aggregate.bed_key if is_open else None,
        }


class MongoPeople(Repository[Person]):
    """What is known of residents, by the registry's key: one document, one bed for the night."""

    kind = Person
    collection = "people"


class MongoGrades(Repository[Grade]):
    """Gradings."""

    kind = Grade
    collection = "grades"
    indexes = (_OF_INSTITUTION,)


class MongoInspections(Repository[Inspection]):
    """Inspections."""

    kind = Inspection
    collection = "inspections"
    indexes = (_OF_INSTITUTION, _OF_PLACE)

    def derived(self, aggregate: Inspection) -> Document:
        """Its divisions."""
        return _lineage(aggregate.region_code)


class MongoHazards(Repository[Hazard]):
    """Hazards, found by their last day."""

    kind = Hazard
    collection = "hazards"
    indexes = (_OF_INSTITUTION, _OF_PLACE, Index((("lineage", 1), ("state", 1), ("due_on", 1))))

    def derived(self, aggregate: Hazard) -> Document:
        """Its divisions."""
        return _lineage(aggregate.region_code)


class MongoPenalties(Repository[Penalty]):
    """Penalties."""

    kind = Penalty
    collection = "penalties"
    indexes = (_OF_INSTITUTION, _OF_PLACE)

    def derived(self, aggregate: Penalty) -> Document:
        """Its divisions."""
        return _lineage(aggregate.region_code)


class MongoParameters(Repository[Parameter]):
    """Policy numbers that officials have set; every version is kept."""

    kind = Parameter
    collection = "parameters"
    history = True
    indexes = (Index((("scope", 1),)), Index((("slot", 1),), unique=True, taken=ParameterSet))

    async def for_place(self, region_code: RegionCode | None) -> list[Parameter]:
        """Those of a division, of all above it and of the whole country."""
        lineage = region_code.lineage() if region_code else ()
        scopes = [*map(str, lineage), COUNTRY]
        found = await asyncio.gather(*(self.by("scope", scope) for scope in scopes))
        return [parameter for group in found for parameter in group]

    async def in_slot(self, slot: str) -> Parameter | None:
        """The one that another with the same slot replaces."""
        return next(iter(await self.by("slot", slot)), None)

    def derived(self, aggregate: Parameter) -> Document:
        """Where it holds, and what no other may set for the same place and day."""
        return {"scope": str(aggregate.region_code or COUNTRY), "slot": aggregate.slot}


def stores(session: Session) -> Stores:
    """The service's ports on one session."""
    return Stores(
        institutions=MongoInstitutions(session),
        operators=MongoOperators(session),
        beds=MongoBeds(session),
        admissions=MongoAdmissions(session),
        people=MongoPeople(session),
        grades=MongoGrades(session),
        inspections=MongoInspections(session),
        hazards=MongoHazards(session),
        penalties=MongoPenalties(session),
        parameters=MongoParameters(session),
    )


REPOSITORIES = (
    MongoInstitutions,
    MongoOperators,
    MongoBeds,
    MongoAdmissions,
    MongoPeople,
    MongoGrades,
    MongoInspections,
    MongoHazards,
    MongoPenalties,
    MongoParameters,
)
