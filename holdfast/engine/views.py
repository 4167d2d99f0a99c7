"""What callers see of runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from holdfast.core.codec import decode_json
from holdfast.core.failure import FailureInfo
from holdfast.core.history import EventType, RunStatus
from holdfast.engine.records.outbox import PUBLISHED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.core.history import Event
    from holdfast.engine.commits.index import IndexEntry
    from holdfast.engine.records.head import Head
    from holdfast.engine.records.pending import PendingActivity
    from holdfast.engine.runs.run import Run

__all__ = ["HistoryEvent", "PendingView", "RunDescription", "RunPage", "RunSummary", "describe_run", "summary_of"]


@dataclass(frozen=True, slots=True)
class HistoryEvent:
    """One event of a history.

    Attributes:
        seq: Its number, from 1.
        type: What happened.
        at: When, in UTC.
        id: Of the command that it belongs to, or of the signal or update; may be empty.
        name: Of the activity, signal, update, workflow or patch; may be empty.
        value: The input, result or failure, as a JSON value; None where there is none.
        details: What else belongs to this type, as JSON values by name.
    """

    seq: int
    type: EventType
    at: datetime
    id: str = ""
    name: str = ""
    value: Any = None
    details: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, seq: int, event: Event) -> HistoryEvent:
        """Show a recorded event."""
        value = decode_json(event.value) if event.value else None
        return cls(seq, event.type, instant(event.at), event.id, event.name, value, dict(event.details or {}))


@dataclass(frozen=True, slots=True)
class PendingView:
    """An activity that a run waits for.

    Attributes:
        id: The call, within its run.
        name: The name of the activity.
        attempt: The number of the attempt that is on, or due, from 1.
        max_attempts: How many there may be; None for no limit.
        scheduled_at: When the run asked for it, in UTC.
        next_at: When the attempt is due, in UTC; None where it is on.
        failure: What the attempt before failed with; None where it is the first.
        registered: Whether the process knows the activity; without it the run waits.
    """

    id: str
    name: str
    attempt: int
    max_attempts: int | None
    scheduled_at: datetime
    next_at: datetime | None
    failure: FailureInfo | None
    registered: bool

    @classmethod
    def of(cls, pending: PendingActivity) -> PendingView:
        """Show a pending activity."""
        return cls(
            pending.id,
            pending.name,
            pending.attempt,
            pending.options.retry.max_attempts,
            instant(pending.scheduled_at),
            instant(pending.due) if pending.due else None,
            pending.failure,
            not pending.parked,
        )

    def words(self) -> str:
        """Say it in a sentence."""
        if not self.registered:
            return f"activity {self.name!r}, which is not registered here"
        of = f" of {self.max_attempts}" if self.max_attempts is not None else ""
        due = f", due {self.next_at.isoformat(timespec='seconds')}" if self.next_at else ""
        failed = f", after {self.failure.type}: {self.failure.message}" if self.failure else ""
        return f"activity {self.name!r} (attempt {self.attempt}{of}{due}{failed})"


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run as it stands in a list.

    Attributes:
        workflow_id: The id it was started under.
        run_id: The id of this run among all that had the workflow id.
        workflow: The name of its workflow.
        status: Where it stands.
        created_at: When it was started, in UTC.
        finished_at: When it ended, in UTC; None while it is open.
        attributes: Its search attributes, by name.
    """

    workflow_id: str
    run_id: str
    workflow: str
    status: RunStatus
    created_at: datetime
    finished_at: datetime | None
    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class RunPage:
    """One page of a list of runs.

    Attributes:
        items: The runs, the newest first.
        next_cursor: What to ask for the next page with; None where this is the last.
    """

    items: list[RunSummary]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class RunDescription:
    """A run as it stands: what a summary says, and more.

    Attributes:
        version: The version of its workflow.
        updated_at: When it was last written, in UTC.
        input: What it was started with, as a JSON value.
        result: What it returned, as a JSON value; None unless it completed.
        error: Why it did not complete, or cannot go on; None where nothing is wrong.
        waiting_for: What it waits for, in words; where it has ended, only for outputs that have not left.
        pending: The activities among that, each a `PendingView`.
        trace_id: The id of the trace that it belongs to: 32 hexadecimal digits, or empty.
    """

    workflow_id: str
    run_id: str
    workflow: str
    version: str
    status: RunStatus
    input: Any
    result: Any
    error: FailureInfo | None
    attributes: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    waiting_for: list[str]
    pending: list[PendingView]
    trace_id: str = ""

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON values."""
        return asdict(self)


_FAILED = frozenset({RunStatus.FAILED, RunStatus.CANCELED, RunStatus.TERMINATED, RunStatus.TIMED_OUT})


def instant(at_ms: int) -> datetime:
    """Give a time as users see it."""
    return datetime.fromtimestamp(at_ms / 1000, UTC)


def summary_of(entry: IndexEntry, status: RunStatus) -> RunSummary:
    """Show an entry of the index."""
    return RunSummary(
        entry.id,
        entry.run_id,
        entry.workflow,
        status,
        instant(entry.created),
        instant(entry.finished) if entry.finished else None,
        dict(entry.attributes or {}),
    )


def describe_run(
    head: Head, status: RunStatus, waiting_for: Sequence[str] = (), run: Run | None = None
) -> RunDescription:
    """Show a run; what it waits for is known only of one that is in memory."""
    completed = head.status is RunStatus.COMPLETED
    failed = head.status in _FAILED
    error = FailureInfo.from_json(decode_json(head.value)) if failed else (run.stall if run is not None else None)
    return RunDescription(
        head.workflow_id,
        head.run_id,
        head.workflow,
        head.version,
        status,
        decode_json(head.input),
        decode_json(head.value) if completed else None,
        error,
        dict(head.attributes),
        instant(head.created),
        instant(head.updated),
        instant(head.finished) if head.finished else None,
        list(waiting_for),
        [PendingView.of(pending) for pending in run.pending.values()] if run is not None else [],
        head.trace.id if head.trace is not None else "",
    )


def waiting_for(run: Run) -> list[str]:
    """Say in words what a run waits for; one that has ended waits at most for its outputs to leave."""
    if not run.is_open:
        return _outputs_words(run)
    words = [PendingView.of(pending).words() for pending in run.pending.values()] + _outputs_words(run)
    if run.stall is not None:
        return [f"code that fits its history ({run.stall.message})", *words]
    if run.head.status is RunStatus.PAUSED:
        words.insert(0, "a resume")
    if run.instance is not None:
        words += run.instance.waits_for()
        words += [
            _answer_words(w.command.type, w.command.details or {})
            for w in run.instance.waiting.values()
            if w.command.details
        ]
        words += [
            f"a timer due {instant(timer.due_ms).isoformat(timespec='seconds')}"
            for timer in run.instance.timers.values()
        ]
    return words or ["nothing the engine knows of: an asyncio primitive that only its own code can set"]


def _outputs_words(run: Run) -> list[str]:
    waiting = sum(entry.kind in PUBLISHED for entry in run.outbox.values())
    if not waiting:
        return []
    why = run.world.stuck_outputs.get(run.workflow_id) or run.world.publisher_trouble
    return [f"{waiting} output{'s' * (waiting > 1)} to leave{f' ({why})' if why else ''}"]


def _answer_words(kind: EventType, details: dict[str, Any]) -> str:
    if kind is EventType.CHILD_STARTED:
        return f"child workflow {details['workflow_id']!r}"
    return f"its signal to {details['workflow_id']!r} to arrive"
