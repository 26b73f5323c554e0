"""`docs/adding-a-service.md` is followed literally in a copy of the checkout, and what comes of it is used.

Every file that the document shows is written and every command that it gives is run, in its order.
Then the new service is started on the real MongoDB and Kafka, asked by gRPC and heard on Kafka.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import uuid
import venv
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from pymongo import MongoClient

from eldex.common.rpc.tls import CertificateFiles, channel_credentials
from eldex.local.authority import Authority
from eldex.local.kafka import Kafka
from eldex.local.mongod import Mongod
from eldex.local.ports import HOST, reserve
from eldex.local.process import Process, answers_http

ROOT = Path(__file__).parents[1]
DOCUMENT = "docs/adding-a-service.md"
SERVICE, RPC = "eldex.api.visits.v1.VisitsService", "RecordVisit"
TOPIC, EVENT = "visits-residents", "eldex.api.visits.v1.VisitRecorded"
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Step:
    """A file to write, if there is a path; else commands to run in the root of the checkout."""

    path: str
    text: str


def steps(document: str) -> Iterator[Step]:
    """What the document tells to do: a block is a file if the line above it names one."""
    for block in _BLOCK.finditer(document):
        above = document[: block.start()].rstrip().rpartition("\n")[2]
        named = re.fullmatch(r"`([^`]+)`:", above)
        assert named or block[1] == "sh", f"neither a file nor a command:\n{block[0]}"
        yield Step(named[1] if named else "", block[2])


class House:
    """A copy of the checkout as it stands, in which something may be tried."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / ".venv" / "bin" / "python"
        self.env = {
            name: value
            for name, value in os.environ.items()
            # What this run was told (by make, by pytest) is not said to the copy's.
            if not name.startswith(("ELDEX_", "MAKE", "MFLAGS", "PYTEST"))
            and name not in {"ARGS", "PYTHONPATH", "VIRTUAL_ENV"}
        }
        self._copy()
        self._environment()

    def _copy(self) -> None:
        listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(listing, cwd=ROOT, capture_output=True, check=True)
        for name in filter(None, listed.stdout.decode().split("\0")):
            if (ROOT / name).is_file():  # one that was removed and not committed is still listed
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.folder / name)
        subprocess.run(["git", "init", "--quiet"], cwd=self.folder, check=True)
        kafka = self.folder / "var" / "kafka"
        kafka.mkdir(parents=True)
        for each in (ROOT / "var" / "kafka").iterdir():
            (kafka / each.name).symlink_to(each)
        # What mypy knows already of files that are alike spares it ten seconds. Nothing depends on it:
        # there may be none yet, and somebody may be writing to it.
        known = Path("var") / "cache" / "mypy"
        with suppress(FileNotFoundError, shutil.Error):
            shutil.copytree(ROOT / known, self.folder / known)

    def _environment(self) -> None:
        """What `make setup` would make: our packages, but of the house only what the copy holds."""
        ours, theirs = Path(sys.prefix), self.folder / ".venv"
        venv.create(theirs, symlinks=True)
        packages = Path(sysconfig.get_path("purelib"))
        for each in packages.iterdir():
            place = theirs / packages.relative_to(ours) / each.name
            if each.name != "eldex.pth" and not place.exists():
                place.symlink_to(each)
        for script in (ours / "bin").iterdir():
            place, content = theirs / "bin" / script.name, script.read_bytes()
            if place.exists():
                continue
            if content.startswith(b"#!"):
                place.write_bytes(content.replace(bytes(ours), bytes(theirs)))
                place.chmod(0o755)
            else:
                place.symlink_to(script)
        for stamp in ours.glob(".packages-*"):
            (theirs / stamp.name).touch()
        # Were something out of date, the copy's make would install it, into what is ours.
        planned = self.run("make", "--dry-run", "setup")
        assert not re.search(r"\b(pip|mvn)\b", planned), "first run `make setup`"

    def follow(self, step: Step) -> None:
        """Write the file, or run the commands; they must succeed."""
        if step.path:
            place = self.folder / step.path
            assert not place.exists(), f"{step.path} is there already"
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(step.text, "utf-8")
        else:
            self.run("bash", "-euo", "pipefail", "-c", step.text)

    def run(self, *command: str, **env: str) -> str:
        """Run a command in the copy to its end; what it said. Nothing of it is left running."""
        child = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            said = child.communicate()[0].decode(errors="replace")
        finally:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        assert child.returncode == 0, f"{command[-1]}\n{said[-6000:]}"
        return said


@dataclass(frozen=True)
class Running:
    """The new service, and what its callers need."""

    address: str
    identity: Path
    """The certificate of the exchange: it alone, and other services, may call."""


