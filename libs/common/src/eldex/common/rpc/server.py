"""Answering calls: one way for every method, whichever road the call came by.

A call arrives as bytes, by unary gRPC or inside a trunk frame. `Dispatcher.answer` identifies the
caller, asks whether it may call at all, parses, checks the contract's field rules, runs the handler
within the deadline, and turns what it raises into a status in the caller's language, with one span,
one log line and one count. Handlers are methods of the service's `rpc.py`, named as the rpc in
snake_case: `async def register_death(self, request, call) -> Response`.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import grpc
import protovalidate
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from opentelemetry.trace import SpanKind
from prometheus_client import Counter, Histogram

from eldex.common import metrics, telemetry
from eldex.common.clock import Clock
from eldex.common.errors import Denied, DomainError, InvalidRequest, Kind, Overloaded, Violation
from eldex.common.logs import logger
from eldex.common.rpc.call import Call, Identity, current_call, language_of
from eldex.common.rpc.deadlines import Deadlines
from eldex.common.rpc.free_text import refuse_identity_numbers
from eldex.common.rpc.policy import Policy, services_only
from eldex.common.rpc.revocation import CertificateRevoked, Revocations, identity_of
from eldex.common.rpc.status import DETAILS_KEY, Failure, failure, plain, violation
from eldex.common.rpc.streams import ServerLeaves, until

MAX_MESSAGE_BYTES: Final = 4 * 1024 * 1024
"""The largest request and the largest reply."""
MAX_FRAME_BYTES: Final = MAX_MESSAGE_BYTES + 64 * 1024
"""What a connection takes: on the trunk a message has an envelope."""
_MOST_WAITING: Final = 20_000
"""Calls that wait until the process takes them up."""
_SNAKE = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


@dataclass(frozen=True, slots=True)
class Method:
    """One rpc and what answers it."""

    path: str
    request: type[Message]
    response: type[Message]
    handler: Callable[[Any, Call], Any]
    client_streaming: bool
    server_streaming: bool
    on_refused: Callable[[bytes, Call, DomainError], Awaitable[None]] | None = None
    """Told of a call that is not let in, before the refusal leaves; what it raises goes back instead."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back: a message or a failure, and trailing metadata."""

    response: bytes = b""
    failure: Failure | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    def trailing(self) -> tuple[tuple[str, str | bytes], ...]:
        """The trailing metadata as gRPC wants it."""
        entries: list[tuple[str, str | bytes]] = list(self.metadata.items())
        if self.failure:
            entries.append((DETAILS_KEY, self.failure.details))
        return tuple(entries)


class MissingHandler(Exception):
    """A method of the contract has nobody to answer it: a defect, found at the start."""


