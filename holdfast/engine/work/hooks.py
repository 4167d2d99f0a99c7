"""Lifecycle callbacks: what users may hang on the events of runs."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import logging

__all__ = ["Hook", "HookCaller", "Hooks", "compose_hooks", "raised_by"]

Hook = Callable[[str, Any], Awaitable[None] | None]
"""Called as ``hook(workflow_id, payload)``, plain or async."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """Callbacks for the events of runs, each called after the event is durable.

    Calls of one run come in the order of its history, each once unless the process ends first. A hook that raises is
    logged and breaks nothing.

    Attributes:
        on_workflow_start: The payload is the input.
        on_workflow_complete: The payload is the result.
        on_workflow_fail: The payload is a `FailureInfo`; cancelled, terminated and timed-out runs count.
        on_activity_start: The payload names ``activity_id``, ``name``, ``attempt`` and ``input``.
        on_activity_complete: The payload names ``activity_id``, ``name`` and ``result``.
        on_signal: The payload names ``name``, ``payload`` and ``id``.
        on_retry: The payload names ``activity_id``, ``name``, the next ``attempt`` and the ``failure``.
    """

    on_workflow_start: Hook | None = None
    on_workflow_complete: Hook | None = None
    on_workflow_fail: Hook | None = None
    on_activity_start: Hook | None = None
    on_activity_complete: Hook | None = None
    on_signal: Hook | None = None
    on_retry: Hook | None = None


def compose_hooks(*several: Hooks) -> Hooks:
    """Make one set of hooks that calls several, in the order given."""
    return Hooks(**{field.name: _in_turn([getattr(hooks, field.name) for hooks in several]) for field in fields(Hooks)})


def _in_turn(hooks: list[Hook | None]) -> Hook | None:
    called = [hook for hook in hooks if hook is not None]
    if not called:
        return None

    async def call_all(workflow_id: str, payload: Any) -> None:  # noqa: ANN401 - any payload
        errors = [await raised_by(hook, workflow_id, payload) for hook in called]
        for error in errors:
            if error is not None:
                raise error

    return call_all


async def raised_by(hook: Hook, workflow_id: str, payload: Any) -> BaseException | None:  # noqa: ANN401 - any payload
    """Call a hook, and give what it raises: a hook is anybody's code, and breaks nothing."""
    try:
        answer = hook(workflow_id, payload)
        if inspect.isawaitable(answer):
            await answer
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return error
    except BaseException as error:  # noqa: BLE001 - even an exit is only this hook's
        return error
    return None


class HookCaller:
    """Calls hooks one after the other, beside the engine."""

    def __init__(self, hooks: Hooks | None, log: logging.Logger) -> None:
        """Call nothing yet."""
        self._several = [hooks] if hooks is not None else []
        self._log = log
        self._queue: deque[tuple[str, str, Any]] = deque()
        self._task: asyncio.Task[None] | None = None

    @property
    def wanted(self) -> bool:
        """Whether anybody wants to hear."""
        return bool(self._several)

    def add(self, hooks: Hooks) -> None:
        """Call these hooks too."""
        self._several.append(hooks)

    def tell(self, kind: str, workflow_id: str, payload: Any) -> None:  # noqa: ANN401 - any payload
        """Queue a call."""
        self._queue.append((kind, workflow_id, payload))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while self._queue:
            kind, workflow_id, payload = self._queue.popleft()
            for hooks in self._several:
                await self._call(getattr(hooks, kind), kind, workflow_id, payload)
        self._task = None

    async def _call(self, hook: Hook | None, kind: str, workflow_id: str, payload: Any) -> None:  # noqa: ANN401
        if hook is None:
            return
        error = await raised_by(hook, workflow_id, payload)
        if error is not None:
            fields = {"workflow_id": workflow_id, "hook": kind}
            self._log.error("hook %s raised for workflow %r", kind, workflow_id, exc_info=error, extra=fields)

    async def flush(self) -> None:
        """Wait until every call that is queued has been made."""
        while self._task is not None:
            await asyncio.shield(self._task)
