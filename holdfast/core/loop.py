"""The event loop that workflow code runs on: deterministic, without a clock, and durable through commands.

It has a queue of callbacks and nothing else. Its time is that of the event being applied; a delayed call becomes a
timer command, and runs when that timer's event is applied. What would reach out of the run is refused.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
from asyncio import current_task
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from holdfast.core.errors import NondeterminismError
from holdfast.core.lineage import Lineage, WorkflowFuture, WorkflowTask, made_by_wait_for

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine

__all__ = ["DidNotYieldError", "DurableTimer", "LoopOwner", "WorkflowLoop"]


class DidNotYieldError(Exception):
    """Workflow code went on and on within one event."""


class LoopOwner(Protocol):
    """What the loop needs of the instance it belongs to."""

    def start_timer(self, timer: DurableTimer) -> None:
        """Ask for a durable timer."""

    def cancel_timer(self, timer: DurableTimer) -> None:
        """Call a durable timer off."""

    def check_commands_allowed(self, what: str) -> None:
        """Raise unless workflow code may ask for things now."""

    def task_made(self, task: WorkflowTask) -> None:
        """Hold a new task, so that nothing of the run is left to the garbage collector."""

    def hold_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        """Hold a new async generator, likewise."""

    def exit(self, error: BaseException) -> None:
        """End the run: its code has asked the interpreter to exit."""

    def report(self, message: str, error: BaseException | None) -> None:
        """Log what went wrong beside the main line of the run."""


class _Callback:
    """A callback in the queue; what `asyncio.Handle` is to other loops."""

    __slots__ = ("args", "context", "function", "is_cancelled")

    def __init__(
        self, function: Callable[..., object], args: tuple[Any, ...], context: contextvars.Context | None
    ) -> None:
        self.function = function
        self.args = args
        self.context = context if context is not None else contextvars.copy_context()
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True

    def cancelled(self) -> bool:
        return self.is_cancelled


class DurableTimer(_Callback):
    """A delayed call, kept as a timer in the run's history.

    Attributes:
        id: The id of the command that started it.
        due_ms: When it is due.
    """

    __slots__ = ("_owner", "_when", "due_ms", "id", "open")

    def __init__(  # noqa: PLR0913, PLR0917 - a delayed call is all of these
        self,
        owner: LoopOwner,
        timer_id: str,
        when: float,
        function: Callable[..., object],
        args: tuple[Any, ...],
        context: contextvars.Context | None,
    ) -> None:
        """Describe the call; it is up to the loop to ask for it."""
        super().__init__(function, args, context)
        self.id = timer_id
        self.due_ms = math.ceil(round(when * 1000, 2))
        self.open = True
        self._when = when
        self._owner = owner

    def cancel(self) -> None:
        """Call it off; harmless once it has fired."""
        super().cancel()
        if self.open:
            self.open = False
            self._owner.cancel_timer(self)

    def when(self) -> float:
        """Say when it is due, in the loop's time."""
        return self._when


