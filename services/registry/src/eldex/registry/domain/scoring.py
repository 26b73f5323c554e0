"""From 26 points to a level of ability: GB/T 42195-2022 老年人能力评估规范, tables B and C.

The items and their maxima are the standard's own; where its text leaves a choice open, or the
figures could be set otherwise, an `AssessmentRule` says what holds where and since when.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from datetime import date, timedelta
from enum import Enum, IntEnum

from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers import RegionCode
from eldex.registry.domain.days import not_future

STANDARD = "GB/T 42195-2022"


class AbilityLevel(IntEnum):
    """Level of ability (能力等级); higher means less able."""

    INTACT = 0
    """能力完好"""
    MILD = 1
    """轻度失能"""
    MODERATE = 2
    """中度失能"""
    SEVERE = 3
    """重度失能"""
    COMPLETE = 4
    """完全失能"""

    @property
    def zh(self) -> str:
        """The level as the standard calls it."""
        return ("能力完好", "轻度失能", "中度失能", "重度失能", "完全失能")[self]


class Block(Enum):
    """The four parts of table B, by clause."""

    SELF_CARE = "B.1"
    """自理能力"""
    MOBILITY = "B.2"
    """基础运动能力"""
    MENTAL_STATE = "B.3"
    """精神状态"""
    PARTICIPATION = "B.4"
    """感知觉与社会参与"""


_BLOCK_NAMES = {
    Block.SELF_CARE: ("自理能力", "self-care"),
    Block.MOBILITY: ("基础运动能力", "basic mobility"),
    Block.MENTAL_STATE: ("精神状态", "mental state"),
    Block.PARTICIPATION: ("感知觉与社会参与", "perception and participation"),
}

_TABLE_B: dict[Block, tuple[tuple[str, int], ...]] = {
    Block.SELF_CARE: (
        ("eating", 4), ("grooming", 4), ("bathing", 4), ("upper_dressing", 4),
        ("lower_dressing", 4), ("bladder_control", 4), ("bowel_control", 4), ("toileting", 4),
    ),
    Block.MOBILITY: (("bed_mobility", 4), ("transfer", 4), ("walking", 4), ("stairs", 3)),
    Block.MENTAL_STATE: (
        ("orientation_in_time", 4), ("orientation_in_space", 4), ("orientation_to_persons", 4),
        ("memory", 4), ("comprehension", 4), ("expression", 4), ("aggression", 1),
        ("depression", 1), ("consciousness", 2),
    ),
    Block.PARTICIPATION: (
        ("vision", 2), ("hearing", 2), ("daily_affairs", 4), ("using_transport", 3),
        ("social_contact", 4),
    ),
}  # fmt: skip

ITEMS: dict[Block, dict[str, int]] = {block: dict(items) for block, items in _TABLE_B.items()}
"""The 26 items of table B with their most points, by block; 90 in all."""


class ScoresImpossible(DomainError):
    """An item is missing, unknown, or has more points than it can."""

    kind, reason = Kind.INVALID, "SCORES_IMPOSSIBLE"
    zh = "评分有误：{item} 应为 0 至 {most} 的整数"
    en = "the points cannot be: {item} takes 0 to {most}"

    def __init__(self, item: str, most: int) -> None:
        super().__init__(item=item, most=most)


class NoRuleInForce(DomainError):
    """No rule is entered for that place and day."""

    kind, reason = Kind.INVALID, "NO_RULE_IN_FORCE"
    zh = "{day} 在 {region_code} 没有生效的能力评估规则；GB/T 42195-2022 自 2022-12-30 起实施"
    en = "no assessment rule is in force in {region_code} on {day}; the standard is in force since 2022-12-30"


class CareRisk(Enum):
    """What endangered the person (照护风险事件, A.2.14)."""

    FALL = "fall"
    """跌倒"""
    CHOKING = "choking"
    """噎食"""
    SUICIDE = "suicide"
    """自杀"""
    SELF_HARM = "self_harm"
    """自伤"""
    WANDERING = "wandering"
    """走失"""
    OTHER = "other"
    """其他"""


@dataclass(frozen=True, slots=True)
class CareRiskEvent:
    """Something that endangered the person, and when."""

    risk: CareRisk
    happened_on: date


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A diagnosis by its ICD-10 code (A.4.1)."""

    icd10_code: str
    by_psychiatrist: bool

    @property
    def is_mental_disorder(self) -> bool:
        """Dementia F00-F03 or another mental disorder F04-F99, diagnosed by a psychiatrist."""
        return self.by_psychiatrist and self.icd10_code.startswith("F")


