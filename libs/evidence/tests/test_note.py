"""Notes, keys and checkpoints are those of C2SP: its examples, those of Go, and what must be refused."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives import hashes, hmac
from hypothesis import given, settings
from hypothesis import strategies as st

from eldex.evidence.checkpoint import Checkpoint, MalformedCheckpoint
from eldex.evidence.encoding import MalformedText, check_origin, from_base64, from_decimal
from eldex.evidence.note import (
    COSIGNATURE_V1,
    SUITES,
    MalformedKey,
    MalformedNote,
    Note,
    Sign,
    Signature,
    Signer,
    UntrustedNote,
    Verifier,
    Verify,
    signer_key,
)
from eldex.evidence.testing import ORIGIN, key
from eldex.evidence.tree import EMPTY_ROOT

# From the documentation of Go's golang.org/x/mod/sumdb/note.
SKEY = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
ENOCH = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
PETER_LINE = (
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)  # fmt: skip
ENOCH_LINE = (
    "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
)  # fmt: skip
# From C2SP signed-note, "Verifier keys", and tlog-cosignature.
C2SP_VKEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
C2SP_NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)  # fmt: skip
BEHIND_THE_SOFA = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
    "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
)  # fmt: skip
REMORA = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2"
"""A witness's key (type 0x04), from the tests of transparency-dev/formats."""


def test_go_signs_the_same() -> None:
    signer = Signer.parse(SKEY)
    assert str(signer.verifier) == VKEY
    note = Note(TEXT, (signer.sign(TEXT),))
    assert note.encode().decode() == TEXT + "\n" + PETER_LINE
    assert SKEY[-20:] not in repr(signer)


def test_notes_of_go_and_of_c2sp_verify() -> None:
    peter, enoch = Verifier.parse(VKEY), Verifier.parse(ENOCH)
    note = Note.parse((TEXT + "\n" + PETER_LINE + ENOCH_LINE).encode())
    assert set(note.verified([peter])) == {peter}
    assert set(note.verified([peter, enoch])) == {peter, enoch}
    with pytest.raises(UntrustedNote, match="no known key"):
        note.verified([])
    Note.parse(C2SP_NOTE.encode()).verified([Verifier.parse(C2SP_VKEY)])


def test_a_checkpoint_of_c2sp_is_read_with_its_cosignature() -> None:
    note = Note.parse(BEHIND_THE_SOFA.encode())
    head = Checkpoint.parse(note.text)
    assert (head.origin, head.size) == ("example.com/behind-the-sofa", 20852163)
    assert note.signatures[1].seconds == 1679315147  # as the specification has it
    assert note.encode().decode() == BEHIND_THE_SOFA
    assert head.text() == note.text


def test_a_key_of_a_witness_is_read() -> None:
    verifier = Verifier.parse(REMORA)
    assert verifier.suite.timestamped
    assert str(verifier) == REMORA


@pytest.mark.parametrize("text", [VKEY, REMORA])
def test_a_key_that_is_mangled_anywhere_is_refused(text: str) -> None:
    for start in range(len(text)):
        for end in range(start + 1, len(text) + 1):
            if (start, end) != (0, len(text)):
                with pytest.raises(MalformedKey):
                    Verifier.parse(text[start:end])
    for place in range(len(text)):
        with pytest.raises(MalformedKey):
            Verifier.parse(text[:place] + chr(ord(text[place]) + 1) + text[place + 1 :])


@pytest.mark.parametrize(
    "text",
    [
        # From Go's tests: a key too long, and an unknown algorithm, each with the right hash.
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "",
    ],
)
def test_a_key_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(MalformedKey):
        Verifier.parse(text)


def test_a_signer_key_that_is_mangled_is_refused_and_never_repeated() -> None:
    for place in range(len(SKEY)):
        mangled = SKEY[:place] + chr(ord(SKEY[place]) + 1) + SKEY[place + 1 :]
        with pytest.raises(MalformedKey) as caught:
            Signer.parse(mangled)
        assert SKEY[-30:-4] not in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        TEXT,
        TEXT + "\n",
        TEXT + "\n" + PETER_LINE[:-1],
        "\x01" + TEXT + "\n" + PETER_LINE,
        TEXT + "\n" + PETER_LINE.replace("PeterNeumann", "Bad Name"),
        TEXT + "\n" + PETER_LINE.replace("PeterNeumann", "Bad+Name"),
        TEXT + "\n" + PETER_LINE + "Unexpected line.\n",
        TEXT + "\n" + PETER_LINE.replace("—", "-"),
        TEXT + "\n" + PETER_LINE * 101,
        TEXT + "\n" + "— PeterNeumann x08gow==\n",
        TEXT + "\n" + PETER_LINE.replace("nAM=", "nAN="),  # other bits, the same bytes
        TEXT.replace("\n", "\r\n") + "\n" + PETER_LINE,
        TEXT * 20_000 + "\n" + PETER_LINE,
    ],
)
def test_what_is_no_note_is_refused(data: str) -> None:
    with pytest.raises(MalformedNote):
        Note.parse(data.encode())


def test_a_note_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(MalformedNote):
        Note.parse(b"\xff" + (TEXT + "\n" + PETER_LINE).encode())


