"""One act, once and only once: the unit of work."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Generic, TypeVar

from eldex.common.clock import Clock
from eldex.common.errors import AlreadyExists, DomainError, RequestIdReused, StaleVersion
from eldex.common.sealing import Sealer
from eldex.common.store.backend import (
    DEAD_LETTERS,
    LEASES,
    MARK_TTL,
    MARKS,
    OUTBOX,
    Backend,
    Index,
    Outcome,
    Taken,
    Write,
)
from eldex.common.store.commit import GroupCommit
from eldex.common.store.session import Loader, Publisher, Repository, Session

S = TypeVar("S")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Mark:
    """What makes an act happen once: the name under which it is remembered, and its content."""

    name: str
    """`<caller>/<request_id>`, or `event/<event id>`."""
    content: bytes = b""
    """What must be the same when the name comes again."""

    def digest(self) -> str:
        """SHA-256 of the content."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """The result of an act: fresh, or the bytes kept from the first time it was asked for."""

    result: T | None
    reply: bytes
    replayed: bool


class UnitOfWork(Generic[S]):
    """Runs acts of the field on fresh ports, commits what they staged, once and only once."""

    ATTEMPTS: ClassVar[int] = 12

    def __init__(
        self,
        backend: Backend,
        stores: Callable[[Session], S],
        publish: Publisher,
        clock: Clock,
        commit: GroupCommit | None = None,
        sealer: Sealer | None = None,
    ) -> None:
        """`sealer` keeps what requests held from whoever has the database; without it they are guessed."""
        self.backend, self.clock = backend, clock
        self._sealer = sealer
        self._stores, self._publish = stores, publish
        self._loader = Loader(backend)
        self.commit = commit or GroupCommit(backend)

    async def read(self, act: Callable[[S], Awaitable[T]]) -> T:
        """Run an act that writes nothing."""
        return await act(self._stores(Session(self.backend, self._loader)))

    async def write(
        self,
        mark: Mark,
        act: Callable[[S, datetime], Awaitable[T]],
        render: Callable[[T], bytes] = lambda _: b"",
    ) -> Done[T]:
        """Run an act and commit what it staged, together with its events and its mark.

        An act whose mark is known has no second effect: the reply of the first time comes back; the
        same mark with other content raises `RequestIdReused`. An act that lost a race is decided
        again on fresh state. Raises what the act raises; then nothing was written.

        Most acts are new, so the mark is looked up only when something stands in the way: the act
        refuses, or its commit does (a known mark is a key that is taken). A repeat may therefore
        run the act once more before its effect is found, and throws away what that decided.
        """
        taken: AlreadyExists | None = None
        times_taken = 0
        for attempt in range(self.ATTEMPTS):
            if attempt:
                if attempt > 1:
                    await asyncio.sleep(random.uniform(0, 0.002 * 2 ** min(attempt, 6)))  # noqa: S311 - jitter
                known: Done[T] | None = await self._known(mark)
                if known is not None:
                    return known
                if taken is not None and times_taken > 1:
                    raise taken
            try:
                outcome, done = await self._attempt(mark, act, render)
            except DomainError:
                known = None if attempt else await self._known(mark)
                if known is not None:
                    return known
                raise
            if outcome is None:
                return done
            if isinstance(outcome, AlreadyExists):
                # Perhaps it is our own record, from an answer that got lost, or one that the act
                # would take up if it saw it: decide once more before telling the caller that
                # somebody else holds it.
                taken, times_taken = outcome, times_taken + 1
            else:
                # A race, or our own mark: what was taken before may have been decided anew since.
                taken, times_taken = None, 0
        raise StaleVersion("record")

    async def _attempt(
        self,
        mark: Mark,
        act: Callable[[S, datetime], Awaitable[T]],
        render: Callable[[T], bytes],
    ) -> tuple[AlreadyExists | Outcome, Done[T]]:
        session = Session(self.backend, self._loader)
        now = self.clock()
        with self.commit.expecting():
            result = await act(self._stores(session), now)
            changes = session.changes(self._publish, now)
            # The reply is rendered as it will be after the commit: with the new versions.
            session.committed()
            reply = render(result)
        document = {"_id": mark.name, "digest": self._digests(mark)[0], "reply": reply}
        changes.writes.append(Write(MARKS, document | {"expires_at": now + MARK_TTL}))
        outcome: AlreadyExists | Outcome = await self.commit.submit(changes)
        if isinstance(outcome, Taken) and outcome.collection != MARKS:
            outcome = session.refusal(outcome)
        return outcome, Done(result, reply, replayed=False)

    async def _known(self, mark: Mark) -> Done[T] | None:
        """What the act came to the first time; None if it has not happened yet."""
        found = await self._loader.load(MARKS, "_id", mark.name)
        if not found:
            return None
        if found[0]["digest"] not in self._digests(mark):
            raise RequestIdReused
        return Done(None, found[0]["reply"], replayed=True)

    def _digests(self, mark: Mark) -> list[str | bytes]:
        """All that the mark's content may be kept as, the newest key's first.

        A plain digest would tell an identity number to whoever tries out the few million there may be.
        It is the last: marks that were kept before there was a key still say what they are of.
        """
        sealed = self._sealer.seals(mark.digest()) if self._sealer else ()
        return [*sealed, mark.digest()]


def collections_of(repositories: Iterable[type[Repository[Any]]]) -> dict[str, list[Index]]:
    """Every collection a service needs, with the ones that each service has."""
    needed: dict[str, list[Index]] = {
        OUTBOX: [],
        MARKS: [Index((("expires_at", 1),), expire_after_seconds=0)],
        DEAD_LETTERS: [Index((("state", 1), ("_id", 1)))],
        LEASES: [],
    }
    for repository in repositories:
        needed[repository.collection] = list(repository.indexes)
        if repository.history:
            needed[repository.past()] = []
    return needed
