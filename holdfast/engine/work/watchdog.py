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

    Attributes:
        turns: How many turns have begun.
        whose: The workflow whose turn it is; empty between turns. Plain attributes, so that a turn costs nothing more.
    """

    def __init__(self, log: logging.Logger) -> None:
        """Watch nothing yet."""
        self.turns = 0
        self.whose = ""
        self._log = log
        self._seen = 0
        self._since = 0.0
        self._watched = threading.get_ident()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Watch the thread that calls this."""
        self._watched = threading.get_ident()
        threading.Thread(target=self._watch, name="holdfast-watchdog", daemon=True).start()

    @property
    def is_stuck(self) -> bool:
        """Whether one turn has taken over 30 seconds: the process should be restarted."""
        return self._lasts() > _DEAD_SECONDS

    def _lasts(self) -> float:
        """Say for how long the turn that is on has been seen."""
        return time.monotonic() - self._since if self.whose and self.turns == self._seen else 0.0

    def _watch(self) -> None:
        told = 0
        while not self._stopped.wait(_LOOK_SECONDS):
            if self.turns != self._seen:
                self._seen, self._since = self.turns, time.monotonic()
            elif self._lasts() > _WARN_SECONDS and told != self._seen:
                told = self._seen
                frame = sys._current_frames().get(self._watched)  # noqa: SLF001 - how threads look at each other
                stack = "".join(traceback.format_stack(frame)) if frame is not None else "(no stack)"
                self._log.warning("workflow %r has not yielded for %.0f s:\n%s", self.whose, _WARN_SECONDS, stack)

    def stop(self) -> None:
        """Stop watching."""
        self._stopped.set()
