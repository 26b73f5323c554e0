"""The decision at call time: default deny, condition by condition, with a reason for every no.

Everything here is a pure function of the agreement and the question, so that a past decision can be
made again: `rpc/cedar.py` says the same in Cedar's words, and a property test holds the two together.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final, Protocol

from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers import RegionCode
from eldex.exchange.domain.agreements import (
    HOW_TO_ASK,
    Agreement,
    NoAgreement,
    PurposeMalformed,
    PurposeMissing,
)

_PURPOSE: Final = re.compile(r"[a-z0-9][a-z0-9-]{1,63}")


class Condition(StrEnum):
    """What must be met for a call, in the order in which it is looked at."""

    SUBSYSTEM = "SUBSYSTEM"
    """The agreement is made with the caller."""
    METHOD = "METHOD"
    """It covers the data service."""
    PURPOSE = "PURPOSE"
    """It covers the purpose."""
    IN_FORCE = "IN_FORCE"
    """It holds on the day and does not rest."""
    CALLER_REGION = "CALLER_REGION"
    """The caller's certificate is of a city that it is made for."""
    FIELDS = "FIELDS"
    """It grants fields of the data service."""
    BREAK_GLASS = "BREAK_GLASS"
    """If the glass was broken: it permits that."""
    SUBJECT_REGION = "SUBJECT_REGION"
    """The persons concerned live in its divisions, or it is an emergency that it permits."""
    CONSENT = "CONSENT"
    """They have consented where the purpose asks for it, or it is an emergency that it permits."""


OF_THE_PERSON: Final = frozenset({Condition.SUBJECT_REGION, Condition.CONSENT})
"""Conditions that depend on who is concerned; an emergency may set these aside and no others."""


@dataclass(frozen=True, slots=True)
class Question:
    """All that a decision depends on beside the agreement."""

    subsystem: str
    caller_region: RegionCode
    home: RegionCode
    """The exchange's own city."""
    method: str
    purpose: str
    on: date
    subjects_within: bool = True
    """Whether everybody concerned lives in the agreement's divisions."""
    consented: bool = True
    """Whether everybody concerned has consented to this recipient and purpose."""
    break_glass: bool = False


class Judge(Protocol):
    """Says which conditions a question does not meet; empty: allowed."""

    def unmet(self, agreement: Agreement, question: Question) -> frozenset[Condition]:
        """The conditions that are not met."""
        ...


class PlainJudge:
    """The conditions as the house understands them: the reference for every other judge."""

    def unmet(self, agreement: Agreement, question: Question) -> frozenset[Condition]:
        """The conditions that are not met."""
        return frozenset(c for c, is_met in _CONDITIONS.items() if not is_met(agreement, question))


def _is_of_its_cities(agreement: Agreement, question: Question) -> bool:
    cities = agreement.caller_regions or [question.home]
    return any(city.contains(question.caller_region) for city in cities)


def _is_emergency(agreement: Agreement, question: Question) -> bool:
    return question.break_glass and agreement.permits_break_glass


_CONDITIONS: Final[dict[Condition, Callable[[Agreement, Question], bool]]] = {
    Condition.SUBSYSTEM: lambda a, q: a.subsystem == q.subsystem,
    Condition.METHOD: lambda a, q: a.covers(q.method),
    Condition.PURPOSE: lambda a, q: q.purpose in a.purposes,
    Condition.IN_FORCE: lambda a, q: a.holds(q.on),
    Condition.CALLER_REGION: _is_of_its_cities,
    Condition.FIELDS: lambda a, q: a.grant(q.method) is not None,
    Condition.BREAK_GLASS: lambda a, q: a.permits_break_glass or not q.break_glass,
    Condition.SUBJECT_REGION: lambda a, q: (
        q.subjects_within or not a.subject_regions or _is_emergency(a, q)
    ),
    Condition.CONSENT: lambda a, q: (
        q.consented or not a.terms(q.purpose).requires_consent or _is_emergency(a, q)
    ),
}


def check_purpose(purpose: str) -> str:
    """The purpose of a call; raises `PurposeMissing`, `PurposeMalformed`."""
    if not purpose:
        raise PurposeMissing
    if not _PURPOSE.fullmatch(purpose):
        raise PurposeMalformed
    return purpose


def decide(judge: Judge, agreements: Iterable[Agreement], question: Question) -> list[Agreement]:
    """The agreements that allow a call, in key order; raises `NoAgreement` if none does."""
    mine = [a for a in agreements if a.subsystem == question.subsystem]
    unmet = [(judge.unmet(agreement, question), agreement) for agreement in mine]
    allowing = [agreement for missing, agreement in unmet if not missing]
    if allowing:
        return allowing
    raise refusal(unmet, question)


def refusal(
    unmet: Sequence[tuple[frozenset[Condition], Agreement]], question: Question
) -> NoAgreement:
    """Why not: the first missing condition of the agreement that came closest."""

    def progress(case: tuple[frozenset[Condition], Agreement]) -> int:
        return next(i for i, c in enumerate(Condition) if c in case[0])

    if not unmet:
        return no_agreement(question, Condition.METHOD, None)
    missing, agreement = max(unmet, key=progress)
    first = next(c for c in Condition if c in missing)
    return no_agreement(question, first, agreement)


