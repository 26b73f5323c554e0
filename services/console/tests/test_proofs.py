"""A record is proven here, or it is told what is wrong: nothing is taken on the exchange's word."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from eldex.console.domain.proofs import Proof, prove
from eldex.evidence.errors import EvidenceError
from eldex.evidence.log import Log
from eldex.evidence.note import COSIGNATURE_V1, Signer, signer_key
from eldex.evidence.policy import Policy
from eldex.evidence.receipts import Bundle
from eldex.evidence.records import Record
from eldex.evidence.tree import leaf_hash

ORIGIN = "511700/exchange"
NOON = datetime(2026, 11, 25, 4, tzinfo=UTC)
SIGNER = Signer.parse(signer_key(ORIGIN, bytes(range(32))))
PARTNER = Signer.parse(signer_key("500100/witness", bytes(range(1, 33)), COSIGNATURE_V1))
ALONE = Policy.parse(f"log {SIGNER.verifier}\nquorum none\n")
WITNESSED = Policy.parse(
    f"log {SIGNER.verifier}\nwitness chongqing {PARTNER.verifier}\nquorum chongqing\n"
)


def a_record(number: int) -> Record:
    return Record(
        answered_at=NOON + timedelta(seconds=number),
        subsystem="member/police/household-registration",
        method="/eldex.api.registry.v1.RegistryService/GetResident",
        purpose="residence-registration",
        legal_basis="户口登记条例 第三条",
        agreement_key="police-registry",
        agreement_version=2,
        subject_period="",
        subject_hashes=(),
        request_digest=bytes(32),
        reply_digest=bytes(32),
        code="OK",
        reason="",
        trace_id="",
    )


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    opened = Log.open(tmp_path / "log", ORIGIN)
    opened.append([a_record(number).encode() for number in range(13)])
    yield opened
    opened.close()


def a_bundle(log: Log, index: int, *, cosigned: bool = False) -> Bundle:
    note = log.checkpoint().sign(SIGNER)
    if cosigned:
        note = note.signed(PARTNER.sign(note.text, int(NOON.timestamp())))
    return Bundle.of(log, index, note)


def failing(proof: Proof) -> list[str]:
    return [check.name for check in proof.checks if check.problem and not check.is_open]


def test_every_record_is_led_up_to_the_root_step_by_step(log: Log) -> None:
    for index in range(13):
        proof = prove(index, a_bundle(log, index).encode(), ALONE)
        assert (proof.verified, failing(proof)) == (True, [])
        assert proof.record == a_record(index)
        assert proof.leaf == leaf_hash(a_record(index).encode()).hex()
        assert proof.steps[-1].node == proof.root == log.checkpoint().root.hex()
        assert (proof.origin, proof.log_size) == (ORIGIN, 13)


def test_who_cosigned_is_told_and_a_missing_cosignature_is_open_not_wrong(log: Log) -> None:
    seen = prove(4, a_bundle(log, 4, cosigned=True).encode(), WITNESSED)
    assert [(each.name, each.at) for each in seen.cosignatures] == [("chongqing", NOON)]
    assert (seen.verified, seen.checks[-1].problem) == (True, "")
    alone = prove(4, a_bundle(log, 4).encode(), WITNESSED)
    assert (alone.verified, alone.cosignatures) == (True, ())
    assert (alone.checks[-1].name, alone.checks[-1].is_open) == ("witnesses", True)


def test_what_was_forged_is_found_where_it_was_forged(log: Log, tmp_path: Path) -> None:
    bundle = a_bundle(log, 4)
    other_purpose = a_record(4)._replace(purpose="curiosity").encode()
    forged = replace(bundle, record=other_purpose)
    assert failing(prove(4, forged.encode(), ALONE)) == ["inclusion"]
    # The right bundle of another record does not pass for this one.
    assert failing(prove(5, bundle.encode(), ALONE)) == ["record"]
    spelt_otherwise = replace(bundle, record=bundle.record.replace(b'"v":1', b'"v": 1'))
    assert failing(prove(4, spelt_otherwise.encode(), ALONE)) == ["record", "inclusion"]

    stranger = Signer.parse(signer_key(ORIGIN, bytes(32)))
    resigned = Bundle.of(log, 4, log.checkpoint().sign(stranger))
    assert failing(prove(4, resigned.encode(), ALONE)) == ["signature"]
    rewritten = Log.open(tmp_path / "rewritten", ORIGIN)
    rewritten.append([a_record(number).encode() for number in (0, 1, 2, 3, 5, 6)])
    spliced = replace(a_bundle(rewritten, 4), proof=bundle.proof)
    assert failing(prove(4, spliced.encode(), ALONE)) == ["inclusion"]
    rewritten.close()
    for nonsense in (b"", b"nonsense", bundle.encode()[:-20]):
        assert not prove(4, nonsense, ALONE).verified


def test_a_single_changed_byte_anywhere_is_never_verified(log: Log) -> None:
    good = a_bundle(log, 9, cosigned=True).encode()
    for place in range(0, len(good), 7):
        bad = bytearray(good)
        bad[place] ^= 0x01
        proof = prove(9, bytes(bad), WITNESSED)
        changed = Bundle.parse(good) != _parsed(bytes(bad))
        # Without the partner's line the rest is still whole; that is said, too.
        witnessed = proof.verified and not proof.checks[-1].problem
        assert not (changed and witnessed), place


def _parsed(data: bytes) -> Bundle | None:
    try:
        return Bundle.parse(data)
    except EvidenceError:
        return None
