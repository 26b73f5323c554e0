"""What is done with the catalogue: releasing it, asking for access, deciding, reporting a wrong fact."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from eldex.common.clock import day_of
from eldex.common.identifiers import RegionCode, new_key
from eldex.exchange.domain.access_requests import (
    AccessDecision,
    AccessRequest,
    AccessRequestState,
    DecisionRole,
    NotYoursToDecide,
)
from eldex.exchange.domain.agreements import Agreement, EventGrant, FieldGrant
from eldex.exchange.domain.answer_deadlines import AnswerStep, DeadlineRules
from eldex.exchange.domain.catalogue import Description, ItemUnknown, Resource, SharingClass
from eldex.exchange.domain.corrections import Correction
from eldex.exchange.handlers import Stores
from eldex.exchange.handlers.agreements import put_agreement

_MOST = 10_000
FieldsOf = Callable[[str], Sequence[str]]
"""The paths of an event's message, by its full name."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts on the catalogue: a member's subsystem, or the operator of the exchange."""

    subsystem: str
    """`member/<member>/<subsystem>`; empty: the operator."""

    @property
    def member(self) -> str:
        """The member's name; empty: the operator."""
        return self.subsystem.split("/")[1] if self.subsystem else ""

    def role_for(self, provider: str) -> DecisionRole:
        """In which role it decides on a provider's resource; raises `NotYoursToDecide`."""
        if not self.subsystem:
            return DecisionRole.OPERATOR
        if self.member == provider:
            return DecisionRole.PROVIDER
        raise NotYoursToDecide


@dataclass(frozen=True, slots=True)
class RequestAccess:
    """A department asks for a resource."""

    resource_code: str
    subsystem: str
    purpose: str
    legal_basis: str
    need: str
    paths: tuple[str, ...]
    with_events: bool
    region_codes: tuple[RegionCode, ...]
    valid_to: date | None
    official_code: str


@dataclass(frozen=True, slots=True)
class DecideAccessRequest:
    """Provider or operator approves or refuses."""

    request_key: str
    actor: Actor
    approved: bool
    reason: str
    official_code: str
    etag: str = ""


@dataclass(frozen=True, slots=True)
class RequestCorrection:
    """A department reports a fact as wrong."""

    resource_code: str
    record_key: str
    path: str
    finding: str
    evidence: str
    subsystem: str
    official_code: str


@dataclass(frozen=True, slots=True)
class DecideCorrection:
    """The provider answers."""

    correction_key: str
    actor: Actor
    corrected: bool
    answer: str
    official_code: str
    etag: str = ""


async def publish(
    description: Description, city: RegionCode, stores: Stores, now: datetime
) -> Resource:
    """Release a resource: new, changed, or as it was (then nothing happens)."""
    found = await stores.catalogue.resources.find(description.code)
    if found is None:
        found = Resource.publish(description, city, day_of(now))
    elif found.differs_from(description):
        found.change(description, city, day_of(now))
    else:
        return found
    stores.catalogue.resources.save(found)
    return found


async def withdraw_others(codes: Sequence[str], stores: Stores, now: datetime) -> None:
    """Withdraw what the contract has no more."""
    page = await stores.catalogue.resources.page({"withdrawn_on": None}, size=_MOST)
    for resource in page.items:
        if resource.key not in codes:
            resource.withdraw(day_of(now))
            stores.catalogue.resources.save(resource)


async def request_access(
    command: RequestAccess,
    rules: DeadlineRules,
    city: RegionCode,
    stores: Stores,
    now: datetime,
) -> AccessRequest:
    """Take in a request and set its deadline."""
    resource = await stores.catalogue.resources.get(command.resource_code)
    resource.must_be_offered()
    items = resource.description.chosen(command.paths)
    roles, step = [DecisionRole.PROVIDER, DecisionRole.OPERATOR], AnswerStep.PROVIDER_ANSWER
    if items and all(item.sharing_class is SharingClass.UNCONDITIONAL for item in items):
        roles, step = [DecisionRole.OPERATOR], AnswerStep.OPERATOR_ANSWER
    elif not items:
        # Nothing of it is shared: the first item says which law forbids it.
        resource.description.chosen([resource.description.items[0].path])
    request = AccessRequest(
        key=new_key("acr"),
        resource_code=resource.key,
        provider=resource.provider,
        subsystem=command.subsystem,
        purpose=command.purpose,
        legal_basis=command.legal_basis,
        need=command.need,
        paths=[item.path for item in items],
        with_events=command.with_events,
        region_codes=list(command.region_codes) or [city],
        valid_to=command.valid_to,
        official_code=command.official_code,
        requested_on=day_of(now),
        city=city,
        deadline=rules.deadline(step, str(city), day_of(now)),
        roles=roles,
    )
    request.submit()
    stores.catalogue.access_requests.save(request)
    return request


