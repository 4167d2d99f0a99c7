"""What each kind of input does to a run: one small function per event type, in a table."""

from __future__ import annotations

import inspect
from asyncio import CancelledError
from typing import TYPE_CHECKING, Final

from holdfast.core.codec import decode_json, encode
from holdfast.core.context import WorkflowContext
from holdfast.core.errors import ActivityError, ChildWorkflowError, PayloadError, WorkflowNotFoundError
from holdfast.core.failure import FailureInfo
from holdfast.core.history import Command, Event, EventType
from holdfast.core.lineage import Lineage
from holdfast.core.outcome import encode_failure
from holdfast.core.refs import Answer, refs_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.core.host import Waiting
    from holdfast.core.instance import Instance

__all__ = ["APPLY"]

_REF_REJECTED = EventType.REF_REJECTED


def _start(run: Instance, event: Event) -> None:
    definition = run.definition
    run.attributes = dict((event.details or {}).get("attributes", {}))
    try:
        arguments = definition.decode_input(event.value)
    except PayloadError as error:
        run.failure = error
        return
    run.main = run.loop.begin(definition.function(WorkflowContext(run), *arguments), Lineage(""))  # type: ignore[arg-type]  # an async def


def _signal(run: Instance, event: Event) -> None:
    run.mailbox(event.name).put(event.value)


def _taken(run: Instance, event: Event) -> Waiting | None:
    """Give whoever waits for the answer to a command; a future that workflow code has cancelled waits no more."""
    waiting = run.waiting.pop(event.id, None)
    return None if waiting is None or waiting.future.done() else waiting


def _complete(run: Instance, event: Event) -> None:
    """Answer a command; an answer that nobody waits for any more is dropped."""
    waiting = _taken(run, event)
    if waiting is None:
        return
    try:
        value = waiting.decode(event.value)
    except PayloadError as error:
        waiting.future.set_exception(error)
    else:
        waiting.future.set_result(value)


def _reject(run: Instance, event: Event, error: Exception) -> None:
    waiting = _taken(run, event)
    if waiting is None:
        return
    waiting.future.set_exception(error)
    waiting.future.exception()  # counts as seen: a handle may be dropped without asking for its result


def _fail_activity(run: Instance, event: Event) -> None:
    cause = FailureInfo.from_json(decode_json(event.value))
    attempt = (event.details or {}).get("attempt", 1)
    message = f"activity {event.name!r} failed: {cause.message or cause.type}"
    _reject(run, event, ActivityError(message, activity=event.name, activity_id=event.id, attempt=attempt, cause=cause))


def _fail_child(run: Instance, event: Event) -> None:
    cause = FailureInfo.from_json(decode_json(event.value))
    child = (event.details or {}).get("workflow_id", "")
    message = f"child workflow {child!r} did not complete: {cause.reason}"
    _reject(run, event, ChildWorkflowError(message, workflow_id=child, cause=cause))


def _fail_signal(run: Instance, event: Event) -> None:
    cause = FailureInfo.from_json(decode_json(event.value))
    _reject(run, event, WorkflowNotFoundError(cause.message))


def _fire(run: Instance, event: Event) -> None:
    timer = run.timers.pop(event.id, None)
    if timer is not None:
        run.loop.fire(timer)


def _answer_ref(run: Instance, event: Event) -> None:
    refs_of(run).answer(event.name, Answer(event.value, event.type is _REF_REJECTED))


def _cancel(run: Instance, event: Event) -> None:
    if not run.cancel_requested and run.main is not None:
        run.cancel_requested = True
        run.cancel_reason = (event.details or {}).get("reason", "")
        run.main.cancel(msg=run.cancel_reason or None)


def _time_out(run: Instance, event: Event) -> None:
    run.timed_out = not run.cancel_requested
    _cancel(run, event)


def _accept_update(run: Instance, event: Event) -> None:
    run.updates += 1
    run.loop.begin(_carry_out(run, event), Lineage(f"u{run.updates}"))


async def _carry_out(run: Instance, event: Event) -> None:
    try:
        handler = run.handlers.update(event.name)
        answer = handler.function(*handler.arguments(event.value))
        if inspect.isawaitable(answer):
            answer = await answer
        raw = encode(answer, f"reply of update {event.name!r}", limit=run.host.payload_limit)
    except (Exception, CancelledError) as error:  # noqa: BLE001 - whatever the handler raises is its reply
        run.issue(Command(EventType.UPDATE_FAILED, run.loop.now_ms, event.id, event.name, encode_failure(error)))
    else:
        run.issue(Command(EventType.UPDATE_COMPLETED, run.loop.now_ms, event.id, event.name, raw))


APPLY: Final[dict[EventType, Callable[[Instance, Event], None]]] = {
    EventType.WORKFLOW_STARTED: _start,
    EventType.SIGNAL_RECEIVED: _signal,
    EventType.ACTIVITY_COMPLETED: _complete,
    EventType.ACTIVITY_FAILED: _fail_activity,
    EventType.TIMER_FIRED: _fire,
    EventType.UPDATE_ACCEPTED: _accept_update,
    EventType.CHILD_COMPLETED: _complete,
    EventType.CHILD_FAILED: _fail_child,
    EventType.SIGNAL_DELIVERED: _complete,
    EventType.SIGNAL_UNDELIVERED: _fail_signal,
    EventType.REF_RESOLVED: _answer_ref,
    EventType.REF_REJECTED: _answer_ref,
    EventType.CANCEL_REQUESTED: _cancel,
    EventType.TIME_OUT_REACHED: _time_out,
}
