"""The usual shape, as tutorials teach it: one transaction, one send, one commit at a time.

`server`: a grpc.aio handler with a Motor transaction per command (find, replace, insert into the
outbox); a loop that looks into the outbox every 50 ms and sends event by event, waiting for the
delivery of each, then marks it as sent. `projector`: one message at a time: a transaction that
remembers the event's id and updates the projection, then the offset is committed.

No identity, field rules, history, marks of requests, traces or metrics. It is not tuned: that is
what it stands for.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, date, datetime
from typing import Any

import confluent_kafka
import grpc
import motor.motor_asyncio
from pymongo.errors import OperationFailure
from pymongo.write_concern import WriteConcern

from bench.callers import MOVE
from bench.child import serve
from bench.floor import Document, headers_of, moved
from bench.tally import Tally, name_of
from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.api.registry.v1 import resident_events_pb2 as events_pb

_DURABLE = WriteConcern(w="majority", j=True)


async def server(listen: str, mongo_uri: str, database: str, bootstrap: str) -> None:
    """Serve commands and publish their events until the input ends."""
    client: Any = motor.motor_asyncio.AsyncIOMotorClient(mongo_uri, tz_aware=True)
    db = client.get_database(database, write_concern=_DURABLE)

    async def move(request: pb.MoveResidentRequest, _: Any) -> pb.MoveResidentResponse:
        async with await client.start_session() as session, session.start_transaction():
            document = await db.residents.find_one({"_id": request.resident_key}, session=session)
            entry = moved(document, request, datetime.now(UTC)) | {"sent": False}
            await db.residents.replace_one({"_id": document["_id"]}, document, session=session)
            await db.outbox.insert_one(entry, session=session)
        response = pb.MoveResidentResponse()
        response.resident.resident_key = request.resident_key
        response.resident.etag = f"v{document['version']}"
        return response

    await db.outbox.create_index([("sent", 1), ("timestamp", 1)])
    name, _, method = MOVE[1:].partition("/")
    handler = grpc.unary_unary_rpc_method_handler(
        move, pb.MoveResidentRequest.FromString, pb.MoveResidentResponse.SerializeToString
    )
    serving = grpc.aio.server()
    serving.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(name, {method: handler}),)
    )
    serving.add_insecure_port(listen)
    await serving.start()
    relaying = asyncio.create_task(_relay(db, bootstrap, f"{database}-residents"))

    async def nothing(_: Document) -> Document:
        return {}

    await serve(nothing)
    relaying.cancel()
    await serving.stop(0)


async def _relay(db: Any, bootstrap: str, topic: str) -> None:
    producer = confluent_kafka.Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    while True:
        async for entry in db.outbox.find({"sent": False}).sort("timestamp", 1):
            producer.produce(
                topic, entry["payload"], entry["aggregateid"], headers=headers_of(entry)
            )
            await asyncio.to_thread(producer.flush)
            await db.outbox.update_one({"_id": entry["_id"]}, {"$set": {"sent": True}})
        await asyncio.sleep(0.05)


async def projector(mongo_uri: str, database: str, bootstrap: str) -> None:
    """Apply event by event until the input ends."""
    client: Any = motor.motor_asyncio.AsyncIOMotorClient(mongo_uri, tz_aware=True)
    db = client.get_database(database, write_concern=_DURABLE)
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"{database}-projector",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([f"{database}-residents"])
    tally = Tally()

    async def consume() -> None:
        while True:
            message: Any = await asyncio.to_thread(consumer.poll, 0.25)
            if message is None or message.error() is not None:
                continue
            event = events_pb.ResidentMoved.FromString(message.value())
            event_id = dict(message.headers())["ce_id"].decode()
            await _apply(client, db, event, event_id)
            await asyncio.to_thread(_commit, consumer, message)
            on = event.moved_on
            tally.add([name_of(event.resident_key, on.year, on.month, on.day)])

    consuming = asyncio.create_task(consume())
    await serve(tally.do)
    consuming.cancel()


def _commit(consumer: Any, message: Any) -> None:
    consumer.commit(message=message, asynchronous=False)


async def _apply(client: Any, db: Any, event: events_pb.ResidentMoved, event_id: str) -> None:
    on = event.moved_on
    since = date(on.year, on.month, on.day).isoformat()
    async with await client.start_session() as session:
        try:
            async with session.start_transaction():
                await db.inbox.insert_one({"_id": event_id}, session=session)
                await db.abodes.update_one(
                    {"_id": event.resident_key},
                    {"$set": {"region_code": event.region_code, "since": since}},
                    upsert=True,
                    session=session,
                )
        except OperationFailure as error:
            if error.code != 11000:
                raise


if __name__ == "__main__":
    role = {"server": server, "projector": projector}[sys.argv[1]]
    asyncio.run(role(*sys.argv[2:]))  # type: ignore[operator]
