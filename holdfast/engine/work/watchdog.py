"""Noticing whoever does not give the engine its thread back: a workflow, an activity, or the program around it."""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import logging

__all__ = ["Watchdog"]

_LOOK_SECONDS: Final = 0.5
_WARN_LOOKS: Final = 4
_DEAD_LOOKS: Final = 60


class Watchdog:
    """Asks the engine's loop twice a second, from a thread of its own, for a sign, and logs the stack that gives none.

    It counts looks and not seconds: a process that was suspended has looked at nothing meanwhile.

    Attributes:
        whose: The workflow whose turn it is; empty between turns. A plain attribute, so that a turn costs nothing more.
    """

    def __init__(self, log: logging.Logger, look_seconds: float = _LOOK_SECONDS) -> None:
        """Watch nothing yet."""
        self.whose = ""
        self._log = log
        self._look_seconds = look_seconds
        self._asked = 0
        self._answered = 0
        self._stopped = threading.Event()

    def start(self) -> None:
        """Watch the running loop, which is that of the thread that calls this."""
        watched = (asyncio.get_running_loop(), threading.get_ident())
        threading.Thread(target=self._watch, args=watched, name="holdfast-watchdog", daemon=True).start()

    @property
    def is_stuck(self) -> bool:
        """Whether the loop has given no sign for over 30 seconds: the process should be restarted."""
        return self._asked - self._answered > _DEAD_LOOKS

    def _watch(self, loop: asyncio.AbstractEventLoop, thread: int) -> None:
        while not self._stopped.wait(self._look_seconds):
            if self._asked - self._answered == _WARN_LOOKS:
                self._warn(thread)
            self._asked += 1
            try:
                loop.call_soon_threadsafe(self._answer, self._asked)
            except RuntimeError:
                return  # the loop is closed: there is nothing to watch any more

    def _answer(self, number: int) -> None:
        self._answered = number

    def _warn(self, thread: int) -> None:
        frame = sys._current_frames().get(thread)  # noqa: SLF001 - how threads look at each other
        stack = "".join(traceback.format_stack(frame)) if frame is not None else "(no stack)"
        seconds = _WARN_LOOKS * self._look_seconds
        whose = self.whose
        if whose:
            words = "workflow %r has not yielded for %g s:\n%s"
            self._log.warning(words, whose, seconds, stack, extra={"workflow_id": whose})
        else:
            self._log.warning("the engine's thread has been held for %g s, by an activity?\n%s", seconds, stack)

    def stop(self) -> None:
        """Stop watching."""
        self._stopped.set()
