"""Partner cities on the same machine: what one knows of another before either is up."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from eldex.local.authority import Authority

HOME: Final = "511700"
"""The city that `make up` starts."""
NEIGHBOUR: Final = "500100"
"""The partner city beside it that `make demo` starts too."""
NEIGHBOUR_SERVICES: Final = ("registry", "exchange")
"""As much of it as answers calls and tells events."""


@dataclass(frozen=True)
class Neighbour:
    """A partner city, as another knows it."""

    city: str
    root: Path
    exchange: str
    """`host:port` of its exchange."""

    def admit(self, city: str, folder: Path, trust_domain: str) -> None:
        """Give another city's exchange, into its folder, the certificate with which it calls this one's."""
        authority = Authority.open(self.root / "pki", trust_domain)
        authority.issue(f"{self.city}/member/partner-{city}/exchange", folder)
