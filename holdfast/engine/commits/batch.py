"""A batch: the changes of many runs, and the engine's own chores, as one call of the store."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from holdfast.engine.commits.letters import merged
from holdfast.ports import ABSENT, ANY, Write

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from holdfast.core.errors import StoreError
    from holdfast.engine.commits.letters import Told
    from holdfast.engine.runs.change import Change
    from holdfast.ports import Capabilities

__all__ = ["Batch", "Chore", "ChoreWrite", "fill", "unversioned"]

_CHORES_PER_BATCH: Final = 100
"""No more of the engine's own writes than this go with one batch, so that none of them takes long."""

_RECORD_BYTES: Final = 64 * 1024
"""Room that is left for the record of the commit."""


class Chore:
    """Documents of the engine itself that are to be written, in order, some batch soon.

    Attributes:
        waiting: What has not been taken into a batch yet.
        told: What the record of its commit tells of it; None for nothing.
    """

    def __init__(
        self,
        writes: Sequence[Write],
        done: Callable[[], None] | None = None,
        refused: Callable[[StoreError], None] | None = None,
        told: Told | None = None,
    ) -> None:
        """Describe a chore.

        Args:
            writes: What is to be written.
            done: Called once all of it is durable.
            refused: Called once, instead, if the store will not take some of it.
            told: What the record of its commit tells of it.
        """
        self.told = told
        self.waiting = deque(ChoreWrite(self, write) for write in writes)
        self._left = len(writes)
        self._done = done
        self._refused = refused

    def written(self) -> None:
        """Count one of its writes as durable."""
        self._left -= 1
        if not self._left and self._done is not None:
            self._done()

    def refuse(self, error: StoreError) -> None:
        """Give the chore up."""
        self.waiting.clear()
        self._left = -1
        refused, self._refused = self._refused, None
        if refused is not None:
            refused(error)


@dataclass(slots=True)
class ChoreWrite:
    """One document of a chore."""

    chore: Chore
    write: Write


@dataclass(slots=True)
class Batch:
    """What goes into one call of the store, besides the record of the commit.

    Attributes:
        changes: Runs whose head is in it, with what is written once beside it.
        ahead: Documents that are written once, of a run whose head is yet to come.
        ahead_of: The change that they belong to.
        chores: Writes of the engine itself.
        late: Entries of the index that wait since an earlier batch for its heads to be written.
        deltas: The entries of the index that change with it.
    """

    changes: list[Change] = field(default_factory=list)
    ahead: list[Write] = field(default_factory=list)
    ahead_of: Change | None = None
    chores: list[ChoreWrite] = field(default_factory=list)
    late: list[list[Any]] = field(default_factory=list)
    deltas: list[list[Any]] = field(default_factory=list)

    def writes(self, record: Write) -> list[Write]:
        """Give all writes in order: the record first, heads after what they name."""
        writes = [record, *self.ahead]
        for change in self.changes:
            if change.early:
                writes += change.early
        writes += [change.head for change in self.changes]
        if self.chores:
            writes += [chore.write for chore in self.chores]
        return writes

    def told(self) -> dict[str, list[Any]]:
        """Put together what the record has to tell of its chores."""
        chores = {id(item.chore): item.chore for item in self.chores}
        return merged(chore.told for chore in chores.values() if chore.told is not None)

    def __bool__(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.changes or self.ahead or self.chores)


def fill(queue: deque[Change], chores: deque[Chore], limits: Capabilities) -> Batch:
    """Take as many changes and chores as fit into one call.

    A change that does not fit alone sends its early documents ahead. Where batches are not atomic all early
    documents go ahead of their heads, and a chore waits for the one before it, unless it is about letters.
    """
    batch = Batch()
    room, space, atomic = limits.max_batch - 2, limits.max_batch_bytes - _RECORD_BYTES, limits.atomic_batch
    changes = batch.changes
    while queue:
        change = queue[0]
        size, count = change.size, 1 + len(change.early) if change.early else 1
        fits = count <= room and size <= space
        if not fits and batch:
            return batch
        if count > 1 and not (fits and atomic):
            if not batch:
                _send_ahead(change, batch, room, space)
            return batch
        changes.append(queue.popleft())
        room -= count
        space -= size
    if chores:
        _add_chores(chores, batch, room, space, atomic=atomic)
    return batch


def _send_ahead(change: Change, batch: Batch, room: int, space: int) -> None:
    batch.ahead_of = change
    while change.early and len(batch.ahead) < room:
        size = _size(change.early[0])
        if batch.ahead and size > space:
            break
        batch.ahead.append(change.early.pop(0))
        space -= size
        change.size -= size


def _add_chores(chores: deque[Chore], batch: Batch, room: int, space: int, *, atomic: bool) -> None:
    room = min(room, _CHORES_PER_BATCH)
    keys: set[str] = set()
    while chores:
        chore = chores[0]
        shares = atomic or chore.told is not None  # letters stand each for themselves
        if batch.chores and not shares:
            return
        while chore.waiting:
            write = chore.waiting[0].write
            size = _size(write)
            # A key may stand in a batch once: the owner may show that it is alive, and then release the partition.
            if batch and (size > space or len(batch.chores) >= room or write.key in keys):
                return
            batch.chores.append(chore.waiting.popleft())
            keys.add(write.key)
            space -= size
        chores.popleft()
        if not shares:
            return


def _size(write: Write) -> int:
    return len(write.key) + len(write.value or b"")


def unversioned(write: Write) -> Write:
    """Give a write the expectation that a backend without versions can hold: creation only, or none."""
    return write if write.expected is ABSENT else write._replace(expected=ANY)
