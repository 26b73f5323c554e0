"""The contract keeps its own rules, and each rule is shown to bite on a contract that breaks it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tools import rules
from tools.contract import Contract

Compile = Callable[[str], Contract]


@pytest.mark.parametrize("rule", rules.CONTRACT_RULES, ids=lambda rule: rule.__name__)
def test_the_contract_keeps(rule: Callable[[Contract], list[str]], contract: Contract) -> None:
    assert rule(contract) == []


def test_there_is_something_to_judge(contract: Contract) -> None:
    """An empty contract would keep every rule."""
    assert {"registry"} <= contract.departments
    assert any(rpc.is_write for rpc in contract.rpcs())
    assert contract.events


def test_a_death_registered_twice_by_mistake_needs_a_request_id(contract_of: Compile) -> None:
    broken = contract_of("""
        service RegistryService {
          rpc RegisterDeath(RegisterDeathRequest) returns (RegisterDeathResponse);
          rpc GetResident(GetResidentRequest) returns (GetResidentResponse);
        }
        message RegisterDeathRequest { string resident_key = 1; }
        message RegisterDeathResponse {}
        message GetResidentRequest {}
        message GetResidentResponse {}
    """)
    assert rules.writes_happen_once(broken) == [
        "eldex.api.registry.v1.RegistryService.RegisterDeath: RegisterDeathRequest needs `string request_id`"
    ]


def test_a_request_id_that_is_no_string_does_not_count(contract_of: Compile) -> None:
    broken = contract_of("""
        service RegistryService { rpc MoveResident(MoveResidentRequest) returns (MoveResidentResponse); }
        message MoveResidentRequest { repeated string request_id = 1; }
        message MoveResidentResponse {}
    """)
    assert len(rules.writes_happen_once(broken)) == 1


@pytest.mark.parametrize("verb", ["Update", "Correct"])
def test_two_clerks_who_change_the_same_address_need_an_etag(
    verb: str, contract_of: Compile
) -> None:
    broken = contract_of(f"""
        service RegistryService {{ rpc {verb}Resident(ChangeRequest) returns (ChangeResponse); }}
        message ChangeRequest {{ string request_id = 1; }}
        message ChangeResponse {{}}
    """)
    assert rules.updates_carry_a_version(broken) == [
        f"eldex.api.registry.v1.RegistryService.{verb}Resident: ChangeRequest needs `string etag`"
    ]


@pytest.mark.parametrize("verb", ["List", "Search"])
def test_a_city_of_residents_does_not_come_in_one_reply(verb: str, contract_of: Compile) -> None:
    broken = contract_of(f"""
        service RegistryService {{ rpc {verb}Residents(PageRequest) returns (PageResponse); }}
        message PageRequest {{ int32 page_token = 1; }}
        message PageResponse {{}}
    """)
    where = f"eldex.api.registry.v1.RegistryService.{verb}Residents"
    assert rules.lists_come_in_pages(broken) == [
        f"{where}: PageRequest needs `int32 page_size`",
        f"{where}: PageRequest needs `string page_token`",
        f"{where}: PageResponse needs `string next_page_token`",
    ]


@pytest.mark.parametrize("verb", ["Get", "List", "Search"])
def test_a_reader_who_may_not_say_which_fields_gets_too_many(
    verb: str, contract_of: Compile
) -> None:
    broken = contract_of(f"""
        service RegistryService {{ rpc {verb}Residents(ReadRequest) returns (ReadResponse); }}
        message ReadRequest {{ string read_mask = 1; }}
        message ReadResponse {{}}
    """)
    assert rules.reads_can_be_masked(broken) == [
        (
            f"eldex.api.registry.v1.RegistryService.{verb}Residents: ReadRequest needs"
            " `google.protobuf.FieldMask read_mask`"
        )
    ]


def test_a_call_whose_noun_only_begins_like_a_verb_is_still_a_write(contract_of: Compile) -> None:
    found = contract_of("""
        service RegistryService { rpc Listen(R) returns (S); rpc Checkout(R) returns (S); rpc CheckDeath(R) returns (S); }
        message R {}
        message S {}
    """)
    assert [rpc.name for rpc in found.rpcs() if rpc.is_write] == ["Listen", "Checkout"]


@pytest.mark.parametrize(
    "field",
    [
        "identity_number",
        "id_number",
        "guardian_id_card",
        "name",
        "resident_name",
        "phone",
        "mobile_number",
        "bank_account",
    ],
)
def test_an_event_never_says_who_a_person_is(field: str, contract_of: Compile) -> None:
    broken = contract_of(
        f"message ResidentDeceased {{ string resident_key = 1; string {field} = 2; }}"
    )
    assert rules.events_name_nobody(broken) == [
        f"eldex.api.registry.v1.ResidentDeceased: {field} may tell who a person is; an event carries opaque keys only"
    ]


def test_a_name_hidden_inside_an_event_is_found(contract_of: Compile) -> None:
    broken = contract_of("""
        message ResidentDeceased { message Informant { string phone = 1; } repeated Informant informants = 1; }
    """)
    assert [finding.partition(";")[0] for finding in rules.events_name_nobody(broken)] == [
        "eldex.api.registry.v1.ResidentDeceased: informants.phone may tell who a person is"
    ]


@pytest.mark.parametrize(
    "field", ["resident_key", "institution_name", "region_code", "telephony_minutes", "renamed_on"]
)
def test_an_event_may_speak_of_keys_places_and_institutions(
    field: str, contract_of: Compile
) -> None:
    assert (
        rules.events_name_nobody(contract_of(f"message ResidentMoved {{ string {field} = 1; }}"))
        == []
    )


@pytest.mark.parametrize("zero", ["SEX_FEMALE", "SEX_UNKNOWN"])
def test_what_was_not_said_is_not_an_answer(zero: str, contract_of: Compile) -> None:
    broken = contract_of(f"enum Sex {{ {zero} = 0; SEX_MALE = 1; }}")
    assert rules.enums_begin_with_unspecified(broken) == [
        f"eldex.api.registry.v1.Sex: its zero is {zero}; name it SEX_UNSPECIFIED"
    ]
