"""Where members and their certificates are kept, and who signs them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from eldex.common.aggregate import Page
from eldex.exchange.domain.membership import Issued, Joining, MemberCertificate


class Joinings(Protocol):
    """Where joinings are kept, every version of them."""

    async def get(self, key: str) -> Joining:
        """The joining; raises `NotFound`."""
        ...

    async def by_token(self, digest: str) -> Joining | None:
        """The one whose token has this digest."""
        ...

    async def page(
        self, where: Mapping[str, Any], *, size: int, after: str | None = None
    ) -> Page[Joining]:
        """Joinings in key order, which is the order of time."""
        ...

    def save(self, aggregate: Joining) -> None:
        """Stage for the commit."""
        ...


class Certificates(Protocol):
    """Where it is kept which certificates there are."""

    async def find(self, key: str) -> MemberCertificate | None:
        """The certificate by its serial number, or None."""
        ...

    async def page(
        self, where: Mapping[str, Any], *, size: int, after: str | None = None
    ) -> Page[MemberCertificate]:
        """Certificates by serial number."""
        ...

    def save(self, aggregate: MemberCertificate) -> None:
        """Stage for the commit."""
        ...


class MemberAuthority(Protocol):
    """Who signs the certificates of members."""

    def check(self, csr_pem: str, subsystem: str) -> str:
        """The digest of the key in a request that will do for a subsystem; raises `CsrUnfit`."""
        ...

    def issue(self, csr_pem: str, subsystem: str, now: datetime) -> Issued:
        """A certificate for a subsystem from its request; raises `CsrUnfit`."""
        ...