class Dispatcher:
    """The methods of a process, and the way every call to them is answered."""

    def __init__(
        self,
        services: Iterable[tuple[ServiceDescriptor, object]],
        clock: Clock,
        policy: Policy = services_only,
        max_in_flight: int = 2_000,
        revocations: Revocations | None = None,
    ) -> None:
        self.methods: dict[str, Method] = {}
        self._clock, self._policy, self._max_in_flight = clock, policy, max_in_flight
        self._validator, self._revocations = protovalidate.Validator(), revocations
        self._in_flight = 0
        self.leaving = asyncio.Event()
        """Set when the process is about to stop: streams end, so that what was taken can be answered."""
        self._deadlines = Deadlines()
        metrics.calls_in_flight.set_function(lambda: self._in_flight)
        self._counters: dict[tuple[str, str], tuple[Counter, Histogram]] = {}
        for descriptor, implementation in services:
            for method in descriptor.methods:
                self._add(descriptor, method, implementation)

    def _add(
        self, service: ServiceDescriptor, method: MethodDescriptor, implementation: object
    ) -> None:
        name = _SNAKE.sub("_", method.name).lower()
        handler = getattr(implementation, name, None)
        if handler is None:
            raise MissingHandler(f"{type(implementation).__name__} has no method {name}")
        path = f"/{service.full_name}/{method.name}"
        self.methods[path] = Method(
            path,
            message_factory.GetMessageClass(method.input_type),
            message_factory.GetMessageClass(method.output_type),
            handler,
            method.client_streaming,
            method.server_streaming,
            getattr(implementation, "on_refused", None),
        )

    async def answer(
        self,
        path: str,
        payload: bytes,
        identity: Identity,
        metadata: Mapping[str, str],
        timeout_seconds: float | None,
    ) -> Answer:
        """Answer one unary call; never raises but for cancellation."""
        began = time.perf_counter()
        call = self._call(path, identity, metadata)
        with telemetry.span(
            path[1:],
            SpanKind.SERVER,
            metadata,
            {"rpc.system": "grpc", "eldex.caller": str(identity)},
        ) as span:
            try:
                answer = await self._run(path, payload, call, timeout_seconds)
            except Exception as error:  # noqa: BLE001 - the boundary: every error becomes a status
                answer = Answer(failure=self._failure(error, call), metadata=call.reply_metadata)
            code = answer.failure.code.name if answer.failure else "OK"
            span.set_attribute("rpc.grpc.status_code", code)
            if answer.failure:
                telemetry.failed(span, answer.failure.reason)
            seconds = time.perf_counter() - began
            self._tell(path, call, code, answer.failure, seconds)
        return answer

    def _call(self, path: str, identity: Identity, metadata: Mapping[str, str]) -> Call:
        language = language_of(metadata.get("accept-language", ""))
        return Call(path, identity, self._clock(), language, metadata)

    async def _run(
        self, path: str, payload: bytes, call: Call, timeout_seconds: float | None
    ) -> Answer:
        method = self.methods.get(path)
        if method is None or method.server_streaming or method.client_streaming:
            raise UnknownMethod(path)
        request = await self._admitted(method, payload, call)
        if self._in_flight >= self._max_in_flight:
            raise Overloaded(retry_after_seconds=0.5)
        self._in_flight += 1
        token = current_call.set(call)
        try:
            handling = cast("Awaitable[Message]", method.handler(request, call))
            response = await self._deadlines.within(timeout_seconds, handling)
        finally:
            current_call.reset(token)
            self._in_flight -= 1
        if len(payload := response.SerializeToString()) > MAX_MESSAGE_BYTES:
            raise ReplyTooLarge
        return Answer(payload, metadata=call.reply_metadata)

    async def _admitted(self, method: Method, payload: bytes, call: Call) -> Message:
        try:
            return self.admit(method, payload, call)
        except DomainError as error:
            if method.on_refused is not None:
                await method.on_refused(payload, call, error)
            raise

    def admit(self, method: Method, payload: bytes, call: Call) -> Message:
        """Let the caller in, read the request, check the contract's rules and what is written freely."""
        # At every call, so that a revoked certificate opens no more on a connection that stands, either.
        if self._revocations is not None:
            self._revocations.require(call.caller.serial_number)
        if not self._policy(call.caller, method.path):
            raise Denied(
                missing=f"{call.caller} may not call this directly: call through the exchange",
                missing_zh=f"{call.caller} 不能直接调用本服务，请通过交换总线调用",
            )
        request = _read(method, payload)
        if found := self._validator.collect_violations(request):
            raise InvalidRequest(*(violation(each) for each in found))
        refuse_identity_numbers(request, payload)
        return request

    def _failure(self, error: Exception, call: Call) -> Failure:
        code = grpc.StatusCode
        if isinstance(error, DomainError):
            return failure(error, call.language)
        if isinstance(error, TimeoutError):
            zh, en = "未能在截止时间前完成", "not done within the deadline"
            return plain(code.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED", zh, en, call.language)
        if isinstance(error, UnknownMethod):
            zh, en = "没有这个方法", "there is no such method"
            return plain(code.UNIMPLEMENTED, "METHOD_UNKNOWN", zh, en, call.language)
        logger().error("call_broke", method=call.method, exc_info=error)
        zh, en = "系统内部错误，已记录", "an error of ours; it has been recorded"
        return plain(code.INTERNAL, "INTERNAL", zh, en, call.language)

    def _tell(
        self, path: str, call: Call, code: str, failed: Failure | None, seconds: float
    ) -> None:
        known = path if path in self.methods else "unknown"
        counters = self._counters.get((known, code))
        if counters is None:
            counters = (metrics.calls.labels(known, code), metrics.call_seconds.labels(known))
            self._counters[known, code] = counters
        counters[0].inc()
        counters[1].observe(seconds)
        logger().info(
            "call_answered",
            method=known,
            caller=call.behalf,
            code=code,
            reason=failed.reason if failed else "",
            milliseconds=round(seconds * 1000, 2),
        )

    async def stream(
        self,
        method: Method,
        requests: Any,
        identity: Identity,
        metadata: Mapping[str, str],
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> AsyncIterator[bytes]:
        """Answer a streaming call: yields messages, ends with a status."""
        call = self._call(method.path, identity, metadata)
        began, code, failed = time.perf_counter(), "OK", None
        token = current_call.set(call)
        try:
            if method.client_streaming:
                await self._admitted(method, b"", call)
                argument: Any = (_read(method, part) async for part in requests)
            else:
                argument = await self._admitted(method, requests, call)
            told = method.handler(argument, call)
            if self._revocations is not None:
                told = self._revocations.while_good(call.caller.serial_number, told)
            if not method.client_streaming:  # else its client ends it
                told = until(self.leaving, told)
            try:
                async for message in told:
                    yield message.SerializeToString()
            except CertificateRevoked as error:
                if method.on_refused is not None:
                    await method.on_refused(requests, call, error)
                raise
            if self.leaving.is_set() and not method.client_streaming:
                raise ServerLeaves
        except asyncio.CancelledError:
            code = "CANCELLED"
            raise
        except Exception as error:  # noqa: BLE001 - the boundary: every error becomes a status
            failed = self._failure(error, call)
            code = failed.code.name
            answer = Answer(failure=failed, metadata=call.reply_metadata)
            context.set_trailing_metadata(answer.trailing())
            context.set_code(failed.code)
            context.set_details(failed.message)
        finally:
            current_call.reset(token)
            self._tell(method.path, call, code, failed, time.perf_counter() - began)


def _read(method: Method, payload: bytes) -> Message:
    try:
        return method.request.FromString(payload)
    except DecodeError as error:
        zh, en = "不是该方法的请求消息", "is not a message of this method"
        raise InvalidRequest(Violation("request", zh, en, "MALFORMED")) from error


class ReplyTooLarge(DomainError):
    """The answer does not fit into a message."""

    kind, reason = Kind.INVALID, "REPLY_TOO_LARGE"
    zh = "结果过大，请减小 page_size 或缩小查询范围"
    en = "the answer is too large for a message: ask for a smaller page or a narrower mask"


class UnknownMethod(Exception):
    """Nobody here answers this method."""


# --- the gRPC door --------------------------------------------------------------------------------


class GrpcDoor(grpc.GenericRpcHandler):
    """Hands every gRPC call to the dispatcher, as bytes."""

    def __init__(
        self, dispatcher: Dispatcher, identify: Callable[..., Identity] = identity_of
    ) -> None:
        """`identify` says who calls where that is not told by a certificate."""
        self._dispatcher, self._identify = dispatcher, identify

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """The handler of a method; None for one that nobody here answers."""
        path = handler_call_details.method
        method = self._dispatcher.methods.get(path)
        if method is None:
            return None
        if method.server_streaming:
            make = (
                grpc.stream_stream_rpc_method_handler
                if method.client_streaming
                else grpc.unary_stream_rpc_method_handler
            )

            async def stream(
                requests: Any, context: grpc.aio.ServicerContext[Any, Any]
            ) -> AsyncIterator[bytes]:
                metadata = metadata_of(context)
                try:
                    identity = self._identify(context)
                except DomainError as error:
                    await _abort(context, _unidentified(error, metadata))
                    return
                stream = self._dispatcher.stream(method, requests, identity, metadata, context)
                async for message in stream:
                    yield message

            return make(stream)

        async def unary(payload: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
            metadata = metadata_of(context)
            try:
                identity = self._identify(context)
            except DomainError as error:
                return await _abort(context, _unidentified(error, metadata))
            answer = await self._dispatcher.answer(
                path, payload, identity, metadata, context.time_remaining()
            )
            if answer.failure:
                return await _abort(context, answer)
            if answer.metadata:
                context.set_trailing_metadata(answer.trailing())
            return answer.response

        return grpc.unary_unary_rpc_method_handler(unary)


def _unidentified(error: DomainError, metadata: Mapping[str, str]) -> Answer:
    return Answer(failure=failure(error, language_of(metadata.get("accept-language", ""))))


async def _abort(context: grpc.aio.ServicerContext[Any, Any], answer: Answer) -> bytes:
    assert answer.failure is not None
    context.set_trailing_metadata(answer.trailing())
    context.set_code(answer.failure.code)
    context.set_details(answer.failure.message)
    return b""


def metadata_of(context: grpc.aio.ServicerContext[Any, Any]) -> dict[str, str]:
    """The caller's metadata as text; binary entries and repeated keys are left out."""
    entries = context.invocation_metadata() or ()
    return {key: value for key, value in entries if isinstance(value, str)}


def grpc_server(handlers: Sequence[grpc.GenericRpcHandler]) -> grpc.aio.Server:
    """A server with the limits of this house."""
    server = grpc.aio.server(
        options=[
            ("grpc.max_receive_message_length", MAX_FRAME_BYTES),
            ("grpc.max_send_message_length", MAX_FRAME_BYTES),
            ("grpc.so_reuseport", 0),
            ("grpc.keepalive_time_ms", 30_000),
            # A caller opens its connection anew now and then, and so finds new replicas.
            ("grpc.max_connection_age_ms", 600_000),
            ("grpc.max_connection_age_grace_ms", 60_000),
            ("grpc.http2.max_ping_strikes", 3),
            ("grpc.max_metadata_size", 16 * 1024),
            # Of calls that wait to be taken up, gRPC throws some out as CANCELLED, without advice, from
            # 1,000 on: whose they are is chance. Those who come too many are told so by us.
            ("grpc.server.max_pending_requests", _MOST_WAITING),
            ("grpc.server.max_pending_requests_hard_limit", 2 * _MOST_WAITING),
        ]
    )
    server.add_generic_rpc_handlers(tuple(handlers))
    return server
