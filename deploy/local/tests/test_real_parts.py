"""The real mongod and the real Kafka: what was acknowledged survives `kill -9` and another port."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from pymongo import AsyncMongoClient
from pymongo.asynchronous.collection import AsyncCollection

from eldex.local.kafka import Kafka
from eldex.local.mongod import Mongod
from eldex.local.ports import reserve


@pytest.fixture
async def mongod(tmp_path: Path) -> AsyncIterator[Mongod]:
    async with Mongod(tmp_path / "mongod") as part:
        yield part


async def residents_after_registering(uri: str, name: str) -> list[str]:
    """Register one more resident in a transaction (which only a replica set has) and list all."""
    client: AsyncMongoClient[dict[str, Any]]
    async with AsyncMongoClient(uri, serverSelectionTimeoutMS=10_000) as client:
        residents: AsyncCollection[dict[str, Any]] = client["registry"]["residents"]
        async with client.start_session() as session, await session.start_transaction():
            await residents.insert_one({"name": name}, session=session)
        return [found["name"] async for found in residents.find().sort("_id")]


async def test_what_mongod_acknowledged_survives_a_kill(mongod: Mongod) -> None:
    assert await residents_after_registering(mongod.uri, "王秀英") == ["王秀英"]
    await mongod.kill()
    await mongod.start()
    assert await residents_after_registering(mongod.uri, "李桂兰") == ["王秀英", "李桂兰"]


async def test_a_city_whose_ports_were_changed_keeps_its_data(tmp_path: Path) -> None:
    async with Mongod(tmp_path) as before:
        await residents_after_registering(before.uri, "王秀英")
    async with Mongod(tmp_path, port=reserve()) as after:
        assert after.port != before.port
        found = await residents_after_registering(after.uri, "李桂兰")
    assert found == ["王秀英", "李桂兰"]


def send(kafka: Kafka, value: str) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "enable.idempotence": True})
    refused: list[object] = []
    producer.produce("residents", value, on_delivery=lambda error, _: refused.append(error))
    assert producer.flush(20) == 0
    assert refused == [None]


def everything_in(kafka: Kafka, count: int) -> list[str]:
    consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "test"})
    consumer.assign([TopicPartition("residents", 0, OFFSET_BEGINNING)])
    found = [message.value() for message in consumer.consume(count, timeout=20)]
    consumer.close()
    return [value.decode() for value in found if isinstance(value, bytes)]


async def test_what_kafka_acknowledged_survives_a_kill_and_a_change_of_ports(
    tmp_path: Path,
) -> None:
    async with Kafka(tmp_path) as kafka:
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        created = admin.create_topics([NewTopic("residents", num_partitions=1)])
        created["residents"].result(20)
        send(kafka, "deceased")
        await kafka.kill()
        await kafka.start()
        send(kafka, "payments stopped")
    async with Kafka(tmp_path) as elsewhere:
        assert elsewhere.port != kafka.port
        assert everything_in(elsewhere, 2) == ["deceased", "payments stopped"]


async def test_no_topic_comes_into_being_by_accident(tmp_path: Path) -> None:
    async with Kafka(tmp_path) as kafka:
        producer = Producer({"bootstrap.servers": kafka.bootstrap, "message.timeout.ms": 3000})
        refused: list[object] = []
        producer.produce("a-typing-eror", "x", on_delivery=lambda error, _: refused.append(error))
        producer.flush(20)
        assert refused[0] is not None
        admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
        assert "a-typing-eror" not in admin.list_topics(timeout=10).topics
