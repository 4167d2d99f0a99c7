"""Which messages are held and which are dead, by number: told in the records of commits, like the index.

A store need not be able to list keys, so a process that takes over learns from the journal which documents there are.
A number is never used twice: what a former owner still deletes late is never what the present one has written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

__all__ = ["Letters", "Told", "merged"]

_REMEMBERED: Final = 1_000

Told = Mapping[str, Any]
"""What a commit's record tells of letters: numbers ``held``, ``released``, ``dead`` (with digests), ``dropped``."""


class Letters:
    """The numbers of the letters of a partition.

    Attributes:
        held: Those that are held.
        last_held: The highest number that a held letter ever had.
        last_dead: The highest number that a dead letter ever had: there were so many.
        digests: Which messages the newest dead letters are of, by number, so that none is buried twice.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.held: set[int] = set()
        self.last_held = 0
        self.last_dead = 0
        self.digests: dict[int, str] = {}

    def hold(self) -> int:
        """Give a letter that is about to be held its number."""
        self.last_held += 1
        self.held.add(self.last_held)
        return self.last_held

    def bury(self, digest: str) -> int:
        """Give a letter that is dead its number."""
        self.last_dead += 1
        self._remember(self.last_dead, digest)
        return self.last_dead

    def _remember(self, number: int, digest: str) -> None:
        self.digests[number] = digest
        while len(self.digests) > _REMEMBERED:
            del self.digests[next(iter(self.digests))]

    def take_over(self, told: Told) -> None:
        """Learn what the record of a commit, or a checkpoint, tells."""
        for number in told.get("held", ()):
            self.held.add(number)
            self.last_held = max(self.last_held, number)
        self.held.difference_update(told.get("released", ()))
        for number, digest in told.get("dead", ()):
            self._remember(number, digest)
            self.last_dead = max(self.last_dead, number)
        self.forget(told.get("dropped", ()))

    def forget(self, dropped: Iterable[int]) -> None:
        """Let messages be buried again whose letters were dropped."""
        for number in dropped:
            self.digests.pop(number, None)

    def to_json(self) -> dict[str, Any]:
        """Give what a checkpoint tells: all of it."""
        last = {"last_held": self.last_held, "last_dead": self.last_dead}
        return {"held": sorted(self.held), "dead": list(self.digests.items()), **last}

    def load(self, stored: Mapping[str, Any]) -> None:
        """Take over what a checkpoint tells."""
        self.take_over(stored)
        self.last_held = max(self.last_held, stored.get("last_held", 0))
        self.last_dead = max(self.last_dead, stored.get("last_dead", 0))


def merged(tales: Iterable[Told]) -> dict[str, list[Any]]:
    """Put together what the chores of one batch tell."""
    found: dict[str, list[Any]] = {}
    for told in tales:
        for name, entries in told.items():
            found.setdefault(name, []).extend(entries)
    return found
