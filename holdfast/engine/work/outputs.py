"""Publishing what runs have asked for: one call at a time, at most one output of a workflow id in each."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from holdfast.core.errors import PublishError
from holdfast.core.outputs import output_of
from holdfast.engine.work.lines import Line, Lines
from holdfast.engine.work.recorded import recorded
from holdfast.engine.work.removals import Removals
from holdfast.ports import Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from holdfast.engine.commits.reader import Reader
    from holdfast.engine.runs.effects import Publish
    from holdfast.engine.runs.world import World
    from holdfast.engine.work.removals import Post
    from holdfast.ports import Publisher

__all__ = ["Outputs"]

_BYTES_PER_CALL: Final = 1024 * 1024
_LONGEST_CALL_SECONDS: Final = 60.0

# First and longest pause, in seconds: while the publisher is away; for an output that failed; for one that was refused.
_AWAY: Final = (0.05, 5.0)
_FAILED: Final = (0.1, 5.0)
_REFUSED: Final = (1.0, 60.0)


class Outputs:
    """The outputs of runs, from their commit until the publisher has them.

    While a call is under way the next one gathers. An output that cannot leave is tried until it can; it holds up the
    later ones of its own workflow id and no others.

    Attributes:
        published: How many have left.
    """

    def __init__(self, world: World, publisher: Publisher, reader: Reader, post: Post) -> None:
        """Publish nothing yet."""
        self.published = 0
        self._world = world
        self._log = world.host.logger
        self._publisher = publisher
        self._reader = reader
        self._loop = asyncio.get_running_loop()
        self._lines = Lines()
        self._removals = Removals(post)
        self._stuck_topics: Counter[str] = Counter()
        self._wake = asyncio.Event()
        self._quiet = asyncio.Event()
        self._calling = False
        self._outages = 0
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def deliver(self, workflow_id: str, output: Publish) -> None:
        """Publish an output after those that its workflow id has asked for before, unless it has left or is on its way.

        Args:
            workflow_id: Whose it is.
            output: As it stands in the outbox, and as it was recorded where that is at hand.
        """
        if not self._removals.holds(workflow_id, output.entry):
            self._lines.add(workflow_id, output)
            self._wake.set()

    @property
    def waiting(self) -> int:
        """How many outputs have not left."""
        return self._lines.count

    @property
    def busy(self) -> bool:
        """Whether outputs are leaving; those that could not leave and wait to be tried again do not count."""
        return not self._stopping and not self._outages and (self._calling or self._lines.any_fresh)

    async def run(self) -> None:
        """Publish until cancelled."""
        self._task = asyncio.current_task()
        while True:
            lines = [] if self._stopping else self._lines.take(self._loop.time())
            if lines:
                self._calling = True
                try:
                    await self._publish(lines)
                finally:
                    self._calling = False
            else:
                self._quiet.set()
                await self._rest()

    async def _rest(self) -> None:
        """Wait until there is something to publish, or to publish again."""
        self._wake.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(None if self._stopping else self._lines.next_due()):
                await self._wake.wait()

    async def _publish(self, lines: list[Line]) -> None:
        lines = self._fitting(await self._readable(lines))
        if not lines:
            return
        records = {line.workflow_id: _record_of(line) for line in lines}
        error = await self._call(list(records.values()))
        named = {**error.failed, **error.refused} if error is not None else {}
        if error is not None and not any(record.id in named for record in records.values()):
            self._lines.put_back(lines, self._loop.time())
            await self._away(str(error))
            return
        self._answered()
        for line in lines:
            record = records[line.workflow_id]
            if record.id in named:
                pauses = _REFUSED if error is not None and record.id in error.refused else _FAILED
                self._failed(line, record.topic, named[record.id], pauses)
            else:
                self._left(line)

    async def _call(self, records: Sequence[Record]) -> PublishError | None:
        """Call the publisher, and give what is wrong; None where all has gone through."""
        try:
            async with asyncio.timeout(_LONGEST_CALL_SECONDS):
                await self._publisher.publish(records)
        except PublishError as error:
            return error
        except OSError as error:  # time-outs and broken connections: it is away
            return PublishError(_words(error))
        except Exception as error:  # noqa: BLE001 - whatever one of the records has led it to
            words = _words(error)
            return PublishError(words, failed={record.id: words for record in records})
        return None

    # What becomes of them.

    def _left(self, line: Line) -> None:
        if line.failures:
            self._unstick(line)
        self.published += 1
        self._removals.add(line.workflow_id, self._lines.left(line))

    def _failed(self, line: Line, topic: str, why: str, pauses: tuple[float, float]) -> None:
        """Let an output wait, and tell of the first to its topic that has to."""
        if not line.failures:
            line.topic = topic
            if not self._stuck_topics[topic]:
                words = "an output of workflow %r to topic %r is tried until it leaves: %s"
                fields = {"workflow_id": line.workflow_id, "run_id": line.first.entry.run_id, "topic": topic}
                self._log.warning(words, line.workflow_id, topic, why, extra=fields)
            self._stuck_topics[topic] += 1
        line.failures += 1
        line.doubts += pauses is _FAILED
        self._world.stuck_outputs[line.workflow_id] = why
        pause = _pause(line.failures, pauses)
        self._lines.failed(line, _together(self._loop.time() + pause, pause / 4))

    def _unstick(self, line: Line) -> None:
        self._world.stuck_outputs.pop(line.workflow_id, None)
        self._stuck_topics[line.topic] -= 1
        if not self._stuck_topics[line.topic]:
            del self._stuck_topics[line.topic]
            self._log.warning("the outputs to topic %r leave again", line.topic)

    async def _away(self, why: str) -> None:
        """Wait before the publisher is called again, longer after each failure."""
        if not self._outages:
            self._log.warning("the publisher does not take outputs, and is called until it does: %s", why)
        self._world.publisher_trouble = why
        self._outages += 1
        self._quiet.set()
        await asyncio.sleep(_pause(self._outages, _AWAY) * (0.5 + self._world.chance() / 2))

    def _answered(self) -> None:
        if self._outages:
            self._log.warning("the publisher takes outputs again, after %d calls that failed", self._outages)
            self._world.publisher_trouble, self._outages = "", 0

    # What they carry.

    def _fitting(self, lines: list[Line]) -> list[Line]:
        """Put back the lines whose outputs are too many bytes for one call; one output always fits."""
        total = 0
        for position, line in enumerate(lines):
            event = line.first.event
            total += len(event.value) if event is not None else 0
            if total > _BYTES_PER_CALL and position:
                self._lines.put_back(lines[position:], self._loop.time())
                return lines[:position]
        return lines

    async def _readable(self, lines: list[Line]) -> list[Line]:
        """Read what the first outputs of lines carry where it is not held, and give the lines that could be read."""
        missing = [line for line in lines if line.first.event is None]
        if not missing:
            return lines
        found = await recorded(self._reader, missing)
        readable = []
        for line in lines:
            run = found.get(line.workflow_id)
            if isinstance(run, str):
                self._failed(line, "", run, _REFUSED)
                continue
            if run is not None:
                self._lines.fill(line, run.outputs, run.trace)
            readable.append(line)
        return readable

    # The end.

    async def stop(self, seconds: float) -> None:
        """Let what is ready leave within so many seconds, and have it stored; the rest is the next process's."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.busy:
                    self._quiet.clear()
                    await self._quiet.wait()
        self._stopping = True
        self._removals.store()

    def halt(self) -> None:
        """Publish nothing more."""
        self._stopping = True
        self._removals.halt()
        if self._task is not None:
            self._task.cancel()


def _record_of(line: Line) -> Record:
    """Make the record of the first output of a line; without a key of its own it has the workflow id."""
    waiting = line.first
    assert waiting.event is not None  # noqa: S101 - it has just been read, where it was not there
    output = output_of(waiting.event)
    key = output.key if output.key is not None else line.workflow_id
    message_id = waiting.entry.message_id(line.workflow_id)
    return Record(output.topic, key, output.value, message_id, output.content_type, waiting.trace)


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".removesuffix(": ")


def _pause(failures: int, pauses: tuple[float, float]) -> float:
    first, longest = pauses
    return min(longest, first * 2.0 ** min(failures - 1, 20))


def _together(due: float, apart: float) -> float:
    """Put an instant off a little, to one that others are put off to as well: so they can go in one call."""
    return math.ceil(due / apart) * apart
