"""What one commit writes for a run, and what the runtime is doing with a run meanwhile."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from holdfast.engine.commits.index import IndexEntry
    from holdfast.engine.runs.run import Run
    from holdfast.ports import Write

__all__ = ["Change", "Slot"]

_KEY_BYTES = 80
"""The longest key of a run's documents is shorter."""


class Slot(Enum):
    """What the runtime is doing with a run."""

    LOADING = "it is read from the store"
    IDLE = "nothing"
    DIRTY = "it waits for its turn"
    BUSY = "its commit is in flight"


class Change:
    """The documents of one commit of one run.

    Attributes:
        run: Whose they are.
        write_id: Names this write of the head.
        early: Documents that are written with or before the head, and never again.
        head: The head.
        entry: What the index is to say of the run once they are written; None where that stays as it is.
        size: Bytes of all values, and room for the keys.
    """

    __slots__ = ("early", "entry", "head", "run", "size", "write_id")

    def __init__(self, run: Run, write_id: str, early: list[Write], head: Write, entry: IndexEntry | None) -> None:
        """Weigh the documents."""
        self.run = run
        self.write_id = write_id
        self.early = early
        self.head = head
        self.entry = entry
        self.size = len(head.value or b"") + _KEY_BYTES
        if early:
            self.size += sum(len(write.value or b"") + _KEY_BYTES for write in early)