def test_a_wrong_signature_of_a_known_key_spoils_the_note() -> None:
    peter, enoch = Verifier.parse(VKEY), Verifier.parse(ENOCH)
    note = Note.parse((TEXT + "\n" + PETER_LINE + ENOCH_LINE).encode())
    spoilt = Note(note.text.replace("answer", "question"), note.signatures)
    with pytest.raises(UntrustedNote, match="wrong"):
        spoilt.verified([peter])
    bad = replace(note.signatures[1], value=bytes(64))
    with pytest.raises(UntrustedNote, match="EnochRoot"):
        Note(note.text, (note.signatures[0], bad)).verified([peter, enoch])
    # One that shares the name, or the id, but not both, is a stranger's and is ignored.
    stranger = replace(bad, key_id=b"\x00\x00\x00\x00")
    assert set(Note(note.text, (note.signatures[0], stranger)).verified([peter, enoch])) == {peter}


def test_a_cosignature_binds_its_time() -> None:
    signer, head = key("b-city.example/w", COSIGNATURE_V1), Checkpoint(ORIGIN, 0, EMPTY_ROOT)
    signature = signer.sign(head.text(), 1_790_000_000)
    assert signature.seconds == 1_790_000_000
    assert signer.verifier.verify(head.text().encode(), signature.value)
    later = (1_790_000_001).to_bytes(8, "big") + signature.value[8:]
    assert not signer.verifier.verify(head.text().encode(), later)
    for length in (0, 7, 8, 71):
        assert not signer.verifier.verify(head.text().encode(), signature.value[:length])
    assert not signer.verifier.verify(head.text().encode(), b"\xff" * 72)
    with pytest.raises(ValueError, match="when"):
        signer.sign(head.text())
    # The message is that of the specification, byte for byte.
    plain = Signer.parse(signer_key("x", hashlib.sha256(b"b-city.example/w").digest()))
    message = f"cosignature/v1\ntime 1790000000\n{head.text()}"
    assert plain.sign(message).value == signature.value[8:]
    # The same key under another type is another key.
    assert plain.verifier.key_id != signer.verifier.key_id


class Sm3Mac:
    """Stands for another suite: SM3, and a name of its own under 0xff."""

    identifier = b"\xffeldex.example/sm3"
    timestamped = False

    def public(self, key: bytes) -> Verify:
        return lambda text, signature: signature == self._tag(key, text)

    def secret(self, key: bytes) -> tuple[bytes, Sign]:
        return key, lambda text, _at: self._tag(key, text)

    def _tag(self, key: bytes, text: bytes) -> bytes:
        mac = hmac.HMAC(key, hashes.SM3())
        mac.update(text)
        return mac.finalize()


def test_another_suite_can_be_brought() -> None:
    suite = Sm3Mac()
    text = signer_key(ORIGIN, bytes(32), suite)
    with pytest.raises(MalformedKey, match="suite"):
        Signer.parse(text)
    signer = Signer.parse(text, [*SUITES, suite])
    note = Checkpoint(ORIGIN, 0, EMPTY_ROOT).sign(signer)
    verifier = Verifier.parse(str(signer.verifier), [*SUITES, suite])
    assert set(Note.parse(note.encode()).verified([verifier])) == {verifier}


def test_a_newer_signature_of_a_key_replaces_the_older() -> None:
    signer, head = key("b-city.example/w", COSIGNATURE_V1), Checkpoint(ORIGIN, 0, EMPTY_ROOT)
    note = head.sign(key(ORIGIN)).signed(signer.sign(head.text(), 1_000))
    again = note.signed(signer.sign(head.text(), 2_000))
    assert [signature.name for signature in again.signatures] == [ORIGIN, "b-city.example/w"]
    assert again.signatures[1].seconds == 2_000


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.example\n",
        "a.example\n1\n",
        "\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "a.example\n01\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "a.example\n+1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "a.example\n-1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "a.example\n١\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "a.example\n99999999999999999999\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
        "a.example\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I\n",
        "a.example\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n",
        "a.example\n1\nCsUYapGG\n",
        "a.example\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\nx\n",
        "a.example\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=",
        "a.example\n0\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(MalformedCheckpoint):
        Checkpoint.parse(text)


def test_a_checkpoint_that_would_be_read_as_another_is_not_made() -> None:
    for origin in ("evil\n999", "", "a\n5\nx"):
        with pytest.raises(MalformedCheckpoint):
            Checkpoint(origin, 0, EMPTY_ROOT).text()
    with pytest.raises(MalformedCheckpoint):
        Checkpoint(ORIGIN, 1, bytes(32), ("two\nlines",)).text()
    with pytest.raises(ValueError, match="does not sign"):
        Checkpoint(ORIGIN, 1, bytes(32)).sign(key("another.example/log"))


@settings(deadline=None)
@given(
    st.integers(1, 2**63 - 1),
    st.binary(min_size=32, max_size=32),
    st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1)),
)
def test_a_checkpoint_survives_its_note(size: int, root: bytes, extensions: list[str]) -> None:
    head = Checkpoint(ORIGIN, size, root, tuple(extensions))
    note = Note.parse(head.sign(key(ORIGIN)).encode())
    assert Checkpoint.parse(note.text) == head
    assert note.verified([key(ORIGIN).verifier])


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_note_or_are_refused(data: bytes) -> None:
    with contextlib.suppress(MalformedNote):
        assert Note.parse(data).encode() == data


def test_texts_have_one_spelling() -> None:
    for text in ("AA=A", "AA", "AB==", "AA==\n", " AA==", "é"):
        with pytest.raises(MalformedText):
            from_base64(text)
    for text in ("", "00", "1 ", "1_0", "１"):
        with pytest.raises(MalformedText):
            from_decimal(text)
    for text in ("", "a b", "a+b", "a\n", "城", "a" * 201):
        with pytest.raises(MalformedText):
            check_origin(text)
    assert Signature("a", b"abcd", b"x").line() == "— a YWJjZHg=\n"
