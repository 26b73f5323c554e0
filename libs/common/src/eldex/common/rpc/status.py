"""Errors as gRPC statuses with rich details (AIP-193), and back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from protovalidate import Violation as RuleViolation

from eldex.common.errors import DomainError, InvalidRequest, Kind, Language, Overloaded, Violation
from eldex.common.privacy import masked

DOMAIN: Final = "eldex"
DETAILS_KEY: Final = "grpc-status-details-bin"

CODES: Final = {
    Kind.INVALID: grpc.StatusCode.INVALID_ARGUMENT,
    Kind.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    Kind.CONFLICT: grpc.StatusCode.FAILED_PRECONDITION,
    Kind.STALE: grpc.StatusCode.ABORTED,
    Kind.DENIED: grpc.StatusCode.PERMISSION_DENIED,
    Kind.EXHAUSTED: grpc.StatusCode.RESOURCE_EXHAUSTED,
    Kind.UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
}


@dataclass(frozen=True, slots=True)
class Failure:
    """A status that is not success, ready to be sent."""

    code: grpc.StatusCode
    message: str
    details: bytes
    """Serialised google.rpc.Status."""
    reason: str


def failure(error: DomainError, language: Language) -> Failure:
    """The status of a domain error, in the caller's language."""
    code = CODES[error.kind]
    message = masked(error.message(language))
    status = status_pb2.Status(code=code.value[0], message=message)
    facts = {name: masked(str(value)) for name, value in error.facts.items()}
    _pack(status, error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN, metadata=facts))
    if isinstance(error, InvalidRequest):
        bad = error_details_pb2.BadRequest()
        for violation in error.violations:
            bad.field_violations.add(
                field=violation.field,
                description=violation.message(language),
                reason=violation.rule or "FIELD_INVALID",
            )
        _pack(status, bad)
    if isinstance(error, Overloaded):
        delay = error_details_pb2.RetryInfo()
        seconds = error.facts["retry_after_seconds"]
        assert isinstance(seconds, float | int)
        delay.retry_delay.FromTimedelta(timedelta(seconds=seconds))
        _pack(status, delay)
    return Failure(code, message, status.SerializeToString(), error.reason)


def plain(code: grpc.StatusCode, reason: str, zh: str, en: str, language: Language) -> Failure:
    """A status without a domain error behind it (our own bug, a deadline, an unknown method)."""
    message = zh if language == "zh" else en
    status = status_pb2.Status(code=code.value[0], message=message)
    _pack(status, error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN))
    return Failure(code, message, status.SerializeToString(), reason)


def _pack(status: status_pb2.Status, detail: object) -> None:
    packed = any_pb2.Any()
    packed.Pack(detail)  # type: ignore[arg-type]
    status.details.append(packed)


def reason_of(details: bytes | None) -> str:
    """The stable reason in serialised details; empty if there is none."""
    return str(_info_of(details).reason)


def facts_of(details: bytes | None) -> dict[str, str]:
    """The facts beside the reason, as texts."""
    return dict(_info_of(details).metadata)


def _info_of(details: bytes | None) -> error_details_pb2.ErrorInfo:
    info = error_details_pb2.ErrorInfo()
    if details:
        for detail in status_pb2.Status.FromString(details).details:
            if detail.Unpack(info):
                return info
    return info


# --- the contract's field rules, in words an official can act on ----------------------------------

_WORDS: Final[dict[str, tuple[str, str]]] = {
    "required": ("必须填写", "is required"),
    "string.uuid": ("必须是 UUID 格式的编号", "must be a UUID"),
    "string.uuid_empty": ("必须是 UUID 格式的编号", "must be a UUID"),
    "string.pattern": ("格式不符合要求（{value}）", "does not have the required form ({value})"),
    "string.min_len": ("至少需要 {value} 个字符", "needs at least {value} character(s)"),
    "string.max_len": ("不得超过 {value} 个字符", "must not be longer than {value} characters"),
    "bytes.max_len": ("不得超过 {value} 字节", "must not be longer than {value} bytes"),
    "enum.defined_only": ("不是已定义的取值", "is not one of the defined values"),
    "enum.not_in": ("必须选择一个取值", "must be one of the defined values, not unspecified"),
    "repeated.min_items": ("至少需要 {value} 项", "needs at least {value} item(s)"),
    "repeated.max_items": ("不得超过 {value} 项", "must not have more than {value} items"),
    "repeated.unique": ("各项不得重复", "must not repeat an item"),
}
_NUMBER: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_COMPARISONS: Final = {
    "gte": ("不得小于 {value}", "must be at least {value}"),
    "gt": ("必须大于 {value}", "must be greater than {value}"),
    "lte": ("不得大于 {value}", "must be at most {value}"),
    "lt": ("必须小于 {value}", "must be less than {value}"),
}


def violation(found: RuleViolation) -> Violation:
    """A protovalidate violation in Chinese and English; the offending value is never quoted."""
    proto = found.proto
    rule = proto.rule_id
    path = ".".join(
        element.field_name + (f"[{element.subscript.value}]" if element.subscript else "")
        for element in (proto.field.elements if proto.field else ())
    )
    words = _WORDS.get(rule) or _COMPARISONS.get(rule.rsplit(".", 1)[-1])
    if words is None and " | " in proto.message:
        # A rule of our own (CEL): its message says it in both languages, Chinese first.
        zh, _, en = proto.message.partition(" | ")
    elif words is None and len(limits := _NUMBER.findall(proto.message)) == 2:
        zh = f"必须在 {limits[0]} 与 {limits[1]} 之间"
        en = proto.message
    elif words is None:
        zh, en = f"不符合规则 {rule}", proto.message or f"breaks the rule {rule}"
    else:
        zh, en = (text.format(value=found.rule_value) for text in words)
    return Violation(path or "request", zh, en, rule.upper().replace(".", "_"))
