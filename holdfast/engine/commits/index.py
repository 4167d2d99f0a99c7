"""The index: a little about every run, in memory, so that lists and wake-ups need no store.

Nothing in it changes with each step of a run. What does change rides along in the record of the commit that changed
it; every now and then the whole index is written in segments, and the records before that are deleted.
"""

from __future__ import annotations

import base64
import bisect
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from holdfast.core.history import RunStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["Index", "IndexEntry"]

SEGMENT_ENTRIES: Final = 200


@dataclass(slots=True, eq=False)
class IndexEntry:
    """What is known of a run without reading it.

    Instants are milliseconds since 1970; 0 stands for none.

    Attributes:
        due: When the run has to be woken.
        work: It has to be in memory for something to go on.
        size_kib: The size of its head when this was written, in KiB; small numbers, for Python keeps one of each.
        segment: The number of the segment it is stored in; the entries of a segment share one object.
    """

    id: str
    run_id: str
    workflow: str
    status: RunStatus
    created: int
    finished: int
    due: int
    work: bool
    size_kib: int
    attributes: dict[str, Any] | None
    segment: int = -1

    def to_json(self) -> list[Any]:
        """Give the form it has in commit records and segments."""
        fixed = [self.id, self.run_id, self.workflow, self.status._value_, self.created, self.finished, self.due]
        return [*fixed, int(self.work), self.size_kib, self.attributes]

    @classmethod
    def from_json(cls, stored: list[Any]) -> IndexEntry:
        """Read an entry back."""
        workflow_id, run_id, workflow, status, created, finished, due, work, size, attributes = stored
        return cls(
            workflow_id, run_id, workflow, RunStatus(status), created, finished, due, bool(work), size, attributes
        )

    def marked(self) -> IndexEntry:
        """Give an entry that says the run may have work: what a record may claim before the head is written."""
        return replace(self, work=True)

    def take_over(self, newer: IndexEntry) -> None:
        """Become what a newer entry of the same run says."""
        self.run_id, self.workflow, self.status, self.finished = (
            newer.run_id,
            newer.workflow,
            newer.status,
            newer.finished,
        )
        self.due, self.work, self.size_kib, self.attributes = newer.due, newer.work, newer.size_kib, newer.attributes


class Index:
    """All runs of a partition, the newest of each workflow id.

    Attributes:
        overlays: Runs that are shown as other than they are stored.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._entries: dict[str, IndexEntry] = {}
        self._slots: list[str] = []
        self._newest_segment = -1
        self._by_creation: list[IndexEntry] = []
        self._changed_segments: set[int] = set()
        self.overlays: dict[str, RunStatus] = {}
        self._names: dict[str, str] = {}

    def __len__(self) -> int:
        """How many workflow ids there are."""
        return len(self._entries)

    def __iter__(self) -> Iterator[IndexEntry]:
        """Iterate over all entries, oldest id first."""
        return iter(self._entries.values())

    def get(self, workflow_id: str) -> IndexEntry | None:
        """Look a workflow id up."""
        return self._entries.get(workflow_id)

    def put(self, entry: IndexEntry) -> None:
        """Take over what is now durable of a run."""
        entry.workflow = self._names.setdefault(entry.workflow, entry.workflow)
        known = self._entries.get(entry.id)
        if known is None:
            if len(self._slots) % SEGMENT_ENTRIES == 0:
                self._newest_segment += 1
            entry.segment = self._newest_segment
            self._slots.append(entry.id)
        else:
            entry.segment = known.segment
        self._changed_segments.add(entry.segment)
        if known is not None and known.created == entry.created:
            known.take_over(entry)
            return
        if known is not None:
            del self._by_creation[bisect.bisect_left(self._by_creation, _order(known), key=_order)]
        self._entries[entry.id] = entry
        if not self._by_creation or _order(self._by_creation[-1]) < _order(entry):
            self._by_creation.append(entry)
        else:
            bisect.insort(self._by_creation, entry, key=_order)

    def show_as(self, workflow_id: str, status: RunStatus | None) -> None:
        """Show a run as stalled or corrupt, or no longer: that is found out anew in each process, and not stored."""
        if status is None:
            self.overlays.pop(workflow_id, None)
        else:
            self.overlays[workflow_id] = status

    def status(self, entry: IndexEntry) -> RunStatus:
        """Give a run's status, with what is known to be wrong with it."""
        return self.overlays.get(entry.id, entry.status) if self.overlays else entry.status

    def count(self) -> Counter[str]:
        """Count the runs of each status."""
        return Counter(self.status(entry).value for entry in self._entries.values())

    def page(
        self, matches: Callable[[IndexEntry, RunStatus], bool], limit: int, cursor: str | None
    ) -> tuple[list[IndexEntry], str | None]:
        """Give runs that match, the newest first.

        Args:
            matches: Called with an entry and its status.
            limit: The most entries to give.
            cursor: Where the page before this one ended.

        Returns:
            The entries, and the cursor of the next page; None where this was the last.

        Raises:
            ValueError: The cursor is not one.
        """
        end = len(self._by_creation)
        if cursor is not None:
            end = bisect.bisect_left(self._by_creation, _place(cursor), key=_order)
        found: list[IndexEntry] = []
        for position in range(end - 1, -1, -1):
            entry = self._by_creation[position]
            if not matches(entry, self.status(entry)):
                continue
            if len(found) == limit:
                return found, _cursor(found[-1])
            found.append(entry)
        return found, None

    # What is stored of it.

    @property
    def segments(self) -> int:
        """How many segments it takes."""
        return -(-len(self._slots) // SEGMENT_ENTRIES)

    @property
    def changed_segments(self) -> int:
        """How many of them have changed since they were last taken to be written."""
        return len(self._changed_segments)

    def take_changed_segments(self) -> list[int]:
        """Give the numbers of the segments that have changed since the last time."""
        numbers, self._changed_segments = sorted(self._changed_segments), set()
        return numbers

    def give_back_segments(self, numbers: Iterable[int]) -> None:
        """Count segments as changed again: they were not written."""
        self._changed_segments.update(numbers)

    def segment(self, number: int) -> list[list[Any]]:
        """Give the entries of a segment as they are stored."""
        ids = self._slots[number * SEGMENT_ENTRIES : (number + 1) * SEGMENT_ENTRIES]
        return [self._entries[workflow_id].to_json() for workflow_id in ids]

    def load(self, entries: Iterable[list[Any]]) -> None:
        """Take over stored entries, a segment or the changes of a commit, in the order they were written."""
        for stored in entries:
            self.put(IndexEntry.from_json(stored))

    def loaded(self) -> None:
        """Note that all that was loaded so far is stored in segments."""
        self._changed_segments.clear()


def _order(entry: IndexEntry) -> tuple[int, str]:
    return entry.created, entry.id


def _cursor(entry: IndexEntry) -> str:
    return base64.urlsafe_b64encode(f"{entry.created}.{entry.id}".encode()).decode().rstrip("=")


def _place(cursor: str) -> tuple[int, str]:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        created, _, workflow_id = text.partition(".")
        return int(created), workflow_id
    except ValueError as error:
        message = f"cursor {cursor[:80]!r} is not one that a list has given"
        raise ValueError(message) from error
