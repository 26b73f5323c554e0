"""Deliveries in the message log: what a subscriber's endpoint took, and what a stream was given."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from eldex.exchange.domain.message_log import DELIVERY, LogEntry
from eldex.exchange.domain.subscriptions import FeedEvent
from eldex.exchange.handlers import MessageLog
from eldex.exchange.handlers.delivery import Delivered, Streamed

SUBSCRIBE = "/eldex.api.exchange.v1.ExchangeService/Subscribe"


class LoggedDeliveries:
    """`DeliveryEvidence` on the message log.

    Of a webhook the log keeps digests of the body that was sent and of what the endpoint answered with
    its 2xx, a record an event and agreement. Of a stream it has a record a message and agreement; that the subscriber
    took it is told by its acknowledgements, which are in the log as the calls that they are. Whoever
    is named in what was shown finds it in the ledger.
    """

    def __init__(
        self, log: MessageLog, named_in: Callable[[str, bytes], Iterable[str]] = lambda *_: ()
    ) -> None:
        """`named_in` finds the keys of whom an event's message (type, payload) names."""
        self._log, self._named_in = log, named_in

    def require(self) -> None:
        """Raise `NoEvidence` while nothing can be written: before anything is sent."""
        self._log.require()

    async def delivered(self, fact: Delivered) -> None:
        """Write it down; returns when it is durable. Raises `NoEvidence`."""
        event = fact.event
        # The records of one delivery share a flush.
        await asyncio.gather(
            *(
                self._log.append(
                    LogEntry(
                        subsystem=fact.subsystem,
                        method=event.type,
                        purpose="",
                        agreement_key=agreement.key,
                        agreement_version=agreement.version,
                        legal_basis=agreement.legal_basis,
                        request=fact.sent,
                        reply=fact.said,
                        code="OK",
                        reason=fact.reason,
                        trace_id=_trace_id(event.traceparent),
                        subjects=self._subjects([event]),
                        kind=DELIVERY,
                    )
                )
                for agreement in fact.agreements
            )
        )

    async def streamed(self, fact: Streamed) -> None:
        """Write it down before it leaves; returns when it is durable. Raises `NoEvidence`."""
        agreement = fact.agreement
        await self._log.append(
            LogEntry(
                subsystem=fact.subsystem,
                method=SUBSCRIBE,
                purpose="",
                agreement_key=agreement.key,
                agreement_version=agreement.version,
                legal_basis=agreement.legal_basis,
                request=b"",
                reply=fact.sent,
                code="OK",
                reason="",
                trace_id=_trace_id(fact.events[0].traceparent),
                subjects=self._subjects(fact.events),
                kind=DELIVERY,
            )
        )

    def _subjects(self, events: Sequence[FeedEvent]) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for event in events:
            found[event.subject] = None
            found.update(dict.fromkeys(self._named_in(event.type, event.payload)))
        return tuple(found)


def _trace_id(traceparent: str) -> str:
    parts = traceparent.split("-")
    return parts[1] if len(parts) == 4 else ""
