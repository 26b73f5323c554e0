"""The catalogue, requests for access and correction requests in MongoDB."""

from __future__ import annotations

from typing import ClassVar

from eldex.common.store import Index, Repository, Session
from eldex.exchange.domain.access_requests import AccessRequest
from eldex.exchange.domain.catalogue import Resource
from eldex.exchange.domain.corrections import Correction
from eldex.exchange.handlers.catalogue_ports import CatalogueStores


class MongoResources(Repository[Resource]):
    """The catalogue by resource code; every release is kept."""

    kind = Resource
    collection = "catalogue_resources"
    history = True
    indexes: ClassVar[tuple[Index, ...]] = (Index((("provider", 1), ("_id", 1))),)


class MongoAccessRequests(Repository[AccessRequest]):
    """Requests for access, found by who asked and by who is asked."""

    kind = AccessRequest
    collection = "access_requests"
    indexes: ClassVar[tuple[Index, ...]] = (
        Index((("subsystem", 1), ("_id", 1))),
        Index((("provider", 1), ("_id", 1))),
    )


class MongoCorrections(Repository[Correction]):
    """Correction requests, found by who reported and by who provides."""

    kind = Correction
    collection = "corrections"
    indexes: ClassVar[tuple[Index, ...]] = (
        Index((("subsystem", 1), ("_id", 1))),
        Index((("provider", 1), ("_id", 1))),
    )


def catalogue_stores(session: Session) -> CatalogueStores:
    """The ports of the catalogue on one session."""
    return CatalogueStores(
        MongoResources(session), MongoAccessRequests(session), MongoCorrections(session)
    )


CATALOGUE_REPOSITORIES = (MongoResources, MongoAccessRequests, MongoCorrections)
