"""What the console needs of the exchange: the ports, and what goes through them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from eldex.common.errors import DomainError, Kind, Language
from eldex.console.domain.deliveries import Subscription, Undelivered
from eldex.console.domain.membership import Certificate, Joining
from eldex.console.domain.people import Act
from eldex.console.domain.proofs import LogLine, LogSearch
from eldex.console.domain.sharing import (
    AccessRequest,
    Agreement,
    AgreementChange,
    AgreementVersion,
    Explanation,
    Page,
    Resource,
    SharingClass,
)
from eldex.evidence.policy import Policy


class ExchangeSilent(DomainError):
    """The exchange does not answer now; everything else of the console goes on."""

    kind, reason = Kind.UNAVAILABLE, "EXCHANGE_SILENT"
    zh = "交换平台暂时没有应答（{code}）。其他页面不受影响，请稍后重试"
    en = "the exchange does not answer now ({code}). The other pages go on; try again in a moment"

    def __init__(self, code: str) -> None:
        super().__init__(code=code)
        self.code = code


class Bundle(NamedTuple):
    """A record with its proof, and what the exchange says of its keys."""

    data: bytes
    """C2SP tlog-proof."""
    origin: str
    policy: str
    """C2SP tlog-policy."""


@dataclass(frozen=True, slots=True)
class DeliveryChange:
    """What an operator does about a subscription."""

    act: Act
    subsystem: str
    name: str
    request_id: str
    after_cursor: int | None = None
    from_time: datetime | None = None
    letter_key: str = ""

    @property
    def target(self) -> str:
        """What it is about, for the record."""
        if self.act is Act.REDELIVER:
            return self.letter_key
        start = self.from_time.isoformat() if self.from_time else self.after_cursor
        return f"{self.subsystem}/{self.name}" + (f" from {start}" if start is not None else "")


@dataclass(frozen=True, slots=True)
class Decision:
    """What an operator decides: a change of an agreement, a joining, that a certificate counts no more."""

    act: Act
    key: str
    """The agreement, the joining, or the certificate's serial number."""
    request_id: str
    reason: str
    """Empty only where an approval of a change needs none."""
    etag: str = ""
    """Of what was looked at, so that nothing else is decided."""
    with_renewed: bool = False
    """Whether the certificates that were got with a revoked one end as well."""


class Exchange(Protocol):
    """The exchange, asked now; raises `ExchangeSilent`, or the refusal with its own reason."""

    async def agreements(self, subsystem: str, page: str) -> Page[Agreement]:
        """Some of the agreements, in the order of their keys."""

    async def all_agreements(self) -> list[Agreement]:
        """All of them."""

    async def versions(self, key: str) -> list[AgreementVersion]:
        """Every version of an agreement, newest first; none: it is not in force yet, or never was."""

    async def agreement_changes(self, page: str) -> Page[AgreementChange]:
        """Some of the changes that wait for a second operator, in the order of the agreements' keys."""

    async def agreement_change(self, key: str) -> AgreementChange | None:
        """The newest change that was asked for of an agreement; None: there was none."""

    async def decide_change(self, decision: Decision, by: str, language: Language) -> None:
        """Approve or refuse a change; raises a `DomainError` with the reason why not."""

    async def explain(self, index: int) -> Explanation:
        """Why the call of a record was decided as it was."""

    async def resources(
        self, provider: str, sharing_class: SharingClass | None, page: str
    ) -> Page[Resource]:
        """Some of the resources, in the order of their codes."""

    async def providers(self) -> list[str]:
        """The provider of each resource."""

    async def resource(self, code: str) -> Resource:
        """One resource, with its items."""

    async def access_requests(
        self, page: str, *, state: str = "", resource: str = "", agreement: str = ""
    ) -> Page[AccessRequest]:
        """Some of the requests for access, oldest first."""

    async def records(self, search: LogSearch, page: str) -> Page[LogLine]:
        """Some of the records that fit, newest first."""

    async def bundle(self, index: int) -> Bundle:
        """A record with its proof, under a co-signed head if there is one."""

    async def subscriptions(self, page: str) -> Page[Subscription]:
        """Some of the subscriptions with their lag, in the order of their keys."""

    async def subscribers(self) -> list[str]:
        """The subsystem of each subscription."""

    async def subscription(self, subsystem: str, name: str) -> Subscription:
        """One subscription with its lag."""

    async def undelivered(
        self, subsystem: str, name: str, page: str, *, everything: bool
    ) -> Page[Undelivered]:
        """Some of the dead letters of a subscription."""

    async def change(self, change: DeliveryChange, language: Language) -> None:
        """Do what an operator asks; raises a `DomainError` with the reason why not."""


class Members(Protocol):
    """Who joins and with which certificates; raises as `Exchange`."""

    async def joinings(self, state: str, page: str) -> Page[Joining]:
        """Some of the joinings in a state, oldest first."""

    async def joining(self, key: str) -> Joining | None:
        """A joining that waits for decisions; None: there is none of this key."""

    async def decide(self, decision: Decision, by: str, language: Language) -> None:
        """Admit or refuse for the operator; raises a `DomainError` with the reason why not."""

    async def certificates(self, subsystem: str, page: str, *, revoked: bool) -> Page[Certificate]:
        """Some of the certificates, or of the revoked ones, by serial number."""

    async def all_certificates(self, subsystem: str) -> list[Certificate]:
        """All of them."""

    async def revoke(self, decision: Decision, language: Language) -> None:
        """Have a certificate count no more; raises a `DomainError` with the reason why not."""


class Trust(NamedTuple):
    """The keys that proofs are checked against, and since when they are known here."""

    policy: Policy
    since: datetime | None
    """When the log's key was first seen; None: an operator has set the keys."""


class LogKeys(Protocol):
    """The keys of the exchange's log that are trusted here, whatever the exchange says later."""

    async def trusted(self, origin: str, told: str) -> Trust:
        """The keys for a log; what is `told` (C2SP tlog-policy) counts when nothing is known yet."""
