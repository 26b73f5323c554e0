"""Masks: kinds of messages that do not have the fields which are not granted.

A mask is a message type made of the granted fields alone, with their numbers. What is read with it has
everything else among the unknown fields, which are dropped, at every depth, in repeated fields, maps
and oneofs; what the contract does not know goes with them. A field that the type does not have cannot
leak. Reading, dropping and writing happen in protobuf's C: some microseconds a reply.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FileDescriptor
from google.protobuf.message import DecodeError, Message

from eldex.common.errors import InvalidRequest, Violation
from eldex.common.logs import logger
from eldex.exchange.domain.agreements import ALL, Agreement
from eldex.exchange.domain.subscriptions import FeedEvent
from eldex.exchange.rpc.methods import shapes_of

ALWAYS_IN_REPLIES: Final = ("next_page_token",)
ALWAYS_IN_REQUESTS: Final = ("request_id", "etag", "page_size", "page_token", "read_mask")

Tree = dict[str, "Tree | None"]
"""Granted fields by name; None: whole."""


class Masks:
    """Makes masks, one for each kind of message and set of paths, and keeps them."""

    def __init__(self) -> None:
        self._pool = descriptor_pool.DescriptorPool()
        self._files: set[str] = set()
        self._made: dict[tuple[str, tuple[str, ...]], type[Message]] = {}

    def of(
        self, kind: Descriptor, paths: Iterable[str], always: Sequence[str]
    ) -> type[Message] | None:
        """The mask of a kind of message; None if all fields are granted."""
        granted = set(paths)
        if ALL in granted:
            return None
        granted |= {name for name in always if name in kind.fields_by_name}
        place = (kind.full_name, tuple(sorted(granted)))
        if place not in self._made:
            self._made[place] = self._make(kind, place[1])
        return self._made[place]

    def _make(self, kind: Descriptor, paths: Sequence[str]) -> type[Message]:
        number = len(self._made)
        file = descriptor_pb2.FileDescriptorProto(
            name=f"eldex/mask/m{number}.proto", package=f"eldex.mask.m{number}", syntax="proto3"
        )
        _Maker(file, self._import).message(kind, tree_of(kind, paths), "Mask")
        self._pool.AddSerializedFile(file.SerializeToString())
        found = self._pool.FindMessageTypeByName(f"{file.package}.Mask")
        return message_factory.GetMessageClass(found)

    def _import(self, file: FileDescriptor) -> str:
        if file.name not in self._files:
            for needed in file.dependencies:
                self._import(needed)
            self._pool.AddSerializedFile(file.serialized_pb)
            self._files.add(file.name)
        return file.name


class _Maker:
    """Writes the pruned messages into a file."""

    def __init__(self, file: descriptor_pb2.FileDescriptorProto, take_in: Any) -> None:
        self._file, self._take_in = file, take_in
        self._names = 0

    def message(self, kind: Descriptor, tree: Tree, name: str) -> str:
        """Add a kind of message with the fields of a tree; returns its full name."""
        made = self._file.message_type.add(name=name)
        self._fill(made, kind, tree)
        return f".{self._file.package}.{name}"

    def _fill(self, made: descriptor_pb2.DescriptorProto, kind: Descriptor, tree: Tree) -> None:
        source = descriptor_pb2.DescriptorProto()
        kind.CopyToProto(source)
        kept = [field for field in source.field if field.name in tree]
        choices = sorted({field.oneof_index for field in kept if field.HasField("oneof_index")})
        for index in choices:
            made.oneof_decl.add(name=source.oneof_decl[index].name)
        for field in kept:
            field.ClearField("options")
            if field.HasField("oneof_index"):
                field.oneof_index = choices.index(field.oneof_index)
            declared = kind.fields_by_name[field.name]
            if declared.message_type is not None:
                field.type_name = self._type(made, declared.message_type, tree[field.name])
            elif declared.enum_type is not None:
                field.type_name = self._whole(declared.enum_type)
            made.field.append(field)

    def _type(
        self, around: descriptor_pb2.DescriptorProto, kind: Descriptor, tree: Tree | None
    ) -> str:
        if kind.GetOptions().map_entry:
            entry = around.nested_type.add(name=kind.name)
            entry.options.map_entry = True
            self._fill(entry, kind, {"key": None, "value": (tree or {}).get("value")})
            return f".{self._file.package}.{around.name}.{kind.name}"
        if tree is None:
            return self._whole(kind)
        self._names += 1
        return self.message(kind, tree, f"{kind.name}{self._names}")

    def _whole(self, kind: Descriptor | EnumDescriptor) -> str:
        name = self._take_in(kind.file)
        if name not in self._file.dependency:
            self._file.dependency.append(name)
        return f".{kind.full_name}"


def tree_of(kind: Descriptor, paths: Iterable[str]) -> Tree:
    """Paths as a tree; raises `InvalidRequest` for one that the contract does not have."""
    top: Tree = {}
    for path in sorted(paths):
        current: Descriptor | None = kind
        tree: Tree = top
        names = path.split(".")
        for depth, name in enumerate(names):
            field = current.fields_by_name.get(name) if current is not None else None
            if field is None:
                raise _unknown(kind.name, path)
            current = field.message_type
            if depth == len(names) - 1:
                tree[name] = None  # whole, whatever else names parts of it
            else:
                below = tree.setdefault(name, {})
                if below is None:
                    break
                tree = below
    return top


def known(kind: Descriptor, paths: Iterable[str]) -> list[str]:
    """The paths that a kind of message has: a grant for a whole service fits some of its methods."""
    found = []
    for path in paths:
        try:
            tree_of(kind, [path] if path != ALL else [])
        except InvalidRequest:
            continue
        found.append(path)
    return found


def check_grants(agreement: Agreement) -> None:
    """Raise `InvalidRequest` for a granted path that no method it is for has."""
    for grant in agreement.field_grants:
        shapes = shapes_of(grant.method)
        for paths, kinds in (
            (grant.reply_fields, [shape.reply for shape in shapes]),
            (grant.request_fields, [shape.request for shape in shapes]),
        ):
            for path in paths:
                if path != ALL and not any(known(kind, [path]) for kind in kinds):
                    raise _unknown(grant.method, path)

    check_event_grants(agreement)


def check_event_grants(agreement: Agreement) -> None:
    """Raise `InvalidRequest` for a grant of no event of the agreement, or an event without one."""
    granted = [grant.event_type for grant in agreement.event_grants]
    if granted and sorted(granted) != sorted(set(agreement.event_types)):
        raise InvalidRequest(
            Violation(
                "agreement.event_grants",
                "一旦限定事件字段，event_types 中的每类事件都须且只须有一项授权",
                "once the fields of events are granted, each of event_types needs one grant",
                "EVENT_GRANTS_INCOMPLETE",
            )
        )
    for grant in agreement.event_grants:
        kind = event_kind(grant.event_type)
        if kind is None:
            raise _unknown("event_grants", grant.event_type)
        tree_of(kind, [path for path in grant.fields if path != ALL])


def event_kind(event_type: str) -> Descriptor | None:
    """An event's message by its full name; None: the contract at hand does not know it."""
    try:
        return descriptor_pool.Default().FindMessageTypeByName(event_type)
    except KeyError:
        return None


