"""Aggregates as documents."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from functools import lru_cache
from typing import Any, TypeVar

from cattrs.preconf.bson import make_converter

from eldex.common.aggregate import Aggregate
from eldex.common.identifiers import CreditCode, RegionCode
from eldex.common.store.backend import Document

A = TypeVar("A", bound=Aggregate)

# Our own documents are read: a defect in one need not be told field by field, and speed matters.
converter = make_converter(detailed_validation=False)
"""Dataclass ↔ document: days as ISO text, enums by value, codes as text. Services register their own."""
converter.register_unstructure_hook(date, date.isoformat)
converter.register_structure_hook(date, lambda text, _: date.fromisoformat(text))
converter.register_unstructure_hook(datetime, lambda instant: instant)
converter.register_structure_hook(datetime, lambda instant, _: instant)


@lru_cache(maxsize=100_000)
def _region_code(text: str) -> RegionCode:
    """Every document names a few of the same codes: each is checked once."""
    return RegionCode(text)


converter.register_unstructure_hook(RegionCode, str)
converter.register_structure_hook(RegionCode, lambda text, _: _region_code(text))
converter.register_unstructure_hook(CreditCode, str)
converter.register_structure_hook(CreditCode, lambda text, kind: kind(text))


def to_document(aggregate: Aggregate) -> Document:
    """The document that the next commit of this aggregate writes."""
    document: Document = converter.unstructure(aggregate)
    document["_id"] = document.pop("key")
    document["version"] = aggregate.version + 1
    return document


def from_document(kind: type[A], document: Mapping[str, Any]) -> A:
    """The aggregate as it was committed."""
    fields = dict(document)
    fields["key"] = fields.pop("_id")
    return converter.structure(fields, kind)
