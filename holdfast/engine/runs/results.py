"""What comes back to a run: the ends of attempts, of child runs, and of its messages to other runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from holdfast.core.codec import decode_json
from holdfast.core.failure import FailureInfo
from holdfast.core.history import EventType
from holdfast.core.outcome import encode_failure
from holdfast.engine.runs.duties import fail_activity
from holdfast.engine.runs.effects import Retry
from holdfast.engine.runs.items import Item

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.engine.records.outbox import Outgoing
    from holdfast.engine.records.pending import PendingActivity
    from holdfast.engine.runs.run import Run

__all__ = ["ActivityDone", "ActivityFailed", "ChildClosed", "CutOff", "Delivered", "Heartbeat", "NotBegun", "Published"]

_ACTIVITY_COMPLETED = EventType.ACTIVITY_COMPLETED  # looking a member up is slow, and this one is needed at each step


@dataclass(slots=True, kw_only=True)
class _OfAttempt(Item):
    """Something about an attempt of an activity that a run has called.

    Attributes:
        run_id: The run that called.
        command_id: The call.
    """

    run_id: str
    command_id: str

    def pending(self, run: Run) -> PendingActivity | None:
        """Give the call, if the run still waits for it."""
        return run.pending.get(self.command_id) if run.head.run_id == self.run_id else None


class _EndOfAttempt(_OfAttempt):
    """The attempt is not running any more."""

    __slots__ = ()

    def take_back(self, run: Run) -> None:
        """Let the attempt count as running again."""
        run.world.in_flight.add((self.run_id, self.command_id))


@dataclass(slots=True, kw_only=True)
class ActivityDone(_EndOfAttempt):
    """An attempt has returned."""

    attempt: int
    value: bytes

    def apply(self, run: Run, now: int) -> object:
        """Let the run have the result, unless it has given up on that attempt."""
        run.world.in_flight.discard((self.run_id, self.command_id))
        pending = self.pending(run)
        if pending is None or pending.attempt != self.attempt:
            return None
        if run.world.hooked:
            told = {"activity_id": pending.id, "name": pending.name, "result": decode_json(self.value)}
            run.tell("on_activity_complete", told)
        run.happen(_ACTIVITY_COMPLETED, now, pending.id, pending.name, self.value)
        return None


@dataclass(slots=True, kw_only=True)
class ActivityFailed(_EndOfAttempt):
    """An attempt has raised, or was given up."""

    attempt: int
    error: BaseException

    def apply(self, run: Run, now: int) -> object:
        """Set the next attempt, or let the run know that there is none."""
        run.world.in_flight.discard((self.run_id, self.command_id))
        pending = self.pending(run)
        if pending is None or pending.attempt != self.attempt:
            return None
        failure = FailureInfo.of(self.error)
        retry = pending.options.retry
        wait = retry.wait_ms(pending.failures + 1, run.world.chance())
        in_time = not pending.deadline or now + wait < pending.deadline
        if in_time and retry.retries(self.error, pending.failures + 1):
            pending.failed(failure, now + wait)
            run.changed = run.pending_told = True
            told = {"activity_id": pending.id, "name": pending.name, "attempt": pending.attempt, "failure": failure}
            run.effects.append(Retry(pending.name))
            run.tell("on_retry", told)
        else:
            fail_activity(run, pending, failure, now)
        return None


@dataclass(slots=True, kw_only=True)
class NotBegun(_EndOfAttempt):
    """An attempt was dispatched and has not begun: the process is about to end."""

    def apply(self, run: Run, now: int) -> object:  # noqa: ARG002 - it takes no time
        """Note that its body never ran, so that the next process need not wonder."""
        run.world.in_flight.discard((self.run_id, self.command_id))
        pending = self.pending(run)
        if pending is not None:
            pending.parked = run.changed = run.pending_told = True
        return None


@dataclass(slots=True, kw_only=True)
class CutOff(_OfAttempt):
    """An attempt is on, and the process ends before it."""

    def apply(self, run: Run, now: int) -> object:  # noqa: ARG002 - it takes no time
        """Note that it had begun: what else is stored as due had not."""
        pending = self.pending(run)
        if pending is not None and not pending.is_plain:
            pending.due, run.changed = 0, True
        return None


@dataclass(slots=True, kw_only=True)
class Heartbeat(_OfAttempt):
    """A running attempt has said how far it is."""

    attempt: int
    details: Any

    def apply(self, run: Run, now: int) -> object:  # noqa: ARG002 - it happens to the attempt, not to the run
        """Keep it for the next attempt."""
        pending = self.pending(run)
        if pending is not None and pending.attempt == self.attempt:
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
            run.remember(self.id, now)
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
class Published(Item):
    """Outputs have left.

    Attributes:
        write: Store it now; otherwise it goes with the next commit of the run, if that comes. That of the last output
            of a run that has ended is stored at once, for nothing else keeps the run in memory.
    """

    entries: Sequence[Outgoing]
    write: bool = False

    def apply(self, run: Run, now: int) -> bool:  # noqa: ARG002 - it takes no time
        """Take them out of the outbox; the answer is whether a commit that follows this turn will have stored it."""
        gone = [run.outbox.pop((entry.run_id, entry.number), None) for entry in self.entries]
        if any(gone):
            run.removed_at = run.head.revision
        is_done = not run.is_open and not run.outbox
        if (self.write or is_done) and run.removed_at == run.head.revision:
            run.changed = True
        return self.write or run.changed
