"""The methods of the contract, as the exchange sees them: what goes in, what comes out, whether it writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

_READS: Final = tuple("Get List Search Lookup Watch Subscribe Explain Check Find Preview".split())
"""How the names of methods begin that write nothing (a rule of the contract)."""


@dataclass(frozen=True, slots=True)
class MethodShape:
    """One method."""

    request: Descriptor
    reply: Descriptor
    is_read: bool
    server_streaming: bool

    def read_request(self, data: bytes) -> Message:
        """The request; raises `DecodeError`."""
        return message_factory.GetMessageClass(self.request).FromString(data)

    def read_reply(self, data: bytes) -> Message:
        """The reply; raises `DecodeError`."""
        return message_factory.GetMessageClass(self.reply).FromString(data)


def in_contract(method: str) -> str:
    """A method's name in the contract: without the city that stands before one of another city."""
    return method[method.find("/", 1) :] if method.count("/") == 3 else method


def shape_of(method: str) -> MethodShape | None:
    """The method by its full name, or None; the contract must be loaded."""
    service, _, name = in_contract(method)[1:].partition("/")
    try:
        found = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
    except KeyError:
        return None
    return MethodShape(
        found.input_type, found.output_type, name.startswith(_READS), found.server_streaming
    )


def shapes_of(pattern: str) -> list[MethodShape]:
    """The methods that a full name, or `/<service>/*`, stands for; those of the contract at hand."""
    service, _, name = in_contract(pattern)[1:].partition("/")
    if name != "*":
        return [shape for shape in [shape_of(pattern)] if shape is not None]
    try:
        methods = descriptor_pool.Default().FindServiceByName(service).methods
    except KeyError:
        return []
    return [shape for each in methods if (shape := shape_of(f"/{service}/{each.name}")) is not None]
