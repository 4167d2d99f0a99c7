"""Behaviour around an executor, in layers: what a layer is, and the one that calls hooks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, cast

from holdfast.core.errors import WorkflowFailedError
from holdfast.engine.work.hooks import raised_by

if TYPE_CHECKING:
    from holdfast.engine.handle import WorkflowHandle
    from holdfast.engine.work.hooks import Hook, Hooks
    from holdfast.executors.registry import Executor

__all__ = ["Layer", "Middleware", "apply_middleware", "with_hooks"]

Middleware = Callable[["Executor"], "Executor"]
"""Wraps an executor."""

_log = logging.getLogger("holdfast")


def apply_middleware(executor: Executor, *layers: Middleware) -> Executor:
    """Wrap an executor in layers; the first one named is the outermost."""
    for layer in reversed(layers):
        executor = layer(executor)
    return executor


class Layer:
    """Passes everything on to the executor that it wraps."""

    def __init__(self, inner: Executor) -> None:
        self._inner = inner

    async def start(self, workflow: Any, input: object = None, **options: Any) -> WorkflowHandle:  # noqa: ANN401
        """Start a run, with whatever options the executor has."""
        return await self._inner.start(workflow, input, **options)

    async def signal(self, workflow_id: str, name: str, payload: object = None, **options: Any) -> None:  # noqa: ANN401
        """Send a signal, with whatever options the executor has."""
        await self._inner.signal(workflow_id, name, payload, **options)

    async def query(self, workflow_id: str, name: str, input: object = None) -> Any:  # noqa: ANN401
        """Ask a run for a view of itself."""
        return await self._inner.query(workflow_id, name, input)

    async def cancel(self, workflow_id: str, *, reason: str = "") -> None:
        """Ask a run to cancel."""
        await self._inner.cancel(workflow_id, reason=reason)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the inner executor can do besides
        return getattr(self._inner, name)


class _Observable(Protocol):
    def observe(self, hooks: Hooks) -> None: ...


def with_hooks(hooks: Hooks) -> Middleware:
    """Call hooks on what an executor does.

    An executor that can be observed (the engine) calls all of them itself. Of any other only the calls that pass
    through here are seen: starts and how they end, and signals.
    """

    def wrap(inner: Executor) -> Executor:
        if callable(getattr(inner, "observe", None)):
            cast("_Observable", inner).observe(hooks)
            return inner
        return _Hooked(inner, hooks)

    return wrap


class _Hooked(Layer):
    def __init__(self, inner: Executor, hooks: Hooks) -> None:
        super().__init__(inner)
        self._hooks = hooks
        self._watching: set[asyncio.Task[None]] = set()

    async def start(self, workflow: Any, input: object = None, **options: Any) -> WorkflowHandle:  # noqa: ANN401
        handle = await super().start(workflow, input, **options)
        await _call(self._hooks.on_workflow_start, handle.id, input)
        task = asyncio.get_running_loop().create_task(self._watch(handle))
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)
        return handle

    async def _watch(self, handle: WorkflowHandle) -> None:
        try:
            result = await handle.result()
        except WorkflowFailedError as error:
            await _call(self._hooks.on_workflow_fail, handle.id, error.failure)
        else:
            await _call(self._hooks.on_workflow_complete, handle.id, result)

    async def signal(self, workflow_id: str, name: str, payload: object = None, **options: Any) -> None:  # noqa: ANN401
        await super().signal(workflow_id, name, payload, **options)
        told = {"name": name, "payload": payload, "id": options.get("id") or ""}
        await _call(self._hooks.on_signal, workflow_id, told)


async def _call(hook: Hook | None, workflow_id: str, payload: Any) -> None:  # noqa: ANN401 - any payload
    error = await raised_by(hook, workflow_id, payload) if hook is not None else None
    if error is not None:
        fields = {"workflow_id": workflow_id}
        _log.error("a hook raised for workflow %r", workflow_id, exc_info=error, extra=fields)
