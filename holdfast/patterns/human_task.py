"""Asking a person: a request is published, and the run waits for the answer for as long as that takes."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from holdfast.core.context import CancelToken
from holdfast.core.durations import Duration, milliseconds
from holdfast.core.errors import PayloadError

if TYPE_CHECKING:
    from holdfast.core.context import WorkflowContext

__all__ = ["human_task"]

_REASONS: Final = {TimeoutError: "timed_out", CancelToken: "canceled", PayloadError: "answer_refused"}
"""How a record names what has ended the wait."""


async def human_task(  # noqa: PLR0913 - each is a named option of the public call
    ctx: WorkflowContext,
    topic: str,
    request: object,
    *,
    signal: str | None = None,
    timeout: Duration | None = None,
    type: Any = None,  # noqa: ANN401 - a type, or whatever else may be an annotation
) -> Any:  # noqa: ANN401 - of that type
    """Publish a request to a person, and wait for the answer.

    The record has ``task_id``, ``workflow_id``, ``run_id``, ``workflow``, ``signal``, ``request``, ``requested_at`` and
    ``deadline``; its key is the task id. Whoever answers sends that signal to that workflow id, with the answer as its
    payload. If the wait ends otherwise, a second record follows, with the same ids, ``"withdrawn": true`` and a
    ``reason``: ``timed_out``, ``canceled`` or ``answer_refused``.

    Args:
        ctx: The run.
        topic: Where to; one of those that the workflow declares, ``@workflow(outputs=[...])``.
        request: What is asked: any JSON value, dataclass or pydantic model.
        signal: The name of the signal to answer with. By default each task has one of its own, so that none takes
            another's answer. A name of yours is for one task at a time, and an answer that comes too late is there
            for the next one that waits for the name.
        timeout: The longest to wait.
        type: What to decode the answer as.

    Returns:
        The answer.

    Raises:
        TimeoutError: No answer came in time.
        PayloadError: The request has no JSON form, or the answer does not fit the type; it counts as taken.
        UndeclaredTopicError: The workflow does not declare the topic.
    """
    task_id = ctx.uuid4().hex
    name = f"human-task-{task_id}" if signal is None else signal
    now = ctx.now()
    due = None if timeout is None else now + timedelta(milliseconds=milliseconds(timeout, "timeout"))
    ids = {
        "task_id": task_id,
        "workflow_id": ctx.workflow_id,
        "run_id": ctx.run_id,
        "workflow": ctx.workflow_name,
        "signal": name,
    }
    times = {"requested_at": now.isoformat(), "deadline": due and due.isoformat()}
    ctx.output_json(topic, {**ids, "request": request, **times}, key=task_id)
    try:
        return await ctx.receive_signal(name, timeout=timeout, type=type)
    except (TimeoutError, CancelToken, PayloadError) as error:
        reason = next(word for kind, word in _REASONS.items() if isinstance(error, kind))
        ctx.output_json(topic, {**ids, "withdrawn": True, "reason": reason}, key=task_id)
        raise
