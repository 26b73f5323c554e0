"""Credit's collections. Workers' identity numbers are sealed here and nowhere else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any, ClassVar

from eldex.common.calendar import WorkingDays
from eldex.common.identifiers import DocumentKind, PersonDocument, RegionCode, parse_document
from eldex.common.sealing import Sealer
from eldex.common.store import Document, Index, Repository, Session, converter
from eldex.credit.domain.cases import Case
from eldex.credit.domain.disclosure import CreditRecord, DisclosureState, Organisation
from eldex.credit.domain.listing import DecisionListed, Listing, ListingState
from eldex.credit.domain.parameters import Deadline, Ground, ParameterSet
from eldex.credit.domain.standing import Standing
from eldex.credit.domain.worker import FileOpened, Paper, WorkerFile
from eldex.credit.handlers.ports import Stores

_WORKING_DAYS = WorkingDays()


def _lineage(region_code: RegionCode) -> list[str]:
    """The division and all above it, so that a page of any division is one index range."""
    return [str(code) for code in region_code.lineage()]


class MongoListings(Repository[Listing]):
    """Listings, found by subject, division, day and what the calendar will do to them."""

    kind = Listing
    collection = "listings"
    history = True
    indexes = (
        Index((("subject.key", 1), ("_id", 1))),
        Index((("lineage", 1), ("_id", 1))),
        Index((("due_on", 1),), where={"due_on": {"$gt": ""}}),
        # One decision lists a party on one ground once; entered again, it is refused.
        Index((("judgement", 1),), True, {"judgement": {"$gt": ""}}, taken=DecisionListed),
    )

    async def of_subject(self, subject_key: str) -> list[Listing]:
        """All listings of a party."""
        return await self.by("subject.key", subject_key)

    def derived(self, aggregate: Listing) -> Document:
        """What lists and the calendar ask by."""
        found: Document = {"lineage": _lineage(aggregate.region_code)}
        if aggregate.due_on is not None:
            found["due_on"] = aggregate.due_on.isoformat()
        days = aggregate.days_in_force
        if days is not None and days.ended_on is not None:
            found["in_force_from"] = days.began_on.isoformat()
            found["in_force_to"] = days.ended_on.isoformat()
        withdrawn = aggregate.state in {ListingState.DROPPED, ListingState.REVOKED}
        if aggregate.decision is not None and not withdrawn:
            subject, document = aggregate.subject.key, aggregate.decision.document
            found["judgement"] = f"{subject}/{aggregate.ground_code}/{document}"
        return found


class MongoStandings(Repository[Standing]):
    """Standings, by the subject's key."""

    kind = Standing
    collection = "standings"


class MongoWorkerFiles(Repository[WorkerFile]):
    """Workers' files, found by key, by sealed document and by division."""

    kind = WorkerFile
    collection = "worker_files"
    history = True
    indexes = (
        Index((("paper.sealed", 1),), unique=True, taken=FileOpened),
        Index((("lineage", 1), ("_id", 1))),
    )
    seals: ClassVar[Callable[[PersonDocument], list[bytes]]]
    """All that a document may have been sealed as, newest first (`use_sealer`)."""

    async def of_document(self, document: PersonDocument) -> WorkerFile | None:
        """The file of the person whom a document names, also if an older key sealed it."""
        for sealed in type(self).seals(document):
            if found := await self.by("paper.sealed", sealed):
                return found[0]
        return None

    def derived(self, aggregate: WorkerFile) -> Document:
        """The division and all above it."""
        return {"lineage": _lineage(aggregate.region_code)}


class MongoCreditRecords(Repository[CreditRecord]):
    """Records, found by subject, division, platform and due day."""

    kind = CreditRecord
    collection = "credit_records"
    indexes = (
        Index((("subject.key", 1), ("_id", 1))),
        Index((("lineage", 1), ("_id", 1))),
        Index((("state", 1), ("due_on", 1))),
    )

    async def due_of(self, subject_key: str) -> list[CreditRecord]:
        """What the platform of a party does not have yet."""
        known = await self.by("subject.key", subject_key)
        return [record for record in known if record.state is DisclosureState.DUE]

    def derived(self, aggregate: CreditRecord) -> Document:
        """The division and all above it."""
        return {"lineage": _lineage(aggregate.region_code)}


