"""Who waits for something that will happen to a run, by what it is."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

__all__ = ["Waiters"]

K = TypeVar("K")
V = TypeVar("V")


class Waiters(Generic[K, V]):
    """Futures under a key; whoever gives up leaves nothing behind."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._futures: dict[K, list[asyncio.Future[V]]] = {}

    def add(self, key: K) -> asyncio.Future[V]:
        """Begin to wait."""
        future: asyncio.Future[V] = asyncio.get_running_loop().create_future()
        self._futures.setdefault(key, []).append(future)
        return future

    def leave(self, key: K, future: asyncio.Future[V]) -> None:
        """Wait no longer; harmless if it has happened."""
        waiting = self._futures.get(key)
        if waiting is not None and future in waiting:
            waiting.remove(future)
            if not waiting:
                del self._futures[key]

    def resolve(self, key: K, value: V) -> None:
        """Let everybody know who waits for it."""
        for future in self._futures.pop(key, ()):
            if not future.done():
                future.set_result(value)

    def dismiss(self, error: Exception) -> None:
        """Let everybody know that it will not happen here."""
        waiting, self._futures = self._futures, {}
        for future in (future for several in waiting.values() for future in several):
            if not future.done():
                future.set_exception(error)