@asynccontextmanager
async def running(
    house: House, folder: Path, mongod: Mongod, kafka: Kafka, prefix: str
) -> AsyncIterator[Running]:
    """The new service as a process of its own, ready; its topics were made as `make up` makes them."""
    authority, port, admin = Authority.open(folder / "pki"), reserve(), reserve()
    (folder / "sealing.key").write_text(secrets.token_hex(64))
    env = {
        "ELDEX_CITY": "511700",
        "ELDEX_LISTEN": f"{HOST}:{port}",
        "ELDEX_ADMIN_LISTEN": f"{HOST}:{admin}",
        "ELDEX_MONGO_URI": mongod.uri,
        "ELDEX_MONGO_PREFIX": prefix,
        "ELDEX_KAFKA_BOOTSTRAP": kafka.bootstrap,
        "ELDEX_TLS_DIR": str(authority.issue("511700/service/visits")),
        "ELDEX_SECRETS_DIR": str(folder),
    }
    house.run(str(house.python), "-m", "eldex.common.topics", **env)
    service = Process(
        "visits",
        [str(house.python), "-m", "eldex.visits.main"],
        log=folder / "visits.log",
        env=house.env | env,
        ready=partial(answers_http, admin, "/readyz"),
    )
    async with service:
        yield Running(f"{HOST}:{port}", authority.issue("511700/service/exchange"))
    client: MongoClient[dict[str, Any]]
    with MongoClient(mongod.uri) as client:
        client.drop_database(f"{prefix}_visits")


class Caller:
    """Asks the service, knowing of its contract only what its own reflection tells."""

    def __init__(self, service: Running) -> None:
        self._channel = grpc.secure_channel(
            service.address, channel_credentials(CertificateFiles(service.identity))
        )
        self._pool: Any = DescriptorPool(ProtoReflectionDescriptorDatabase(self._channel))

    def ask(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Call the rpc with these fields."""
        rpc = self._pool.FindServiceByName(SERVICE).methods_by_name[RPC]
        request, response = GetMessageClass(rpc.input_type), GetMessageClass(rpc.output_type)
        call = self._channel.unary_unary(
            f"/{SERVICE}/{RPC}", request.SerializeToString, response.FromString
        )
        return MessageToDict(call(ParseDict(fields, request()), timeout=20))

    def read(self, payload: bytes) -> dict[str, Any]:
        """An event's payload."""
        kind = GetMessageClass(self._pool.FindMessageTypeByName(EVENT))
        return MessageToDict(kind.FromString(payload))

    def close(self) -> None:
        """Hang up."""
        self._channel.close()


def events_on(bootstrap: str, partitions: int) -> list[Any]:
    """All that is on the topic, once there is anything."""
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": f"reader-{uuid.uuid4().hex}"})
    places = [TopicPartition(TOPIC, number, OFFSET_BEGINNING) for number in range(partitions)]
    reader.assign(places)
    found: list[Any] = []
    deadline = time.monotonic() + 20
    try:
        while time.monotonic() < deadline:
            message = reader.poll(0.1)
            if message is not None and message.error() is None:
                found.append(message)
            ends = [reader.get_watermark_offsets(place, timeout=5) for place in places]
            if found and len(found) == sum(high for _, high in ends):
                return found
    finally:
        reader.close()
    raise TimeoutError(f"nothing was published on {TOPIC}")


@pytest.mark.timeout(300)
async def test_the_document_followed_literally_gives_a_service_that_answers_and_publishes(
    tmp_path: Path, mongod: Mongod, kafka: Kafka, unique: str
) -> None:
    house = House(tmp_path / "house")
    document = (ROOT / DOCUMENT).read_text("utf-8")
    for step in steps(document):
        house.follow(step)
    # What the document says of the broken skaffold file; the checks it names read the whole one only.
    house.run("make", "test", "ARGS=deploy/k8s -k skaffold")

    example = house.folder / "proto" / "examples" / "visits" / "record_visit_request.json"
    fields = json.loads(example.read_text("utf-8"))
    async with running(house, tmp_path, mongod, kafka, f"test_{unique}") as service:
        caller = Caller(service)
        try:
            told = await asyncio.to_thread(caller.ask, fields)
            assert await asyncio.to_thread(caller.ask, fields) == told
            ahead = {
                "requestId": str(uuid.uuid4()),
                "visitedOn": {"year": 2100, "month": 1, "day": 1},
            }
            with pytest.raises(grpc.RpcError) as refused:
                await asyncio.to_thread(caller.ask, fields | ahead)
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            (event,) = await asyncio.to_thread(events_on, kafka.bootstrap, 6)
            fact = caller.read(event.value())
        finally:
            caller.close()
    visit = told["visit"]
    assert visit | {"requestId": fields["requestId"]} == fields | {"visitKey": visit["visitKey"]}
    assert fact == visit
    headers = {name: value.decode() for name, value in event.headers()}
    assert headers["ce_type"] == EVENT
    assert headers["ce_source"] == "//511700/visits"
    assert (headers["ce_subject"], event.key().decode()) == (fields["residentKey"],) * 2
    assert headers["ce_regions"] == fields["regionCode"]
