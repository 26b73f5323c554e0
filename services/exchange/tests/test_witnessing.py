"""Two cities co-sign each other's logs by themselves, over mutual TLS; what is no longer the same log is found."""

from __future__ import annotations

import asyncio
import math
import secrets
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from eldex.api.exchange.v1 import evidence_service_pb2 as pb
from eldex.common import metrics
from eldex.common.contract import load_contract
from eldex.common.errors import CannotStart, Unavailable
from eldex.common.identifiers import RegionCode
from eldex.common.rpc.client import Peer, channel
from eldex.common.rpc.policy import at_home
from eldex.common.rpc.server import Dispatcher, GrpcDoor, grpc_server
from eldex.common.rpc.tls import server_credentials
from eldex.common.service import service_descriptor
from eldex.common.testing.harness import ServiceOnMemory
from eldex.evidence.checkpoint import Checkpoint
from eldex.evidence.note import COSIGNATURE_V1, ED25519, Note, Signer, Suite, signer_key
from eldex.evidence.policy import Policy
from eldex.evidence.subjects import SubjectKeys
from eldex.exchange.domain.message_log import (
    CheckpointForked,
    LogEntry,
    LogWentBack,
    NotWitnessable,
)
from eldex.exchange.handlers import Stores
from eldex.exchange.handlers.witnessing import Witnessing
from eldex.exchange.peers import GrpcWitnesses, address_of
from eldex.exchange.rpc.admin_log import Logged
from eldex.exchange.rpc.agreement_table import AgreementTable
from eldex.exchange.rpc.evidence import EvidenceService
from eldex.exchange.rpc.roles import Roles
from eldex.exchange.rpc.service import may_call
from eldex.exchange.store.collections import REPOSITORIES, stores
from eldex.exchange.store.message_log import MessageLog
from eldex.exchange.store.record_index import COLLECTIONS, RecordIndex
from eldex.exchange.store.witness import FilePartners
from eldex.exchange.wire import event
from eldex.local.authority import Authority

DAZHOU, CHONGQING = "511700", "500100"


def key(name: str, suite: Suite = ED25519) -> Signer:
    return Signer.parse(signer_key(name, secrets.token_bytes(32), suite))


class House:
    """A city's exchange: its log in a folder, its evidence behind mutual TLS of its own authority."""

    def __init__(self, folder: Path, city: str) -> None:
        self.folder, self.city = folder, city
        self.authority = Authority.open(folder / "authority")
        self.signer, self.witness = key(f"{city}/exchange"), key(f"{city}/w", COSIGNATURE_V1)
        self.memory: ServiceOnMemory[Stores] = ServiceOnMemory(
            "exchange", stores, REPOSITORIES, event
        )
        self.stack = AsyncExitStack()

    async def open(self, partner: House) -> None:
        """Serve: as the partner's witness, and with the partner as ours."""
        load_contract()
        await self.memory.start()
        await self.memory.backend.prepare(COLLECTIONS)
        clock = self.memory.clock
        keys = SubjectKeys(self.folder / "subject-keys")
        self.log = MessageLog(
            self.folder / "log", self.signer, keys, RecordIndex(self.memory.backend), clock
        )
        await self.log.start()
        self.stack.push_async_callback(self.log.close)
        policy = Policy.parse(
            f"log {partner.signer.verifier}\nwitness {partner.city} {partner.witness.verifier}\nquorum none\n"
        )
        self.partners = FilePartners(
            self.folder / "witness", self.signer.verifier, self.witness, policy
        )
        roles = Roles(RegionCode.parse(self.city), AgreementTable(self.memory.work), clock)
        evidence = EvidenceService(
            self.memory.work, self.log, keys, self.partners, roles, self.witness.verifier
        )
        descriptor = service_descriptor(pb, "EvidenceService")
        logged = Logged(descriptor, evidence, self.log, roles)
        self.dispatcher = Dispatcher([(descriptor, logged)], clock, at_home(self.city, may_call))
        await self.serve(0)

    async def serve(self, port: int) -> None:
        """Answer on a port; 0: any."""
        self.server = grpc_server([GrpcDoor(self.dispatcher)])
        tls = self.authority.issue(f"{self.city}/service/exchange")
        self.port = self.server.add_secure_port(f"localhost:{port}", server_credentials(tls))
        await self.server.start()
        self.stack.push_async_callback(self.server.stop, None)

    def asking(self, partner: House, interval: float = 0.05) -> Witnessing:
        """Has our log co-signed by the partner, as its member."""
        tls = partner.authority.issue(f"{self.city}/member/exchange-{self.city}/witness")
        opened = channel(address_of(f"https://localhost:{partner.port}"), tls)
        self.stack.push_async_callback(opened.close)
        peers = GrpcWitnesses({partner.city: Peer(opened, partner.city, 5.0)})
        clock = self.memory.clock
        return Witnessing(self.log, self.partners, peers, [partner.city], clock, interval)

    async def act(self, number: int) -> None:
        """Something is exchanged."""
        told = LogEntry("member/a/b", "/x/Y", "", "", 0, "", b"%d" % number, b"", "OK", "", "")
        await self.log.append(told)

    def cosigned(self) -> int:
        (witness,) = self.partners.witnesses
        note = self.partners.cosigned(witness)
        return Checkpoint.parse(note.text).size if note else -1

    def restore(self, copy: Path) -> None:
        shutil.rmtree(self.folder / "log")
        shutil.copytree(copy, self.folder / "log")


