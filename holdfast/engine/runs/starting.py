"""How a run comes to be under a workflow id: by a start, by a rerun, and how it goes for good: by a purge."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple

from holdfast.core.errors import RequestConflictError, WorkflowAlreadyStartedError, WorkflowOpenError
from holdfast.core.failure import FailureInfo
from holdfast.core.history import COMMANDS, INPUTS, OUTCOMES, Event, EventType, RunStatus
from holdfast.core.trace import Trace
from holdfast.engine.records.outbox import OutgoingKind
from holdfast.engine.runs.duties import terminate, wake_up
from holdfast.engine.runs.effects import Began
from holdfast.engine.runs.items import TOO_EARLY, Item, Signal, reason_details, require_run
from holdfast.engine.runs.succession import branch, bury, forget_documents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.core.definitions import WorkflowDefinition
    from holdfast.engine.records.head import Parent, Request
    from holdfast.engine.runs.run import Run

_REQUESTS_KEPT = 16

__all__ = ["OnConflict", "Purge", "Rerun", "SignalledStart", "Start", "Started", "Swept", "ThreadStart", "cut_history"]

OnConflict = Literal["fail", "use_existing", "terminate_existing"]
"""What a start does where the id belongs to an open run."""


class Started(NamedTuple):
    """The answer to a start.

    Attributes:
        created: Whether this start, or an earlier one of the same request, made the run, rather than found it.
    """

    workflow_id: str
    run_id: str
    created: bool


@dataclass(slots=True, kw_only=True)
class Start(Item):
    """A run is to be started.

    Attributes:
        value: Its input, as JSON.
        run_id: What it is to be called.
        timeout_ms: The longest it may take; None for no limit.
        reuse: The id may have belonged to a run that has ended.
        trace: The trace context that it goes on from; may be empty.
        thread: The key that it is started under as a thread; empty where it is none.
    """

    creates: ClassVar[bool] = True

    definition: WorkflowDefinition
    value: bytes
    run_id: str
    timeout_ms: int | None = None
    on_conflict: OnConflict = "fail"
    reuse: bool = True
    request: Request | None = None
    parent: Parent | None = None
    trace: str = ""
    thread: str = ""

    def apply(self, run: Run, now: int) -> object:
        """Start it, or answer with the run that this request, this parent or this id has already."""
        if not run.exists and run.head.run_id and run.names_documents:
            message = f"workflow {run.workflow_id!r} is being purged: try again"
            raise WorkflowAlreadyStartedError(message, workflow_id=run.workflow_id, run_id=run.head.run_id)
        if run.exists:
            known = self._known(run)
            if known is not None:
                return known
            if run.is_open:
                self._make_room(run, now)
            elif not self.reuse:
                message = f"workflow {run.workflow_id!r} was started before: it is {run.status}, and reuse is off"
                raise WorkflowAlreadyStartedError(message, workflow_id=run.workflow_id, run_id=run.head.run_id)
        now = run.instant(now)
        requests = run.head.requests if self.request is None else (*run.head.requests, self.request)[-_REQUESTS_KEPT:]
        run.begin(
            self.definition,
            self.value,
            now,
            run_id=self.run_id,
            parent=self.parent,
            deadline=0 if self.timeout_ms is None else now + self.timeout_ms,
            requests=requests,
            trace=Trace.read(self.trace) if self.trace else None,
            thread=self.thread,
        )
        return Started(run.workflow_id, self.run_id, created=True)

    def _known(self, run: Run) -> Started | None:
        head, request = run.head, self.request
        earlier = next((each for each in head.requests if each.id == request.id), None) if request is not None else None
        if request is not None and earlier is not None:
            if earlier.digest != request.digest:
                message = f"request {request.id!r} was used before, for another request"
                raise RequestConflictError(message)
            return Started(run.workflow_id, earlier.run_id, created=True)
        if self.parent is not None and head.parent == self.parent:
            return Started(run.workflow_id, head.run_id, created=False)
        if run.is_open and self.on_conflict == "use_existing":
            return Started(run.workflow_id, head.run_id, created=False)
        return None

    def _make_room(self, run: Run, now: int) -> None:
        if self.on_conflict != "terminate_existing":
            message = f"workflow {run.workflow_id!r} is already started: it is {run.status}"
            raise WorkflowAlreadyStartedError(message, workflow_id=run.workflow_id, run_id=run.head.run_id)
        failure = FailureInfo("WorkflowTerminatedError", "replaced by a new run of the same id")
        terminate(run, EventType.WORKFLOW_TERMINATED, now, failure)


@dataclass(slots=True, kw_only=True)
class SignalledStart(Item):
    """A signal has come for the open run of an id; one is started first if there is none: both in one commit.

    A signal that was applied before starts nothing, even where the run that had it is over.

    Attributes:
        start: What starts the run; it uses an open one.
    """

    creates: ClassVar[bool] = True

    start: Start
    signal: Signal

    def apply(self, run: Run, now: int) -> object:
        """Start the run if need be, and signal it; answers `TOO_EARLY` where other signals have to come first."""
        if self.signal.is_known(run) and run.exists:
            return Started(run.workflow_id, run.head.run_id, created=False)
        self.signal.require_free_number(run)
        if self.signal.is_early(run):
            return TOO_EARLY
        started = self.start.apply(run, now)
        if run.is_open:
            self.signal.apply(run, now)
        else:
            self.signal.note(run, now)  # it was there from the start, and the run has ended without it
        return started


@dataclass(slots=True, kw_only=True)
class ThreadStart(Start):
    """A record, or another run, wants a run under a key; asked for again by the same message, it starts nothing.

    Attributes:
        message_id: Names the message; empty where there is nothing to know it by.
    """

    message_id: str = ""

    def apply(self, run: Run, now: int) -> object:
        """Start it, or answer with the run that is there, if that is wanted."""
        if run.exists and self.message_id and self.message_id in run.seen:
            return Started(run.workflow_id, run.head.run_id, created=False)
        started = Start.apply(self, run, now)
        if self.message_id:
            run.remember(self.message_id, now)
            run.changed = True
        return started


@dataclass(slots=True, kw_only=True)
class Rerun(Item):
    """A run that has ended is to be run again, from a prefix of its history.

    Attributes:
        history: The prefix, as `cut_history` gives it.
        of_run: The run that it was read from.
        run_id: What the new run is to be called.
    """

    history: Sequence[Event]
    of_run: str
    run_id: str
    reason: str = ""

    def apply(self, run: Run, now: int) -> Started:
        """Begin the new run where the prefix ends: what had no answer there is asked for again."""
        require_run(run)
        if run.is_open or run.head.run_id != self.of_run:
            message = f"workflow {run.workflow_id!r} is {run.status}: it has to end before it can be rerun"
            raise WorkflowOpenError(message)
        old = run.head
        allowed = old.deadline - old.created if old.deadline else 0
        head = replace(
            old,
            run_id=self.run_id,
            created=run.instant(now),
            parent=None,
            previous=old.run_id,
            deadline=run.instant(now) + allowed if allowed else 0,
            status=RunStatus.RUNNING,
            finished=0,
            value=b"",
            value_blob="",
            input_blob="",
            next_run="",
            attributes={},
            children={},
            trace=old.trace.following(self.run_id) if old.trace is not None else None,
            _constant=b"",
        )
        details = {"of_run": old.run_id, "events": len(self.history), **(reason_details(self.reason) or {})}
        branch(run, head, self.history, Event(EventType.WORKFLOW_RERUN, run.instant(now), details=details))
        for pending in list(run.pending.values()):
            run.dispatch(pending)
        self._send_again(run)
        run.effects.append(Began(head.workflow))
        wake_up(run, now)
        return Started(run.workflow_id, self.run_id, created=True)

    def _send_again(self, run: Run) -> None:
        """Start the children that had no answer at the cut anew; those of the old run are its own."""
        kinds = {EventType.CHILD_STARTED: OutgoingKind.START, EventType.SIGNAL_SENT: OutgoingKind.SIGNAL}
        waiting = run.instance.waiting.values() if run.instance is not None else ()
        for command in [waiting.command for waiting in waiting if waiting.command.type in kinds]:
            run.send(kinds[command.type], (command.details or {})["workflow_id"], command.id)


def cut_history(history: Sequence[Event], from_event: int) -> list[Event]:
    """Give the prefix of a history that ends with the turn in which an event stands, and before the run's end.

    Args:
        history: All events of a run.
        from_event: The number of the event, from 1.

    Raises:
        ValueError: There is no event of that number.
    """
    if not 1 <= from_event <= len(history):
        message = f"from_event must be between 1 and {len(history)}, not {from_event}"
        raise ValueError(message)
    end = from_event
    while end < len(history) and history[end].type in COMMANDS:
        end += 1
    while any(event.type in OUTCOMES for event in history[:end]):
        end -= 1
        while end > 1 and history[end].type not in INPUTS and history[end].type is not EventType.EVENT_APPLIED:
            end -= 1
    return list(history[: max(end, 1)])


@dataclass(slots=True, kw_only=True)
class Purge(Item):
    """A run that has ended is to be deleted, with all runs before it; a tombstone stays."""

    def apply(self, run: Run, now: int) -> object:  # noqa: ARG002 - a tombstone keeps the time of the end
        """Write the tombstone; what it still names is swept up after the commit."""
        require_run(run)
        if run.is_open:
            message = f"workflow {run.workflow_id!r} is {run.status}: terminate it before you purge it"
            raise WorkflowOpenError(message)
        if run.outbox:
            message = f"workflow {run.workflow_id!r} has effects on others that are still on their way: try again"
            raise WorkflowOpenError(message)
        bury(run)
        return None


@dataclass(slots=True, kw_only=True)
class Swept(Item):
    """What a purged run had stored is deleted."""

    def apply(self, run: Run, now: int) -> Any:  # noqa: ANN401, ARG002
        """Let the tombstone forget it; a run that has been started since knows nothing of it."""
        if run.head.status is RunStatus.PURGED:
            forget_documents(run)
        return None
