"""Lets runs go on once their change is durable: a few at a time where the store works meanwhile, else all at once."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.engine.runs.run import Run

__all__ = ["Settling"]

_SHARE: Final = 25


class Settling:
    """The runs of the last batch that have not gone on yet.

    Runs that move together would ask for their next commit together, and the store would rest until all of them have.
    So the first share of a batch goes on alone: its changes are on their way to the store while the rest does its part.
    A store within this process gains nothing, for it shares the interpreter with the runs.
    """

    def __init__(self, settle: Callable[[Run], None], *, overlap: bool) -> None:
        """Begin with none.

        Args:
            settle: Lets a run go on.
            overlap: The store works while runs do.
        """
        self._settle = settle
        self._share = _SHARE if overlap else sys.maxsize
        self._runs: deque[Run] = deque()
        self._wake = asyncio.Event()

    def __bool__(self) -> bool:
        """Whether any has not gone on yet."""
        return bool(self._runs)

    def add(self, run: Run) -> None:
        """Let a run go on soon."""
        self._runs.append(run)
        self._wake.set()

    def clear(self) -> None:
        """Let none of them go on: everything is dropped."""
        self._runs.clear()

    async def run(self) -> None:
        """Let runs go on until cancelled."""
        runs = self._runs
        while True:
            await self._wake.wait()
            for _ in range(min(self._share, len(runs))):
                self._settle(runs.popleft())
            if runs:
                await asyncio.sleep(0)
            else:
                self._wake.clear()
