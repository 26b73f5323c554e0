"""Any method of any department, forwarded without code for it, whichever door a call came by.

Who asks (certificate), by which agreement, for what purpose is decided before the call leaves; it
travels to the service on the trunk; the evidence is on disk before the reply goes back, and its
receipt goes with it. A denied call is evidence too; one beyond what can be served is turned away at once.
A call for another city leaves through that city's exchange (`cities.py`), which decides and logs for itself.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import grpc
from opentelemetry.trace import SpanKind
from prometheus_client import Counter as Metric
from prometheus_client import Histogram

from eldex.common import metrics, telemetry
from eldex.common.errors import DomainError, Language, Overloaded, Unavailable
from eldex.common.identifiers import RegionCode
from eldex.common.logs import logger
from eldex.common.rpc.call import (
    AGREEMENT,
    MEMBER,
    PURPOSE,
    Identity,
    language_of,
)
from eldex.common.rpc.revocation import Revocations
from eldex.common.rpc.server import Answer, metadata_of
from eldex.common.rpc.status import Failure, failure, plain
from eldex.common.rpc.trunk import Trunk, failure_of
from eldex.exchange.domain.break_glass import read_reason
from eldex.exchange.domain.decision import check_purpose
from eldex.exchange.domain.message_log import LogEntry
from eldex.exchange.handlers import MessageLog
from eldex.exchange.rpc.cities import (
    CITY,
    ON_BEHALF,
    PARTNER_RECEIPT,
    Caller,
    Road,
    caller_of,
    wanted_city,
)
from eldex.exchange.rpc.gate import Asked, Gate, Permit
from eldex.exchange.rpc.subjects import Subjects

RECEIPT: Final = "eldex-receipt"
TRACE: Final = "eldex-trace-id"
BREAK_GLASS: Final = "eldex-break-glass"
"""The written reason of an emergency, as percent-encoded UTF-8. Of what callers say in `eldex-…`, this
and the purpose alone are heard; what goes on to the services is written here."""
_ABROAD: Final = "other-cities"
_DEFAULT_TIMEOUT_SECONDS: Final = 10.0
_CARRIED: Final = ("accept-language",)
"""The caller's metadata that goes on to the service; everything else stays here."""
_OF_THE_STATE: Final = frozenset(
    {grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.ABORTED}
)
"""Codes of refusals whose details tell of a record, past any mask."""
_RETRY_AFTER_SECONDS: Final = 0.5
_LANGUAGES: Final[tuple[Language, ...]] = ("zh", "en")
BUSY: Final = {each: failure(Overloaded(_RETRY_AFTER_SECONDS), each) for each in _LANGUAGES}
"""What a call beyond the limit is told, made once."""


Identify = Callable[[grpc.aio.ServicerContext[Any, Any]], Identity]
"""Who calls; raises `Denied`."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A call as it came in, by whichever door."""

    method: str
    payload: bytes
    metadata: Mapping[str, str]
    """The caller's, as text; of a key that was repeated the last."""
    identify: Callable[[], Identity]
    """Who calls; raises `Denied`. Not asked of a call that is shed."""
    seconds_left: float | None
    """How long the caller will wait; None: it did not say."""


