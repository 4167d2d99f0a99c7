"""A buffer that events fill and tasks of a run empty: signals of one name, or awaitables as they complete."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Mailbox"]

T = TypeVar("T")


class Mailbox(Generic[T]):
    """Items in the order they came, until somebody takes them.

    Plain lists hold them: most mailboxes are empty most of the time, and an empty deque takes ten times the memory.
    """

    __slots__ = ("_items", "_takers")

    def __init__(self) -> None:
        """Begin empty."""
        self._items: list[T] = []
        self._takers: list[asyncio.Future[None]] = []

    def put(self, item: T) -> None:
        """Add an item, and wake the task that has waited longest."""
        self._items.append(item)
        self._wake_one()

    async def take(self) -> T:
        """Take the oldest item, waiting for one if there is none."""
        while not self._items:
            taker = asyncio.get_running_loop().create_future()
            self._takers.append(taker)
            try:
                await taker
            except BaseException:
                self._give_up(taker)
                raise
        return self._items.pop(0)

    def _give_up(self, taker: asyncio.Future[None]) -> None:
        """Leave the queue; a wake-up that came for a cancelled taker goes to the next, so that no item lies idle."""
        woken = taker.done() and not taker.cancelled()
        taker.cancel()
        if taker in self._takers:
            self._takers.remove(taker)
        if woken and self._items:
            self._wake_one()

    def _wake_one(self) -> None:
        while self._takers:
            taker = self._takers.pop(0)
            if not taker.done():
                taker.set_result(None)
                return

    def __iter__(self) -> Iterator[T]:
        """Iterate over what nobody has taken yet."""
        return iter(self._items)

    @property
    def awaited(self) -> bool:
        """Whether a task waits for an item now."""
        return any(not taker.done() for taker in self._takers)