async def decide_access_request(
    command: DecideAccessRequest, fields_of: FieldsOf, stores: Stores, now: datetime
) -> AccessRequest:
    """Take a decision; the last approval makes the agreement, or extends the one there is."""
    request = await stores.catalogue.access_requests.get(command.request_key)
    role = command.actor.role_for(request.provider)
    request.expect(command.etag)
    request.decide(
        AccessDecision(role, command.approved, command.official_code, day_of(now), command.reason)
    )
    if request.state is AccessRequestState.GRANTED:
        resource = await stores.catalogue.resources.get(request.resource_code)
        resource.must_be_offered()
        present = await stores.agreements.find(request.agreement_key)
        wanted = agreement_of(request, resource.description, present, day_of(now), fields_of)
        await put_agreement(wanted, present.etag if present else "", stores)
    stores.catalogue.access_requests.save(request)
    return request


def agreement_of(
    request: AccessRequest,
    description: Description,
    present: Agreement | None,
    today: date,
    fields_of: FieldsOf,
) -> Agreement:
    """The agreement that a granted request comes to: its items and no others, at every door.

    An agreement in force is extended: what it gave before it still gives. One that has ended or is
    suspended begins anew.
    """
    granted = set(request.paths)
    withheld = {
        item.path.rpartition(".")[2] for item in description.items if item.path not in granted
    }
    withheld -= {path.rpartition(".")[2] for path in granted}
    grants = {
        door.method: FieldGrant(
            door.method,
            tuple(door.reply_path(path) for path in request.paths),
            # By a field that is not granted nobody may search either.
            tuple(name for name in door.request_fields if name not in withheld),
        )
        for door in description.doors
    }
    events = {
        event: {path for path in fields_of(event) if not withheld & set(path.split("."))}
        for event in (description.event_types if request.with_events else ())
    }
    regions = set(request.region_codes) if request.with_events else set()
    valid_from, valid_to = today, request.valid_to
    if present is not None and present.holds(today):
        valid_from = present.valid_from
        if not _covers(grants, set(events), regions, present):
            # What was granted for less time was not looked at again: it is not lengthened in passing.
            valid_to = min(filter(None, (present.valid_to, valid_to)), default=None)
        for event in present.event_types:
            events[event] = events.get(event, set()) | set(present.event_fields(event))
        regions |= set(present.region_codes)
        for old in present.field_grants:
            new = grants.get(old.method, FieldGrant(old.method))
            grants[old.method] = FieldGrant(
                old.method,
                tuple(dict.fromkeys((*old.reply_fields, *new.reply_fields))),
                tuple(dict.fromkeys((*old.request_fields, *new.request_fields))),
            )
    return Agreement(
        key=request.agreement_key,
        subsystem=request.subsystem,
        methods=sorted(grants),
        purposes=[request.purpose],
        legal_basis=request.legal_basis,
        valid_from=valid_from,
        valid_to=valid_to,
        event_types=sorted(events),
        event_grants=[EventGrant(event, tuple(sorted(events[event]))) for event in sorted(events)],
        region_codes=sorted(regions, key=str),
        field_grants=[grants[method] for method in sorted(grants)],
    )


def _covers(
    grants: dict[str, FieldGrant],
    events: set[str],
    regions: set[RegionCode],
    present: Agreement,
) -> bool:
    """Whether all that an agreement gives was asked for again."""
    asked = {method: set(grant.reply_fields) for method, grant in grants.items()}
    return (
        all(set(old.reply_fields) <= asked.get(old.method, set()) for old in present.field_grants)
        and set(present.event_types) <= events
        and set(present.region_codes) <= regions
    )


async def request_correction(
    command: RequestCorrection,
    rules: DeadlineRules,
    city: RegionCode,
    stores: Stores,
    now: datetime,
) -> Correction:
    """Take in a report of a wrong fact and set the provider's deadline."""
    resource = await stores.catalogue.resources.get(command.resource_code)
    if command.path not in {item.path for item in resource.description.items}:
        raise ItemUnknown(resource_code=resource.key, path=command.path)
    correction = Correction(
        key=new_key("cor"),
        resource_code=resource.key,
        provider=resource.provider,
        record_key=command.record_key,
        path=command.path,
        finding=command.finding,
        evidence=command.evidence,
        subsystem=command.subsystem,
        official_code=command.official_code,
        requested_on=day_of(now),
        deadline=rules.deadline(AnswerStep.CORRECTION_ANSWER, str(city), day_of(now)),
    )
    stores.catalogue.corrections.save(correction)
    return correction


async def decide_correction(command: DecideCorrection, stores: Stores, now: datetime) -> Correction:
    """Take the provider's answer."""
    correction = await stores.catalogue.corrections.get(command.correction_key)
    if command.actor.role_for(correction.provider) is not DecisionRole.PROVIDER:
        raise NotYoursToDecide
    correction.expect(command.etag)
    correction.decide(
        corrected=command.corrected,
        answer=command.answer,
        official_code=command.official_code,
        today=day_of(now),
    )
    stores.catalogue.corrections.save(correction)
    return correction
