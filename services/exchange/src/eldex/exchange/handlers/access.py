"""Consents, emergencies and their review: what the exchange is asked to do about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Protocol

from eldex.common.aggregate import Page
from eldex.common.clock import day_of
from eldex.common.errors import InvalidRequest, StaleVersion, Violation
from eldex.common.identifiers import RegionCode, new_key
from eldex.exchange.domain.agreements import Agreement
from eldex.exchange.domain.break_glass import BreakGlass, ReviewRule, review_deadline
from eldex.exchange.domain.consents import (
    Consent,
    ConsentEndedBefore,
    ConsentOfOwnMaking,
    scope_of,
)
from eldex.exchange.domain.places import Place


class Consents(Protocol):
    """Where consents are kept."""

    async def get(self, key: str) -> Consent:
        """The consent; raises `NotFound`."""
        ...

    async def by_scope(self, scope: str) -> list[Consent]:
        """All that were given for a person, recipient and purpose."""
        ...

    async def page(
        self, where: Mapping[str, Any], *, size: int, after: str | None = None
    ) -> Page[Consent]:
        """Consents in key order."""
        ...

    def save(self, aggregate: Consent) -> None:
        """Stage for the commit."""
        ...


class BreakGlasses(Protocol):
    """Where the uses of break-glass are kept."""

    async def get(self, key: str) -> BreakGlass:
        """The use; raises `NotFound`."""
        ...

    async def page(
        self, where: Mapping[str, Any], *, size: int, after: str | None = None
    ) -> Page[BreakGlass]:
        """Uses in key order, which is the order of time."""
        ...

    def save(self, aggregate: BreakGlass) -> None:
        """Stage for the commit."""
        ...


class ReviewRules(Protocol):
    """Where the deadlines of divisions are kept."""

    async def find(self, key: str) -> ReviewRule | None:
        """The rule, or None."""
        ...

    async def page(
        self, where: Mapping[str, Any], *, size: int, after: str | None = None
    ) -> Page[ReviewRule]:
        """Rules in key order."""
        ...

    def save(self, aggregate: ReviewRule) -> None:
        """Stage for the commit."""
        ...


class Places(Protocol):
    """Where residents live, as the registry told."""

    async def find(self, keys: Sequence[str]) -> dict[str, Place]:
        """Where these residents live; whom the registry has not told of is left out."""
        ...


@dataclass(frozen=True, slots=True)
class AgreementVersion:
    """An agreement as it was from an instant on."""

    agreement: Agreement
    recorded_at: datetime


class AgreementHistory(Protocol):
    """Every version of every agreement."""

    async def version(self, key: str, number: int) -> AgreementVersion:
        """One version; raises `NotFound`."""
        ...

    async def versions(
        self, key: str, *, size: int, before: int | None
    ) -> tuple[list[AgreementVersion], int | None]:
        """Versions, newest first, and before which the next page begins; raises `NotFound`."""
        ...

    async def at(self, key: str, instant: datetime) -> AgreementVersion | None:
        """The version that was in force at an instant; None before the first."""
        ...


class Volumes(Protocol):
    """How many rows each agreement has given out today."""

    def require(self, agreement: str, on: date, limit: int) -> None:
        """Raise `VolumeExceeded` if it is known already that nothing is left today."""
        ...

    async def take(self, agreement: str, on: date, rows: int, limit: int) -> None:
        """Count rows that are about to be given out; raises `VolumeExceeded`, then none are."""
        ...


class AccessStores(Protocol):
    """The ports of this file, on one session."""

    @property
    def consents(self) -> Consents:
        """Consents."""
        ...

    @property
    def break_glasses(self) -> BreakGlasses:
        """Uses of break-glass."""
        ...

    @property
    def review_rules(self) -> ReviewRules:
        """Deadlines."""
        ...


@dataclass(frozen=True, slots=True)
class RecordConsent:
    """A person consents."""

    resident_key: str
    subsystem: str
    purpose: str
    evidence: str
    valid_to: date | None
    recorded_by: str
    """The certificate's path: `<city>/member/<member>/<subsystem>` or `<city>/service/<name>`."""


async def record_consent(command: RecordConsent, stores: AccessStores, now: datetime) -> Consent:
    """Record it; one that holds already is given back as it is."""
    if command.recorded_by.partition("/")[2] == command.subsystem:
        raise ConsentOfOwnMaking
    if command.valid_to is not None and command.valid_to <= day_of(now):
        raise ConsentEndedBefore
    scope = scope_of(command.resident_key, command.subsystem, command.purpose)
    for known in await stores.consents.by_scope(scope):
        if known.holds_at(now) and known.valid_to == command.valid_to:
            return known
    consent = Consent(
        key=new_key("cns"),
        resident_key=command.resident_key,
        subsystem=command.subsystem,
        purpose=command.purpose,
        evidence=command.evidence,
        given_at=now,
        valid_to=command.valid_to,
        recorded_by=command.recorded_by,
    )
    stores.consents.save(consent)
    return consent


async def withdraw_consent(key: str, evidence: str, stores: AccessStores, now: datetime) -> Consent:
    """Take a consent back, and with it every other that would let the same calls pass."""
    named = await stores.consents.get(key)
    alike = await stores.consents.by_scope(named.scope)
    for consent in {c.key: c for c in [*alike, named]}.values():
        if consent.withdrawn_at is None:
            consent.withdraw(evidence, now)
            stores.consents.save(consent)
    return named


async def consented(
    people: Sequence[str], subsystem: str, purpose: str, at: datetime, stores: AccessStores
) -> set[str]:
    """Who of them has consented to this recipient and purpose."""
    found = set()
    for person in people:
        given = await stores.consents.by_scope(scope_of(person, subsystem, purpose))
        if any(consent.holds_at(at) for consent in given):
            found.add(person)
    return found


async def break_glass(
    use: BreakGlass, city: RegionCode, stores: AccessStores, now: datetime
) -> BreakGlass:
    """Record a use before the call leaves, with the deadline that its city has set."""
    rules = (await stores.review_rules.page({}, size=10_000)).items
    use.review_by = review_deadline(rules, city, day_of(now), now)
    use.tell()
    stores.break_glasses.save(use)
    return use


@dataclass(frozen=True, slots=True)
class Review:
    """What somebody else found."""

    key: str
    reviewed_by: str
    official: str
    justified: bool
    finding: str
    etag: str


async def review_break_glass(command: Review, stores: AccessStores, now: datetime) -> BreakGlass:
    """Say whether breaking the glass was right."""
    use = await stores.break_glasses.get(command.key)
    use.expect(command.etag)
    use.review(
        subsystem=command.reviewed_by.partition("/")[2],
        official=command.official,
        justified=command.justified,
        finding=command.finding,
        at=now,
    )
    stores.break_glasses.save(use)
    return use


async def put_review_rule(wanted: ReviewRule, etag: str, stores: AccessStores) -> ReviewRule:
    """Set or change a deadline; `etag` is the version it is based on, empty for a new one."""
    if wanted.valid_to is not None and wanted.valid_to <= wanted.valid_from:
        raise InvalidRequest(
            Violation(
                "review_rule.valid_to", "必须晚于首日", "must be after the first day", "PERIOD"
            )
        )
    present = await stores.review_rules.find(wanted.key)
    if (present is None) != (not etag):
        raise StaleVersion("ReviewRule")
    if present is not None:
        present.expect(etag)
        wanted.version = present.version
    stores.review_rules.save(wanted)
    return wanted
