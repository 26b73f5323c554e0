"""The message log: what is told of an exchange, who may destroy what, and what is refused.

The nouns of the log itself (`Record`, `Receipt`) are those of `eldex.evidence`, which an auditor has too.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from eldex.common.aggregate import Aggregate
from eldex.common.errors import DomainError, Kind
from eldex.evidence.records import Record
from eldex.exchange.domain.operators import Operator

MOST_SUBJECTS: Final = 800
"""Of one record, so that it stays within a line of the log (65,535 bytes); the rest is counted."""
BEYOND: Final = "SUBJECTS_BEYOND_LIMIT"
"""The reason of an answered call that showed more: `SUBJECTS_BEYOND_LIMIT:<how many more>`."""

CALL, ADMIN, DELIVERY = "call", "admin", "delivery"
"""Kinds of records: a member's call, an operator's, an event that a subscriber took over."""


class NoEvidence(DomainError):
    """The log cannot be written: no reply leaves without evidence."""

    kind, reason = Kind.UNAVAILABLE, "NO_EVIDENCE"
    zh = "交换日志暂时无法写入，未留存证据的结果不予返回；请稍后以同一 request_id 重试"
    en = (
        "the message log cannot be written and no reply leaves without evidence: try again with "
        "the same request_id"
    )


class SegmentArchived(DomainError):
    """The record lies in a segment that was moved to the archive; its proofs are still given."""

    kind, reason = Kind.CONFLICT, "SEGMENT_ARCHIVED"
    zh = "第 {index} 条留痕所在的分段已归档，请从档案中调取；其证明仍可获取"
    en = "record {index} lies in an archived segment: ask the archive for it; its proof is still given"


class RecordUnreadable(DomainError):
    """What is stored of a record is not what was written; the log must be verified."""

    kind, reason = Kind.CONFLICT, "RECORD_UNREADABLE"
    zh = "第 {index} 条留痕与写入时不符，请立即以 eldex-verify 核验日志"
    en = "record {index} is not what was written: verify the log with eldex-verify at once"


class SizeUnknown(DomainError):
    """A size, or an index, beyond what the log has."""

    kind, reason = Kind.INVALID, "LOG_SIZE_UNKNOWN"
    zh = "日志现有 {size} 条留痕，请求超出了这一范围"
    en = "the log has {size} records; what was asked for lies beyond"


class ReceiptUnknown(DomainError):
    """A receipt that this log did not give: of another log, or of another history of this one."""

    kind, reason = Kind.CONFLICT, "RECEIPT_UNKNOWN"
    zh = "该回执不是本日志所出具（或日志已被改写），请保留回执并以 eldex-verify 核验"
    en = (
        "this log did not give that receipt, or is no longer what it was: keep the receipt and verify "
        "with eldex-verify"
    )


class NoCosignature(DomainError):
    """No partner has co-signed a head that covers what was asked for."""

    kind, reason = Kind.UNAVAILABLE, "NO_COSIGNATURE"
    zh = "尚无伙伴交换平台联署覆盖该留痕的检查点，请稍后再取"
    en = "no partner has co-signed a head that covers this yet: ask again later"


class NotWitnessable(DomainError):
    """A partner's checkpoint, or its cosignature of ours, that cannot be accepted."""

    kind, reason = Kind.CONFLICT, "NOT_WITNESSED"
    zh = "未予联署：{why}"
    en = "not co-signed: {why}"


class CheckpointStale(DomainError):
    """The proof does not start at the checkpoint that was co-signed last."""

    kind, reason = Kind.CONFLICT, "CHECKPOINT_STALE"
    zh = "最近一次联署的检查点含 {size} 条留痕，请自该处提供一致性证明"
    en = "the latest co-signed checkpoint has {size} records: prove consistency from there"


class CheckpointForked(DomainError):
    """A partner's checkpoint contradicts one that was co-signed before: it shows two histories."""

    kind, reason = Kind.CONFLICT, "CHECKPOINT_FORKED"
    zh = "该检查点与此前联署的检查点相矛盾，可能存在两份历史；请保留双方检查点并人工核查"
    en = (
        "this checkpoint contradicts one that was co-signed: there may be two histories. "
        "Keep both checkpoints and have people look"
    )


class LogWentBack(CheckpointForked):
    """A partner has co-signed more of our log, or another one, than there is: it was put back."""

    zh = "伙伴 {witness} 曾联署本日志的 {size} 条留痕，与现有日志不符：日志可能被回退或改写"
    en = (
        "{witness} has co-signed {size} records of this log, which it does not have or not so: it was "
        "put back or rewritten"
    )


class PeriodNotOver(DomainError):
    """The key of a period that is not over is still in use."""

    kind, reason = Kind.CONFLICT, "PERIOD_NOT_OVER"
    zh = "{period} 尚未结束，其标识密钥仍在使用"
    en = "{period} is not over; its key is still in use"


class NotRequested(DomainError):
    """An approval of a destruction that nobody asked for."""

    kind, reason = Kind.CONFLICT, "SHREDDING_NOT_REQUESTED"
    zh = "没有人申请销毁 {period} 的标识密钥"
    en = "nobody has asked for the key of {period} to be destroyed"


class LogEntry(NamedTuple):
    """One exchange as the log is told of it; of the messages it keeps salted digests alone."""

    subsystem: str
    """Who asked, or got: `member/<member>/<subsystem>`; of this house `service/<name>`."""
    method: str
    """Of what: the method; of a delivery the event's type."""
    purpose: str
    agreement_key: str
    agreement_version: int
    legal_basis: str
    request: bytes
    """As it came; of a delivery what was sent."""
    reply: bytes | None
    """As it leaves, after masking; None without one."""
    code: str
    reason: str
    trace_id: str
    subjects: tuple[str, ...] = ()
    """Opaque keys of all whom it names or shows; they are hashed and not kept."""
    kind: str = CALL


@dataclass(frozen=True, slots=True)
class LoggedRecord:
    """A record with its place in the log."""

    index: int
    record: Record


@dataclass(frozen=True, slots=True)
class Segment:
    """A file of the log, and whether it may be moved away."""

    first_index: int
    records: int
    file_name: str
    is_sealed: bool
    is_archived: bool


@dataclass(kw_only=True)
class Shredding(Aggregate):
    """That the key of a period shall be destroyed: asked for by one, approved by another."""

    reason: str
    requested_by: str
    requested_at: datetime
    approved_by: str = ""
    approved_at: datetime | None = None
    requested_with: str = ""
    """The seat; empty in what was asked for before seats were kept."""
    approved_with: str = ""

    @property
    def is_approved(self) -> bool:
        """Whether the key is to be gone."""
        return self.approved_at is not None

    def approve(self, operator: Operator, now: datetime) -> None:
        """Approve it; raises `SecondPersonNeeded`. A second approval changes nothing."""
        operator.require_another(self.requested_by, self.requested_with)
        if not self.is_approved:
            self.approved_by, self.approved_with = operator.account, operator.seat
            self.approved_at = now


def check_over(period: str, now: datetime) -> None:
    """Raise `PeriodNotOver` unless a period (a month in UTC, such as 2026-10) is past."""
    if period >= f"{now:%Y-%m}":
        raise PeriodNotOver(period=period)
