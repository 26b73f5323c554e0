"""Deliveries in the message log: an event that a subscriber's endpoint took."""

from __future__ import annotations

from eldex.exchange.domain.message_log import DELIVERY, LogEntry
from eldex.exchange.handlers import MessageLog
from eldex.exchange.handlers.delivery import Delivered


class LoggedDeliveries:
    """`DeliveryEvidence` on the message log.

    The log keeps digests of the body that was sent and of what the endpoint answered with its 2xx. The
    acknowledgements of streams are in the log already, as the calls that they are.
    """

    def __init__(self, log: MessageLog) -> None:
        self._log = log

    def require(self) -> None:
        """Raise `NoEvidence` while nothing can be written: before anything is sent."""
        self._log.require()

    async def delivered(self, fact: Delivered) -> None:
        """Write it down; returns when it is durable. Raises `NoEvidence`."""
        agreement, event = fact.agreement, fact.event
        await self._log.append(
            LogEntry(
                subsystem=fact.subsystem,
                method=event.type,
                purpose="",
                agreement_key=agreement.key if agreement else "",
                agreement_version=agreement.version if agreement else 0,
                legal_basis=agreement.legal_basis if agreement else "",
                request=fact.sent,
                reply=fact.said,
                code="OK",
                reason=fact.reason,
                trace_id=_trace_id(event.traceparent),
                subjects=(event.subject,),
                kind=DELIVERY,
            )
        )


def _trace_id(traceparent: str) -> str:
    parts = traceparent.split("-")
    return parts[1] if len(parts) == 4 else ""
