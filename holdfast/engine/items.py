"""What can happen to a run: one class per kind, each applied when it is the run's turn.

Applying an item changes the run in memory and may raise to refuse; nothing of it is acknowledged before the commit
that it became part of. An item can be applied again, to the run as it is stored, if that commit turns out lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from holdfast.core.codec import decode_json
from holdfast.core.errors import (
    UpdateRejectedError,
    WorkflowFinishedError,
    WorkflowNotFoundError,
)
from holdfast.core.failure import FailureInfo
from holdfast.core.history import Event, EventType, RunStatus
from holdfast.core.outcome import encode_failure
from holdfast.engine.duties import fail_activity, recover, terminate, wake_up

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from holdfast.engine.outbox import Outgoing
    from holdfast.engine.run import Run

__all__ = [
    "ActivityDone",
    "ActivityFailed",
    "Cancel",
    "CatchUp",
    "ChildClosed",
    "Delivered",
    "Heartbeat",
    "Item",
    "Look",
    "NotBegun",
    "Pause",
    "Recover",
    "Resume",
    "Signal",
    "Terminate",
    "Update",
    "WakeUp",
]


_ACTIVITY_COMPLETED = EventType.ACTIVITY_COMPLETED  # looking a member up is slow, and this one is needed at each step


@dataclass(slots=True, kw_only=True)
class Item:
    """Something that has come for a run.

    Attributes:
        answer: Resolved once what was applied is durable; None where nobody waits for it.
    """

    creates: ClassVar[bool] = False
    """Whether the item makes sense for an id that has no run."""

    answer: asyncio.Future[Any] | None = field(default=None, compare=False)

    def apply(self, run: Run, now: int) -> object:
        """Change the run, and give the answer.

        Raises:
            HoldfastError: The item is refused; the run is as it was.
        """
        raise NotImplementedError

    def take_back(self, run: Run) -> None:
        """Undo what applying it did beside the run: the commit that it was part of is lost, and it is applied again."""

    def refuse(self, error: BaseException) -> None:
        """Answer with an error."""
        if self.answer is not None and not self.answer.done():
            self.answer.set_exception(error)

    def accept(self, value: object) -> None:
        """Answer with a value."""
        if self.answer is not None and not self.answer.done():
            self.answer.set_result(value)


def require_run(run: Run) -> None:
    """Refuse what needs a run where there is none.

    Raises:
        WorkflowNotFoundError: The id has no run.
    """
    if not run.exists:
        message = f"there is no workflow {run.workflow_id!r}"
        raise WorkflowNotFoundError(message)


def require_open(run: Run) -> None:
    """Refuse what needs an open run.

    Raises:
        WorkflowNotFoundError: The id has no run.
        WorkflowFinishedError: The run has ended.
    """
    require_run(run)
    if not run.is_open:
        message = f"workflow {run.workflow_id!r} has ended: it is {run.status}"
        raise WorkflowFinishedError(message)


def _belongs(run: Run, parent: str) -> bool:
    return not parent or (run.head.parent is not None and run.head.parent.workflow_id == parent)


@dataclass(slots=True, kw_only=True)
class Signal(Item):
    """A signal has come."""

    name: str
    value: bytes
    id: str = ""

    def apply(self, run: Run, now: int) -> object:
        """Buffer it, once for each id."""
        require_run(run)
        if self.id and self.id in run.seen:
            return None
        require_open(run)
        if self.id:
            run.seen.add(self.id, now, run.head.run_id, run.journal.events)
        if run.world.hooked:
            run.tell("on_signal", {"name": self.name, "payload": decode_json(self.value), "id": self.id})
        run.happen(EventType.SIGNAL_RECEIVED, now, id=self.id, name=self.name, value=self.value)
        return None


@dataclass(slots=True, kw_only=True)
class Update(Item):
    """Somebody asks for a validated change, and waits for the reply.

    Attributes:
        id: Names this update; one that was applied before is not applied again.
    """

    name: str
    value: bytes
    id: str

    def apply(self, run: Run, now: int) -> Event | None:
        """Validate and accept it. The answer is the reply, if that is known already."""
        require_run(run)
        if self.id in run.replies:
            return run.replies[self.id]
        if self.id in run.open_updates:
            return None
        if self.id in run.seen:
            message = f"update {self.id!r} was applied by an earlier run of {run.workflow_id!r}; its reply is not kept"
            raise UpdateRejectedError(message)
        require_open(run)
        if run.instance is None or run.deferred:
            message = f"workflow {run.workflow_id!r} is {run.status} and takes no updates now"
            raise UpdateRejectedError(message)
        run.instance.validate_update(self.name, self.value)
        run.seen.add(self.id, now, run.head.run_id, run.journal.events)
        run.happen(EventType.UPDATE_ACCEPTED, now, id=self.id, name=self.name, value=self.value)
        return run.replies.get(self.id)


@dataclass(slots=True, kw_only=True)
class Look(Item):
    """Somebody wants to see the run as it is, between two commits."""

    view: Callable[[Run], object]

    def apply(self, run: Run, now: int) -> object:  # noqa: ARG002 - looking takes no time
        """Call the view."""
        require_run(run)
        return self.view(run)


@dataclass(slots=True, kw_only=True)
class Cancel(Item):
    """The run is to be cancelled.

    Attributes:
        parent: Only if it is a child of that workflow; empty for whoever's it is.
    """

    reason: str = ""
    parent: str = ""

    def apply(self, run: Run, now: int) -> object:
        """Deliver the cancellation, once per run."""
        require_open(run)
        if not _belongs(run, self.parent):
            return None
        if not run.cancel_requested:
            run.happen(EventType.CANCEL_REQUESTED, now, details={"reason": self.reason} if self.reason else None)
        return None


@dataclass(slots=True, kw_only=True)
class Terminate(Item):
    """The run is to end here and now, without cleaning up.

    Attributes:
        parent: Only if it is a child of that workflow; empty for whoever's it is.
    """

    reason: str = ""
    parent: str = ""

    def apply(self, run: Run, now: int) -> object:
        """Write the terminal status."""
        require_open(run)
        if not _belongs(run, self.parent):
            return None
        failure = FailureInfo("WorkflowTerminatedError", self.reason or "terminated")
        terminate(run, EventType.WORKFLOW_TERMINATED, now, failure)
        return None


@dataclass(slots=True, kw_only=True)
class Pause(Item):
    """The run is to do nothing until it is resumed."""

    reason: str = ""

    def apply(self, run: Run, now: int) -> object:
        """Note it; inputs are deferred from here on."""
        require_open(run)
        if run.head.status is RunStatus.RUNNING:
            details = {"reason": self.reason} if self.reason else None
            run.record(Event(EventType.WORKFLOW_PAUSED, run.instant(now), details=details))
            run.head.status = RunStatus.PAUSED
        return None


@dataclass(slots=True, kw_only=True)
class Resume(Item):
    """A paused run is to go on."""

    reason: str = ""

    def apply(self, run: Run, now: int) -> object:
        """Apply what came meanwhile, and do what has become due."""
        require_open(run)
        if run.head.status is RunStatus.PAUSED:
            details = {"reason": self.reason} if self.reason else None
            run.record(Event(EventType.WORKFLOW_RESUMED, run.instant(now), details=details))
            run.head.status = RunStatus.RUNNING
            recover(run, now)
        return None


@dataclass(slots=True, kw_only=True)
class ActivityDone(Item):
    """An attempt has returned."""

    run_id: str
    command_id: str
    attempt: int
    value: bytes

    def apply(self, run: Run, now: int) -> object:
        """Let the run have the result, unless it has given up on that attempt."""
        run.world.in_flight.discard((self.run_id, self.command_id))
        pending = run.pending.get(self.command_id)
        if pending is None or run.head.run_id != self.run_id or pending.attempt != self.attempt:
            return None
        if run.world.hooked:
            told = {"activity_id": pending.id, "name": pending.name, "result": decode_json(self.value)}
            run.tell("on_activity_complete", told)
        run.happen(_ACTIVITY_COMPLETED, now, id=pending.id, name=pending.name, value=self.value)
        return None

    def take_back(self, run: Run) -> None:
        """Let the attempt count as running again."""
        run.world.in_flight.add((self.run_id, self.command_id))


@dataclass(slots=True, kw_only=True)
class ActivityFailed(Item):
    """An attempt has raised, or was given up."""

    run_id: str
    command_id: str
    attempt: int
    error: BaseException

    def apply(self, run: Run, now: int) -> object:
        """Set the next attempt, or let the run know that there is none."""
        run.world.in_flight.discard((self.run_id, self.command_id))
        pending = run.pending.get(self.command_id)
        if pending is None or run.head.run_id != self.run_id or pending.attempt != self.attempt:
            return None
        failure = FailureInfo.of(self.error)
        retry = pending.options.retry
        wait = retry.wait_ms(pending.failures + 1, run.world.chance())
        in_time = not pending.deadline or now + wait < pending.deadline
        if in_time and retry.retries(self.error, pending.failures + 1):
            pending.failed(failure, now + wait)
            run.changed = run.pending_told = True
            told = {"activity_id": pending.id, "name": pending.name, "attempt": pending.attempt, "failure": failure}
            run.tell("on_retry", told)
        else:
            fail_activity(run, pending, failure, now)
        return None

    def take_back(self, run: Run) -> None:
        """Let the attempt count as running again."""
        run.world.in_flight.add((self.run_id, self.command_id))


@dataclass(slots=True, kw_only=True)
class NotBegun(Item):
    """An attempt was dispatched and has not begun: the process is about to end."""

    run_id: str
    command_id: str

    def apply(self, run: Run, now: int) -> object:  # noqa: ARG002 - it takes no time
        """Note that its body never ran, so that the next process need not wonder."""
        run.world.in_flight.discard((self.run_id, self.command_id))
        pending = run.pending.get(self.command_id)
        if pending is not None and run.head.run_id == self.run_id:
            pending.parked = run.changed = run.pending_told = True
        return None

    def take_back(self, run: Run) -> None:
        """Let the attempt count as running again."""
        run.world.in_flight.add((self.run_id, self.command_id))


@dataclass(slots=True, kw_only=True)
class Heartbeat(Item):
    """A running attempt has said how far it is."""

    run_id: str
    command_id: str
    attempt: int
    details: Any

    def apply(self, run: Run, now: int) -> object:  # noqa: ARG002 - it happens to the attempt, not to the run
        """Keep it for the next attempt."""
        pending = run.pending.get(self.command_id)
        if pending is not None and run.head.run_id == self.run_id and pending.attempt == self.attempt:
            pending.heartbeat = self.details
            run.changed = run.pending_told = True
        return None


@dataclass(slots=True, kw_only=True)
class ChildClosed(Item):
    """A child has ended, or could not be started, or a signal could not be delivered.

    Attributes:
        kind: `CHILD_COMPLETED`, `CHILD_FAILED`, `SIGNAL_DELIVERED` or `SIGNAL_UNDELIVERED`.
        run_id: The run that asked.
        id: Names this message; a second one changes nothing.
    """

    kind: EventType
    run_id: str
    command_id: str
    child: str
    value: bytes
    id: str = ""

    def apply(self, run: Run, now: int) -> object:
        """Answer the command that waits for it."""
        if not run.is_open or (self.id and self.id in run.seen):
            return None
        if self.id:
            run.seen.add(self.id, now, run.head.run_id, run.journal.events)
            run.changed = True
        if run.head.run_id != self.run_id:
            run.children.pop(self.child, None)
            run.head.children.pop(self.child, None)
            return None
        details = {"workflow_id": self.child}
        run.happen(self.kind, now, id=self.command_id, value=self.value, details=details)
        return None


@dataclass(slots=True, kw_only=True)
class Delivered(Item):
    """An effect on another run is durable there, or can never be."""

    entry: Outgoing
    outcome: EventType | None = None
    failure: FailureInfo | None = None

    def apply(self, run: Run, now: int) -> object:
        """Take it out of the outbox, and answer the command if that waits for just this."""
        if (self.entry.run_id, self.entry.number) not in run.outbox:
            return None
        run.delivered(self.entry)
        if self.outcome is not None and run.is_open and run.head.run_id == self.entry.run_id:
            value = encode_failure(self.failure) if self.failure is not None else b"null"
            details = {"workflow_id": self.entry.target}
            run.happen(self.outcome, now, id=self.entry.command_id, value=value, details=details)
        return None


@dataclass(slots=True, kw_only=True)
class WakeUp(Item):
    """Something is due."""

    def apply(self, run: Run, now: int) -> object:
        """Do it."""
        wake_up(run, now)
        return None


@dataclass(slots=True, kw_only=True)
class CatchUp(Item):
    """There are deferred inputs that can be applied."""

    def apply(self, run: Run, now: int) -> object:
        """Apply them."""
        run.catch_up(now)
        return None


@dataclass(slots=True, kw_only=True)
class Recover(Item):
    """The run has come back into memory."""

    def apply(self, run: Run, now: int) -> object:
        """Take up what was going on."""
        recover(run, now)
        return None
