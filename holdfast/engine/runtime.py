"""The middle of the engine: gives each run its turn, hands its change to the committer, and acts on the verdict.

A turn: what has come for a run is applied to it, one item after the other; if that changed it, its documents are
committed together with those of all other runs that moved; only then are its effects carried out and its callers
answered. A run has no other turn while its commit is in flight.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from holdfast.core.errors import FencedError, HoldfastError, StoreError
from holdfast.core.failure import FailureInfo
from holdfast.core.history import RunStatus
from holdfast.engine.perform import PERFORM
from holdfast.engine.runs.change import Change, Slot
from holdfast.engine.runs.duties import next_wake
from holdfast.engine.runs.items import CatchUp, Item, Recover, WakeUp
from holdfast.engine.runs.run import Run
from holdfast.engine.runs.writing import collect
from holdfast.engine.work.alarm import Alarm
from holdfast.engine.work.arrivals import Arrivals
from holdfast.engine.work.waiters import Waiters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from holdfast.core.history import Event
    from holdfast.engine.commits.committer import Committer
    from holdfast.engine.commits.index import Index, IndexEntry
    from holdfast.engine.commits.reader import Reader
    from holdfast.engine.runs.effects import Ended
    from holdfast.engine.runs.world import World
    from holdfast.engine.work.attempts import Attempts
    from holdfast.engine.work.courier import Courier
    from holdfast.engine.work.dead_letters import DeadLetters
    from holdfast.engine.work.holding import Holding
    from holdfast.engine.work.hooks import HookCaller
    from holdfast.engine.work.outputs import Outputs
    from holdfast.engine.work.settling import Settling
    from holdfast.engine.work.sweeper import Sweeper
    from holdfast.engine.work.watchdog import Watchdog

__all__ = ["Runtime"]

_TURNS_PER_TICK: Final = 500
# How a wait for rest looks again: at once some turns, then by the millisecond, so that long work does not burn the CPU.
_QUICK_TURNS: Final = 100
_SETTLE_SECONDS: Final = 0.001

# Looking a member of an enumeration up is slow, and these are needed at each step.
_IDLE, _DIRTY, _BUSY, _RUNNING = Slot.IDLE, Slot.DIRTY, Slot.BUSY, RunStatus.RUNNING


class Runtime:
    """Runs in memory, and their turns.

    Attributes:
        live: The runs in memory, least recently used first.
        outcomes: Who waits for the end of a run, by workflow id and run id.
        replies: Who waits for the reply of an update, by workflow id and update id.
        watchers: Who wants to know when a workflow id has moved.
        began: How many runs have begun, by workflow.
        ended: How many have ended, by workflow and status.
        evicted: How many have left memory to make room.
        closed_by: Why nothing more is taken: the engine is closed, or another process owns the runs; None while it is.
        atomic: The store writes a batch as a whole.
        watchdog: Is told whose turn it is.
        on_fenced: Is told when another process has taken over.
    """

    committer: Committer
    settling: Settling
    attempts: Attempts
    courier: Courier
    holding: Holding
    dead_letters: DeadLetters
    outputs: Outputs
    sweeper: Sweeper
    watchdog: Watchdog
    on_fenced: Callable[[FencedError], None]

    def __init__(self, world: World, index: Index, reader: Reader, hooks: HookCaller, *, max_cached: int) -> None:
        """Begin with no run in memory; the committer, attempts and courier are attached before the first turn."""
        self.world = world
        self.index = index
        self.hooks = hooks
        self.live: dict[str, Run] = {}
        self.outcomes: Waiters[tuple[str, str], Ended] = Waiters()
        self.replies: Waiters[tuple[str, str], Event | None] = Waiters()
        self.watchers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self.began: Counter[str] = Counter()
        self.ended: Counter[tuple[str, RunStatus]] = Counter()
        self.evicted = 0
        self.closed_by: StoreError | FencedError | None = None
        self.atomic = True
        self.alarm = Alarm(world.clock, self.wake)
        self.arrivals = Arrivals(self, reader)
        self._max_cached = max_cached
        self._loop = asyncio.get_running_loop()
        self._dirty: list[Run] = []
        self._tick_due = False
        self._late: dict[str, IndexEntry] = {}

    # What comes in.

    def submit(self, workflow_id: str, item: Item) -> None:
        """Put something into a run's inbox; the run is read if it is not in memory.

        Raises:
            StoreError: The engine is closed.
            FencedError: Another process owns the runs.
        """
        if self.closed_by is not None:
            raise self.closed_by
        run = self.live.get(workflow_id)
        if run is None:
            run = self.live[workflow_id] = Run(workflow_id, self.world)
            run.inbox.append(item)
            if item.creates and self.index.get(workflow_id) is None:
                self.mark(run)
            else:
                self.arrivals.read(run)
            return
        run.inbox.append(item)
        if run.slot is _IDLE:
            self.mark(run)

    async def ask(self, workflow_id: str, item: Item) -> Any:  # noqa: ANN401 - each item has its own answer
        """Submit something and wait until what came of it is durable."""
        item.answer = self._loop.create_future()
        self.submit(workflow_id, item)
        return await item.answer

    def sequences(self, workflow_id: str) -> Mapping[str, int] | None:
        """Say up to which number the messages of each source are applied to a run; None if it is not in memory."""
        run = self.live.get(workflow_id)
        return run.seen.sequences if run is not None and run.slot is not Slot.LOADING else None

    def wake(self, workflow_id: str) -> None:
        """Let a run do what is due."""
        run = self.live.get(workflow_id)
        if run is not None:
            run.wake = 0
        if self.closed_by is None:
            self.submit(workflow_id, WakeUp())

    @property
    def idle(self) -> bool:
        """Whether nothing goes on that does not wait for time or for somebody outside."""
        return not self.outputs.busy and self.runs_idle

    @property
    def runs_idle(self) -> bool:
        """Whether that is so but for outputs that are leaving."""
        return not (
            self._dirty
            or self.settling
            or self.arrivals.expected
            or self.attempts.running
            or self.courier.busy
            or self.holding.busy
            or self.sweeper.busy
            or not self.committer.idle
        )

    async def settled(self) -> None:
        """Wait until it is idle, or closed; most come to rest within a few turns of the loop."""
        await self._until(lambda: self.idle)

    async def runs_settled(self) -> None:
        """Wait until it is idle but for outputs that are leaving, or closed."""
        await self._until(lambda: self.runs_idle)

    async def _until(self, holds: Callable[[], bool]) -> None:
        turns = 0
        while not holds() and self.closed_by is None:
            turns += 1
            await asyncio.sleep(0 if turns < _QUICK_TURNS else _SETTLE_SECONDS)

    def mark(self, run: Run) -> None:
        """Let a run have its turn soon."""
        run.slot = _DIRTY
        self._dirty.append(run)
        if not self._tick_due:
            self._tick_due = True
            self._loop.call_soon(self._tick)

    def _tick(self) -> None:
        """Give the runs that have something in their inbox their turn; a long queue lets others in between."""
        self._tick_due = False
        now, watchdog = self.world.clock.now(), self.watchdog
        turns, self._dirty = self._dirty[:_TURNS_PER_TICK], self._dirty[_TURNS_PER_TICK:]
        for run in turns:
            if self.closed_by is None:
                watchdog.whose = run.workflow_id
                self._turn(run, now)
        watchdog.whose = ""
        if self._dirty and not self._tick_due:
            self._tick_due = True
            self._loop.call_soon(self._tick)

    def _turn(self, run: Run, now: int) -> None:
        items, run.inbox = run.inbox, []
        for position, item in enumerate(items):
            try:
                answer = item.apply(run, now)
            except (HoldfastError, ValueError) as error:
                item.refuse(error)
            except Exception as error:
                kind, fields = type(item).__name__, run.head.log_fields
                words = "%s could not be applied to %r"
                self.world.host.logger.exception(words, kind, run.workflow_id, extra=fields)
                item.refuse(HoldfastError(f"internal error: {type(error).__name__}: {error}"))
                run.inbox = items[position + 1 :] + run.inbox
                self._start_over(run)
                return
            else:
                run.applied.append((item, answer))
        if not run.changed:
            self.settle(run)
            return
        try:
            change = collect(run, now)
        except StoreError as error:
            self._refuse_run(run, error)
            return
        except Exception as error:
            words, fields = "the change of %r could not be written down", run.head.log_fields
            self.world.host.logger.exception(words, run.workflow_id, extra=fields)
            self._refuse_run(run, StoreError(f"internal error: {type(error).__name__}: {error}"))
            return
        run.slot = _BUSY
        self.committer.add(change)

    def settle(self, run: Run) -> None:
        """All that the run has done is durable: answer, carry out, and see what is next."""
        run.slot = _IDLE
        applied, run.applied = run.applied, []
        effects, run.effects = run.effects, []
        for effect in effects:
            PERFORM[type(effect)](self, run, effect)
        for item, answer in applied:
            if item.answer is not None:
                item.accept(answer)
        if run.head.status is not _RUNNING and not run.is_open and not run.has_work:
            self._drop(run)
            return
        if run.deferred and run.can_catch_up:
            run.inbox.append(CatchUp())
        due = next_wake(run)
        if due and (not run.wake or due < run.wake):
            run.wake = due
            self.alarm.set(due, run.workflow_id)
        if run.inbox:
            self.mark(run)

    def _drop(self, run: Run) -> None:
        """Forget a run that has nothing left to do; what came for it meanwhile begins again from the store."""
        if self.live.get(run.workflow_id) is run:
            del self.live[run.workflow_id]
        for item in run.inbox:
            self.submit(run.workflow_id, item)
        run.inbox = []

    # Verdicts of the committer.

    def delta_of(self, entry: IndexEntry) -> list[object]:
        """Give the form in which the record of a commit tells what changes in the index.

        Where batches are not atomic, the record may be written and a head of its batch not. Such a record only says
        that the run may have work, which makes a recovery look at it; the truth follows with a later record.
        """
        return (entry if self.atomic or entry.work else entry.marked()).to_json()

    def late_deltas(self) -> list[list[object]]:
        """Give the entries that could not be told before the heads they speak of were written."""
        late, self._late = self._late, {}
        return [entry.to_json() for entry in late.values()]

    def durable(self, change: Change, version: str) -> None:
        """A run's change is written."""
        run, entry = change.run, change.entry
        workflow_id = run.workflow_id
        run.expected = version
        if entry is not None:
            self.index.put(entry)
            if not self.atomic and not entry.work:
                self._late[workflow_id] = entry
        if run.stall is not None or self.index.overlays:
            self.index.show_as(workflow_id, RunStatus.STALLED if run.stall is not None and run.is_open else None)
        if self.watchers:
            for watcher in self.watchers.get(workflow_id, ()):
                watcher.set()
        live = self.live
        if live.get(workflow_id) is run:
            live[workflow_id] = live.pop(workflow_id)
            self.settling.add(run)
            if len(live) > self._max_cached:
                self._loop.call_soon(self.evict)

    def lost(self, change: Change) -> None:
        """Something else was written for the run: take that, and apply to it what came since."""
        self._start_over(change.run)

    def refused(self, change: Change, error: StoreError) -> None:
        """The store will not take the run's documents."""
        self._refuse_run(change.run, error)

    def fenced(self, error: FencedError) -> None:
        """Another process owns the runs now: stop, drop everything, write nothing."""
        self.closed_by = error
        self.world.host.logger.critical("%s", error)
        self.on_fenced(error)
        self._loop.call_soon(self._abandon_all, error)

    async def abandon(self, error: StoreError) -> None:
        """Drop everything, and let whoever waits for an answer know why there is none."""
        self._loop.call_soon(self._abandon_all, error)  # workflow code never unwinds inside a task
        await asyncio.sleep(0)

    def _abandon_all(self, error: StoreError | FencedError) -> None:
        self.alarm.stop()
        self.outputs.halt()
        self.settling.clear()
        for run in self.live.values():
            for item in [*(item for item, _ in run.applied), *run.inbox]:
                item.refuse(error)
            for pending in run.pending.values():
                self.attempts.abandon(run.head.run_id, pending.id)
            run.leave_memory()
        self.live.clear()
        self.dismiss(error)

    def dismiss(self, error: StoreError | FencedError) -> None:
        """Take nothing more, and let whoever waits for the end of a run, or for a reply, know."""
        self.closed_by = error
        self.outcomes.dismiss(error)
        self.replies.dismiss(error)
        self.sweeper.swept.dismiss(error)
        self.dead_letters.dismiss(error)
        for watcher in (watcher for several in self.watchers.values() for watcher in several):
            watcher.set()

    def _refuse_run(self, run: Run, error: StoreError) -> None:
        """Stall a run whose change cannot be stored: what is stored of it stays, and no other run is disturbed."""
        for item, _ in run.applied:
            item.refuse(error)
        run.applied = []
        if run.head.revision > 1:
            failure = FailureInfo("StoreError", f"its change cannot be stored: {error}")
            self.arrivals.stall_next(run.workflow_id, failure)
        self._start_over(run)

    def _start_over(self, run: Run) -> None:
        """Read a run again, and apply to it all that was not committed."""
        for item, _ in run.applied:
            item.take_back(run)
        again = Run(run.workflow_id, self.world)
        again.inbox = [item for item, _ in run.applied if not isinstance(item, Recover)] + run.inbox
        self.live[run.workflow_id] = again
        self.arrivals.read(again)
        self._loop.call_soon(run.leave_memory)

    # Leaving memory.

    def evict(self) -> None:
        """Let runs that nothing happens to leave memory until there is room again, least recently used first."""
        excess = len(self.live) - self._max_cached
        for run in list(islice(self.live.values(), max(0, 2 * excess))):
            if run.slot is _IDLE and not run.inbox and not run.changed:
                del self.live[run.workflow_id]
                run.leave_memory()
                self.evicted += 1
                excess -= 1
                if not excess:
                    return

    def reload(self, workflow_id: str) -> None:
        """Read a stalled run again, in case its code fits now."""
        run = self.live.get(workflow_id)
        if run is not None and run.stall is not None and run.slot is _IDLE:
            self.arrivals.allow(workflow_id)
            self._start_over(run)

    async def stop(self) -> None:
        """Take every run out of memory; nothing is applied any more."""
        self.arrivals.stop()
        self.alarm.stop()
        self.outputs.halt()
        self._loop.call_soon(self._leave_all)
        await asyncio.sleep(0)

    def _leave_all(self) -> None:
        for run in self.live.values():
            run.leave_memory()
        self.live.clear()
