"""How commits went: how large they were, how long they took, and what got in their way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from holdfast.engine.histogram import Distribution, Histogram

__all__ = ["CommitNumbers", "CommitStats", "IndexStats"]

_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_SIZES: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)


@dataclass(frozen=True, slots=True)
class CommitStats:
    """How commits went since the engine was opened, and what waits for the next one.

    Attributes:
        seconds: How long each took, from the first call of the store until it was proved to be written.
        changes: How many changes of runs each held.
        documents: How many documents each wrote or deleted.
        unknown: How many calls did not tell whether they took effect, and were made again.
        conflicts: How many calls met something that was there already: what an earlier try had written, or another.
        lost: How many changes of runs gave way to something else that had been written.
        refused: How many changes of runs the store would not take; their runs are stalled.
        waiting: How many changes of runs wait for a batch.
        chores: How many documents of the engine's own wait for one.
    """

    seconds: Distribution
    changes: Distribution
    documents: Distribution
    unknown: int
    conflicts: int
    lost: int
    refused: int
    waiting: int
    chores: int


@dataclass(frozen=True, slots=True)
class IndexStats:
    """How large the index is, and how much of it is written down.

    Attributes:
        entries: How many workflow ids it knows.
        segments: How many documents it takes.
        changed: How many of them have changed since they were last written.
        behind: How many commits a restart would have to read after the newest checkpoint.
        checkpoints: How many checkpoints were written since the engine was opened.
    """

    entries: int
    segments: int
    changed: int
    behind: int
    checkpoints: int


class CommitNumbers:
    """Counts commits.

    Attributes:
        unknown: See `CommitStats`, as for the others.
    """

    __slots__ = ("_changes", "_documents", "_seconds", "conflicts", "lost", "refused", "unknown")

    def __init__(self) -> None:
        """Count nothing yet."""
        self.unknown = self.conflicts = self.lost = self.refused = 0
        self._seconds = Histogram(_SECONDS)
        self._changes = Histogram(_SIZES)
        self._documents = Histogram(_SIZES)

    def wrote(self, seconds: float, changes: int, documents: int) -> None:
        """Count a commit."""
        self._seconds.observe(seconds)
        self._changes.observe(changes)
        self._documents.observe(documents)

    def stats(self, waiting: int, chores: int) -> CommitStats:
        """Give what was counted so far, and what waits now."""
        return CommitStats(
            self._seconds.shown(),
            self._changes.shown(),
            self._documents.shown(),
            self.unknown,
            self.conflicts,
            self.lost,
            self.refused,
            waiting,
            chores,
        )
