"""Repositories: how each noun is kept and found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime

from eldex.common.aggregate import Page
from eldex.common.identifiers import RegionCode
from eldex.common.store import Document, Index, Repository, Session, from_document
from eldex.subsidies.domain.cycle import Cycle, Redecision
from eldex.subsidies.domain.entitlement import Disbursement, Entitlement, EntitlementStands
from eldex.subsidies.domain.grant import GrantStands, InstitutionGrant
from eldex.subsidies.domain.institution import BedStay, Conduct, Home
from eldex.subsidies.domain.recipient import Recipient
from eldex.subsidies.domain.recovery import Recovery
from eldex.subsidies.domain.schemes import Catalogue, ParameterSet, lineage
from eldex.subsidies.handlers.ports import Stores


def _lineage(region_code: RegionCode | None) -> list[str]:
    """The division and all above it, so that a page of any division is one index range."""
    return [str(code) for code in lineage(region_code)] if region_code else []


class MongoRecipients(Repository[Recipient]):
    """What is known of persons, found by every division in which they ever lived."""

    kind = Recipient
    collection = "recipients"
    indexes = (
        Index((("merged_into", 1),)),
        Index((("memberships.key", 1),)),
        Index((("assessments.key", 1),)),
        Index((("next_change_on", 1),)),
        Index((("lineage", 1), ("decided_at", 1))),
    )

    async def changing_before(
        self, day: date, region_code: RegionCode | None, size: int
    ) -> Sequence[Recipient]:
        """Some for whom something changes before a day."""
        where: Document = {"next_change_on": {"$lt": day.isoformat()}}
        if region_code is not None:
            where["lineage"] = str(region_code)
        return (await self.page(where, size=size)).items

    async def decided_until(
        self, instant: datetime, region_code: RegionCode, size: int, after: str | None
    ) -> Page[Recipient]:
        """Some who live or lived in a division and were not decided since an instant."""
        where: Document = {"lineage": str(region_code), "decided_at": {"$lte": instant}}
        return await self.page(where, size=size, after=after)

    def derived(self, aggregate: Recipient) -> Document:
        """All divisions of all residences."""
        codes = {code for r in aggregate.residences for code in _lineage(r.region_code)}
        return {"lineage": sorted(codes)}


class MongoEntitlements(Repository[Entitlement]):
    """What persons are owed."""

    kind = Entitlement
    collection = "entitlements"
    indexes = (
        Index(
            (("resident_key", 1), ("scheme_code", 1), ("payer", 1), ("variant", 1)),
            unique=True,
            taken=EntitlementStands,
        ),
        Index((("lineage", 1), ("_id", 1))),
    )

    async def payable(
        self, region_code: RegionCode, since: date, size: int, after: str
    ) -> Page[Entitlement]:
        """Some that are due on the day or later, or were revised since they were last paid."""
        due: Document = {"active_until": {"$gt": since.isoformat()}}
        where: Document = {"lineage": str(region_code), "$or": [due, {"revised": True}]}
        return await self.page(where, size=size, after=after or None)

    def derived(self, aggregate: Entitlement) -> Document:
        """By which divisions it is found, and until when something is due."""
        return {
            "lineage": _lineage(aggregate.payer),
            "active_until": aggregate.active_until.isoformat(),
        }


class MongoRecoveries(Repository[Recovery]):
    """What is claimed back."""

    kind = Recovery
    collection = "recoveries"
    indexes = (
        Index((("entitlement_key", 1),)),
        Index((("resident_key", 1), ("_id", 1))),
        Index((("institution_key", 1), ("_id", 1))),
        Index((("lineage", 1), ("_id", 1))),
    )

    def derived(self, aggregate: Recovery) -> Document:
        """By which divisions it is found."""
        return {"lineage": _lineage(aggregate.payer)}


class MongoDisbursements(Repository[Disbursement]):
    """What was paid."""

    kind = Disbursement
    collection = "disbursements"
    indexes = (
        Index((("payee_key", 1), ("_id", 1))),
        Index((("entitlement_key", 1), ("_id", 1))),
        Index((("cycle_key", 1), ("_id", 1))),
    )


class MongoParameterSets(Repository[ParameterSet]):
    """The parameters of schemes by division, with all that they ever were."""

    kind = ParameterSet
    collection = "parameters"
    history = True
    indexes = (Index((("region_code", 1),)), Index((("scheme_code", 1), ("_id", 1))))

    def __init__(self, session: Session, known: dict[str, ParameterSet]) -> None:
        super().__init__(session)
        self._known = known

    async def of_division(self, region_code: RegionCode) -> list[ParameterSet]:
        """All schemes' parameters of one division, to decide by and not to change.

        Every decision asks for them and they change a few times a year: what was read of a version
        is kept. The version itself is read anew each time, so that nobody decides by an old one.
        """
        found = []
        for document in await self.session.load(self.collection, "region_code", str(region_code)):
            known = self._known.get(document["_id"])
            if known is None or known.version != document["version"]:
                known = self._known[document["_id"]] = from_document(ParameterSet, document)
            found.append(known)
        return found


class MongoCycles(Repository[Cycle]):
    """Payment cycles."""

    kind = Cycle
    collection = "cycles"
    indexes = (
        Index((("region_code", 1),)),
        Index((("lineage", 1), ("_id", 1))),
        Index((("state", 1), ("_id", 1))),
    )

    def derived(self, aggregate: Cycle) -> Document:
        """By which divisions it is found."""
        return {"lineage": _lineage(aggregate.region_code)}


class MongoRedecisions(Repository[Redecision]):
    """Who is to be decided anew."""

    kind = Redecision
    collection = "redecisions"
    indexes = (Index((("finished_at", 1), ("_id", 1))),)


class MongoHomes(Repository[Home]):
    """What is known of institutions."""

    kind = Home
    collection = "homes"
    indexes = (
        Index((("credit_code", 1),)),
        Index((("next_change_on", 1),)),
        Index((("lineage", 1), ("_id", 1))),
    )

    async def changing_before(self, day: date, size: int) -> Sequence[Home]:
        """Some for which something changes before a day."""
        return (await self.page({"next_change_on": {"$lt": day.isoformat()}}, size=size)).items

    def derived(self, aggregate: Home) -> Document:
        """By which divisions it is found."""
        return {"lineage": _lineage(aggregate.region_code)}


class MongoConducts(Repository[Conduct]):
    """What credit ordered about organisations."""

    kind = Conduct
    collection = "conducts"


class MongoStays(Repository[BedStay]):
    """Who was in which bed."""

    kind = BedStay
    collection = "stays"
    indexes = (Index((("institution_key", 1), ("last_on", 1))), Index((("bed_key", 1),)))

    async def between(self, institution_key: str, began_on: date, ended_on: date) -> list[BedStay]:
        """All stays of an institution with a day in the period."""
        where: Document = {
            "institution_key": institution_key,
            "last_on": {"$gt": began_on.isoformat()},
            "first_on": {"$lt": ended_on.isoformat()},
        }
        found: list[BedStay] = []
        after: str | None = None
        while True:
            page = await self.page(where, size=1_000, after=after)
            found += page.items
            after = page.next_key
            if after is None:
                return found

    def derived(self, aggregate: BedStay) -> Document:
        """From when to when it lasted."""
        return {
            "first_on": aggregate.first_on.isoformat(),
            "last_on": aggregate.last_on.isoformat(),
        }


class MongoGrants(Repository[InstitutionGrant]):
    """What institutions are owed."""

    kind = InstitutionGrant
    collection = "grants"
    indexes = (
        Index((("institution_key", 1), ("scheme_code", 1)), unique=True, taken=GrantStands),
        Index((("lineage", 1), ("_id", 1))),
    )

    async def in_division(
        self, region_code: RegionCode, size: int, after: str
    ) -> Page[InstitutionGrant]:
        """Some that a division, or one below it, pays."""
        return await self.page({"lineage": str(region_code)}, size=size, after=after or None)

    def derived(self, aggregate: InstitutionGrant) -> Document:
        """By which divisions it is found."""
        return {"lineage": _lineage(aggregate.payer)}


def stores_with(catalogue: Catalogue) -> Callable[[Session], Stores]:
    """How the ports of subsidies are made on one session."""
    known: dict[str, ParameterSet] = {}

    def stores(session: Session) -> Stores:
        return Stores(
            catalogue=catalogue,
            recipients=MongoRecipients(session),
            entitlements=MongoEntitlements(session),
            recoveries=MongoRecoveries(session),
            disbursements=MongoDisbursements(session),
            parameters=MongoParameterSets(session, known),
            cycles=MongoCycles(session),
            redecisions=MongoRedecisions(session),
            homes=MongoHomes(session),
            conducts=MongoConducts(session),
            stays=MongoStays(session),
            grants=MongoGrants(session),
        )

    return stores


REPOSITORIES = (
    MongoRecipients,
    MongoEntitlements,
    MongoRecoveries,
    MongoDisbursements,
    MongoParameterSets,
    MongoCycles,
    MongoRedecisions,
    MongoHomes,
    MongoConducts,
    MongoStays,
    MongoGrants,
)
