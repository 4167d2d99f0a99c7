"""Writing a history: events go to the tail of the head; full tails and large values become documents of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from orjson import Fragment, dumps

from holdfast.core.codec import fitted
from holdfast.core.history import OUTCOMES, EventType
from holdfast.engine.records.documents import INLINE_BYTES, blob_key, page_key, seal, seal_value
from holdfast.ports import ABSENT, Write

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.core.history import Event

__all__ = ["VALUE_IN_HEAD", "Journal"]

_PAGE_EVENTS: Final = 32
_PAGE_BYTES: Final = 8 * 1024

VALUE_IN_HEAD: Final = frozenset({EventType.WORKFLOW_STARTED, *OUTCOMES})
"""The events whose value stands in the run's head."""


class Journal:
    """The history of one run, as it is written.

    Attributes:
        run_id: Whose it is.
        events: How many events it has.
        pages: How many sealed pages it has.
        blobs: How many values stand in documents of their own.
        tail: The events since the last page, each as JSON.
        writes: Pages and blobs that are not stored yet.
        last_at: The time of the last event, in milliseconds since 1970.
        kept: All events, where somebody wants to replay them; otherwise None.
    """

    __slots__ = ("_tail_bytes", "blobs", "events", "kept", "last_at", "pages", "run_id", "tail", "writes")

    def __init__(self, run_id: str, *, keep: bool = False) -> None:
        """Begin an empty history."""
        self.run_id = run_id
        self.events = 0
        self.pages = 0
        self.blobs = 0
        self.tail: list[bytes] = []
        self.writes: list[Write] = []
        self.last_at = 0
        self.kept: list[Event] | None = [] if keep else None
        self._tail_bytes = 0

    def append(self, event: Event) -> int:
        """Add an event, and give its number, from 1.

        The head of the run holds what it was started with and what it ended in; those are not written twice.
        """
        kind, at, value = event.type, event.at, event.value
        self.events = seq = self.events + 1
        self.last_at = at
        if self.kept is not None:
            self.kept.append(event)
        record: dict[str, Any] = {"seq": seq, "type": kind._value_, "at": at, "id": event.id, "name": event.name}
        if value and kind not in VALUE_IN_HEAD:
            if len(value) > INLINE_BYTES:
                record["blob"] = self.set_aside(value)
            else:
                record["value"] = Fragment(value)
        if event.details:
            record["details"] = event.details
        raw = fitted(dumps(record))
        tail = self.tail
        tail.append(raw)
        self._tail_bytes = size = self._tail_bytes + len(raw)
        if size >= _PAGE_BYTES or len(tail) >= _PAGE_EVENTS:
            self._seal_page()
        return seq

    def set_aside(self, value: bytes) -> str:
        """Keep a large value in a document of its own, and give its key."""
        key = blob_key(self.run_id, self.blobs)
        self.blobs += 1
        self.writes.append(Write(key, seal_value(value), ABSENT))
        return key

    def _seal_page(self) -> None:
        page = seal(b'{"events":[' + b",".join(self.tail) + b"]")
        self.writes.append(Write(page_key(self.run_id, self.pages), page, ABSENT))
        self.pages += 1
        self.tail.clear()
        self._tail_bytes = 0

    def take_writes(self) -> list[Write]:
        """Give the documents that are to be stored with or before the head, and forget them."""
        writes, self.writes = self.writes, []
        return writes

    def resume(self, stored: dict[str, Any], history: Sequence[Event]) -> None:
        """Go on where a stored history ends.

        Args:
            stored: The head, read as JSON.
            history: All events of the run.
        """
        self.events, self.pages, self.blobs = stored["events"], stored["pages"], stored["blobs"]
        self.tail = [fitted(dumps(record)) for record in stored["tail"]]
        self._tail_bytes = sum(map(len, self.tail))
        self.last_at = stored["updated"]
        if self.kept is not None:
            self.kept.extend(history)
