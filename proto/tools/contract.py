"""The contract as objects: services, messages, enums with their comments, read from a descriptor image."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)
from google.protobuf.message import Message

from tools.layout import PACKAGE

# Field numbers inside descriptor.proto, by which comments are addressed.
_FILE_MESSAGE, _FILE_ENUM, _FILE_SERVICE = 4, 5, 6
_MESSAGE_FIELD, _MESSAGE_NESTED, _MESSAGE_ENUM, _MESSAGE_ONEOF = 2, 3, 4, 8
_ENUM_VALUE, _SERVICE_METHOD = 2, 2

# An error reason by the convention of the contract: "Errors: RESIDENT_NOT_FOUND, ALREADY_DECEASED." in an rpc's comment.
_REASON_LINE = re.compile(r"^\s*Errors?:(.*?)(?:\n\s*\n|\Z)", re.MULTILINE | re.DOTALL)
_REASON = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b")

# Verbs that change nothing. Carry (the trunk) only transports calls, each of which keeps its own request_id.
_WRITES_NOT = re.compile(
    r"^(Get|List|Search|Lookup|Watch|Subscribe|Explain|Export|Check|Find|Preview|Carry)(?=[A-Z]|$)"
)


@dataclass(frozen=True, slots=True)
class Element:
    """Anything with a full name, a file and a comment."""

    full_name: str
    file: str
    comment: str

    @property
    def name(self) -> str:
        """The last part of the full name."""
        return self.full_name.rpartition(".")[2]

    @property
    def department(self) -> str:
        """The service folder it belongs to: `registry` of eldex.api.registry.v1.Resident."""
        return self.full_name.removeprefix(PACKAGE + ".").partition(".")[0]


@dataclass(frozen=True, slots=True)
class Enum(Element):
    """An enum; `value_comments` has the comment of each value."""

    proto: EnumDescriptorProto
    value_comments: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MessageType(Element):
    """A message; `field_comments` has the comment of each field, `oneof_comments` of each oneof."""

    proto: DescriptorProto
    nested: bool
    field_comments: dict[str, str] = field(default_factory=dict)
    oneof_comments: dict[str, str] = field(default_factory=dict)

    def field_named(self, name: str) -> FieldDescriptorProto | None:
        """The field of that name, or None."""
        return next((each for each in self.proto.field if each.name == name), None)

    @property
    def is_event(self) -> bool:
        """Whether it is a fact that travels on a topic: a top-level message of a file `*_events.proto`."""
        return self.file.endswith("_events.proto") and not self.nested


@dataclass(frozen=True, slots=True)
class Rpc(Element):
    """One call of a service."""

    request: str
    response: str
    client_streaming: bool
    server_streaming: bool

    @property
    def is_write(self) -> bool:
        """Whether it changes something, told by its verb."""
        return _WRITES_NOT.match(self.name) is None

    @property
    def reasons(self) -> list[str]:
        """The stable error reasons its comment names after `Errors:`."""
        return [
            reason
            for part in _REASON_LINE.findall(self.comment)
            for reason in _REASON.findall(part)
        ]


@dataclass(frozen=True, slots=True)
class Service(Element):
    """One gRPC service with its calls."""

    rpcs: tuple[Rpc, ...]


class Contract:
    """Everything that is ours in a descriptor image; files of others are known but not listed."""

    def __init__(self, image: FileDescriptorSet) -> None:
        self.image = image
        self.services: list[Service] = []
        self.messages: dict[str, MessageType] = {}
        self.enums: dict[str, Enum] = {}
        self._pool = descriptor_pool.DescriptorPool()
        for file in image.file:
            self._pool.Add(file)
            _read_file(file, self)
        self._own_messages = {name for name in self.messages if name.startswith(PACKAGE + ".")}

    @property
    def own_messages(self) -> list[MessageType]:
        """The messages below eldex.api in the order of their names."""
        return [self.messages[name] for name in sorted(self._own_messages)]

    @property
    def own_enums(self) -> list[Enum]:
        """The enums below eldex.api in the order of their names."""
        return [self.enums[name] for name in sorted(self.enums) if name.startswith(PACKAGE + ".")]

    @property
    def events(self) -> dict[str, MessageType]:
        """The event messages by full name."""
        return {each.full_name: each for each in self.own_messages if each.is_event}

    @property
    def departments(self) -> set[str]:
        """The names of the services that have a gRPC service: registry, medical, …."""
        return {service.department for service in self.services}

    def rpcs(self) -> Iterator[Rpc]:
        """Every call of every service."""
        for service in self.services:
            yield from service.rpcs

    def message_class(self, full_name: str) -> type[Message]:
        """A class for messages of that type, made from the image alone (no generated code)."""
        return message_factory.GetMessageClass(self._pool.FindMessageTypeByName(full_name))

    def options(self, element: Any) -> dict[str, Any]:
        """The custom options of a field, message or oneof by the extension's full name, such as `buf.validate.field`."""
        if not element.HasField("options"):
            return {}
        options = element.options
        # Read again by classes of this pool, which knows the extensions; the default pool may not.
        known = self.message_class(options.DESCRIPTOR.full_name).FromString(
            options.SerializeToString()
        )
        return {key.full_name: value for key, value in known.ListFields() if key.is_extension}

    def map_entry(self, field_: FieldDescriptorProto) -> DescriptorProto | None:
        """The synthetic entry message if the field is a map, or None."""
        if field_.type != FieldDescriptorProto.TYPE_MESSAGE:
            return None
        entry = self.messages.get(field_.type_name.lstrip("."))
        return entry.proto if entry is not None and entry.proto.options.map_entry else None


