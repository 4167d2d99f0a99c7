"""What is to be done once a run's change is durable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from holdfast.engine.records.outbox import PUBLISHED

if TYPE_CHECKING:
    from holdfast.core.definitions import ActivityDefinition
    from holdfast.core.history import Event, RunStatus
    from holdfast.engine.records.outbox import Outgoing
    from holdfast.engine.records.pending import PendingActivity

__all__ = [
    "Abandon",
    "Admit",
    "Began",
    "Deliver",
    "Dispatch",
    "Effect",
    "Ended",
    "Publish",
    "Replied",
    "Retry",
    "Sweep",
    "Tell",
    "effect_of",
]


@dataclass(slots=True)
class Dispatch:
    """Run the attempt of an activity that is on."""

    pending: PendingActivity
    definition: ActivityDefinition


class Abandon(NamedTuple):
    """Ask a running attempt to stop; its result is no longer wanted."""

    run_id: str
    command_id: str


class Deliver(NamedTuple):
    """Carry out an effect on another run.

    Attributes:
        event: The command as it was recorded, where that is at hand and nothing of the run waits for its answer.
    """

    entry: Outgoing
    event: Event | None = None


class Publish(NamedTuple):
    """Publish an output.

    Attributes:
        event: As it was recorded; None where that has to be read.
        trace: The trace context of its run; may be empty.
    """

    entry: Outgoing
    event: Event | None
    trace: str


class Replied(NamedTuple):
    """An update has its answer: `UPDATE_COMPLETED` or `UPDATE_FAILED`; None where its run ended first."""

    update_id: str
    event: Event | None


class Began(NamedTuple):
    """A run has begun."""

    workflow: str


class Retry(NamedTuple):
    """An attempt of an activity has failed, and there is to be another."""

    activity: str


class Ended(NamedTuple):
    """A run has ended.

    Attributes:
        value: Its result or failure as JSON.
        next_run: The run that follows by continue-as-new; may be empty.
    """

    run_id: str
    workflow: str
    version: str
    status: RunStatus
    value: bytes
    next_run: str = ""


class Sweep(NamedTuple):
    """A run is purged: delete the documents that its tombstone still names."""


class Admit(NamedTuple):
    """Messages are held that the run may be able to take now."""


class Tell(NamedTuple):
    """Call the hooks of one kind."""

    hook: str
    payload: Any


Effect = Dispatch | Abandon | Deliver | Publish | Replied | Began | Retry | Ended | Sweep | Admit | Tell


def effect_of(entry: Outgoing, event: Event | None = None, trace: str = "") -> Deliver | Publish:
    """Say how an entry of an outbox is carried out.

    Args:
        entry: The entry.
        event: What was recorded, where that is at hand.
        trace: For that output, the trace context of its run; may be empty.
    """
    return Publish(entry, event, trace) if entry.kind in PUBLISHED else Deliver(entry, event)
