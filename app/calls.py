"""Calls into the engine, from any thread, that end in time whatever becomes of the engine and its store."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any, Final, TypeVar

from app.errors import NoAnswerError, NotReadyError

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["Calls"]

T = TypeVar("T")

_ENDING: Final = "the service is shutting down"


class Calls:
    """The calls that are under way on the engine's loop.

    `EngineThread.run` waits for as long as the engine takes. A request cannot: its store may be away for an hour, or
    the loop may have ended under it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Call into a loop that runs on another thread."""
        self._loop = loop
        self._lock = threading.Lock()
        self._under_way: set[Future[Any]] = set()
        self._waiting: set[Future[Any]] = set()
        self._idle = threading.Condition(self._lock)

    def run(self, call: Coroutine[Any, Any, T], seconds: float, *, waits: bool = False) -> T:
        """Run a coroutine on the loop, and wait for what it gives.

        Args:
            call: One of the engine's calls, or several of them in a coroutine.
            seconds: The longest to wait.
            waits: It waits for something to happen to a run, so shutting down does not wait for it.

        Raises:
            NoAnswerError: The time is over: the call is cancelled, and whether it took effect is unknown.
            NotReadyError: The service shuts down.
        """
        try:
            future = asyncio.run_coroutine_threadsafe(call, self._loop)
        except RuntimeError as error:  # the loop has ended
            call.close()
            raise NotReadyError(_ENDING) from error
        group = self._waiting if waits else self._under_way
        with self._lock:
            group.add(future)
        try:
            return future.result(seconds)
        except CancelledError as error:
            raise NotReadyError(_ENDING) from error
        except TimeoutError as error:
            if future.done() and not future.cancelled():
                raise  # the call's own
            future.cancel()
            message = f"the engine has not answered within {seconds:g} s; whether the call took effect is unknown"
            raise NoAnswerError(message) from error
        finally:
            with self._idle:
                group.discard(future)
                self._idle.notify_all()

    def spawn(self, call: Coroutine[Any, Any, T]) -> Future[T]:
        """Begin something on the loop that nobody waits for here."""
        return asyncio.run_coroutine_threadsafe(call, self._loop)

    def end_waits(self) -> None:
        """Cancel the calls that wait for something to happen to a run."""
        self._cancel(self._waiting)

    def finish(self, seconds: float) -> None:
        """Let the other calls end for a while, then cancel those that have not."""
        with self._idle:
            self._idle.wait_for(lambda: not self._under_way, seconds)
        self._cancel(self._under_way)

    def _cancel(self, group: set[Future[Any]]) -> None:
        with self._lock:
            futures = list(group)
        for future in futures:
            future.cancel()