class WorkflowLoop(asyncio.AbstractEventLoop):
    """A deterministic event loop for the tasks of one run.

    Attributes:
        now_ms: The time of the event being applied, in milliseconds since 1970.
        outside: The line of execution of bare callbacks, which no task runs; None until there is one.
    """

    __slots__ = ("_base_context", "_base_hash", "_made", "_owner", "_ready", "now_ms", "outside")

    def __init__(self, owner: LoopOwner, base_hash: int, base_context: contextvars.Context) -> None:
        """Begin with an empty queue.

        Args:
            owner: The instance.
            base_context: What the contexts of the run's tasks begin as copies of.
            base_hash: Where the hashes of tasks start. It differs from run to run, for asyncio keeps all tasks of
                the process in one set, and it is the same whenever the run is replayed.
        """
        self.now_ms = 0
        self._owner = owner
        self._base_hash = base_hash
        self._base_context = base_context
        self._made = 0
        self._ready: list[_Callback] = []
        self.outside: Lineage | None = None

    # What the engine does with it.

    def run_until_idle(self, budget: int) -> int:
        """Run callbacks, and those they add, until none is left.

        Args:
            budget: The most callbacks to run.

        Returns:
            What is left of the budget.

        Raises:
            DidNotYieldError: The budget is used up.
        """
        ready = self._ready
        done = 0
        try:
            for callback in ready:  # a list may grow while it is iterated over
                if done >= budget:
                    message = f"workflow code did not yield: {done:,} callbacks for one event"
                    raise DidNotYieldError(message)
                done += 1
                if callback.is_cancelled:
                    continue
                try:
                    callback.context.run(callback.function, *callback.args)
                except (SystemExit, KeyboardInterrupt) as error:
                    self._owner.exit(error)
                    break
                except BaseException as error:  # noqa: BLE001 - as other loops do: report it and go on
                    self._owner.report("a callback of workflow code raised", error)
        finally:
            ready.clear()
        return budget - done

    def lineage(self) -> Lineage:
        """Give the line of execution that is running: the current task's, or that of bare callbacks."""
        task = current_task(self)
        if task is not None:
            return task.lineage  # type: ignore[attr-defined,no-any-return]  # every task of this loop is ours
        if self.outside is None:
            self.outside = Lineage("c")
        return self.outside

    def begin(self, coro: Coroutine[Any, Any, Any], lineage: Lineage) -> WorkflowTask:
        """Make a task with a given lineage: the main task, or that of an update."""
        return self._make_task(coro, lineage, context=self._base_context.copy())

    def hold_generator(self, generator: AsyncGenerator[Any, Any]) -> None:
        """Let the run hold an async generator that has begun."""
        self._owner.hold_generator(generator)

    # What asyncio and workflow code do with it.

    def time(self) -> float:
        """Give the time of the event being applied, in seconds since 1970."""
        return self.now_ms / 1000

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> _Callback:
        """Queue a callback."""
        entry = _Callback(callback, args, context)
        self._ready.append(entry)
        return entry

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> DurableTimer:
        """Start a durable timer that is due after a delay in seconds."""
        return self.call_at(self.now_ms / 1000 + delay, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: contextvars.Context | None = None
    ) -> DurableTimer:
        """Start a durable timer that is due at an instant of the loop's time."""
        timer = DurableTimer(self._owner, self.lineage().next_id(), when, callback, args, context)
        self._owner.start_timer(timer)
        return timer

    def fire(self, timer: DurableTimer) -> None:
        """Queue the callback of a timer whose time has come."""
        timer.open = False
        self._ready.append(timer)

    def next_order(self) -> int:
        """Count one more future or task, and give its place in the order of the run: its hash."""
        self._made += 1
        return self._base_hash + self._made

    def create_future(self) -> WorkflowFuture:
        """Make a future of this run."""
        return WorkflowFuture(self, self.next_order())

    def create_task(  # type: ignore[override]
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, **options: Any
    ) -> WorkflowTask:
        """Make a task of this run; its lineage is the next of the task that makes it."""
        try:
            self._owner.check_commands_allowed("start a task")
        except BaseException:
            coro.close()
            raise
        maker = self.lineage()
        lineage = maker if made_by_wait_for() else Lineage(maker.next_id())
        return self._make_task(coro, lineage, name, **options)

    def _make_task(
        self, coro: Coroutine[Any, Any, Any], lineage: Lineage, name: str | None = None, **options: Any
    ) -> WorkflowTask:
        task = WorkflowTask(
            coro, self, self.next_order(), lineage, name=name or f"task-{lineage.id or 'main'}", **options
        )
        self._owner.task_made(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Report what a task or future has left unhandled."""
        self._owner.report(str(context.get("message")), context.get("exception"))

    default_exception_handler = call_exception_handler

    def get_exception_handler(self) -> None:
        """There is none but the run's log."""

    def get_task_factory(self) -> None:
        """There is none: tasks are always the run's own."""

    def get_debug(self) -> bool:
        """Debug mode is never on: it would read the clock."""
        return False

    def is_running(self) -> bool:
        """The loop runs whenever its code does."""
        return True

    def is_closed(self) -> bool:
        """The loop is never closed under its code."""
        return False

    def _timer_handle_cancelled(self, _handle: object) -> None:
        """Nothing to keep count of."""


_AS_ACTIVITY = "move that into an activity and await ctx.execute_activity(...)"
_ON_THREAD = "a plain def activity runs on a thread of its own: await ctx.execute_activity(...)"
_REFUSED: dict[str, tuple[str, ...]] = {
    _ON_THREAD: ("run_in_executor", "set_default_executor", "shutdown_default_executor"),
    _AS_ACTIVITY: (
        "getaddrinfo", "getnameinfo", "create_connection", "create_server", "create_unix_connection",
        "create_unix_server", "create_datagram_endpoint", "start_tls", "sendfile", "connect_accepted_socket",
        "sock_recv", "sock_recv_into", "sock_recvfrom", "sock_recvfrom_into", "sock_sendall", "sock_sendto",
        "sock_connect", "sock_accept", "sock_sendfile", "add_reader", "remove_reader", "add_writer", "remove_writer",
        "connect_read_pipe", "connect_write_pipe", "subprocess_exec", "subprocess_shell",
    ),
    "to hear from outside, await ctx.receive_signal(...)": (
        "add_signal_handler", "remove_signal_handler", "call_soon_threadsafe",
    ),
    "the engine runs the workflow; await what you need": (
        "run_forever", "run_until_complete", "stop", "close", "shutdown_asyncgens",
    ),
    "the tasks of a run are the engine's own": ("set_task_factory", "set_exception_handler", "set_debug"),
}  # fmt: skip


def _refusal(name: str, instead: str) -> Callable[..., NoReturn]:
    def refuse(_self: WorkflowLoop, *_args: object, **_kwargs: object) -> NoReturn:
        message = f"workflow code cannot use {name} of its event loop, for replay could not repeat it: {instead}"
        raise NondeterminismError(message, found=name)

    refuse.__name__ = name
    refuse.__doc__ = f"Refuse: {instead}."
    return refuse


for _instead, _names in _REFUSED.items():
    for _name in _names:
        setattr(WorkflowLoop, _name, _refusal(_name, _instead))
