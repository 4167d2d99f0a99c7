"""Running the attempts of activities: ``async def`` on the engine's loop, ``def`` on threads of their own."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict, deque
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Final

from holdfast.core.activities import ActivityContext
from holdfast.core.codec import decode_json, encode
from holdfast.core.errors import FencedError, StoreError
from holdfast.core.trace import Trace
from holdfast.engine.runs.results import ActivityDone, ActivityFailed, CutOff, Heartbeat, NotBegun
from holdfast.engine.work.numbers import ActivityNumbers
from holdfast.engine.work.spans import traced
from holdfast.engine.work.threads import ThreadPool

if TYPE_CHECKING:
    from collections.abc import Callable

    from holdfast.core.activities import ActivityOptions
    from holdfast.core.definitions import ActivityDefinition
    from holdfast.engine.commits.lease import Lease
    from holdfast.engine.records.head import Head
    from holdfast.engine.records.pending import PendingActivity
    from holdfast.engine.runs.items import Item
    from holdfast.engine.runs.world import World
    from holdfast.ports import Timer, Tracing

__all__ = ["Attempts"]

_HEARTBEAT_LIMIT: Final = 16 * 1024
_HEARTBEATS_KEPT_PER_TIMEOUT: Final = 3
_NO_TRACE: Final = Trace("")
_TASK_NAME: Final = "holdfast-activity"  # one name for all: making one for each takes time


class _Attempt:
    """One attempt, from its dispatch to its end."""

    context: ActivityContext | None = None
    task: asyncio.Task[None] | None = None
    timer: Timer | None = None
    heartbeat_timer: Timer | None = None
    beat_at = 0
    kept_at = 0
    began = 0.0
    holds_place = False

    def __init__(self, workflow_id: str, run_id: str, pending: PendingActivity, definition: ActivityDefinition) -> None:
        self.workflow_id = workflow_id
        self.key = (run_id, pending.id)
        self.number = pending.attempt
        self.pending = pending
        self.definition = definition

    @property
    def command_id(self) -> str:
        """The call, within its run."""
        return self.key[1]

    @property
    def begun(self) -> bool:
        """Whether its body has been called."""
        return self.began != 0

    @property
    def run_id(self) -> str:
        """The run that called."""
        return self.key[0]

    def give_context(self, heartbeat: Callable[[object], None], trace: Trace) -> None:
        """Make what the activity is told, if it asks to be."""
        limit_ms = self.pending.options.timeout_ms
        self.context = ActivityContext(
            self.workflow_id,
            self.command_id,
            self.number,
            f"{self.workflow_id}/{self.run_id}/{self.command_id}",
            timeout=None if limit_ms is None else limit_ms / 1000,
            last_heartbeat=self.pending.heartbeat,
            heartbeat=heartbeat,
            traceparent=trace.parent,
            tracestate=trace.state,
        )

    def done(self, value: object, limit: int) -> ActivityDone:
        """Say that it has returned a value.

        Raises:
            PayloadError: The value is not JSON, or too large.
        """
        raw = encode(value, self.definition.result_words, limit=limit)
        run_id, command_id = self.key
        return ActivityDone(run_id=run_id, command_id=command_id, attempt=self.number, value=raw)

    def failed(self, error: BaseException) -> ActivityFailed:
        """Say that it has raised, or was given up."""
        return ActivityFailed(run_id=self.key[0], command_id=self.command_id, attempt=self.number, error=error)


class Attempts:
    """The attempts that are running, and those that wait for a place.

    They know nothing of instances: a run may leave memory and come back while its activities go on.

    Attributes:
        abandoned: How many attempts on threads were given up on and have not returned.
        tracing: Puts spans around them; None for no spans.
        numbers: What became of them, by the name of the activity.
    """

    def __init__(
        self, world: World, submit: Callable[[str, Item], None], lease: Lease, *, max_async: int, max_threads: int
    ) -> None:
        """Run nothing yet.

        Args:
            world: What runs share.
            submit: Takes what an attempt ends in.
            lease: Has to hold when a body begins: what was dispatched may have waited for its place for long.
            max_async: How many ``async def`` attempts run at a time.
            max_threads: How many ``def`` attempts run at a time.
        """
        self.abandoned = 0
        self.tracing: Tracing | None = None
        self.numbers: defaultdict[str, ActivityNumbers] = defaultdict(ActivityNumbers)
        self._world = world
        self._post = submit
        self._lease = lease
        self._max_async = max_async
        self._running_async = 0
        self._threads = ThreadPool(max_threads, "holdfast-activity")
        self._attempts: dict[tuple[str, str], _Attempt] = {}
        self._queue: deque[_Attempt] = deque()
        self._loop = asyncio.get_running_loop()
        self._quiet = asyncio.Event()
        self._stopping = False
        self._beginning = threading.Lock()
        """Held while an attempt begins on a thread, and while one is given up on: only one of the two happens first."""

    def tidy(self) -> None:
        """Keep what is noted of attempts from piling up."""
        for numbers in self.numbers.values():
            numbers.tidy()

    @property
    def running(self) -> int:
        """How many attempts are running or wait for a place."""
        return len(self._attempts)

    def dispatch(self, head: Head, pending: PendingActivity, definition: ActivityDefinition) -> None:
        """Run an attempt for the run of a head as soon as there is a place for it."""
        if self.tracing is not None:
            definition = traced(definition, self.tracing, head, pending)
        attempt = _Attempt(head.workflow_id, head.run_id, pending, definition)
        self._world.in_flight.add(attempt.key)
        if self._stopping:
            self._submit(attempt.workflow_id, NotBegun(run_id=attempt.run_id, command_id=attempt.command_id))
            return
        self._attempts[attempt.key] = attempt
        if definition.wants_context:
            attempt.give_context(lambda details: self._on_heartbeat(attempt, details), head.trace or _NO_TRACE)
        if not definition.is_async:
            self._start_on_thread(attempt)
        elif self._running_async < self._max_async:
            self._start_async(attempt)
        else:
            self._queue.append(attempt)

    def abandon(self, run_id: str, command_id: str) -> None:
        """Give up on an attempt: ask it to stop, wait for nothing, and drop what it may still return."""
        self._world.in_flight.discard((run_id, command_id))
        attempt = self._attempts.get((run_id, command_id))
        if attempt is not None:
            self.numbers[attempt.definition.name].canceled += 1
            self._drop(attempt)

    def _drop(self, attempt: _Attempt) -> None:
        with self._beginning:
            self._forget(attempt)
        if attempt.context is not None:
            attempt.context.cancel()
        if attempt.task is not None:
            attempt.task.cancel()
            self._free_place(attempt)
        elif attempt.begun:
            self.abandoned += 1
            self._threads.replace_one()

    def _forget(self, attempt: _Attempt) -> None:
        self._attempts.pop(attempt.key, None)
        if attempt.timer is not None:
            attempt.timer.cancel()
        if attempt.heartbeat_timer is not None:
            attempt.heartbeat_timer.cancel()
        if self._stopping and not self._attempts:
            self._quiet.set()

    def _submit(self, workflow_id: str, item: Item) -> None:
        """Pass on what has come of an attempt; nobody wants it where the runs are another process's by now."""
        with suppress(FencedError, StoreError):
            self._post(workflow_id, item)

    def _is_on(self, attempt: _Attempt) -> bool:
        return self._attempts.get(attempt.key) is attempt

    # On the loop.

    def _start_async(self, attempt: _Attempt) -> None:
        self._running_async += 1
        attempt.holds_place = True
        attempt.task = asyncio.Task(self._run_async(attempt), loop=self._loop, name=_TASK_NAME)

    async def _run_async(self, attempt: _Attempt) -> None:
        item: Item
        try:
            while not self._lease.holds:
                await self._lease.proof()
            attempt.began = monotonic()
            options = attempt.pending.options
            if options.limits_attempts:
                self._limit(attempt, options)
            answer = await attempt.definition.invoke(attempt.pending.value, attempt.context)
            item = attempt.done(answer, self._world.host.payload_limit)
        except BaseException as error:  # noqa: BLE001 - even an exit is the end of one attempt, not of the engine
            item = attempt.failed(error)
            self.numbers[attempt.definition.name].failed += self._is_on(attempt)
        self._free_place(attempt)
        if self._attempts.get(attempt.key) is attempt:
            self.numbers[attempt.definition.name].took.append(monotonic() - attempt.began)
            self._forget(attempt)
            self._submit(attempt.workflow_id, item)

    def _free_place(self, attempt: _Attempt) -> None:
        """Let the next attempt begin; one that was given up on has freed its place before it ends, if it ever does."""
        if not attempt.holds_place:
            return
        attempt.holds_place = False
        self._running_async -= 1
        while self._queue and not self._stopping:
            following = self._queue.popleft()
            if self._is_on(following):
                self._start_async(following)
                return

    # On a thread.

    def _start_on_thread(self, attempt: _Attempt) -> None:
        self._threads.submit(lambda: self._run_on_thread(attempt))

    def _wait_for_proof(self, attempt: _Attempt) -> None:
        self._lease.proof().add_done_callback(lambda _proof: self._start_on_thread(attempt))

    def _run_on_thread(self, attempt: _Attempt) -> None:
        item: Item
        try:
            with self._beginning:
                if not self._is_on(attempt) or self._stopping:
                    return
                if not self._lease.holds:
                    self._loop.call_soon_threadsafe(self._wait_for_proof, attempt)
                    return
                attempt.began = monotonic()
            self._loop.call_soon_threadsafe(self._limit, attempt, attempt.pending.options)
            answer = attempt.definition.invoke(attempt.pending.value, attempt.context)
            item = attempt.done(answer, self._world.host.payload_limit)
        except BaseException as error:  # noqa: BLE001 - even an exit is the end of one attempt, not of the thread
            item = attempt.failed(error)
        try:
            self._loop.call_soon_threadsafe(self._end_thread, attempt, item)
        except RuntimeError:
            return  # the loop is closed: the process ends, and the attempt counts as interrupted

    def _end_thread(self, attempt: _Attempt, item: Item) -> None:
        if self._is_on(attempt):
            if type(item) is ActivityFailed:
                self.numbers[attempt.definition.name].failed += 1
            self.numbers[attempt.definition.name].took.append(monotonic() - attempt.began)
            self._forget(attempt)
            self._submit(attempt.workflow_id, item)
        else:
            self.abandoned -= 1
            self._threads.regain_one()

    # How an attempt goes.

    def _limit(self, attempt: _Attempt, options: ActivityOptions) -> None:
        """Start the attempt's clocks: its body starts now."""
        now = self._world.clock.now()
        if options.timeout_ms is not None:
            message = f"activity {attempt.definition.name!r} did not return within {options.timeout_ms / 1000:g} s"
            attempt.timer = self._world.clock.call_at(
                now + options.timeout_ms, lambda: self._time_out(attempt, message)
            )
        if options.heartbeat_ms is not None:
            attempt.beat_at = now
            self._watch_heart(attempt)

    def _time_out(self, attempt: _Attempt, message: str) -> None:
        if self._is_on(attempt):
            numbers = self.numbers[attempt.definition.name]
            numbers.took.append(monotonic() - attempt.began)
            numbers.timed_out += 1
            self._drop(attempt)
            self._submit(attempt.workflow_id, attempt.failed(TimeoutError(message)))

    def _watch_heart(self, attempt: _Attempt) -> None:
        silence = attempt.pending.options.heartbeat_ms or 0
        if self._world.clock.now() - attempt.beat_at >= silence:
            message = f"activity {attempt.definition.name!r} gave no heartbeat within {silence / 1000:g} s"
            self._time_out(attempt, message)
        elif self._is_on(attempt):
            attempt.heartbeat_timer = self._world.clock.call_at(
                attempt.beat_at + silence, lambda: self._watch_heart(attempt)
            )

    def _on_heartbeat(self, attempt: _Attempt, details: object) -> None:
        """Take a heartbeat, from whichever thread it comes."""
        raw = encode(details, "heartbeat", limit=_HEARTBEAT_LIMIT)
        self._loop.call_soon_threadsafe(self._beat, attempt, raw)

    def _beat(self, attempt: _Attempt, raw: bytes) -> None:
        now = self._world.clock.now()
        attempt.beat_at = now
        pause = (attempt.pending.options.heartbeat_ms or 0) / _HEARTBEATS_KEPT_PER_TIMEOUT
        if self._is_on(attempt) and now - attempt.kept_at >= pause:
            attempt.kept_at = now
            beat = Heartbeat(
                run_id=attempt.run_id,
                command_id=attempt.command_id,
                attempt=attempt.number,
                details=decode_json(raw),
            )
            self._submit(attempt.workflow_id, beat)

    # The end.

    async def stop(self, grace: float) -> None:
        """Begin nothing more, and give what is running a while to end.

        What has not begun is noted as such; what does not end in time is asked to stop, and made anew by the next
        process.
        """
        with self._beginning:
            self._stopping = True
        for attempt in [attempt for attempt in self._attempts.values() if not attempt.begun]:
            self._drop(attempt)
            self._submit(attempt.workflow_id, NotBegun(run_id=attempt.run_id, command_id=attempt.command_id))
        if self._attempts:
            self._quiet.clear()
            try:
                async with asyncio.timeout(grace):
                    await self._quiet.wait()
            except TimeoutError:
                pass  # said in the docstring: these are cut off, and made anew
        tasks = [attempt.task for attempt in self._attempts.values() if attempt.task is not None]
        for attempt in list(self._attempts.values()):
            self._drop(attempt)
            self._submit(attempt.workflow_id, CutOff(run_id=attempt.run_id, command_id=attempt.command_id))
        if tasks:
            await asyncio.wait(tasks, timeout=1.0)
        self._threads.stop()
