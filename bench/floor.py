"""The floor: the same slice of the same bytes, written as tightly as plain Python allows.

`server`: commands arrive on the same stream of the same messages (or by unary gRPC), without TLS; a
batch is one `find` and one transaction of one bulk replace and one insert into the outbox
(synchronous PyMongo, two threads), the events of a transaction in one document as the house has them; a
change stream of the outbox goes to Kafka with its token kept per batch. `projector`: raw `consume`, one bulk of version-guarded upserts, then the offset.

State, event and record have the content that the house gives them, and state has the same indexes.
What it leaves out is what a framework is for: identity, policy, field rules, marks of requests and
events, history, traces, metrics, logs, dead letters, masking, mutual TLS. With `all` it also writes, as tightly, the further
documents that the house writes (history, marks of requests and of events).
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import confluent_kafka
import grpc
import uvloop
from pymongo import InsertOne, MongoClient, ReplaceOne, UpdateOne
from pymongo.errors import BulkWriteError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from bench.callers import MOVE
from bench.child import serve
from bench.tally import Tally, name_of
from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.api.registry.v1 import resident_events_pb2 as events_pb
from eldex.api.trunk.v1 import trunk_service_pb2 as trunk_pb
from eldex.common.identifiers import RegionCode, new_key
from eldex.registry.store import MongoResidents

_DURABLE = WriteConcern(w="majority", j=True)
_MOST = 512
_LANES = 2
_CARRY = "/eldex.api.trunk.v1.TrunkService/Carry"
Document = dict[str, Any]


@dataclass(slots=True)
class Waiting:
    """A command and where its reply goes."""

    request: bytes
    done: asyncio.Future[bytes]


class Slice:
    """Commands to state and outbox, many per transaction."""

    def __init__(self, mongo_uri: str, database: str, *, everything: bool) -> None:
        self.client: MongoClient[Document] = MongoClient(mongo_uri, tz_aware=True)
        self.database = self.client.get_database(
            database, write_concern=_DURABLE, read_concern=ReadConcern("majority")
        )
        self._everything = everything
        self._threads = ThreadPoolExecutor(_LANES)
        self._queue: list[Waiting] = []
        self._busy = 0

    async def submit(self, requests: list[bytes]) -> list[bytes]:
        """Have commands done; their replies."""
        loop = asyncio.get_running_loop()
        entries = [Waiting(request, loop.create_future()) for request in requests]
        self._queue += entries
        self._go()
        return [await entry.done for entry in entries]

    def _go(self) -> None:
        while self._queue and self._busy < _LANES:
            batch, self._queue = self._queue[:_MOST], self._queue[_MOST:]
            self._busy += 1
            loop = asyncio.get_running_loop()
            work = loop.run_in_executor(self._threads, self._write, [w.request for w in batch])
            work.add_done_callback(lambda done, batch=batch: self._answer(done, batch))  # type: ignore[misc]

    def _answer(self, done: asyncio.Future[list[bytes]], batch: list[Waiting]) -> None:
        self._busy -= 1
        for entry, reply in zip(batch, done.result(), strict=True):
            entry.done.set_result(reply)
        self._go()

    def _write(self, payloads: list[bytes]) -> list[bytes]:
        requests = [pb.MoveResidentRequest.FromString(payload) for payload in payloads]
        keys = [request.resident_key for request in requests]
        found = {d["_id"]: d for d in self.database["residents"].find({"_id": {"$in": keys}})}
        now = datetime.now(UTC)
        states: list[ReplaceOne[Document]] = []
        outbox: list[Document] = []
        more: list[Document] = []
        replies = []
        for request, payload in zip(requests, payloads, strict=True):
            document = found[request.resident_key]
            before = document["version"]
            outbox.append(moved(document, request, now))
            states.append(ReplaceOne({"_id": document["_id"], "version": before}, document))
            reply = f"v{document['version']}".encode()
            replies.append(reply)
            if self._everything:
                more += _more(document, request, payload, reply, now)

        def together(session: Any) -> None:
            written = self.database["residents"].bulk_write(states, session=session)
            if written.matched_count != len(states):
                raise AssertionError("the floor's commands never meet")
            bundle = {"_id": new_key("out"), "timestamp": now, "events": outbox}
            self.database["outbox"].insert_one(bundle, session=session)
            if more:
                self.database["marks"].insert_many(more[1::2], session=session)
                self.database["residents_history"].insert_many(more[::2], session=session)

        _in_transaction(self.client, together)
        return replies


def moved(document: Document, request: pb.MoveResidentRequest, now: datetime) -> Document:
    """Change the state in place; the outbox document of its event."""
    moved_on = request.moved_on
    day = date(moved_on.year, moved_on.month, moved_on.day).isoformat()
    last = document["residences"][-1]
    if day <= last["began_on"]:
        raise AssertionError("the bench moves each resident later than before")
    last["ended_on"] = day
    document["residences"].append(
        {"region_code": request.region_code, "began_on": day, "ended_on": None}
    )
    document["lineage"] = _lineage(request.region_code)
    document["version"] += 1
    document["updated_at"] = now
    event = events_pb.ResidentMoved(
        resident_key=request.resident_key,
        from_region_code=last["region_code"],
        region_code=request.region_code,
        moved_on=moved_on,
        hukou_region_code=document["hukou_region_code"],
    )
    regions = {last["region_code"], request.region_code, document["hukou_region_code"]}
    return {
        "_id": new_key("evt"),
        "aggregatetype": "registry-residents",
        "aggregateid": request.resident_key,
        "type": "eldex.api.registry.v1.ResidentMoved",
        "payload": event.SerializeToString(),
        "timestamp": now,
        "sequence": document["version"],
        "source": "//511700/registry",
        "regions": ",".join(sorted(regions)),
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00",
    }


_lineages: dict[str, list[str]] = {}


def _lineage(code: str) -> list[str]:
    if code not in _lineages:
        _lineages[code] = [str(each) for each in RegionCode.parse(code).lineage()]
    return _lineages[code]


def _more(
    document: Document, request: pb.MoveResidentRequest, payload: bytes, reply: bytes, now: datetime
) -> list[Document]:
    """History and mark, as the house writes them (its reply holds the resident: about so long)."""
    past = {
        "_id": f"{document['_id']}@{document['version']}",
        "key": document["_id"],
        "version": document["version"],
        "recorded_at": now,
        "document": document,
    }
    mark = {
        "_id": f"511700/member/civil-affairs/elder-care{MOVE}/{request.request_id}",
        "digest": hashlib.sha256(payload).hexdigest(),
        "reply": reply.ljust(200),
        "expires_at": now,
    }
    return [past, mark]


def _in_transaction(client: MongoClient[Document], write: Callable[[Any], None]) -> None:
    with client.start_session() as session:
        session.with_transaction(
            write, read_concern=ReadConcern("snapshot"), write_concern=_DURABLE
        )


# --- outbox to Kafka ------------------------------------------------------------------------------


def relay(database: Any, bootstrap: str, topic: str) -> None:
    """Publish what the change stream of the outbox tells; the token is kept per batch."""
    producer = confluent_kafka.Producer(
        {
            "bootstrap.servers": bootstrap,
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 0,
            "compression.type": "lz4",
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    only_inserts = [{"$match": {"operationType": "insert"}}, {"$project": {"fullDocument": 1}}]
    since = 0
    with database["outbox"].watch(only_inserts, batch_size=2_000, max_await_time_ms=20) as stream:
        while True:
            change = stream.try_next()
            if change is not None:
                for entry in change["fullDocument"]["events"]:
                    producer.produce(
                        topic, entry["payload"], entry["aggregateid"], headers=headers_of(entry)
                    )
                    since += 1
            if since and (change is None or since >= 2_000):
                producer.flush()
                database["checkpoints"].with_options(write_concern=WriteConcern(w=1)).replace_one(
                    {"_id": "relay"}, {"token": stream.resume_token}, upsert=True
                )
                since = 0


def headers_of(entry: Document) -> list[tuple[str, str | bytes | None]]:
    """The record's headers, as the house writes them."""
    return [
        ("ce_specversion", "1.0"),
        ("ce_id", entry["_id"]),
        ("ce_source", entry["source"]),
        ("ce_type", entry["type"]),
        ("ce_time", entry["timestamp"].isoformat(timespec="milliseconds")),
        ("ce_subject", entry["aggregateid"]),
        ("ce_sequence", str(entry["sequence"])),
        ("ce_regions", entry["regions"]),
        ("content-type", "application/protobuf"),
        ("traceparent", entry["traceparent"]),
    ]


