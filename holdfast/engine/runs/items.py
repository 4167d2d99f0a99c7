"""What can happen to a run: one class per kind, each applied when it is the run's turn.

Applying an item changes the run in memory and may raise to refuse; nothing of it is acknowledged before the commit
that it became part of. An item can be applied again, to the run as it is stored, if that commit turns out lost.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Final

from holdfast.core.codec import decode_json
from holdfast.core.errors import PayloadError, UpdateRejectedError, WorkflowFinishedError, WorkflowNotFoundError
from holdfast.core.history import Event, EventType, RunStatus
from holdfast.core.trace import Trace
from holdfast.engine.runs.duties import recover, wake_up

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from holdfast.engine.runs.run import Run

__all__ = [
    "APPLIED_BEFORE",
    "TOO_EARLY",
    "CatchUp",
    "Item",
    "Look",
    "Recover",
    "Signal",
    "Update",
    "WakeUp",
    "reason_details",
    "require_open",
    "require_run",
    "trace_details",
]


APPLIED_BEFORE: Final = object()
"""The answer to an update that was applied already, by a run or a process that is gone."""

TOO_EARLY: Final = object()
"""The answer to a numbered signal that was not applied, for those before it have not come."""


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


def reason_details(reason: str) -> dict[str, Any] | None:
    """Give the form in which an event tells why; None where nobody has said."""
    return {"reason": reason} if reason else None


def trace_details(trace: str) -> dict[str, Any] | None:
    """Give the form in which an event tells whose trace it came with; None where there is none, or it is not one."""
    sender = Trace.read(trace) if trace else None
    return sender.details() if sender is not None else None


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


@dataclass(slots=True, kw_only=True)
class Signal(Item):
    """A signal has come.

    Attributes:
        id: By which a duplicate is known; empty where there is nothing to know it by.
        source: Who sent it, where its messages are numbered.
        sequence: Its number among them, from 1; 0 where they are not.
        trace: The trace context of its sender; may be empty.
    """

    name: str
    value: bytes
    id: str = ""
    source: str = ""
    sequence: int = 0
    trace: str = ""

    def apply(self, run: Run, now: int) -> object:
        """Buffer it, once for each id; answers `TOO_EARLY` where others have to come before it."""
        require_run(run)
        if self.is_known(run):
            return None
        require_open(run)
        self.require_free_number(run)
        if self.is_early(run):
            return TOO_EARLY
        self.note(run, now)
        if run.world.hooked:
            run.tell("on_signal", {"name": self.name, "payload": decode_json(self.value), "id": self.id})
        details = trace_details(self.trace)
        run.happen(EventType.SIGNAL_RECEIVED, now, id=self.id, name=self.name, value=self.value, details=details)
        return None

    def note(self, run: Run, now: int) -> None:
        """Know it again: by its number, and by its id."""
        if self.sequence:
            run.follow(self.source, self.sequence)
        if self.id:
            run.remember(self.id, now)

    def is_known(self, run: Run) -> bool:
        """Say whether it was applied before: by its id, and by its number only where it has none."""
        return self.id in run.seen if self.id else self._is_counted(run)

    def require_free_number(self, run: Run) -> None:
        """Refuse what comes under the number of another message: were it taken for a duplicate, it would vanish.

        Raises:
            PayloadError: Its number was applied, and the run does not know its id.
        """
        if self._is_counted(run) and not self.is_known(run):
            message = f"number {self.sequence:,} of source {self.source!r} was applied before, for another message"
            raise PayloadError(message, field="sequence")

    def _is_counted(self, run: Run) -> bool:
        return bool(self.sequence) and self.sequence <= run.seen.sequences.get(self.source, 0)

    def is_early(self, run: Run) -> bool:
        """Say whether messages of its source are missing that come before it."""
        return bool(self.sequence) and self.sequence > run.seen.sequences.get(self.source, 0) + 1


@dataclass(slots=True, kw_only=True)
class Update(Item):
    """Somebody asks for a validated change, and waits for the reply.

    Attributes:
        id: Names this update; one that was applied before is not applied again.
        trace: The trace context of who asks; may be empty.
    """

    name: str
    value: bytes
    id: str
    trace: str = ""

    def apply(self, run: Run, now: int) -> Event | object | None:
        """Validate and accept it.

        Returns:
            The reply, if that is in memory; `APPLIED_BEFORE` where it has to be read; None while there is none.
        """
        require_run(run)
        if self.id in run.replies:
            return run.replies[self.id]
        if self.id in run.open_updates:
            return None
        if self.id in run.seen:
            return APPLIED_BEFORE
        require_open(run)
        if run.instance is None or run.deferred or run.head.status is not RunStatus.RUNNING:
            message = f"workflow {run.workflow_id!r} is {run.status} and takes no updates now"
            raise UpdateRejectedError(message)
        run.instance.validate_update(self.name, self.value)
        run.remember(self.id, now)
        details = trace_details(self.trace)
        run.happen(EventType.UPDATE_ACCEPTED, now, id=self.id, name=self.name, value=self.value, details=details)
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
