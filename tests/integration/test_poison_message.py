"""Story 6: a poison message is set aside with its reason, and the partition goes on."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import grpc
import pytest

from eldex.api.operations.v1 import operations_service_pb2 as pb
from eldex.api.registry.v1 import resident_events_pb2
from eldex.api.subsidies.v1 import entitlement_events_pb2
from eldex.common.identifiers import new_key
from eldex.common.kafka import Producer, Record
from eldex.common.rpc.client import Peer, channel
from eldex.local import acts, stories
from eldex.local.field import Field

TOPIC = "registry-residents"
METHOD = "/eldex.api.operations.v1.OperationsService/"


async def poison(field: Field, resident_key: str) -> str:
    """Somebody writes what is no event into the topic, under a resident's key."""
    event_id = new_key("evt")
    headers = {
        "ce_specversion": "1.0",
        "ce_id": event_id,
        "ce_source": "//511700/registry",
        "ce_type": resident_events_pb2.ResidentDeceased.DESCRIPTOR.full_name,
        "ce_time": datetime.now(UTC).isoformat(),
        "ce_subject": resident_key,
        "ce_regions": "511702",
        "traceparent": "",
    }
    producer = Producer(field.stack.kafka.bootstrap, "poisoner")
    await producer.publish([Record(TOPIC, resident_key, b"\xff\xff\xff\xff", headers)])
    producer.close()
    return event_id


async def letters(console: Peer) -> list[pb.DeadLetter]:
    reply = await console.ask(
        METHOD + "ListDeadLetters",
        pb.ListDeadLettersRequest(page_size=500),
        pb.ListDeadLettersResponse,
    )
    return list(reply.dead_letters)


async def test_a_poison_message_is_set_aside_with_its_reason_and_the_person_is_served_on(
    field: Field,
) -> None:
    key, _ = await acts.enter_resident(field, name="吴秀珍", born_on="1937-09-09")
    await field.watcher.until(
        entitlement_events_pb2.EntitlementGranted, resident_key=key, scheme_code=stories.OLD_AGE
    )
    event_id = await poison(field, key)
    await acts.register_death(field, key, "2026-11-03")
    # The death lies behind the poison in the same partition: seeing its effect means it went on.
    await field.watcher.until(entitlement_events_pb2.EntitlementEnded, resident_key=key)

    opened = channel(field.stack.address("subsidies"), field.stack.identity("service/console"))
    console = Peer(opened, "subsidies", timeout_seconds=10)
    try:
        (letter,) = [each for each in await letters(console) if each.event_id == event_id]
        assert (letter.topic, letter.subject) == (TOPIC, key)
        assert letter.reason == "REQUEST_INVALID"
        assert letter.trace_id or not field.stack.settings.trace_ratio
        flows = await console.ask(METHOD + "GetFlows", pb.GetFlowsRequest(), pb.GetFlowsResponse)
        assert flows.dead_letters >= 1
        assert all(not flow.held_because for flow in flows.flows)

        # Without a mend a replay meets the same reason, and the letter goes on waiting.
        request = pb.ReplayDeadLetterRequest(
            request_id="6f1d2c3b-4a59-4e87-9d10-000000000099",
            dead_letter_key=letter.dead_letter_key,
        )
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await console.ask(METHOD + "ReplayDeadLetter", request, pb.ReplayDeadLetterResponse)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert event_id in [each.event_id for each in await letters(console)]
    finally:
        await opened.close()


async def test_partitions_flow_and_lag_is_told_in_events_and_seconds(field: Field) -> None:
    opened = channel(field.stack.address("medical"), field.stack.identity("service/console"))
    console = Peer(opened, "medical", timeout_seconds=10)
    try:
        async with asyncio.timeout(30):
            while True:
                flows = await console.ask(
                    METHOD + "GetFlows", pb.GetFlowsRequest(), pb.GetFlowsResponse
                )
                if flows.flows and not any(flow.lag_events for flow in flows.flows):
                    break
                await asyncio.sleep(0.1)
    finally:
        await opened.close()
    assert {flow.topic for flow in flows.flows} == {TOPIC}
    assert flows.outbox_events == 0
