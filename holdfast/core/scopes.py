"""Scopes: work that can be cancelled together, wherever it waits."""

# ruff: noqa: SLF001 - scopes look into scopes

from __future__ import annotations

import asyncio
import weakref
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

from holdfast.core.lineage import cancel_begun

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

    from holdfast.core.instance import Instance

__all__ = ["CancellationScope", "outside_scopes"]

T = TypeVar("T")

_ACTIVE: ContextVar[CancellationScope | None] = ContextVar("holdfast_scope", default=None)


@contextmanager
def outside_scopes() -> Iterator[None]:
    """Let what is started here belong to no scope."""
    active = _ACTIVE.get()
    _ACTIVE.set(None)
    try:
        yield
    finally:
        _ACTIVE.set(active)


class _Body(NamedTuple):
    """A task that is inside a scope, and the scope that was active before it entered."""

    task: asyncio.Task[Any]
    outer: CancellationScope | None


class CancellationScope:
    """Work that can be cancelled together: the bodies of ``async with scope``, and what `start` starts.

    A scope that is made inside another belongs to it, and is cancelled with it. Several tasks may share one. What is
    cancelled raises `CancelToken` where it waits, once; what it awaits after that, to clean up, only another
    cancellation interrupts: that of a scope around this one, or of whatever awaits it.
    """

    __slots__ = ("__weakref__", "_bodies", "_inner", "_is_carried_out", "_loop", "_reached", "_started", "is_cancelled")

    def __init__(self, run: Instance) -> None:
        """Make a scope without work, inside the one that is active."""
        self.is_cancelled = False
        self._is_carried_out = False
        self._loop = run.loop
        self._inner: list[weakref.ref[CancellationScope]] = []
        self._bodies: list[_Body] = []
        self._started: dict[asyncio.Future[Any], None] = {}
        self._reached: dict[asyncio.Task[Any], int] = {}
        outer = _ACTIVE.get()
        if outer is not None:
            outer._hold(self)

    def start(self, work: Awaitable[T]) -> asyncio.Future[T]:
        """Start something in the scope, beside whoever calls this; in a cancelled scope it is cancelled at once."""
        started = asyncio.ensure_future(work)
        self._started[started] = None
        started.add_done_callback(lambda done: self._started.pop(done, None))
        if self._is_carried_out:
            cancel_begun(started)
        return started

    def cancel(self) -> None:
        """Cancel the work of this scope and of those inside it, the inner ones first. A second call changes nothing.

        Each piece of work takes its first step before it is cancelled.
        """
        if not self.is_cancelled:
            self.is_cancelled = True
            self._loop.call_soon(self._carry_out)

    async def unwound(self) -> None:
        """Wait until what was started in the scope, and in those inside it, has ended, the caller itself excepted."""
        caller = asyncio.current_task()
        while work := [started for scope in self._family() for started in scope._started if started is not caller]:
            await asyncio.wait(work)

    async def __aenter__(self) -> Self:
        """Enter the scope: what this task waits for until it leaves is cancelled with it."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - this is a coroutine
        self._bodies.append(_Body(task, _ACTIVE.get()))
        _ACTIVE.set(self)
        if self._is_carried_out:
            self._loop.call_soon(self._reach, task)
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Leave the scope."""
        task = asyncio.current_task()
        left = next((body for body in reversed(self._bodies) if body.task is task), None)
        if left is None:
            return  # an async generator that is closed by another task than the one that began it
        self._bodies.remove(left)
        _ACTIVE.set(left.outer)
        for _ in range(self._reached.pop(left.task, 0)):
            left.task.uncancel()

    def _hold(self, inner: CancellationScope) -> None:
        """Take a scope in, for as long as it lives: once nobody has it any more, there is nothing in it to cancel."""
        self._inner.append(weakref.ref(inner))
        if len(self._inner) & 31 == 0:
            self._inner = [held for held in self._inner if held() is not None]

    def _family(self) -> Iterator[CancellationScope]:
        """Iterate over the scopes inside this one, from the inside out, and itself."""
        for held in list(self._inner):
            inner = held()
            if inner is not None:
                yield from inner._family()
        yield self

    def _carry_out(self) -> None:
        """Cancel all at once, so that what is in here twice, and waits for what is in here too, sees it once."""
        reached: set[asyncio.Future[Any]] = set()
        for scope in list(self._family()):
            scope.is_cancelled = scope._is_carried_out = True
            for started in [work for work in scope._started if work not in reached]:
                reached.add(started)
                cancel_begun(started)
            for task in [body.task for body in scope._bodies if body.task not in reached]:
                reached.add(task)
                scope._reach(task)

    def _reach(self, task: asyncio.Task[Any]) -> None:
        """Cancel a task for as long as it is inside, if it still is."""
        if any(body.task is task for body in self._bodies):
            self._reached[task] = self._reached.get(task, 0) + 1
            task.cancel()
