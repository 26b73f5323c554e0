"""By when a request must be answered: working days that are parameters of the division, with their source."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum

from eldex.common.calendar import WorkingDays
from eldex.common.errors import DomainError, Kind


class NoDeadline(DomainError):
    """No parameter says by when; the operator must set one."""

    kind, reason = Kind.CONFLICT, "DEADLINE_NOT_SET"
    zh = "{region_code} 在 {on} 没有生效的答复时限（{step}），请平台运营方设置"
    en = "no deadline for {step} is in force in {region_code} on {on}: the operator must set one"


class AnswerStep(Enum):
    """What must be answered."""

    PROVIDER_ANSWER = "provider-answer"
    """A conditional resource: the provider's decision."""
    OPERATOR_ANSWER = "operator-answer"
    """An unconditional one: the operator's."""
    CORRECTION_ANSWER = "correction-answer"
    """A fact reported as wrong (809 号令 article 26)."""


@dataclass(frozen=True, slots=True)
class DeadlineRule:
    """So many working days, in a division and all below it, from a day on."""

    step: AnswerStep
    region_code: str
    """Digits of the division; empty: the whole country."""
    valid_from: date
    working_days: int
    document: str
    clause: str
    verified: bool
    """Whether the document was seen."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """The last day, and what set it."""

    due_on: date
    working_days: int
    document: str
    clause: str
    verified: bool


@dataclass(frozen=True, slots=True)
class DeadlineRules:
    """All of them: the nearest division decides, in it the latest rule in force."""

    rules: tuple[DeadlineRule, ...]
    calendar: WorkingDays

    def deadline(self, step: AnswerStep, region_code: str, on: date) -> Deadline:
        """By when what was asked on a day must be answered; raises `NoDeadline`."""
        rule = _nearest(self.rules, step, region_code, on)
        if rule is None:
            raise NoDeadline(step=step.value, region_code=region_code, on=on)
        due_on = self.calendar.after(on, rule.working_days)
        return Deadline(due_on, rule.working_days, rule.document, rule.clause, rule.verified)


def _nearest(
    rules: Sequence[DeadlineRule], step: AnswerStep, region_code: str, on: date
) -> DeadlineRule | None:
    found = [
        rule
        for rule in rules
        if rule.step is step and region_code.startswith(rule.region_code) and rule.valid_from <= on
    ]
    return max(found, key=lambda rule: (len(rule.region_code), rule.valid_from), default=None)
