"""The sharing classes (共享属性) on the fields: every field that a department answers with or tells has exactly one.

A class is an option of `eldex/api/sharing/v1/sharing.proto`; there is no default, so a new field without one fails the build.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto

from tools.contract import Contract, MessageType, Rpc, type_of
from tools.layout import PACKAGE

OPTIONS = f"{PACKAGE}.sharing.v1"
CLASSES = ("unconditional", "conditional", "personal", "sensitive", "not_shared")
"""From the widest to the strictest."""
PART = "part"
WORDS = {
    "unconditional": "无条件 unconditional",
    "conditional": "有条件 conditional",
    "personal": "有条件 conditional, personal",
    "sensitive": "有条件 conditional, sensitive",
    "not_shared": "不予 not shared",
}
NO_DEPARTMENTS = frozenset({"exchange", "operations", "trunk", "console"})
"""Parts of the contract that hold nothing of their own to share."""
PAGING = "next_page_token"

_CODE = re.compile(r"^[1-3][0-9]{5}/[0-9]{6}$")
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_LAW = re.compile(r"《.+》")


@dataclass(frozen=True, slots=True)
class Shared:
    """What stands on a field."""

    kind: str
    name: str
    law: str = ""


def shared(contract: Contract, field: FieldDescriptorProto) -> list[Shared]:
    """Every sharing option of a field; rightly there is one."""
    found = []
    for name, value in contract.options(field).items():
        package, _, kind = name.rpartition(".")
        if package == OPTIONS and kind == "not_shared":
            found.append(Shared(kind, value.name, value.law))
        elif package == OPTIONS and kind in {*CLASSES, PART}:
            found.append(Shared(kind, value))
    return found


def resource_of(contract: Contract, message: MessageType) -> Any | None:
    """The resource that a message is, or None."""
    return contract.options(message.proto).get(f"{OPTIONS}.resource")


def reads(contract: Contract) -> Iterator[Rpc]:
    """The reading calls of the departments."""
    for rpc in contract.rpcs():
        if not rpc.is_write and rpc.department not in NO_DEPARTMENTS:
            yield rpc


def told(contract: Contract) -> list[MessageType]:
    """Every message that a department answers with or tells, with all that is in it."""
    found: dict[str, MessageType] = {}

    def walk(name: str) -> None:
        message = contract.messages.get(name)
        if message is None or name in found or not name.startswith(PACKAGE + "."):
            return
        found[name] = message
        for field in message.proto.field:
            walk(type_of(field))

    for rpc in reads(contract):
        walk(rpc.response)
    for event in contract.events.values():
        if event.department not in NO_DEPARTMENTS:
            walk(event.full_name)
    return list(found.values())


def every_field_has_a_class(contract: Contract) -> list[str]:
    """Every field that is answered or told has exactly one class and a Chinese name."""
    findings = []
    for message in told(contract):
        for field in message.proto.field:
            where = f"{message.full_name}.{field.name}"
            options = shared(contract, field)
            if len(options) != 1:
                how = "no sharing class" if not options else "more than one sharing class"
                findings.append(
                    f"{where}: {how}; give it one of (sharing.v1.{', '.join(CLASSES)}), or part"
                )
                continue
            (option,) = options
            if not _CHINESE.search(option.name):
                findings.append(f"{where}: its sharing option must name it in Chinese")
            if option.kind == "not_shared" and not _LAW.search(option.law):
                findings.append(f"{where}: not shared must name the 《law》 that forbids it")
            inner = contract.messages.get(type_of(field))
            if option.kind == PART and (
                inner is None or not inner.full_name.startswith(PACKAGE + ".")
            ):
                findings.append(f"{where}: only a message of ours is a part; give it a class")
    return findings


def every_answer_is_of_a_resource(contract: Contract) -> list[str]:
    """What a reading call answers lies in resources, and every event tells of one of its department's."""
    findings = []
    for rpc in reads(contract):
        findings += [
            f"{rpc.full_name}: {path} belongs to no resource; give the message an option (sharing.v1.resource)"
            for path in _outside(contract, contract.messages[rpc.response])
        ]
    for event in contract.events.values():
        if event.department in NO_DEPARTMENTS:
            continue
        name = contract.options(event.proto).get(f"{OPTIONS}.about", "")
        message = contract.messages.get(name)
        if message is None or resource_of(contract, message) is None:
            findings.append(f"{event.full_name}: (sharing.v1.about) must name a resource's message")
        elif message.department != event.department:
            findings.append(f"{event.full_name}: tells of a resource of {message.department}")
    return findings


def resources_are_complete(contract: Contract) -> list[str]:
    """Every resource has a code of its own, its names, provider, cycle and mode, and conditions if it needs them."""
    findings: list[str] = []
    codes: dict[str, str] = {}
    for message in contract.own_messages:
        resource = resource_of(contract, message)
        if resource is None:
            continue
        where = message.full_name
        if not _CODE.match(resource.code):
            findings.append(f"{where}: code {resource.code!r} is not 000000/000000, from 1 to 3")
        if resource.code in codes:
            findings.append(f"{where}: {codes[resource.code]} has the code {resource.code}, too")
        codes[resource.code] = where
        needed = ("name_zh", "name_en", "abstract", "provider", "update_cycle", "mode")
        findings += [f"{where}: its resource needs {n}" for n in needed if not getattr(resource, n)]
        kinds = {kind for _, kind, _ in items(contract, message)}
        if not kinds:
            findings.append(f"{where}: a resource without items")
        if bool(resource.conditions) != bool(kinds & set(CLASSES[1:4])):
            findings.append(f"{where}: conditions belong to a resource with conditional items")
        if resource.open_to_public and "unconditional" not in kinds:
            findings.append(f"{where}: nothing in it can be open to the public")
    return findings


SHARING_RULES: tuple[Callable[[Contract], list[str]], ...] = (
    every_field_has_a_class,
    every_answer_is_of_a_resource,
    resources_are_complete,
)


def sharing_findings(contract: Contract) -> list[str]:
    """All rules about what is shared."""
    return [finding for rule in SHARING_RULES for finding in rule(contract)]


def items(
    contract: Contract,
    message: MessageType,
    above: tuple[str, ...] = (),
    least: str = CLASSES[0],
    seen: frozenset[str] = frozenset(),
) -> Iterator[tuple[str, str, FieldDescriptorProto]]:
    """The items of a message: path, class (the strictest on the way), field. Parts are entered, resources too."""
    for field in message.proto.field:
        option = next(iter(shared(contract, field)), None)
        if option is None:
            continue
        strictest = least
        if option.kind != PART:
            strictest = max(least, option.kind, key=CLASSES.index)
        inner = contract.messages.get(type_of(field))
        path = (*above, field.name)
        if inner is None or not inner.full_name.startswith(PACKAGE + "."):
            yield ".".join(path), strictest, field
        elif inner.full_name not in seen:
            yield from items(contract, inner, path, strictest, seen | {message.full_name})


def _outside(
    contract: Contract, message: MessageType, above: tuple[str, ...] = ()
) -> Iterator[str]:
    """The fields of a response that lie in no resource."""
    if resource_of(contract, message) is not None:
        return
    for field in message.proto.field:
        inner = contract.messages.get(type_of(field))
        path = (*above, field.name)
        if inner is not None and inner.full_name.startswith(PACKAGE + "."):
            yield from _outside(contract, inner, path)
        elif field.name != PAGING:
            yield ".".join(path)
