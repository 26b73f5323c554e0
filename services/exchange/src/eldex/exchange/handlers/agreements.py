"""Agreements and their changes: kept in every version; what gives more takes two operators."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from eldex.common.aggregate import Page
from eldex.common.errors import NotFound, StaleVersion
from eldex.exchange.domain.agreement_changes import AgreementChange, ChangeState, only_takes_away
from eldex.exchange.domain.agreements import Agreement
from eldex.exchange.domain.operators import Operator


class Agreements(Protocol):
    """Where agreements are kept, every version of them."""

    async def find(self, key: str) -> Agreement | None:
        """The agreement, or None."""
        ...

    async def page(
        self, where: Mapping[str, Any], *, size: int, after: str | None = None
    ) -> Page[Agreement]:
        """Agreements in key order."""
        ...

    def save(self, aggregate: Agreement) -> None:
        """Stage for the commit."""
        ...


class AgreementChanges(Protocol):
    """Where it is kept what operators asked for, every version of it."""

    async def find(self, key: str) -> AgreementChange | None:
        """The newest change of an agreement, or None."""
        ...

    async def page(
        self, where: Mapping[str, Any], *, size: int, after: str | None = None
    ) -> Page[AgreementChange]:
        """Changes in the order of the agreements' keys."""
        ...

    def save(self, aggregate: AgreementChange) -> None:
        """Stage for the commit."""
        ...


class AgreementStores(Protocol):
    """The ports of these verbs, on one session."""

    @property
    def agreements(self) -> Agreements:
        """What is agreed."""
        ...

    @property
    def agreement_changes(self) -> AgreementChanges:
        """What was asked for."""
        ...


async def put_agreement(wanted: Agreement, etag: str, stores: AgreementStores) -> Agreement:
    """Make or change an agreement; `etag` is the version it is based on, empty for a new one."""
    present = await stores.agreements.find(wanted.key)
    if present is not None:
        if not etag:
            raise StaleVersion("Agreement")
        present.expect(etag)
        wanted.version = present.version
    elif etag:
        raise StaleVersion("Agreement")
    stores.agreements.save(wanted)
    return wanted


async def propose_agreement(
    wanted: Agreement, etag: str, operator: Operator, stores: AgreementStores, now: datetime
) -> tuple[Agreement | None, AgreementChange | None]:
    """Ask for a change: the agreement if it is in force at once, else the change that waits.

    Raises `StaleVersion`.
    """
    present = await stores.agreements.find(wanted.key)
    if only_takes_away(present, wanted):
        return await put_agreement(wanted, etag, stores), None
    if (present.etag if present else "") != etag:
        raise StaleVersion("Agreement")
    before = await stores.agreement_changes.find(wanted.key)
    change = AgreementChange(
        key=wanted.key,
        version=before.version if before else 0,
        wanted=wanted,
        based_on=etag,
        proposed_by=operator.account,
        proposed_with=operator.seat,
        proposed_at=now,
    )
    stores.agreement_changes.save(change)
    return None, change


async def decide_agreement_change(
    key: str,
    etag: str,
    operator: Operator,
    stores: AgreementStores,
    now: datetime,
    *,
    approved: bool,
    reason: str,
) -> tuple[Agreement | None, AgreementChange]:
    """Decide what an operator asked for; approved, it is in force.

    Raises `NotFound`, `StaleVersion` (it was asked for anew, or the agreement has changed since),
    `AlreadyDecided`, `SecondPersonNeeded`.
    """
    change = await stores.agreement_changes.find(key)
    if change is None:
        raise NotFound("AgreementChange", key)
    change.expect(etag)
    change.decide(operator, now, approved=approved, reason=reason)
    stores.agreement_changes.save(change)
    if change.state is ChangeState.REFUSED:
        return None, change
    return await put_agreement(change.wanted, change.based_on, stores), change
