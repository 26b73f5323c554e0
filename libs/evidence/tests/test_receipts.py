"""What a member keeps proves what was asked and answered, without the log and without its server."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from eldex.evidence.note import Note, UntrustedNote
from eldex.evidence.policy import Policy
from eldex.evidence.receipts import (
    Bundle,
    MalformedBundle,
    MalformedReceipt,
    Receipt,
    read_receipts,
)
from eldex.evidence.records import Record
from eldex.evidence.testing import ORIGIN, Exchange, head_of, key, record
from eldex.evidence.tree import InvalidProof

# The example of C2SP tlog-proof, with a whole checkpoint.
C2SP_PROOF = (
    "c2sp.org/tlog-proof@v1\n"
    "extra YWdlLXYxLjIuMS1kYXJ3aW4tYXJtNjQudGFyLmd6\n"
    "index 73894\n"
    "gSKyXoYZUgZ6jduWYrkDOARinOMGJveXjgMkBTcdPlQ=\n"
    "B95lDa8R83lS8n0eG+o0buTxRKQTYFi//1U8anccXmA=\n"
    "\n"
    "example.com/behind-the-sofa\n"
    "20852163\n"
    "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
    "\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
)  # fmt: skip


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    exchange = Exchange(tmp_path / "log")
    exchange.answer(5, 20, 3)
    return exchange


def test_a_receipt_is_one_line_of_ascii_and_reads_back(exchange: Exchange) -> None:
    receipt = exchange.receipts[7]
    text = str(receipt)
    assert text.isascii()
    assert text.isprintable()
    assert len(text) < 160
    assert Receipt.parse(text) == receipt
    found = read_receipts(["# ours", "", f"  {text}\n", str(exchange.receipts[8])])
    assert found == exchange.receipts[7:9]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("eldex-receipt/1", "eldex-receipt/2"),
        (" 7 ", " 07 "),
        (" 7 ", " -7 "),
        (" 7 ", "  7 "),
        (" 7 ", " "),
        (ORIGIN, "城"),
        ("=", "", ),
        ("==", "== x"),
    ],
)  # fmt: skip
def test_what_is_no_receipt_is_refused(exchange: Exchange, old: str, new: str) -> None:
    text = str(exchange.receipts[7])
    assert old in text
    with pytest.raises(MalformedReceipt, match=r"line 1: not a receipt|begins with"):
        read_receipts([text.replace(old, new, 1)])


def test_a_member_shows_what_it_asked_with_the_salt_that_only_it_has(exchange: Exchange) -> None:
    logged = Record.parse(exchange.log.record(7))
    receipt = exchange.receipts[7]
    assert receipt.shows(b"request 7", logged.request_digest)
    assert receipt.shows(b"reply 7", logged.reply_digest)
    assert not receipt.shows(b"request 8", logged.request_digest)


def test_a_bundle_is_verified_alone(exchange: Exchange) -> None:
    policy = Policy.parse(exchange.policy)
    for index in range(25):
        bundle = Bundle.of(exchange.log, index, exchange.notes[1])
        again = Bundle.parse(bundle.encode())
        assert again == bundle
        trusted = again.verify(policy)
        assert trusted.checkpoint == head_of(exchange.records, 25)
        assert trusted.witnesses.keys() == {"b-city", "c-city"}
        assert again.leaf_hash == exchange.receipts[index].leaf_hash
    with pytest.raises(ValueError, match="not in a tree of 25"):
        Bundle.of(exchange.log, 25, exchange.notes[1])


def test_a_bundle_is_a_proof_of_c2sp() -> None:
    bundle = Bundle.parse(C2SP_PROOF.encode())
    assert (bundle.index, bundle.record) == (73894, b"age-v1.2.1-darwin-arm64.tar.gz")
    assert len(bundle.proof) == 2
    assert bundle.encode().decode() == C2SP_PROOF
    assert Note.parse(bundle.checkpoint).text.startswith("example.com/behind-the-sofa\n20852163\n")


def test_a_bundle_of_something_else_is_refused(exchange: Exchange) -> None:
    policy = Policy.parse(exchange.policy)
    bundle = Bundle.of(exchange.log, 7, exchange.notes[1])
    for forged in (
        replace(bundle, index=8),
        replace(bundle, record=record(8).encode()),
        replace(bundle, proof=bundle.proof[:-1]),
        replace(bundle, proof=(*bundle.proof, bytes(32))),
        replace(bundle, checkpoint=exchange.notes[2].encode()),
    ):
        with pytest.raises(InvalidProof):
            forged.verify(policy)
    for note in (
        head_of(exchange.records, 25).sign(key(ORIGIN)),  # no witness
        Note(exchange.notes[1].text, exchange.notes[2].signatures),
    ):
        with pytest.raises(UntrustedNote):
            replace(bundle, checkpoint=note.encode()).verify(policy)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("c2sp.org/tlog-proof@v1", "c2sp.org/tlog-proof@v2"),
        ("extra YW", "extra  YW"),
        ("extra YW", "other YW"),
        ("index 73894", "index 073894"),
        ("index 73894\n", ""),
        ("gSKy", "gSK"),
        ("gSKy", "gSKyAAAA"),
        ("\n\n", "\n"),
        ("XmA=\n", "XmA=\n" * 63),
        ("gSKy", "城"),
    ],
)
def test_what_is_no_bundle_is_refused(old: str, new: str) -> None:
    assert old in C2SP_PROOF
    with pytest.raises(MalformedBundle):
        Bundle.parse(C2SP_PROOF.replace(old, new).encode())