async def server(listen: str, mongo_uri: str, database: str, bootstrap: str, which: str) -> None:
    """Serve commands until the input ends."""
    work = Slice(mongo_uri, database, everything=which == "all")
    work.database["outbox"].create_index("timestamp", expireAfterSeconds=600)
    if which == "all":
        work.database["residents_history"].create_index([("key", 1), ("version", -1)], unique=True)
        work.database["marks"].create_index("expires_at", expireAfterSeconds=86_400)
    for index in MongoResidents.indexes:
        work.database["residents"].create_index(list(index.fields), unique=index.unique)
    args = (work.database, bootstrap, f"{database}-residents")
    threading.Thread(target=relay, args=args, daemon=True).start()

    async def carry(requests: Any, _: Any) -> AsyncIterator[trunk_pb.CarryResponse]:
        ready: asyncio.Queue[trunk_pb.CarryResponse] = asyncio.Queue()
        working = set()

        async def work_on(message: trunk_pb.CarryRequest) -> None:
            replies = await work.submit([call.request for call in message.calls])
            response = trunk_pb.CarryResponse()
            for call, reply in zip(message.calls, replies, strict=True):
                response.replies.add(call_id=call.call_id, response=reply)
            ready.put_nowait(response)

        async def read() -> None:
            async for message in requests:
                task = asyncio.create_task(work_on(message))
                working.add(task)
                task.add_done_callback(working.discard)

        reader = asyncio.create_task(read())
        try:
            while True:
                yield await ready.get()
        finally:
            reader.cancel()

    async def move(request: bytes, _: Any) -> bytes:
        return (await work.submit([request]))[0]

    trunk_name, _, carry_name = _CARRY[1:].partition("/")
    registry_name, _, move_name = MOVE[1:].partition("/")
    serving = grpc.aio.server()
    stream: Any = grpc.stream_stream_rpc_method_handler(
        carry,
        trunk_pb.CarryRequest.FromString,
        trunk_pb.CarryResponse.SerializeToString,
    )
    unary: Any = grpc.unary_unary_rpc_method_handler(move)
    serving.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(trunk_name, {carry_name: stream}),
            grpc.method_handlers_generic_handler(registry_name, {move_name: unary}),
        )
    )
    serving.add_insecure_port(listen)
    await serving.start()

    async def nothing(_: Document) -> Document:
        return {}

    await serve(nothing)
    await serving.stop(0)


