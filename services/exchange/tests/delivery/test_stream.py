"""The stream gives only as fast as it is taken, and obeys the subscription that it belongs to."""

from __future__ import annotations

import uuid
from contextlib import aclosing
from typing import Any

import pytest

from eldex.api.exchange.v1 import delivery_pb2, exchange_service_pb2
from eldex.api.exchange.v1 import delivery_service_pb2 as pb
from eldex.common.clock import system_clock
from eldex.common.rpc.call import Call
from eldex.exchange.domain.agreements import EventGrant
from eldex.exchange.handlers.delivery import NotStreamed
from eldex.exchange.rpc.masking import EventFields
from eldex.exchange.rpc.service import ExchangeService

DECEASED = "eldex.api.registry.v1.ResidentDeceased"
MOVED = "eldex.api.registry.v1.ResidentMoved"


def service(bus: Any) -> ExchangeService:
    log: Any = None  # nobody looks into it here
    return ExchangeService(
        bus.work,
        bus.agreements,
        bus.feed,
        log,
        system_clock,
        bus.dispatch,
        EventFields(),
        bus.evidence,
        bus.roles,
    )


async def test_a_partner_a_day_behind_is_read_for_only_as_it_takes(bus: Any) -> None:
    for _ in range(30):
        await bus.tell(payload=b"\x0a" + bytes(200_000))
    bus.feed._recent, bus.feed._recent_after = [], bus.feed.newest  # a day later
    reads = []
    read = bus.feed.read

    async def counted(*asked: Any) -> Any:
        reads.append(asked)
        return await read(*asked)

    bus.feed.read = counted
    request = exchange_service_pb2.SubscribeRequest(subscription_name="slow")
    stream = service(bus).subscribe(request, bus.call())
    got: list[int] = []
    async with aclosing(stream):  # type: ignore[type-var]
        while len(got) < 30:
            message = await anext(stream)
            assert len(message.events) <= 6
            assert message.ByteSize() < 1_500_000
            got += [event.cursor for event in message.events]
            assert len(reads) <= 1 + len(got) // 5
    assert got == list(range(1, 31))


async def test_each_agreement_by_which_events_are_streamed_is_in_the_proof(bus: Any) -> None:
    await bus.agree("partner-settlement", event_grants=[EventGrant(DECEASED)])
    await bus.tell("res_a")
    await bus.tell("res_a", kind=MOVED)
    request = exchange_service_pb2.SubscribeRequest(subscription_name="mine")
    stream = service(bus).subscribe(request, bus.call())
    async with aclosing(stream):  # type: ignore[type-var]
        assert len((await anext(stream)).events) == 2
    told = {fact.agreement.key: [e.type for e in fact.events] for fact in bus.evidence.streams}
    assert told == {"partner": [DECEASED, MOVED], "partner-settlement": [DECEASED]}
    assert len({fact.sent for fact in bus.evidence.streams}) == 1


async def test_a_stream_of_a_subscription_that_is_paused_ends(bus: Any) -> None:
    call = bus.call()
    create = Call("/eldex.api.exchange.v1.DeliveryService/CreateSubscription", call.caller, call.at)
    await bus.service.create_subscription(
        pb.CreateSubscriptionRequest(
            request_id=str(uuid.uuid4()),
            subscription_name="mine",
            kind=delivery_pb2.DELIVERY_KIND_STREAM,
            filter=delivery_pb2.EventFilter(expression="subject = 'res_b'"),
        ),
        create,
    )
    stream = service(bus).subscribe(
        exchange_service_pb2.SubscribeRequest(subscription_name="mine"), call
    )
    await bus.tell("res_a")
    await bus.tell("res_b")
    message = await anext(stream)
    assert [event.subject for event in message.events] == ["res_b"]
    pause = Call("/eldex.api.exchange.v1.DeliveryService/PauseSubscription", call.caller, call.at)
    await bus.service.pause_subscription(
        pb.PauseSubscriptionRequest(request_id=str(uuid.uuid4()), subscription_name="mine"), pause
    )
    await bus.tell("res_b")
    with pytest.raises(NotStreamed):
        await anext(stream)
