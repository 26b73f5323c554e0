"""What operations do with the console, and the ports it needs for that."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from eldex.common.clock import Clock
from eldex.common.errors import DomainError, Language
from eldex.common.identifiers import new_key
from eldex.common.privacy import masked
from eldex.console.domain.flows import DeadLetter, Department, Letters
from eldex.console.domain.matters import TRACE_ID, Step, steps_of
from eldex.console.domain.people import (
    FAILURES_FROM_AN_ADDRESS,
    FAILURES_FROM_ANYWHERE,
    THROTTLE_WINDOW,
    Account,
    Act,
    Action,
    NoReason,
    OperatorsOnly,
    Role,
    SignInFailed,
    SignInThrottled,
)
from eldex.console.domain.service_map import Edges
from eldex.console.domain.spans import Kind, Span
from eldex.console.domain.traces import Search, Trace, TraceSummary
from eldex.console.handlers.exchange_ports import Exchange, LogKeys, Members

MOST_TRACES_OF_A_MATTER = 50


class Spans(Protocol):
    """The spans that were received and are not yet forgotten."""

    async def add(self, spans: Sequence[Span]) -> None:
        """Keep them; one that is there already stays as it is."""

    async def search(self, search: Search) -> list[TraceSummary]:
        """Traces that fit, newest first."""

    async def trace(self, trace_id: str) -> Trace | None:
        """One trace, or None."""

    async def of_traces(self, trace_ids: Sequence[str]) -> list[Span]:
        """Every span of some traces (up to a limit), in order of time."""

    async def traces_about(self, key: str, limit: int) -> list[str]:
        """The newest traces that name a subject or an event's id."""

    async def operations(self) -> dict[str, list[str]]:
        """What each service was seen to do."""

    async def edges(self, since: datetime, until: datetime) -> Edges:
        """Who called whom, and who told whom by which topic."""

    async def count(self) -> int:
        """About how many are kept."""


class Actions(Protocol):
    """The console's own record: added to, never changed."""

    async def append(self, action: Action) -> None:
        """Write one entry; durable when it returns."""

    async def find(self, key: str) -> Action | None:
        """One entry."""

    async def newest(self, before: str, limit: int) -> list[Action]:
        """Entries before a key (empty: from the newest on)."""

    async def failures(self, since: datetime, user: str, address: str | None = None) -> int:
        """Failed sign-ins since an instant, of an account (empty: of names nobody has), from one address or all."""


class OpenSessions(Protocol):
    """The sessions that are open, by keys that open nothing themselves."""

    async def begin(self, key: str, user: str, expires_at: datetime) -> None:
        """Have one more; durable when it returns."""

    async def holds(self, key: str) -> bool:
        """Whether it is open."""

    async def end(self, key: str) -> None:
        """Have it no more; durable when it returns."""


class Accounts(Protocol):
    """Who may sign in."""

    def find(self, user: str) -> Account | None:
        """An account by its name."""

    async def verify(self, user: str, password: str) -> Account | None:
        """The account, if the password is its own; takes as long for a name that nobody has."""


class Departments(Protocol):
    """The services of the city, asked now; one that is down is told, never raised."""

    async def look(self, *, include_replayed: bool = False) -> list[Department]:
        """All of them, side by side, within two seconds."""

    async def letters(self, department: str, page: str, *, include_replayed: bool) -> Letters:
        """Some of the dead letters of a department, from a page on."""

    async def dead_letter(self, department: str, key: str) -> DeadLetter | None:
        """One dead letter as its department tells it."""

    async def replay(
        self, department: str, key: str, request_id: str, language: Language, cause: Span | None
    ) -> None:
        """Have it applied again; raises a `DomainError` with the reason why not."""

    async def close_letter(
        self, department: str, key: str, request_id: str, reason: str, closed_by: str
    ) -> None:
        """Have it put away unapplied; raises a `DomainError` with the reason why not."""


@dataclass(frozen=True, slots=True)
class Ports:
    """All that the console needs."""

    spans: Spans
    actions: Actions
    accounts: Accounts
    sessions: OpenSessions
    departments: Departments
    exchange: Exchange
    members: Members
    log_keys: LogKeys
    clock: Clock


@dataclass(frozen=True, slots=True)
class Matter:
    """What was found about one thing."""

    steps: list[Step]
    trace_ids: list[str]


