"""Eligibility (资格): what a department testifies about a person, from when to when, on what evidence."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from eldex.common.aggregate import Aggregate
from eldex.registry.domain import facts
from eldex.registry.domain.days import AlreadyEnded, not_before
from eldex.registry.domain.eligibility_class import EligibilityClass
from eldex.registry.domain.residents import Resident
from eldex.registry.domain.standing import HeldClass


@dataclass(kw_only=True)
class Eligibility(Aggregate):
    """A person's membership in a class; `valid_from` ≤ day < `valid_to`."""

    resident_key: str
    """The record under which it was granted; after a merge the survivor holds it."""
    eligibility_class: EligibilityClass
    valid_from: date
    valid_to: date | None
    source_department: str
    """来源部门"""
    evidence: str
    end_reason: str = ""
    updated_at: datetime | None = None

    @classmethod
    def grant(
        cls,
        *,
        key: str,
        resident: Resident,
        eligibility_class: EligibilityClass,
        valid_from: date,
        valid_to: date | None,
        source_department: str,
        evidence: str,
    ) -> Eligibility:
        """Enter a person into a class; raises what forbids it on the resident's side."""
        resident.hold_class(
            HeldClass(key, eligibility_class, valid_from, valid_to, origin_key=resident.key)
        )
        granted = cls(
            key=key,
            resident_key=resident.key,
            eligibility_class=eligibility_class,
            valid_from=valid_from,
            valid_to=valid_to,
            source_department=source_department,
            evidence=evidence,
        )
        granted.record(
            facts.EligibilityGranted(
                resident.key, key, eligibility_class, valid_from, valid_to, resident.region_code
            )
        )
        return granted

    def holds(self, day: date) -> bool:
        """Whether it holds on that day."""
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to)

    def end(self, holder: Resident, ended_on: date, reason: str) -> None:
        """No longer hold from a day on; by its first day, it never held. The same day again changes nothing."""
        if self.valid_to is not None and self.valid_to <= ended_on:
            if self.valid_to == ended_on:
                return
            raise AlreadyEnded(self.valid_to)
        not_before(ended_on, self.valid_from, "生效日", "its first day")
        holder.end_class(self.key, ended_on)
        self.valid_to, self.end_reason = ended_on, reason
        self.record(
            facts.EligibilityEnded(
                holder.key, self.key, self.eligibility_class, ended_on, holder.region_code
            )
        )
