"""Outputs that wait to leave: a line for each workflow id, of which only the first may go."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast.core.history import Event
    from holdfast.engine.records.outbox import Outgoing
    from holdfast.engine.runs.effects import Publish

__all__ = ["Line", "Lines", "Waiting"]

_AT_A_TIME: Final = 100
_HELD_BYTES: Final = 32 * 1024 * 1024


@dataclass(slots=True)
class Waiting:
    """An output that has not left.

    Attributes:
        event: As it was recorded; None where it has to be read.
        trace: The trace context of its run; may be empty.
    """

    entry: Outgoing
    event: Event | None = None
    trace: str = ""


class Line:
    """The outputs of one workflow id that have not left, the oldest first.

    Attributes:
        failures: How often the first of them was tried in vain.
        doubts: How often that may have been for another output of the same call.
        topic: Where the first of them goes, once it has failed.
    """

    __slots__ = ("doubts", "failures", "topic", "waiting", "workflow_id")

    def __init__(self, workflow_id: str) -> None:
        """Begin an empty line."""
        self.workflow_id = workflow_id
        self.waiting: dict[tuple[str, int], Waiting] = {}
        self.failures = 0
        self.doubts = 0
        self.topic = ""

    @property
    def first(self) -> Waiting:
        """The one that is to leave next."""
        return next(iter(self.waiting.values()))


class Lines:
    """All lines, those that may go now and those that wait after a failure.

    What the outputs carry is held in memory up to a limit; beyond it, it has to be read again when the turn comes.

    Attributes:
        count: How many outputs wait.
    """

    def __init__(self) -> None:
        """Begin with none."""
        self.count = 0
        self._lines: dict[str, Line] = {}
        self._fresh: deque[Line] = deque()
        self._failed: list[tuple[float, int, Line]] = []
        self._order = itertools.count()
        self._held_bytes = 0
        self._failed_went_last = False

    def add(self, workflow_id: str, output: Publish) -> None:
        """Put an output at the end of its line, unless it stands there already."""
        line = self._lines.get(workflow_id)
        if line is None:
            line = self._lines[workflow_id] = Line(workflow_id)
            self._fresh.append(line)
        key = (output.entry.run_id, output.entry.number)
        if key not in line.waiting:
            line.waiting[key] = waiting = Waiting(output.entry)
            self.count += 1
            if output.event is not None and self._held_bytes < _HELD_BYTES:
                self._hold(waiting, output.event, output.trace)

    @property
    def any_fresh(self) -> bool:
        """Whether an output waits that has not failed."""
        return bool(self._fresh)

    def next_due(self) -> float | None:
        """Say when the next one that has failed is to be tried again; None where none has."""
        return self._failed[0][0] if self._failed else None

    def take(self, now: float) -> list[Line]:
        """Take the lines whose first outputs go into the next call; each is given back by one of the calls below.

        What has failed goes in calls of its own. Where the publisher cannot tell which output it was for, they become
        smaller with each failure: so one that it will not take is alone in the end.
        """
        due = bool(self._failed) and self._failed[0][0] <= now
        self._failed_went_last = due and not (self._fresh and self._failed_went_last)
        if not self._failed_went_last:
            return [self._fresh.popleft() for _ in range(min(_AT_A_TIME, len(self._fresh)))]
        taken: list[Line] = []
        doubts = 0
        while self._failed and self._failed[0][0] <= now:
            doubts = max(doubts, self._failed[0][2].doubts)
            if taken and len(taken) >= _AT_A_TIME >> doubts:
                break
            taken.append(heapq.heappop(self._failed)[2])
        return taken

    def left(self, line: Line) -> Outgoing:
        """Strike the first output of a line: it has left. Gives its entry."""
        key, waiting = next(iter(line.waiting.items()))
        self._drop(waiting)
        del line.waiting[key]
        self.count -= 1
        line.failures, line.doubts, line.topic = 0, 0, ""
        if line.waiting:
            self._fresh.append(line)
        else:
            del self._lines[line.workflow_id]
        return waiting.entry

    def failed(self, line: Line, due: float) -> None:
        """Let a line wait until an instant, as the loop tells it: its first output could not leave."""
        self._let_go(line.first)
        heapq.heappush(self._failed, (due, next(self._order), line))

    def put_back(self, lines: Sequence[Line], now: float) -> None:
        """Let lines go first again: nothing is known of their outputs."""
        for line in reversed(lines):
            self._let_go(line.first)
            if line.failures:
                heapq.heappush(self._failed, (now, -next(self._order), line))
            else:
                self._fresh.appendleft(line)

    # What they carry.

    def fill(self, line: Line, outputs: Mapping[str, Event], trace: str) -> None:
        """Take over what has been read of the run of the first output: that one's, and others' while there is room.

        Args:
            line: The line.
            outputs: By the ids of their commands.
            trace: The trace context of the run; may be empty.
        """
        first = line.first
        for waiting in line.waiting.values():
            if waiting is not first and (self._held_bytes >= _HELD_BYTES or waiting.entry.run_id != first.entry.run_id):
                return
            event = outputs.get(waiting.entry.command_id)
            if waiting.event is None and event is not None:
                self._hold(waiting, event, trace)

    def _hold(self, waiting: Waiting, event: Event, trace: str) -> None:
        waiting.event, waiting.trace = event, trace
        self._held_bytes += len(event.value)

    def _let_go(self, waiting: Waiting) -> None:
        """Forget what an output carries if too much is held."""
        if self._held_bytes > _HELD_BYTES:
            self._drop(waiting)

    def _drop(self, waiting: Waiting) -> None:
        if waiting.event is not None:
            self._held_bytes -= len(waiting.event.value)
            waiting.event = None
