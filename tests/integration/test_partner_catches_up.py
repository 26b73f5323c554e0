"""A partner city that was away takes over what happened meanwhile, in order, once."""

from __future__ import annotations

import asyncio
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
from google.type.date_pb2 import Date

from eldex.api.exchange.v1 import agreement_pb2, delivery_pb2
from eldex.api.exchange.v1 import delivery_service_pb2 as delivery_pb
from eldex.api.exchange.v1 import exchange_service_pb2 as exchange_pb
from eldex.api.registry.v1 import eligibility_pb2, resident_pb2
from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.api.registry.v1 import resident_events_pb2 as events_pb
from eldex.common.rpc.status import DETAILS_KEY, reason_of
from eldex.local import acts
from eldex.local.field import Field, Refused

ELDERS = 500
MOVED = "eldex.api.registry.v1.ResidentMoved"
DECEASED = "eldex.api.registry.v1.ResidentDeceased"


async def one_life(field: Field, number: str, limit: asyncio.Semaphore) -> str:
    """An elder whose household registration is in the partner city moves here and dies."""
    async with limit:
        entered = await field["police"].ask(
            "RegistryService/RegisterResident",
            pb.RegisterResidentRequest(
                document=resident_pb2.PersonDocument(
                    kind=resident_pb2.DOCUMENT_KIND_RESIDENT_IDENTITY_CARD, number=number
                ),
                name="陈玉珍",
                region_code="511702001",
                hukou_region_code="500101",
                resident_since=Date(year=2020, month=1, day=1),
            ),
        )
        key: str = entered.reply.resident.resident_key
        await field["police"].ask(
            "RegistryService/MoveResident",
            pb.MoveResidentRequest(
                resident_key=key, region_code="511723", moved_on=Date(year=2026, month=3, day=1)
            ),
        )
        await field["police"].ask(
            "RegistryService/RegisterDeath",
            pb.RegisterDeathRequest(
                resident_key=key,
                died_on=Date(year=2026, month=11, day=1),
                evidence="居民死亡医学证明书（虚构）",
            ),
        )
    return key


async def take(
    field: Field, name: str, keys: set[str], stop_after: int
) -> list[agreement_pb2.DeliveredEvent]:
    """Follow a subscription until so many events about these people have come."""
    taken: list[agreement_pb2.DeliveredEvent] = []
    async with asyncio.timeout(60):
        async for event in field["partner"].events(name):
            if event.subject in keys and event.event_type in {MOVED, DECEASED}:
                taken.append(event)
            if len(taken) == stop_after:
                break
    return taken


async def acknowledge(field: Field, name: str, cursor: int) -> None:
    request = exchange_pb.AcknowledgeEventsRequest(
        request_id=str(uuid.uuid4()), subscription_name=name, cursor=cursor
    )
    await field["partner"].ask("ExchangeService/AcknowledgeEvents", request)


async def test_a_partner_away_for_a_thousand_events_catches_up_in_order_without_gap_or_repeat(
    field: Field, new_number: Callable[[str], str]
) -> None:
    limit = asyncio.Semaphore(32)
    lives = [one_life(field, new_number("19440101"), limit) for _ in range(ELDERS)]
    keys = set(await asyncio.gather(*lives))

    name = f"away-{uuid.uuid4().hex[:8]}"
    first = await take(field, name, keys, stop_after=400)
    await acknowledge(field, name, first[-1].cursor)
    rest = await take(field, name, keys, stop_after=2 * ELDERS - 400)

    events = first + rest
    assert len({event.event_id for event in events}) == 2 * ELDERS
    assert [event.cursor for event in events] == sorted(event.cursor for event in events)
    by_person = defaultdict(list)
    for event in events:
        by_person[event.subject].append(event.event_type)
    assert all(told == [MOVED, DECEASED] for told in by_person.values())
    assert set(by_person) == keys


async def test_a_partner_gets_what_its_agreement_names_and_nothing_else(
    field: Field, new_number: Callable[[str], str]
) -> None:
    ours = await field["police"].ask(
        "RegistryService/RegisterResident",
        pb.RegisterResidentRequest(
            document=resident_pb2.PersonDocument(
                kind=resident_pb2.DOCUMENT_KIND_RESIDENT_IDENTITY_CARD,
                number=new_number("19440202"),
            ),
            name="周淑华",
            region_code="511702001",
        ),
    )
    key = ours.reply.resident.resident_key
    theirs = await one_life(field, new_number("19440303"), asyncio.Semaphore(1))
    await field["police"].ask(
        "RegistryService/RegisterDeath",
        pb.RegisterDeathRequest(
            resident_key=key,
            died_on=Date(year=2026, month=11, day=2),
            evidence="居民死亡医学证明书（虚构）",
        ),
    )
    await field.watcher.until(events_pb.ResidentDeceased, resident_key=key)
    await field.partner.until(events_pb.ResidentDeceased, resident_key=theirs)
    about_ours = [s for s in field.partner.seen if s.delivered.subject == key]
    assert about_ours == []
    # Of a person of theirs too, only what the agreement names: a class of benefits is not among it.
    person, _ = await acts.enter_resident(
        field, name="吴秀兰", born_on="1944-04-04", hukou_region_code=acts.PARTNER_REGION
    )
    await field["civil-affairs"].ask(
        "RegistryService/GrantEligibility",
        pb.GrantEligibilityRequest(
            resident_key=person,
            eligibility_class=eligibility_pb2.ELIGIBILITY_CLASS_MINIMUM_LIVING,
            valid_from=Date(year=2026, month=1, day=1),
            source_department="511702 民政局（虚构）",
            evidence="低保证（虚构）",
        ),
    )
    await field.watcher.until(events_pb.EligibilityGranted, resident_key=person)
    await acts.register_death(field, person, "2026-11-02")
    await field.partner.until(events_pb.ResidentDeceased, resident_key=person)
    kinds = {s.delivered.event_type for s in field.partner.seen if s.delivered.subject == person}
    assert "eldex.api.registry.v1.EligibilityGranted" not in kinds