@dataclass(frozen=True, slots=True)
class Findings:
    """What the assessors found."""

    scores: dict[str, int]
    """Points by item of `ITEMS`; all 26."""
    in_coma: bool = False
    """昏迷 (A.5.11)"""
    diagnoses: list[Diagnosis] = field(default_factory=list)
    care_risk_events: list[CareRiskEvent] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class AssessmentRule:
    """One version of what the standard leaves to be set, for a division and all below it."""

    code: str
    document: str
    clause: str
    valid_from: date
    least_points: tuple[int, int, int, int]
    """The fewest points of level 0, 1, 2 and 3; below the last is level 4."""
    coma_level: AbilityLevel
    """C.4 says 完全失能; a note under B.3.9 says 重度失能."""
    risk_events: int
    """How many care-risk events raise the level."""
    risk_window_days: int
    raises_add_up: bool
    """Whether a mental disorder and care-risk events raise by one level each, or by one together."""
    minimum_assessors: int
    """0: not set."""
    bowel_control_3: str
    """What earns 3 points in B.1.7 大便控制: transcriptions of the standard differ; for the form."""
    reassess_after_months: int = 0
    """How long until a person is due to be assessed anew; 0: not set."""
    valid_to: date | None = None
    region_code: RegionCode | None = None
    """None: the whole country."""

    def __post_init__(self) -> None:
        if sorted(self.least_points, reverse=True) != list(self.least_points):
            raise ValueError("least_points must fall from level 0 to level 3")

    def reassess_on(self, assessed_on: date) -> date | None:
        """The day from which a person is due again; in a month too short, its last day."""
        if not self.reassess_after_months:
            return None
        index = assessed_on.year * 12 + assessed_on.month - 1 + self.reassess_after_months
        year, month = index // 12, index % 12 + 1
        return date(year, month, min(assessed_on.day, monthrange(year, month)[1]))

    def covers(self, region_code: RegionCode, day: date) -> bool:
        """Whether it holds there on that day."""
        begun = self.valid_from <= day and (self.valid_to is None or day < self.valid_to)
        return begun and (self.region_code is None or self.region_code.contains(region_code))


class AssessmentRules:
    """All versions; the nearest division's wins, then the newest."""

    def __init__(self, rules: Sequence[AssessmentRule]) -> None:
        self._rules = tuple(rules)

    def in_force(self, region_code: RegionCode, day: date) -> AssessmentRule:
        """The rule for a place and a day; raises `NoRuleInForce`."""
        found = [rule for rule in self._rules if rule.covers(region_code, day)]
        if not found:
            raise NoRuleInForce(region_code=region_code, day=day)
        return max(
            found, key=lambda r: (len(r.region_code.value) if r.region_code else 0, r.valid_from)
        )


@dataclass(frozen=True, slots=True)
class Step:
    """One step from the points to the level, told in both languages, kept as it was decided."""

    clause: str
    zh: str
    en: str
    level: AbilityLevel | None


@dataclass(frozen=True, slots=True)
class Points:
    """Points by block."""

    self_care: int
    mobility: int
    mental_state: int
    participation: int

    @property
    def total(self) -> int:
        """All points, of 90."""
        return self.self_care + self.mobility + self.mental_state + self.participation


@dataclass(frozen=True, slots=True)
class Outcome:
    """What follows from the findings."""

    points: Points
    level_by_points: AbilityLevel
    level: AbilityLevel
    rule_code: str
    steps: list[Step] = field(default_factory=list)


