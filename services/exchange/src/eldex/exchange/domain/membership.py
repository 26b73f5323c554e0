"""Members and their certificates: invited, asked, decided by two, given a certificate; renewed, revoked."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import Enum

from eldex.common.aggregate import Aggregate
from eldex.common.errors import AlreadyExists, DomainError, Kind
from eldex.common.identifiers import RegionCode
from eldex.exchange.domain.access_requests import AccessDecision, AlreadyDecided, DecisionRole
from eldex.exchange.domain.operators import SecondPersonNeeded


class TokenGivenOut(AlreadyExists):
    """A token is given out once."""

    what = "token_digest"
    zh = "该邀请令牌已发出过：请重新邀请以生成新的令牌"
    en = "this token was given out before: invite again, with a new token"


class TokenUnknown(DomainError):
    """No such token was given out, or its time is over; which of the two is not told."""

    kind, reason = Kind.DENIED, "TOKEN_UNKNOWN"
    zh = "加入令牌无效或已过期，请向交换平台运营方重新索取"
    en = "the join token is unknown or has expired: ask the operator of the exchange for a new one"


class TokenUsed(DomainError):
    """A token asks once."""

    kind, reason = Kind.CONFLICT, "TOKEN_USED"
    zh = "该加入令牌已提出过申请，不能再次使用；可用它查询申请进展"
    en = "this join token has asked already and cannot ask again; it still tells what became of it"


class CsrUnfit(DomainError):
    """A certificate signing request that no certificate is made from."""

    kind, reason = Kind.INVALID, "CSR_UNFIT"
    zh = "证书签名请求不符合要求：{problem_zh}"
    en = "the certificate signing request will not do: {problem}"

    def __init__(self, problem: str, problem_zh: str) -> None:
        super().__init__(problem=problem, problem_zh=problem_zh)


class RenewedWhenRevoked(DomainError):
    """Whoever holds a revoked certificate gets no other by it."""

    kind, reason = Kind.DENIED, "CERTIFICATE_REVOKED"
    zh = "客户端证书已被吊销，不能用它换发新证书"
    en = "the client certificate was revoked and cannot be renewed"


class JoiningState(Enum):
    """How far it has come."""

    INVITED = "invited"
    PENDING = "pending"
    ADMITTED = "admitted"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate as the authority made it."""

    serial_number: str
    """Hexadecimal, capital letters, as `openssl x509 -serial` tells it."""
    pem: str
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class JoiningRequested:
    """A subsystem has asked to join."""

    subsystem: str
    joining_key: str
    provider: str
    region_code: RegionCode


@dataclass(frozen=True, slots=True)
class MemberAdmitted:
    """Both have approved."""

    subsystem: str
    joining_key: str
    admitted_on: date
    region_code: RegionCode


@dataclass(frozen=True, slots=True)
class JoiningRefused:
    """One has refused."""

    subsystem: str
    joining_key: str
    refused_on: date
    region_code: RegionCode


@dataclass(frozen=True, slots=True)
class CertificateIssued:
    """A member was given a certificate, the first or the next."""

    subsystem: str
    serial_number: str
    ends_at: datetime
    region_code: RegionCode


@dataclass(frozen=True, slots=True)
class CertificateRevoked:
    """A certificate counts no more."""

    subsystem: str
    serial_number: str
    revoked_at: datetime
    region_code: RegionCode


MembershipFact = (
    JoiningRequested | MemberAdmitted | JoiningRefused | CertificateIssued | CertificateRevoked
)


@dataclass(kw_only=True)
class Joining(Aggregate):
    """A subsystem on its way to being a member (加入申请)."""

    subsystem: str
    city: RegionCode
    token_digest: str
    """SHA-256 of the token, which the exchange does not keep."""
    token_ends_at: datetime
    state: JoiningState = JoiningState.INVITED
    official_code: str = ""
    csr_pem: str = ""
    key_digest: str = ""
    access_request_key: str = ""
    provider: str = ""
    decisions: list[AccessDecision] = field(default_factory=list)
    certificate_pem: str = ""
    agreement_key: str = ""

    def require_token(self, now: datetime) -> None:
        """Raise `TokenUnknown` once its time is over."""
        if now >= self.token_ends_at:
            raise TokenUnknown

    def ask(
        self,
        *,
        csr_pem: str,
        key_digest: str,
        access_request_key: str,
        provider: str,
        official_code: str,
    ) -> None:
        """Ask to join; raises `TokenUsed`."""
        if self.state is not JoiningState.INVITED:
            raise TokenUsed
        self.state = JoiningState.PENDING
        self.csr_pem, self.key_digest = csr_pem, key_digest
        self.access_request_key, self.provider = access_request_key, provider
        self.official_code = official_code
        self.record(JoiningRequested(self.subsystem, self.key, provider, self.city))

    @property
    def awaits(self) -> list[DecisionRole]:
        """Roles that have yet to decide."""
        if self.state is not JoiningState.PENDING:
            return []
        decided = {decision.role for decision in self.decisions}
        return [role for role in DecisionRole if role not in decided]

    def decide(self, decision: AccessDecision) -> None:
        """Take a decision: one refusal refuses, the second approval admits.

        Raises `AlreadyDecided`, `SecondPersonNeeded`.
        """
        if decision.role not in self.awaits:
            raise AlreadyDecided
        others = {self.official_code, *(each.official_code for each in self.decisions)}
        if decision.official_code.casefold() in {other.casefold() for other in others}:
            raise SecondPersonNeeded
        self.decisions.append(decision)
        if not decision.approved:
            self.state = JoiningState.REFUSED
            self.record(JoiningRefused(self.subsystem, self.key, decision.decided_on, self.city))
        elif not self.awaits:
            self.state = JoiningState.ADMITTED
            self.record(MemberAdmitted(self.subsystem, self.key, decision.decided_on, self.city))


@dataclass(kw_only=True)
class MemberCertificate(Aggregate):
    """A member's certificate by its serial number, as it was issued or revoked."""

    subsystem: str
    city: RegionCode
    issued_at: datetime | None = None
    """None: another authority of this house made it."""
    ends_at: datetime | None = None
    renewed_by: list[str] = field(default_factory=list)
    revoked_at: datetime | None = None
    revocation_reason: str = ""
    revoked_by: str = ""

    @classmethod
    def issue(
        cls, issued: Issued, subsystem: str, city: RegionCode, now: datetime
    ) -> MemberCertificate:
        """One that the exchange has just made."""
        made = cls(
            key=issued.serial_number,
            subsystem=subsystem,
            city=city,
            issued_at=now,
            ends_at=issued.ends_at,
        )
        made.record(CertificateIssued(subsystem, made.key, issued.ends_at, city))
        return made

    def renew(self, by: str) -> None:
        """Take note of the next one; raises `RenewedWhenRevoked`: whoever has this key gets no other by it."""
        if self.revoked_at is not None:
            raise RenewedWhenRevoked
        self.renewed_by.append(by)

    def revoke(self, reason: str, by: str, now: datetime) -> None:
        """Have it count no more; revoked again, nothing changes."""
        if self.revoked_at is not None:
            return
        self.revoked_at, self.revocation_reason, self.revoked_by = now, reason, by
        self.record(CertificateRevoked(self.subsystem, self.key, now, self.city))
