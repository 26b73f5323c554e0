"""Webhooks to partners: signed, in order, at least once, and never where they must not go."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import date
from typing import Any

import pytest
from standardwebhooks import Webhook

from eldex.api.exchange.v1 import delivery_pb2
from eldex.api.exchange.v1 import delivery_service_pb2 as pb
from eldex.api.exchange.v1.subscription_events_pb2 import SubscriptionPaused
from eldex.common.errors import Denied, DomainError, NotFound
from eldex.common.rpc.call import Call
from eldex.common.store import MARKS, OUTBOX
from eldex.exchange.domain.delivery.attributes import FilterNotGranted, FunctionUnknown
from eldex.exchange.domain.delivery.endpoints import EndpointDisagrees, EndpointRefused, Rules
from eldex.exchange.domain.delivery.schedule import Schedule

DECEASED = "eldex.api.registry.v1.ResidentDeceased"
Answer = tuple[int, dict[str, str], bytes]


async def test_a_death_reaches_the_partner_signed_and_as_a_cloudevent(
    bus: Any, receiver: Any
) -> None:
    made = await bus.subscribe(receiver.url)
    assert receiver.asked[0].headers["webhook-request-origin"] == "exchange.dazhou.example"
    await bus.tell("res_1", payload=b"\x0a\x05res_1")
    (got,) = await receiver.have(1)
    Webhook(made.secret).verify(got.body, got.headers)
    assert got.headers["webhook-id"] == got.event["id"] == "evt_1"
    assert got.event["subject"] == "res_1"
    assert got.event["subjectclass"] == "res"
    assert got.event["regioncodes"] == "511702"
    assert got.event["data_base64"] == "CgVyZXNfMQ=="
    assert got.headers["content-type"].startswith("application/cloudevents+json")
    await bus.caught_up()
    (fact,) = bus.evidence.facts
    assert (fact.sent, fact.reason, [a.key for a in fact.agreements]) == (
        got.body,
        "HTTP_204",
        ["partner"],
    )


async def test_a_secret_is_shown_once_and_nowhere_kept_in_clear(bus: Any, receiver: Any) -> None:
    made = await bus.subscribe(receiver.url)
    assert made.secret.startswith("whsec_")
    everything = repr(bus.backend.collections)
    assert made.secret not in everything
    assert made.secret.removeprefix("whsec_") not in everything
    assert bus.backend.collections[MARKS]
    shown = await bus.shown()
    assert [secret.secret_id for secret in shown.secrets] == [
        made.subscription.secrets[0].secret_id
    ]


async def test_secrets_are_rotated_under_load_without_an_unverifiable_delivery(
    bus: Any, receiver: Any, request_id: Callable[[], str]
) -> None:
    made = await bus.subscribe(receiver.url)
    known, unverified = [made.secret], []

    async def verify(got: Any) -> Answer:
        for secret in known:
            try:
                Webhook(secret).verify(got.body, got.headers)
            except Exception:  # noqa: BLE001 - the library has a class for each way to fail
                continue
            return 204, {}, b""
        unverified.append(got)
        return 401, {}, b""

    receiver.answer = verify
    telling = asyncio.create_task(bus.tell_many(300))
    added = await bus.service.add_secret(
        pb.AddSecretRequest(request_id=request_id(), subscription_name="events"),
        named(bus.call(), "AddSecret"),
    )
    known.append(added.secret)
    await receiver.until(lambda got: any(" " in g.headers["webhook-signature"] for g in got))
    retired = await bus.service.retire_secret(
        pb.RetireSecretRequest(
            request_id=request_id(),
            subscription_name="events",
            secret_id=made.subscription.secrets[0].secret_id,
        ),
        named(bus.call(), "RetireSecret"),
    )
    assert len(retired.subscription.secrets) == 1
    await bus.tell_many(50)
    await telling
    got = await receiver.until(lambda got: len({g.number for g in got}) == 350)
    assert unverified == []
    Webhook(added.secret).verify(got[-1].body, got[-1].headers)
    last = pb.RetireSecretRequest(
        request_id=request_id(),
        subscription_name="events",
        secret_id=added.subscription.secrets[-1].secret_id,
    )
    with pytest.raises(DomainError, match="LAST_SECRET"):
        await bus.service.retire_secret(last, named(bus.call(), "RetireSecret"))


async def test_an_endpoint_that_fails_and_recovers_gets_everything_in_the_order_of_each_subject(
    bus: Any, receiver: Any
) -> None:
    tries: dict[int, int] = defaultdict(int)

    async def moody(got: Any) -> Answer:
        tries[got.number] += 1
        return (500 if tries[got.number] == 1 and got.number % 3 == 0 else 204), {}, b""

    receiver.answer = moody
    await bus.subscribe(receiver.url)
    await bus.tell_many(200, subjects=20)
    await bus.caught_up()
    taken = [got for got in receiver.got if not (got.number % 3 == 0 and tries[got.number] < 2)]
    assert {got.number for got in taken} == set(range(1, 201))
    by_subject: dict[str, list[int]] = defaultdict(list)
    for got in receiver.got:
        numbers = by_subject[got.event["subject"]]
        if got.number not in numbers:
            numbers.append(got.number)
    assert all(numbers == sorted(numbers) for numbers in by_subject.values())
    assert len(bus.evidence.facts) == 200


async def test_an_event_that_is_refused_again_and_again_is_set_aside_and_can_be_redelivered(
    bus: Any, receiver: Any, request_id: Callable[[], str]
) -> None:
    poison = True

    async def choosy(got: Any) -> Answer:
        return (422 if poison and got.number == 1 else 204), {}, b""

    receiver.answer = choosy
    await bus.subscribe(receiver.url)
    await bus.tell("res_a")
    await bus.tell("res_a")
    await bus.tell("res_b")
    await bus.caught_up()
    assert [g.number for g in receiver.got if g.event["subject"] == "res_a"] == [1, 1, 1, 1, 2]
    (letter,) = await letters(bus)
    assert (letter.reason, letter.attempts, letter.subject) == ("HTTP_422", 4, "res_a")
    stranger = bus.call("member/stranger/desk")
    again = pb.RedeliverDeadLetterRequest(
        request_id=request_id(), dead_letter_key=letter.dead_letter_key
    )
    with pytest.raises(NotFound):
        await bus.service.redeliver_dead_letter(again, named(stranger, "RedeliverDeadLetter"))
    poison = False
    reply = await bus.service.redeliver_dead_letter(again, named(bus.call(), "RedeliverDeadLetter"))
    assert reply.dead_letter.redelivering
    await receiver.until(lambda got: [g.number for g in got].count(1) == 5)

    async def none_waits() -> bool:
        return await letters(bus) == []

    await bus.until(none_waits)
    assert (await bus.lag()).acknowledged_cursor == 3


async def test_an_endpoint_that_is_gone_ends_its_delivery_at_once(bus: Any, receiver: Any) -> None:
    async def gone(_: Any) -> Answer:
        return 410, {}, b""

    receiver.answer = gone
    await bus.subscribe(receiver.url)
    await bus.tell()
    await paused(bus)
    shown = await bus.shown()
    assert shown.pause_cause == delivery_pb2.PAUSE_CAUSE_ENDPOINT_GONE
    assert len(receiver.got) == 1
    assert (await bus.lag()).lag_events == 1


async def test_a_dead_endpoint_is_paused_with_an_event_and_goes_on_when_it_is_resumed(
    bus: Any, receiver: Any, request_id: Callable[[], str]
) -> None:
    is_asleep = True

    async def asleep(_: Any) -> Answer:
        return (503 if is_asleep else 204), {}, b""

    receiver.answer = asleep
    await bus.subscribe(receiver.url)
    await bus.tell_many(20)
    await paused(bus)
    assert (await bus.shown()).pause_cause == delivery_pb2.PAUSE_CAUSE_ENDPOINT_DEAD
    told = [
        SubscriptionPaused.FromString(entry["payload"])
        for entry in bus.backend.collections[OUTBOX].values()
        if entry["type"].endswith("SubscriptionPaused")
    ]
    assert [event.cause for event in told] == [delivery_pb2.PAUSE_CAUSE_ENDPOINT_DEAD]
    # While it was down it was tried with one event at a time, and none lost a try by it.
    assert await letters(bus) == []
    is_asleep = False
    await bus.service.resume_subscription(
        pb.ResumeSubscriptionRequest(request_id=request_id(), subscription_name="events"),
        named(bus.call(), "ResumeSubscription"),
    )
    await bus.caught_up()
    assert len(bus.evidence.facts) == 20


async def test_a_partner_city_that_slept_for_a_day_is_tried_a_few_times_and_then_gets_all(
    new_bus: Any, receiver: Any
) -> None:
    bus = new_bus(Schedule(probe_first=0.02, probe_longest=0.05))
    await bus.start()
    await bus.agree()
    is_asleep = asyncio.Event()

    async def asleep(_: Any) -> Answer:
        return (204 if is_asleep.is_set() else 503), {}, b""

    receiver.answer = asleep
    await bus.subscribe(receiver.url)
    await bus.tell_many(300, subjects=30)
    await receiver.have(12)
    assert len(receiver.got) < 60  # not 300: one at a time
    courier = next(iter(bus.dispatch._running.values())).courier
    assert len(courier.window) <= 256
    is_asleep.set()
    await receiver.until(lambda got: len({g.number for g in got}) == 300)
    await bus.caught_up()
    assert await letters(bus) == []
    await bus.stop()


async def test_what_the_endpoint_asks_for_is_waited_for(bus: Any, receiver: Any) -> None:
    async def busy(_: Any) -> Answer:
        first = not receiver.got
        return (429 if first else 204), ({"Retry-After": "1"} if first else {}), b""

    receiver.answer = busy
    await bus.subscribe(receiver.url)
    await bus.tell()
    first, second = await receiver.have(2)
    assert second.at - first.at >= 1.0


async def test_a_redirect_is_a_refusal_and_is_not_followed(
    bus: Any, receivers: Callable[[], Awaitable[Any]]
) -> None:
    inside, outside = await receivers(), await receivers()

    async def elsewhere(_: Any) -> Answer:
        return 307, {"Location": inside.url}, b""

    outside.answer = elsewhere
    await bus.subscribe(outside.url)
    await bus.tell()
    await outside.have(2)
    assert inside.got == []
    assert (await bus.lag()).retrying_events == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/",
        "https://192.168.1.1/x",
        "https://100.64.0.1/",
        "https://[::ffff:10.0.0.1]/",
        "https://[64:ff9b::a00:1]/",
        "https://[fe80::1]/",
        "https://0.0.0.0/",
        "https://2130706433/",
        "https://localhost/",
        "https://user:secret@example.org/",
        "ftp://example.org/",
        "https:///x",
        "https://exa mple.org/",
        "https://example.org:99999/",
    ],
)
async def test_private_and_odd_addresses_are_refused(bus: Any, url: str) -> None:
    bus.webhooks._rules = bus.webhooks._network._rules = Rules()
    with pytest.raises(EndpointRefused):
        await bus.subscribe(url)


async def test_a_name_that_turns_to_a_private_address_after_the_handshake_is_not_connected_to(
    bus: Any, receiver: Any
) -> None:
    await bus.subscribe(receiver.url)
    await bus.webhooks.forget("member/partner-500100/elder-care/events")
    bus.webhooks._network._rules = Rules(allow_http=True)
    await bus.tell()

    async def is_refused() -> bool:
        courier = next(iter(bus.dispatch._running.values())).courier
        return any(p.reason == "ENDPOINT_REFUSED" for p in courier.window)

    await bus.until(is_refused)
    assert receiver.got == []


async def test_an_endpoint_that_did_not_agree_gets_nothing(bus: Any, receiver: Any) -> None:
    receiver.allowed_origin = "somebody-else.example"
    with pytest.raises(EndpointDisagrees):
        await bus.subscribe(receiver.url)
    await bus.tell()
    assert receiver.got == []


async def test_a_filter_on_what_is_not_granted_is_refused_and_one_that_is_narrows(
    bus: Any, receiver: Any
) -> None:
    for expression, error in [
        ("residentname = 'x'", FilterNotGranted),
        ("EXISTS lineage", FilterNotGranted),
        ("TRUE OR payload = 'x'", FilterNotGranted),
        ("SHOUT(subject) = 'X'", FunctionUnknown),
    ]:
        wanted = delivery_pb2.EventFilter(expression=expression)
        with pytest.raises(error):
            await bus.subscribe(receiver.url, filter=wanted)
    beyond = delivery_pb2.EventFilter(event_types=["eldex.api.registry.v1.HouseholdChanged"])
    with pytest.raises(DomainError, match="ACCESS_DENIED"):
        await bus.subscribe(receiver.url, filter=beyond)
    wanted = delivery_pb2.EventFilter(
        subject_classes=["res"], expression="subject LIKE 'res_7%' AND type LIKE '%Deceased'"
    )
    await bus.subscribe(receiver.url, filter=wanted)
    await bus.tell_many(20)
    await bus.tell("res_7x", kind="eldex.api.registry.v1.ResidentMoved")
    await bus.tell("ins_7")
    await bus.tell("res_70")
    await bus.caught_up()
    assert sorted(got.event["subject"] for got in receiver.got) == ["res_7", "res_70"]


async def test_an_agreement_that_ends_ends_the_delivery_and_a_new_one_takes_it_up(
    bus: Any, receiver: Any
) -> None:
    await bus.subscribe(receiver.url)
    await bus.tell()
    await receiver.have(1)
    await bus.agree(valid_to=date(2026, 2, 1))
    await bus.tell_many(10)
    await bus.dispatch.refresh()
    assert (await bus.lag()).lag_events == 0  # nothing is due to it
    assert len(receiver.got) == 1
    await bus.agree()
    await bus.caught_up()
    assert len(receiver.got) == 11


async def test_pause_holds_and_resume_goes_on_where_it_stood(
    bus: Any, receiver: Any, request_id: Callable[[], str]
) -> None:
    await bus.subscribe(receiver.url)
    await bus.tell()
    await receiver.have(1)
    await bus.service.pause_subscription(
        pb.PauseSubscriptionRequest(
            request_id=request_id(),
            subscription_name="events",
            subsystem="member/partner-500100/elder-care",
        ),
        named(bus.operator(), "PauseSubscription"),
    )
    await bus.tell_many(5)
    assert (await bus.lag()).lag_events == 5
    assert len(receiver.got) == 1
    await bus.service.resume_subscription(
        pb.ResumeSubscriptionRequest(request_id=request_id(), subscription_name="events"),
        named(bus.call(), "ResumeSubscription"),
    )
    await bus.caught_up()
    # The order of different subjects is not promised; each event comes, and once.
    assert sorted(got.number for got in receiver.got) == [1, 2, 3, 4, 5, 6]


async def test_a_replay_sends_the_same_ids_again(
    bus: Any, receiver: Any, request_id: Callable[[], str]
) -> None:
    await bus.subscribe(receiver.url)
    await bus.tell_many(10, subjects=1)
    await bus.caught_up()
    await bus.service.replay_subscription(
        pb.ReplaySubscriptionRequest(
            request_id=request_id(), subscription_name="events", after_cursor=7
        ),
        named(bus.call(), "ReplaySubscription"),
    )
    await bus.caught_up()
    assert [got.number for got in receiver.got] == [*range(1, 11), 8, 9, 10]


async def test_nothing_is_sent_while_it_could_not_be_proven(bus: Any, receiver: Any) -> None:
    await bus.subscribe(receiver.url)
    bus.evidence.is_full = True
    await bus.tell()

    async def is_waiting() -> bool:
        courier = next(iter(bus.dispatch._running.values())).courier
        return any(p.reason == "NO_EVIDENCE" for p in courier.window)

    await bus.until(is_waiting)
    assert receiver.got == []
    bus.evidence.is_full = False
    await bus.caught_up()
    assert len(receiver.got) == len(bus.evidence.facts) == 1


async def test_whoever_is_killed_and_starts_again_loses_nothing_and_keeps_every_order(
    bus: Any, receiver: Any
) -> None:
    tries: dict[int, int] = defaultdict(int)

    async def moody(got: Any) -> Answer:
        tries[got.number] += 1
        return (500 if tries[got.number] == 1 and got.number % 7 == 0 else 204), {}, b""

    receiver.answer = moody
    await bus.subscribe(receiver.url)
    for round_ in range(1, 6):
        await bus.tell_many(60, subjects=12)
        await receiver.have(round_ * 40)
        await bus.die()
        await bus.start()
    await bus.caught_up()
    assert {got.number for got in receiver.got} == set(range(1, 301))
    by_subject: dict[str, list[int]] = defaultdict(list)
    for got in receiver.got:
        numbers = by_subject[got.event["subject"]]
        if got.number not in numbers:
            numbers.append(got.number)
    assert all(numbers == sorted(numbers) for numbers in by_subject.values())


async def test_a_subscription_is_its_owners_and_nobody_elses(bus: Any, receiver: Any) -> None:
    await bus.subscribe(receiver.url)
    stranger = bus.call("member/stranger/desk")
    with pytest.raises(NotFound):
        await bus.service.get_subscription(
            pb.GetSubscriptionRequest(subscription_name="events"), stranger
        )
    with pytest.raises(Denied):
        await bus.service.get_subscription(
            pb.GetSubscriptionRequest(
                subscription_name="events", subsystem="member/partner-500100/elder-care"
            ),
            stranger,
        )


def named(call: Call, rpc: str) -> Call:
    return Call(f"/eldex.api.exchange.v1.DeliveryService/{rpc}", call.caller, call.at)


async def letters(bus: Any) -> list[delivery_pb2.DeliveryDeadLetter]:
    response = await bus.service.list_dead_letters(
        pb.ListDeadLettersRequest(subscription_name="events"), bus.call()
    )
    return list(response.dead_letters)


async def paused(bus: Any) -> None:
    async def is_paused() -> bool:
        shown = await bus.shown()
        return bool(shown.state == delivery_pb2.SUBSCRIPTION_STATE_PAUSED)

    await bus.until(is_paused)
