"""What subsidies know of institutions: facts with their days, and who is barred by credit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date

from eldex.common.aggregate import Aggregate
from eldex.common.calendar import Period
from eldex.common.identifiers import RegionCode
from eldex.subsidies.domain.days import FOREVER
from eldex.subsidies.domain.events import Cause
from eldex.subsidies.domain.schemes import (
    Applicable,
    BedClass,
    InstitutionKind,
    InstitutionRule,
    ProfitNature,
    Scheme,
    Tables,
)


@dataclass(slots=True)
class Turn:
    """From a day on it may not operate (停业), or may again."""

    on: date
    suspended: bool


@dataclass(kw_only=True)
class Home(Aggregate):
    """An institution as subsidies know it (机构); the key is the institution's."""

    credit_code: str = ""
    institution_kind: InstitutionKind | None = None
    """None: its filing is not known yet."""
    nature: ProfitNature | None = None
    opened_on: date | None = None
    """None: it has not begun to operate."""
    region_code: RegionCode | None = None
    turns: list[Turn] = field(default_factory=list)
    closed_on: date | None = None
    next_change_on: date | None = None

    def turn(self, on: date, *, suspended: bool) -> None:
        """Learn that it may not operate, or may again."""
        kept = [t for t in self.turns if t.on != on]
        self.turns = sorted([*kept, Turn(on, suspended)], key=lambda t: t.on)

    def suspended_on(self, day: date) -> bool:
        """Whether it may not operate on a day."""
        begun = [t for t in self.turns if t.on <= day]
        return bool(begun) and begun[-1].suspended


@dataclass(slots=True)
class Bar:
    """A credit listing orders that subsidies stop; `began_on` None: only its lifting is known."""

    listing_key: str
    began_on: date | None = None
    lifted_on: date | None = None


@dataclass(kw_only=True)
class Conduct(Aggregate):
    """What credit ordered about an organisation (联合惩戒); the key is its credit code."""

    bars: list[Bar] = field(default_factory=list)

    def bar(self, listing_key: str) -> Bar:
        """What a listing ordered, known from now on."""
        for each in self.bars:
            if each.listing_key == listing_key:
                return each
        self.bars.append(Bar(listing_key))
        return self.bars[-1]

    def barred_on(self, day: date) -> bool:
        """Whether subsidies are stopped by any listing on a day."""
        return any(
            b.began_on is not None and b.began_on <= day < (b.lifted_on or FOREVER)
            for b in self.bars
        )


@dataclass(frozen=True, slots=True)
class Conversion:
    """From a day on the bed is for something else (床位转换)."""

    on: date
    bed_class: BedClass


@dataclass(kw_only=True)
class BedStay(Aggregate):
    """One admission's time in one bed; the key names both."""

    institution_key: str
    bed_key: str
    bed_class: BedClass
    """What the bed was for on the first day."""
    conversions: list[Conversion] = field(default_factory=list)
    occupied: list[date] = field(default_factory=list)
    released: list[date] = field(default_factory=list)

    def occupy(self, on: date) -> None:
        """The bed is occupied from a day on."""
        self.occupied = sorted({*self.occupied, on})

    def release(self, on: date) -> None:
        """The bed is free from a day on."""
        self.released = sorted({*self.released, on})

    def periods(self) -> list[Period]:
        """The days in the bed; a release of which the beginning is unknown ends nothing.

        Of two releases the earlier counts: a death told after the discharge takes its days back.
        """
        found: list[Period] = []
        for began_on in self.occupied:
            if found and (found[-1].ended_on is None or began_on < found[-1].ended_on):
                continue
            ended_on = next((day for day in self.released if day >= began_on), None)
            if ended_on != began_on:
                found.append(Period(began_on, ended_on))
        return found

    def convert(self, on: date, bed_class: BedClass) -> None:
        """The bed is for something else from a day on."""
        kept = [each for each in self.conversions if each.on != on]
        self.conversions = sorted([*kept, Conversion(on, bed_class)], key=lambda each: each.on)

    def by_class(self) -> list[tuple[BedClass, Period]]:
        """The days in the bed, cut where it was converted, each piece with its class."""
        uses = [Conversion(date.min, self.bed_class), *self.conversions]
        ends = [each.on for each in uses[1:]]
        return [
            (use.bed_class, days)
            for use, end in zip(uses, [*ends, None], strict=True)
            for period in self.periods()
            if (days := period.intersect(Period(use.on, end)))
        ]

    @property
    def first_on(self) -> date:
        """First day in the bed; `date.max` while it is unknown."""
        return min(self.occupied, default=FOREVER)

    @property
    def last_on(self) -> date:
        """First day after the last in the bed; `date.max` while it is occupied."""
        return max((p.ended_on or FOREVER for p in self.periods()), default=date.min)