def score(findings: Findings, rule: AssessmentRule, assessed_on: date) -> Outcome:
    """Points, level by points, changes of C.4, level: with every step.

    Raises `ScoresImpossible` unless all 26 items are there within their maxima, and
    `DayImpossible` for a care-risk event after the assessment.
    """
    for event in findings.care_risk_events:
        not_future(event.happened_on, assessed_on)
    points = _points(findings.scores)
    by_points = _level_of(points.total, rule)
    by_block = zip(Block, astuple(points), strict=True)
    steps = [_block_step(block, sum_of_block) for block, sum_of_block in by_block]
    steps.append(_total_step(points.total, by_points))
    if findings.in_coma:
        level = max(by_points, rule.coma_level)
        zh, en = f"处于昏迷状态，直接判定为{level.zh}", f"in coma: level {level:d} at once"
        steps.append(Step(f"{STANDARD} C.4, A.5.11", zh, en, level))
        return Outcome(points, by_points, level, rule.code, steps)
    level = by_points
    for earlier, reason in enumerate(_reasons_to_raise(findings, rule, assessed_on)):
        counts = earlier == 0 or rule.raises_add_up
        raised = min(level + 1, AbilityLevel.COMPLETE) if counts else level
        steps.append(_raise_step(reason, level, AbilityLevel(raised), counts=counts))
        level = AbilityLevel(raised)
    return Outcome(points, by_points, level, rule.code, steps)


def _points(scores: Mapping[str, int]) -> Points:
    known = {item for items in ITEMS.values() for item in items}
    for item in scores:
        if item not in known:
            raise ScoresImpossible(item, 0)
    for items in ITEMS.values():
        for item, most in items.items():
            if not 0 <= scores.get(item, -1) <= most:
                raise ScoresImpossible(item, most)
    return Points(*(sum(scores[item] for item in items) for items in ITEMS.values()))


def _level_of(total: int, rule: AssessmentRule) -> AbilityLevel:
    below = sum(total < least for least in rule.least_points)
    return AbilityLevel(below)


def _block_step(block: Block, points: int) -> Step:
    most = sum(ITEMS[block].values())
    zh, en = _BLOCK_NAMES[block]
    return Step(
        f"{STANDARD} {block.value}",
        f"{zh}：{points} 分（满分 {most}）",
        f"{en}: {points} of {most}",
        None,
    )


def _total_step(total: int, level: AbilityLevel) -> Step:
    zh = f"总分 {total} 分（满分 90），初步判定为{level.zh}"
    return Step(
        f"{STANDARD} C.3", zh, f"{total} of 90 points: level {level:d} by the points", level
    )


@dataclass(frozen=True, slots=True)
class _Reason:
    clause: str
    zh: str
    en: str


def _reasons_to_raise(findings: Findings, rule: AssessmentRule, assessed_on: date) -> list[_Reason]:
    reasons = []
    if any(diagnosis.is_mental_disorder for diagnosis in findings.diagnoses):
        zh, en = (
            "经精神科专科医生确诊认知障碍或其他精神障碍",
            "a mental disorder diagnosed by a psychiatrist",
        )
        reasons.append(_Reason("A.4.1", zh, en))
    since = assessed_on - timedelta(days=rule.risk_window_days)
    count = sum(since <= event.happened_on for event in findings.care_risk_events)
    if count >= rule.risk_events:
        days = rule.risk_window_days
        zh = f"近 {days} 天内发生照护风险事件 {count} 次"
        reasons.append(_Reason("A.2.14", zh, f"{count} care-risk events within {days} days"))
    return reasons


def _raise_step(
    reason: _Reason, before: AbilityLevel, after: AbilityLevel, *, counts: bool
) -> Step:
    if not counts:
        zh, en = "按本规则不累计提级", "raises do not add up by this rule"
    elif before == after:
        zh, en = f"已为{after.zh}，不再提级", "the level cannot be raised further"
    else:
        zh, en = f"提高一级，判定为{after.zh}", f"one level up, to level {after:d}"
    clause = f"{STANDARD} C.4, {reason.clause}"
    return Step(clause, f"{reason.zh}：{zh}", f"{reason.en}: {en}", after)
