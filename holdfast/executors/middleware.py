"""Behaviour around an executor: hooks and traces, in layers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, cast

from holdfast.core.errors import UnsupportedOperationError, WorkflowFailedError
from holdfast.engine.work.hooks import raised_by

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from holdfast.engine.handle import WorkflowHandle
    from holdfast.engine.work.hooks import Hook, Hooks
    from holdfast.executors.registry import Executor

__all__ = ["Middleware", "apply_middleware", "with_hooks", "with_tracing"]

Middleware = Callable[["Executor"], "Executor"]
"""Wraps an executor."""

_log = logging.getLogger("holdfast")


def apply_middleware(executor: Executor, *layers: Middleware) -> Executor:
    """Wrap an executor in layers; the first one named is the outermost."""
    for layer in reversed(layers):
        executor = layer(executor)
    return executor


class _Layer:
    """Passes everything on to the executor that it wraps."""

    def __init__(self, inner: Executor) -> None:
        self._inner = inner

    async def start(self, workflow: Any, input: object = None, **options: Any) -> WorkflowHandle:  # noqa: ANN401
        return await self._inner.start(workflow, input, **options)

    async def signal(self, workflow_id: str, name: str, payload: object = None, *, id: str | None = None) -> None:
        await self._inner.signal(workflow_id, name, payload, id=id)

    async def query(self, workflow_id: str, name: str, input: object = None) -> Any:  # noqa: ANN401
        return await self._inner.query(workflow_id, name, input)

    async def cancel(self, workflow_id: str, *, reason: str = "") -> None:
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


class _Hooked(_Layer):
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

    async def signal(self, workflow_id: str, name: str, payload: object = None, *, id: str | None = None) -> None:
        await super().signal(workflow_id, name, payload, id=id)
        await _call(self._hooks.on_signal, workflow_id, {"name": name, "payload": payload, "id": id or ""})


async def _call(hook: Hook | None, workflow_id: str, payload: Any) -> None:  # noqa: ANN401 - any payload
    error = await raised_by(hook, workflow_id, payload) if hook is not None else None
    if error is not None:
        _log.error("a hook raised for workflow %r", workflow_id, exc_info=error)


class Tracer(Protocol):
    """What traces need of OpenTelemetry's tracer."""

    def start_as_current_span(self, name: str, *, attributes: Any = None) -> AbstractContextManager[Any]:  # noqa: ANN401
        """Begin a span that ends with the block."""
        ...


def with_tracing(tracer: Tracer | None = None) -> Middleware:
    """Put a span around each call of an executor.

    Args:
        tracer: An OpenTelemetry tracer; by default the one that the process has set up.

    Raises:
        UnsupportedOperationError: None is given, and OpenTelemetry is not installed.
    """
    if tracer is None:
        try:
            tracer = cast("Tracer", import_module("opentelemetry.trace").get_tracer("holdfast"))
        except ImportError as error:
            message = "tracing needs OpenTelemetry: pip install 'holdfast[otel]'"
            raise UnsupportedOperationError(message) from error
    chosen = tracer
    return lambda inner: _Traced(inner, chosen)


class _Traced(_Layer):
    def __init__(self, inner: Executor, tracer: Tracer) -> None:
        super().__init__(inner)
        self._tracer = tracer

    def _span(self, call: str, workflow_id: str, **more: str) -> AbstractContextManager[Any]:
        attributes = {"holdfast.workflow_id": workflow_id, **{f"holdfast.{key}": value for key, value in more.items()}}
        return self._tracer.start_as_current_span(f"holdfast {call}", attributes=attributes)

    async def start(self, workflow: Any, input: object = None, **options: Any) -> WorkflowHandle:  # noqa: ANN401
        name = workflow if isinstance(workflow, str) else getattr(workflow, "__name__", repr(workflow))
        with self._span("start", str(options.get("id") or ""), workflow=name):
            return await super().start(workflow, input, **options)

    async def signal(self, workflow_id: str, name: str, payload: object = None, *, id: str | None = None) -> None:
        with self._span("signal", workflow_id, signal=name):
            await super().signal(workflow_id, name, payload, id=id)

    async def query(self, workflow_id: str, name: str, input: object = None) -> Any:  # noqa: ANN401
        with self._span("query", workflow_id, query=name):
            return await super().query(workflow_id, name, input)

    async def cancel(self, workflow_id: str, *, reason: str = "") -> None:
        with self._span("cancel", workflow_id):
            await super().cancel(workflow_id, reason=reason)