# --- Kafka to projection --------------------------------------------------------------------------


def project(
    mongo_uri: str, database: str, bootstrap: str, which: str, tell: Any, loop: Any
) -> None:
    """Consume until the process ends."""
    client: MongoClient[Document] = MongoClient(mongo_uri, tz_aware=True)
    target = client.get_database(database, write_concern=_DURABLE)
    abodes, marks = target["abodes"], target["inbox"]
    marks.create_index("expires_at", expireAfterSeconds=86_400)
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"{database}-projector",
            "group.protocol": "consumer",
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.queue.backoff.ms": 5,
        }
    )
    consumer.subscribe([f"{database}-residents"])
    while True:
        first = consumer.poll(0.25)
        if first is None:
            continue
        read: list[Any] = [first, *consumer.consume(500, 0)]
        messages = [message for message in read if message.error() is None]
        updates, seen, names = [], [], []
        now = datetime.now(UTC)
        for message in messages:
            headers = dict(message.headers())
            event = events_pb.ResidentMoved.FromString(message.value())
            version, on = int(headers["ce_sequence"]), event.moved_on
            day = date(on.year, on.month, on.day).isoformat()
            names.append(name_of(event.resident_key, on.year, on.month, on.day))
            updates.append(
                UpdateOne(
                    {"_id": event.resident_key, "version": {"$lt": version}},
                    {"$set": {"version": version, "region_code": event.region_code, "since": day}},
                    upsert=True,
                )
            )
            seen.append({"_id": f"event/{headers['ce_id'].decode()}", "expires_at": now})
        if which == "all":
            remembered = [InsertOne(each) for each in seen]

            def together(
                session: Any, updates: list[Any] = updates, remembered: list[Any] = remembered
            ) -> None:
                abodes.bulk_write(updates, session=session, ordered=False)
                marks.bulk_write(remembered, session=session, ordered=False)

            _in_transaction(client, together)
        else:
            try:
                abodes.bulk_write(updates, ordered=False)
            except BulkWriteError as error:
                if any(e["code"] != 11000 for e in error.details["writeErrors"]):
                    raise
        consumer.commit(asynchronous=True)
        loop.call_soon_threadsafe(tell, names)


async def projector(mongo_uri: str, database: str, bootstrap: str, which: str) -> None:
    """Project until the input ends."""
    tally = Tally()
    args = (mongo_uri, database, bootstrap, which, tally.add, asyncio.get_running_loop())
    threading.Thread(target=project, args=args, daemon=True).start()
    await serve(tally.do)


if __name__ == "__main__":
    role = {"server": server, "projector": projector}[sys.argv[1]]
    uvloop.run(role(*sys.argv[2:]))  # type: ignore[operator]
