"""JSON Schema (draft 7) of the proto-JSON form of messages."""

from __future__ import annotations

from typing import Any

from google.protobuf.descriptor_pb2 import FieldDescriptorProto

from tools.contract import Contract, MessageType, is_repeated, type_of
from tools.field_rules import field_words, is_required, item_keywords, schema_keywords

_WHOLE = {"type": "integer"}
_WHOLE_AS_STRING = {"type": "string", "pattern": "^-?[0-9]+$"}
_REAL = {"anyOf": [{"type": "number"}, {"enum": ["NaN", "Infinity", "-Infinity"]}]}
_SCALARS: dict[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "bool": {"type": "boolean"},
    "bytes": {"type": "string", "contentEncoding": "base64"},
    "double": _REAL,
    "float": _REAL,
    **dict.fromkeys(("int32", "sint32", "sfixed32", "uint32", "fixed32"), _WHOLE),
    **dict.fromkeys(("int64", "sint64", "sfixed64", "uint64", "fixed64"), _WHOLE_AS_STRING),
}
_WELL_KNOWN: dict[str, dict[str, Any]] = {
    "google.protobuf.Timestamp": {"type": "string", "format": "date-time"},
    "google.protobuf.Duration": {"type": "string", "pattern": "^-?[0-9]+(\\.[0-9]{1,9})?s$"},
    "google.protobuf.FieldMask": {"type": "string"},
    "google.protobuf.Struct": {"type": "object"},
    "google.protobuf.Value": {},
    "google.protobuf.ListValue": {"type": "array"},
    "google.protobuf.Any": {"type": "object", "required": ["@type"]},
    "google.protobuf.Empty": {"type": "object"},
    "google.protobuf.StringValue": _SCALARS["string"],
    "google.protobuf.BytesValue": _SCALARS["bytes"],
    "google.protobuf.BoolValue": _SCALARS["bool"],
    "google.protobuf.DoubleValue": _REAL,
    "google.protobuf.FloatValue": _REAL,
    "google.protobuf.Int32Value": _WHOLE,
    "google.protobuf.UInt32Value": _WHOLE,
    "google.protobuf.Int64Value": _WHOLE_AS_STRING,
    "google.protobuf.UInt64Value": _WHOLE_AS_STRING,
}
_REFERENCE = "#/components/schemas/"


def schemas_of(contract: Contract, roots: list[str]) -> dict[str, Any]:
    """The schemas of the named messages and of everything they hold, by full name, for components/schemas."""
    found: dict[str, Any] = {}
    waiting = list(roots)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        if name in contract.enums:
            found[name] = _enum(contract, name)
        else:
            found[name], held = _message(contract, contract.messages[name])
            waiting += held
    return dict(sorted(found.items()))


def _enum(contract: Contract, name: str) -> dict[str, Any]:
    enum = contract.enums[name]
    lines = [f"{value}: {comment}" for value, comment in enum.value_comments.items() if comment]
    text = "\n\n".join([part for part in (enum.comment, "\n".join(lines)) if part])
    return {
        "title": enum.name,
        "description": text,
        "type": "string",
        "enum": [v.name for v in enum.proto.value],
    }


def _message(contract: Contract, message: MessageType) -> tuple[dict[str, Any], list[str]]:
    properties: dict[str, Any] = {}
    held: list[str] = []
    for field in message.proto.field:
        schema, names = _field(contract, field)
        text = " ".join(message.field_comments[field.name].split())
        words = field_words(contract, field)
        described = f"{text} ({'; '.join(words)})" if words else text
        properties[field.json_name] = {"description": described, **schema} if described else schema
        held += names
    schema = {
        "title": message.name,
        "description": message.comment,
        "type": "object",
        "properties": properties,
    }
    required = [field.json_name for field in message.proto.field if is_required(contract, field)]
    if required:
        schema["required"] = required
    return schema, held


def _field(contract: Contract, field: FieldDescriptorProto) -> tuple[dict[str, Any], list[str]]:
    entry = contract.map_entry(field)
    if entry is not None:
        values, held = _single(entry.field[1], item_keywords(contract, field))
        return {
            "type": "object",
            "additionalProperties": values,
            **schema_keywords(contract, field),
        }, held
    if is_repeated(field):
        items, held = _single(field, item_keywords(contract, field))
        return {"type": "array", "items": items, **schema_keywords(contract, field)}, held
    return _single(field, schema_keywords(contract, field))


def _single(
    field: FieldDescriptorProto, keywords: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    type_ = type_of(field)
    if type_ in _SCALARS:
        return {**_SCALARS[type_], **keywords}, []
    if type_ in _WELL_KNOWN:
        return dict(_WELL_KNOWN[type_]), []
    # In draft 7 a $ref silences its neighbours; allOf lets the field keep its own description.
    return {"allOf": [{"$ref": _REFERENCE + type_}]}, [type_]
