"""The rpc that every service offers to operations: flows, dead letters, replay, the certificate's end."""

from __future__ import annotations

from typing import Any

from eldex.api.operations.v1 import operations_service_pb2 as pb
from eldex.common import masks, paging
from eldex.common.dates import proto_instant
from eldex.common.inbox import Inbox
from eldex.common.kafka import Consumer
from eldex.common.privacy import masked
from eldex.common.rpc.call import Call
from eldex.common.rpc.tls import CertificateFiles
from eldex.common.store import DEAD_LETTERS, Backend, Document


class OperationsService:
    """`eldex.api.operations.v1.OperationsService` of one service."""

    def __init__(
        self,
        service: str,
        backend: Backend,
        consumer: Consumer | None,
        inbox: Inbox[Any] | None,
        certificate: CertificateFiles | None = None,
    ) -> None:
        self._service, self._backend = service, backend
        self._consumer, self._inbox, self._certificate = consumer, inbox, certificate

    async def get_flows(self, request: pb.GetFlowsRequest, call: Call) -> pb.GetFlowsResponse:
        """How far each subscription has come, and what waits in the outbox."""
        waiting = await self._backend.backlog()
        age = (call.at - waiting.oldest_at).total_seconds() if waiting.oldest_at else 0.0
        flows = self._consumer.flows() if self._consumer else []
        response = pb.GetFlowsResponse(
            service=self._service,
            outbox_events=waiting.events,
            outbox_age_seconds=max(0.0, age),
            dead_letters=await self._backend.count(DEAD_LETTERS, {"state": "waiting"}),
            flows=[
                pb.Flow(
                    topic=flow.topic,
                    partition=flow.partition,
                    lag_events=flow.lag_events,
                    lag_seconds=flow.lag_seconds,
                    held_because=flow.held_because,
                )
                for flow in flows
            ],
        )
        if self._certificate is not None:
            self._certificate.changed()
            response.certificate_not_after.FromDatetime(self._certificate.ends_at)
        masks.keep(response, request.read_mask)
        return response

    async def list_dead_letters(
        self, request: pb.ListDeadLettersRequest, call: Call
    ) -> pb.ListDeadLettersResponse:
        """Events that could not be applied, in the order of their place in the topic."""
        where: Document = {} if request.include_replayed else {"state": "waiting"}
        start = paging.after(request, request.page_token)
        if start is not None:
            where["_id"] = {"$gt": start}
        size = paging.size(request.page_size)
        found = await self._backend.query(DEAD_LETTERS, where, [("_id", 1)], size + 1)
        next_key = found[size - 1]["_id"] if len(found) > size else None
        response = pb.ListDeadLettersResponse(
            dead_letters=[_letter(each) for each in found[:size]],
            next_page_token=paging.token(request, next_key),
        )
        for letter in response.dead_letters:
            masks.keep(letter, request.read_mask)
        return response

    async def replay_dead_letter(
        self, request: pb.ReplayDeadLetterRequest, call: Call
    ) -> pb.ReplayDeadLetterResponse:
        """Apply a dead letter again. The event's id is the mark, so that a repeat changes nothing."""
        assert self._inbox is not None
        letter = await self._inbox.replay(request.dead_letter_key)
        return pb.ReplayDeadLetterResponse(dead_letter=_letter(letter))

    async def close_dead_letter(
        self, request: pb.CloseDeadLetterRequest, call: Call
    ) -> pb.CloseDeadLetterResponse:
        """Put a dead letter away unapplied. Its state is the mark, so that a repeat changes nothing."""
        assert self._inbox is not None
        letter = await self._inbox.close(
            request.dead_letter_key, masked(request.reason), request.closed_by
        )
        return pb.CloseDeadLetterResponse(dead_letter=_letter(letter))


def _letter(document: Document) -> pb.DeadLetter:
    headers = document["headers"]
    return pb.DeadLetter(
        dead_letter_key=document["_id"],
        topic=document["topic"],
        partition=document["partition"],
        offset=document["offset"],
        event_id=headers.get("ce_id", ""),
        event_type=headers.get("ce_type", ""),
        subject=document["key"],
        reason=document["reason"],
        detail=document["detail"],
        set_aside_at=proto_instant(document["set_aside_at"]),
        replayed_at=proto_instant(document["replayed_at"]),
        trace_id=document["trace_id"],
        detail_zh=document.get("detail_zh", ""),
        closed_at=proto_instant(document.get("closed_at")),
        closing_reason=document.get("closing_reason", ""),
        closed_by=document.get("closed_by", ""),
    )
