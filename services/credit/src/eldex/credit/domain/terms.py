"""Words that all nouns of credit share: who, which list, what follows, and which days can be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Final

from eldex.common.errors import DomainError, Kind
from eldex.common.identifiers import CreditCode, is_key

LAST_YEAR: Final = 2999
"""Beyond it lie slips of the pen, and the end of what a calendar can count."""


class SubjectKind(Enum):
    """Who can be listed."""

    ORGANISATION = "organisation"
    WORKER = "worker"


class Colour(Enum):
    """Which list (红黑名单, M002-113)."""

    RED = "red"
    BLACK = "black"


class Measure(Enum):
    """What other departments do about a party on the black list (联合惩戒措施)."""

    HALT_ADMISSIONS = "halt_admissions"
    STOP_SUBSIDIES = "stop_subsidies"
    INSPECT_MORE_OFTEN = "inspect_more_often"
    BAR_FROM_EMPLOYMENT = "bar_from_employment"

    def concerns(self, kind: SubjectKind) -> bool:
        """People are barred from work; everything else is done to organisations."""
        return (self is Measure.BAR_FROM_EMPLOYMENT) == (kind is SubjectKind.WORKER)


class Benefit(Enum):
    """What a place on the red list brings (守信激励)."""

    INSPECT_LESS_OFTEN = "inspect_less_often"
    PREFER_IN_FUNDING = "prefer_in_funding"
    ACCEPT_INCOMPLETE_PAPERS = "accept_incomplete_papers"
    RECOMMEND_TO_LENDERS = "recommend_to_lenders"
    HONOUR = "honour"


class WorkerKeyInvalid(DomainError):
    """Not the key of a file; what was given instead, perhaps a number, is never repeated."""

    kind, reason = Kind.INVALID, "WORKER_KEY_INVALID"
    zh = "从业人员应以信用档案编号（wkr_…）表示，请勿填写证件号码"
    en = "a worker is named by the key of the credit file (wkr_…), never by a document's number"


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is listed: a legal person by its credit code, a worker by the key of the file.

    A branch without legal personality has its parent's code here: the parent is liable (M001-38).
    """

    kind: SubjectKind
    key: str

    def __post_init__(self) -> None:
        if self.kind is SubjectKind.ORGANISATION:
            CreditCode(self.key)
        elif not is_key(self.key, "wkr"):
            raise WorkerKeyInvalid

    @classmethod
    def organisation(cls, credit_code: str) -> Subject:
        """An organisation by its code as people write it; raises `InvalidCreditCode`."""
        return cls(SubjectKind.ORGANISATION, str(CreditCode.parse(credit_code)))


@dataclass(frozen=True, slots=True)
class Source:
    """Where a rule stands: a document and the clause in it."""

    document: str
    clause: str = ""


class DayImpossible(DomainError):
    """A day that cannot be: in the future, or before what it should follow."""

    kind, reason = Kind.INVALID, "DAY_IMPOSSIBLE"
    zh = "日期 {day} 不可能：{why_zh}"
    en = "the day {day} cannot be: {why}"


def not_after(day: date, today: date) -> None:
    """Raise unless the day has come."""
    if day > today:
        raise DayImpossible(day=day, why_zh="晚于今天", why="it lies in the future")


def within_calendar(day: date) -> None:
    """Raise if the day lies so far off that no term or deadline can be counted from it."""
    if day.year > LAST_YEAR:
        raise DayImpossible(
            day=day, why_zh=f"晚于 {LAST_YEAR} 年", why=f"it lies after the year {LAST_YEAR}"
        )


def not_before(day: date, earlier: date, zh: str, en: str) -> None:
    """Raise if the day lies before what it follows, named in both languages."""
    if day < earlier:
        raise DayImpossible(day=day, why_zh=f"早于{zh} {earlier}", why=f"before {en}, {earlier}")


def months_after(day: date, months: int) -> date:
    """The first day on which so many full months have passed since a day.

    From the 31st of a month to a month without one it is the first of the following month: a
    term is never shorter than it says.
    """
    count = day.year * 12 + day.month - 1 + months
    year, month = divmod(count, 12)
    try:
        return date(year, month + 1, day.day)
    except ValueError:
        following = count + 1
        return date(following // 12, following % 12 + 1, 1)
