"""Writing the index down every now and then, so that a restart need not read every commit there ever was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from holdfast.engine.commits.numbers import IndexStats
from holdfast.engine.records.documents import commit_key
from holdfast.ports import ANY, Write

if TYPE_CHECKING:
    from holdfast.engine.commits.committer import Committer
    from holdfast.engine.commits.index import Index
    from holdfast.engine.commits.partition import Partition

__all__ = ["CHECKPOINT_COMMITS", "Checkpoints"]

CHECKPOINT_COMMITS: Final = 1_000
_SEGMENTS_AT_A_TIME: Final = 8


class Checkpoints:
    """Writes the changed segments of the index, then how far they go, then deletes the records before that."""

    def __init__(self, partition: Partition, index: Index, committer: Committer, every: int) -> None:
        """Count from where the partition stands."""
        self._partition = partition
        self._index = index
        self._committer = committer
        self._every = every
        self._done_seq = partition.seq
        self._writing = False
        self._count = 0

    def stats(self) -> IndexStats:
        """Say how large the index is, and how much of it is written down."""
        index, partition = self._index, self._partition
        behind = partition.seq - partition.checkpointed
        return IndexStats(len(index), index.segments, index.changed_segments, behind, self._count)

    def look(self) -> None:
        """Begin a checkpoint if enough has been committed since the last one."""
        if not self._writing and self._partition.seq - self._done_seq >= self._every:
            self.write()

    def write(self) -> None:
        """Begin a checkpoint of all that is durable now.

        The segments go out a few at a time, each as it stands then. What they tell beyond the commit that the
        checkpoint names is told again by the records after it.
        """
        self._writing = True
        self._write_segments(self._partition.seq, self._index.take_changed_segments())

    def _write_segments(self, seq: int, numbers: list[int]) -> None:
        some, rest = numbers[:_SEGMENTS_AT_A_TIME], numbers[_SEGMENTS_AT_A_TIME:]
        if some:
            writes = [self._partition.segment_write(number, self._index.segment(number)) for number in some]
            self._committer.add_chore(
                writes, lambda: self._write_segments(seq, rest), lambda _error: self._refused(numbers)
            )
        else:
            checkpoint = self._partition.checkpoint_write(seq, self._index.segments)
            self._committer.add_chore([checkpoint], lambda: self._written(seq), lambda _error: self._refused([]))

    def _refused(self, numbers: list[int]) -> None:
        """Leave it at that until as many commits have passed again; what was not written counts as changed."""
        self._index.give_back_segments(numbers)
        self._done_seq, self._writing = self._partition.seq, False

    def _written(self, seq: int) -> None:
        """Delete the records that the checkpoint has made needless, but for those that keep stale owners out."""
        self._done_seq, self._writing = self._partition.seq, False  # its own commits call for no other
        self._partition.checkpointed = seq
        self._count += 1
        numbers = range(self._partition.swept + 1, seq + 1)
        needless = [number for number in numbers if number not in self._partition.kept]
        deletions = [Write(commit_key(self._partition.name, number), None, ANY) for number in needless]
        if deletions:
            self._committer.add_chore(deletions, lambda: self._swept(seq))

    def _swept(self, seq: int) -> None:
        self._partition.swept = seq
        self._done_seq = self._partition.seq