def snake(name: str) -> str:
    """`ResidentDeceased` → `resident_deceased`; a run of capitals counts as one word."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def _read_file(file: FileDescriptorProto, contract: Contract) -> None:
    comments = {
        tuple(at.path): _clean(at.leading_comments) for at in file.source_code_info.location
    }

    def enum(proto: EnumDescriptorProto, scope: str, path: tuple[int, ...]) -> None:
        name = f"{scope}.{proto.name}"
        values = {
            each.name: comments.get((*path, _ENUM_VALUE, i), "")
            for i, each in enumerate(proto.value)
        }
        contract.enums[name] = Enum(name, file.name, comments.get(path, ""), proto, values)

    def message(proto: DescriptorProto, scope: str, path: tuple[int, ...]) -> None:
        name = f"{scope}.{proto.name}"
        fields = {
            each.name: comments.get((*path, _MESSAGE_FIELD, i), "")
            for i, each in enumerate(proto.field)
        }
        oneofs = {
            each.name: comments.get((*path, _MESSAGE_ONEOF, i), "")
            for i, each in enumerate(proto.oneof_decl)
        }
        nested = len(path) > 2
        contract.messages[name] = MessageType(
            name, file.name, comments.get(path, ""), proto, nested, fields, oneofs
        )
        for i, inner in enumerate(proto.nested_type):
            message(inner, name, (*path, _MESSAGE_NESTED, i))
        for i, inner_enum in enumerate(proto.enum_type):
            enum(inner_enum, name, (*path, _MESSAGE_ENUM, i))

    for i, top in enumerate(file.message_type):
        message(top, file.package, (_FILE_MESSAGE, i))
    for i, top_enum in enumerate(file.enum_type):
        enum(top_enum, file.package, (_FILE_ENUM, i))
    if not file.package.startswith(PACKAGE + "."):
        return
    for i, service in enumerate(file.service):
        name = f"{file.package}.{service.name}"
        rpcs = tuple(
            Rpc(
                f"{name}.{method.name}",
                file.name,
                comments.get((_FILE_SERVICE, i, _SERVICE_METHOD, m), ""),
                method.input_type.lstrip("."),
                method.output_type.lstrip("."),
                method.client_streaming,
                method.server_streaming,
            )
            for m, method in enumerate(service.method)
        )
        contract.services.append(
            Service(name, file.name, comments.get((_FILE_SERVICE, i), ""), rpcs)
        )


def _clean(comment: str) -> str:
    return "\n".join(
        line.removeprefix(" ").rstrip() for line in comment.strip("\n").split("\n")
    ).strip()


def without_source_info(image: FileDescriptorSet) -> FileDescriptorSet:
    """The same contract without comments and positions: what a released image keeps."""
    bare = descriptor_pb2.FileDescriptorSet()
    bare.CopyFrom(image)
    for file in bare.file:
        file.ClearField("source_code_info")
    return bare


def is_repeated(field_: FieldDescriptorProto) -> bool:
    """Whether the field is repeated (a map is, too)."""
    return field_.label == FieldDescriptorProto.LABEL_REPEATED


def type_of(field_: FieldDescriptorProto) -> str:
    """The field's type as the .proto file writes it: `string`, `int64`, or the full name of a message or enum."""
    if field_.type_name:
        return field_.type_name.lstrip(".")
    return FieldDescriptorProto.Type.Name(field_.type).removeprefix("TYPE_").lower()


def names(elements: Sequence[Element]) -> list[str]:
    """The full names of the elements."""
    return [each.full_name for each in elements]
