"""Joinings and members' certificates in MongoDB."""

from __future__ import annotations

from typing import ClassVar

from eldex.common.store import Index, Repository
from eldex.exchange.domain.membership import Joining, MemberCertificate, TokenGivenOut


class MongoJoinings(Repository[Joining]):
    """Joinings, in the order of time; every version is kept."""

    kind = Joining
    collection = "joinings"
    history = True
    indexes: ClassVar[tuple[Index, ...]] = (
        Index((("token_digest", 1),), unique=True, taken=TokenGivenOut),
        Index((("provider", 1),)),
    )

    async def by_token(self, digest: str) -> Joining | None:
        """The one whose token has this digest."""
        return next(iter(await self.by("token_digest", digest)), None)


class MongoCertificates(Repository[MemberCertificate]):
    """Certificates by their serial numbers; every version is kept."""

    kind = MemberCertificate
    collection = "certificates"
    history = True
    indexes: ClassVar[tuple[Index, ...]] = (
        Index((("subsystem", 1),)),
        Index((("revoked_at", 1),)),
    )


MEMBERSHIP_REPOSITORIES = (MongoJoinings, MongoCertificates)