def no_agreement(
    question: Question, missing: Condition, agreement: Agreement | None
) -> NoAgreement:
    """The refusal for one missing condition."""
    zh, en = words(missing, agreement, question, is_met=False)
    return NoAgreement(question.subsystem, question.method, en, zh, missing.value)


def words(
    condition: Condition, agreement: Agreement | None, question: Question, *, is_met: bool
) -> tuple[str, str]:
    """A condition in words, Chinese and English: what was met, or what is missing."""
    zh, en = _MET[condition] if is_met else _MISSING[condition]
    facts = {
        "subsystem": question.subsystem,
        "method": question.method,
        "purpose": question.purpose,
        "on": question.on,
        "key": agreement.key if agreement else "",
        "city": question.caller_region,
        "regions": "、".join(str(r) for r in agreement.subject_regions) if agreement else "",
    }
    return zh.format_map(facts), en.format_map(facts)


_MISSING: Final[dict[Condition, tuple[str, str]]] = {
    Condition.SUBSYSTEM: ("没有涵盖此调用的共享协议", "no agreement covers this call"),
    Condition.METHOD: ("没有涵盖此调用的共享协议", "no agreement covers this call"),
    Condition.PURPOSE: (
        "协议允许该调用，但不包括用途 {purpose}",
        "your agreements cover the call, but not for the purpose {purpose}",
    ),
    Condition.IN_FORCE: (
        "协议 {key} 在 {on} 未生效、已中止或已终止",
        "the agreement {key} is not in force on {on}",
    ),
    Condition.CALLER_REGION: (
        "协议 {key} 不适用于 {city} 的成员单位",
        "the agreement {key} is not made for members of {city}",
    ),
    Condition.FIELDS: (
        "协议 {key} 未授予该数据服务的任何字段",
        "the agreement {key} grants no fields of this data service",
    ),
    Condition.BREAK_GLASS: (
        "协议 {key} 不允许紧急调用",
        "the agreement {key} permits no emergencies",
    ),
    Condition.SUBJECT_REGION: (
        "协议 {key} 仅涵盖居住在 {regions} 的人员，而此调用未能证明在此范围内",
        "the agreement {key} is for residents of {regions} alone; this call is not shown to be so",
    ),
    Condition.CONSENT: (
        "用途 {purpose} 须有当事人的单独同意，而此调用没有有效的同意记录",
        "the purpose {purpose} needs the person's consent, and no consent on record lets this call pass",
    ),
}
_MET: Final[dict[Condition, tuple[str, str]]] = {
    Condition.SUBSYSTEM: ("协议 {key} 的对方是 {subsystem}", "{key} is made with {subsystem}"),
    Condition.METHOD: ("涵盖数据服务 {method}", "it covers {method}"),
    Condition.PURPOSE: ("涵盖用途 {purpose}", "it covers the purpose {purpose}"),
    Condition.IN_FORCE: ("在 {on} 有效", "it is in force on {on}"),
    Condition.CALLER_REGION: ("适用于 {city} 的成员单位", "it is made for members of {city}"),
    Condition.FIELDS: ("授予该数据服务的字段", "it grants fields of the data service"),
    Condition.BREAK_GLASS: ("未作紧急调用，或协议允许", "no emergency, or one that it permits"),
    Condition.SUBJECT_REGION: (
        "所涉人员在协议区划之内，或为允许的紧急调用",
        "the persons concerned live in its divisions, or it is an emergency that it permits",
    ),
    Condition.CONSENT: (
        "无须同意、已有同意，或为允许的紧急调用",
        "no consent is needed, it was given, or it is an emergency that the agreement permits",
    ),
}


class Concealed(DomainError):
    """There is nothing, or nothing that the caller may know: the answer is the same."""

    kind, reason = Kind.NOT_FOUND, "NOT_FOUND"
    zh = "没有可供该协议查询的记录"
    en = "there is no record that this agreement lets you know of"


class FieldNotGranted(DomainError):
    """The request uses a field that the agreement does not grant: filtering by it would tell it."""

    kind, reason = Kind.DENIED, "FIELD_NOT_GRANTED"
    zh = "协议 {agreement} 不允许在请求中使用字段 {fields}；如需要，请通过 {how} 申请"
    en = "the agreement {agreement} does not let a request use {fields}; ask for it by {how}"


class VolumeExceeded(DomainError):
    """More rows than the agreement gives out in one call or in a day."""

    kind, reason = Kind.DENIED, "VOLUME_EXCEEDED"
    zh = "超出协议 {agreement} 的数据量限制：{period}最多 {limit} 行；如需更多，请通过 {how} 申请"
    en = "beyond what the agreement {agreement} gives out: at most {limit} rows {period_en}; ask for more by {how}"


def exceeded(agreement: str, limit: int, *, is_day: bool) -> VolumeExceeded:
    """The refusal, with the limit that was reached."""
    return VolumeExceeded(
        agreement=agreement,
        limit=limit,
        period="每日" if is_day else "每次调用",
        period_en="a day" if is_day else "a call",
        how=HOW_TO_ASK,
    )