def event_paths(event_type: str) -> list[str]:
    """The paths of an event's fields down to plain values; none of an event that is not known."""
    kind = event_kind(event_type)
    return list(_paths(kind, 4)) if kind is not None else []


def _paths(kind: Descriptor, depth: int) -> Iterator[str]:
    for field in kind.fields:
        inner = field.message_type
        if inner is not None and inner.file.package.startswith("eldex.") and depth:
            if not inner.GetOptions().map_entry:
                yield from (f"{field.name}.{below}" for below in _paths(inner, depth - 1))
        else:
            yield field.name


class EventFields:
    """`EventMasks` by what the agreements grant: of several that cover an event, what any of them does."""

    def __init__(self) -> None:
        self._masks = Masks()

    def masked(self, event: FeedEvent, agreements: Sequence[Agreement]) -> FeedEvent:
        """The event as this subscriber may see it; of what cannot be masked, that it happened."""
        granted = {path for each in agreements for path in each.event_fields(event.type)}
        if ALL in granted:
            return event
        kind = event_kind(event.type)
        mask = self._masks.of(kind, granted, ()) if kind is not None else None
        try:
            payload = b"" if mask is None else masked(mask, event.payload).SerializeToString()
        except DecodeError:
            logger().error("event_not_masked", event_id=event.event_id, event_type=event.type)
            payload = b""
        return replace(event, payload=payload)


def _unknown(where: str, path: str) -> InvalidRequest:
    return InvalidRequest(
        Violation(
            "agreement.field_grants",
            f"{where} 没有字段 {path[:100]}",
            f"{where} has no field {path[:100]}",
            "FIELD_PATH_UNKNOWN",
        )
    )


def masked(mask: type[Message], data: bytes) -> Message:
    """What is left of a message under a mask; raises `DecodeError`."""
    message = mask.FromString(data)
    message.DiscardUnknownFields()
    return message


def is_beyond(mask: type[Message], data: bytes) -> bool:
    """Whether a message has anything that the mask does not have."""
    message = mask.FromString(data)
    size = message.ByteSize()
    message.DiscardUnknownFields()
    return message.ByteSize() != size


def fields_beyond(kind: Descriptor, granted: Iterable[str], data: bytes) -> list[str]:
    """Names of the fields of a message that are not granted, for telling; never their values."""
    tree = tree_of(kind, granted)
    found: dict[str, None] = {}
    try:
        message = message_factory.GetMessageClass(kind).FromString(data)
    except DecodeError:
        return []
    _walk(message, tree, "", found)
    return list(found)


def _walk(message: Message, tree: Tree, above: str, found: dict[str, None]) -> None:
    for field, value in message.ListFields():
        if field.name not in tree:
            found[above + field.name] = None
            continue
        below = tree[field.name]
        if below is None or field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        for part in value if field.is_repeated else [value]:
            _walk(part, below, f"{above}{field.name}.", found)


def rows(message: Message) -> int:
    """How many rows a reply holds: its repeated messages, or one."""
    found = 0
    is_list = False
    for field in message.DESCRIPTOR.fields:
        if field.is_repeated and field.message_type is not None:
            is_list = True
            found += len(getattr(message, field.name))
    return found if is_list else 1


def texts_named(message: Message, names: frozenset[str]) -> list[str]:
    """The texts of all fields of these names, at any depth."""
    found: list[str] = []
    for field, value in message.ListFields():
        if field.message_type is not None:
            if field.message_type.GetOptions().map_entry:
                inner = (
                    value.values()
                    if field.message_type.fields_by_name["value"].message_type
                    else ()
                )
            else:
                inner = value if field.is_repeated else (value,)
            for part in inner:
                found += texts_named(part, names)
        elif field.name in names:
            found += value if field.is_repeated else [value]
    return found
