"""Partner cities on the same machine: what one knows of another before either is up."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from eldex.exchange.store import secrets
from eldex.local.authority import Authority
from eldex.local.paths import put

HOME: Final = "511700"
"""The city that `make up` starts."""
NEIGHBOUR: Final = "500100"
"""The partner city beside it that `make demo` starts too."""
NEIGHBOUR_SERVICES: Final = ("registry", "exchange")
"""As much of it as answers calls and tells events."""

PARTNERS: Final = "partners"
"""In a city's folder: by city, the certificate with which its exchange calls that one's."""
_POLICY: Final = "partners.policy"
"""In a city's folder: by which keys its exchange knows the logs of others, and them as its witnesses."""

_WITNESS_SECONDS: Final = 5.0
"""How often a partner is asked to co-sign: so that whoever watches a demo need not wait."""


@dataclass(frozen=True)
class Neighbour:
    """A partner city, as another knows it."""

    city: str
    root: Path
    exchange: str
    """`host:port` of its exchange."""

    @property
    def url(self) -> str:
        """Where its exchange is called."""
        return f"https://{self.exchange}"

    def admit(self, city: str, folder: Path, trust_domain: str) -> None:
        """Give another city's exchange, into its folder, the certificate with which it calls this one's."""
        authority = Authority.open(self.root / "pki", trust_domain)
        authority.issue(f"{self.city}/member/partner-{city}/exchange", folder)

    def keys(self) -> str:
        """The keys of its log and of its witness, as lines of a policy (C2SP tlog-policy)."""
        folder = self.root / "secrets"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        log, witness = secrets.ensure(folder, self.city)
        return f"log {log.verifier}\nwitness {self.city} {witness.verifier} {self.url}\n"


def make_known(city: str, root: Path, others: Sequence[Neighbour], trust_domain: str) -> None:
    """Put into a city's folder what its partners give it; theirs is made where it is missing."""
    for each in others:
        each.admit(city, root / PARTNERS / each.city, trust_domain)
    keys = "".join(each.keys() for each in others)
    put(root / _POLICY, f"{keys}quorum none\n".encode())


def env_of(root: Path, others: Sequence[Neighbour]) -> dict[str, str]:
    """What a city's exchange is told of its partners."""
    return {
        "ELDEX_PARTNERS_FILE": str(root / _POLICY),
        "ELDEX_PARTNERS_TLS_DIR": str(root / PARTNERS),
        "ELDEX_PARTNER_CITIES": json.dumps({each.city: each.url for each in others}),
        "ELDEX_WITNESS_SECONDS": str(_WITNESS_SECONDS),
    }
