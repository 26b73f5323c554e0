"""Money is integer fen (分, 1/100 yuan). Shares always add up to the whole."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

Fen = int
"""An amount in fen. Never a float, never yuan."""


def share_fen(amount_fen: Fen, ratio: Fraction) -> Fen:
    """A ratio of an amount, rounded half up to the fen (amounts are not negative)."""
    exact = amount_fen * ratio
    return int(exact + Fraction(1, 2)) if exact >= 0 else -int(-exact + Fraction(1, 2))


def split_fen(amount_fen: Fen, weights: Sequence[int]) -> list[Fen]:
    """Split an amount by weights so that the parts add up to it exactly.

    Largest remainder: what rounding down leaves goes, a fen each, to the parts that lost most;
    ties go to the earlier part, so that the same input always splits alike.
    """
    total = sum(weights)
    if total <= 0 or min(weights) < 0:
        raise ValueError("weights must be non-negative and not all zero")
    parts = [amount_fen * weight // total for weight in weights]
    left = amount_fen - sum(parts)
    by_loss = sorted(range(len(weights)), key=lambda i: (-(amount_fen * weights[i] % total), i))
    for i in by_loss[:left]:
        parts[i] += 1
    return parts


def yuan(amount_fen: Fen) -> str:
    """An amount as officials read it: `12,345.60`."""
    sign = "-" if amount_fen < 0 else ""
    whole, fen = divmod(abs(amount_fen), 100)
    return f"{sign}{whole:,}.{fen:02d}"
