"""Who may call a process at all, before anything is read or decided."""

from __future__ import annotations

from collections.abc import Callable

from eldex.common.rpc.call import Identity

Policy = Callable[[Identity, str], bool]
"""Whether an identity may call a method at all."""


def services_only(identity: Identity, method: str) -> bool:  # noqa: ARG001 - a Policy
    """The rule of every department: the exchange and the services of this house, nobody else."""
    return identity.service is not None


def at_home(city: str, policy: Policy) -> Policy:
    """A policy for which a service of another city is a stranger, even in the same trust domain."""

    def may(identity: Identity, method: str) -> bool:
        is_foreign = identity.service is not None and not identity.path.startswith(f"{city}/")
        return not is_foreign and policy(identity, method)

    return may
