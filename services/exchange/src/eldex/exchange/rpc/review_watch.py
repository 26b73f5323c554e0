"""Emergencies whose review is overdue: counted, and told in the log until somebody looks at them."""

from __future__ import annotations

import asyncio
from typing import Final

from eldex.common import metrics
from eldex.common.errors import DomainError
from eldex.common.logs import logger
from eldex.common.store import UnitOfWork
from eldex.exchange.handlers import Stores

_EVERY_SECONDS: Final = 60.0
_MOST: Final = 500


class ReviewWatch:
    """Looks once a minute."""

    def __init__(self, work: UnitOfWork[Stores]) -> None:
        self._work = work

    async def look(self) -> int:
        """How many are overdue now."""
        where = {"justified": None, "review_by": {"$lte": self._work.clock()}}
        page = await self._work.read(lambda stores: stores.break_glasses.page(where, size=_MOST))
        metrics.glass_overdue.set(len(page.items))
        for use in page.items:
            logger().warning(
                "glass_review_overdue",
                break_glass_key=use.key,
                caller=use.subsystem,
                review_by=use.review_by.isoformat(),
            )
        return len(page.items)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look()
            except DomainError as error:
                logger().warning("reviews_not_watched", reason=error.reason)
            await asyncio.sleep(_EVERY_SECONDS)
