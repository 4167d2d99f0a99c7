"""What the engine keeps in memory about a run follows from its events, live as after a restart: a table by type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from holdfast.core.activities import ActivityOptions
from holdfast.core.codec import decode_json
from holdfast.core.history import Command, Event, EventType
from holdfast.engine.records.pending import PendingActivity

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.engine.runs.run import Run

__all__ = ["TRACK"]

_DEFAULT_OPTIONS = ActivityOptions()


def _activity_started(run: Run, event: Event) -> None:
    options = event.options if type(event) is Command else _DEFAULT_OPTIONS
    run.pending[event.id] = PendingActivity(event.id, event.name, event.value, options, event.at)
    if options.schedule_to_close_ms is not None:
        run.has_deadlines = True


def _activity_closed(run: Run, event: Event) -> None:
    run.pending.pop(event.id, None)


def _child_started(run: Run, event: Event) -> None:
    details = event.details or {}
    run.children[details["workflow_id"]] = details["parent_close"]


def _child_closed(run: Run, event: Event) -> None:
    child = (event.details or {})["workflow_id"]
    run.children.pop(child, None)
    run.head.children.pop(child, None)


def _attributes_set(run: Run, event: Event) -> None:
    run.head.attributes = decode_json(event.value)


def _update_accepted(run: Run, event: Event) -> None:
    run.open_updates[event.id] = event


def _update_closed(run: Run, event: Event) -> None:
    run.open_updates.pop(event.id, None)
    run.replies[event.id] = event


def _cancel_requested(run: Run, _event: Event) -> None:
    run.cancel_requested = True


def _time_out_reached(run: Run, _event: Event) -> None:
    run.cancel_requested = run.timed_out = True


TRACK: Final[dict[EventType, Callable[[Run, Event], None]]] = {
    EventType.ACTIVITY_STARTED: _activity_started,
    EventType.ACTIVITY_COMPLETED: _activity_closed,
    EventType.ACTIVITY_FAILED: _activity_closed,
    EventType.ACTIVITY_CANCELLED: _activity_closed,
    EventType.CHILD_STARTED: _child_started,
    EventType.CHILD_COMPLETED: _child_closed,
    EventType.CHILD_FAILED: _child_closed,
    EventType.ATTRIBUTES_SET: _attributes_set,
    EventType.UPDATE_ACCEPTED: _update_accepted,
    EventType.UPDATE_COMPLETED: _update_closed,
    EventType.UPDATE_FAILED: _update_closed,
    EventType.CANCEL_REQUESTED: _cancel_requested,
    EventType.TIME_OUT_REACHED: _time_out_reached,
}
