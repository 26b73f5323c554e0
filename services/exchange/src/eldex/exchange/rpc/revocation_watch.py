"""Keeps the list of revoked certificates fresh, by asking for what is new a few times a second."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Final

from eldex.common.errors import DomainError
from eldex.common.logs import logger
from eldex.common.rpc.revocation import Revocations
from eldex.common.store import UnitOfWork
from eldex.exchange.handlers import Stores

_EVERY_SECONDS: Final = 0.25
_MOST: Final = 100_000
_OVERLAP: Final = timedelta(seconds=60)
"""A revocation is looked for so long after its time: clocks of replicas differ, commits take time."""


class RevocationWatch:
    """What was revoked here counts at once; what another replica revoked, within half a second."""

    def __init__(self, work: UnitOfWork[Stores], revocations: Revocations) -> None:
        self._work, self._revocations = work, revocations
        self._since: datetime | None = None

    async def refresh(self) -> None:
        """Take in what was revoked since."""
        now = self._work.clock()
        since = self._since - _OVERLAP if self._since else datetime.fromtimestamp(0, now.tzinfo)
        page = await self._work.read(
            lambda stores: stores.certificates.page({"revoked_at": {"$gte": since}}, size=_MOST)
        )
        self._revocations.revoke(found.key for found in page.items)
        self._since = now

    async def run(self) -> None:
        """Keep it fresh until cancelled."""
        while True:
            try:
                await self.refresh()
            except DomainError as error:
                # What is known holds. Without the database no call is decided after some seconds either
                # (`AgreementTable.require`).
                logger().warning("revocations_not_refreshed", reason=error.reason)
            await asyncio.sleep(_EVERY_SECONDS)
