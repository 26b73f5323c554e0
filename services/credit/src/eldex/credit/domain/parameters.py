"""Grounds and deadlines: parameters by division and day, each with document and clause.

The nearest division that has a rule in force wins, per parameter, up to the whole country.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from typing import Final, TypeVar

from eldex.common.aggregate import Aggregate
from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers import RegionCode
from eldex.credit.domain.terms import Benefit, Colour, Measure, Source, Subject, SubjectKind

COUNTRY: Final = "00"
"""The scope of what counts everywhere."""


class DeadlineName(Enum):
    """The deadlines, all in working days (工作日)."""

    STATEMENT = "statement"
    OBJECTION = "objection"
    DISCLOSURE = "disclosure"
    WITHDRAWAL = "withdrawal"
    APPEAL = "appeal"


class ParameterMissing(DomainError):
    """No division up to the country has a rule for that day."""

    kind, reason = Kind.CONFLICT, "PARAMETER_MISSING"
    zh = "{region_code} 在 {day} 没有“{name}”的有效参数，请先设置（SetParameters）"
    en = "{region_code} has no parameter {name} in force on {day}: set one first (SetParameters)"


class GroundUnknown(DomainError):
    """The division knows no such ground on that day."""

    kind, reason = Kind.INVALID, "GROUND_UNKNOWN"
    zh = "列入情形 {code} 在 {region_code} 于 {day} 无效，请查询 GetParameters"
    en = "ground {code} is not in force in {region_code} on {day}: see GetParameters"


class GroundNotForSubject(DomainError):
    """The ground belongs to the other list, or concerns others."""

    kind, reason = Kind.INVALID, "GROUND_NOT_FOR_SUBJECT"
    zh = "列入情形 {code} 不适用于此类名单或对象"
    en = "ground {code} is for the other list or for another kind of subject"


class GroundContradicts(DomainError):
    """A parameter that says two things at once."""

    kind, reason = Kind.INVALID, "GROUND_CONTRADICTS"
    zh = "参数 {code} 自相矛盾：{why_zh}"
    en = "parameter {code} contradicts itself: {why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """So many working days, from a day on."""

    name: DeadlineName
    working_days: int
    effective_from: date
    source: Source
    verified: bool = False
    """Whether the number was read in the document itself."""
    repealed: bool = False
    """From that day on the division above counts again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What gets a party listed (列入情形), for how long, and what follows, from a day on."""

    code: str
    colour: Colour
    applies_to: tuple[SubjectKind, ...]
    zh: str
    en: str
    measures: tuple[Measure, ...] = ()
    benefits: tuple[Benefit, ...] = ()
    term_months: int
    repairable: bool = False
    repair_after_months: int = 0
    effective_from: date
    source: Source
    verified: bool = False
    """Whether ground, term and repair were read in the document itself."""
    repealed: bool = False

    def __post_init__(self) -> None:
        if self.colour is Colour.RED and (self.measures or self.repairable):
            raise GroundContradicts(
                code=self.code,
                why_zh="红名单情形不设惩戒措施与信用修复",
                why="a red listing neither punishes nor is repaired",
            )
        if self.colour is Colour.BLACK and self.benefits:
            raise GroundContradicts(
                code=self.code, why_zh="黑名单情形不设激励", why="a black listing brings no benefit"
            )
        if self.repairable and self.repair_after_months >= self.term_months:
            raise GroundContradicts(
                code=self.code,
                why_zh="可申请修复的时间不早于期限届满",
                why="repair would be possible only when the term is over",
            )

    def measures_for(self, kind: SubjectKind) -> list[Measure]:
        """Those of its measures that can be taken against such a subject."""
        return [measure for measure in self.measures if measure.concerns(kind)]

    def check(self, subject: Subject, colour: Colour) -> None:
        """Raise unless the ground fits the subject and the list."""
        if self.colour is not colour or subject.kind not in self.applies_to:
            raise GroundNotForSubject(code=self.code)


@dataclass(kw_only=True)
class ParameterSet(Aggregate):
    """The rules of one division's own; the key is its code, `00` for the country."""

    deadlines: list[Deadline] = field(default_factory=list)
    grounds: list[Ground] = field(default_factory=list)

    def set(self, deadlines: Iterable[Deadline], grounds: Iterable[Ground]) -> None:
        """Add rules; one with the same name and first day takes the place of the earlier one."""
        fresh_deadlines = {(d.name, d.effective_from): d for d in deadlines}
        fresh_grounds = {(g.code, g.effective_from): g for g in grounds}
        repealed = [d.name.name for d in fresh_deadlines.values() if d.repealed]
        repealed += [g.code for g in fresh_grounds.values() if g.repealed]
        for code in repealed:
            if self.key == COUNTRY:
                raise GroundContradicts(
                    code=code,
                    why_zh="全国规则之上没有可恢复适用的规则，请改设新值",
                    why="no rule stands above the country's: set another value instead",
                )
        self.deadlines = list(
            ({(d.name, d.effective_from): d for d in self.deadlines} | fresh_deadlines).values()
        )
        self.grounds = list(
            ({(g.code, g.effective_from): g for g in self.grounds} | fresh_grounds).values()
        )


@dataclass(frozen=True, slots=True)
class Rulebook:
    """What counts in a division: its own rules and those of the divisions above, nearest first."""

    region_code: str
    layers: Sequence[ParameterSet]

    def deadline(self, name: DeadlineName, day: date) -> Deadline:
        """The deadline in force on a day; raises `ParameterMissing`."""
        for layer in self.layers:
            found = _in_force((d for d in layer.deadlines if d.name is name), day)
            if found is not None:
                return found
        raise ParameterMissing(region_code=self.region_code, name=name.value, day=day)

    def ground(self, code: str, day: date) -> Ground:
        """The ground in force on a day; raises `GroundUnknown`."""
        for layer in self.layers:
            found = _in_force((g for g in layer.grounds if g.code == code), day)
            if found is not None:
                return found
        raise GroundUnknown(code=code, region_code=self.region_code, day=day)

    def effective(self, day: date) -> tuple[list[tuple[str, Deadline]], list[tuple[str, Ground]]]:
        """All that counts on a day, each with the division whose rule it is."""
        deadlines: dict[DeadlineName, tuple[str, Deadline]] = {}
        grounds: dict[str, tuple[str, Ground]] = {}
        for layer in self.layers:
            for name in DeadlineName:
                rule = _in_force((d for d in layer.deadlines if d.name is name), day)
                if rule is not None:
                    deadlines.setdefault(name, (layer.key, rule))
            for code in {g.code for g in layer.grounds}:
                ground = _in_force((g for g in layer.grounds if g.code == code), day)
                if ground is not None:
                    grounds.setdefault(code, (layer.key, ground))
        return list(deadlines.values()), [grounds[code] for code in sorted(grounds)]


def scopes_of(region_code: RegionCode | None) -> list[str]:
    """Where to look for a rule, nearest first; None: the country."""
    return [*(str(code) for code in region_code.lineage()), COUNTRY] if region_code else [COUNTRY]


R = TypeVar("R", Deadline, Ground)


def _in_force(rules: Iterable[R], day: date) -> R | None:
    newest = max(
        (rule for rule in rules if rule.effective_from <= day),
        key=lambda rule: rule.effective_from,
        default=None,
    )
    return None if newest is None or newest.repealed else newest
