"""Consents, uses of break-glass and deadlines in MongoDB."""

from __future__ import annotations

from typing import ClassVar

from eldex.common.store import Document, Index, Repository
from eldex.exchange.domain.break_glass import BreakGlass, ReviewRule
from eldex.exchange.domain.consents import Consent


class MongoConsents(Repository[Consent]):
    """Consents; every version is kept, so that a past decision can be explained."""

    kind = Consent
    collection = "consents"
    history = True
    indexes: ClassVar[tuple[Index, ...]] = (
        Index((("scope", 1),)),
        Index((("resident_key", 1),)),
        Index((("subsystem", 1),)),
    )

    async def by_scope(self, scope: str) -> list[Consent]:
        """All that were given for a person, recipient and purpose."""
        return await self.by("scope", scope)

    def derived(self, aggregate: Consent) -> Document:
        """What it lets pass, to be found by."""
        return {"scope": aggregate.scope}


class MongoBreakGlasses(Repository[BreakGlass]):
    """Uses of break-glass, in the order of time."""

    kind = BreakGlass
    collection = "break_glass"
    indexes: ClassVar[tuple[Index, ...]] = (
        Index((("subsystem", 1),)),
        Index((("justified", 1), ("review_by", 1))),
    )


class MongoReviewRules(Repository[ReviewRule]):
    """Deadlines by `<division>/<first day>`."""

    kind = ReviewRule
    collection = "review_rules"
    history = True


ACCESS_REPOSITORIES = (MongoConsents, MongoBreakGlasses, MongoReviewRules)
