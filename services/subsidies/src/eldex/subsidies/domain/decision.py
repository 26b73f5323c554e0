"""Deciding: from a person's facts and the parameters of places to entitled days, and why.

A decision is a pure function of facts, parameters and the horizon: the first day that is not
decided yet. Nothing else, and not the order in which facts arrived, has a say.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from eldex.common.calendar import age_on, birthday_at
from eldex.common.identifiers import RegionCode
from eldex.subsidies.domain.events import Cause
from eldex.subsidies.domain.recipient import Facts
from eldex.subsidies.domain.schemes import (
    Applicable,
    Condition,
    ConditionKind,
    Grade,
    MonthlyRule,
    Scheme,
    Tables,
    payer,
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is decided for one person, scheme and day, until the next one of a list."""

    began_on: date
    cause: Cause | None
    """Why nothing is paid; None: it is paid."""
    final: bool = True
    """Nothing is paid and it has ended; False: it is only stopped."""
    region_code: RegionCode | None = None
    """Where the person lives."""
    applicable: Applicable | None = None
    grade: Grade | None = None

    @property
    def paid(self) -> bool:
        """Whether the day is paid."""
        return self.cause is None

    @property
    def monthly_fen(self) -> int:
        """What a whole month is worth."""
        return self.grade.monthly_fen if self.grade and self.paid else 0


def holds(condition: Condition, facts: Facts, day: date) -> bool:
    """Whether a condition holds of a person on a day; what is not known does not hold."""
    match condition.kind:
        case ConditionKind.AGE_FROM:
            born_on = facts.born_on
            return born_on is not None and day >= born_on and age_on(born_on, day) >= condition.age
        case ConditionKind.CLASS_ANY:
            return not facts.classes_on(day).isdisjoint(condition.classes)
        case ConditionKind.ABILITY_FROM:
            level = facts.level_on(day)
            return level is not None and level.value >= condition.level.value


def judge(scheme: Scheme, facts: Facts, tables: Tables, day: date) -> Verdict:
    """Decide one day. What rules out most is told first: a merged record, a death, no such scheme."""
    residence = facts.residence_on(day)
    region = residence.region_code if residence else None
    if facts.merged:
        return Verdict(day, Cause.MERGED, region_code=region)
    if facts.died_on is not None and day >= facts.died_on:
        return Verdict(day, Cause.DEATH, region_code=region)
    if region is None:
        return Verdict(day, Cause.NO_LONGER_ELIGIBLE)
    found = tables.find(scheme.code, region, day)
    rule = found.version.monthly if found else None
    if found is None or rule is None or not rule.grades:
        return Verdict(day, Cause.PARAMETERS_CHANGED, region_code=region, applicable=found)
    grade = _grade(rule, facts, day)
    if grade is None:
        return Verdict(day, Cause.NO_LONGER_ELIGIBLE, region_code=region, applicable=found)
    cause, final = None, True
    if rule.excluded_by_long_term_care and facts.long_term_care_on(day):
        cause, final = Cause.LONG_TERM_CARE, False
    held = facts.hold_on(scheme.code, day)
    if held is not None:
        cause, final = Cause.REQUEST, held.final
    return Verdict(day, cause, final, region, found, grade)


def _grade(rule: MonthlyRule, facts: Facts, day: date) -> Grade | None:
    if not all(holds(condition, facts, day) for condition in rule.conditions):
        return None
    for grade in rule.grades:
        if all(holds(condition, facts, day) for condition in grade.conditions):
            return grade
    return None


@dataclass(frozen=True, slots=True)
class Decision:
    """What is decided for one person and scheme, day for day."""

    verdicts: tuple[Verdict, ...]
    """Oldest first; each holds until the next begins, the last until further notice."""
    next_change_on: date | None
    """First day from the horizon on at which something may change as things stand."""

    def on(self, day: date) -> Verdict | None:
        """What is decided for a day; None before anything is known of the person."""
        index = bisect_right([v.began_on for v in self.verdicts], day)
        return self.verdicts[index - 1] if index else None

    def payers(self) -> set[RegionCode]:
        """The divisions that pay any day."""
        return {payer(v.region_code) for v in self.verdicts if v.paid and v.region_code}


def decide(scheme: Scheme, facts: Facts, tables: Tables, horizon: date) -> Decision:
    """Decide all days before the horizon; what holds on the last of them holds until further notice."""
    if not facts.residences:
        return Decision((), None)
    days = facts.days_of_change(scheme.code) | _days_of_rules(scheme, facts, tables)
    first = facts.residences[0].began_on
    verdicts = [
        judge(scheme, facts, tables, day)
        for day in sorted({d for d in days if first <= d < horizon})
    ]
    later = [day for day in days if day >= horizon]
    alive = facts.died_on is None and not facts.merged
    return Decision(tuple(verdicts), min(later) if later and alive else None)


def _days_of_rules(scheme: Scheme, facts: Facts, tables: Tables) -> set[date]:
    """Days on which parameters come into force, and birthdays that a condition asks for."""
    days, ages = set[date](), set[int]()
    for region in {r.region_code for r in facts.residences}:
        for version in tables.versions(scheme.code, region):
            days |= {d for d in (version.valid_from, version.valid_to) if d}
            ages |= {
                c.age for c in _conditions(version.monthly) if c.kind is ConditionKind.AGE_FROM
            }
    if facts.born_on is not None:
        days |= {birthday_at(facts.born_on, age) for age in ages}
    return days


def _conditions(rule: MonthlyRule | None) -> Sequence[Condition]:
    if rule is None:
        return ()
    return [*rule.conditions, *(c for grade in rule.grades for c in grade.conditions)]
