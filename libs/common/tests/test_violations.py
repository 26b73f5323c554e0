"""What is wrong with a field is said in words an official can act on, whatever the rule."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import protovalidate
import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from eldex.api.operations.v1 import operations_service_pb2 as pb
from eldex.common.contract import load_contract
from eldex.common.errors import InvalidRequest, Violation
from eldex.common.rpc.status import failure, violation

VALIDATOR = protovalidate.Validator()
NUMBER = "11010519491231002X"  # the standard's own example (GB 11643), nobody's
F = FieldDescriptor


def found_in(message: Message) -> list[Violation]:
    return [violation(each) for each in VALIDATOR.collect_violations(message)]


def requests() -> Iterator[type[Message]]:
    """The request of every method of the contract."""
    load_contract()
    pool = descriptor_pool.Default()
    for name in ("registry", "medical", "subsidies", "institutions", "credit", "exchange"):
        service = pool.FindServiceByName(f"eldex.api.{name}.v1.{name.capitalize()}Service")
        for method in service.methods:
            yield message_factory.GetMessageClass(method.input_type)


def filled(kind: type[Message], depth: int = 0) -> Message:
    """A message whose every field breaks what rules it may have: too long, too large, too many."""
    message = kind()
    for field in message.DESCRIPTOR.fields:
        if field.message_type is not None:
            if depth > 3 or field.message_type.GetOptions().map_entry:
                continue
            target = getattr(message, field.name)
            inner: Any = field.message_type
            part = filled(message_factory.GetMessageClass(inner), depth + 1)
            if field.is_repeated:
                target.append(part)
            else:
                target.CopyFrom(part)
            continue
        value: object = NUMBER * 300
        if field.type == F.TYPE_ENUM:
            value = 9_999
        elif field.type == F.TYPE_BOOL:
            value = True
        elif field.type == F.TYPE_BYTES:
            value = b"x" * 100_000
        elif field.cpp_type in {F.CPPTYPE_DOUBLE, F.CPPTYPE_FLOAT}:
            value = -1e9
        elif field.type != F.TYPE_STRING:
            value = 2**31 - 1
        if field.is_repeated:
            item = value[:1_000] if isinstance(value, str | bytes) else value
            getattr(message, field.name).extend([item] * 1_100)
        else:
            setattr(message, field.name, value)
    return message


@pytest.mark.parametrize("how", ["empty", "overfull"])
def test_every_rule_of_the_contract_has_words_in_both_languages(how: str) -> None:
    speechless: set[str] = set()
    fields: set[str] = set()
    seen = 0
    for kind in requests():
        for each in found_in(kind() if how == "empty" else filled(kind)):
            seen += 1
            if not re.search("[一-鿿]", each.zh) or not re.search("[A-Za-z]", each.en):
                speechless.add(f"{kind.DESCRIPTOR.full_name}: {each}")
            if "不符合规则" in each.zh:
                speechless.add(f"{each.rule}: {each.en}")
            assert NUMBER not in each.zh + each.en
            fields.add(each.field)
    assert how == "empty" or any(re.fullmatch(r"\w+\[0\]\.\w+", field) for field in fields)
    assert "" not in fields
    assert seen > 50
    assert not speechless


def test_a_field_inside_is_named_by_its_path() -> None:
    request = pb.ReplayDeadLetterRequest(request_id="x", dead_letter_key="")
    assert {each.field: each.rule for each in found_in(request)} == {
        "request_id": "STRING_UUID",
        "dead_letter_key": "STRING_MIN_LEN",
    }
    (each,) = found_in(pb.ListDeadLettersRequest(page_size=501))
    assert (each.field, each.zh) == ("page_size", "必须在 0 与 500 之间")
    assert "500" in each.en


def test_a_request_of_thousands_of_wrong_items_is_told_of_ten_that_fit_into_what_a_client_takes() -> (
    None
):
    error = InvalidRequest(*(Violation(f"region_codes[{n}]", "格式", "form") for n in range(3_000)))
    told = failure(error, "zh")
    assert len(error.violations) == 10
    assert "3000" in told.message
    assert len(told.details) < 4_096
