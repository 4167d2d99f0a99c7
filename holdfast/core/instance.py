"""One run as a state machine: events in, commands out.

`Instance.activate` applies one event: it resolves what the event answers, lets the run's coroutines go on until all
of them wait, and returns what they asked for. It never raises, and it does the same on replay as it did live.
"""

from __future__ import annotations

import contextvars
from asyncio import Future
from asyncio.events import _get_running_loop, _set_running_loop  # how code is run under another loop
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

from holdfast.core.conditions import Conditions
from holdfast.core.errors import NondeterminismError, PayloadError, QueryError
from holdfast.core.generators import hold_generators
from holdfast.core.handlers import Handlers
from holdfast.core.history import Command, Event, EventType
from holdfast.core.host import Waiting
from holdfast.core.lineage import Lineage
from holdfast.core.loop import DidNotYieldError, DurableTimer, WorkflowLoop
from holdfast.core.mailbox import Mailbox
from holdfast.core.outcome import outcome_of
from holdfast.core.resolve import APPLY
from holdfast.core.unwind import Unwind, unwind

if TYPE_CHECKING:
    import random
    from collections.abc import AsyncGenerator, Callable, Sequence, Sized

    from holdfast.core.codec import Decoder
    from holdfast.core.definitions import WorkflowDefinition
    from holdfast.core.host import Host, RunInfo
    from holdfast.core.lineage import WorkflowTask
    from holdfast.core.refs import Refs

__all__ = ["MAX_HISTORY_EVENTS", "MAX_OPEN_TO_OTHERS", "Instance"]

T = TypeVar("T")
R = TypeVar("R")

MAX_HISTORY_EVENTS = 50_000
"""How long a history may become: past it a command raises `PayloadError`; ``ctx.continue_as_new`` begins a new one."""

MAX_OPEN_TO_OTHERS = 1_000
"""How many child runs and signals to other runs may be without an answer at one time."""

_MAX_UNWINDS = 1_000

_TO_OTHERS = frozenset({EventType.CHILD_STARTED, EventType.SIGNAL_SENT})


class _Mode(Enum):
    ACTIVE = "workflow code runs and may ask for things"
    READING = "a query or validator looks at the run and may not change it"
    CLOSING = "the run is being taken apart"


_ACTIVE = _Mode.ACTIVE  # looking a member up costs more than all else that its comparison does


