"""Why, and why not: one sentence for each condition, in Chinese and English, with its clause."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from eldex.subsidies.domain.decision import Verdict, holds, judge
from eldex.subsidies.domain.recipient import Facts
from eldex.subsidies.domain.schemes import (
    AbilityLevel,
    Condition,
    ConditionKind,
    EligibilityClass,
    Scheme,
    Source,
    Tables,
)

CLASS_WORDS: dict[EligibilityClass, tuple[str, str]] = {
    EligibilityClass.THREE_WITHOUTS: ("城镇“三无”", "the urban 'three withouts'"),
    EligibilityClass.DESTITUTE: ("特困（农村“五保”）", "the destitute (rural 'five guarantees')"),
    EligibilityClass.MINIMUM_LIVING: ("低保", "minimum-living allowance"),
    EligibilityClass.LOW_INCOME: ("低收入", "low income"),
    EligibilityClass.ECONOMIC_DIFFICULTY: ("经济困难", "economic difficulty"),
    EligibilityClass.DEMENTIA: ("失智", "dementia"),
    EligibilityClass.SEVERE_DISABILITY: ("重度残疾", "severe disability"),
    EligibilityClass.FAMILY_PLANNING_SPECIAL: (
        "计划生育特殊家庭",
        "family-planning special family",
    ),
    EligibilityClass.LIVING_ALONE: ("独居", "living alone"),
    EligibilityClass.EMPTY_NEST: ("空巢", "empty nest"),
    EligibilityClass.LEFT_BEHIND: ("留守", "left behind"),
    EligibilityClass.PREFERENTIAL_TREATMENT: ("优抚对象", "preferential treatment"),
    EligibilityClass.MARTYR_FAMILY: ("烈士遗属、现役军人家属", "martyr's or serviceman's family"),
    EligibilityClass.DESTITUTE_WANDERER: ("流浪乞讨、遭受遗弃", "wandering or abandoned"),
    EligibilityClass.SOJOURNER: ("外埠（旅居）", "sojourner"),
}
LEVEL_WORDS: dict[AbilityLevel, tuple[str, str]] = {
    AbilityLevel.INTACT: ("能力完好", "intact"),
    AbilityLevel.MILD: ("轻度失能", "mild loss of ability"),
    AbilityLevel.MODERATE: ("中度失能", "moderate loss of ability"),
    AbilityLevel.SEVERE: ("重度失能", "severe loss of ability"),
    AbilityLevel.COMPLETE: ("完全失能", "complete loss of ability"),
}


@dataclass(frozen=True, slots=True)
class Reason:
    """One condition, whether it holds, and by which clause it is asked."""

    code: str
    """Stable: AGE_FROM, CLASS_ANY, ABILITY_FROM, ALIVE, NOT_MERGED, OFFERED …"""
    met: bool
    zh: str
    en: str
    source: Source
    grade: str = ""
    """The grade that asks it; empty: all of them do."""

    def line(self) -> str:
        """Both sentences and the clause, as an event carries them."""
        return f"{self.zh} | {self.en} [{self.source}]"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A decision for one day, with its reasons."""

    verdict: Verdict
    reasons: tuple[Reason, ...]

    @property
    def grounds(self) -> tuple[Reason, ...]:
        """What carries the decision: the conditions of the grade that is paid."""
        wanted = {"", self.verdict.grade.code if self.verdict.grade else ""}
        return tuple(r for r in self.reasons if r.grade in wanted)


def explain(scheme: Scheme, facts: Facts, tables: Tables, day: date) -> Explanation:
    """Decide a day and say why, condition by condition; grades in the order in which they are tried."""
    verdict = judge(scheme, facts, tables, day)
    own = scheme.source
    reasons = [
        _reason("NOT_MERGED", not facts.merged, _NOT_MERGED, own),
        _reason("ALIVE", facts.died_on is None or day < facts.died_on, _ALIVE, own),
        _reason("RESIDES", verdict.region_code is not None, _RESIDES, own),
    ]
    found = verdict.applicable or (
        tables.find(scheme.code, verdict.region_code, day) if verdict.region_code else None
    )
    rule = found.version.monthly if found else None
    reasons.append(_reason("OFFERED", bool(rule and rule.grades), _OFFERED, own))
    if found is None or rule is None:
        return Explanation(verdict, tuple(reasons))
    source = found.version.source
    reasons += [_of(condition, facts, day, source) for condition in rule.conditions]
    for grade in rule.grades:
        reasons += [_of(c, facts, day, source, grade.code) for c in grade.conditions]
    if rule.excluded_by_long_term_care:
        free = not facts.long_term_care_on(day)
        reasons.append(_reason("NO_LONG_TERM_CARE", free, _NO_LONG_TERM_CARE, source))
    held = facts.hold_on(scheme.code, day)
    if held is not None:
        zh, en = f"已人工停发或终止：{held.note}", f"stopped or ended by hand: {held.note}"
        reasons.append(Reason("NOT_STOPPED_BY_HAND", False, zh, en, source))
    return Explanation(verdict, tuple(reasons))


_NOT_MERGED = (
    ("该记录代表本人", "this record stands for the person"),
    ("该记录已并入另一记录", "this record was merged into another, which stands for the person"),
)
_ALIVE = (
    ("健在", "the person is alive"),
    ("已登记死亡", "the person is registered as deceased"),
)
_RESIDES = (
    ("居住地已登记", "a place of residence is registered"),
    ("居住地尚未登记", "no place of residence is registered for the day"),
)
_OFFERED = (
    ("居住地当日实行该项补贴", "the scheme is offered where the person lives"),
    ("居住地当日未实行该项补贴", "the scheme is not offered where the person lives"),
)
_NO_LONG_TERM_CARE = (
    ("当日未享受长期护理保险待遇", "no long-term-care insurance benefit for the day"),
    (
        "当日已享受长期护理保险待遇，不重复享受",
        "long-term-care insurance pays for the day, which excludes this subsidy",
    ),
)

_Words = tuple[tuple[str, str], tuple[str, str]]


def _reason(code: str, met: bool, words: _Words, source: Source) -> Reason:
    zh, en = words[0] if met else words[1]
    return Reason(code, met, zh, en, source)


def _of(c: Condition, facts: Facts, day: date, source: Source, grade: str = "") -> Reason:
    met = holds(c, facts, day)
    if c.kind is ConditionKind.AGE_FROM:
        zh = f"{'已' if met else '未'}满{c.age}周岁"
        en = f"{'aged' if met else 'not yet aged'} {c.age} or more"
    elif c.kind is ConditionKind.CLASS_ANY:
        zh_words = "、".join(CLASS_WORDS[each][0] for each in c.classes)
        en_words = ", ".join(CLASS_WORDS[each][1] for each in c.classes)
        zh = f"{'属于' if met else '不属于'}下列对象：{zh_words}"
        en = f"{'belongs' if met else 'does not belong'} to: {en_words}"
    else:
        zh_word, en_word = LEVEL_WORDS[c.level]
        zh = f"能力评估{'达到' if met else '未达到'}{zh_word}及以上"
        en = f"assessed {'at' if met else 'below, or not at all for,'} '{en_word}' or worse"
    return Reason(c.kind.name, met, zh, en, c.source or source, grade)
