"""The parts of an engine: how they are put together, opened, and closed again."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from holdfast.core.durations import Duration, milliseconds
from holdfast.core.errors import FencedError, StoreError, StoreUnavailableError
from holdfast.core.host import Host
from holdfast.core.outputs import RESUME_TOPIC
from holdfast.core.registry import Registry
from holdfast.engine.bus import LocalBus
from holdfast.engine.clock import SystemClock
from holdfast.engine.commits.checkpoint import CHECKPOINT_COMMITS, Checkpoints
from holdfast.engine.commits.committer import Committer
from holdfast.engine.commits.index import Index
from holdfast.engine.commits.letters import Letters
from holdfast.engine.commits.partition import Partition
from holdfast.engine.commits.reader import Reader
from holdfast.engine.commits.signs import Signs
from holdfast.engine.looking import Looking
from holdfast.engine.messages.resume import ResumeTopic
from holdfast.engine.messages.routing import SIGNALS_TOPIC, TopicMapping
from holdfast.engine.recovery import recover_runs
from holdfast.engine.runs.world import MAX_PAYLOAD_BYTES, World
from holdfast.engine.runtime import Runtime
from holdfast.engine.stats import EngineStats, outbox_of
from holdfast.engine.views import instant
from holdfast.engine.work.attempts import Attempts
from holdfast.engine.work.courier import Courier
from holdfast.engine.work.dead_letters import DeadLetters
from holdfast.engine.work.gate import Gate
from holdfast.engine.work.holding import Holding
from holdfast.engine.work.hooks import HookCaller, Hooks
from holdfast.engine.work.intake import Intake
from holdfast.engine.work.outputs import Outputs
from holdfast.engine.work.settling import Settling
from holdfast.engine.work.sweeper import Sweeper
from holdfast.engine.work.watchdog import Watchdog

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Sequence

    from holdfast.core.definitions import ActivityFunction, WorkflowFunction
    from holdfast.ports import Clock, Publisher, StateStore, Tracing

__all__ = ["EngineOptions", "Parts"]

_ENVELOPE_BYTES: Final = 16 * 1024
"""What a document needs besides the value in it."""


_LAST_OUTPUTS_SECONDS: Final = 2.0
"""How long the last outputs may take to leave when the engine closes; the next process publishes the others."""

_LAST_WRITES_SECONDS: Final = 5.0
"""How long the last writes may take when the engine closes, beyond the time that activities and outputs are given."""


def new_run_id() -> str:
    """Make an id of 16 characters that never repeats."""
    return secrets.token_urlsafe(12)


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How an engine behaves.

    Attributes:
        clock: Where the time comes from.
        ids: Makes ids that never repeat.
        chance: Draws a random number in [0, 1).
        publisher: Where outputs go; the engine opens and closes it.
        instance: Names this process across its restarts: a successor of the same name need not wait for it.
        partition: Which runs of the store are its own.
        max_cached_runs: How many runs stay in memory while nothing happens to them.
        max_async_activities: How many ``async def`` activities run at a time.
        max_threads: How many ``def`` activities run at a time.
        topics: How records of topics become signals; see `Engine.deliver`.
        resume_topic: The topic whose records start threads and answer refs; see `Engine.deliver`.
        resume_entry: The workflow that those records start where they name none themselves; empty for none.
        drain: How long running activities are waited for when it closes.
        dev_replay: For development: replay each run after its activations, and stall it at the first difference. A
            history of over 500 events is replayed as it grows by a tenth.
        checkpoint_commits: How many commits there are between two checkpoints of the index.
        tracing: Puts spans around activities, such as `holdfast.executors.open_telemetry` makes; None for no spans.
        on_fenced: Called when another process has taken the runs over.
        logger: Where it logs.
    """

    clock: Clock = field(default_factory=SystemClock)
    ids: Callable[[], str] = new_run_id
    chance: Callable[[], float] = random.random
    publisher: Publisher = field(default_factory=LocalBus)
    instance: str = field(default_factory=socket.gethostname)
    partition: str = "0"
    max_cached_runs: int = 10_000
    max_async_activities: int = 1_000
    max_threads: int = 32
    topics: Sequence[TopicMapping] = (TopicMapping(SIGNALS_TOPIC),)
    resume_topic: str = RESUME_TOPIC
    resume_entry: str = ""
    drain: Duration = 10.0
    dev_replay: bool = False
    checkpoint_commits: int = CHECKPOINT_COMMITS
    tracing: Tracing | None = None
    on_fenced: Callable[[FencedError], None] | None = None
    logger: logging.Logger = field(default_factory=lambda: logging.getLogger("holdfast"))


