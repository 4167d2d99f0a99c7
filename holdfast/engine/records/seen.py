"""The ids of what a workflow id has been told before, so that a duplicate is applied once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from holdfast.core.errors import PayloadError
from holdfast.engine.records.documents import seal_object, seen_key
from holdfast.ports import ABSENT, ANY, Write

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NOTHING_SEEN", "Seen"]

_RECENT: Final = 256
_SEALED_IDS: Final = 128
_WINDOW_IDS: Final = 10_000
_SOURCES: Final = 64
_WINDOW_MS: Final = 24 * 60 * 60 * 1000


class Seen:
    """A window of ids: the newest stand in the run's head, older ones in sealed lists, written once.

    The window is 10,000 ids and 24 hours; past either an id is forgotten with the list that it stands in.
    It goes over to the next run of the same workflow id.

    Attributes:
        in_use: There is anything to store.
        sequences: The number of the last message of each source whose messages are numbered.
        writes: Sealed lists that are to be stored or deleted.
    """

    __slots__ = ("_recent", "_sealed", "_sealed_ids", "_seals", "in_use", "sequences", "writes")

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self._recent: dict[str, int] = {}
        self._sealed: list[tuple[str, int]] = []
        self._sealed_ids: dict[str, set[str]] = {}
        self._seals = 0
        self.in_use = False
        self.sequences: dict[str, int] = {}
        self.writes: list[Write] = []

    def __contains__(self, message_id: str) -> bool:
        """Whether an id is in the window."""
        return message_id in self._recent or any(message_id in ids for ids in self._sealed_ids.values())

    def add(self, message_id: str, at: int, run_id: str) -> None:
        """Remember an id.

        Args:
            message_id: The id.
            at: When it came, in milliseconds since 1970.
            run_id: The run that is told, under whose name a list would be sealed.
        """
        self.in_use = True
        self._recent[message_id] = at
        if len(self._recent) > _RECENT:
            self._seal(seen_key(run_id, self._seals))
            self._seals += 1
        self._forget(at)

    def _seal(self, key: str) -> None:
        oldest = list(self._recent)[:_SEALED_IDS]
        newest_at = self._recent[oldest[-1]]
        for message_id in oldest:
            del self._recent[message_id]
        self._sealed.append((key, newest_at))
        self._sealed_ids[key] = set(oldest)
        self.writes.append(Write(key, seal_object({"ids": oldest}), ABSENT))

    def _forget(self, now: int) -> None:
        while self._sealed:
            key, newest_at = self._sealed[0]
            if len(self._sealed) * _SEALED_IDS <= _WINDOW_IDS and now - newest_at <= _WINDOW_MS:
                return
            del self._sealed[0]
            del self._sealed_ids[key]
            self.writes.append(Write(key, None, ANY))

    def advance(self, source: str, number: int) -> None:
        """Note that the messages of a source have been applied up to a number.

        Raises:
            PayloadError: Too many sources number their messages for one workflow id.
        """
        if source not in self.sequences and len(self.sequences) >= _SOURCES:
            message = f"{_SOURCES} sources number their messages for this workflow already: no more are taken"
            raise PayloadError(message)
        self.in_use = True
        self.sequences[source] = number

    def take_writes(self) -> list[Write]:
        """Give the sealed lists that are to be stored or deleted with the head, and forget them."""
        writes, self.writes = self.writes, []
        return writes

    def to_json(self) -> dict[str, Any]:
        """Give what stands in the head."""
        stored = {"recent": self._recent, "sealed": self._sealed, "seals": self._seals}
        return {**stored, "sequences": self.sequences} if self.sequences else stored

    @staticmethod
    def sealed_keys(stored: dict[str, Any] | None) -> list[str]:
        """Give the keys of the sealed lists that a head names."""
        return [key for key, _ in stored["sealed"]] if stored else []

    @classmethod
    def from_json(cls, stored: dict[str, Any] | None, lists: Mapping[str, dict[str, Any]]) -> Seen:
        """Read the window back.

        Args:
            stored: What stood in the head.
            lists: The sealed lists, by key.
        """
        if not stored:
            return NOTHING_SEEN
        seen = cls()
        seen.in_use = True
        seen._recent = dict(stored["recent"])
        seen._sealed = [(key, at) for key, at in stored["sealed"]]
        seen._seals = stored["seals"]
        seen.sequences = dict(stored.get("sequences", {}))
        seen._sealed_ids = {key: set(lists[key]["ids"]) for key, _ in seen._sealed}
        return seen


NOTHING_SEEN: Final = Seen()
"""What stands for the ids of a run that was told nothing under an id yet; nobody adds to it."""
