"""The agreements in force, at hand for every call; a change is known within a second."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from eldex.common.errors import DomainError
from eldex.common.logs import logger
from eldex.common.store import UnitOfWork
from eldex.exchange.domain.agreements import Agreement
from eldex.exchange.handlers import Stores

_EVERY_SECONDS = 0.5
_MOST = 10_000


class AgreementTable:
    """A copy of the agreements, read again twice a second and after every change of our own."""

    def __init__(self, work: UnitOfWork[Stores]) -> None:
        self._work = work
        self._all: Sequence[Agreement] = ()

    def all(self) -> Sequence[Agreement]:
        """Every agreement, in force or not."""
        return self._all

    async def refresh(self) -> None:
        """Read them now."""
        page = await self._work.read(lambda stores: stores.agreements.page({}, size=_MOST))
        self._all = tuple(page.items)

    async def run(self) -> None:
        """Keep the copy fresh until cancelled."""
        while True:
            try:
                await self.refresh()
            except DomainError as error:
                # The last known agreements hold until the database is back.
                logger().warning("agreements_not_refreshed", reason=error.reason)
            await asyncio.sleep(_EVERY_SECONDS)
