"""Break-glass: in an emergency a call passes without consent or beyond its place, and is looked at after."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final
from urllib.parse import unquote

from eldex.common.aggregate import Aggregate
from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers import RegionCode

_SHORTEST, _LONGEST, _LONGEST_ENCODED = 8, 300, 2_000
_UNPRINTABLE: Final = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufffd]"
)
STRICTEST_REVIEW_HOURS: Final = 24
"""The deadline where no division has set one."""


class ReasonMalformed(DomainError):
    """The written reason of an emergency is no sentence that somebody could review."""

    kind, reason = Kind.INVALID, "BREAK_GLASS_REASON_INVALID"
    zh = (
        "紧急调用须说明理由：8 至 300 个可见字符，以百分号编码的 UTF-8 写入元数据 eldex-break-glass"
    )
    en = (
        "an emergency needs its reason: 8 to 300 visible characters, as percent-encoded UTF-8 in "
        "the metadata eldex-break-glass"
    )


class ReviewOfOwnAct(DomainError):
    """Whoever broke the glass cannot say that it was right."""

    kind, reason = Kind.DENIED, "REVIEW_OF_OWN_ACT"
    zh = "紧急调用须由调用方以外的人审查"
    en = "somebody else than who broke the glass reviews it"


class AlreadyReviewed(DomainError):
    """A review is done once."""

    kind, reason = Kind.CONFLICT, "ALREADY_REVIEWED"
    zh, en = "该紧急调用已审查", "this use was reviewed already"


class State(StrEnum):
    """Where a use stands."""

    OPEN = "open"
    OVERDUE = "overdue"
    JUSTIFIED = "justified"
    UNJUSTIFIED = "unjustified"


@dataclass(frozen=True, slots=True)
class BreakGlassUsed:
    """Somebody broke the glass."""

    break_glass_key: str
    subsystem: str
    method: str
    purpose: str
    agreement_key: str
    review_by: datetime
    region_code: RegionCode


@dataclass(frozen=True, slots=True)
class BreakGlassReviewed:
    """Somebody else has looked at it."""

    break_glass_key: str
    subsystem: str
    justified: bool
    late: bool
    region_code: RegionCode


@dataclass(kw_only=True)
class BreakGlass(Aggregate):
    """One use: who, what, why, whom it concerned, and what the review found."""

    subsystem: str
    method: str
    purpose: str
    agreement_key: str
    agreement_version: int
    justification: str
    used_at: datetime
    review_by: datetime
    city: RegionCode
    resident_keys: list[str] = field(default_factory=list)
    set_aside: list[str] = field(default_factory=list)
    trace_id: str = ""
    justified: bool | None = None
    reviewed_by: str = ""
    finding: str = ""
    reviewed_at: datetime | None = None

    def tell(self) -> None:
        """Be loud."""
        self.record(
            BreakGlassUsed(
                self.key,
                self.subsystem,
                self.method,
                self.purpose,
                self.agreement_key,
                self.review_by,
                self.city,
            )
        )

    def state(self, now: datetime) -> State:
        """Where its review stands."""
        if self.justified is None:
            return State.OVERDUE if now >= self.review_by else State.OPEN
        return State.JUSTIFIED if self.justified else State.UNJUSTIFIED

    def review(
        self, *, subsystem: str, official: str, justified: bool, finding: str, at: datetime
    ) -> None:
        """Say whether it was right; raises `ReviewOfOwnAct`, `AlreadyReviewed`."""
        if subsystem == self.subsystem:
            raise ReviewOfOwnAct
        if self.justified is not None:
            raise AlreadyReviewed
        self.justified, self.finding, self.reviewed_at = justified, finding, at
        self.reviewed_by = f"{subsystem} {official}"
        late = at >= self.review_by
        self.record(BreakGlassReviewed(self.key, self.subsystem, justified, late, self.city))


@dataclass(kw_only=True)
class ReviewRule(Aggregate):
    """Within how many hours a division has break-glass reviewed, with its source."""

    region_code: RegionCode
    review_within_hours: int
    valid_from: date
    source: str
    valid_to: date | None = None

    def holds(self, on: date) -> bool:
        """Whether it is in force on a day."""
        return self.valid_from <= on and (self.valid_to is None or on < self.valid_to)


def review_deadline(
    rules: Iterable[ReviewRule], city: RegionCode, on: date, at: datetime
) -> datetime:
    """By when a use must be reviewed: the rule nearest above the city, else the strictest."""
    in_force = {rule.region_code: rule for rule in sorted(rules, key=_since) if rule.holds(on)}
    for region in city.lineage():
        if region in in_force:
            return at + timedelta(hours=in_force[region].review_within_hours)
    return at + timedelta(hours=STRICTEST_REVIEW_HOURS)


def _since(rule: ReviewRule) -> date:
    return rule.valid_from


def read_reason(encoded: str) -> str:
    """The written reason as it came in the metadata; raises `ReasonMalformed`."""
    if len(encoded) > _LONGEST_ENCODED:
        raise ReasonMalformed
    reason = unquote(encoded).strip()
    if not _SHORTEST <= len(reason) <= _LONGEST or _UNPRINTABLE.search(reason):
        raise ReasonMalformed
    return reason
