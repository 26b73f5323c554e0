"""The protovalidate rules of a field: in words for people, as keywords for JSON Schema."""

from __future__ import annotations

import re
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto

from tools.contract import Contract

FIELD = "buf.validate.field"
MESSAGE = "buf.validate.message"
ONEOF = "buf.validate.oneof"

# {} is the rule's value. What is not listed is told by its name and value, so that no rule is left out.
_WORDS = {
    "const": "is {}",
    "len": "exactly {} characters",
    "min_len": "at least {} characters",
    "max_len": "at most {} characters",
    "len_bytes": "exactly {} bytes",
    "min_bytes": "at least {} bytes",
    "max_bytes": "at most {} bytes",
    "pattern": "matches `{}`",
    "prefix": "begins with {}",
    "suffix": "ends with {}",
    "contains": "contains {}",
    "not_contains": "does not contain {}",
    "in": "one of {}",
    "not_in": "none of {}",
    "lt": "less than {}",
    "lte": "at most {}",
    "gt": "more than {}",
    "gte": "at least {}",
    "min_items": "at least {} items",
    "max_items": "at most {} items",
    "min_pairs": "at least {} entries",
    "max_pairs": "at most {} entries",
    "within": "within {} of now",
}
_ONE = re.compile(r"(character|byte|item)s$")
_FROM_BELOW = ("gt", "gte")
_TRUE_WORDS = {
    "required": "required",
    "defined_only": "a value named here",
    "unique": "no item twice",
    "finite": "a finite number",
    "lt_now": "in the past",
    "gt_now": "in the future",
    "uuid": "a UUID",
    "tuuid": "a UUID without dashes",
    "ulid": "a ULID",
    "email": "an e-mail address",
    "hostname": "a host name",
    "uri": "a URI",
    "uri_ref": "a URI or a relative reference",
    "ip": "an IP address",
}
_FORMATS = {
    "uuid": "uuid",
    "email": "email",
    "hostname": "hostname",
    "uri": "uri",
    "uri_ref": "uri-reference",
}
_KEYWORDS = {
    "min_len": "minLength",
    "max_len": "maxLength",
    "pattern": "pattern",
    "const": "const",
    "gt": "exclusiveMinimum",
    "gte": "minimum",
    "lt": "exclusiveMaximum",
    "lte": "maximum",
    "min_items": "minItems",
    "max_items": "maxItems",
    "min_pairs": "minProperties",
    "max_pairs": "maxProperties",
}
# In proto-JSON these are strings, to which JSON Schema's bounds of numbers do not apply.
_WRITTEN_AS_STRINGS = {
    "int64",
    "uint64",
    "sint64",
    "fixed64",
    "sfixed64",
    "duration",
    "timestamp",
    "bytes",
    "enum",
}


def field_words(contract: Contract, field: FieldDescriptorProto) -> list[str]:
    """What a value of the field must fulfil, one phrase a rule."""
    rules = contract.options(field).get(FIELD)
    return [] if rules is None else _words(rules)


def message_words(contract: Contract, message: DescriptorProto) -> list[str]:
    """What the fields of the message must fulfil together."""
    words = []
    rules = contract.options(message).get(MESSAGE)
    if rules is not None:
        words += _words(rules)
    for oneof in message.oneof_decl:
        oneof_rules = contract.options(oneof).get(ONEOF)
        if oneof_rules is not None and oneof_rules.required:
            words.append(f"one of {oneof.name} is given")
    return words


def is_required(contract: Contract, field: FieldDescriptorProto) -> bool:
    """Whether a valid message always shows the field in proto-JSON."""
    rules = contract.options(field).get(FIELD)
    if rules is None:
        return False
    if rules.required:
        return True
    may_be_absent = field.proto3_optional or field.HasField("oneof_index")
    may_be_zero = bool(rules.ignore)
    return (
        not may_be_absent
        and not may_be_zero
        and bool(rules.string.min_len or rules.repeated.min_items)
    )


def schema_keywords(contract: Contract, field: FieldDescriptorProto) -> dict[str, Any]:
    """The rules that JSON Schema can express about the proto-JSON value; for a repeated field about the list."""
    rules = contract.options(field).get(FIELD)
    if rules is None:
        return {}
    return _optional_when_zero(_keywords(rules), bool(rules.ignore))


def item_keywords(contract: Contract, field: FieldDescriptorProto) -> dict[str, Any]:
    """The same about each item of a repeated field or each value of a map."""
    rules = contract.options(field).get(FIELD)
    if rules is None:
        return {}
    inner = rules.map.values if rules.HasField("map") else rules.repeated.items
    return _keywords(inner)


def _optional_when_zero(keywords: dict[str, Any], ignored: bool) -> dict[str, Any]:
    # A rule that is ignored for the zero value does not bind a reader of the schema.
    return {} if ignored else keywords


def _keywords(rules: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for kind, typed in rules.ListFields():
        if kind.message_type is None or kind.name in _WRITTEN_AS_STRINGS or kind.is_repeated:
            continue
        for rule, value in typed.ListFields():
            if rule.name in _KEYWORDS:
                found[_KEYWORDS[rule.name]] = value
            elif rule.name == "len":
                found |= {"minLength": value, "maxLength": value}
            elif rule.name == "in":
                found["enum"] = list(value)
            elif rule.name == "unique" and value:
                found["uniqueItems"] = True
            elif rule.name in _FORMATS and value:
                found["format"] = _FORMATS[rule.name]
    return found


def _words(rules: Any, prefix: str = "") -> list[str]:
    words: list[str] = []
    for rule, value in sorted(rules.ListFields(), key=lambda each: each[0].name not in _FROM_BELOW):
        if rule.name in {"cel", "cel_expression"}:
            words += [
                f"{prefix}{each if isinstance(each, str) else each.message or each.expression}"
                for each in value
            ]
        elif rule.name == "ignore":
            words.append("unless it is absent or zero" if value == 1 else "not checked")
        elif rule.name in {"items", "keys", "values"}:
            words += _words(
                value,
                {"items": "each: ", "keys": "each key: ", "values": "each value: "}[rule.name],
            )
        elif rule.name == "oneof" and rule.is_repeated:
            words += [
                f"{'exactly' if each.required else 'at most'} one of {', '.join(each.fields)}"
                for each in value
            ]
        elif rule.message_type is not None and not rule.is_repeated and rule.name not in _WORDS:
            words += _words(value, prefix)
        else:
            words.append(prefix + _phrase(rule, value))
    return words


def _phrase(rule: FieldDescriptor, value: Any) -> str:
    if rule.name in _TRUE_WORDS and value is True:
        return _TRUE_WORDS[rule.name]
    shown = ", ".join(_value(each) for each in value) if rule.is_repeated else _value(value)
    phrase = _WORDS.get(rule.name, rule.name.replace("_", " ") + " {}")
    if shown == "1":
        phrase = _ONE.sub(r"\1", phrase)
    return phrase.replace("{}", shown)


def _value(value: Any) -> str:
    if hasattr(value, "seconds"):
        return f"{value.seconds} s"
    return str(value)
