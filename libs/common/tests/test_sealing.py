"""Identity numbers at rest: found by, never readable, never changeable, also after a new key."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eldex.common.sealing import BadSealingKey, BrokenSeal, Sealer

NUMBER = "11010519491231002X"  # the standard's own example (GB 11643), nobody's
KEY, OTHER = bytes(range(64)), bytes(range(64, 128))


@pytest.fixture
def sealer() -> Sealer:
    return Sealer({255: KEY}, "registry/document")


def put_key(folder: Path, name: str, key: bytes) -> None:
    (folder / name).write_text(key.hex() + "\n")


@given(st.text(min_size=1))
def test_what_was_sealed_opens_and_the_same_is_sealed_alike(text: str) -> None:
    sealer = Sealer({255: KEY}, "registry/document")
    assert sealer.open(sealer.seal(text)) == text
    assert sealer.seal(text) == sealer.seal(text)


def test_the_seal_shows_nothing_of_the_number(sealer: Sealer) -> None:
    sealed = sealer.seal(NUMBER)
    for part in (NUMBER, NUMBER[:6], NUMBER[6:14]):
        assert part.encode() not in sealed


def test_a_byte_changed_anywhere_breaks_the_seal(sealer: Sealer) -> None:
    sealed = sealer.seal(NUMBER)
    for place in range(len(sealed)):
        for flip in (0x01, 0x80, 0xFF):
            changed = bytearray(sealed)
            changed[place] ^= flip
            with pytest.raises(BrokenSeal):
                sealer.open(bytes(changed))
    for cut in (sealed[:-1], sealed[:1], b"", sealed + b"\x00"):
        with pytest.raises(BrokenSeal):
            sealer.open(cut)


def test_what_was_sealed_for_one_purpose_does_not_open_for_another(sealer: Sealer) -> None:
    with pytest.raises(BrokenSeal):
        Sealer({255: KEY}, "medical/document").open(sealer.seal(NUMBER))


def test_another_key_opens_nothing(sealer: Sealer) -> None:
    with pytest.raises(BrokenSeal):
        Sealer({255: OTHER}, "registry/document").open(sealer.seal(NUMBER))


def test_after_a_new_key_old_records_still_open_and_new_ones_are_sealed_with_it(
    tmp_path: Path,
) -> None:
    put_key(tmp_path, "sealing.key", KEY)
    before = Sealer.from_folder(tmp_path, "registry/document").seal(NUMBER)

    (tmp_path / "sealing.key").rename(tmp_path / "sealing.1.key")
    put_key(tmp_path, "sealing.key", OTHER)
    renewed = Sealer.from_folder(tmp_path, "registry/document")
    after = renewed.seal(NUMBER)
    assert renewed.open(before) == renewed.open(after) == NUMBER
    assert after != before
    assert renewed.seals(NUMBER) == [after, before]

    (tmp_path / "sealing.key").rename(tmp_path / "sealing.2.key")
    put_key(tmp_path, "sealing.key", os.urandom(64))
    again = Sealer.from_folder(tmp_path, "registry/document")
    assert again.seals(NUMBER) == [again.seal(NUMBER), after, before]
    assert [again.open(each) for each in again.seals(NUMBER)] == [NUMBER] * 3
    (tmp_path / "sealing.2.key").rename(tmp_path / "sealing.key")

    (tmp_path / "sealing.1.key").unlink()
    only_new = Sealer.from_folder(tmp_path, "registry/document")
    assert only_new.open(after) == NUMBER
    with pytest.raises(BrokenSeal):
        only_new.open(before)


def test_a_folder_without_a_key_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(BadSealingKey, match="openssl rand -hex 64"):
        Sealer.from_folder(tmp_path, "registry/document")
    put_key(tmp_path, "sealing.1.key", KEY)
    with pytest.raises(BadSealingKey, match=r"sealing\.key is missing"):
        Sealer.from_folder(tmp_path, "registry/document")


@pytest.mark.parametrize("content", ["", "王秀英", KEY.hex()[:-2], KEY.hex() + "00", "zz" * 64])
def test_a_key_that_is_none_is_named_and_not_shown(tmp_path: Path, content: str) -> None:
    (tmp_path / "sealing.key").write_text(content)
    with pytest.raises(BadSealingKey, match=r"sealing\.key: must hold 128 hex digits") as refused:
        Sealer.from_folder(tmp_path, "registry/document")
    assert not content or content not in str(refused.value)


@pytest.mark.parametrize("name", ["sealing.old.key", "sealing.255.key", "sealing-2.key"])
def test_an_older_key_has_a_number(tmp_path: Path, name: str) -> None:
    put_key(tmp_path, "sealing.key", KEY)
    put_key(tmp_path, name, os.urandom(64))
    with pytest.raises(BadSealingKey, match=r"an older key is named sealing\.<0 to 254>\.key"):
        Sealer.from_folder(tmp_path, "registry/document")
