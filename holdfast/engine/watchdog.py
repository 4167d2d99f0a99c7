"""Noticing workflow code that does not give the engine its thread back."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import logging

__all__ = ["Watchdog"]

_LOOK_SECONDS: Final = 0.5
_WARN_SECONDS: Final = 2.0
_DEAD_SECONDS: Final = 30.0


class Watchdog:
    """Watches the turns of runs from a thread of its own, and logs the stack of one that takes over 2 seconds.

    A plain attribute tells it what goes on, so that watching costs a turn next to nothing.
    """

    def __init__(self, log: logging.Logger) -> None:
        """Watch nothing yet."""
        self._log = log
        self._turn: tuple[float, str] | None = None
        self._told: tuple[float, str] | None = None
        self._watched = threading.get_ident()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Watch the thread that calls this."""
        self._watched = threading.get_ident()
        threading.Thread(target=self._watch, name="holdfast-watchdog", daemon=True).start()

    def turn(self, workflow_id: str) -> None:
        """Note that a run's turn begins."""
        self._turn = (time.monotonic(), workflow_id)

    def rest(self) -> None:
        """Note that no run has its turn."""
        self._turn = None

    @property
    def is_stuck(self) -> bool:
        """Whether one turn has taken over 30 seconds: the process should be restarted."""
        turn = self._turn
        return turn is not None and time.monotonic() - turn[0] > _DEAD_SECONDS

    def _watch(self) -> None:
        while not self._stopped.wait(_LOOK_SECONDS):
            turn = self._turn
            if turn is not None and turn is not self._told and time.monotonic() - turn[0] > _WARN_SECONDS:
                self._told = turn
                frame = sys._current_frames().get(self._watched)  # noqa: SLF001 - how threads look at each other
                stack = "".join(traceback.format_stack(frame)) if frame is not None else "(no stack)"
                self._log.warning("workflow %r has not yielded for %.0f s:\n%s", turn[1], _WARN_SECONDS, stack)

    def stop(self) -> None:
        """Stop watching."""
        self._stopped.set()