async def follow_matter(query: str, ports: Ports) -> Matter:
    """Everything about a trace id, an event's id or the key of a resident or another subject."""
    if TRACE_ID.fullmatch(query.lower()):
        trace_ids = [query.lower()]
    else:
        trace_ids = await ports.spans.traces_about(query, MOST_TRACES_OF_A_MATTER)
    spans = await ports.spans.of_traces(trace_ids)
    return Matter(steps_of(spans), trace_ids if spans else [])


class SignIns:
    """Lets people in. One attempt at a time: a burst of guesses cannot slip past the count."""

    def __init__(self, ports: Ports) -> None:
        self._ports, self._turn = ports, asyncio.Lock()

    async def sign_in(self, user: str, password: str, address: str) -> Account:
        """The account; raises `SignInFailed` or `SignInThrottled`, both recorded."""
        ports = self._ports
        known = user if ports.accounts.find(user) else ""
        async with self._turn:
            since = ports.clock() - THROTTLE_WINDOW
            here = await ports.actions.failures(since, known, address)
            anywhere = await ports.actions.failures(since, known) if known else 0
            if here >= FAILURES_FROM_AN_ADDRESS or anywhere >= FAILURES_FROM_ANYWHERE:
                await self._record(known, address, "throttled")
                raise SignInThrottled(minutes=int(THROTTLE_WINDOW.total_seconds() // 60))
            account = await ports.accounts.verify(user, password)
            await self._record(known, address, "done" if account else "failed")
        if account is None:
            raise SignInFailed
        return account

    async def _record(self, user: str, address: str, outcome: str) -> None:
        now = self._ports.clock()
        await self._ports.actions.append(
            Action(new_key("act"), now, user, address, Act.SIGN_IN, "", outcome)
        )


async def sign_out(account: Account, address: str, ports: Ports) -> None:
    """Record that somebody left."""
    await ports.actions.append(
        Action(new_key("act"), ports.clock(), account.user, address, Act.SIGN_OUT, "", "done")
    )


@dataclass(frozen=True, slots=True)
class Replay:
    """Have one dead letter applied again (重放), or put away (关闭)."""

    department: str
    key: str
    request_id: str
    """The same for a repeated click, so that it is done once."""


async def operate(
    act: Act,
    target: str,
    account: Account,
    address: str,
    language: Language,
    ports: Ports,
    deed: Callable[[], Awaitable[None]],
) -> Action:
    """Do something on behalf of an operator; the entry that tells how it ended.

    What was asked is on record before it is done, how it ended afterwards. A refusal by the
    department is an outcome here, not an error. Raises `OperatorsOnly`.
    """
    entry = Action(new_key("act"), ports.clock(), account.user, address, act, target, "asked")
    if account.role is not Role.OPERATOR:
        await ports.actions.append(replace(entry, outcome=OperatorsOnly.reason))
        raise OperatorsOnly
    await ports.actions.append(entry)
    outcome, detail = "done", ""
    try:
        await deed()
    except DomainError as error:
        outcome, detail = error.reason, error.message(language)
    ended = replace(entry, key=new_key("act"), at=ports.clock(), outcome=outcome, detail=detail)
    await ports.actions.append(ended)
    return ended


async def replay(
    command: Replay, account: Account, address: str, language: Language, ports: Ports
) -> Action:
    """Replay a dead letter on behalf of an operator."""

    async def deed() -> None:
        letter = await ports.departments.dead_letter(command.department, command.key)
        cause = await _met_in(letter, ports) if letter else None
        await ports.departments.replay(
            command.department, command.key, command.request_id, language, cause
        )

    target = f"{command.department} {command.key}"
    return await operate(Act.REPLAY, target, account, address, language, ports, deed)


async def close_letter(
    command: Replay, reason: str, account: Account, address: str, language: Language, ports: Ports
) -> Action:
    """Put a dead letter away, unapplied, on behalf of an operator; the reason stands in the record."""

    async def deed() -> None:
        if not reason:
            raise NoReason
        await ports.departments.close_letter(
            command.department, command.key, command.request_id, reason, account.user
        )

    target = f"{command.department} {command.key}: {masked(reason)}"
    return await operate(Act.CLOSE, target, account, address, language, ports, deed)


async def _met_in(letter: DeadLetter, ports: Ports) -> Span | None:
    """The span in which the event could not be applied: the replay continues its trace."""
    if not TRACE_ID.fullmatch(letter.trace_id):
        return None
    for span in await ports.spans.of_traces([letter.trace_id]):
        met = span.tag("messaging.message.id") == letter.event_id
        if span.kind is Kind.CONSUMER and met and span.service == letter.department:
            return span
    return None
