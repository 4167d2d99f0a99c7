"""A clock that can be moved forward."""

from __future__ import annotations

import heapq
import itertools
from typing import TYPE_CHECKING

from holdfast.engine.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.ports import Timer

__all__ = ["SkippingClock"]


class SkippingClock:
    """Real time plus whatever has been skipped. Whoever waits for an instant is called as soon as it is reached."""

    def __init__(self) -> None:
        """Start from the real time, with nothing skipped."""
        self._real = SystemClock()
        self._skipped_ms = 0
        self._order = itertools.count()
        self._waits: list[tuple[int, int, _Wait]] = []

    def now(self) -> int:
        """Milliseconds since 1970 in UTC; never less than it said before."""
        return self._real.now() + self._skipped_ms

    def call_at(self, when_ms: int, callback: Callable[[], None]) -> Timer:
        """Call back once `now` has reached an instant, by itself or by skipping."""
        wait = _Wait(callback)
        wait.real = self._real.call_at(when_ms - self._skipped_ms, wait.ring)
        heapq.heappush(self._waits, (when_ms, next(self._order), wait))
        return wait

    def next_due(self) -> int | None:
        """Say when the next call is due; None where nobody waits."""
        while self._waits and self._waits[0][2].over:
            heapq.heappop(self._waits)
        return self._waits[0][0] if self._waits else None

    def skip_to(self, when_ms: int) -> None:
        """Move to an instant, and call whoever waited for it; going back is not possible."""
        self._skipped_ms += max(0, when_ms - self.now())
        while (due := self.next_due()) is not None and due <= when_ms:
            heapq.heappop(self._waits)[2].ring()


class _Wait:
    """One call that is due later."""

    def __init__(self, callback: Callable[[], None]) -> None:
        self.over = False
        self.real: Timer | None = None
        self._callback = callback

    def ring(self) -> None:
        if not self.over:
            self.cancel()
            self._callback()

    def cancel(self) -> None:
        self.over = True
        if self.real is not None:
            self.real.cancel()
