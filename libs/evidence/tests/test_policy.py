"""Whom one trusts: the policy files of C2SP tlog-policy, and checkpoints that satisfy them or not."""

from __future__ import annotations

from pathlib import Path

import pytest

from eldex.evidence.checkpoint import Checkpoint
from eldex.evidence.note import COSIGNATURE_V1, MalformedNote, Note, Signer, UntrustedNote
from eldex.evidence.policy import MalformedPolicy, Policy
from eldex.evidence.testing import ORIGIN, key

LOG = key(ORIGIN).verifier
CITIES = {name: key(f"{name}.example/w", COSIGNATURE_V1) for name in "uvwxyz"}
HEAD = Checkpoint(ORIGIN, 7, bytes(32))


def witnesses(names: str) -> str:
    return "".join(f"witness {name} {CITIES[name].verifier}\n" for name in names)


def signed(names: str, signer: Signer | None = None) -> bytes:
    note = HEAD.sign(signer or key(ORIGIN))
    for name in names:
        note = note.signed(CITIES[name].sign(note.text, 1_790_000_000 + ord(name)))
    return note.encode()


def test_the_example_of_the_specification() -> None:
    policy = Policy.parse(
        f"log {LOG}\n\n"
        + witnesses("xyz")
        + "group X-witnesses 2 x y z\n"
        + witnesses("uvw")
        + "\tgroup  Y-witnesses any u v w https\n".replace(" https", "")
        + "# both of them\n"
        + "group X-and-Y all X-witnesses Y-witnesses\n"
        + "quorum X-and-Y\n"
    )
    for names in ("xyu", "xzv", "xyzuvw"):
        trusted = policy.check(signed(names))
        assert trusted.checkpoint == HEAD
        assert trusted.witnesses == {name: 1_790_000_000 + ord(name) for name in names}
    for names in ("", "xy", "xu", "uvw", "xyz"):
        with pytest.raises(UntrustedNote, match="quorum"):
            policy.check(signed(names))


def test_one_witness_or_none_can_be_asked_for() -> None:
    alone = Policy.parse(f"log {LOG} https://exchange.a-city.example\n{witnesses('x')}quorum x\n")
    assert alone.check(signed("x")).witnesses
    with pytest.raises(UntrustedNote):
        alone.check(signed("y"))
    nobody = Policy.parse(f"log {LOG}\nquorum none\n")
    assert nobody.check(signed("x")).witnesses == {}


def test_a_witness_may_say_where_it_is_asked() -> None:
    told = Policy.parse(
        f"{witnesses('x')}{witnesses('y').strip()} https://y.example\nquorum none\n"
    )
    assert told.urls == {"y": "https://y.example"}


def test_a_checkpoint_must_be_signed_by_the_log_whose_it_is() -> None:
    other = key("exchange.z-city.example/log")
    policy = Policy.parse(f"log {LOG}\nlog {other.verifier}\n{witnesses('x')}quorum none\n")
    text = HEAD.text()
    for note in (
        Note(text, (other.sign(text),)),  # another log that is trusted too
        Note(text, (CITIES["x"].sign(text, 1),)),  # a witness alone
    ):
        with pytest.raises(UntrustedNote, match="no known key of"):
            policy.check(note.encode())
    with pytest.raises(MalformedNote):
        policy.check(Note("no checkpoint\n", (key(ORIGIN).sign("no checkpoint\n"),)).encode())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no quorum"),
        (f"log {LOG}\n", "no quorum"),
        ("quorum none\nquorum none\n", "line 2: a second"),
        ("quorum x\n", "line 1: x is not defined"),
        ("log nonsense\nquorum none\n", "line 1"),
        (f"log {CITIES['x'].verifier}\nquorum none\n", "witness's key"),
        (f"witness x {LOG}\nquorum none\n", "timestamped"),
        (f"log {LOG}\nlog {LOG}\nquorum none\n", "line 2: the same key"),
        (witnesses("xx") + "quorum none\n", "taken"),
        (witnesses("x") + f"witness y {CITIES['x'].verifier}\nquorum none\n", "same key"),
        ("witness none x\nquorum none\n", "taken"),
        (witnesses("x") + "group g 2 x\nquorum g\n", "2 of 1"),
        (witnesses("x") + "group g 0 x\nquorum g\n", "0 of 1"),
        (witnesses("x") + "group g most x\nquorum g\n", "threshold"),
        (witnesses("x") + "group g any\nquorum g\n", "not understood"),
        (witnesses("x") + "group g any x x\nquorum g\n", "already"),
        (witnesses("xy") + "group g any x\ngroup h any x y\nquorum h\n", "already"),
        ("group g any g\nquorum g\n", "not defined"),
        ("something else\nquorum none\n", "not understood"),
    ],
)
def test_a_file_that_is_no_policy_is_refused_with_the_line(text: str, why: str) -> None:
    with pytest.raises(MalformedPolicy, match=why):
        Policy.parse(text)


def test_an_error_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "trusted.policy"
    for data in (b"nonsense\n", b"\xff"):
        path.write_bytes(data)
        with pytest.raises(MalformedPolicy, match=r"trusted\.policy"):
            Policy.read(path)
