"""Where the catalogue, requests for access and correction requests are kept, and the hub above the city."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from eldex.common.aggregate import Page
from eldex.exchange.domain.access_requests import AccessRequest
from eldex.exchange.domain.catalogue import Resource
from eldex.exchange.domain.corrections import Correction


class Resources(Protocol):
    """Where the catalogue is kept, every release of it."""

    async def get(self, key: str) -> Resource:
        """The resource; raises `NotFound`."""
        ...

    async def find(self, key: str) -> Resource | None:
        """The resource, or None."""
        ...

    async def page(
        self, where: Mapping[str, Any], *, size: int, after: str | None = None
    ) -> Page[Resource]:
        """Resources in the order of their codes."""
        ...

    def save(self, aggregate: Resource) -> None:
        """Stage for the commit."""
        ...


class AccessRequests(Protocol):
    """Where requests for access are kept."""

    async def get(self, key: str) -> AccessRequest:
        """The request; raises `NotFound`."""
        ...

    async def page(
        self, where: Mapping[str, Any], *, size: int, after: str | None = None
    ) -> Page[AccessRequest]:
        """Requests in key order, which is the order of time."""
        ...

    def save(self, aggregate: AccessRequest) -> None:
        """Stage for the commit."""
        ...


class Corrections(Protocol):
    """Where correction requests are kept."""

    async def get(self, key: str) -> Correction:
        """The correction request; raises `NotFound`."""
        ...

    async def page(
        self, where: Mapping[str, Any], *, size: int, after: str | None = None
    ) -> Page[Correction]:
        """Correction requests in key order, which is the order of time."""
        ...

    def save(self, aggregate: Correction) -> None:
        """Stage for the commit."""
        ...


@dataclass(frozen=True, slots=True)
class CatalogueStores:
    """The ports of the catalogue, on one session."""

    resources: Resources
    access_requests: AccessRequests
    corrections: Corrections


class CatalogueHub(Protocol):
    """The exchange above the city, which gathers the catalogues (国家、省级共享平台)."""

    async def submit(self, document: bytes) -> str:
        """Hand over the catalogue in the national form; returns the name under which it was taken."""
        ...
