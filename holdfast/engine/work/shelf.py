"""Messages that are held, as far as they have to be known without reading them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterator, Mapping

    from holdfast.engine.messages.routing import Message

__all__ = ["HELD_MS", "Held", "Shelf"]

HELD_MS: Final = 60 * 60 * 1000
"""How long a message is held."""
_MOST: Final = 10_000
_MOST_BYTES: Final = 64 * 1024 * 1024


@dataclass(slots=True, eq=False)
class Held:
    """A message that waits.

    Attributes:
        number: Of its letter.
        topic: Where it came from.
        workflow_id: The run that it is for.
        signal: The name of the signal.
        id: By which a duplicate is known; may be empty.
        source: Who sent it.
        sequence: Its number among those of its source for that run; 0 where it has none.
        at: When it came, in milliseconds since 1970.
        size: How many bytes it has.
        reason: What it waited for when it came, for a person.
        stored: Done once it is durable.
        is_going: It is on its way to its run, or to the dead letters.
    """

    number: int
    topic: str
    workflow_id: str
    signal: str
    id: str
    source: str
    sequence: int
    at: int
    size: int
    reason: str
    stored: asyncio.Future[None]
    is_going: bool = False

    @property
    def place(self) -> tuple[str, int, int]:
        """Where it stands among those of its run."""
        return self.source if self.sequence else "", self.sequence, self.number

    @property
    def expires(self) -> int:
        """When it is given up, in milliseconds since 1970."""
        return self.at + HELD_MS


class Shelf:
    """All messages that are held, in the order they came; bounded, so that a stray sender does not fill the memory."""

    def __init__(self, awaited: dict[str, set[int]]) -> None:
        """Begin empty.

        Args:
            awaited: Is kept up to date: the numbers by workflow id.
        """
        self._awaited = awaited
        self._held: dict[int, Held] = {}
        self._numbered: dict[str, dict[tuple[str, int], Held]] = {}
        self._by_id: dict[tuple[str, str], Held] = {}
        self._bytes = 0

    def __len__(self) -> int:
        """How many there are."""
        return len(self._held)

    def __iter__(self) -> Iterator[Held]:
        """Iterate over them, oldest first."""
        return iter(list(self._held.values()))

    def has_room(self, size: int) -> bool:
        """Whether a message of so many bytes may be held besides."""
        return len(self._held) < _MOST and self._bytes + size <= _MOST_BYTES

    def find(self, message: Message) -> Held | None:
        """Find a message that is held already: by the id that duplicates share, or by its number if it has no id."""
        return self._by_id.get((message.workflow_id, message.id)) if message.id else self.at_number_of(message)

    def at_number_of(self, message: Message) -> Held | None:
        """Find what is held under the number of a message: itself, or another."""
        return self._numbered.get(message.workflow_id, {}).get((message.source, message.sequence))

    def add(self, held: Held) -> None:
        """Hold a message."""
        self._held[held.number] = held
        self._bytes += held.size
        self._awaited.setdefault(held.workflow_id, set()).add(held.number)
        if held.sequence:
            self._numbered.setdefault(held.workflow_id, {})[held.source, held.sequence] = held
        if held.id:
            self._by_id[held.workflow_id, held.id] = held

    def remove(self, held: Held) -> None:
        """Let go of one; harmless if it is gone."""
        if self._held.pop(held.number, None) is None:
            return
        self._bytes -= held.size
        if held.id:
            self._by_id.pop((held.workflow_id, held.id), None)
        numbers = self._awaited[held.workflow_id]
        numbers.discard(held.number)
        self._numbered.get(held.workflow_id, {}).pop((held.source, held.sequence), None)
        if not numbers:
            del self._awaited[held.workflow_id]
            self._numbered.pop(held.workflow_id, None)

    def of(self, workflow_id: str) -> list[Held]:
        """Give those for a run that are not on their way, in the order in which they are to be applied."""
        found = [self._held[number] for number in self._awaited.get(workflow_id, ())]
        return sorted((held for held in found if not held.is_going), key=lambda held: held.place)

    def next_of(self, workflow_id: str, applied: Mapping[str, int]) -> list[Held]:
        """Give those for a run, as `of` does, that can go: not numbered, or next after what has been applied.

        Args:
            workflow_id: The run.
            applied: The number up to which the messages of each source have been applied.
        """
        numbered = self._numbered.get(workflow_id, {})
        found = []
        if len(numbered) < len(self._awaited.get(workflow_id, ())):
            found = [held for held in self.of(workflow_id) if not held.sequence]
        for source in dict.fromkeys(source for source, _ in numbered):
            sequence = applied.get(source, 0) + 1
            while (held := numbered.get((source, sequence))) is not None:
                if not held.is_going:
                    found.append(held)
                sequence += 1
        return found

    def expired(self, now: int) -> list[Held]:
        """Give those that have waited long enough; they came in order, so the first that has not ends the search."""
        found = []
        for held in self._held.values():
            if held.expires > now:
                break
            if not held.is_going:
                found.append(held)
        return found

    @property
    def next_expiry(self) -> int:
        """When the next one has waited long enough, in milliseconds since 1970; 0 for never."""
        return next((held.expires for held in self._held.values() if not held.is_going), 0)
