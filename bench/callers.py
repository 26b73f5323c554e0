"""Those who call: one process that sends prepared commands and waits for the replies.

The same code calls the house, the floor and the tutorial, by the same protocol buffers. Roads:
`trunk` (a stream with many calls per message, so many under way at a time), `unary` (one gRPC call
per command, so many callers side by side), `open` (unary at a fixed rate, whatever the answers do).
"""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import grpc
import uvloop
from google.type.date_pb2 import Date

from bench.child import Job, serve
from bench.tally import name_of
from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.api.registry.v1 import resident_pb2
from eldex.api.trunk.v1 import trunk_service_pb2 as trunk_pb
from eldex.api.trunk.v1.trunk_service_pb2_grpc import TrunkServiceStub
from eldex.common.identifiers import Sex
from eldex.common.rpc.client import channel
from eldex.local.city.fictional import NumberOffice
from eldex.local.city.shape import COUNTIES

MOVE = "/eldex.api.registry.v1.RegistryService/MoveResident"
REGISTER = "/eldex.api.registry.v1.RegistryService/RegisterResident"
_SINCE = date(1999, 1, 1)
_METADATA = {
    "eldex-member": "511700/member/civil-affairs/elder-care",
    "eldex-purpose": "elder-care",
    "eldex-agreement": "AGR-1",
    "accept-language": "zh",
}
_PER_MESSAGE = 128
_SAMPLED_SHARE = 0.1


@dataclass(slots=True)
class Command:
    """One prepared call."""

    method: str
    request: bytes
    name: str
    metadata: list[tuple[str, str]]


def metadata() -> list[tuple[str, str]]:
    """What the exchange sends with a call: for whom, why, and the trace it belongs to."""
    sampled = secrets.randbelow(1000) < 1000 * _SAMPLED_SHARE
    trace = f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-0{int(sampled)}"
    return [*_METADATA.items(), ("traceparent", trace)]


def registrations(count: int) -> list[Command]:
    """Fictional people to be entered."""
    office = NumberOffice()
    made = []
    for i in range(count):
        county = COUNTIES[i % len(COUNTIES)].code
        sex = Sex.MALE if i % 2 else Sex.FEMALE
        born_on = date(1930, 1, 1) + timedelta(days=i % 9000)
        request = pb.RegisterResidentRequest(
            request_id=str(uuid.uuid4()),
            document=resident_pb2.PersonDocument(
                kind=resident_pb2.DOCUMENT_KIND_RESIDENT_IDENTITY_CARD,
                number=office.identity(county, born_on, sex).reveal(),
            ),
            name="王秀英" if sex is Sex.FEMALE else "李建国",
            region_code=county,
            resident_since=_date(_SINCE),
        )
        made.append(Command(REGISTER, request.SerializeToString(), str(i), metadata()))
    return made


def _date(day: date) -> Date:
    return Date(year=day.year, month=day.month, day=day.day)


@dataclass(slots=True)
class Moves:
    """Moves of known residents, each resident's later than the one before."""

    keys: list[str]
    done: int = 0

    def next(self, count: int) -> list[Command]:
        """The next so many."""
        made = []
        for i in range(self.done, self.done + count):
            key, turn = self.keys[i % len(self.keys)], i // len(self.keys) + 1
            day = _SINCE + timedelta(days=turn)
            request = pb.MoveResidentRequest(
                request_id=str(uuid.uuid4()),
                resident_key=key,
                region_code=COUNTIES[(i + turn) % len(COUNTIES)].code,
                moved_on=_date(day),
            )
            name = name_of(key, day.year, day.month, day.day)
            made.append(Command(MOVE, request.SerializeToString(), name, metadata()))
        self.done += count
        return made


