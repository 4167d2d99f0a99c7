"""What became of the attempts of an activity, and how long they took."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from holdfast.engine.histogram import Distribution, Histogram

__all__ = ["ActivityNumbers", "ActivityStats"]

_SECONDS: Final = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
_TAKEN_AT_ONCE: Final = 1_000


@dataclass(frozen=True, slots=True)
class ActivityStats:
    """What became of the attempts of one activity since the engine was opened.

    Attributes:
        completed: How many returned.
        failed: How many raised.
        timed_out: How many were given up for they took too long, or gave no heartbeat.
        canceled: How many were given up for their run no longer wanted them.
        retried: How many of those that failed or timed out were, or will be, followed by another.
        seconds: How long those took that returned, raised or timed out.
    """

    completed: int
    failed: int
    timed_out: int
    canceled: int
    retried: int
    seconds: Distribution


class ActivityNumbers:
    """Counts the attempts of one activity.

    Attributes:
        took: How many seconds attempts took that have ended by themselves or timed out. It is put on a list, which is
            the cheapest thing to do at every step, and counted later.
        failed: How many of them raised.
        timed_out: How many of them timed out.
        canceled: How many attempts beside them were given up for their run no longer wanted them.
        retried: How many times there is to be another attempt.
    """

    __slots__ = ("_seconds", "canceled", "failed", "retried", "timed_out", "took")

    def __init__(self) -> None:
        """Count nothing yet."""
        self.took: list[float] = []
        self.failed = self.timed_out = self.canceled = self.retried = 0
        self._seconds = Histogram(_SECONDS)

    def tidy(self) -> None:
        """Count what is on the list, once that has become long."""
        if len(self.took) > _TAKEN_AT_ONCE:
            self._count()

    def _count(self) -> None:
        self._seconds.observe_all(self.took)
        self.took.clear()

    def stats(self) -> ActivityStats:
        """Give what was counted so far."""
        self._count()
        seconds = self._seconds.shown()
        completed = seconds.count - self.failed - self.timed_out
        return ActivityStats(completed, self.failed, self.timed_out, self.canceled, self.retried, seconds)
