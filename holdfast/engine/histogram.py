"""Counting values by size, so cheaply that it can be done at every step."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Distribution", "Histogram"]


@dataclass(frozen=True, slots=True)
class Distribution:
    """How many values there were, by size.

    Attributes:
        bounds: The upper bounds of the buckets, in order; a bucket holds the values up to its bound, and with it.
        counts: How many values each bucket holds that those before it do not; last, how many are over all bounds.
        total: The sum of all values.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    total: float

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)


class Histogram:
    """Counts values in buckets that never change."""

    __slots__ = ("_bounds", "_counts", "_total")

    def __init__(self, bounds: Sequence[float]) -> None:
        """Count nothing yet.

        Args:
            bounds: The upper bounds of the buckets, in order.
        """
        self._bounds = tuple(bounds)
        self._counts: Counter[int] = Counter()
        self._total = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._total += value

    def observe_all(self, values: Sequence[float]) -> None:
        """Count many values, in a few steps of the interpreter however many they are."""
        self._counts.update(map(bisect_left, repeat(self._bounds), values))
        self._total += sum(values)

    def shown(self) -> Distribution:
        """Give what was counted so far."""
        counts = tuple(self._counts[number] for number in range(len(self._bounds) + 1))
        return Distribution(self._bounds, counts, self._total)
