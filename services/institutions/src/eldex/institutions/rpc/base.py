"""What the parts of the service share: the unit of work, the tables, and reading in pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TypeVar

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from eldex.common import masks, paging
from eldex.common.aggregate import Aggregate
from eldex.common.identifiers import RegionCode
from eldex.common.store import Document, UnitOfWork
from eldex.institutions.handlers.ports import Kept, Stores, Tables

A = TypeVar("A", bound=Aggregate)
M = TypeVar("M", bound=Message)
T = TypeVar("T")


class ListRequest(Protocol):
    """A request for a page."""

    page_size: int
    page_token: str

    @property
    def read_mask(self) -> FieldMask:
        """Which fields are wanted."""
        ...


class Part:
    """A part of the service."""

    def __init__(self, work: UnitOfWork[Stores], tables: Tables) -> None:
        self._work, self._tables = work, tables

    async def _read(self, act: Callable[[Stores], Awaitable[T]]) -> T:
        return await self._work.read(act)

    async def _page(
        self,
        request: Any,
        where: Document,
        of: Callable[[Stores], Kept[A]],
        render: Callable[[A], M],
    ) -> tuple[list[M], str]:
        """One page, masked, and the token of the next."""
        asked: ListRequest = request
        after = paging.after(request, asked.page_token)

        async def act(stores: Stores) -> tuple[list[M], str]:
            page = await of(stores).page(where, size=paging.size(asked.page_size), after=after)
            found = [render(item) for item in page.items]
            for message in found:
                masks.keep(message, asked.read_mask)
            return found, paging.token(request, page.next_key)

        return await self._read(act)


def scope(request: Any) -> Document:
    """The condition that a request's `scope` asks for."""
    name: str = request.WhichOneof("scope")
    value: str = getattr(request, name)
    return {"lineage": str(RegionCode.parse(value))} if name == "region_code" else {name: value}