async def following(field: Field, name: str, **wanted: Any) -> AsyncIterator[Any]:
    """What the partner is given when it asks the exchange for these events; raises the refusal."""
    subscribe = field["partner"].exchange.unary_stream(
        "/eldex.api.exchange.v1.ExchangeService/Subscribe",
        request_serializer=exchange_pb.SubscribeRequest.SerializeToString,
        response_deserializer=exchange_pb.SubscribeResponse.FromString,
    )
    stream = subscribe(exchange_pb.SubscribeRequest(subscription_name=name, **wanted))
    try:
        async for delivery in stream:
            for event in delivery.events:
                yield event
    finally:
        stream.cancel()


BEYOND: list[dict[str, Any]] = [
    {"event_types": ["eldex.api.registry.v1.EligibilityGranted"]},
    {"event_types": [DECEASED, "eldex.api.registry.v1.EligibilityGranted"]},
    {"region_codes": ["5117"]},
    {"event_types": [DECEASED], "region_codes": ["511702001"]},
]
"""A type that the agreement does not name, also beside one that it does; divisions that are not the partner's."""


@pytest.mark.parametrize("wanted", BEYOND, ids=str)
async def test_asking_for_events_beyond_the_agreement_is_refused(
    field: Field, wanted: dict[str, Any]
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        async with asyncio.timeout(20):
            await anext(following(field, f"beyond-{uuid.uuid4().hex[:8]}", **wanted))
    details = dict(refused.value.trailing_metadata() or ())[DETAILS_KEY]
    assert (refused.value.code(), reason_of(details)) == (
        grpc.StatusCode.PERMISSION_DENIED,
        "ACCESS_DENIED",
    )
    with pytest.raises(Refused) as made:
        await subscription(field, "CreateSubscription", f"made-{uuid.uuid4().hex[:8]}", wanted)
    assert made.value.reason == "ACCESS_DENIED"


async def subscription(
    field: Field, act: str, name: str, wanted: dict[str, Any], **more: Any
) -> delivery_pb2.EventSubscription:
    """The partner makes a subscription that is read as a stream, or changes what it wants of it."""
    kind = {"kind": delivery_pb2.DELIVERY_KIND_STREAM} if act == "CreateSubscription" else {}
    request = getattr(delivery_pb, f"{act}Request")(
        subscription_name=name, filter=delivery_pb2.EventFilter(**wanted), **kind, **more
    )
    told = await field["partner"].ask(f"DeliveryService/{act}", request)
    changed: delivery_pb2.EventSubscription = told.reply.subscription
    return changed


async def test_a_later_change_of_what_it_wants_widens_neither_types_nor_divisions(
    field: Field,
) -> None:
    name = f"changed-{uuid.uuid4().hex[:8]}"
    made = await subscription(field, "CreateSubscription", name, {"event_types": [DECEASED]})
    for wanted in BEYOND:
        with pytest.raises(Refused) as refused:
            await subscription(field, "UpdateSubscription", name, wanted, etag=made.etag)
        assert refused.value.reason == "ACCESS_DENIED"
    everywhere = {"event_types": [DECEASED], "region_codes": ["50", "51"]}
    await subscription(field, "UpdateSubscription", name, everywhere, etag=made.etag)

    ours, _ = await acts.enter_resident(field, name="周淑华", born_on="1944-02-02")
    theirs, _ = await acts.enter_resident(
        field, name="吴秀兰", born_on="1944-04-04", hukou_region_code=acts.PARTNER_REGION
    )
    for person in (ours, theirs):
        await acts.register_death(field, person, "2026-11-02")
        await field.watcher.until(events_pb.ResidentDeceased, resident_key=person)
    told = []
    async with asyncio.timeout(30):
        async for event in following(field, name, after_cursor=made.acknowledged_cursor):
            told.append(event)
            if event.subject == theirs:
                break
    assert {event.event_type for event in told} == {DECEASED}
    assert ours not in {event.subject for event in told}


async def test_a_cursor_that_was_never_given_out_cannot_be_acknowledged(field: Field) -> None:
    request = exchange_pb.AcknowledgeEventsRequest(subscription_name="x", cursor=10**12)
    with pytest.raises(Refused) as refused:
        await field["partner"].ask("ExchangeService/AcknowledgeEvents", request)
    assert refused.value.reason == "CURSOR_UNKNOWN"
