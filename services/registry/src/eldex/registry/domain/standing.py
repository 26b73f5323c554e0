"""What a resident carries along of their eligibilities and assessments, to be decided and found by.

The aggregates themselves (`Eligibility`, `Assessment`) hold evidence and findings; these are the
few fields that other decisions need, so that one document answers them. `origin_key` names the
record under which each was entered: a merge hands them to the survivor, a reversal back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from eldex.registry.domain.eligibility_class import EligibilityClass
from eldex.registry.domain.scoring import AbilityLevel


@dataclass(frozen=True, slots=True)
class HeldClass:
    """A membership in an eligibility class: `valid_from` ≤ day < `valid_to`."""

    eligibility_key: str
    eligibility_class: EligibilityClass
    valid_from: date
    valid_to: date | None
    origin_key: str

    def holds(self, day: date) -> bool:
        """Whether it holds on that day."""
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to)

    def overlaps(self, valid_from: date, valid_to: date | None) -> bool:
        """Whether it has a day in common with a period."""
        if self.valid_to is not None and self.valid_to <= self.valid_from:
            return False  # ended on its first day: it never held
        begins_before_end = valid_to is None or self.valid_from < valid_to
        return begins_before_end and (self.valid_to is None or valid_from < self.valid_to)


@dataclass(frozen=True, slots=True)
class HeldLevel:
    """A level of ability that counts from `assessed_on` until the next one."""

    assessment_key: str
    level: AbilityLevel
    assessed_on: date
    origin_key: str
