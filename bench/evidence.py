"""What the proof of an exchange costs, beside one RSA-2048 signature, in one process of its own.

`evidence_over_rsa2048` — CPU of all threads per record: telling it, salted digests, keyed hash, leaf,
append with its flush, receipt; 64 callers under way, as under load. The floor is what a log that signs
each message pays: one RSA-2048 signature (PKCS #1 v1.5, SHA-256).
`verify_leaves_per_second` — records that `eldex-verify` checks per second of CPU (it uses one core), over
the target itself.
"""

from __future__ import annotations

import asyncio
import secrets
import statistics
import time
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from eldex.common.clock import system_clock
from eldex.common.testing.memory import MemoryBackend
from eldex.evidence.audit import Given, audit
from eldex.evidence.note import Signer, signer_key
from eldex.evidence.policy import Policy
from eldex.evidence.subjects import SubjectKeys
from eldex.exchange.domain.message_log import LogEntry
from eldex.exchange.store.message_log import MessageLog
from eldex.exchange.store.record_index import COLLECTIONS, RecordIndex

TARGET_LEAVES: Final = 50_000
_UNDER_WAY: Final = 64
_RECORDS: Final = 12_800
_SIGNATURES: Final = 300


class Unsearched(RecordIndex):
    """The copy for searching is the database's cost, made afterwards and measured with the pipelines."""

    def add(self, first: int, lines: object) -> None:
        """Leave it out."""


def _entry(number: int) -> LogEntry:
    return LogEntry(
        subsystem="member/police/household-registration",
        method="/eldex.api.registry.v1.RegistryService/GetResident",
        purpose="residence-registration",
        agreement_key="police-household-registration",
        agreement_version=3,
        legal_basis="中华人民共和国户口登记条例 第三条",
        request=b"request %d " % number * 6,
        reply=b"reply %d " % number * 50,
        code="OK",
        reason="",
        trace_id=f"{number:032x}",
        subjects=(f"res_{number % 5_000:026d}",),
    )


def rsa_microseconds() -> float:
    """CPU of one signature."""
    key = rsa.generate_private_key(65_537, 2_048)
    message = secrets.token_bytes(600)
    began = time.process_time()
    for _ in range(_SIGNATURES):
        key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    return (time.process_time() - began) / _SIGNATURES * 1e6


async def evidence_microseconds(log: MessageLog, count: int) -> float:
    """CPU of one record with its receipt, of all threads, callers at the same time."""
    entries = [_entry(number) for number in range(count)]
    left = iter(entries)

    async def caller() -> None:
        for entry in left:
            str(await log.append(entry))

    began = time.process_time()
    await asyncio.gather(*(caller() for _ in range(_UNDER_WAY)))
    return (time.process_time() - began) / count * 1e6


async def measure_evidence(folder: Path, rounds: int) -> tuple[float, float, float]:
    """Microseconds per record, per RSA signature, and leaves verified per second of CPU: medians."""
    backend = MemoryBackend()
    await backend.prepare(COLLECTIONS)
    signer = Signer.parse(signer_key("511700/exchange", secrets.token_bytes(32)))
    keys = SubjectKeys(folder / "subject-keys")
    log = MessageLog(folder / "log", signer, keys, Unsearched(backend), system_clock)
    await log.start()
    await evidence_microseconds(log, _RECORDS // 4)  # warms up
    ours, floor = [], []
    for _ in range(rounds):
        ours.append(await evidence_microseconds(log, _RECORDS))
        floor.append(rsa_microseconds())
    await log.close()
    given = Given(
        Policy.parse(f"log {signer.verifier}\nquorum none\n"),
        "511700/exchange",
        segments=sorted((folder / "log").glob("*.segment")),
        seals=sorted((folder / "log").glob("*.seal")),
        hashes=[folder / "log" / "hashes"],
        checkpoints=[("checkpoint", (folder / "log" / "checkpoint").read_bytes())],
        receipts=[],
        bundles=[],
    )
    rates = []
    for _ in range(rounds):
        began = time.process_time()
        report = audit(given)
        assert report.exit_code == 0, report.findings
        rates.append(report.records / (time.process_time() - began))
    return statistics.median(ours), statistics.median(floor), statistics.median(rates)
