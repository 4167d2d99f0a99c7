"""Async generators of workflow code: held by their run, never left to another loop.

Python hands each async generator, when it is first iterated, to a hook of the running thread, and asyncio's own hook
would let the engine's loop finish it: its ``finally`` blocks would run outside of the run. The hook here hands it to
the run whose loop is running, and to asyncio's hook where that is no run's.
"""

from __future__ import annotations

import sys
from asyncio.events import _get_running_loop
from typing import TYPE_CHECKING, Any

from holdfast.core.loop import WorkflowLoop

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    Hook = Callable[[AsyncGenerator[Any, Any]], object] | None

__all__ = ["hold_generators"]


class _FirstIteration:
    """The hook for generators that begin."""

    __slots__ = ("_otherwise",)

    def __init__(self, otherwise: Hook) -> None:
        self._otherwise = otherwise

    def __call__(self, generator: AsyncGenerator[Any, Any]) -> None:
        loop = _get_running_loop()
        if isinstance(loop, WorkflowLoop):
            loop.hold_generator(generator)
        elif self._otherwise is not None:
            self._otherwise(generator)


def hold_generators() -> None:
    """Set the hook in this thread, above the one that is there; it stays until the thread's loop puts back its own."""
    firstiter, _ = sys.get_asyncgen_hooks()
    if type(firstiter) is not _FirstIteration:
        sys.set_asyncgen_hooks(firstiter=_FirstIteration(firstiter))
