"""One call as a handler sees it: who asks, in which language, until when."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime

from eldex.common.errors import Language

MEMBER, PURPOSE, AGREEMENT = "eldex-member", "eldex-purpose", "eldex-agreement"
"""Metadata keys. A service believes them only from the exchange, which sets them itself."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who stands behind a certificate: the path of its SPIFFE URI."""

    trust_domain: str
    path: str
    """`<city>/service/<name>` or `<city>/member/<member>/<subsystem>`."""
    serial_number: str = field(default="", compare=False)
    """Of the certificate, hexadecimal; empty for who came without one, or on a trunk."""

    @classmethod
    def of_uri(cls, uri: str, serial_number: str = "") -> Identity | None:
        """Read `spiffe://<trust domain>/<path>`; None if it is not one."""
        scheme, _, rest = uri.partition("://")
        domain, _, path = rest.partition("/")
        is_one = scheme == "spiffe" and domain and path
        return cls(domain, path, serial_number) if is_one else None

    @property
    def service(self) -> str | None:
        """The service's name, if it is one of this house."""
        parts = self.path.split("/")
        return parts[2] if len(parts) == 3 and parts[1] == "service" else None

    def __str__(self) -> str:
        return self.path


@dataclass(frozen=True, slots=True)
class Call:
    """A call being answered."""

    method: str
    """Full name, e.g. `/eldex.api.registry.v1.RegistryService/GetResident`."""
    caller: Identity
    """Whose certificate it came with."""
    at: datetime
    """When it arrived."""
    language: Language = "en"
    metadata: Mapping[str, str] = field(default_factory=dict)
    reply_metadata: dict[str, str] = field(default_factory=dict)
    """Trailing metadata to send with the answer."""

    @property
    def behalf(self) -> str:
        """For whom the call is made: the member that the exchange names, or the caller itself."""
        if self.caller.service == "exchange":
            return self.metadata.get(MEMBER, str(self.caller))
        return str(self.caller)


def language_of(accept_language: str) -> Language:
    """Chinese if the caller's first choice is a Chinese one, else English (RFC 9110 §12.5.4)."""
    best, best_weight = "en", -1.0
    for choice in accept_language.split(","):
        tag, _, parameter = choice.strip().partition(";")
        try:
            weight = float(parameter.strip().removeprefix("q=")) if parameter else 1.0
        except ValueError:
            weight = 0.0
        primary = tag.strip().lower().split("-")[0]
        if primary in {"zh", "en"} and weight > best_weight:
            best, best_weight = primary, weight
    return "zh" if best == "zh" else "en"


current_call: ContextVar[Call] = ContextVar("current_call")
"""The call being answered in this task; peers use its deadline and language."""
