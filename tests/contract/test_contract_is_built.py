"""The committed code and documents are what the contract generates, and the build notices when anything is not so."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import build
import protovalidate
import pytest
import yaml
from buf.validate import validate_pb2
from google.protobuf import descriptor_pb2
from jsonschema import Draft7Validator
from tools import compiler
from tools.asyncapi import validation_findings
from tools.contract import Contract, snake
from tools.field_rules import field_words, message_words
from tools.json_schema import schemas_of
from tools.layout import ContractError, Layout

from eldex.api.registry.v1 import registry_service_pb2
from eldex.common.outbox import record_of

EVENTS = "eldex/api/registry/v1/resident_events.proto"
TOPIC = "topics/registry-residents.yaml"
EXAMPLE = "examples/registry-residents/resident_deceased.json"
STUB = "gen/eldex/api/registry/v1/resident_events_pb2.pyi"
SHARING = "eldex/api/sharing/v1/sharing.proto"
EVENT_LINES = """
import "eldex/api/sharing/v1/sharing.proto";

// A person has died.
message ResidentDeceased {
  option (sharing.v1.about) = "eldex.api.registry.v1.CheckDeathResponse";

  // The person.
  string resident_key = 1 [(sharing.v1.personal) = "居民标识"];
}
"""
TOPIC_LINES = """
purpose: {zh: 居民的事实, en: Facts about residents}
producer: registry
consumers: [registry]
key: resident_key
partitions: 1
retention: 1 day
events: [eldex.api.registry.v1.ResidentDeceased]
dead_letters: registry-residents-dead-letters
"""
SERVICE_LINES = """
import "eldex/api/sharing/v1/sharing.proto";

// Who a resident is.
service RegistryService {
  // Check that a death is known. A second question changes nothing.
  //
  // Errors: RESIDENT_NOT_FOUND, or ALREADY_MERGED where two
  // residents became one.
  rpc CheckDeath(CheckDeathRequest) returns (CheckDeathResponse);
}

// A question.
message CheckDeathRequest {
  // The person.
  string resident_key = 1;
}

