"""The proof, on the real exchange: what an auditor finds with copies in hand, trusting nobody's server."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from eldex.api.exchange.v1 import evidence_service_pb2 as evidence_pb
from eldex.api.registry.v1 import registry_service_pb2 as pb
from eldex.api.registry.v1 import resident_pb2
from eldex.common.contract import load_contract
from eldex.common.rpc.client import channel
from eldex.evidence.checkpoint import Checkpoint
from eldex.evidence.note import COSIGNATURE_V1, Note, Signer, signer_key
from eldex.evidence.receipts import Receipt
from eldex.evidence.witness import Inconsistent, Witness
from eldex.local.field import Department, Refused
from eldex.local.stack import Settings, Stack

PARTNER = Signer.parse(signer_key("500100/exchange/witness", bytes(range(32)), COSIGNATURE_V1))


@dataclass
class Scene:
    """A small city, two of its departments, and what an auditor may have."""

    stack: Stack
    folder: Path
    police: Department
    health: Department
    new_number: Callable[[str], str]

    @property
    def log(self) -> Path:
        """The log of the exchange."""
        return self.stack.settings.root / "data" / "exchange" / "message-log"

    def copy(self, name: str) -> Path:
        """A copy of the log, as an auditor gets it."""
        return Path(shutil.copytree(self.log, self.folder / name))

    async def register(self) -> Receipt:
        """The police register somebody."""
        told = await self.police.ask(
            "RegistryService/RegisterResident",
            pb.RegisterResidentRequest(
                request_id=str(uuid.uuid4()),
                document=resident_pb2.PersonDocument(
                    kind=resident_pb2.DOCUMENT_KIND_RESIDENT_IDENTITY_CARD,
                    number=self.new_number("19380101"),
                ),
                name="王秀英",
                region_code="511702001",
            ),
        )
        return Receipt.parse(told.receipt)

    async def evidence(self, method: str, request: Any) -> Any:
        """Ask the evidence; a channel that has just lost its exchange is given time to find it again."""
        async with asyncio.timeout(60):
            while True:
                try:
                    return (await self.police.ask(f"EvidenceService/{method}", request)).reply
                except Refused as refused:
                    if refused.code is not grpc.StatusCode.UNAVAILABLE:
                        raise
                    await asyncio.sleep(0.1)

    async def head(self, size: int) -> evidence_pb.GetCheckpointResponse:
        """A signed head that covers so many records."""
        request = evidence_pb.GetCheckpointRequest(min_log_size=size)
        found: evidence_pb.GetCheckpointResponse = await self.evidence("GetCheckpoint", request)
        return found

    def keep(self, name: str, data: bytes | str) -> Path:
        """A file of the auditor's."""
        path = self.folder / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    def verify(self, log: Path, policy: Path, *more: str | Path) -> tuple[int, dict[str, Any]]:
        """The auditor's command, in a process of its own; exit code and report."""
        done = subprocess.run(
            [
                *(sys.executable, "-m", "eldex.evidence.verify", "--json"),
                *("--policy", policy, *more, log),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, json.loads(done.stdout) if done.stdout else {"said": done.stderr}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Callable[..., Scene]]:
    """A city of its own: its exchange is killed, and its log put back."""
    folder = tmp_path_factory.mktemp("proof")
    partners = folder / "partners.policy"
    partners.write_text(f"witness chongqing {PARTNER.verifier}\nquorum none\n")
    settings = Settings.for_tests(folder / "city", ELDEX_PARTNERS_FILE=str(partners))
    stack = Stack(settings, services=("registry", "exchange"))
    stack.parts["exchange"].restart_delays_s = (0.05,)
    load_contract()
    async with stack:
        opened = {
            name: channel(stack.address("exchange"), stack.identity(f"member/{name}"))
            for name in ("police/household-registration", "health/assessment")
        }
        police, health = (
            Department(opened[name], f"member/{name}", purpose)
            for name, purpose in zip(
                opened, ("residence-registration", "ability-assessment"), strict=True
            )
        )

        def make(tmp_path: Path, new_number: Callable[[str], str]) -> Scene:
            return Scene(stack, tmp_path, police, health, new_number)

        yield make
        for each in opened.values():
            await each.close()


@pytest.fixture
def here(scene: Callable[..., Scene], tmp_path: Path, new_number: Callable[[str], str]) -> Scene:
    """The scene, with a folder of this story's auditor."""
    return scene(tmp_path, new_number)


def lines(receipts: Sequence[Receipt]) -> str:
    return "\n".join([*map(str, receipts), ""])


async def test_an_auditor_finds_all_right_and_then_the_record_in_which_one_byte_was_changed(
    here: Scene,
) -> None:
    receipts = [await here.register() for _ in range(4)]
    with pytest.raises(Refused):
        await here.health.ask(
            "RegistryService/RegisterResident",
            pb.RegisterResidentRequest(request_id=str(uuid.uuid4())),
        )
    denied = receipts[-1].index + 1
    told = await here.evidence("GetLogKey", evidence_pb.GetLogKeyRequest())
    policy = here.keep("log.policy", f"log {told.verifier_key}\nquorum none\n")
    head = here.keep("head", (await here.head(denied + 1)).checkpoint)
    bundle = await here.evidence(
        "GetBundle", evidence_pb.GetBundleRequest(receipt=str(receipts[0]))
    )
    log = here.copy("copy")
    more = (
        *("--receipts", here.keep("ours.receipts", lines(receipts))),
        *("--bundle", here.keep("first.tlog-proof", bundle.bundle)),
        *("--checkpoint", head),
    )
    code, report = here.verify(log, policy, *more)
    assert code == 0, report
    (segment,) = log.glob("*.segment")
    text = segment.read_bytes()
    line = text.split(b"\n")[1 + receipts[2].index]
    changed = line.replace(b"residence-registration", b"residence-registratiom")
    assert changed != line
    segment.write_bytes(text.replace(line, changed))
    code, report = here.verify(log, policy, *more)
    assert code == 1
    wrong = [each for each in report["findings"] if each.get("index") == receipts[2].index]
    assert wrong, report
    assert segment.name in json.dumps(wrong)


@pytest.mark.kills
@pytest.mark.timeout(300)
async def test_every_receipt_that_a_caller_got_is_in_the_log_after_kill_9_under_load(
    here: Scene,
) -> None:
    exchange = here.stack.parts["exchange"]
    exchange.watch()
    receipts: list[Receipt] = []
    running = True

    async def client() -> None:
        while running:
            try:
                receipts.append(await here.register())
            except Refused:
                await asyncio.sleep(0.02)

    clients = [asyncio.create_task(client()) for _ in range(8)]
    kills = 3
    for _ in range(kills):
        goal = len(receipts) + 20
        async with asyncio.timeout(60):
            while len(receipts) < goal:
                await asyncio.sleep(0.01)
        await exchange.kill()
        await exchange.wait_ready()
    running = False
    await asyncio.gather(*clients)
    told = await here.evidence("GetLogKey", evidence_pb.GetLogKeyRequest())
    policy = here.keep("log.policy", f"log {told.verifier_key}\nquorum none\n")
    await here.head(max(each.index for each in receipts) + 1)
    log = here.copy("copy")
    code, report = here.verify(
        log, policy, "--receipts", here.keep("ours.receipts", lines(receipts))
    )
    assert code == 0, report
    assert report["receipts"] == len(receipts)
    assert len({each.index for each in receipts}) == len(receipts)
    print(f"\n{kills} kills, {len(receipts)} receipts, all of them in the log")  # noqa: T201


async def test_an_exchange_that_goes_on_from_an_older_copy_is_found_by_what_its_partner_co_signed(
    here: Scene,
) -> None:
    exchange = here.stack.parts["exchange"]
    await exchange.stop()
    old = here.copy("older")
    await exchange.start()
    told = await here.evidence("GetLogKey", evidence_pb.GetLogKeyRequest())
    log_key = Signer.parse((here.stack.secrets / "log.key").read_text().strip()).verifier
    assert str(log_key) == told.verifier_key
    partner = Witness(PARTNER, {told.origin: [log_key]}, here.folder / "chongqing")
    receipt = await here.register()
    head = await here.head(receipt.index + 1)
    line = partner.add_checkpoint(0, [], head.checkpoint, int(time.time()))
    cosigned = here.keep("cosigned", Note.parse(head.checkpoint).signed(line).encode())
    taken = await here.police.ask(
        "EvidenceService/AddCosignature",
        evidence_pb.AddCosignatureRequest(checkpoint=cosigned.read_bytes()),
    )
    assert taken.reply.log_size == head.log_size
    assert "witness chongqing" in told.policy
    policy = here.keep("partners.policy", told.policy)
    # One night the log is put back, and goes on as if nothing had been.
    await exchange.stop()
    shutil.rmtree(here.log)
    shutil.copytree(old, here.log)
    await exchange.start()
    await here.head(0)
    for _ in range(3):
        await here.register()
    size = Checkpoint.parse(Note.parse((here.log / "checkpoint").read_bytes()).text).size
    newer = await here.head(size + 1)
    growth = await here.evidence(
        "GetConsistencyProof",
        evidence_pb.GetConsistencyProofRequest(old_size=head.log_size, new_size=newer.log_size),
    )
    with pytest.raises(Inconsistent):
        partner.add_checkpoint(
            head.log_size, list(growth.hashes), newer.checkpoint, int(time.time())
        )
    code, report = here.verify(here.copy("forked"), policy, "--checkpoint", cosigned)
    assert code == 1, report
    code, report = here.verify(
        here.folder / "forked",
        policy,
        *("--checkpoint", cosigned, "--receipts", here.keep("mine", lines([receipt]))),
    )
    assert any(each.get("index") == receipt.index for each in report["findings"]), report