class Parts:
    """The parts of one engine.

    Attributes:
        store: Where runs are kept.
        index: A little about every run.
        world: What runs share; present once it is open.
        runtime: Runs in memory, and their turns; present once it is open.
        looking: Answers questions about runs; present once it is open.
        intake: Takes in what comes from topics; present once it is open.
        holding: Messages that are early; present once it is open.
        dead_letters: What found no run; present once it is open.
        letters: The numbers of both; present once it is open.
        watchdog: Looks for workflow code that does not yield.
    """

    world: World
    runtime: Runtime
    looking: Looking
    intake: Intake
    holding: Holding
    dead_letters: DeadLetters
    letters: Letters

    def __init__(
        self,
        store: StateStore,
        workflows: Iterable[WorkflowFunction],
        activities: Iterable[ActivityFunction],
        hooks: Hooks | None,
        options: EngineOptions,
    ) -> None:
        """Read the functions; nothing is opened yet."""
        self.store = store
        self.registry = Registry.of(workflows, activities)
        self.options = options
        self.log = options.logger
        self.index = Index()
        self.watchdog = Watchdog(self.log)
        self._hooks = HookCaller(hooks, self.log)
        self._tracing = options.tracing
        self._reader = Reader(store, options.chance, self.log)
        self._tasks: list[asyncio.Task[None]] = []
        self._state = "new"
        self._committed_at = 0
        self._closed = asyncio.Event()

    # Opening.

    async def open(self) -> None:
        """Open the store, take ownership, build the index, and take up what was going on."""
        if self._state != "new":
            message = "an engine is opened once"
            raise StoreError(message)
        await self.store.open()
        try:
            await self.options.publisher.open()
            await self._open_parts()
        except BaseException:
            await self.options.publisher.close()
            await self.store.close()
            raise

    async def _open_parts(self) -> None:
        options = self.options
        self.world = self._make_world()
        partition = Partition(self.store, self._reader, options.partition, options.instance, self.world.token, self.log)
        letters = Letters()
        await partition.take(self.index, letters)
        self.world.follows_clean_end = partition.was_released
        self.world.owner_since = options.clock.now()
        runtime = self.runtime = Runtime(
            self.world, self.index, self._reader, self._hooks, max_cached=options.max_cached_runs
        )
        runtime.atomic = self.store.capabilities.atomic_batch
        runtime.watchdog = self.watchdog
        runtime.on_fenced = self._fenced
        committer = runtime.committer = Committer(self.store, partition, self._reader, runtime, self.log)
        runtime.settling = Settling(runtime.settle, overlap=not self.store.capabilities.exclusive)
        runtime.attempts = Attempts(
            self.world,
            runtime.submit,
            partition.lease,
            max_async=options.max_async_activities,
            max_threads=options.max_threads,
        )
        runtime.attempts.tracing = self._tracing
        runtime.courier = Courier(self.world, self._reader, runtime, options.resume_topic)
        runtime.outputs = Outputs(self.world, options.publisher, self._reader, runtime)
        self.looking = Looking(runtime, self.index, self._reader, self.registry)
        runtime.sweeper = Sweeper(self._reader, committer, runtime, self.log)
        self.dead_letters = runtime.dead_letters = DeadLetters(
            self.world, self._reader, committer, letters, partition.name, self.store.capabilities.max_value_bytes
        )
        gate = Gate(self.world, runtime, options.topics, ResumeTopic(options.resume_topic, options.resume_entry))
        self.holding = runtime.holding = Holding(self.world, self._reader, gate, self.dead_letters, letters, self.index)
        self.intake = Intake(options.clock, gate, self.holding, self.dead_letters)
        self.letters = letters
        self.committer, self._partition = committer, partition
        self._checkpoints = Checkpoints(partition, self.index, committer, options.checkpoint_commits)
        committer.on_commit = self._after_commit
        self.watchdog.start()
        self._spawn(committer.run())
        self._spawn(runtime.settling.run())
        self._spawn(runtime.outputs.run())
        if self.store.capabilities.exclusive:
            partition.lease.hold_for_ever()
        else:
            self._spawn(Signs(partition, committer).run())
        self._state = "open"
        await self.holding.open()
        await recover_runs(runtime, self.index, self._reader)

    def _after_commit(self) -> None:
        self._committed_at = self.options.clock.now()
        self._checkpoints.look()
        self.runtime.attempts.tidy()

    def _make_world(self) -> World:
        options = self.options
        limit = min(MAX_PAYLOAD_BYTES, self.store.capabilities.max_value_bytes - _ENVELOPE_BYTES)
        host = Host(self.registry, limit, random.Random, self.log)  # the run's own stream, from its recorded seed
        return World(
            host,
            options.clock,
            options.ids,
            options.chance,
            verify=options.dev_replay,
            hooked=self._hooks.wanted,
            token=options.ids(),
        )

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(self._check)
        self._tasks.append(task)

    def _check(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.log.critical("the engine has stopped", exc_info=task.exception())
            self.runtime.fenced(FencedError(f"the engine has stopped: {task.exception()}"))

    def _fenced(self, error: FencedError) -> None:
        if self.options.on_fenced is not None:
            self.options.on_fenced(error)

    # Closing.

    async def close(self) -> None:
        """Let activities end, persist what they return, give ownership up, close the store.

        A store that does not answer is not waited for longer than activities are: what was not acknowledged is taken
        up by the next process.
        """
        if self._state != "open":
            if self._state in {"closing", "closed"}:
                await self._closed.wait()
            return
        self._state = "closing"
        try:
            await self._close()
        finally:
            self._closed.set()

    async def _close(self) -> None:
        drain = milliseconds(self.options.drain, "drain") / 1000
        answered = True
        await self.runtime.attempts.stop(drain)
        try:
            async with asyncio.timeout(drain + _LAST_OUTPUTS_SECONDS + _LAST_WRITES_SECONDS):
                await self.runtime.runs_settled()
                await self.runtime.outputs.stop(_LAST_OUTPUTS_SECONDS)
                await self.runtime.settled()
                await self._leave()
        except TimeoutError:
            answered = False
            self.log.warning("the store does not answer: the engine closes without its last writes")
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        if not answered:
            await self._give_up()
        await self._hooks.flush()
        self.watchdog.stop()
        self._state = "closed"
        await self.options.publisher.close()
        await self.store.close()

    async def _leave(self) -> None:
        """Take the runs out of memory, write the index down, and let a successor begin at once."""
        fenced = self.runtime.closed_by is not None
        await self.runtime.courier.stop()
        await self.runtime.sweeper.stop()
        self.holding.stop()
        self.runtime.dismiss(self.runtime.closed_by or StoreError("the engine is closed"))
        await self.runtime.stop()
        if not fenced:
            self._checkpoints.write()
            await self.committer.drained()
            self.committer.add_chore([self._partition.release()])
            await self.committer.drained()

    async def _give_up(self) -> None:
        """Let go of what still waits for the store, and tell whoever waits for its answer."""
        await self.runtime.courier.stop()
        await self.runtime.sweeper.stop()
        self.holding.stop()
        self.runtime.arrivals.stop()
        await self.runtime.abandon(StoreUnavailableError("the engine was closed before the store answered"))

    # Looking.

    def require_open(self) -> Parts:
        """Give the parts, if they are ready for work.

        Raises:
            StoreError: The engine is not open.
            FencedError: Another process owns the runs.
        """
        if self._state == "open":
            if self.runtime.closed_by is not None:
                raise self.runtime.closed_by
            return self
        message = f"the engine is {self._state}, not open"
        raise StoreError(message)

    def not_ready(self) -> str:
        """Say why work cannot be taken now; empty where it can."""
        if self._state != "open":
            return f"the engine is {self._state}"
        if self.runtime.closed_by is not None:
            return str(self.runtime.closed_by)
        return f"the store does not answer: {self._reader.trouble}" if self._reader.trouble else ""

    def observe(self, hooks: Hooks) -> None:
        """Call these hooks too."""
        self._hooks.add(hooks)
        if self._state == "open":
            self.world.hooked = True

    def trace_with(self, tracing: Tracing) -> None:
        """Run activities in spans from now on."""
        self._tracing = tracing
        if self._state == "open":
            self.runtime.attempts.tracing = tracing

    def stats(self) -> EngineStats:
        """Count what goes on."""
        runtime = self.require_open().runtime
        attempts = runtime.attempts
        return EngineStats(
            self.index.count(),
            len(runtime.live),
            self.committer.commits,
            self.committer.written,
            attempts.running,
            attempts.abandoned,
            len(self.holding.shelf),
            self.letters.last_dead,
            dict(runtime.began),
            dict(runtime.ended),
            runtime.arrivals.loaded,
            runtime.evicted,
            outbox_of(runtime.live.values()),
            {name: numbers.stats() for name, numbers in attempts.numbers.items()},
            self.committer.stats(),
            instant(self._committed_at) if self._committed_at else None,
            self._checkpoints.stats(),
            self._reader.retries,
            runtime.outputs.waiting,
            runtime.outputs.published,
            len(runtime.world.stuck_outputs),
            runtime.world.dropped_answers,
            runtime.world.dropped_refs,
        )