class Forwarding:
    """Every method that the process does not answer itself, the same behind every door."""

    def __init__(
        self,
        trunks: Mapping[str, Trunk],
        gate: Gate,
        log: MessageLog,
        max_in_flight: int,
        home: RegionCode,
        cities: Mapping[str, Road] | None = None,
        revocations: Revocations | None = None,
    ) -> None:
        """Of `max_in_flight` calls at a time, each department may hold up to a half.

        `cities`: the exchanges of partner cities, by division code.
        """
        self._trunks, self._gate, self._log = trunks, gate, log
        self._home, self._cities = home, {} if cities is None else cities
        self._in_flight: Counter[str] = Counter()
        self._most, self.most_each = max_in_flight, (max_in_flight + 1) // 2
        """How many calls at a time are taken, and of them for one department."""
        self._revocations = Revocations() if revocations is None else revocations
        self._subjects = Subjects()
        self._counted: dict[tuple[str, str], tuple[Metric, Histogram]] = {}

    @property
    def departments(self) -> Collection[str]:
        """Those that are reached."""
        return self._trunks.keys()

    def whose(self, method: str, *, is_abroad: bool) -> str:
        """Among whose calls one of this method counts; empty: it belongs to nobody."""
        department = department_of(method)
        if not department or (department not in self._trunks and not is_abroad):
            return ""
        # Counted together: a city that hangs holds no department's share, and names do not multiply.
        return _ABROAD if is_abroad else department

    async def answer(self, whose: str, call: Incoming) -> Answer:
        """Decide, forward and record; never raises but for cancellation."""
        held = self._in_flight
        if held.total() >= self._most or held[whose] >= self.most_each:
            return self._shed(whose, call.metadata)
        held[whose] += 1
        try:
            return await self._answer(whose, call)
        finally:
            held[whose] -= 1

    def _shed(self, department: str, metadata: Mapping[str, str]) -> Answer:
        """Turn a call away before anything is done for it: the crowd must not cost what work costs.

        It has been nowhere and learns nothing, so it is counted and leaves no record.
        """
        self.count(department, grpc.StatusCode.RESOURCE_EXHAUSTED.name, 0.0)
        return Answer(failure=BUSY[language_of(metadata.get("accept-language", ""))])

    def count(self, department: str, code: str, seconds: float, calls: int = 1) -> None:
        """Count calls that ended so."""
        counted = self._counted.get((department, code))
        if counted is None:
            name = "forwarded/" + department
            counted = (metrics.calls.labels(name, code), metrics.call_seconds.labels(name))
            self._counted[department, code] = counted
        counted[0].inc(calls)
        for _ in range(calls):
            counted[1].observe(seconds)

    async def _answer(self, department: str, call: Incoming) -> Answer:
        began = time.perf_counter()
        method, metadata = call.method, call.metadata
        language = language_of(metadata.get("accept-language", ""))
        attributes = {"rpc.system": "grpc", "rpc.method": method[1:]}
        with telemetry.span(method[1:], SpanKind.SERVER, metadata, attributes) as span:
            try:
                identity = call.identify()
                caller = caller_of(identity, metadata, self._home, self._cities)
                subsystem = caller.name
                span.set_attribute("eldex.caller", subsystem)
                answer = await self._exchange(caller, identity, call, language)
            except DomainError as error:
                subsystem = "unknown"
                answer = Answer(failure=failure(error, language))
            code = answer.failure.code.name if answer.failure else "OK"
            span.set_attribute("rpc.grpc.status_code", code)
            span.set_attribute("eldex.receipt", answer.metadata.get(RECEIPT, ""))
            if answer.failure:
                telemetry.failed(span, answer.failure.reason)
            seconds = time.perf_counter() - began
            self.count(department, code, seconds)
            logger().info(
                "call_forwarded",
                method=method,
                caller=subsystem,
                purpose=metadata.get(PURPOSE, "")[:64],
                code=code,
                reason=answer.failure.reason if answer.failure else "",
                receipt=answer.metadata.get(RECEIPT, ""),
                milliseconds=round(seconds * 1000, 2),
            )
        return answer

    async def _exchange(
        self, caller: Caller, identity: Identity, call: Incoming, language: Language
    ) -> Answer:
        method, payload, metadata = call.method, call.payload, call.metadata
        permit: Permit | None = None
        purpose = metadata.get(PURPOSE, "")
        response, failed, abroad = b"", None, ""
        subsystem, named = caller.name, method
        # A log that is known not to be writable: refused before anything has an effect.
        self._log.require()
        try:
            self._revocations.require(identity.serial_number)
            city = wanted_city(caller, metadata, self._home, self._cities)
            named = f"/{city}{method}" if city else method
            asked = _asked(caller, named, metadata)
            permit = await self._gate.admit(asked, payload)
            going = sent_abroad(caller, metadata) if city else carried(caller, permit, metadata)
            response, failed, abroad = await self._forward(
                city, method, payload, going, call.seconds_left, language
            )
            if failed is None:
                response = await self._gate.pass_reply(permit, response)
            else:
                if failed.code is grpc.StatusCode.NOT_FOUND or permit.withheld:
                    self._gate.conceal(permit)
                if permit.is_masked and failed.code in _OF_THE_STATE:
                    failed = _without_facts(failed, language)
        except DomainError as error:
            failed = failure(error, language)
        except asyncio.CancelledError:
            # The caller has gone, or its time has run out: that it asked is told all the same.
            gone = ("CANCELLED", "CALLER_GONE")
            self._log.tell(self._entry(subsystem, named, purpose, permit, payload, None, *gone))
            raise
        reply = None if failed else response
        code, reason = (failed.code.name, failed.reason) if failed else ("OK", "")
        entry = self._entry(subsystem, named, purpose, permit, payload, reply, code, reason)
        # Raises NoEvidence if it cannot be written: then no reply leaves.
        receipt = await self._log.append(entry)
        trailing = {RECEIPT: str(receipt), TRACE: telemetry.trace_id()}
        if abroad:
            trailing[PARTNER_RECEIPT] = abroad
        return Answer(response if not failed else b"", failed, trailing)

    def _entry(
        self,
        subsystem: str,
        method: str,
        purpose: str,
        permit: Permit | None,
        request: bytes,
        reply: bytes | None,
        code: str,
        reason: str,
    ) -> LogEntry:
        return LogEntry(
            subsystem=subsystem,
            method=method,
            purpose=purpose[:64],
            agreement_key=permit.agreement.key if permit else "",
            agreement_version=permit.agreement.version if permit else 0,
            legal_basis=permit.legal_basis if permit else "",
            request=request,
            reply=reply,
            code=code,
            reason=reason,
            trace_id=telemetry.trace_id(),
            subjects=self._subjects.of_call(method, request, reply or b""),
        )

    async def _forward(
        self,
        city: str,
        method: str,
        payload: bytes,
        metadata: Mapping[str, str],
        timeout: float | None,
        language: Language,
    ) -> tuple[bytes, Failure | None, str]:
        """The reply or the failure, and the receipt of the partner's exchange if there is one."""
        seconds = min(timeout, 60.0) if timeout else _DEFAULT_TIMEOUT_SECONDS
        whom = city or department_of(method)
        road = self._cities[city] if city else self._trunks.get(whom)
        try:
            if road is None:
                raise Unavailable(whom)
            reply = await road.call(method, payload, metadata, seconds)
        except Unavailable as error:
            raise Unavailable(whom) from error
        except TimeoutError:
            zh, en = "该部门系统未能在截止时间前答复", "the department did not answer in time"
            code = grpc.StatusCode.DEADLINE_EXCEEDED
            return b"", plain(code, "DEADLINE_EXCEEDED", zh, en, language), ""
        told = {entry.key: entry.value for entry in reply.trailing_metadata}
        receipt = told.get(RECEIPT, b"").decode() if city else ""
        return reply.response, failure_of(reply), receipt


