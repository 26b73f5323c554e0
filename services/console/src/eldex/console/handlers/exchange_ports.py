"""What the console needs of the exchange: the ports, and what goes through them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Protocol

from eldex.common.errors import DomainError, Kind, Language
from eldex.console.domain.deliveries import Subscription, Undelivered
from eldex.console.domain.people import Act
from eldex.console.domain.proofs import LogLine, LogSearch
from eldex.console.domain.sharing import (
    AccessRequest,
    Agreement,
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


class Exchange(Protocol):
    """The exchange, asked now; raises `ExchangeSilent`, or the refusal with its own reason."""

    async def agreements(self, subsystem: str, page: str) -> Page[Agreement]:
        """Some of the agreements, in the order of their keys."""

    async def all_agreements(self) -> list[Agreement]:
        """All of them."""

    async def versions(self, key: str) -> list[AgreementVersion]:
        """Every version of an agreement, newest first."""

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


class Trust(NamedTuple):
    """The keys that proofs are checked against, and since when they are known here."""

    policy: Policy
    since: datetime | None
    """When the log's key was first seen; None: an operator has set the keys."""


class LogKeys(Protocol):
    """The keys of the exchange's log that are trusted here, whatever the exchange says later."""

    async def trusted(self, origin: str, told: str) -> Trust:
        """The keys for a log; what is `told` (C2SP tlog-policy) counts when nothing is known yet."""
