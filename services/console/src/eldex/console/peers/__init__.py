"""The departments, asked over mutual TLS with short deadlines; one that is down is told so."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2
from opentelemetry.trace import SpanKind

from eldex.api.operations.v1 import operations_service_pb2 as operations
from eldex.common import telemetry
from eldex.common.dates import instant
from eldex.common.errors import DomainError, Kind, Language, NotFound, Unavailable
from eldex.common.rpc.client import Peer, channel
from eldex.common.rpc.status import DETAILS_KEY, reason_of
from eldex.console import wire
from eldex.console.domain.flows import DeadLetter, Department, Health, Letters
from eldex.console.domain.spans import Span

_DEADLINE_SECONDS: Final = 1.5
_REPLAY_SECONDS: Final = 10.0
_LETTERS_SHOWN: Final = 50
_OPERATIONS: Final = "/eldex.api.operations.v1.OperationsService/"


class Refused(DomainError):
    """A department answered with an error; its reason and its words are passed on."""

    kind = Kind.CONFLICT
    reason = "REFUSED"
    zh = "{said}"
    en = "{said}"

    def __init__(self, reason: str, said: str) -> None:
        super().__init__(said=said)
        self.reason = reason  # type: ignore[misc]  # the department's own, not this class's


class PeerDepartments:
    """`Departments` by gRPC. Channels are opened when they are used and open again by themselves."""

    def __init__(self, peers: Mapping[str, str], tls_dir: Path) -> None:
        self._channels = {name: channel(target, tls_dir) for name, target in peers.items()}
        self._quick = {
            name: Peer(opened, name, _DEADLINE_SECONDS) for name, opened in self._channels.items()
        }

    async def close(self) -> None:
        """Close the channels."""
        await asyncio.gather(*(opened.close() for opened in self._channels.values()))

    async def look(self, *, include_replayed: bool = False) -> list[Department]:
        """All departments, asked side by side."""
        asked = (self._look_at(name, include_replayed) for name in self._quick)
        return list(await asyncio.gather(*asked))

    async def _look_at(self, name: str, include_replayed: bool) -> Department:
        began = time.perf_counter()
        peer = self._quick[name]
        listing = operations.ListDeadLettersRequest(
            page_size=_LETTERS_SHOWN, include_replayed=include_replayed
        )
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS + 0.5):
                health, flows, letters = await asyncio.gather(
                    peer.ask(
                        "/grpc.health.v1.Health/Check",
                        health_pb2.HealthCheckRequest(),
                        health_pb2.HealthCheckResponse,
                    ),
                    peer.ask(
                        _OPERATIONS + "GetFlows",
                        operations.GetFlowsRequest(),
                        operations.GetFlowsResponse,
                    ),
                    peer.ask(
                        _OPERATIONS + "ListDeadLetters",
                        listing,
                        operations.ListDeadLettersResponse,
                    ),
                )
        except (Unavailable, TimeoutError, grpc.aio.AioRpcError) as error:
            return Department(name, Health.DOWN, problem_of(error))
        serving = health.status == health_pb2.HealthCheckResponse.SERVING
        return Department(
            name=name,
            health=Health.SERVING if serving else Health.NOT_READY,
            answered_ms=(time.perf_counter() - began) * 1000,
            outbox_events=flows.outbox_events,
            outbox_age_seconds=flows.outbox_age_seconds,
            flows=tuple(wire.flow(each) for each in flows.flows),
            dead_letters_waiting=flows.dead_letters,
            dead_letters=tuple(wire.dead_letter(each, name) for each in letters.dead_letters),
            more_letters=letters.next_page_token,
            certificate_ends_at=instant(flows.certificate_not_after)
            if flows.HasField("certificate_not_after")
            else None,
        )

    async def letters(self, department: str, page: str, *, include_replayed: bool) -> Letters:
        """Some of the dead letters of a department, from a page on."""
        request = operations.ListDeadLettersRequest(
            page_size=_LETTERS_SHOWN, page_token=page, include_replayed=include_replayed
        )
        answer = await self._listed(self._peer(department), request)
        found = tuple(wire.dead_letter(each, department) for each in answer.dead_letters)
        return Letters(found, answer.next_page_token)

    async def dead_letter(self, department: str, key: str) -> DeadLetter | None:
        """Look for it page by page; None if the department has no such one."""
        peer = self._peer(department)
        token = ""
        while True:
            request = operations.ListDeadLettersRequest(
                page_size=500, page_token=token, include_replayed=True
            )
            answer = await self._listed(peer, request)
            for each in answer.dead_letters:
                if each.dead_letter_key == key:
                    return wire.dead_letter(each, department)
            token = answer.next_page_token
            if not token:
                return None

    async def _listed(
        self, peer: Peer, request: operations.ListDeadLettersRequest
    ) -> operations.ListDeadLettersResponse:
        try:
            return await peer.ask(
                _OPERATIONS + "ListDeadLetters", request, operations.ListDeadLettersResponse
            )
        except grpc.aio.AioRpcError as error:
            raise refused(error) from error

    async def close_letter(
        self, department: str, key: str, request_id: str, reason: str, closed_by: str
    ) -> None:
        """Have it put away unapplied."""
        request = operations.CloseDeadLetterRequest(
            request_id=request_id, dead_letter_key=key, reason=reason, closed_by=closed_by
        )
        try:
            await self._peer(department).ask(
                _OPERATIONS + "CloseDeadLetter", request, operations.CloseDeadLetterResponse
            )
        except grpc.aio.AioRpcError as error:
            raise refused(error) from error

    def peer(self, department: str) -> Peer | None:
        """The way to a department, for what only that one offers; None: it was not named."""
        return self._quick.get(department)

    async def replay(
        self, department: str, key: str, request_id: str, language: Language, cause: Span | None
    ) -> None:
        """Have it applied again, in the trace in which it was met, if that is known."""
        self._peer(department)
        patient = Peer(self._channels[department], department, _REPLAY_SECONDS)
        request = operations.ReplayDeadLetterRequest(request_id=request_id, dead_letter_key=key)
        parent = {"traceparent": f"00-{cause.trace_id}-{cause.span_id}-01"} if cause else None
        attributes = {"eldex.replay": "console"}
        with telemetry.span("replay dead letter", SpanKind.INTERNAL, parent, attributes):
            try:
                await patient.ask(
                    _OPERATIONS + "ReplayDeadLetter",
                    request,
                    operations.ReplayDeadLetterResponse,
                    {"accept-language": language},
                )
            except grpc.aio.AioRpcError as error:
                raise refused(error) from error

    def _peer(self, department: str) -> Peer:
        peer = self._quick.get(department)
        if peer is None:
            raise NotFound("Department", department)
        return peer


def problem_of(error: BaseException) -> str:
    """Why a department did not answer: its own reason, if it gave one, or the status code."""
    if isinstance(error, Unavailable) and isinstance(error.__cause__, grpc.aio.AioRpcError):
        return _reason(error.__cause__)
    if isinstance(error, grpc.aio.AioRpcError):
        return _reason(error)
    return "DEADLINE_EXCEEDED" if isinstance(error, TimeoutError) else "UNAVAILABLE"


def refused(error: grpc.aio.AioRpcError) -> Refused:
    """A refusal as its own reason and words."""
    return Refused(_reason(error), error.details() or "")


def _reason(error: grpc.aio.AioRpcError) -> str:
    trailing: Sequence[tuple[str, Any]] = tuple(error.trailing_metadata() or ())
    details = next((value for key, value in trailing if key == DETAILS_KEY), None)
    return reason_of(details) or error.code().name
