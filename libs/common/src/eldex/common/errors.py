"""What can go wrong, and how each door reacts to it.

Five kinds, each with one reaction (DESIGN §8). Anything that is not a `DomainError` is our own
bug: callers see INTERNAL without detail, a consumer stops and does not commit.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import ClassVar, Final, Literal

Language = Literal["zh", "en"]


class Kind(Enum):
    """What the caller should do about it."""

    INVALID = "invalid"
    """Fix the request."""
    NOT_FOUND = "not_found"
    """Nothing by that name."""
    CONFLICT = "conflict"
    """The state forbids it."""
    STALE = "stale"
    """Somebody else was faster: reload and decide again."""
    DENIED = "denied"
    """Not yours to see or do; the attempt is recorded."""
    EXHAUSTED = "exhausted"
    """Too much at once: come back later, as the advice says."""
    UNAVAILABLE = "unavailable"
    """Try again: a part this depends on does not answer."""

    @property
    def retryable(self) -> bool:
        """Whether the same act may succeed later without anybody changing it."""
        return self in {Kind.STALE, Kind.EXHAUSTED, Kind.UNAVAILABLE}


class DomainError(Exception):
    """A fact of the field that forbids an act, with a stable reason.

    Subclasses name the fact (`AlreadyEnded`), stand beside what raises them and give `kind`,
    `reason` (UPPER_SNAKE, stable: readers program against it) and a sentence an official can act
    on, in Chinese and English. The sentences are templates over the keyword arguments, which must
    never carry an identity number, a name or any other personal data.
    """

    kind: ClassVar[Kind]
    reason: ClassVar[str]
    zh: ClassVar[str]
    en: ClassVar[str]

    def __init__(self, **facts: object) -> None:
        self.facts = facts
        super().__init__(f"{self.reason}: {self.message('en')}")

    def message(self, language: Language) -> str:
        """The sentence for the caller, in their language."""
        return (self.zh if language == "zh" else self.en).format_map(self.facts)


@dataclass(frozen=True, slots=True)
class Violation:
    """One field that must be mended before the request can be taken."""

    field: str
    zh: str
    en: str
    rule: str = ""

    def message(self, language: Language) -> str:
        """The sentence for the caller, in their language."""
        return self.zh if language == "zh" else self.en


class CannotStart(Exception):
    """What a process needs at its start is missing or wrong; the text says what to do about it."""


_MOST_VIOLATIONS: Final = 10


class InvalidRequest(DomainError):
    """The request itself is malformed; `violations` says field by field what to mend, the first ten.

    All that a request of thousands of wrong items could be told does not fit into the trailing
    metadata that a client takes (8 KiB by default): it would get no reason at all.
    """

    kind = Kind.INVALID
    reason = "REQUEST_INVALID"
    zh = "请求有 {count} 处需要更正：{fields}"
    en = "the request has {count} field(s) to correct: {fields}"

    def __init__(self, *violations: Violation) -> None:
        self.violations = told = violations[:_MOST_VIOLATIONS]
        names = [v.field for v in told] + ["…"] * (len(told) < len(violations))
        super().__init__(count=len(violations), fields=", ".join(names) or "-")


class NotFound(DomainError):
    """There is no such thing, or none that the caller may know of."""

    kind = Kind.NOT_FOUND
    reason = "NOT_FOUND"
    zh = "找不到{what}：{key}"
    en = "no {what} with key {key}"

    def __init__(self, what: str, key: str) -> None:
        super().__init__(what=what, key=key)


class StaleVersion(DomainError):
    """The thing changed since the caller read it."""

    kind = Kind.STALE
    reason = "STALE_VERSION"
    zh = "{what}已被他人更新，请重新读取后再提交"
    en = "{what} was changed by somebody else: read it again, then decide again"

    def __init__(self, what: str) -> None:
        super().__init__(what=what)


class AlreadyExists(DomainError):
    """Another record already holds what must be unique.

    Subclasses stand in the domain, say which record that is and what to do about it, and are named
    by the unique index that holds it (`store.Index.taken`).
    """

    kind = Kind.CONFLICT
    reason = "ALREADY_EXISTS"
    zh = "已存在相同记录（{what}）：请先查询并使用已有记录"
    en = "a record with the same {what} already exists: look it up, and use that one"
    what: ClassVar[str] = ""

    def __init__(self, what: str = "") -> None:
        super().__init__(what=what or self.what)


class RequestIdReused(DomainError):
    """The same request_id came with another content (AIP-155)."""

    kind = Kind.INVALID
    reason = "REQUEST_ID_REUSED"
    zh = "request_id 已用于另一项内容不同的请求，请为新请求换用新的编号"
    en = "this request_id was used for a request with other content: give a new request a new id"


class Denied(DomainError):
    """The caller is known, and may not do this."""

    kind = Kind.DENIED
    reason = "ACCESS_DENIED"
    zh = "无权调用：{missing_zh}"
    en = "not allowed: {missing}"

    def __init__(self, missing: str, missing_zh: str) -> None:
        super().__init__(missing=missing, missing_zh=missing_zh)


class Unavailable(DomainError):
    """A part this depends on does not answer now."""

    kind = Kind.UNAVAILABLE
    reason = "UNAVAILABLE"
    zh = "{part}暂时不可用，请稍后重试"
    en = "{part} is not available at the moment: try again"

    def __init__(self, part: str) -> None:
        super().__init__(part=part)


class TooBroad(DomainError):
    """A search that takes longer than one may take."""

    kind = Kind.EXHAUSTED
    reason = "TOO_BROAD"
    zh = "查询范围过大，未能在限定时间内完成，请缩小时间范围或增加条件"
    en = "the search took longer than it may: choose a shorter time or name more of what you look for"


class Overloaded(DomainError):
    """More calls are waiting than can be answered in time."""

    kind = Kind.EXHAUSTED
    reason = "OVERLOADED"
    zh = "系统繁忙，请在 {retry_after_seconds} 秒后重试"
    en = "busy: try again in {retry_after_seconds} s"

    def __init__(self, retry_after_seconds: float) -> None:
        super().__init__(retry_after_seconds=retry_after_seconds)
