"""A partner reads a Kafka topic of its own, and nothing else of the broker's."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from confluent_kafka import Consumer, KafkaError
from confluent_kafka.admin import AdminClient, ScramMechanism, UserScramCredentialDeletion

from eldex.api.exchange.v1 import delivery_pb2
from eldex.api.exchange.v1 import delivery_service_pb2 as pb
from eldex.common.kafka import TopicPlan, create_topics
from eldex.exchange.handlers.delivery import TopicsNotOffered
from eldex.exchange.store.partner_topics import KafkaPartnerTopics
from eldex.local.authority import Authority
from eldex.local.kafka import Kafka

TOPIC = delivery_pb2.DELIVERY_KIND_TOPIC


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Kafka]:
    """A Kafka whose partners have a listener of their own."""
    folder = tmp_path_factory.mktemp("partners")
    tls = Authority.open(folder / "pki").issue("511700/part/kafka", folder / "tls")
    async with Kafka(folder / "kafka", partners_tls=tls) as part:
        yield part


@pytest_asyncio.fixture
async def offering(bus: Any, broker: Kafka) -> AsyncIterator[Any]:
    """The bus, with Kafka for members."""
    await bus.stop()
    bus.topics = KafkaPartnerTopics(broker.bootstrap, broker.partners, "exchange-0")
    await bus.start()
    yield bus
    await bus.stop()
    bus.topics.stop()


class Reader:
    """A partner's consumer, as docs/reading-a-topic.md describes it."""

    def __init__(self, broker: Kafka, user: str, password: str, topic: str, group: str) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": broker.partners,
                "security.protocol": "SASL_SSL",
                "ssl.ca.location": str(broker.data.parents[1] / "tls" / "ca.pem"),
                "sasl.mechanism": "SCRAM-SHA-512",
                "sasl.username": user,
                "sasl.password": password,
                "group.id": group,
                "auto.offset.reset": "earliest",
                "topic.metadata.refresh.interval.ms": 200,
                "log_level": 0,
            },
            error_cb=self._errors,
        )
        self.errors: list[int] = []
        self.refusals = REFUSALS
        self._consumer.subscribe([topic])

    def _errors(self, error: KafkaError) -> None:
        self.errors.append(error.code())

    async def read(self, count: int) -> list[tuple[dict[str, str], bytes]]:
        """So many events, as headers and value; raises the code of an error as `PermissionError`."""

        def run() -> list[tuple[dict[str, str], bytes]]:
            found: list[tuple[dict[str, str], bytes]] = []
            end = time.monotonic() + 60
            while len(found) < count:
                if time.monotonic() > end:
                    raise TimeoutError(f"{len(found)} of {count} events arrived")
                message = self._consumer.poll(0.2)
                error = message.error() if message is not None else None
                for code in (*self.errors, *([error.code()] if error is not None else [])):
                    if code in self.refusals:
                        raise PermissionError(code)
                if message is not None and error is None:
                    headers: Any = message.headers()
                    named = {name: value.decode() for name, value in headers}
                    found.append((named, message.value() or b""))
            return found

        return await asyncio.to_thread(run)

    def close(self) -> None:
        """Leave."""
        self._consumer.close()


REFUSALS = {
    KafkaError._AUTHENTICATION,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
}


def reader_of(broker: Kafka, made: Any, **other: str) -> Reader:
    """The reader of a subscription, with whatever else a partner may try."""
    topic = made.subscription.topic.topic
    known = {
        "user": made.subscription.secrets[-1].secret_id,
        "password": made.secret,
        "topic": topic,
        "group": f"{topic}.reader",
    }
    return Reader(broker, **(known | other))


async def refused(broker: Kafka, made: Any, **other: str) -> int:
    """The code with which the broker refuses a reader."""
    reader = reader_of(broker, made, **other)
    try:
        with pytest.raises(PermissionError) as found:
            await reader.read(1)
    finally:
        await asyncio.to_thread(reader.close)
    return int(found.value.args[0])


async def test_events_arrive_in_the_topic_in_order_and_proven(offering: Any, broker: Kafka) -> None:
    made = await offering.create("events", kind=TOPIC)
    assert made.subscription.topic.bootstrap_servers == broker.partners
    assert made.subscription.topic.topic == "partner.partner-500100.elder-care.events"
    await offering.tell_many(60, subjects=5)
    reader = reader_of(broker, made)
    got = await reader.read(60)
    by_subject: dict[str, list[int]] = {}
    for headers, value in got:
        number = int(headers["ce_id"].removeprefix("evt_"))
        by_subject.setdefault(headers["ce_subject"], []).append(number)
        assert (headers["ce_specversion"], headers["content-type"], value) == (
            "1.0",
            "application/protobuf",
            b"\x0a\x01x",
        )
    assert sorted(number for each in by_subject.values() for number in each) == [*range(1, 61)]
    assert all(numbers == sorted(numbers) for numbers in by_subject.values())
    await offering.caught_up()
    assert {fact.reason for fact in offering.evidence.facts} == {"KAFKA_ACK"}
    assert len(offering.evidence.facts) == 60
    await asyncio.to_thread(reader.close)


