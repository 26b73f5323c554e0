"""Reading what belongs to a person, as known now or at an earlier instant."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from eldex.common.aggregate import Aggregate, Page
from eldex.common.errors import NotFound
from eldex.registry.domain.residents import Resident
from eldex.registry.handlers.ports import Kept, Stores
from eldex.registry.handlers.residents import get_resident

A = TypeVar("A", bound=Aggregate)


async def page_as_known(
    kept: Kept[A],
    where: Mapping[str, Any],
    known_at: datetime | None,
    wanted: Callable[[A], bool],
    *,
    size: int,
    after: str | None,
) -> Page[A]:
    """A page of what matches, each as it was known at the instant, if it was and is wanted.

    `where` must ask only for what never changes about an aggregate (or is kept of its past): what
    was otherwise then is judged by `wanted`. A page may hold fewer than `size` and yet go on.
    """
    page = await kept.page(where, size=size, after=after)
    items = page.items
    if known_at is not None:
        items = [each for key in items if (each := await _known(kept, key.key, known_at))]
    return Page([each for each in items if wanted(each)], page.next_key)


async def _known(kept: Kept[A], key: str, known_at: datetime) -> A | None:
    try:
        return await kept.known_at(key, known_at)
    except NotFound:
        return None  # it was entered later


async def record_keys(
    resident_key: str, known_at: datetime | None, stores: Stores
) -> tuple[Resident, list[str]]:
    """The person and the records under which things of theirs were entered."""
    resident = await get_resident(resident_key, known_at, stores)
    return resident, resident.record_keys
