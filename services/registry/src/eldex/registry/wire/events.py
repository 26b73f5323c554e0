"""Facts of the domain as events of the contract."""

from __future__ import annotations

from datetime import date
from enum import Enum
from typing import Any

from google.protobuf.message import Message

from eldex.api.registry.v1 import household_events_pb2, resident_events_pb2
from eldex.common.dates import proto_day
from eldex.common.identifiers import RegionCode, Sex
from eldex.registry.domain.facts import Fact
from eldex.registry.wire.enums import CLASS_NUMBERS, LEVEL_NUMBERS

_NUMBERS: dict[Any, Any] = {**CLASS_NUMBERS, **LEVEL_NUMBERS, **{sex: sex.value for sex in Sex}}


def event(fact: Fact) -> Message:
    """The contract's message of a domain event.

    A fact's class and fields have the names of its message, and that alone is the mapping; a test
    makes every fact into its message, so that a name that differs cannot pass.
    """
    name = type(fact).__name__
    kind = getattr(resident_events_pb2, name, None) or getattr(household_events_pb2, name)
    values = {name: _value(getattr(fact, name)) for name in fact.__dataclass_fields__}
    message: Message = kind(**{name: value for name, value in values.items() if value is not None})
    return message


def _value(value: object) -> Any:
    match value:
        case date():
            return proto_day(value)
        case RegionCode():
            return str(value)
        case Enum():
            return _NUMBERS[value]
        case _:
            return value
