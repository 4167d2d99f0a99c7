"""Figures of kills: how many seconds something took."""

import statistics
from collections.abc import Sequence

__all__ = ["spread"]


def spread(seconds: Sequence[float]) -> str:
    """Say how some times are spread."""
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))]
    return f"p50 {statistics.median(ordered):.2f} p99 {p99:.2f} max {ordered[-1]:.2f} s"
