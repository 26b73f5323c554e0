"""What the classes of calls share: the unit of work, the tables, and two shapes of a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from eldex.common import masks, paging
from eldex.common.aggregate import Aggregate
from eldex.common.dates import instant
from eldex.common.store import UnitOfWork
from eldex.registry.domain.guardianships import GuardianRule
from eldex.registry.domain.scoring import AssessmentRules
from eldex.registry.handlers.ports import DivisionTable, Kept, Stores
from eldex.registry.handlers.reading import page_as_known

A = TypeVar("A", bound=Aggregate)
M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Tables:
    """What is looked up and never written."""

    divisions: DivisionTable
    assessment_rules: AssessmentRules
    guardian_rules: Sequence[GuardianRule]


class Calls:
    """Calls about one noun."""

    def __init__(self, work: UnitOfWork[Stores], tables: Tables) -> None:
        self._work, self._tables = work, tables


class KnownRequest(Protocol):
    """A request that may ask for what was known earlier."""

    @property
    def known_at(self) -> Timestamp:
        """The instant."""
        ...

    def HasField(self, field_name: Any, /) -> bool:  # noqa: N802 - protobuf's name
        """Whether a field is given."""
        ...


def known_at(request: KnownRequest) -> datetime | None:
    """The instant as of which the caller asks; None: now."""
    return instant(request.known_at) if request.HasField("known_at") else None


async def listed(
    request: Any,
    kept: Kept[A],
    where: Mapping[str, Any],
    wanted: Callable[[A], bool],
    to_message: Callable[[A], M],
) -> tuple[list[M], str]:
    """The messages of a page of a List call, masked, and the token of the next."""
    page = await page_as_known(
        kept,
        where,
        known_at(request),
        wanted,
        size=paging.size(request.page_size),
        after=paging.after(request, request.page_token),
    )
    messages = [masked(to_message(each), request.read_mask) for each in page.items]
    return messages, paging.token(request, page.next_key)


def masked(message: M, mask: FieldMask) -> M:
    """The message with the fields that were asked for."""
    masks.keep(message, mask)
    return message