class ForwardingDoor(grpc.GenericRpcHandler):
    """The door of grpc.aio: takes every method that the process does not answer itself."""

    def __init__(self, forwarding: Forwarding, identify: Identify) -> None:
        self._forwarding, self._identify = forwarding, identify

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """A handler for any method of a department; None for what belongs to nobody."""
        method = handler_call_details.method
        is_abroad = any(key == CITY for key, _ in handler_call_details.invocation_metadata)
        whose = self._forwarding.whose(method, is_abroad=is_abroad)
        if not whose:
            return None

        async def forward(payload: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
            metadata, left = metadata_of(context), context.time_remaining()
            call = Incoming(method, payload, metadata, partial(self._identify, context), left)
            answer = await self._forwarding.answer(whose, call)
            context.set_trailing_metadata(answer.trailing())
            if answer.failure:
                context.set_code(answer.failure.code)
                context.set_details(answer.failure.message)
            return answer.response

        return grpc.unary_unary_rpc_method_handler(forward)


def department_of(method: str) -> str:
    """The department whose contract a method belongs to: `/eldex.api.<department>.v1.…`."""
    parts = method.lstrip("/").split(".")
    is_ours = len(parts) > 3 and parts[:2] == ["eldex", "api"]
    return parts[2] if is_ours else ""


def _asked(caller: Caller, method: str, metadata: Mapping[str, str]) -> Asked:
    purpose = check_purpose(metadata.get(PURPOSE, ""))
    reason = metadata.get(BREAK_GLASS)
    emergency = "" if reason is None else read_reason(reason)
    return Asked(caller.subsystem, caller.city, method, purpose, emergency)


def _without_facts(failed: Failure, language: Language) -> Failure:
    """A refusal by the state of a record, without what it tells of the record beside its reason."""
    zh = f"该部门系统因记录的状态拒绝了请求（{failed.reason}）"
    en = f"the department refuses by the state of the record ({failed.reason})"
    return plain(failed.code, failed.reason, zh, en, language)


def carried(caller: Caller, permit: Permit, metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata with which a call goes on: what the exchange says of it, not what its caller said."""
    agreement = permit.agreement
    return _common(metadata) | {
        MEMBER: caller.name,
        AGREEMENT: f"{agreement.key}@{agreement.version}",
    }


def sent_abroad(caller: Caller, metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata for another city's exchange, which decides by itself: who asks, and what for."""
    return _common(metadata) | {ON_BEHALF: f"{caller.city.padded(6)}/{caller.subsystem}"}


def _common(metadata: Mapping[str, str]) -> dict[str, str]:
    return {key: metadata[key] for key in _CARRIED if key in metadata} | {
        PURPOSE: metadata[PURPOSE],
        "traceparent": telemetry.traceparent(),
    }
