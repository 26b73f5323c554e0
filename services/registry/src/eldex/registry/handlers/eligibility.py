"""Granting and ending memberships in eligibility classes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from eldex.common.identifiers import new_key
from eldex.registry.domain.eligibility import Eligibility
from eldex.registry.domain.eligibility_class import EligibilityClass
from eldex.registry.handlers.ports import Stores, standing


@dataclass(frozen=True, slots=True)
class GrantEligibility:
    """A department testifies that a person belongs to a class."""

    resident_key: str
    eligibility_class: EligibilityClass
    valid_from: date
    valid_to: date | None
    source_department: str
    evidence: str


async def grant_eligibility(
    command: GrantEligibility, stores: Stores, now: datetime
) -> Eligibility:
    """Enter a person into a class; may lie ahead, or in the life of somebody deceased since."""
    resident = await stores.residents.get(command.resident_key)
    granted = Eligibility.grant(
        key=new_key("eli"),
        resident=resident,
        eligibility_class=command.eligibility_class,
        valid_from=command.valid_from,
        valid_to=command.valid_to,
        source_department=command.source_department,
        evidence=command.evidence,
    )
    granted.updated_at = resident.updated_at = now
    stores.residents.save(resident)
    stores.eligibilities.save(granted)
    return granted


@dataclass(frozen=True, slots=True)
class EndEligibility:
    """A membership no longer holds."""

    eligibility_key: str
    ended_on: date
    reason: str
    etag: str


async def end_eligibility(command: EndEligibility, stores: Stores, now: datetime) -> Eligibility:
    """End a membership; the person may be known under another record by now."""
    held = await stores.eligibilities.get(command.eligibility_key)
    held.expect(command.etag)
    holder = await standing(held.resident_key, stores)
    held.end(holder, command.ended_on, command.reason)
    if held.events:
        held.updated_at = holder.updated_at = now
        stores.residents.save(holder)
        stores.eligibilities.save(held)
    return held
