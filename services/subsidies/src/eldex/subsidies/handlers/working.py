"""What goes on in the background: deciding many anew, paying cycles, letting days go by.

All of it goes page by page, keeps in the database how far it is, and may be killed at any row: what
was done is found done, the rest is done when the process is back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol, TypeVar

from eldex.common.clock import Clock
from eldex.common.errors import DomainError
from eldex.common.identifiers import RegionCode, new_key
from eldex.common.logs import logger
from eldex.subsidies.domain.cycle import Cycle, CycleState, Redecision
from eldex.subsidies.domain.days import period_of
from eldex.subsidies.handlers.cycles import (
    PAGE,
    PageDone,
    finish_page,
    pay_entitlement,
    pay_grant,
    payee_is_person,
)
from eldex.subsidies.handlers.deciding import decide_person, horizon_of
from eldex.subsidies.handlers.institutions import decide_again
from eldex.subsidies.handlers.parameters import SetParameters, set_parameters
from eldex.subsidies.handlers.ports import Stores

T = TypeVar("T")

_PATIENCE_SECONDS = 2.0


class Work(Protocol):
    """Runs acts on fresh ports and commits them."""

    async def read(self, act: Callable[[Stores], Awaitable[T]]) -> T:
        """Run an act that writes nothing."""
        ...

    async def once(self, name: str, act: Callable[[Stores, datetime], Awaitable[None]]) -> None:
        """Run and commit an act, unless one of that name was committed before."""
        ...


class Worker:
    """Does what is pending. One replica at a time does it; if two did, nothing would happen twice."""

    def __init__(
        self,
        work: Work,
        clock: Clock,
        seeds: Sequence[SetParameters] = (),
        lease: Callable[[], Awaitable[bool]] | None = None,
    ) -> None:
        self._work, self._clock, self._seeds, self._lease = work, clock, seeds, lease
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """There is something to do."""
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            try:
                if await self._mine():
                    await self.run_pending()
            except DomainError as error:
                if not error.kind.retryable:
                    raise
                logger().warning("work_waits", reason=error.reason)
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    await self._wake.wait()
            except TimeoutError:
                pass  # another replica's call may have asked for work, or a month has begun
            self._wake.clear()

    async def _mine(self) -> bool:
        return self._lease is None or await self._lease()

    async def seed(self) -> None:
        """Enter the parameters that come with the service, where no version begins on that day."""
        for seed in self._seeds:

            async def act(stores: Stores, now: datetime, seed: SetParameters = seed) -> None:
                key = f"{seed.scheme_code}@{seed.region_code}"
                found = await stores.parameters.find(key)
                days = {v.valid_from for v in found.versions} if found else set()
                if seed.version.valid_from not in days:
                    await set_parameters(seed, stores, now)

            await self._work.once(new_key("act"), act)

    async def run_pending(self) -> None:
        """Do all that is pending now: new parameters first, then payments, then days gone by."""
        await self._decide_all_anew(await self._open_redecisions())
        for cycle in await self._open_cycles():
            await self._pay(cycle.key)
        await self._let_days_go_by(None)

    async def _open_redecisions(self) -> list[Redecision]:
        page = await self._work.read(
            lambda stores: stores.redecisions.page({"finished_at": None}, size=PAGE)
        )
        return page.items

    async def _open_cycles(self) -> list[Cycle]:
        where = {"state": {"$ne": CycleState.DONE.value}}
        page = await self._work.read(lambda stores: stores.cycles.page(where, size=PAGE))
        return page.items

    # --- deciding ----------------------------------------------------------------------------------

    async def _decide(self, key: str) -> None:
        async def act(stores: Stores, now: datetime) -> None:
            await decide_person(await stores.recipients.get(key), stores, now)

        await self._work.once(new_key("act"), act)

    async def _decide_home(self, key: str) -> None:
        async def act(stores: Stores, now: datetime) -> None:
            await decide_again(await stores.homes.get(key), stores, now)

        await self._work.once(new_key("act"), act)

    async def _decide_all_anew(self, tasks: Sequence[Redecision]) -> None:
        """Decide everybody concerned; to decide a person decides all schemes, so once is enough."""
        done: list[tuple[Redecision, datetime]] = []
        for task in sorted(tasks, key=lambda t: (t.region_code.level, t.requested_at)):
            began_at = task.began_at or self._clock()
            persons = await self._pays_persons(task.scheme_code)
            covered = persons and any(
                wider.region_code.contains(task.region_code) and task.requested_at <= since
                for wider, since in done
            )
            if not covered:
                await self._note(task.key, began_at, 0)
                await (self._decide_persons if persons else self._decide_homes)(task, began_at)
            if persons and not covered:
                done.append((task, began_at))
            await self._note(task.key, began_at, 0, finished=True)

    async def _decide_persons(self, task: Redecision, began_at: datetime) -> None:
        after: str | None = None
        while True:
            page = await self._work.read(
                lambda s, a=after: s.recipients.decided_until(  # type: ignore[misc]
                    began_at, task.region_code, PAGE, a
                )
            )
            await asyncio.gather(*(self._decide(r.key) for r in page.items))
            await self._note(task.key, began_at, len(page.items))
            after = page.next_key
            if after is None:
                return

    async def _pays_persons(self, scheme_code: str) -> bool:
        async def act(stores: Stores) -> bool:
            return payee_is_person(stores.catalogue.get(scheme_code).payee)

        return await self._work.read(act)

    async def _decide_homes(self, task: Redecision, began_at: datetime) -> None:
        after: str | None = None
        where = {"lineage": str(task.region_code)}
        while True:
            page = await self._work.read(
                lambda s, a=after: s.homes.page(where, size=PAGE, after=a)  # type: ignore[misc]
            )
            await asyncio.gather(*(self._decide_home(home.key) for home in page.items))
            await self._note(task.key, began_at, len(page.items))
            after = page.next_key
            if after is None:
                return

    async def _note(
        self, key: str, began_at: datetime, decided: int, *, finished: bool = False
    ) -> None:
        async def act(stores: Stores, now: datetime) -> None:
            task = await stores.redecisions.get(key)
            task.began_at = task.began_at or began_at
            task.decided += decided
            if finished:
                task.finished_at = now
            stores.redecisions.save(task)

        await self._work.once(new_key("act"), act)

    async def _let_days_go_by(self, region: RegionCode | None) -> bool:
        """Decide those for whom something changes in the running month: birthdays, ends, new rates.

        Whether all are decided: another replica may have taken over the work.
        """
        horizon = horizon_of(self._clock())
        while True:
            found = await self._work.read(
                lambda s: s.recipients.changing_before(horizon, region, PAGE)
            )
            if not found:
                break
            if not await self._mine():
                return False
            await asyncio.gather(*(self._decide(r.key) for r in found))
        while homes := await self._work.read(lambda s: s.homes.changing_before(horizon, PAGE)):
            await asyncio.gather(*(self._decide_home(home.key) for home in homes))
        return True

    # --- paying ------------------------------------------------------------------------------------

    async def _pay(self, key: str) -> None:
        """Bring a cycle to its end, from wherever it is."""
        while True:
            cycle = await self._work.read(lambda s: s.cycles.get(key))
            if cycle.state is CycleState.DONE or not await self._mine():
                return
            if cycle.state is CycleState.DECIDING:
                if not await self._let_days_go_by(cycle.region_code):
                    return
                done = PageDone(key, cycle.state, cycle.cursor, (), None)
            else:
                done = await self._pay_page(cycle)

            async def act(stores: Stores, now: datetime, done: PageDone = done) -> None:
                await finish_page(done, stores, now)

            await self._work.once(new_key("act"), act)

    async def _pay_page(self, cycle: Cycle) -> PageDone:
        since = period_of(cycle.month).began_on
        if cycle.state is CycleState.PAYING:
            paying = await self._work.read(
                lambda s: s.entitlements.payable(cycle.region_code, since, PAGE, cycle.cursor)
            )
            keys, next_key, pay = [e.key for e in paying.items], paying.next_key, pay_entitlement
        else:
            grants = await self._work.read(
                lambda s: s.grants.in_division(cycle.region_code, PAGE, cycle.cursor)
            )
            keys, next_key, pay = [g.key for g in grants.items], grants.next_key, pay_grant

        async def pay_one(key: str) -> None:
            async def act(stores: Stores, now: datetime) -> None:
                await pay(cycle, key, stores, now)

            await self._work.once(f"cycle/{cycle.month}/{key}", act)

        await asyncio.gather(*(pay_one(key) for key in keys))
        return PageDone(cycle.key, cycle.state, cycle.cursor, tuple(keys), next_key)
