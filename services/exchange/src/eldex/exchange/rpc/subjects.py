"""Whom a message is about: the opaque keys of people and institutions in it, at any depth.

Found by descriptor: text fields whose name ends in `_key` or `_keys`, and of these the values that are
the key of a resident, an institution or a worker. What to look at is worked out once for each kind of
message; a kind that can hold no key is not even read.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError, Message

from eldex.exchange.rpc.methods import in_contract

KINDS: Final = ("res_", "ins_", "wkr_")
"""How the keys of residents, institutions and workers begin."""


class _Look:
    """What to look at in one kind of message."""

    __slots__ = ("groups", "inner", "many", "maps", "one")

    def __init__(self) -> None:
        self.one: list[str] = []
        """Fields with a key."""
        self.many: list[str] = []
        """Fields with several."""
        self.inner: list[tuple[str, _Look]] = []
        """Messages inside."""
        self.groups: list[tuple[str, _Look]] = []
        """Repeated messages inside."""
        self.maps: list[tuple[str, _Look]] = []
        """Maps to messages."""

    def below(self) -> list[_Look]:
        """What it leads to."""
        return [look for _, look in (*self.inner, *self.groups, *self.maps)]

    def collect(self, message: Any, found: dict[str, None]) -> None:
        """Add the keys of a message, in its order."""
        for name in self.one:
            value = getattr(message, name)
            if value.startswith(KINDS):
                found[value] = None
        for name in self.many:
            for value in getattr(message, name):
                if value.startswith(KINDS):
                    found[value] = None
        for name, look in self.inner:
            if message.HasField(name):
                look.collect(getattr(message, name), found)
        for name, look in self.groups:
            for each in getattr(message, name):
                look.collect(each, found)
        for name, look in self.maps:
            for each in getattr(message, name).values():
                look.collect(each, found)


class Subjects:
    """Finds subjects in the messages of any method of the contract; the contract must be loaded."""

    def __init__(self) -> None:
        self._looks: dict[str, _Look | None] = {}
        self._methods: dict[str, tuple[_Reader, _Reader]] = {}

    def of_call(self, method: str, request: bytes, reply: bytes) -> tuple[str, ...]:
        """All whom a request (by `/package.Service/Method`) names and its reply shows, each once.

        Nobody in what is no message of that method: the service has refused it.
        """
        method = in_contract(method)
        readers = self._methods.get(method)
        if readers is None:
            try:
                readers = self._methods[method] = self._readers(method)
            except KeyError:
                return ()  # there is no such method; not kept, or anybody could fill the table
        found: dict[str, None] = {}
        for reader, data in zip(readers, (request, reply), strict=True):
            if data and reader is not None:
                kind, look = reader
                try:
                    look.collect(kind.FromString(data), found)
                except DecodeError:
                    continue
        return tuple(found)

    def of_message(self, message: Message) -> tuple[str, ...]:
        """All whom a message names, each once."""
        look = self._look(message.DESCRIPTOR)
        found: dict[str, None] = {}
        if look is not None:
            look.collect(message, found)
        return tuple(found)

    def of_event(self, event_type: str, payload: bytes) -> tuple[str, ...]:
        """All whom an event (by the full name of its message) names, each once; nobody in what is none."""
        try:
            kind = descriptor_pool.Default().FindMessageTypeByName(event_type)
            return self.of_message(message_factory.GetMessageClass(kind).FromString(payload))
        except (KeyError, DecodeError):
            return ()

    def _readers(self, method: str) -> tuple[_Reader, _Reader]:
        service, _, name = method[1:].partition("/")
        found = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
        return self._reader(found.input_type), self._reader(found.output_type)

    def _reader(self, descriptor: Descriptor) -> _Reader:
        look = self._look(descriptor)
        return None if look is None else (message_factory.GetMessageClass(descriptor), look)

    def _look(self, descriptor: Any) -> _Look | None:
        name = descriptor.full_name
        if name not in self._looks:
            made: dict[str, _Look] = {}
            top = _build(descriptor, made)
            self._looks[name] = top if _prune(list(made.values()), top) else None
        return self._looks[name]


_Reader = tuple[type[Message], _Look] | None


def _build(descriptor: Descriptor, made: dict[str, _Look]) -> _Look:
    known = made.get(descriptor.full_name)
    if known is not None:  # a kind may hold itself
        return known
    look = made[descriptor.full_name] = _Look()
    for field in descriptor.fields:
        inner = field.message_type
        if inner is None:
            if field.type == FieldDescriptor.TYPE_STRING and field.name.endswith(("_key", "_keys")):
                (look.many if field.is_repeated else look.one).append(field.name)
        elif inner.GetOptions().map_entry:
            value = inner.fields_by_name["value"].message_type
            if value is not None:
                look.maps.append((field.name, _build(value, made)))
        else:
            place = look.groups if field.is_repeated else look.inner
            place.append((field.name, _build(inner, made)))
    return look


def _prune(looks: list[_Look], top: _Look) -> bool:
    """Leave out what leads to no key; whether the top one does."""
    leading = {id(look) for look in looks if look.one or look.many}
    grown = True
    while grown:
        more = {
            id(look)
            for look in looks
            if id(look) not in leading and any(id(each) in leading for each in look.below())
        }
        leading |= more
        grown = bool(more)
    for look in looks:
        for place in (look.inner, look.groups, look.maps):
            place[:] = [(name, each) for name, each in place if id(each) in leading]
    return id(top) in leading
