"""The vocabulary of a run: the events of its history, and the commands that its code issues.

Inputs are what happened to the run; each is applied to the instance, one at a time.
Commands are what its code asked for while an input was applied; they stand in the history right behind it.
Notes say what the engine did to the run as a whole. An input that came while the run was paused or stalled is
recorded as deferred; it is applied where a later `EVENT_APPLIED` names it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

__all__ = ["COMMANDS", "INPUTS", "OPEN", "OUTCOMES", "Command", "Event", "EventType", "RunStatus"]


class RunStatus(StrEnum):
    """Where a run stands. A terminal status is written once and never changes.

    Attributes:
        RUNNING: Its code goes on as soon as something happens to it.
        PAUSED: Somebody has paused it; what happens to it is recorded, and applied once it is resumed.
        STALLED: Its code cannot go on in this process: it does not fit the history, or is not registered. Not stored.
        CORRUPT: What is stored of it is damaged. Not stored.
        COMPLETED: Its code has returned.
        FAILED: Its code has raised.
        CANCELED: It was asked to cancel, and let that out.
        TERMINATED: It was ended from outside, without its clean-up.
        TIMED_OUT: It did not end within its time-out.
        CONTINUED_AS_NEW: Another run follows it under the same id.
        PURGED: It was deleted.
    """

    RUNNING = "running"
    PAUSED = "paused"
    STALLED = "stalled"
    CORRUPT = "corrupt"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    TERMINATED = "terminated"
    TIMED_OUT = "timed_out"
    CONTINUED_AS_NEW = "continued_as_new"
    PURGED = "purged"

    @property
    def is_open(self) -> bool:
        """Whether the run can still go on."""
        return self in OPEN


OPEN: Final = frozenset({RunStatus.RUNNING, RunStatus.PAUSED, RunStatus.STALLED, RunStatus.CORRUPT})


class EventType(StrEnum):
    """The name of an event. Those of inputs, commands and notes never overlap.

    Attributes:
        WORKFLOW_STARTED: Input: the run begins; the value is what it was started with.
        SIGNAL_RECEIVED: Input: a signal came; the id is the sender's, and so is ``traceparent`` in the details.
        ACTIVITY_COMPLETED: Input: an attempt has returned; the value is the result.
        ACTIVITY_FAILED: Input: the last attempt has failed; the value is the failure.
        TIMER_FIRED: Input: a timer is due.
        UPDATE_ACCEPTED: Input: an update passed its validator.
        CHILD_COMPLETED: Input: a child run has completed; the value is its result.
        CHILD_FAILED: Input: a child run did not complete, or could not start.
        SIGNAL_DELIVERED: Input: a signal to another run is durable there.
        SIGNAL_UNDELIVERED: Input: the run that a signal was for is not there, or has ended.
        REF_RESOLVED: Input: a ref, which is the name, has its answer; the value is what whoever awaits it gets.
        REF_REJECTED: Input: a ref is answered by an error; the value is what whoever awaits it raises.
        CANCEL_REQUESTED: Input: somebody asks the run to cancel.
        TIME_OUT_REACHED: Input: the run's own time-out is over.
        ACTIVITY_STARTED: Command: call an activity; the value is its input.
        ACTIVITY_CANCELLED: Command: stop waiting for an activity.
        TIMER_STARTED: Command: wait until ``due``, in milliseconds since 1970.
        TIMER_CANCELLED: Command: stop waiting for a timer.
        CHILD_STARTED: Command: start a child run.
        CHILD_CANCEL_REQUESTED: Command: ask a child run to cancel.
        SIGNAL_SENT: Command: send a signal to another run.
        OUTPUT_SENT: Command: publish the value to the topic that is its name, once this is durable.
        OUTPUT_REFUSED: Command: an output was asked for and not taken, for too many effects had not been carried out.
        THREAD_ENSURED: Command: start another run under a key, unless one is open under it.
        ATTRIBUTES_SET: Command: set the search attributes to the value.
        PATCH_MARKED: Command: take the new side of a change to the code.
        UPDATE_COMPLETED: Command: answer an update; the value is the reply.
        UPDATE_FAILED: Command: refuse an update, for its handler has raised.
        WORKFLOW_COMPLETED: Command: end with a result.
        WORKFLOW_FAILED: Command: end with a failure.
        WORKFLOW_CANCELED: Command: end, for the cancellation was let out.
        WORKFLOW_TIMED_OUT: Command: end, for the time-out was let out.
        WORKFLOW_CONTINUED_AS_NEW: Command: end, and begin the next run.
        WORKFLOW_TERMINATED: Note: ended from outside.
        WORKFLOW_PAUSED: Note: paused from here on.
        WORKFLOW_RESUMED: Note: no longer paused.
        WORKFLOW_RERUN: Note: what stands before it was taken over from an earlier run.
        EVENT_APPLIED: Note: an input that was recorded as deferred is applied here; ``seq`` is its number.
    """

    WORKFLOW_STARTED = "workflow_started"
    SIGNAL_RECEIVED = "signal_received"
    ACTIVITY_COMPLETED = "activity_completed"
    ACTIVITY_FAILED = "activity_failed"
    TIMER_FIRED = "timer_fired"
    UPDATE_ACCEPTED = "update_accepted"
    CHILD_COMPLETED = "child_completed"
    CHILD_FAILED = "child_failed"
    SIGNAL_DELIVERED = "signal_delivered"
    SIGNAL_UNDELIVERED = "signal_undelivered"
    REF_RESOLVED = "ref_resolved"
    REF_REJECTED = "ref_rejected"
    CANCEL_REQUESTED = "workflow_cancel_requested"
    TIME_OUT_REACHED = "workflow_time_out_reached"

    ACTIVITY_STARTED = "activity_started"
    ACTIVITY_CANCELLED = "activity_cancelled"
    TIMER_STARTED = "timer_started"
    TIMER_CANCELLED = "timer_cancelled"
    CHILD_STARTED = "child_started"
    CHILD_CANCEL_REQUESTED = "child_cancel_requested"
    SIGNAL_SENT = "signal_sent"
    OUTPUT_SENT = "output_sent"
    OUTPUT_REFUSED = "output_refused"
    THREAD_ENSURED = "thread_ensured"
    ATTRIBUTES_SET = "attributes_set"
    PATCH_MARKED = "patch_marked"
    UPDATE_COMPLETED = "update_completed"
    UPDATE_FAILED = "update_failed"
    WORKFLOW_COMPLETED = "workflow_completed"
    WORKFLOW_FAILED = "workflow_failed"
    WORKFLOW_CANCELED = "workflow_canceled"
    WORKFLOW_TIMED_OUT = "workflow_timed_out"
    WORKFLOW_CONTINUED_AS_NEW = "workflow_continued_as_new"

    WORKFLOW_TERMINATED = "workflow_terminated"
    WORKFLOW_PAUSED = "workflow_paused"
    WORKFLOW_RESUMED = "workflow_resumed"
    WORKFLOW_RERUN = "workflow_rerun"
    EVENT_APPLIED = "event_applied"


INPUTS: Final = frozenset(
    {
        EventType.WORKFLOW_STARTED,
        EventType.SIGNAL_RECEIVED,
        EventType.ACTIVITY_COMPLETED,
        EventType.ACTIVITY_FAILED,
        EventType.TIMER_FIRED,
        EventType.UPDATE_ACCEPTED,
        EventType.CHILD_COMPLETED,
        EventType.CHILD_FAILED,
        EventType.SIGNAL_DELIVERED,
        EventType.SIGNAL_UNDELIVERED,
        EventType.REF_RESOLVED,
        EventType.REF_REJECTED,
        EventType.CANCEL_REQUESTED,
        EventType.TIME_OUT_REACHED,
    }
)

OUTCOMES: Final[dict[EventType, RunStatus]] = {
    EventType.WORKFLOW_COMPLETED: RunStatus.COMPLETED,
    EventType.WORKFLOW_FAILED: RunStatus.FAILED,
    EventType.WORKFLOW_CANCELED: RunStatus.CANCELED,
    EventType.WORKFLOW_TIMED_OUT: RunStatus.TIMED_OUT,
    EventType.WORKFLOW_CONTINUED_AS_NEW: RunStatus.CONTINUED_AS_NEW,
    EventType.WORKFLOW_TERMINATED: RunStatus.TERMINATED,
}
"""The events that end a run, and the status each leaves it in."""

COMMANDS: Final = frozenset(
    {
        EventType.ACTIVITY_STARTED,
        EventType.ACTIVITY_CANCELLED,
        EventType.TIMER_STARTED,
        EventType.TIMER_CANCELLED,
        EventType.CHILD_STARTED,
        EventType.CHILD_CANCEL_REQUESTED,
        EventType.SIGNAL_SENT,
        EventType.OUTPUT_SENT,
        EventType.OUTPUT_REFUSED,
        EventType.THREAD_ENSURED,
        EventType.ATTRIBUTES_SET,
        EventType.PATCH_MARKED,
        EventType.UPDATE_COMPLETED,
        EventType.UPDATE_FAILED,
        EventType.WORKFLOW_COMPLETED,
        EventType.WORKFLOW_FAILED,
        EventType.WORKFLOW_CANCELED,
        EventType.WORKFLOW_TIMED_OUT,
        EventType.WORKFLOW_CONTINUED_AS_NEW,
    }
)


@dataclass(slots=True)
class Event:
    """One entry of a history.

    Nothing changes it once it is made; it is not frozen only because frozen ones are slow to make.

    Attributes:
        type: What happened.
        at: When, in milliseconds since 1970 in UTC; within a run never less than before.
        id: Of the command that it belongs to, or of the signal or update; may be empty.
        name: Of the activity, signal, update, workflow or patch; may be empty.
        value: The input, result or failure as JSON; empty where there is none.
        details: What else belongs to this type, as JSON values; None where nothing does.
    """

    type: EventType
    at: int
    id: str = ""
    name: str = ""
    value: bytes = b""
    details: dict[str, Any] | None = None

    @property
    def fingerprint(self) -> tuple[str, str, str]:
        """What must be the same on replay, if it is a command."""
        return (self.id, self.type, self.name)

    def words(self) -> str:
        """Name it by kind, name and id, for a person."""
        name = f" {self.name!r}" if self.name else ""
        identity = f" (id {self.id})" if self.id else ""
        return f"{self.type}{name}{identity}"


@dataclass(slots=True)
class Command(Event):
    """Something that workflow code asks for. Once it is recorded it is the event that records it.

    Attributes:
        options: What carrying it out needs besides, taken from the code and not recorded.
    """

    options: Any = None
