"""The contract's messages of the facts this department tells."""

from __future__ import annotations

from dataclasses import fields
from datetime import date
from enum import Enum
from typing import Any

from google.protobuf.message import Message

from eldex.api.institutions.v1 import bed_events_pb2, institution_events_pb2
from eldex.common.dates import proto_day
from eldex.common.identifiers import CreditCode, RegionCode
from eldex.institutions.domain import events
from eldex.institutions.wire.codes import CLASSES, KINDS, NATURES, cause_code


def event(fact: events.Event) -> Message:
    """The message of a fact: the same name, the same fields."""
    name = type(fact).__name__
    module: Any = bed_events_pb2 if hasattr(bed_events_pb2, name) else institution_events_pb2
    kind: type[Message] = getattr(module, name)
    return kind(**{field.name: _value(getattr(fact, field.name)) for field in fields(fact)})


def _value(value: object) -> object:
    match value:
        case RegionCode() | CreditCode():
            return str(value)
        case date():
            return proto_day(value)
        case events.ReleaseCause():
            return cause_code(value)
        case Enum():
            return _enum(value)
    return value


def _enum(value: Enum) -> int:
    match value:
        case events.BedClass():
            code: int = CLASSES.write(value)
        case events.InstitutionKind():
            code = KINDS.write(value)
        case events.ProfitNature():
            code = NATURES.write(value)
        case _:
            raise TypeError(f"no fact carries a {type(value).__name__}")
    return code
