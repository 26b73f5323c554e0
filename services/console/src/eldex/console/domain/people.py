"""Who may use the console, and what they did with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from eldex.common.errors import Denied, DomainError, Kind

THROTTLE_WINDOW: Final = timedelta(minutes=5)
FAILURES_FROM_AN_ADDRESS: Final = 10
FAILURES_FROM_ANYWHERE: Final = 50
"""Of one account: a person mistypes; a guesser with many addresses is held to some ten thousand tries a day, in vain
against random words. Never of an address alone: behind a gateway everybody has the same one."""


class Role(StrEnum):
    """What an account may do."""

    VIEWER = "viewer"
    """Look (查看员)."""
    AUDITOR = "auditor"
    """Look, also into the message log (审计员)."""
    OPERATOR = "operator"
    """Look, also into the message log; replay, hold, close (操作员)."""

    @property
    def reads_log(self) -> bool:
        """Whether it may look into the message log; each look is recorded."""
        return self is not Role.VIEWER


@dataclass(frozen=True, slots=True)
class Account:
    """A person who may sign in. `stamp` changes with the password and ends older sessions."""

    user: str
    role: Role
    stamp: str


class Act(StrEnum):
    """What people do here that is recorded."""

    SIGN_IN = "sign-in"
    SIGN_OUT = "sign-out"
    REPLAY = "replay"
    CLOSE = "close"
    PAUSE = "pause"
    RESUME = "resume"
    REPLAY_SUBSCRIPTION = "replay-subscription"
    REDELIVER = "redeliver"
    LOOK_INTO_LOG = "look-into-log"
    APPROVE_CHANGE = "approve-change"
    REFUSE_CHANGE = "refuse-change"
    ADMIT_MEMBER = "admit-member"
    REFUSE_MEMBER = "refuse-member"
    REVOKE_CERTIFICATE = "revoke-certificate"


@dataclass(frozen=True, slots=True)
class Action:
    """One entry of the console's own record (操作日志): who, what, when, with which outcome."""

    key: str
    at: datetime
    user: str
    """Empty when somebody tried a name that no account has: what they typed may be a password."""
    address: str
    act: Act
    target: str
    outcome: str
    """`done`, `asked`, `failed`, `throttled`, or the stable reason of a refusal."""
    detail: str = ""


class SignInFailed(DomainError):
    """The name and the password do not belong together."""

    kind = Kind.DENIED
    reason = "SIGN_IN_FAILED"
    zh = "用户名或密码不正确"
    en = "the name or the password is not right"


class SignInThrottled(DomainError):
    """Too many wrong passwords in a short time."""

    kind = Kind.EXHAUSTED
    reason = "SIGN_IN_THROTTLED"
    zh = "尝试次数过多，请在 {minutes} 分钟后再试"
    en = "too many attempts: try again in {minutes} minutes"


class OperatorsOnly(Denied):
    """Somebody else tried what only operators may do."""

    def __init__(self) -> None:
        super().__init__(missing="only operators may do this", missing_zh="此操作仅限操作员")


class LogReadersOnly(Denied):
    """A viewer tried to look into the message log."""

    def __init__(self) -> None:
        super().__init__(
            missing="only operators and auditors look into the message log",
            missing_zh="仅操作员和审计员可以查看交换日志",
        )


class NoReason(DomainError):
    """What cannot be undone needs a reason."""

    kind, reason = Kind.INVALID, "REASON_MISSING"
    zh = "请写明理由"
    en = "say why"


class LooksLikeIdentityNumber(DomainError):
    """Somebody typed what looks like an identity number into a search."""

    kind = Kind.INVALID
    reason = "IDENTITY_NUMBER_NOT_SEARCHABLE"
    zh = "请勿输入公民身份号码：链路中不保存身份号码。请先在登记服务中查得居民编码（res_…），再用编码查询"
    en = (
        "do not enter identity numbers: traces never hold any. Look the resident up in the registry "
        "and search for the resident key (res_…)"
    )