class Instance:
    """A run in memory.

    Attributes:
        info: Who it is.
        definition: The workflow that it runs.
        host: What it shares with other runs.
        replaying: Whether events are applied that were applied before.
        known_patches: The patches marked in the history that is being replayed.
        known_refusals: The outputs that were refused in it, by the ids of their commands.
        outbox: What the run wants done to others and is not known to be done; the engine shares its own here.
        outcome: The command that ended the run; None while it is open.
        fault: Why the run cannot go on, in words; None while it can. The event that caused it has not been applied.
        waiting: Commands that wait for an answer, by id.
        timers: Timers that are open, by id.
        refs: What it waits for from outside; None where it has made no ref, and no answer has come.
        handlers: The query and update handlers.
        attributes: The run's search attributes.
        cancel_requested: Whether cancellation has been delivered.
        cancel_reason: Why, in the words of whoever asked for it; may be empty.
        timed_out: Whether that was for the run's time-out.
        next_input: The input of the run that is to follow this one; None where none was asked for.
        failure: What ended the run from within, besides the result of its main task.
    """

    __slots__ = (
        "_commands", "_conditions", "_context", "_generators", "_history_size", "_mode", "_patches", "_tasks",
        "_unwound", "attributes", "cancel_reason", "cancel_requested", "definition", "failure", "fault",
        "handlers", "host", "info", "known_patches", "known_refusals", "loop", "mailboxes", "main", "next_input",
        "outbox", "outcome", "refs", "replaying", "timed_out", "timers", "updates", "waiting",
    )  # fmt: skip

    def __init__(self, definition: WorkflowDefinition, info: RunInfo, host: Host) -> None:
        """Make a run to which no event has been applied yet."""
        hold_generators()
        self.definition = definition
        self.info = info
        self.host = host
        self._context = contextvars.Context()
        self.loop = WorkflowLoop(self, info.seed, self._context)  # type: ignore[abstract]  # the rest of it is refused
        self.main: WorkflowTask | None = None
        self.replaying = False
        self.known_patches: frozenset[str] = frozenset()
        self.known_refusals: frozenset[str] = frozenset()
        self.outbox: Sized = ()
        self.outcome: Command | None = None
        self.fault: str | None = None
        self.waiting: dict[str, Waiting] = {}
        self.timers: dict[str, DurableTimer] = {}
        self.mailboxes: dict[str, Mailbox[bytes]] = {}
        self.handlers = Handlers()
        self.attributes: dict[str, Any] = {}
        self.updates = 0
        self.cancel_requested = False
        self.cancel_reason = ""
        self.timed_out = False
        self.next_input: bytes | None = None
        self.failure: BaseException | None = None
        self._mode = _ACTIVE
        self._commands: list[Command] | None = None
        self._history_size = 0
        self._unwound = 0
        self._conditions = Conditions()
        self.refs: Refs | None = None
        self._patches: dict[str, bool] = {}
        self._tasks: list[WorkflowTask] = []
        self._generators: list[AsyncGenerator[Any, Any]] = []

    # What the engine does with it.

    def activate(self, event: Event) -> list[Command]:
        """Apply one event and run until all of the run's tasks wait.

        Returns:
            What workflow code asked for, in order; the last one is `outcome` if the run has ended. Where `fault` is
            set the event does not count as applied, and the instance is of no more use but to be closed.
        """
        commands: list[Command] = []
        self._commands = commands
        loop = self.loop
        loop.now_ms = event.at
        outer = _get_running_loop()
        _set_running_loop(loop)
        try:
            APPLY[event.type](self, event)
            budget = self.host.max_callbacks
            while self.failure is None:
                budget = loop.run_until_idle(budget)
                if not self._conditions or self._ended() or not self._meet_conditions():
                    break
            main = self.main
            if self.failure is not None or self.next_input is not None or (main is not None and main.done()):
                self.outcome = outcome_of(self)
                commands.append(self.outcome)
        except DidNotYieldError as error:
            self.fault = str(error)
        except Exception as error:  # noqa: BLE001 - whatever user code raises stalls its run alone
            self._log("could not be activated", error)
            self.fault = f"{type(error).__name__}: {error}"
        finally:
            _set_running_loop(outer)
            self._commands = None
        self._history_size += 1 + len(commands)
        return commands

    def note(self) -> None:
        """Count an entry of the history that is not applied."""
        self._history_size += 1

    def query(self, name: str, raw: bytes) -> Any:  # noqa: ANN401 - any JSON value
        """Answer a query from the run's local state.

        Raises:
            QueryError: There is none of that name, or its handler raised; the run is as it was.
        """
        return self._read(lambda: self.handlers.answer(name, raw))

    def validate_update(self, name: str, raw: bytes) -> None:
        """Check an update before it is recorded.

        Raises:
            UpdateRejectedError: There is none of that name, or its validator refused.
            PayloadError: The value does not fit.
        """
        self._read(lambda: self.handlers.validate(name, raw))

    def close(self) -> None:
        """Take the run out of memory: its coroutines end here and now, and what they ask for on the way is lost."""
        if self._mode is _Mode.CLOSING:
            return
        self._mode = _Mode.CLOSING
        stubborn = self._inside(self._context.run, lambda: unwind(self.loop, self._tasks, self._generators))
        if stubborn:
            self._log(f"would not unwind: {', '.join(stubborn)}")
        self._tasks.clear()
        self._generators.clear()
        self.waiting.clear()
        self.timers.clear()
        self.mailboxes.clear()
        self._conditions.clear()
        self.main = None

    def waits_for(self) -> list[str]:
        """Say in words what the run waits for, besides activities, timers and children."""
        names = [f"signal {name!r}" for name, mailbox in self.mailboxes.items() if mailbox.awaited]
        if self._conditions.awaited:
            names.append("a condition of its own")
        if self.refs is not None:
            names += self.refs.waits_for()
        return names

    # What the context and the loop do with it.

    def issue(self, command: Command) -> None:
        """Ask for something.

        Raises:
            PayloadError: The history is full.
            NondeterminismError: The run has no turn now.
        """
        commands = self._commands
        if self._mode is not _ACTIVE:
            self.check_commands_allowed(f"ask for {command.type}")
            return
        if commands is None:
            message = "workflow code ran outside of its run: a context is used in the coroutines of its workflow only"
            raise NondeterminismError(message, found=command.words())
        if self._history_size + len(commands) >= MAX_HISTORY_EVENTS:
            message = f"the history is at its limit of {MAX_HISTORY_EVENTS:,} events: end it with ctx.continue_as_new"
            raise PayloadError(message, too_large=True)
        commands.append(command)

    @property
    def asked(self) -> Sequence[Command]:
        """What was asked for in this activation so far."""
        return self._commands or ()

    def check_commands_allowed(self, what: str) -> None:
        """Raise unless workflow code may ask for things now.

        Code that is being taken apart and catches `Unwind` over and over is let through in the end: what it asks for
        is lost, and it waits where it can be given up on.
        """
        if self._mode is _Mode.READING:
            message = f"a query or validator only looks at the run, it cannot {what}"
            raise QueryError(message)
        if self._mode is _Mode.CLOSING:
            self._unwound += 1
            if self._unwound <= _MAX_UNWINDS:
                raise Unwind

    def expect(self, command: Command, decode: Decoder, *, shown: bool = False) -> Future[Any]:
        """Issue a command and give the future of its answer.

        Args:
            command: What to ask for.
            decode: How to read the answer.
            shown: Workflow code gets to see the future itself, and may keep it in a set.

        Raises:
            PayloadError: The history is full, or too much is on its way to other runs.
        """
        if len(self.waiting) >= MAX_OPEN_TO_OTHERS and command.type in _TO_OTHERS:
            open_ones = sum(waiting.command.type in _TO_OTHERS for waiting in self.waiting.values())
            if open_ones >= MAX_OPEN_TO_OTHERS:
                message = (
                    f"{open_ones:,} child runs and signals have no answer yet: wait for some before asking for more"
                )
                raise PayloadError(message, too_large=True)
        self.issue(command)
        future: Future[Any] = self.loop.create_future() if shown else Future(loop=self.loop)
        self.waiting[command.id] = Waiting(command, future, decode)
        return future

    def give_up(self, command: Command, undo: EventType) -> None:
        """Stop waiting for a command's answer, and ask for its undoing."""
        if self.waiting.pop(command.id, None) is not None:
            self.issue(Command(undo, self.loop.now_ms, command.id, command.name))

    def mailbox(self, name: str) -> Mailbox[bytes]:
        """Give the buffer of the signals of one name."""
        mailbox = self.mailboxes.get(name)
        if mailbox is None:
            mailbox = self.mailboxes[name] = Mailbox()
        return mailbox

    def add_condition(self, condition: Callable[[], object]) -> Future[None]:
        """Give a future that is resolved once a condition holds; conditions are tried whenever the run would wait."""
        return self._conditions.add(condition, Future(loop=self.loop))

    def patched(self, change_id: str) -> bool:
        """Say whether the run takes the new side of a change, and remember it."""
        known = self._patches.get(change_id)
        if known is None:
            known = not self.replaying or change_id in self.known_patches
            if known:
                self.issue(Command(EventType.PATCH_MARKED, self.loop.now_ms, name=change_id))
            self._patches[change_id] = known
        return known

    def random(self) -> random.Random:
        """Give the running task's own stream of random numbers."""
        lineage = self.loop.lineage()
        if lineage.random is None:
            lineage.random = self.host.new_random(f"{self.info.seed}/{lineage.id}")
        return lineage.random

    @property
    def silent(self) -> bool:
        """Whether logs of workflow code are to be dropped: they were written before, or do not count."""
        return self.replaying or self._mode is _Mode.CLOSING

    def start_timer(self, timer: DurableTimer) -> None:
        """Ask for a durable timer."""
        details = {"due": timer.due_ms}
        self.issue(Command(EventType.TIMER_STARTED, self.loop.now_ms, timer.id, details=details))
        self.timers[timer.id] = timer

    def cancel_timer(self, timer: DurableTimer) -> None:
        """Call a durable timer off."""
        if self.timers.pop(timer.id, None) is not None and self._mode is _ACTIVE:
            self.issue(Command(EventType.TIMER_CANCELLED, self.loop.now_ms, timer.id))

    def task_made(self, task: WorkflowTask) -> None:
        """Hold a task until the run leaves memory or the task is done."""
        self._tasks.append(task)
        if len(self._tasks) & 31 == 0:
            self._tasks = [task for task in self._tasks if not task.done()]

    def exit(self, error: BaseException) -> None:
        """Let the run fail: its code has asked the interpreter to exit."""
        self.failure = error

    def report(self, message: str, error: BaseException | None) -> None:
        """Log what went wrong beside the main line of the run."""
        if not self.silent:
            self._log(f"reports: {message}", error)

    def _log(self, words: str, error: BaseException | None = None) -> None:
        fields = self.info.log_fields(self.definition.name)
        self.host.logger.error("workflow %r %s", self.info.workflow_id, words, exc_info=error, extra=fields)

    # Inside an activation.

    def _inside(self, function: Callable[[T], R], argument: T) -> R:
        """Call a function as the engine's side of this run, under its loop.

        Tasks and callbacks bring contexts of their own; what calls workflow code directly goes through `_context`.
        """
        outer = _get_running_loop()
        _set_running_loop(self.loop)
        try:
            return function(argument)
        finally:
            _set_running_loop(outer)

    def _read(self, function: Callable[[], R]) -> R:
        return self._inside(self._look, function)

    def _look(self, function: Callable[[], R]) -> R:
        """Call workflow code that may only look; ids and random numbers it draws are not the run's."""
        loop = self.loop
        outside, loop.outside = loop.outside, Lineage("q")
        self._mode = _Mode.READING
        try:
            return self._context.run(function)
        finally:
            self._mode = _ACTIVE
            loop.outside = outside

    def _ended(self) -> bool:
        main = self.main
        return self.failure is not None or self.next_input is not None or (main is not None and main.done())

    def _meet_conditions(self) -> bool:
        try:
            return self._conditions.meet(self._look)
        except (SystemExit, KeyboardInterrupt) as error:
            self.failure = error
            return True

    def hold_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        """Hold an async generator until the run leaves memory or the generator is done."""
        self._generators.append(generator)
        if len(self._generators) & 31 == 0:
            self._generators = [held for held in self._generators if held.ag_frame is not None]  # type: ignore[attr-defined]
