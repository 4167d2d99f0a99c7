"""Taking a run's coroutines apart when it leaves memory, so that nothing of it runs later or elsewhere.

A coroutine that is dropped half-way would be finished by the garbage collector: its ``finally`` blocks would run at
some later moment, under whatever loop is running then. So each one is ended here, under its own loop, in the order
of creation. Whatever it tries on the way (an await, a call of the context) raises `Unwind`; what it asks for is lost.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Coroutine, Iterable

    from holdfast.core.lineage import WorkflowTask
    from holdfast.core.loop import WorkflowLoop

__all__ = ["Unwind", "unwind"]

_MAX_AWAITS = 100

_kept: list[object] = []
"""Coroutines that would not end: kept for good, for the garbage collector would resume them."""


class Unwind(BaseException):
    """Raised through workflow code to take it apart; not an `Exception`, so that it passes ordinary handlers."""


def unwind(
    loop: WorkflowLoop, tasks: Iterable[WorkflowTask], generators: Iterable[AsyncGenerator[Any, Any]]
) -> list[str]:
    """End what is left of a run.

    Returns:
        The names of tasks that caught `Unwind` over and over and could not be ended.
    """
    stubborn = []
    for task in tasks:
        if not task.done() and not _end_task(loop, task):
            stubborn.append(task.get_name())
            _kept.append(task)
        task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001 - ended here, not forgotten
        _forget_error(task)
    for generator in generators:
        _end_awaitable(generator.aclose())
    return stubborn


def _end_task(loop: WorkflowLoop, task: WorkflowTask) -> bool:
    coroutine: Coroutine[Any, Any, Any] = task.get_coro()  # type: ignore[assignment]  # our tasks are made of nothing else
    asyncio.tasks._enter_task(loop, task)  # noqa: SLF001 - its finally blocks may ask for the current task
    try:
        for _ in range(_MAX_AWAITS):
            coroutine.throw(Unwind())
    except BaseException:  # noqa: BLE001 - whatever it ends with, it has ended
        return True
    finally:
        asyncio.tasks._leave_task(loop, task)  # noqa: SLF001
    return False


def _end_awaitable(closing: Coroutine[Any, Any, None]) -> None:
    try:
        closing.send(None)
        for _ in range(_MAX_AWAITS):
            closing.throw(Unwind())
    except BaseException:  # noqa: BLE001 - whatever it ends with, it has ended
        return
    _kept.append(closing)


def _forget_error(task: WorkflowTask) -> None:
    if task.done() and not task.cancelled():
        task.exception()
