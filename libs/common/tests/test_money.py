"""Fen are never lost and never made."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eldex.common.money import share_fen, split_fen, yuan

amounts = st.integers(0, 10**15)
weights = st.lists(st.integers(0, 10**6), min_size=1, max_size=12).filter(any)


@given(amounts, weights)
def test_the_parts_add_up_to_the_whole(amount: int, by: list[int]) -> None:
    parts = split_fen(amount, by)
    assert sum(parts) == amount
    for part, weight in zip(parts, by, strict=True):
        assert abs(part - Fraction(amount * weight, sum(by))) < 1
        assert part >= 0
        assert weight or part == 0


@given(amounts, weights)
def test_who_has_more_weight_never_gets_less(amount: int, by: list[int]) -> None:
    by = sorted(by)
    parts = split_fen(amount, by)
    # Ties go to the earlier part: equal weights may differ by a fen, the heavier never loses more.
    for (weight, part), (heavier, more) in zip(
        zip(by, parts, strict=True), zip(by[1:], parts[1:], strict=True), strict=False
    ):
        assert more >= part if heavier > weight else abs(more - part) <= 1


def test_a_fen_that_cannot_be_shared_goes_to_the_earlier() -> None:
    assert split_fen(100, [1, 1, 1]) == [34, 33, 33]
    assert split_fen(1, [1, 1]) == [1, 0]
    assert split_fen(0, [3, 0, 2]) == [0, 0, 0]
    assert split_fen(10, [0, 5, 0]) == [0, 10, 0]


@given(st.integers(-(10**12), -1), weights)
def test_a_recovery_adds_up_as_well(amount: int, by: list[int]) -> None:
    assert sum(split_fen(amount, by)) == amount


@pytest.mark.parametrize("by", [[0, 0], [2, -1]])
def test_weights_that_mean_nothing_are_refused(by: list[int]) -> None:
    with pytest.raises(ValueError, match="non-negative and not all zero"):
        split_fen(100, by)


def test_a_share_is_rounded_half_up() -> None:
    assert share_fen(1, Fraction(1, 2)) == 1
    assert share_fen(3, Fraction(1, 2)) == 2
    assert share_fen(12_345, Fraction(30, 100)) == 3_704  # 3703.5
    assert share_fen(100, Fraction(1, 3)) == 33
    assert share_fen(-1, Fraction(1, 2)) == -1


@given(amounts, st.fractions(0, 1))
def test_a_share_is_within_half_a_fen(amount: int, ratio: Fraction) -> None:
    assert abs(share_fen(amount, ratio) - amount * ratio) <= Fraction(1, 2)


def test_an_amount_is_written_as_officials_read_it() -> None:
    assert [yuan(fen) for fen in (0, 5, 120, 1_234_560, -7, -100_000)] == [
        "0.00",
        "0.05",
        "1.20",
        "12,345.60",
        "-0.07",
        "-1,000.00",
    ]
