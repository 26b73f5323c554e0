"""No department asks for what another one holds (国务院令第809号 article 19), but for written reasons."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tools import collection
from tools.compiler import compile_image
from tools.contract import Contract
from tools.layout import ContractError, Layout

ROOT = Path(__file__).parents[2]
Compile = Callable[[str], Contract]

RESIDENT = """
import "eldex/api/sharing/v1/sharing.proto";
message Document { string number = 1; }
message Resident {
  string born_on = 1 [(sharing.v1.asked_as) = "born_on birth_date"];
}
service RegistryService { rpc RegisterResident(RegisterResidentRequest) returns (RegisterResidentResponse); }
message RegisterResidentRequest { string born_on = 1; Document document = 2; }
message RegisterResidentResponse {}
"""


def write(layout: Layout, name: str, lines: str) -> None:
    path = layout.sources / name
    path.parent.mkdir(parents=True, exist_ok=True)
    package = "eldex.api." + ".".join(name.split("/")[:-1])
    path.write_text(f'syntax = "proto3"; package {package};\n{lines}', "utf-8")


@pytest.fixture
def cards(sample: Layout) -> Compile:
    """A registry that knows birthdays, and an office that hands out cards for elders."""
    source = ROOT / "proto" / "eldex" / "api" / "sharing" / "v1" / "sharing.proto"
    options = sample.sources / "sharing" / "v1" / "sharing.proto"
    options.parent.mkdir(parents=True)
    options.write_text(source.read_text("utf-8"), "utf-8")
    write(sample, "registry/v1/registry_service.proto", RESIDENT)

    def compile_with(fields: str) -> Contract:
        lines = f"""
            import "eldex/api/registry/v1/registry_service.proto";
            service CardsService {{
              rpc IssueCard(IssueCardRequest) returns (IssueCardResponse);
              rpc ListCards(IssueCardRequest) returns (IssueCardResponse);
            }}
            message IssueCardRequest {{ Form form = 1; }}
            message Form {{ {fields} }}
            message IssueCardResponse {{}}
        """
        write(sample, "cards/v1/cards_service.proto", lines)
        return Contract(compile_image(sample))

    return compile_with


def test_the_contract_asks_for_nothing_twice_without_a_reason(
    contract: Contract, layout: Layout
) -> None:
    reasons = collection.read_reasons(layout.collected_twice)
    assert collection.collection_findings(contract, reasons) == []


def test_the_sources_of_facts_are_told(contract: Contract) -> None:
    """Without any, the check would find nothing to complain about."""
    found = dict(collection.asked_twice(contract))
    assert "registry.Resident.name" in found["credit.OpenWorkerFile.name"]


def test_a_form_that_asks_for_the_birthday_again_is_found(cards: Compile) -> None:
    assert collection.collection_findings(cards("string resident_key = 1;"), {}) == []
    (finding,) = collection.collection_findings(cards("string birth_date = 1;"), {})
    assert finding.startswith("cards.IssueCard.form.birth_date: asks for registry.Resident.born_on")


def test_a_form_that_asks_for_it_by_another_name_is_found_by_its_type(cards: Compile) -> None:
    asks = cards("eldex.api.registry.v1.Document whatever = 1;")
    (finding,) = collection.collection_findings(asks, {})
    assert "cards.IssueCard.form.whatever" in finding
    assert "which registry holds" in finding


def test_a_reason_excuses_and_must_be_one_for_something(cards: Compile) -> None:
    asks, place = cards("string born_on = 1;"), "cards.IssueCard.form.born_on"
    why = "The card is printed before the registry answers."
    assert collection.collection_findings(asks, {place: why}) == []
    assert "say why" in collection.collection_findings(asks, {place: "needed"})[0]
    stale = collection.collection_findings(cards("string resident_key = 1;"), {place: why})
    assert stale == [f"collected-twice.yaml: {place}: nothing is collected twice there"]


def test_reasons_that_are_no_table_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "collected-twice.yaml"
    file.write_text("- because\n", "utf-8")
    with pytest.raises(ContractError, match="expected <service>"):
        collection.read_reasons(file)
