"""What a recorded command lets the engine do: one small function per type, in a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from holdfast.core.history import Event, EventType
from holdfast.engine.records.outbox import OutgoingKind
from holdfast.engine.runs.effects import Abandon, Replied

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.engine.runs.run import Run

__all__ = ["CARRY_OUT"]


def _start_activity(run: Run, event: Event) -> None:
    run.dispatch(run.pending[event.id])


def _cancel_activity(run: Run, event: Event) -> None:
    run.effects.append(Abandon(run.head.run_id, event.id))


def _send(kind: OutgoingKind) -> Callable[[Run, Event], None]:
    def send(run: Run, event: Event) -> None:
        run.send(kind, (event.details or {})["workflow_id"], event.id)

    return send


def _ensure(run: Run, event: Event) -> None:
    run.send(OutgoingKind.ENSURE, (event.details or {})["workflow_id"], event.id, event)


def _publish(run: Run, event: Event) -> None:
    run.send(OutgoingKind.OUTPUT, "", event.id, event)


def _reply(run: Run, event: Event) -> None:
    run.effects.append(Replied(event.id, event))


CARRY_OUT: Final[dict[EventType, Callable[[Run, Event], None]]] = {
    EventType.ACTIVITY_STARTED: _start_activity,
    EventType.ACTIVITY_CANCELLED: _cancel_activity,
    EventType.CHILD_STARTED: _send(OutgoingKind.START),
    EventType.CHILD_CANCEL_REQUESTED: _send(OutgoingKind.CANCEL),
    EventType.SIGNAL_SENT: _send(OutgoingKind.SIGNAL),
    EventType.THREAD_ENSURED: _ensure,
    EventType.OUTPUT_SENT: _publish,
    EventType.UPDATE_COMPLETED: _reply,
    EventType.UPDATE_FAILED: _reply,
}
