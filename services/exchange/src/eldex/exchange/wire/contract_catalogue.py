"""The catalogue as the contract says it: the options of `eldex.api.sharing.v1`, read off the descriptors.

Nothing of it is typed a second time: who changes a class changes the field that is served.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor

from eldex.api.sharing.v1 import sharing_pb2 as sharing
from eldex.common.contract import load_contract
from eldex.exchange.domain.catalogue import (
    Description,
    Door,
    Item,
    PersonalInformation,
    Provider,
    SharingClass,
    SharingMode,
    UpdateCycle,
)

_OURS: Final = "eldex.api."
_ONCE: Final = "request_id"
"""A call that writes carries it (a rule of the contract); what it answers is no reading."""
_OPTIONS: Final = (
    (sharing.unconditional, SharingClass.UNCONDITIONAL, PersonalInformation.NONE),
    (sharing.conditional, SharingClass.CONDITIONAL, PersonalInformation.NONE),
    (sharing.personal, SharingClass.CONDITIONAL, PersonalInformation.PERSONAL),
    (sharing.sensitive, SharingClass.CONDITIONAL, PersonalInformation.SENSITIVE),
)
"""From the widest to the strictest; not shared is stricter still."""
_NOT_SHARED: Final = len(_OPTIONS)


def described(providers: Mapping[str, Provider]) -> list[Description]:
    """Every resource of the contract, in the order of their codes."""
    doors: dict[str, list[Door]] = defaultdict(list)
    events: dict[str, list[str]] = defaultdict(list)
    resources: dict[str, Descriptor] = {}
    for file in _files():
        for message in file.message_types_by_name.values():
            options = message.GetOptions()
            if options.HasExtension(sharing.resource):
                resources[message.full_name] = message
            if options.HasExtension(sharing.about):
                events[options.Extensions[sharing.about]].append(message.full_name)
        for service in file.services_by_name.values():
            for method in service.methods:
                for name, door in _doors(method):
                    doors[name].append(door)
    found = [
        _description(message, providers, doors[name], events[name])
        for name, message in resources.items()
    ]
    return sorted(found, key=lambda each: each.code)


def methods_of(pattern: str) -> list[str]:
    """The methods that an agreement's `/<service>/*` stands for, or the one that it names."""
    service, _, name = pattern[1:].rpartition("/")
    found = [
        f"/{each.full_name}/{method.name}"
        for file in _files()
        for each in file.services_by_name.values()
        for method in each.methods
        if each.full_name == service and name in {"*", method.name}
    ]
    return sorted(found)


def services() -> list[str]:
    """Every service of the contract, by its full name."""
    return [each.full_name for file in _files() for each in file.services_by_name.values()]


def _files() -> list[Any]:
    load_contract()
    return [
        module.DESCRIPTOR
        for name, module in sorted(sys.modules.items())
        if name.startswith(_OURS) and name.endswith("_pb2")
    ]


def _doors(method: MethodDescriptor) -> Iterator[tuple[str, Door]]:
    if _ONCE in method.input_type.fields_by_name:
        return
    fields = tuple(field.name for field in method.input_type.fields)
    path = f"/{method.containing_service.full_name}/{method.name}"

    def walk(message: Descriptor, above: tuple[str, ...]) -> Iterator[tuple[str, Door]]:
        if message.GetOptions().HasExtension(sharing.resource):
            yield message.full_name, Door(path, ".".join(above), fields)
            return
        for field in message.fields:
            inner = _ours(field)
            if inner is not None:
                yield from walk(inner, (*above, field.name))

    yield from walk(method.output_type, ())


def _description(
    message: Descriptor, providers: Mapping[str, Provider], doors: list[Door], events: list[str]
) -> Description:
    resource = message.GetOptions().Extensions[sharing.resource]
    return Description(
        code=resource.code,
        name_zh=resource.name_zh,
        name_en=resource.name_en,
        abstract=resource.abstract,
        provider=providers.get(resource.provider, Provider(resource.provider)),
        items=tuple(_items(message, (), (), 0, "", frozenset())),
        conditions=resource.conditions,
        mode=_MODES[resource.mode],
        update_cycle=_CYCLES[resource.update_cycle],
        open_to_public=resource.open_to_public,
        doors=tuple(sorted(doors, key=lambda door: (door.method, door.prefix))),
        event_types=tuple(sorted(events)),
    )


def _items(
    message: Descriptor,
    path: tuple[str, ...],
    names: tuple[str, ...],
    least: int,
    law: str,
    above: frozenset[str],
) -> Iterator[Item]:
    """The leaves of a message, each as strict as the strictest option on the way to it."""
    for field in message.fields:
        strictness, name, own_law = _read(field)
        here, named = (*path, field.name), (*names, name)
        strictest, forbidden_by = max(least, strictness), own_law or law
        inner = _ours(field)
        if inner is None:
            yield _item(field, here, named, strictest, forbidden_by)
        elif inner.full_name not in above:
            seen = above | {message.full_name}
            yield from _items(inner, here, named, strictest, forbidden_by, seen)


def _read(field: FieldDescriptor) -> tuple[int, str, str]:
    """Strictness, Chinese name and law of a field."""
    options = field.GetOptions()
    for strictness, (option, _, _) in enumerate(_OPTIONS):
        if options.HasExtension(option):
            return strictness, options.Extensions[option], ""
    if options.HasExtension(sharing.part):
        return 0, options.Extensions[sharing.part], ""
    # A field without a class fails the build of the contract; were it here, it would be kept back.
    kept = options.Extensions[sharing.not_shared]
    return _NOT_SHARED, kept.name or field.name, kept.law


def _item(
    field: FieldDescriptor, path: tuple[str, ...], names: tuple[str, ...], strictness: int, law: str
) -> Item:
    joined, name, type_ = ".".join(path), "·".join(names), type_of(field)
    if strictness == _NOT_SHARED:
        return Item(joined, name, type_, SharingClass.NOT_SHARED, PersonalInformation.NONE, law)
    _, class_, personal = _OPTIONS[strictness]
    return Item(joined, name, type_, class_, personal)


def type_of(field: FieldDescriptor) -> str:
    """The type as the contract writes it."""
    if field.message_type is not None:
        name = field.message_type.full_name
    elif field.enum_type is not None:
        name = field.enum_type.full_name
    else:
        name = _SCALARS[field.type]
    if field.name.endswith("_fen"):
        name = "fen"
    return f"repeated {name}" if field.is_repeated else name


def _ours(field: FieldDescriptor) -> Descriptor | None:
    """The message of ours that a field holds, or None."""
    found: Descriptor | None = field.message_type
    return found if found is not None and found.full_name.startswith(_OURS) else None


_SCALARS: Final = {
    getattr(FieldDescriptor, name): name.removeprefix("TYPE_").lower()
    for name in dir(FieldDescriptor)
    if name.startswith("TYPE_")
}
_MODES: Final = {
    sharing.SHARING_MODE_SERVICE: SharingMode.SERVICE,
    sharing.SHARING_MODE_VERIFICATION: SharingMode.VERIFICATION,
}
_CYCLES: Final = {
    sharing.UPDATE_CYCLE_REAL_TIME: UpdateCycle.REAL_TIME,
    sharing.UPDATE_CYCLE_MONTHLY: UpdateCycle.MONTHLY,
    sharing.UPDATE_CYCLE_YEARLY: UpdateCycle.YEARLY,
    sharing.UPDATE_CYCLE_AS_NEEDED: UpdateCycle.AS_NEEDED,
}