@pytest_asyncio.fixture
async def cities(tmp_path: Path) -> AsyncIterator[tuple[House, House]]:
    a, b = House(tmp_path / "a", DAZHOU), House(tmp_path / "b", CHONGQING)
    await a.open(b)
    await b.open(a)
    yield a, b
    for each in (a, b):
        await each.stack.aclose()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


def sample(name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


async def test_both_logs_are_co_signed_as_they_grow_and_after_the_partner_was_away(
    cities: tuple[House, House],
) -> None:
    a, b = cities
    await a.act(1)
    await b.act(2)
    first, second = a.asking(b), b.asking(a)
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(each.run()) for each in (first, second)]
        await until(lambda: a.cosigned() == b.cosigned() == 1)
        await b.server.stop(None)
        for number in range(5):
            await a.act(number)
        a.memory.clock.pass_days(1)
        await until(lambda: (sample("eldex_witness_age_seconds", partner=CHONGQING) or 0) >= 86_400)
        b.memory.clock.pass_days(1)
        await b.serve(b.port)
        await until(lambda: sample("eldex_witness_age_seconds", partner=CHONGQING) == 0.0)
        assert a.cosigned() == 6
        for task in running:
            task.cancel()
    strict = Policy.parse(f"log {a.signer.verifier}\nwitness b {b.witness.verifier}\nquorum b\n")
    newest = a.partners.cosigned()
    assert newest is not None
    assert strict.check(newest.encode()).checkpoint.size == 6
    assert sample("eldex_witness_contradicted", partner=CHONGQING) == 0.0


async def test_a_log_that_was_put_back_and_went_on_is_found_by_both(
    cities: tuple[House, House], tmp_path: Path
) -> None:
    a, b = cities
    await a.act(1)
    await a.asking(b).ask(CHONGQING)
    await a.stack.aclose()
    shutil.copytree(a.folder / "log", tmp_path / "older")
    before = sample("eldex_checkpoints_forked_total", log=f"{DAZHOU}/exchange") or 0.0
    await a.open(b)
    await a.act(2)
    honest = await a.asking(b).ask(CHONGQING)
    await a.stack.aclose()
    a.restore(tmp_path / "older")
    await a.open(b)
    with pytest.raises(LogWentBack):  # shorter than what the partner has signed
        await a.asking(b).ask(CHONGQING)
    for number in (7, 8, 9):
        await a.act(number)
    with pytest.raises(LogWentBack):
        await a.asking(b).ask(CHONGQING)
    shutil.rmtree(a.folder / "witness")  # whoever puts a log back may put back our memory too
    await a.stack.aclose()
    await a.open(b)
    with pytest.raises(CheckpointForked):
        await a.asking(b).ask(CHONGQING)
    assert sample("eldex_witness_contradicted", partner=CHONGQING) == 1.0
    assert (sample("eldex_checkpoints_forked_total", log=f"{DAZHOU}/exchange") or 0.0) > before
    # Both keep what contradicts: together with the co-signed head it proves two histories.
    (ours,) = (a.folder / "witness").glob("contradicts-*.checkpoint")
    (theirs,) = (b.folder / "witness").glob("contradicts-*.checkpoint")
    for kept in (ours, theirs):
        note = Note.parse(kept.read_bytes())
        assert note.verified([a.signer.verifier])
        assert note.text != honest.text
    # The refusals are in the partner's log; what it co-signs is not, or both would write for ever.
    records, _ = await b.log.search({}, size=10, before=None)
    assert {r.record.reason for r in records} == {"CHECKPOINT_FORKED"}
    assert {r.record.subsystem for r in records} == {f"member/exchange-{DAZHOU}/witness"}


async def test_the_alarm_of_a_fork_does_not_end_the_asking(
    cities: tuple[House, House], tmp_path: Path
) -> None:
    a, b = cities
    await a.act(1)
    await a.asking(b).ask(CHONGQING)
    (a.folder / "witness").rename(tmp_path / "memory")
    await a.stack.aclose()
    shutil.rmtree(a.folder / "log")
    await a.open(b)
    await a.act(3)
    await a.act(4)
    task = asyncio.create_task(a.asking(b).run())
    await until(lambda: sample("eldex_witness_contradicted", partner=CHONGQING) == 1.0)
    assert sample("eldex_witness_age_seconds", partner=CHONGQING) == math.inf
    assert not task.done()
    task.cancel()


async def test_a_signature_of_somebody_else_is_not_the_partners(
    cities: tuple[House, House],
) -> None:
    a, b = cities
    await a.act(1)
    b.partners._witness._signer = key("stranger/w", COSIGNATURE_V1)
    with pytest.raises(NotWitnessable):
        await a.asking(b).ask(CHONGQING)
    assert a.cosigned() == -1
    await b.server.stop(None)
    with pytest.raises(Unavailable):
        await a.asking(b).ask(CHONGQING)


@pytest.mark.parametrize(
    "url", ["http://b:1", "b:443", "https://", "https://b:x", "https://b/path"]
)
def test_an_address_that_is_none_stops_the_start(url: str) -> None:
    with pytest.raises(CannotStart, match="partner exchange"):
        address_of(url)
