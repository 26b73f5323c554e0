"""Each golden example is a message that the generated code reads, and whose rules it keeps; none is missing or stray."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import protovalidate
import pytest
from google.protobuf import descriptor_pool, json_format, message_factory
from google.protobuf.message import Message
from tools.contract import Contract
from tools.layout import Layout
from tools.rules import example_findings, example_types
from tools.topics import Topic, load_topics

PROTO = Path(__file__).resolve().parents[2] / "proto"
EXAMPLES = sorted(
    path.relative_to(PROTO / "examples").as_posix() for path in (PROTO / "examples").rglob("*.json")
)
IDENTITY_NUMBER = re.compile(r"(?<![0-9])([0-9]{17}[0-9Xx]|[0-9]{15})(?![0-9])")

REGISTRY = """
service RegistryService {
  rpc RegisterDeath(RegisterDeathRequest) returns (RegisterDeathResponse);
  rpc GetResident(GetResidentRequest) returns (GetResidentResponse);
}
message ResidentDeceased { string resident_key = 1; }
message RegisterDeathRequest { string resident_key = 1; }
message RegisterDeathResponse {}
message GetResidentRequest {}
message GetResidentResponse {}
"""


@pytest.fixture(scope="module")
def generated() -> Callable[[str], type[Message]]:
    """The generated class of a message by its full name."""
    for path in sorted((PROTO / "gen" / "eldex").rglob("*_pb2.py")):
        importlib.import_module(".".join(path.relative_to(PROTO / "gen").with_suffix("").parts))

    def class_of(full_name: str) -> type[Message]:
        return message_factory.GetMessageClass(
            descriptor_pool.Default().FindMessageTypeByName(full_name)
        )

    return class_of


def decode(text: str, message: Message) -> Message:
    """Reads proto-JSON strictly: an unknown field, a repeated key or a wrong type is an error."""
    if not text.lstrip().startswith("{"):
        # protobuf takes [] for an empty message.
        raise json_format.ParseError("expected a JSON object")
    return json_format.Parse(text, message, ignore_unknown_fields=False)


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_decodes_and_keeps_the_rules(
    name: str,
    contract: Contract,
    topics: dict[str, Topic],
    generated: Callable[[str], type[Message]],
) -> None:
    message = generated(example_types(contract, topics)[name])()
    decode((PROTO / "examples" / name).read_text("utf-8"), message)
    protovalidate.validate(message)
    assert message.ByteSize() > 0 or not message.DESCRIPTOR.fields, (
        "an example that says nothing explains nothing"
    )


@pytest.mark.parametrize("name", EXAMPLES)
def test_no_example_of_an_event_shows_an_identity_number(
    name: str, topics: dict[str, Topic]
) -> None:
    if name.partition("/")[0] in topics:
        assert not IDENTITY_NUMBER.search((PROTO / "examples" / name).read_text("utf-8"))


def test_no_example_is_missing_and_none_stands_for_nothing(
    layout: Layout, contract: Contract, topics: dict[str, Topic]
) -> None:
    assert example_findings(layout, contract, topics) == []


@pytest.mark.parametrize(
    "text",
    [
        '{"_comment": "a death"}',
        '{"residentKey": 7}',
        '{"residentKey": "a", "residentKey": "b"}',
        "{",
        "[]",
    ],
)
def test_a_wrong_example_does_not_decode(text: str, contract_of: Callable[[str], Contract]) -> None:
    deceased = contract_of(REGISTRY).message_class("eldex.api.registry.v1.ResidentDeceased")
    with pytest.raises(json_format.ParseError):
        decode(text, deceased())


@pytest.mark.parametrize(
    "number", ["11010119490307002X", "110101490307002", "证件 110101194903070020。"]
)
def test_an_identity_number_would_be_seen(number: str) -> None:
    """The numbers are fictional."""
    assert IDENTITY_NUMBER.search(json.dumps({"evidence": number}, ensure_ascii=False))


def test_what_only_looks_long_is_no_identity_number() -> None:
    assert not IDENTITY_NUMBER.search(
        '{"regionCode": "110101001001", "eventId": "1234567890123456789012"}'
    )


def test_examples_that_are_missing_or_stray_are_named(
    sample: Layout, contract_of: Callable[[str], Contract]
) -> None:
    (sample.topics / "registry-residents.yaml").write_text(
        "purpose: {zh: 居民的事实, en: Facts}\nproducer: registry\nconsumers: [registry]\nkey: resident_key\n"
        "partitions: 1\nretention: 1 day\nevents: [eldex.api.registry.v1.ResidentDeceased]\ndead_letters: dead\n",
        "utf-8",
    )
    (sample.examples / "registry").mkdir()
    for stem in ("register_death_request", "get_resident_request", "bury_resident_request"):
        (sample.examples / "registry" / f"{stem}.json").write_text("{}", "utf-8")
    findings = example_findings(sample, contract_of(REGISTRY), load_topics(sample.topics))
    assert [finding.partition(";")[0].partition(": stands")[0] for finding in findings] == [
        "examples/registry-residents/resident_deceased.json: missing",
        "examples/registry/register_death_response.json: missing",
        "examples/registry/bury_resident_request.json",
    ]
