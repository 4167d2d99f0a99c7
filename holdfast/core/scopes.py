"""Scopes: work that can be cancelled together, wherever it waits."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator

    from holdfast.core.instance import Instance

__all__ = ["CancellationScope"]

T = TypeVar("T")

_ACTIVE: ContextVar[CancellationScope | None] = ContextVar("holdfast_scope", default=None)


class CancellationScope:
    """Work that can be cancelled together: the bodies of ``async with scope``, and what `start` starts.

    A scope that is made inside another belongs to it, and is cancelled with it. Several tasks may share one. What is
    cancelled raises `CancelToken` where it waits, once; what it awaits after that, to clean up, is not cancelled.
    """

    __slots__ = ("_bodies", "_inner", "_loop", "_reached", "_started", "is_cancelled")

    def __init__(self, run: Instance) -> None:
        """Make a scope without work, inside the one that is active."""
        self.is_cancelled = False
        self._loop = run.loop
        self._inner: list[CancellationScope] = []
        self._bodies: list[tuple[asyncio.Task[Any], Token[CancellationScope | None]]] = []
        self._started: dict[asyncio.Future[Any], None] = {}
        self._reached: set[asyncio.Task[Any]] = set()
        outer = _ACTIVE.get()
        if outer is not None:
            outer._inner.append(self)  # noqa: SLF001 - of its own kind

    def start(self, work: Awaitable[T]) -> asyncio.Future[T]:
        """Start something in the scope, beside whoever calls this; in a cancelled scope it is cancelled at once."""
        started = asyncio.ensure_future(work)
        self._started[started] = None
        started.add_done_callback(lambda done: self._started.pop(done, None))
        if self.is_cancelled:
            self._loop.call_soon(started.cancel)
        return started

    def cancel(self) -> None:
        """Cancel the work of this scope and of those inside it, the inner ones first. A second call changes nothing.

        Work that was started before takes its first step before it is cancelled.
        """
        if not self.is_cancelled:
            self.is_cancelled = True
            self._loop.call_soon(self._cancel_work)

    async def unwound(self) -> None:
        """Wait until what was started in the scope, and in those inside it, has ended, the caller itself excepted."""
        caller = asyncio.current_task()
        while work := [started for scope in self._family() for started in scope._started if started is not caller]:  # noqa: SLF001
            await asyncio.wait(work)

    async def __aenter__(self) -> Self:
        """Enter the scope: what this task waits for until it leaves is cancelled with it."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - this is a coroutine
        self._bodies.append((task, _ACTIVE.set(self)))
        if self.is_cancelled:
            self._reach(task)
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Leave the scope."""
        task = asyncio.current_task()
        position = max(index for index, (body, _) in enumerate(self._bodies) if body is task)
        _, token = self._bodies.pop(position)
        _ACTIVE.reset(token)
        if task in self._reached:
            self._reached.discard(task)
            task.uncancel()

    def _family(self) -> Iterator[CancellationScope]:
        """Iterate over the scopes inside this one, from the inside out, and itself."""
        for scope in self._inner:
            yield from scope._family()  # noqa: SLF001 - of its own kind
        yield self

    def _cancel_work(self) -> None:
        cancelled: set[asyncio.Future[Any]] = set()
        for scope in self._family():
            scope.is_cancelled = True
            for started in [work for work in scope._started if work not in cancelled]:  # noqa: SLF001
                cancelled.add(started)
                started.cancel()
            for task in [body for body, _ in scope._bodies if body not in cancelled]:  # noqa: SLF001
                cancelled.add(task)
                scope._reach(task)  # noqa: SLF001

    def _reach(self, task: asyncio.Task[Any]) -> None:
        self._reached.add(task)
        task.cancel()
