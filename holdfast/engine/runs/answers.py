"""What comes for a ref of a run, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from holdfast.core.errors import PayloadError
from holdfast.core.history import EventType
from holdfast.core.refs import MAX_EARLY, refs_of
from holdfast.engine.runs.items import Item, require_open, require_run, trace_details

if TYPE_CHECKING:
    from holdfast.core.instance import Instance
    from holdfast.engine.runs.run import Run

__all__ = ["RefAnswer", "Resolution"]

_ANSWERS: Final = frozenset({EventType.REF_RESOLVED, EventType.REF_REJECTED})
_DROPPED: Final = "dropped "


class Resolution(StrEnum):
    """What became of an answer to a ref.

    Attributes:
        RESOLVED: The ref has it, or waits for it no longer than until its run goes on.
        KEPT: There is no such ref yet: the next one of that id gets it.
        DROPPED: The ref was answered or cancelled before.
    """

    RESOLVED = "resolved"
    KEPT = "kept"
    DROPPED = "dropped"


@dataclass(slots=True, kw_only=True)
class RefAnswer(Item):
    """A ref is answered.

    Attributes:
        ref: Its id.
        value: What it resolves to, or raises, as JSON.
        rejects: It raises.
        id: By which a duplicate is known; empty where there is nothing to know it by.
        trace: The trace context of the sender; may be empty.
        counted: How many times it has been counted as dropped.
    """

    ref: str
    value: bytes
    rejects: bool = False
    id: str = ""
    trace: str = ""
    counted: int = 0

    def apply(self, run: Run, now: int) -> Resolution:
        """Give it to the run, once for each id.

        Raises:
            WorkflowNotFoundError: The id has no run.
            WorkflowFinishedError: The run has ended.
            PayloadError: Too many answers wait for refs that do not exist yet.
        """
        require_run(run)
        known = self._known(run)
        if known is not None:
            return known
        require_open(run)
        resolution = self._later(run) if run.instance is None or run.deferred else self._fate(run.instance)
        if resolution is Resolution.DROPPED:
            self._drop(run, now)
            return resolution
        if self.id:
            run.remember(self.id, now)
        kind = EventType.REF_REJECTED if self.rejects else EventType.REF_RESOLVED
        run.happen(kind, now, id=self.id, name=self.ref, value=self.value, details=trace_details(self.trace))
        return resolution

    def take_back(self, run: Run) -> None:
        """Let it count no more as dropped: it is given to the run again."""
        run.world.dropped_answers -= self.counted
        self.counted = 0

    def _drop(self, run: Run, now: int) -> None:
        """Count it, and know it by another name than one that was taken: a duplicate is answered the same."""
        self.counted = 1
        run.world.dropped_answers += 1
        if self.id:
            run.remember(_DROPPED + self.id, now)
            run.changed = True

    def _known(self, run: Run) -> Resolution | None:
        """Say what became of it when it came before; None where it has not."""
        if not self.id:
            return None
        if self.id in run.seen:
            refs = run.instance.refs if run.instance is not None else None
            return Resolution.KEPT if refs is not None and refs.keeps(self.ref) else Resolution.RESOLVED
        return Resolution.DROPPED if _DROPPED + self.id in run.seen else None

    def _fate(self, instance: Instance) -> Resolution:
        refs = refs_of(instance)
        if refs.get(self.ref) is not None:
            return Resolution.RESOLVED
        if refs.drops(self.ref):
            return Resolution.DROPPED
        if not refs.has_room:
            raise self._no_room()
        return Resolution.KEPT

    def _later(self, run: Run) -> Resolution:
        """Take an answer for a run that does not go on now, no more of them than could be kept once it does."""
        refs = run.instance.refs if run.instance is not None else None
        deferred = sum(event.type in _ANSWERS for _, event in run.deferred)
        if deferred + (refs.waiting if refs is not None else 0) >= MAX_EARLY:
            raise self._no_room()
        return Resolution.RESOLVED

    def _no_room(self) -> PayloadError:
        message = f"{MAX_EARLY:,} answers wait for refs that do not exist yet: {self.ref!r} cannot wait as well"
        return PayloadError(message, too_large=True)
