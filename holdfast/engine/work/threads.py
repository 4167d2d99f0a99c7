"""Threads for activities that are plain functions."""

from __future__ import annotations

import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ThreadPool"]


class ThreadPool:
    """Daemon threads that are started as they are needed and never keep the process from ending.

    A function that was given up on goes on in its thread until it returns; `replace_one` makes room for another
    thread meanwhile, so that stuck functions do not starve the rest.
    """

    def __init__(self, size: int, name: str) -> None:
        """Start no thread yet."""
        self._size = size
        self._name = name
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._waiting = 0

    def submit(self, function: Callable[[], None]) -> None:
        """Call a function, which must not raise, on a thread as soon as one is free."""
        self._queue.put(function)
        with self._lock:
            if self._queue.qsize() > self._waiting and self._threads < self._size:
                self._threads += 1
                threading.Thread(target=self._work, name=f"{self._name}-{self._threads}", daemon=True).start()

    def replace_one(self) -> None:
        """Allow one thread more: one of those that are there is stuck."""
        with self._lock:
            self._size += 1

    def regain_one(self) -> None:
        """Take back that allowance: the stuck thread is free again."""
        with self._lock:
            self._size -= 1

    def _work(self) -> None:
        while True:
            with self._lock:
                self._waiting += 1
            function = self._queue.get()
            with self._lock:
                self._waiting -= 1
            if function is None:
                return
            function()
            with self._lock:
                if self._threads > self._size:
                    self._threads -= 1
                    return

    def stop(self) -> None:
        """Let the threads end once they are free."""
        with self._lock:
            threads = self._threads
        for _ in range(threads):
            self._queue.put(None)
