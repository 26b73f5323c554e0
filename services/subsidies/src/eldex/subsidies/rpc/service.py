"""The service as a whole: every call of the contract."""

from __future__ import annotations

from eldex.subsidies.rpc.entitlements import EntitlementCalls
from eldex.subsidies.rpc.payments import PaymentCalls
from eldex.subsidies.rpc.schemes import SchemeCalls


class SubsidiesService(SchemeCalls, EntitlementCalls, PaymentCalls):
    """Answers the calls of subsidies."""
