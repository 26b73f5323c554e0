"""An identity number in what somebody writes freely is refused at the door, whoever's door it is."""

from __future__ import annotations

from typing import Any

import pytest

from eldex.api.exchange.v1 import exchange_service_pb2
from eldex.api.operations.v1 import operations_service_pb2 as operations
from eldex.api.registry.v1 import registry_service_pb2 as registry
from eldex.common.errors import InvalidRequest
from eldex.common.rpc.free_text import refuse_identity_numbers
from eldex.common.testing.doors import Desk, caller, open_door
from eldex.local.authority import Authority

NUMBER = "11010519491231002X"  # the standard's own example (GB 11643), nobody's
CLOSE = "/eldex.api.operations.v1.OperationsService/CloseDeadLetter"
CLOSING = {
    "request_id": "0199a1c2-7f4e-7c3a-9b1d-5e2f8a6c4d10",
    "dead_letter_key": "registry-residents/0/7",
    "closed_by": "li.wei",
}


def refused(request: Any) -> list[str]:
    """The fields that are named."""
    with pytest.raises(InvalidRequest) as error:
        refuse_identity_numbers(request, request.SerializeToString())
    assert NUMBER[:17] not in str(error.value)
    return [violation.field for violation in error.value.violations]


@pytest.mark.parametrize(
    "written",
    [
        NUMBER,
        f"李桂兰{NUMBER}",
        "身份证110105 19491231 002X",
        "110105-19491231-002x",
        "１１０１０５１９４９１２３１００２Ｘ",
        "old: 110105491231002.",
    ],
)
def test_however_it_is_written(written: str) -> None:
    assert refused(registry.RegisterResidentRequest(name=written)) == ["name"]
    closing = operations.CloseDeadLetterRequest(**CLOSING, reason=f"twice, see {written}")
    assert refused(closing) == ["reason"]


def test_at_any_depth_and_in_lists_by_its_place() -> None:
    request = exchange_service_pb2.PutAgreementRequest()
    request.agreement.event_types.extend(["eldex.api.registry.v1.ResidentMoved", NUMBER])
    request.agreement.purpose_terms.add(legal_basis=f"合同 {NUMBER}")
    assert refused(request) == [
        "agreement.event_types[1]",
        "agreement.purpose_terms[0].legal_basis",
    ]


def test_where_the_number_belongs_it_may_stand_and_what_only_looks_like_one_passes() -> None:
    request = registry.RegisterResidentRequest(name="李桂兰")
    request.document.number = NUMBER
    refuse_identity_numbers(request, request.SerializeToString())
    for text in ("2026-11-25 08:30:00", "511702001000", "0xdeadbeef1101051949", "12345678901234"):
        request = registry.RegisterResidentRequest(name=text)
        refuse_identity_numbers(request, request.SerializeToString())


@pytest.mark.parametrize("road", ["unary", "trunk"])
async def test_the_door_says_which_field_and_calls_nobody(road: Any, tmp_path: Any) -> None:
    authority, desk = Authority.open(tmp_path), Desk()
    home = authority.issue("511700/service/exchange")
    async with (
        open_door(authority.issue("511700/service/registry"), desk) as port,
        caller(road, port, home) as exchange,
    ):
        request = operations.CloseDeadLetterRequest(**CLOSING, reason=f"see {NUMBER}")
        reply = await exchange.ask(CLOSE, request, {"accept-language": "zh"})
    assert (reply.code, reply.reason, desk.calls) == ("INVALID_ARGUMENT", "REQUEST_INVALID", [])
    assert NUMBER not in reply.message