class MongoOrganisations(Repository[Organisation]):
    """What filings told of organisations, by credit code."""

    kind = Organisation
    collection = "organisations"


class MongoCases(Repository[Case]):
    """Cases, found by subject and division."""

    kind = Case
    collection = "cases"
    indexes = (
        Index((("subject.key", 1), ("_id", 1))),
        Index((("lineage", 1), ("_id", 1))),
    )

    async def of_subject(self, subject_key: str) -> list[Case]:
        """All cases about a party."""
        return await self.by("subject.key", subject_key)

    def derived(self, aggregate: Case) -> Document:
        """The division and all above it."""
        return {"lineage": _lineage(aggregate.region_code)}


class MongoParameterSets(Repository[ParameterSet]):
    """Parameters that divisions have set, over those that come with the product."""

    kind = ParameterSet
    collection = "parameter_sets"
    history = True

    async def layers(self, scopes: Sequence[str]) -> list[ParameterSet]:
        """What each of the scopes says, in that order."""
        # Asked together, they share one query.
        own = await asyncio.gather(*(self.find(scope) for scope in scopes))
        return [_merged(scope, found) for scope, found in zip(scopes, own, strict=True)]


def _merged(scope: str, own: ParameterSet | None) -> ParameterSet:
    shipped = shipped_parameters().get(scope)
    if shipped is None:
        return own or ParameterSet(key=scope)
    merged = ParameterSet(
        key=scope, deadlines=list(shipped.deadlines), grounds=list(shipped.grounds)
    )
    if own is not None:
        merged.set(own.deadlines, own.grounds)
    return merged


@cache
def shipped_parameters() -> dict[str, ParameterSet]:
    """The parameters that come with the product, each with its source (`parameters.json`)."""
    text = (files("eldex.credit") / "parameters.json").read_text(encoding="utf-8")
    return {
        scope: ParameterSet(
            key=scope,
            deadlines=converter.structure(rules["deadlines"], list[Deadline]),
            grounds=converter.structure(rules["grounds"], list[Ground]),
        )
        for scope, rules in json.loads(text).items()
    }


def use_sealer(sealer: Sealer) -> None:
    """Have workers' documents sealed in MongoDB with this sealer; called once, by `main`."""

    def text(document: PersonDocument) -> str:
        return f"{document.kind.value}:{document.reveal()}"

    def seal(paper: Paper) -> Document:
        return {"kind": paper.document.kind.value, "sealed": sealer.seal(text(paper.document))}

    def seals(document: PersonDocument) -> list[bytes]:
        return sealer.seals(text(document))

    def unseal(stored: Document, _: Any) -> Paper:
        kind, _, number = sealer.open(bytes(stored["sealed"])).partition(":")
        return Paper(parse_document(DocumentKind(kind), number, on=date.max))

    MongoWorkerFiles.seals = staticmethod(seals)
    converter.register_unstructure_hook(Paper, seal)
    converter.register_structure_hook(Paper, unseal)


def stores(session: Session) -> Stores:
    """Credit's ports on one session."""
    return Stores(
        listings=MongoListings(session),
        standings=MongoStandings(session),
        workers=MongoWorkerFiles(session),
        records=MongoCreditRecords(session),
        organisations=MongoOrganisations(session),
        cases=MongoCases(session),
        parameter_sets=MongoParameterSets(session),
        working_days=_WORKING_DAYS,
    )


REPOSITORIES = (
    MongoListings,
    MongoStandings,
    MongoWorkerFiles,
    MongoCreditRecords,
    MongoOrganisations,
    MongoCases,
    MongoParameterSets,
)
