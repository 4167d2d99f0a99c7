"""Tasks and futures that know where they come from: ids by lineage, hashes by order of creation."""

from __future__ import annotations

import asyncio
import inspect
import sys
from typing import TYPE_CHECKING, Any

from holdfast.core.ids import lineage_id

if TYPE_CHECKING:
    import random
    from collections.abc import Coroutine

    from holdfast.core.loop import WorkflowLoop

__all__ = ["Lineage", "WorkflowFuture", "WorkflowTask", "cancel_begun", "made_by_wait_for"]


class Lineage:
    """One line of execution: a task's place in the tree of tasks, and how much it has asked for so far.

    Attributes:
        id: The path from the main task; empty for the main task itself.
        random: The line's own stream of random numbers, once it has been asked for.
    """

    __slots__ = ("_count", "id", "random")

    def __init__(self, lineage: str) -> None:
        """Begin a line that has asked for nothing yet."""
        self.id = lineage
        self.random: random.Random | None = None
        self._count = 0

    def next_id(self) -> str:
        """Make the id of the next thing that this line asks for."""
        self._count += 1
        return lineage_id(self.id, self._count) if self.id else str(self._count)


class WorkflowFuture(asyncio.Future[Any]):
    """A future whose hash is its order of creation in its run, so that sets of futures iterate alike on replay."""

    __slots__ = ("_hash",)

    def __init__(self, loop: WorkflowLoop, order: int) -> None:
        """Take a place in the run's order."""
        self._hash = order
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        """Hash by order, not by address."""
        return self._hash


class WorkflowTask(asyncio.Task[Any]):
    """A task with a lineage, whose hash is its order of creation in its run."""

    __slots__ = ("_hash", "lineage")

    def __init__(
        self,
        coro: Coroutine[Any, Any, Any],
        loop: WorkflowLoop,
        order: int,
        lineage: Lineage,
        **options: Any,  # noqa: ANN401 - whatever this Python's Task takes
    ) -> None:
        """Schedule the first step of a coroutine."""
        self._hash = order
        self.lineage = lineage
        super().__init__(coro, loop=loop, **options)

    def __hash__(self) -> int:
        """Hash by order, not by address: TaskGroup and asyncio.wait iterate over sets of tasks."""
        return self._hash


def cancel_begun(work: asyncio.Future[Any], msg: Any = None) -> None:  # noqa: ANN401 - as asyncio has it
    """Cancel something at once, but a task that has not begun only after its first step.

    What is cancelled from two sides at once must see it once, before it has turned to its clean-up; so this may not
    wait a turn where it need not.
    """
    if isinstance(work, asyncio.Task) and not _has_begun(work):
        work.get_loop().call_soon(work.cancel, msg)
    else:
        work.cancel(msg)


def _has_begun(task: asyncio.Task[Any]) -> bool:
    coro = task.get_coro()
    if inspect.isgenerator(coro):  # what Python 3.11 makes of an awaitable that is no coroutine
        return inspect.getgeneratorstate(coro) != inspect.GEN_CREATED
    return inspect.getcoroutinestate(coro) != inspect.CORO_CREATED  # type: ignore[arg-type]  # tasks are made of nothing else


_WAIT_FOR = asyncio.wait_for.__code__
_MAKERS = frozenset(
    function.__code__
    for function in (asyncio.ensure_future, getattr(asyncio.tasks, "_ensure_future", None))
    if function is not None
)


def made_by_wait_for() -> bool:
    """Say whether `asyncio.wait_for` is making this task for the coroutine it was given.

    Python 3.11 always wraps that coroutine into a task, later versions do so only where no time is left. Such a task
    goes on in the lineage of its maker, so that a history recorded by one version replays on the other.
    """
    frame = sys._getframe(2)  # noqa: SLF001 - the one way to tell who asked
    while frame.f_code in _MAKERS and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_code is _WAIT_FOR
