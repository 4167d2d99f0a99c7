"""What an engine counts, as its callers see it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from holdfast.core.history import RunStatus
    from holdfast.engine.commits.numbers import CommitStats, IndexStats
    from holdfast.engine.runs.run import Run
    from holdfast.engine.work.numbers import ActivityStats

__all__ = ["EngineStats", "outbox_of"]


@dataclass(frozen=True, slots=True)
class EngineStats:
    """Numbers about a running engine.

    Attributes:
        runs: How many runs there are of each status.
        live: How many are in memory.
        commits: How many batches were written since it was opened.
        written: How many changes of runs they held.
        attempts: How many attempts of activities run or wait for a place.
        abandoned: How many attempts on threads were given up on and have not returned.
        held: How many messages wait for their run, or for those before them.
        dead_letters: How many messages have ever found no run.
        began: How many runs have begun since it was opened, by workflow; each of a chain of continue-as-new counts.
        ended: How many have ended, by workflow and status.
        loaded: How many were read into memory.
        evicted: How many have left memory to make room.
        outbox: How many effects on other runs, and outputs, are on their way, by kind.
        activities: What became of attempts, by activity, each an `ActivityStats`.
        commit: How commits went, a `CommitStats`.
        last_commit_at: When the last one was made, in UTC; None before the first.
        index: What is known of the index, an `IndexStats`.
        read_retries: How many reads of the store got no answer and were made again.
        outputs: How many outputs wait to leave.
        published: How many have left since it was opened.
        dropped_answers: How many answers came for refs that were answered or cancelled before.
        dropped_refs: How many refs had no answer when their run ended.
        stuck: How many workflow ids have an output that could not leave when it was last tried.
    """

    runs: Counter[str]
    live: int
    commits: int
    written: int
    attempts: int
    abandoned: int
    held: int
    dead_letters: int
    began: Mapping[str, int]
    ended: Mapping[tuple[str, RunStatus], int]
    loaded: int
    evicted: int
    outbox: Mapping[str, int]
    activities: Mapping[str, ActivityStats]
    commit: CommitStats
    last_commit_at: datetime | None
    index: IndexStats
    read_retries: int
    outputs: int
    published: int
    stuck: int
    dropped_answers: int
    dropped_refs: int


def outbox_of(runs: Iterable[Run]) -> Counter[str]:
    """Count the effects on other runs that are on their way, by kind; a run that has any is in memory."""
    return Counter(entry.kind.value for run in runs if run.outbox for entry in run.outbox.values())
