"""A partner city co-signs only what is consistent with what it has co-signed before."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from eldex.evidence.checkpoint import Checkpoint
from eldex.evidence.note import COSIGNATURE_V1, Note
from eldex.evidence.policy import Policy
from eldex.evidence.testing import ORIGIN, Exchange, head_of, key, record
from eldex.evidence.tree import EMPTY_ROOT
from eldex.evidence.witness import (
    Inconsistent,
    NotOfTheLog,
    NotWitnessed,
    Stale,
    UnknownLog,
    Witness,
)

NOW = 1_790_000_000
KEY = key("exchange.b-city.example/witness", COSIGNATURE_V1)


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    exchange = Exchange(tmp_path / "log")
    exchange.answer(5, 20, 3)
    return exchange


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    return Witness(KEY, {ORIGIN: [key(ORIGIN).verifier]}, tmp_path / "witness")


def submit(witness: Witness, exchange: Exchange, old: int, new: int) -> None:
    note = head_of(exchange.records, new).sign(exchange.signer)
    proof = exchange.log.consistency_proof(old, new)
    signature = witness.add_checkpoint(old, proof, note.encode(), NOW + new)
    policy = Policy.parse(f"log {exchange.signer.verifier}\nwitness b {KEY.verifier}\nquorum b\n")
    assert policy.check(note.signed(signature).encode()).witnesses == {"b": NOW + new}


def test_it_follows_a_log_that_grows_and_remembers(
    witness: Witness, exchange: Exchange, tmp_path: Path
) -> None:
    for old, new in ((0, 5), (5, 5), (5, 21), (21, 28)):
        submit(witness, exchange, old, new)
    again = Witness(KEY, {ORIGIN: [key(ORIGIN).verifier]}, tmp_path / "witness")
    latest = again.latest(ORIGIN)
    assert latest is not None
    assert Checkpoint.parse(latest.text).size == 28
    assert {signature.name for signature in latest.signatures} == {ORIGIN, KEY.verifier.name}
    with pytest.raises(Stale) as stale:
        submit(again, exchange, 21, 28)
    assert (stale.value.size, stale.value.status) == (28, 409)
    assert again.latest("another.example/log") is None


def test_it_does_not_sign_a_fork(witness: Witness, exchange: Exchange) -> None:
    submit(witness, exchange, 0, 20)
    forked = [*exchange.records[:10], record(77).encode(), *exchange.records[11:]]
    for size in (20, 28):
        note = head_of(forked, size).sign(exchange.signer)
        proof = exchange.log.consistency_proof(20, size)
        with pytest.raises(Inconsistent) as caught:
            witness.add_checkpoint(20, proof, note.encode(), NOW)
        assert caught.value.status == 422
    submit(witness, exchange, 20, 28)


@pytest.mark.parametrize(("old", "new"), [(-1, 5), (6, 5)])
def test_an_old_size_that_cannot_be_is_refused(
    witness: Witness, exchange: Exchange, old: int, new: int
) -> None:
    note = head_of(exchange.records, new).sign(exchange.signer)
    with pytest.raises(NotWitnessed) as caught:
        witness.add_checkpoint(old, [], note.encode(), NOW)
    assert caught.value.status == 400


def test_it_signs_only_for_logs_and_keys_that_it_knows(
    witness: Witness, exchange: Exchange
) -> None:
    head = head_of(exchange.records, 5)
    stranger = key("exchange.z-city.example/log")
    note = Checkpoint(stranger.verifier.name, 0, EMPTY_ROOT).sign(stranger)
    with pytest.raises(UnknownLog) as unknown:
        witness.add_checkpoint(0, [], note.encode(), NOW)
    assert unknown.value.status == 404
    for note in (
        Note(head.text(), (stranger.sign(head.text()),)),
        Note(head.text(), head_of(exchange.records, 6).sign(exchange.signer).signatures),
    ):
        with pytest.raises(NotOfTheLog) as refused:
            witness.add_checkpoint(0, [], note.encode(), NOW)
        assert refused.value.status == 403
    with pytest.raises(NotWitnessed):
        witness.add_checkpoint(0, [], b"nonsense", NOW)
    with pytest.raises(NotWitnessed):
        witness.add_checkpoint(0, [bytes(32)] * 64, head.sign(exchange.signer).encode(), NOW)
    with pytest.raises(Inconsistent):
        witness.add_checkpoint(0, [bytes(32)], head.sign(exchange.signer).encode(), NOW)
    with pytest.raises(ValueError, match="cosignature"):
        Witness(key(ORIGIN), {}, Path())


def test_of_two_at_once_only_one_moves_it(witness: Witness, exchange: Exchange) -> None:
    submit(witness, exchange, 0, 5)
    outcomes: list[str] = []

    def ask(new: int) -> None:
        try:
            submit(witness, exchange, 5, new)
        except Stale:
            outcomes.append("stale")
        else:
            outcomes.append("signed")

    threads = [threading.Thread(target=ask, args=(6 + n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["signed"] + ["stale"] * 7
