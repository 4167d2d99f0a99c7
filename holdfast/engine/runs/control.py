"""What people and parents tell a run to do: cancel, end, stop and go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from holdfast.core.failure import FailureInfo
from holdfast.core.history import Event, EventType, RunStatus
from holdfast.engine.runs.duties import recover, terminate
from holdfast.engine.runs.items import Item, reason_details, require_open

if TYPE_CHECKING:
    from holdfast.engine.runs.run import Run

__all__ = ["Cancel", "Pause", "Resume", "Terminate"]


def _belongs(run: Run, parent: str) -> bool:
    return not parent or (run.head.parent is not None and run.head.parent.workflow_id == parent)


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
            run.happen(EventType.CANCEL_REQUESTED, now, details=reason_details(self.reason))
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
            run.record(Event(EventType.WORKFLOW_PAUSED, run.instant(now), details=reason_details(self.reason)))
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
            run.record(Event(EventType.WORKFLOW_RESUMED, run.instant(now), details=reason_details(self.reason)))
            run.head.status = RunStatus.RUNNING
            recover(run, now)
        return None
