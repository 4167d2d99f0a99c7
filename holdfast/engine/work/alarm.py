"""When each run has to be woken: a heap of instants, and one timer of the clock for the earliest."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.ports import Clock, Timer

__all__ = ["Alarm"]


class Alarm:
    """Calls back with a workflow id when an instant that was set for it has come.

    An instant that no longer holds is not looked for: the call comes, and whoever is called finds nothing due.
    """

    __slots__ = ("_call", "_clock", "_heap", "_timer", "_timer_at")

    def __init__(self, clock: Clock, call: Callable[[str], None]) -> None:
        """Set nothing yet."""
        self._clock = clock
        self._call = call
        self._heap: list[tuple[int, str]] = []
        self._timer: Timer | None = None
        self._timer_at = 0

    def set(self, due: int, workflow_id: str) -> None:
        """Wake a run at an instant, in milliseconds since 1970."""
        heapq.heappush(self._heap, (due, workflow_id))
        if self._timer is None or due < self._timer_at:
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._heap:
            self._timer_at = self._heap[0][0]
            self._timer = self._clock.call_at(self._timer_at, self._ring)

    def _ring(self) -> None:
        self._timer = None
        now = self._clock.now()
        while self._heap and self._heap[0][0] <= now:
            self._call(heapq.heappop(self._heap)[1])
        self._arm()

    def stop(self) -> None:
        """Call no more."""
        self._heap.clear()
        self._arm()
