"""Only the fields asked for leave the house."""

from __future__ import annotations

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from eldex.api.operations.v1 import operations_service_pb2 as pb
from eldex.common import masks
from eldex.common.errors import InvalidRequest


def flows() -> pb.GetFlowsResponse:
    return pb.GetFlowsResponse(
        service="registry",
        outbox_events=3,
        flows=[
            pb.Flow(topic="a", partition=1, lag_events=7, held_because="UNAVAILABLE"),
            pb.Flow(topic="b", partition=2, lag_events=8),
        ],
    )


def kept(*paths: str, hidden: tuple[str, ...] = ()) -> pb.GetFlowsResponse:
    message = flows()
    masks.keep(message, FieldMask(paths=paths), hidden)
    return message


def test_no_mask_keeps_everything() -> None:
    assert kept() == flows()


def test_a_mask_keeps_what_it_names_and_nothing_else() -> None:
    assert kept("service") == pb.GetFlowsResponse(service="registry")
    assert kept("service", "outbox_events").outbox_events == 3


def test_a_path_goes_into_each_item_of_a_list() -> None:
    assert kept("flows.topic") == pb.GetFlowsResponse(
        flows=[pb.Flow(topic="a"), pb.Flow(topic="b")]
    )


def test_the_whole_and_a_part_of_it_is_the_whole() -> None:
    assert kept("flows.topic", "flows").flows == flows().flows
    assert kept("flows", "flows.topic").flows == flows().flows


def test_what_is_hidden_is_given_only_to_a_mask_that_names_it() -> None:
    hidden = ("flows.held_because", "service")
    assert [f.held_because for f in kept(hidden=hidden).flows] == ["", ""]
    assert kept(hidden=hidden).service == ""
    assert kept(hidden=hidden).flows[0].lag_events == 7
    assert kept("flows", hidden=hidden).flows[0].held_because == ""
    assert kept("flows.held_because", hidden=hidden).flows[0].held_because == "UNAVAILABLE"
    assert kept("service", hidden=hidden).service == "registry"


def test_a_hidden_field_of_a_message_that_is_not_there_brings_nothing_about() -> None:
    message = pb.ListDeadLettersResponse()
    request = pb.ListDeadLettersRequest()
    masks.keep(message, FieldMask(), ("dead_letters.detail",))
    masks.keep(request, FieldMask(), ("read_mask.paths",))
    assert message == pb.ListDeadLettersResponse()
    assert not request.HasField("read_mask")


@pytest.mark.parametrize(
    "path", ["nonsense", "flows.nonsense", "service.name", "", "flows.", ".", "*", "flows..topic"]
)
def test_a_field_that_does_not_exist_is_named(path: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        kept("service", path)
    (violation,) = refused.value.violations
    assert (violation.field, violation.rule) == ("read_mask", "READ_MASK_INVALID")
    assert path in violation.en
    assert path in violation.zh


def test_a_very_long_path_is_not_thrown_back_whole() -> None:
    with pytest.raises(InvalidRequest) as refused:
        kept("x" * 10_000)
    assert len(refused.value.violations[0].en) < 200