// An answer.
message CheckDeathResponse {
  option (sharing.v1.resource) = {
    code: "101001/000001"
    name_zh: "死亡核验"
    name_en: "Check of a death"
    abstract: "是否已登记死亡。"
    provider: "police"
    update_cycle: UPDATE_CYCLE_REAL_TIME
    mode: SHARING_MODE_VERIFICATION
    conditions: "履职所需"
  };

  // Whether the death is known.
  bool known = 1 [(sharing.v1.personal) = "是否死亡"];
}
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small contract that keeps every rule, generated, documented and released."""
    layout = Layout(tmp_path_factory.mktemp("house") / "proto")
    head = 'syntax = "proto3";\n\npackage eldex.api.registry.v1;\n'
    for name, text in {
        EVENTS: head + EVENT_LINES,
        "eldex/api/registry/v1/registry_service.proto": head + SERVICE_LINES,
        TOPIC: TOPIC_LINES,
        EXAMPLE: '{"residentKey": "r-1949"}',
        SHARING: (build.HOME / SHARING).read_text("utf-8"),
        "buf.yaml": (build.HOME / "buf.yaml").read_text("utf-8"),
    }.items():
        (layout.root / name).parent.mkdir(parents=True, exist_ok=True)
        (layout.root / name).write_text(text, "utf-8")
    assert run(layout, "generate", "docs", "release", "check") == 0
    return layout.root.parent


@pytest.fixture
def house(built: Path, tmp_path: Path) -> Layout:
    """A copy of that contract, to be changed."""
    shutil.copytree(built, tmp_path / "house")
    return Layout(tmp_path / "house" / "proto")


def run(layout: Layout, *commands: str) -> int:
    """What `python proto/build.py <commands>` would end with for that contract."""
    return build.main([*commands, "--root", str(layout.root)])


def change(path: Path, old: str, new: str) -> None:
    """Replaces a text that must be there."""
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def test_the_house_keeps_everything_it_checks(
    layout: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    """Generated code and documents up to date, style, format, compatibility, topics, examples."""
    assert run(layout, "check") == 0, capsys.readouterr().err


def test_generating_twice_gives_the_same_bytes(house: Layout) -> None:
    first = {path: path.read_bytes() for path in house.generated.rglob("*") if path.is_file()}
    shutil.rmtree(house.generated)
    assert run(house, "generate") == 0
    assert {
        path: path.read_bytes() for path in house.generated.rglob("*") if path.is_file()
    } == first


def test_what_is_no_longer_in_the_contract_leaves_the_generated_code(house: Layout) -> None:
    (house.sources / "registry" / "v1" / "registry_service.proto").unlink()
    kept = house.generated / "eldex" / "api" / "registry" / "v1"
    assert (kept / "registry_service_pb2.py").is_file()
    assert run(house, "generate") == 0
    assert sorted(path.name for path in kept.iterdir()) == [
        "resident_events_pb2.py",
        "resident_events_pb2.pyi",
    ]


@pytest.mark.parametrize(
    ("file", "edit", "says"),
    [
        (EVENTS, ("  // The person.\n", ""), "should have a non-empty comment"),
        (EVENTS, ("resident_key", "residentKey"), "should be lower_snake_case"),
        (EVENTS, ("  string", "      string"), "not formatted"),
        (EVENTS, ("string resident_key = 1", "bytes resident_key = 1"), "changed type"),
        (EVENTS, ('标识"];', '标识"]'), "resident_events.proto:13:1: Expected"),
        (EVENTS, (' [(sharing.v1.personal) = "居民标识"]', ""), "resident_key: no sharing class"),
        (TOPIC, ("retention: 1 day", "retention: soon"), "retention: expected a number of hours"),
        (TOPIC, ("[registry]", "[medical]"), "no service medical"),
        (TOPIC, ("partitions: 1", "partitions: 2"), "asyncapi.yaml: not what the contract"),
        (EXAMPLE, ("residentKey", "name"), 'no field named "name"'),
        (STUB, ("ResidentDeceased", "ResidentRisen"), "run `python proto/build.py generate`"),
        ("docs/asyncapi.yaml", ("Deceased", "Risen"), "asyncapi.yaml: not what the contract"),
    ],
)
def test_the_check_names_what_is_wrong(
    file: str, edit: tuple[str, str], says: str, house: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    change(house.root / file, *edit)
    assert run(house, "check") == 1
    lines = capsys.readouterr().err.splitlines()
    assert any(says in line for line in lines), lines
    assert all(line.startswith("contract: ") for line in lines)


def test_a_breaking_contract_is_not_released(
    house: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    before = house.released.read_bytes()
    change(
        house.sources / "registry" / "v1" / "resident_events.proto",
        "resident_key = 1",
        "resident_key = 2",
    )
    assert run(house, "release") == 1
    assert "not released: readers would break" in capsys.readouterr().err
    assert house.released.read_bytes() == before


def test_a_contract_that_was_never_released_says_so(
    house: Layout, capsys: pytest.CaptureFixture[str]
) -> None:
    house.released.unlink()
    assert run(house, "check") == 1
    assert (
        "no released contract to compare with; run `python proto/build.py release` once"
        in capsys.readouterr().err
    )


def test_a_generator_of_another_version_is_refused(tmp_path: Path) -> None:
    pins = tmp_path / "dev.in"
    pins.write_text("grpcio-tools==0.0.1\n", "utf-8")
    with pytest.raises(
        ContractError, match=r"grpcio-tools: .* is installed, 0\.0\.1 is pinned; run `make setup`"
    ):
        compiler.check_generators([pins])


def test_the_rules_of_the_contract_are_known_at_run_time() -> None:
    """The generated rules are the ones that the installed protovalidate applies."""
    field = registry_service_pb2.RegisterDeathRequest.DESCRIPTOR.fields_by_name["request_id"]
    assert field.GetOptions().Extensions[validate_pb2.field].string.uuid
    with pytest.raises(protovalidate.ValidationError) as refused:
        protovalidate.validate(
            registry_service_pb2.RegisterDeathRequest(request_id="twice", resident_key="r")
        )
    assert "request_id" in str(refused.value)


def test_the_asyncapi_document_is_held_to_its_schema(layout: Layout) -> None:
    document = yaml.safe_load(layout.asyncapi.read_text("utf-8"))
    assert validation_findings(document) == []
    assert (
        document["channels"]["registry-residents"]["bindings"]["kafka"]["topicConfiguration"][
            "retention.ms"
        ]
        > 0
    )
    broken = copy.deepcopy(document)
    broken["operations"]["registry.send.registry-residents"]["action"] = "whisper"
    assert any("whisper" in finding for finding in validation_findings(broken))
    wrong = copy.deepcopy(document)
    message = wrong["components"]["messages"]["eldex.api.registry.v1.ResidentDeceased"]
    message["examples"] = [{"payload": {"residentKey": 7}}]
    assert validation_findings(wrong) == [
        "example of eldex.api.registry.v1.ResidentDeceased: $.residentKey: 7 is not of type 'string'"
    ]


def test_the_headers_of_a_published_event_are_the_documented_ones(layout: Layout) -> None:
    document = yaml.safe_load(layout.asyncapi.read_text("utf-8"))
    documented = document["components"]["schemas"]["CloudEvent"]
    headers = Draft7Validator(documented)
    record = record_of(
        {
            "_id": "evt-1",
            "aggregatetype": "registry-residents",
            "aggregateid": "resident-1",
            "type": "eldex.api.registry.v1.ResidentDeceased",
            "payload": b"",
            "timestamp": datetime(2026, 11, 4, 2, 20, 11, tzinfo=UTC),
            "sequence": 3,
            "source": "//xingyao/registry",
            "regions": "110105001001,110108012003",
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        }
    )
    assert list(headers.iter_errors(record.headers)) == []
    assert set(record.headers) == set(documented["properties"])
    without = {key: value for key, value in record.headers.items() if key != "ce_id"}
    assert [error.message for error in headers.iter_errors(without)] == [
        "'ce_id' is a required property"
    ]


def test_the_reference_shows_reasons_apart_from_what_a_call_does(house: Layout) -> None:
    page = house.reference.read_text("utf-8")
    assert "| `CheckDeath` | `RESIDENT_NOT_FOUND`, `ALREADY_MERGED` |" in page
    assert "Check that a death is known. A second question changes nothing. |" in page


@pytest.mark.parametrize(
    ("field", "words", "schema"),
    [
        ("string.uuid = true", ["a UUID"], {"format": "uuid"}),
        (
            "string = {min_len: 1, max_len: 9}",
            ["at least 1 character", "at most 9 characters"],
            {"maxLength": 9},
        ),
        ('string.pattern = "^[0-9]{6}$"', ["matches `^[0-9]{6}$`"], {"pattern": "^[0-9]{6}$"}),
        ('string = {in: ["a", "b"]}', ["one of a, b"], {"enum": ["a", "b"]}),
        ("required = true", ["required"], {}),
        ('cel = {id: "x", message: "not both", expression: "true"}', ["not both"], {}),
        ("ignore = IGNORE_IF_ZERO_VALUE, (buf.validate.field).string.len = 6", None, {}),
    ],
)
def test_a_rule_reads_the_same_in_words_and_in_the_schema(
    field: str,
    words: list[str] | None,
    schema: dict[str, object],
    contract_of: Callable[[str], Contract],
) -> None:
    contract = contract_of(
        'import "buf/validate/validate.proto";\n'
        f"message ResidentMoved {{ string region_code = 1 [(buf.validate.field).{field}]; }}"
    )
    moved = contract.messages["eldex.api.registry.v1.ResidentMoved"]
    expected = words or ["exactly 6 characters", "unless it is absent or zero"]
    assert field_words(contract, moved.proto.field[0]) == expected
    made = schemas_of(contract, [moved.full_name])[moved.full_name]["properties"]["regionCode"]
    assert schema.items() <= made.items()


def test_rules_between_fields_are_told_in_words(contract_of: Callable[[str], Contract]) -> None:
    contract = contract_of("""
        import "buf/validate/validate.proto";
        message ResidentMoved {
          option (buf.validate.message).cel = {id: "m", message: "moves to another division", expression: "true"};
          oneof proof { option (buf.validate.oneof).required = true; string certificate = 1; string decision = 2; }
          map<string, int64> days = 3 [(buf.validate.field).map = {max_pairs: 3, values: {int64: {gte: 0}}}];
        }
    """)
    moved = contract.messages["eldex.api.registry.v1.ResidentMoved"]
    assert message_words(contract, moved.proto) == [
        "moves to another division",
        "one of proof is given",
    ]
    assert field_words(contract, moved.proto.field[2]) == [
        "at most 3 entries",
        "each value: at least 0",
    ]
    made = schemas_of(contract, [moved.full_name])[moved.full_name]["properties"]["days"]
    assert (made["maxProperties"], made["additionalProperties"]["type"]) == (3, "string")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ResidentDeceased", "resident_deceased"),
        ("FileUSCC", "file_uscc"),
        ("USCCFiled", "uscc_filed"),
    ],
)
def test_files_of_examples_are_named_after_their_message(name: str, expected: str) -> None:
    assert snake(name) == expected


def test_a_released_contract_keeps_no_comments(layout: Layout) -> None:
    released = descriptor_pb2.FileDescriptorSet.FromString(layout.released.read_bytes())
    assert any(file.name.startswith("eldex/api/") for file in released.file)
    assert not any(file.HasField("source_code_info") for file in released.file)