async def test_a_partner_reads_its_own_topic_and_nothing_else(
    offering: Any, broker: Kafka, unique: str
) -> None:
    await create_topics(broker.bootstrap, [TopicPlan(f"registry-{unique}", 1, 3600)])
    mine = await offering.create("mine", kind=TOPIC)
    await offering.agree("others", "member/partner-510100/elder-care")
    others = await offering.create("theirs", "member/partner-510100/elder-care", kind=TOPIC)
    await offering.tell()
    reader = reader_of(broker, mine)
    assert len(await reader.read(1)) == 1
    await asyncio.to_thread(reader.close)
    forbidden = KafkaError.TOPIC_AUTHORIZATION_FAILED
    assert await refused(broker, mine, topic=f"registry-{unique}") == forbidden
    assert await refused(broker, mine, topic=others.subscription.topic.topic) == forbidden
    assert await refused(broker, mine, group="registry") == KafkaError.GROUP_AUTHORIZATION_FAILED
    assert await refused(broker, mine, password="wrong") == KafkaError._AUTHENTICATION


async def test_passwords_are_rotated_with_an_overlap(offering: Any, broker: Kafka) -> None:
    made = await offering.create("rotated", kind=TOPIC)
    await offering.tell()
    old = reader_of(broker, made)
    await old.read(1)
    call = offering.call()
    second = await offering.service.add_secret(
        pb.AddSecretRequest(request_id=str(uuid.uuid4()), subscription_name="rotated"), call
    )
    new = reader_of(broker, second, group=f"{made.subscription.topic.topic}.new")
    assert len(await new.read(1)) == 1
    await offering.tell()
    assert len(await old.read(1)) == 1  # both are good for as long as both are active
    await offering.service.retire_secret(
        pb.RetireSecretRequest(
            request_id=str(uuid.uuid4()),
            subscription_name="rotated",
            secret_id=made.subscription.secrets[0].secret_id,
        ),
        call,
    )
    await offering.tell()
    with pytest.raises(PermissionError):
        await old.read(100)  # a fetch that was under way may still be answered, the next is not
    assert len(await new.read(2)) == 2
    for reader in (old, new):
        await asyncio.to_thread(reader.close)


async def test_a_subscription_given_up_leaves_nobody_who_can_read(
    offering: Any, broker: Kafka
) -> None:
    made = await offering.create("given-up", kind=TOPIC)
    await offering.tell()
    reader = reader_of(broker, made)
    await reader.read(1)
    await asyncio.to_thread(reader.close)
    await offering.service.delete_subscription(
        pb.DeleteSubscriptionRequest(request_id=str(uuid.uuid4()), subscription_name="given-up"),
        offering.call(),
    )
    assert await refused(broker, made) == KafkaError._AUTHENTICATION


async def test_a_broker_that_lost_its_users_is_told_of_them_again(
    offering: Any, broker: Kafka
) -> None:
    made = await offering.create("lost", kind=TOPIC)
    user = made.subscription.secrets[0].secret_id
    admin = AdminClient({"bootstrap.servers": broker.bootstrap})
    deletion = UserScramCredentialDeletion(user, ScramMechanism.SCRAM_SHA_512)
    for future in admin.alter_user_scram_credentials([deletion]).values():
        await asyncio.to_thread(future.result, 10)
    await offering.tell()
    reader = reader_of(broker, made)
    reader.refusals = set()
    assert len(await reader.read(1)) == 1
    await asyncio.to_thread(reader.close)


async def test_kafka_away_is_waited_for_and_nothing_is_set_aside(
    offering: Any, broker: Kafka
) -> None:
    made = await offering.create("patient", kind=TOPIC)
    await offering.tell()
    await offering.caught_up("patient")
    await broker.kill()
    await offering.tell_many(20)
    await broker.start()
    reader = reader_of(broker, made)
    # A broker that comes back may not know its users yet, or any more; clients try again.
    reader.refusals = REFUSALS - {KafkaError._AUTHENTICATION}
    assert len(await reader.read(21)) == 21
    await offering.caught_up("patient")
    assert (await offering.lag("patient")).dead_letters == 0
    await asyncio.to_thread(reader.close)


async def test_an_exchange_without_kafka_for_members_says_so(bus: Any) -> None:
    with pytest.raises(TopicsNotOffered):
        await bus.create("events", kind=TOPIC)
