"""What can be wrong with a filter, and what can go wrong while it is evaluated."""

from __future__ import annotations

from typing import ClassVar

from eldex.common.errors import DomainError, Kind, Language


class FilterRefused(DomainError):
    """A text that is no filter, or none that we take; the parser raises nothing else."""

    kind = Kind.INVALID


class FilterInvalid(FilterRefused):
    """The text is not CloudEvents SQL (ParseError, §3.3); says where, and what was expected there.

    It tells the kind of what was found and does not repeat it: a filter may contain what an error
    must not carry. The column counts characters of the whole text from 1, line ends too.
    """

    reason = "FILTER_INVALID"
    zh = "筛选表达式第 {column} 列有误。此处应为：{expected_zh}；实际为：{found_zh}"
    en = "the filter is wrong at column {column}: expected {expected}, found {found}"

    def __init__(
        self, column: int, *, expected: str, expected_zh: str, found: str, found_zh: str
    ) -> None:
        self.column = column
        super().__init__(
            column=column,
            expected=expected,
            expected_zh=expected_zh,
            found=found,
            found_zh=found_zh,
        )


class FilterTooLarge(FilterRefused):
    """The filter is longer, deeper or of more parts than is fair to evaluate for every event."""

    reason = "FILTER_TOO_LARGE"
    zh = "筛选表达式过于复杂：{what_zh}不得超过 {most}，请拆分为多个订阅"
    en = "the filter is too large: at most {most} {what}; split it into several subscriptions"

    def __init__(self, most: int, what: str, what_zh: str) -> None:
        super().__init__(most=most, what=what, what_zh=what_zh)


class EvaluationError(Exception):
    """What went wrong for one event; never says a value, which may be about a person (§3.3).

    The subclasses are the specification's; its GenericError, "any error not specified above", has
    none, for nothing else can go wrong here.
    """

    reason: ClassVar[str]
    zh: ClassVar[str]
    en: ClassVar[str]

    def __init__(self, *, value: str | int | bool | None = None, **facts: str) -> None:
        # The sentence is made when somebody asks: this is raised once per event and filter.
        super().__init__()
        self.value = value
        """What the failed function gives all the same (§3.5.3); None: the zero value of its type."""
        self.raised_by: object = None
        """The part of the filter that failed, where it has a value of its own."""
        self.facts = facts

    def message(self, language: Language = "en") -> str:
        """The sentence, in the reader's language."""
        return (self.zh if language == "zh" else self.en).format_map(self.facts)

    def __str__(self) -> str:
        return f"{self.reason}: {self.message()}"


class MathError(EvaluationError):
    """A division by zero, or a result beyond 32 bits."""

    reason = "math"
    zh = "运算 {operation} 没有 32 位整数结果"
    en = "{operation} has no result of 32 bits"


class CastError(EvaluationError):
    """A value has no counterpart in the type that is needed (§3.7)."""

    reason = "cast"
    zh = "该字符串不能转换为 {to}"
    en = "the string cannot be cast to {to}"


class MissingAttributeError(EvaluationError):
    """The event lacks an attribute that is read (§3.2)."""

    reason = "missingAttribute"
    zh = "事件没有属性 {attribute}"
    en = "the event has no attribute {attribute}"


class MissingFunctionError(EvaluationError):
    """No function has this name and takes so many arguments (§3.5)."""

    reason = "missingFunction"
    zh = "没有接受 {count} 个参数的函数 {function}"
    en = "there is no function {function} of {count} argument(s)"


class FunctionEvaluationError(EvaluationError):
    """A function cannot do what it is asked with these arguments (§3.5)."""

    reason = "functionEvaluation"
    zh = "函数 {function} 的参数超出范围"
    en = "an argument of {function} is out of range"