@dataclass(slots=True)
class Callers:
    """Does the jobs of the bench; remembers per target which moves were made."""

    tls: Path
    moves: dict[str, Moves] = field(default_factory=dict)

    async def do(self, job: Job) -> Job:
        """One job: prepare, call, tell when it began and ended."""
        if job["do"] == "know":
            # Who is given a copy of the house's residents goes on where the house has come to.
            house = self.moves.get("house")
            self.moves[job["residents"]] = Moves(job["keys"], house.done if house else 0)
            return {}
        if job["do"] == "register":
            commands = registrations(job["count"])
        else:
            commands = self.moves[job["residents"]].next(job["count"])
        target, tls = job["target"], job.get("tls", True)
        channels = [
            channel(target, self.tls) if tls else grpc.aio.insecure_channel(target)
            for _ in range(job.get("channels", 1))
        ]
        await asyncio.gather(*(c.channel_ready() for c in channels))
        road = {"trunk": _trunk, "unary": _unary, "open": _open}[job["road"]]
        began = time.monotonic_ns()
        result = await road(channels, commands, job)
        result |= {"began": began, "ended": time.monotonic_ns()}
        await asyncio.gather(*(c.close() for c in channels))
        return result


async def _trunk(channels: Sequence[Any], commands: list[Command], job: Job) -> Job:
    stub: Any = TrunkServiceStub(channels[0])
    messages = [_message(commands, i) for i in range(0, len(commands), _PER_MESSAGE)]
    room = asyncio.Semaphore(job["window"])
    answered, keys = 0, {}

    async def outgoing() -> AsyncIterator[trunk_pb.CarryRequest]:
        for message in messages:
            for _ in message.calls:
                await room.acquire()
            yield message

    stream = stub.Carry(outgoing())
    async for message in stream:
        for reply in message.replies:
            if reply.code:
                raise CommandRefused(reply.message)
            if job["do"] == "register":
                keys[reply.call_id] = pb.RegisterResidentResponse.FromString(
                    reply.response
                ).resident.resident_key
            room.release()
        answered += len(message.replies)
        if answered == len(commands):
            break
    stream.cancel()
    return {"keys": [keys[i] for i in sorted(keys)]}


def _message(commands: list[Command], start: int) -> trunk_pb.CarryRequest:
    message = trunk_pb.CarryRequest()
    for i, command in enumerate(commands[start : start + _PER_MESSAGE], start):
        call = message.calls.add(
            call_id=i + 1, method=command.method, request=command.request, timeout_seconds=60
        )
        for key, value in command.metadata:
            call.metadata.add(key=key, value=value.encode())
    return message


class CommandRefused(Exception):
    """A command of the bench was refused: the measurement would mean nothing."""


async def _unary(channels: Sequence[Any], commands: list[Command], job: Job) -> Job:
    left = iter(commands)

    async def caller(number: int) -> None:
        call = channels[number % len(channels)].unary_unary(MOVE)
        for command in left:
            await call(command.request, metadata=command.metadata, timeout=60)

    await asyncio.gather(*(caller(i) for i in range(job["window"])))
    return {}


async def _open(channels: Sequence[Any], commands: list[Command], job: Job) -> Job:
    call = channels[0].unary_unary(MOVE)
    gap = 1.0 / job["rate"]
    loop = asyncio.get_running_loop()
    first, first_ns = loop.time() + 0.05, time.monotonic_ns() + 50_000_000
    times: dict[str, int] = {}
    replies: dict[str, int] = {}

    async def one(number: int, command: Command) -> None:
        await asyncio.sleep(first + number * gap - loop.time())
        times[command.name] = first_ns + int(number * gap * 1e9)
        await call(command.request, metadata=command.metadata, timeout=60)
        replies[command.name] = time.monotonic_ns()

    await asyncio.gather(*(one(i, c) for i, c in enumerate(commands)))
    return {"times": times, "replies": replies}


async def _main(tls: Path) -> None:
    await serve(Callers(tls).do)


if __name__ == "__main__":
    import sys

    uvloop.run(_main(Path(sys.argv[1])))
