"""What the calls have in common."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from typing import Any, TypeVar

from google.protobuf.message import Message

from eldex.common import masks, paging
from eldex.common.aggregate import Aggregate
from eldex.common.regions import Divisions
from eldex.common.rpc.call import Call
from eldex.common.rpc.writes import write
from eldex.common.store import Document, UnitOfWork
from eldex.credit.domain.parameters import COUNTRY
from eldex.credit.handlers.ports import Kept, Stores
from eldex.credit.wire.privacy import refuse_identity_numbers
from eldex.credit.wire.terms import scope

A = TypeVar("A", bound=Aggregate)
M = TypeVar("M", bound=Message)
T = TypeVar("T")


class Calls:
    """Calls on one unit of work."""

    def __init__(self, work: UnitOfWork[Stores], divisions: Divisions) -> None:
        self._work, self._divisions = work, divisions

    async def write(
        self,
        request: Any,
        call: Call,
        act: Callable[[Stores, datetime], Awaitable[T]],
        render: Callable[[T], M],
    ) -> M:
        """Run a command once per request_id.

        Refused before it runs: texts that quote an identity number, and divisions that no table
        has, whose lists and rules nobody would find again.
        """
        refuse_identity_numbers(request)
        if code := scope(getattr(request, "region_code", COUNTRY)):
            self._divisions.get(code)
        return await write(self._work, request, call, act, render)

    async def page(
        self,
        request: Any,
        where: Document,
        kept: Callable[[Stores], Kept[A]],
        render: Callable[[A], M],
        hidden: Collection[str] = (),
    ) -> tuple[list[M], str]:
        """One page of an answer, masked, and the token with which it goes on."""
        size = paging.size(request.page_size)
        after = paging.after(request, request.page_token)
        page = await self._work.read(
            lambda stores: kept(stores).page(where, size=size, after=after)
        )
        found = [render(item) for item in page.items]
        for message in found:
            masks.keep(message, request.read_mask, hidden)
        return found, paging.token(request, page.next_key)
