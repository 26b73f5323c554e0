"""Calls to the exchange itself are evidence too: what changes something, what looks at a person, what is refused."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message

from eldex.common import telemetry
from eldex.common.errors import DomainError, Kind
from eldex.common.logs import logger
from eldex.common.rpc.call import PURPOSE, Call
from eldex.common.rpc.status import failure
from eldex.exchange.domain.agreements import PurposeMalformed, PurposeMissing
from eldex.exchange.domain.message_log import ADMIN, CALL, CheckpointForked, LogEntry
from eldex.exchange.handlers import MessageLog
from eldex.exchange.rpc.roles import Roles, is_operator, subsystem_of
from eldex.exchange.rpc.subjects import Subjects

RECEIPT: Final = "eldex-receipt"
_LOOKS: Final = frozenset(
    {"ListSubjectLedger", "ListConsents", "ListBreakGlass", "ExplainDecision"}
)
"""Reads that show what concerns a person, and are themselves told."""
_OF_THE_LOG: Final = frozenset({"AddCheckpoint", "AddCosignature"})
"""Told, two exchanges that witness each other would write for ever about having written."""

_SNAKE: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

Handler = Callable[[Any, Call], Awaitable[Message]]
Streaming = Callable[[Any, Call], AsyncIterator[Message]]


class Logged:
    """A service of the exchange whose calls leave a record before their reply leaves.

    Of every method what was denied; of those that write or look at a person every call, whatever
    became of it. Stands in for the service towards the dispatcher, which finds its methods by name.
    """

    def __init__(
        self, descriptor: ServiceDescriptor, service: object, log: MessageLog, roles: Roles
    ) -> None:
        self._service, self._log, self._roles = service, log, roles
        self._subjects = Subjects()
        self._told = {
            f"/{descriptor.full_name}/{each.name}" for each in descriptor.methods if _is_told(each)
        }
        for method in descriptor.methods:
            name = _SNAKE.sub("_", method.name).lower()
            handler = getattr(service, name)
            wrapped = self._streaming(handler) if method.server_streaming else self._unary(handler)
            setattr(self, name, wrapped)

    async def on_refused(self, payload: bytes, call: Call, error: DomainError) -> None:
        """Tell of a call that the dispatcher does not let in; raises `NoEvidence`."""
        if call.method not in self._told and not _denies(error):
            return
        failed = failure(error, call.language)
        # No right was looked for: a service that is refused is another city's, and no operator.
        entry = LogEntry(
            subsystem=str(call.caller) if is_operator(call) else subsystem_of(call),
            method=call.method,
            purpose=call.metadata.get(PURPOSE, "")[:64],
            agreement_key="",
            agreement_version=0,
            legal_basis="",
            request=payload,
            reply=None,
            code=failed.code.name,
            reason=failed.reason,
            trace_id=telemetry.trace_id(),
            subjects=self._subjects.of_call(call.method, payload, b""),
        )
        call.reply_metadata[RECEIPT] = str(await self._log.append(entry))

    def _unary(self, handler: Handler) -> Handler:
        async def tell(request: Message, call: Call) -> Message:
            if call.method not in self._told:
                return await self._told_if_denied(handler, request, call)
            self._log.require()
            try:
                response = await handler(request, call)
            except DomainError as error:
                await self._refusal(request, call, error)
                raise
            except asyncio.CancelledError:
                self._log.tell(self._entry(request, call, None, "CANCELLED", "CALLER_GONE"))
                raise
            except Exception as error:
                logger().error("own_call_broke", method=call.method, problem=type(error).__name__)
                await self._append(request, call, None, grpc.StatusCode.INTERNAL.name, "INTERNAL")
                raise
            await self._append(request, call, response, "OK", "")
            return response

        return tell

    async def _told_if_denied(self, handler: Handler, request: Message, call: Call) -> Message:
        try:
            return await handler(request, call)
        except DomainError as error:
            if _denies(error):
                await self._refusal(request, call, error)
            raise

    def _streaming(self, handler: Streaming) -> Streaming:
        async def tell(request: Message, call: Call) -> AsyncIterator[Message]:
            try:
                async for message in handler(request, call):
                    yield message
            except DomainError as error:
                if _denies(error):
                    await self._refusal(request, call, error)
                raise

        return tell

    async def _refusal(self, request: Message, call: Call, error: DomainError) -> None:
        failed = failure(error, call.language)
        await self._append(request, call, None, failed.code.name, failed.reason)

    async def _append(
        self, request: Message, call: Call, response: Message | None, code: str, reason: str
    ) -> None:
        receipt = await self._log.append(self._entry(request, call, response, code, reason))
        call.reply_metadata[RECEIPT] = str(receipt)

    def _entry(
        self, request: Message, call: Call, response: Message | None, code: str, reason: str
    ) -> LogEntry:
        right = self._roles.own_or_right(call)
        agreement = right.agreement
        subjects = self._subjects.of_message(request)
        if response is not None:
            subjects = tuple(dict.fromkeys((*subjects, *self._subjects.of_message(response))))
        return LogEntry(
            subsystem=subsystem_of(call),
            method=call.method,
            purpose=call.metadata.get(PURPOSE, "")[:64],
            agreement_key=agreement.key if agreement else "",
            agreement_version=agreement.version if agreement else 0,
            legal_basis=right.legal_basis,
            request=request.SerializeToString(),
            reply=None if response is None else response.SerializeToString(),
            code=code,
            reason=reason,
            trace_id=telemetry.trace_id(),
            subjects=subjects,
            kind=ADMIN if is_operator(call) or self._roles.has_seat(call) else CALL,
        )


def _is_told(method: MethodDescriptor) -> bool:
    is_write = "request_id" in method.input_type.fields_by_name
    return (is_write and method.name not in _OF_THE_LOG) or method.name in _LOOKS


def _denies(error: DomainError) -> bool:
    """Whether somebody was refused for want of a right or a reason, or for a second history."""
    return error.kind is Kind.DENIED or isinstance(
        error, PurposeMissing | PurposeMalformed | CheckpointForked
    )
