"""How far an institution has come, and what that forbids."""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum

from eldex.common.errors import DomainError, Kind


class Status(Enum):
    """How far an institution has come."""

    SUBMITTED = "submitted"
    RETURNED = "returned"
    ACCEPTED = "accepted"
    FILED = "filed"
    OPERATING = "operating"
    SUSPENDED = "suspended"
    CLOSING = "closing"
    CLOSED = "closed"


_STATUS_ZH = dict(
    zip(
        Status,
        ("已提交", "已退回补正", "已受理", "已备案", "运营中", "暂停服务", "终止服务中", "已注销"),
        strict=True,
    )
)
FILED_AND_OPEN = frozenset({Status.FILED, Status.OPERATING, Status.SUSPENDED, Status.CLOSING})
"""In the field: what supervision and credit do concerns these."""


class StatusForbids(DomainError):
    """What is asked cannot be done with an institution in this status."""

    kind, reason = Kind.CONFLICT, "STATUS_FORBIDS"
    zh = "机构现为“{status_zh}”，不能办理此项业务；须为：{wanted_zh}"
    en = "the institution is {status}; this needs it to be {wanted}"


class AwaitsReview(DomainError):
    """Two levels have accepted; the third reviews, which is an act of its own (M000-30)."""

    kind, reason = Kind.CONFLICT, "AWAITS_REVIEW"
    zh = "两级备案已完成，现待省级部门审核：请使用 ReviewFiling"
    en = "both levels have accepted: the region's department reviews it now (ReviewFiling)"


def must_be(status: Status, wanted: Collection[Status]) -> None:
    """Raise `StatusForbids` unless the status is one of those."""
    if status not in wanted:
        ordered = [each for each in Status if each in wanted]
        raise StatusForbids(
            status=status.value,
            status_zh=_STATUS_ZH[status],
            wanted=" or ".join(each.value for each in ordered),
            wanted_zh="、".join(_STATUS_ZH[each] for each in ordered),
        )
