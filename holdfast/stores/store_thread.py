"""A thread that carries out one job after another, for drivers that block."""

from __future__ import annotations

import asyncio
import contextlib
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["StoreThread"]

_T = TypeVar("_T")
_Args = TypeVarTuple("_Args")


class StoreThread:
    """Runs jobs in the order in which they were put, and does upkeep in between.

    A pool of one thread does the same, at 0.1 ms more for each call. A job runs to its end even if whoever awaits it
    is cancelled.

    Args:
        name: The name of the thread.
        tend: Called after each job, and again once no job came for as long as it said. Answers in how many seconds it
            wants to be called if no job comes before; with None it waits for the next job. It must not raise.
    """

    def __init__(self, name: str, tend: Callable[[], float | None]) -> None:
        """Start the thread, as a daemon: a store that is never closed must not keep its process alive."""
        self._tend = tend
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(self, job: Callable[[*_Args], _T], *args: *_Args) -> asyncio.Future[_T]:
        """Put a job behind those before it; its answer or its exception comes to the loop that is running now."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[_T] = loop.create_future()

        def run() -> None:
            settle: Callable[[Any], None] = future.set_result
            outcome: object
            try:
                outcome = job(*args)
            except BaseException as error:  # noqa: BLE001 - it is raised where the job is awaited
                settle, outcome = future.set_exception, error
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to tell
                loop.call_soon_threadsafe(_settle, future, settle, outcome)

        self._jobs.put(run)
        return future

    def stop(self) -> None:
        """End the thread after the jobs that were put so far; do not wait for it."""
        self._jobs.put(None)

    def _run(self) -> None:
        pause: float | None = None
        while True:
            try:
                job = self._jobs.get(timeout=pause)
            except Empty:
                pass
            else:
                if job is None:
                    return
                job()
            pause = self._tend()


def _settle(future: asyncio.Future[Any], settle: Callable[[Any], None], outcome: object) -> None:
    if not future.done():  # it is where the waiting task was cancelled
        settle(outcome)
