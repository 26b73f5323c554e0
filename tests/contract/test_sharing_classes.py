"""What a department answers or tells says on the field itself whether it may be shared, or the build fails."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tools import sharing
from tools.compiler import compile_image
from tools.contract import Contract
from tools.layout import Layout

Compile = Callable[[str], Contract]
ROOT = Path(__file__).parents[2]

RESIDENT = """
    import "eldex/api/sharing/v1/sharing.proto";
    service RegistryService { rpc GetResident(GetResidentRequest) returns (GetResidentResponse); }
    message GetResidentRequest {}
    message GetResidentResponse { Resident resident = 1 [(sharing.v1.part) = "居民"]; }
    message Resident {
      option (sharing.v1.resource) = {
        code: "101001/000001"
        name_zh: "居民"
        name_en: "Residents"
        abstract: "居民。"
        provider: "police"
        update_cycle: UPDATE_CYCLE_REAL_TIME
        mode: SHARING_MODE_SERVICE
        conditions: "履职所需"
      };
      string name = 1 [(sharing.v1.personal) = "姓名"];
      FIELD
    }
"""


@pytest.fixture
def resident_with(sample: Layout, contract_of: Compile) -> Compile:
    """A registry whose residents have one more field."""
    options = sample.sources / "sharing" / "v1" / "sharing.proto"
    options.parent.mkdir(parents=True)
    source = ROOT / "proto" / "eldex" / "api" / "sharing" / "v1" / "sharing.proto"
    options.write_text(source.read_text("utf-8"), "utf-8")

    def compile_with(field: str) -> Contract:
        # As a noun's file: every message of an events file would be an event.
        contract_of("")
        (sample.sources / "registry/v1/resident_events.proto").unlink()
        path = sample.sources / "registry" / "v1" / "resident.proto"
        head = 'syntax = "proto3"; package eldex.api.registry.v1;'
        path.write_text(head + RESIDENT.replace("FIELD", field), "utf-8")
        return Contract(compile_image(sample))

    return compile_with


@pytest.mark.parametrize("rule", sharing.SHARING_RULES, ids=lambda rule: rule.__name__)
def test_the_contract_keeps(rule: Callable[[Contract], list[str]], contract: Contract) -> None:
    assert rule(contract) == []


def test_there_is_something_to_judge(contract: Contract) -> None:
    told = sharing.told(contract)
    assert {"Resident", "Claim", "Entitlement", "Institution", "ResidentDeceased"} <= {
        message.name for message in told
    }
    assert sum(len(message.proto.field) for message in told) > 1_000


def test_a_new_field_without_a_class_fails_the_build(resident_with: Compile) -> None:
    assert sharing.sharing_findings(resident_with("")) == []
    broken = resident_with("string telephone = 2;")
    (finding,) = sharing.sharing_findings(broken)
    assert finding.startswith("eldex.api.registry.v1.Resident.telephone: no sharing class")


@pytest.mark.parametrize(
    ("field", "finding"),
    [
        (
            'string a = 2 [(sharing.v1.personal) = "甲", (sharing.v1.sensitive) = "甲"];',
            "more than one sharing class",
        ),
        ('string a = 2 [(sharing.v1.personal) = "telephone"];', "must name it in Chinese"),
        ('string a = 2 [(sharing.v1.not_shared) = {name: "甲"}];', "must name the 《law》"),
        ('string a = 2 [(sharing.v1.part) = "甲"];', "only a message of ours is a part"),
    ],
)
def test_a_class_is_one_class_said_rightly(
    field: str, finding: str, resident_with: Compile
) -> None:
    (found,) = sharing.every_field_has_a_class(resident_with(field))
    assert finding in found


def test_a_resource_says_its_conditions_and_only_if_it_has_any(resident_with: Compile) -> None:
    # The name became unconditional, and the conditions stayed behind.
    broken = resident_with("")
    message = broken.messages["eldex.api.registry.v1.Resident"].proto
    message.field.remove(message.field[0])
    assert sharing.resources_are_complete(broken) == [
        "eldex.api.registry.v1.Resident: a resource without items",
        "eldex.api.registry.v1.Resident: conditions belong to a resource with conditional items",
    ]


def test_an_event_tells_of_a_resource_of_its_own_department(contract_of: Compile) -> None:
    broken = contract_of("message ResidentDeceased {}")
    assert sharing.every_answer_is_of_a_resource(broken) == [
        "eldex.api.registry.v1.ResidentDeceased: (sharing.v1.about) must name a resource's message"
    ]


def test_what_is_in_a_part_is_as_strict_as_the_way_to_it(contract: Contract) -> None:
    """A stretch of days tells nothing; when somebody was not insured does."""
    enrolment = contract.messages["eldex.api.medical.v1.Enrolment"]
    classes = {path: kind for path, kind, _ in sharing.items(contract, enrolment)}
    assert classes["suspensions.period.began_on"] == "personal"
    period = contract.messages["eldex.api.common.v1.Period"]
    assert {kind for _, kind, _ in sharing.items(contract, period)} == {"unconditional"}


@pytest.mark.parametrize(
    ("message", "path", "kind"),
    [
        ("registry.v1.Resident", "document.number", "sensitive"),
        ("registry.v1.Resident", "ability_level", "sensitive"),
        ("registry.v1.Assessment", "findings.diagnoses.icd10_code", "not_shared"),
        ("medical.v1.Claim", "facts.total_fen", "sensitive"),
        ("institutions.v1.Institution", "details.institution_name", "unconditional"),
        ("institutions.v1.Admission", "resident_key", "personal"),
        ("credit.v1.Case", "source", "not_shared"),
    ],
)
def test_what_counts_as_what(message: str, path: str, kind: str, contract: Contract) -> None:
    found = contract.messages[f"eldex.api.{message}"]
    assert {p: k for p, k, _ in sharing.items(contract, found)}[path] == kind