@dataclass(frozen=True, slots=True)
class Ground:
    """One condition on an institution, whether it holds, and what follows if it does not."""

    code: str
    met: bool
    cause: Cause
    final: bool
    zh: str
    en: str


def months_later(day: date, months: int) -> date:
    """The same day of the month so many months later, or the first of the next where there is none.

    `date.max` beyond the end of the calendar.
    """
    count = day.year * 12 + day.month - 1 + months
    year, month = count // 12, count % 12 + 1
    if year > FOREVER.year:
        return FOREVER
    try:
        return date(year, month, day.day)
    except ValueError:
        return date(year, month + 1, 1)  # shorter than 31 days, so it is not December


def grounds(
    home: Home, conduct: Conduct | None, found: Applicable | None, day: date
) -> list[Ground]:
    """The conditions of an institution subsidy on a day, the one that rules out most first."""
    rule = found.version.institution if found else None
    opened = home.opened_on
    months = rule.months_open if rule else 0
    long_open = opened is not None and months_later(opened, months) <= day
    closed = home.closed_on is not None and day >= home.closed_on
    barred = conduct is not None and conduct.barred_on(day)
    suspended = home.suspended_on(day)
    fits = rule is not None and home.institution_kind in rule.kinds and home.nature in rule.natures
    no, ineligible = True, Cause.NO_LONGER_ELIGIBLE
    return [
        Ground(
            "OPERATING",
            home.institution_kind is not None and not closed,
            Cause.CLOSED,
            True,
            "机构已备案且未关闭",
            "the institution is filed and has not closed",
        ),
        Ground(
            "OFFERED",
            rule is not None,
            Cause.PARAMETERS_CHANGED,
            True,
            "机构所在地当日实行该项补贴",
            "the scheme is offered where the institution lies",
        ),
        Ground(
            "KIND_AND_NATURE",
            fits,
            ineligible,
            no,
            "机构类型与经营性质属于补贴范围",
            "its kind and the nature of its operation are within the scheme",
        ),
        Ground(
            "OPEN_LONG_ENOUGH",
            long_open,
            ineligible,
            no,
            f"建成运营满{months}个月",
            f"it has been open for {months} months or more",
        ),
        Ground(
            "NOT_SUSPENDED", not suspended, Cause.CLOSED, False, "未停业", "it is not suspended"
        ),
        Ground(
            "NOT_LISTED",
            not barred,
            Cause.LISTED,
            False,
            "未因列入失信名单被停发补贴",
            "no credit listing orders that its subsidies stop",
        ),
    ]


@dataclass(frozen=True, slots=True)
class InstitutionVerdict:
    """What is decided for one institution, scheme and day, until the next one of a list."""

    began_on: date
    cause: Cause | None
    final: bool
    applicable: Applicable | None

    @property
    def rule(self) -> InstitutionRule | None:
        """The rule that applies."""
        return self.applicable.version.institution if self.applicable else None


def decide_institution(
    scheme: Scheme, home: Home, conduct: Conduct | None, tables: Tables, horizon: date
) -> tuple[list[InstitutionVerdict], date | None]:
    """Decide all days before the horizon, and tell the first day after it that may differ."""
    if home.region_code is None or home.opened_on is None:
        return [], None
    days = _days(scheme, home, conduct, tables)
    verdicts = [
        judge_institution(scheme, home, conduct, tables, day) for day in days if day < horizon
    ]
    later = [day for day in days if day >= horizon]
    return verdicts, min(later) if later else None


def judge_institution(
    scheme: Scheme, home: Home, conduct: Conduct | None, tables: Tables, day: date
) -> InstitutionVerdict:
    """Decide one day."""
    region = home.region_code
    found = tables.find(scheme.code, region, day) if region else None
    for ground in grounds(home, conduct, found, day):
        if not ground.met:
            return InstitutionVerdict(day, ground.cause, ground.final, found)
    return InstitutionVerdict(day, None, False, found)


def _days(scheme: Scheme, home: Home, conduct: Conduct | None, tables: Tables) -> Sequence[date]:
    assert home.opened_on is not None
    assert home.region_code is not None
    days = {home.opened_on, *(turn.on for turn in home.turns)}
    days |= {home.closed_on} if home.closed_on else set()
    bars: Iterable[Bar] = conduct.bars if conduct else ()
    days |= {d for bar in bars for d in (bar.began_on, bar.lifted_on) if d}
    for version in tables.versions(scheme.code, home.region_code):
        days |= {d for d in (version.valid_from, version.valid_to) if d}
        if version.institution:
            days.add(months_later(home.opened_on, version.institution.months_open))
    return sorted(day for day in days if day >= home.opened_on)
