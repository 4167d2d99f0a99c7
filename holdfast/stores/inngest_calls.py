"""Blocking calls on a bounded number of threads, and one verdict over many of them."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from holdfast.core.errors import StoreError, StoreUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["Calls"]

_T = TypeVar("_T")
_R = TypeVar("_R")


class Calls:
    """Makes calls on threads of its own, as many at a time as there are threads."""

    def __init__(self, threads: int) -> None:
        """Set a limit; the threads begin with the first calls."""
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="holdfast-inngest")
        self._abandoned: set[asyncio.Future[Any]] = set()
        self._closed = False

    async def each(self, call: Callable[[_T], _R], items: Sequence[_T]) -> list[_R]:
        """Make one call for each item, and answer in their order.

        Once one has failed no more are begun, and all that are under way are waited for: nothing of a call that has
        raised can happen later. Calls whose caller was cancelled are waited for by the next one, for the same reason.

        Raises:
            StoreUnavailableError: One call raised it; it bears the longest ``retry_after``.
            StoreError: One call raised it, and none that; or `close` was called meanwhile.
        """
        while self._abandoned:
            await asyncio.wait(self._abandoned)
        if not items:
            return []
        if self._closed:
            msg = "the store was closed before all calls had been made"
            raise StoreError(msg)
        work = _Work(call, items)
        loop = asyncio.get_running_loop()
        workers = min(len(items), self._threads)
        done = asyncio.gather(*(loop.run_in_executor(self._pool, work.go_on) for _ in range(workers)))
        try:
            await asyncio.shield(done)
        except asyncio.CancelledError:
            work.stop()
            self._abandoned.add(done)
            done.add_done_callback(self._abandoned.discard)
            raise
        return work.results()

    async def close(self) -> None:
        """Wait for the calls that are under way, and end the threads."""
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(None, self._pool.shutdown)


class _Work(Generic[_T, _R]):
    """Calls that several threads share out among them."""

    def __init__(self, call: Callable[[_T], _R], items: Sequence[_T]) -> None:
        self._call = call
        self._left: Iterator[tuple[int, _T]] = iter(list(enumerate(items)))  # `next` on it is atomic
        self._results: list[_R | None] = [None] * len(items)
        self._errors: list[Exception] = []
        self._stopped = False

    def go_on(self) -> None:
        """Make calls until there are none left, or one has failed; on a thread."""
        while not self._stopped:
            place, item = next(self._left, (-1, None))
            if item is None:
                return
            try:
                self._results[place] = self._call(item)
            except Exception as error:  # noqa: BLE001 - it is raised where the calls are awaited
                self._errors.append(error)
                self._stopped = True

    def stop(self) -> None:
        self._stopped = True

    def results(self) -> list[Any]:
        """Give what the calls returned, or raise what speaks for all that have failed."""
        errors = self._errors
        for error in errors:
            if not isinstance(error, StoreError):
                raise error
        away = [error for error in errors if isinstance(error, StoreUnavailableError)]
        if len(away) > 1:
            pauses = [error.retry_after for error in away if error.retry_after is not None]
            more = f"{away[0]} (and {len(away) - 1} more)"
            raise StoreUnavailableError(more, retry_after=max(pauses, default=None)) from away[0]
        if errors:
            raise (away or errors)[0]
        return self._results
