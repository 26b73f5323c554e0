"""Read masks: only the fields asked for leave the house (AIP-157)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message

from eldex.common.errors import InvalidRequest, Violation


def keep(message: Message, mask: FieldMask, hidden: Collection[str] = ()) -> None:
    """Clear every field that the mask does not name, at any depth.

    An empty mask names all fields but the `hidden` ones, which must be asked for by name. A path
    that does not exist raises `InvalidRequest`. Paths go through messages and repeated messages.
    """
    if not mask.paths:
        for path in hidden:
            _clear(message, path.split("."))
        return
    for path in mask.paths:
        _check(message.DESCRIPTOR, path)
    _prune(message, [path.split(".") for path in mask.paths])
    for path in hidden:
        if path not in mask.paths:
            _clear(message, path.split("."))


def _check(descriptor: Any, path: str) -> None:
    current = descriptor
    for name in path.split("."):
        field = current.fields_by_name.get(name) if current is not None else None
        if field is None:
            raise InvalidRequest(
                Violation(
                    "read_mask",
                    f"没有字段 {path[:100]}",
                    f"there is no field {path[:100]}",
                    "READ_MASK_INVALID",
                )
            )
        current = field.message_type


def _prune(message: Message, paths: Sequence[Sequence[str]]) -> None:
    whole = {path[0] for path in paths if len(path) == 1}
    deeper: dict[str, list[Sequence[str]]] = {}
    for path in paths:
        if len(path) > 1 and path[0] not in whole:
            deeper.setdefault(path[0], []).append(path[1:])
    for field, value in message.ListFields():
        if field.name in whole:
            continue
        if field.name not in deeper:
            message.ClearField(field.name)
            continue
        for part in value if _repeated(field) else [value]:
            _prune(part, deeper[field.name])


def _clear(message: Message, path: Sequence[str]) -> None:
    name, rest = path[0], path[1:]
    if not rest:
        message.ClearField(name)
        return
    field = message.DESCRIPTOR.fields_by_name[name]
    if _repeated(field):
        for part in getattr(message, name):
            _clear(part, rest)
    elif message.HasField(name):
        _clear(getattr(message, name), rest)


def _repeated(field: Any) -> bool:
    return bool(field.is_repeated)
