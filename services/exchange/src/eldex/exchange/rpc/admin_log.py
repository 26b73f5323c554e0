"""Calls to the exchange itself are evidence too: what changes something, and what looks into a ledger."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import Message

from eldex.common import telemetry
from eldex.common.errors import DomainError
from eldex.common.logs import logger
from eldex.common.rpc.call import PURPOSE, Call
from eldex.common.rpc.status import failure
from eldex.exchange.domain.message_log import ADMIN, CALL, LogEntry
from eldex.exchange.handlers import MessageLog
from eldex.exchange.rpc.roles import Roles, is_operator, subsystem_of
from eldex.exchange.rpc.subjects import Subjects

RECEIPT: Final = "eldex-receipt"
_LOOKS: Final = frozenset({"ListSubjectLedger"})
"""Reads that are themselves told."""
_OF_THE_LOG: Final = frozenset({"AddCheckpoint", "AddCosignature"})
"""Told, two exchanges that witness each other would write for ever about having written."""

_SNAKE: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

Handler = Callable[[Any, Call], Awaitable[Message]]


class Logged:
    """A service of the exchange whose writes leave a record before their reply leaves.

    Stands in for the service towards the dispatcher, which finds its methods by name.
    """

    def __init__(
        self, descriptor: ServiceDescriptor, service: object, log: MessageLog, roles: Roles
    ) -> None:
        self._service, self._log, self._roles = service, log, roles
        self._subjects = Subjects()
        for method in descriptor.methods:
            if _is_told(method):
                name = _SNAKE.sub("_", method.name).lower()
                setattr(self, name, self._told(getattr(service, name)))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._service, name)

    def _told(self, handler: Handler) -> Handler:
        async def tell(request: Message, call: Call) -> Message:
            self._log.require()
            try:
                response = await handler(request, call)
            except DomainError as error:
                failed = failure(error, call.language)
                await self._append(request, call, None, failed.code.name, failed.reason)
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
            kind=ADMIN if is_operator(call) else CALL,
        )


def _is_told(method: MethodDescriptor) -> bool:
    is_write = "request_id" in method.input_type.fields_by_name
    return (is_write and method.name not in _OF_THE_LOG) or method.name in _LOOKS
