"""The system's time, made fit for an engine: it never runs backwards."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.ports import Timer

__all__ = ["SystemClock"]

_LONGEST_WAIT_SECONDS: Final = 30.0


class SystemClock:
    """Wall-clock time that follows forward jumps and ignores backward ones.

    It is the monotonic clock plus the largest distance that the wall clock has had from it. So a timer never fires
    twice because the wall clock was set back, and one that came due while the machine slept fires when it wakes.
    """

    __slots__ = ("_ahead",)

    def __init__(self) -> None:
        """Start from what the wall clock says."""
        self._ahead = time.time() - time.monotonic()

    def now(self) -> int:
        """Milliseconds since 1970 in UTC; never less than it said before."""
        monotonic = time.monotonic()
        self._ahead = max(self._ahead, time.time() - monotonic)
        return int((monotonic + self._ahead) * 1000)

    def call_at(self, when_ms: int, callback: Callable[[], None]) -> Timer:
        """Call back once `now` has reached an instant, on the loop that is running now."""
        return _Wait(self, when_ms, callback)


class _Wait:
    """One call that is due later. It looks at the clock again every half minute, for that may have jumped."""

    __slots__ = ("_callback", "_clock", "_handle", "_when_ms")

    def __init__(self, clock: SystemClock, when_ms: int, callback: Callable[[], None]) -> None:
        self._clock = clock
        self._when_ms = when_ms
        self._callback = callback
        self._handle: asyncio.TimerHandle
        self._look()

    def _look(self) -> None:
        left = (self._when_ms - self._clock.now()) / 1000
        loop = asyncio.get_running_loop()
        if left > 0:
            self._handle = loop.call_later(min(left, _LONGEST_WAIT_SECONDS), self._look)
        else:
            self._handle = loop.call_later(0, self._callback)

    def cancel(self) -> None:
        self._handle.cancel()
