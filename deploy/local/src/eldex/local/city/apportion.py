"""Whole numbers that add up: how a total is shared out without losing or inventing anybody."""

from __future__ import annotations

from collections.abc import Sequence


def apportion(total: int, weights: Sequence[float]) -> list[int]:
    """Share out a total by weights, exactly (largest remainder; ties go to the earlier)."""
    whole = sum(weights)
    exact = [total * weight / whole for weight in weights]
    parts = [int(part) for part in exact]
    by_loss = sorted(range(len(weights)), key=lambda i: (parts[i] - exact[i], i))
    for i in by_loss[: total - sum(parts)]:
        parts[i] += 1
    return parts
