"""An engine for tests: in memory, with stubs for activities, and time that skips what is only waited for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from holdfast.core.definitions import ActivityDefinition
from holdfast.core.durations import Duration, milliseconds
from holdfast.core.errors import HoldfastError, NondeterminismError
from holdfast.core.history import RunStatus
from holdfast.engine.bus import LocalBus
from holdfast.engine.engine import Engine
from holdfast.stores.memory import MemoryStore
from holdfast.testing.clock import SkippingClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from datetime import datetime

    from holdfast.core.definitions import ActivityFunction, WorkflowFunction
    from holdfast.engine.handle import WorkflowHandle
    from holdfast.ports import Record, StateStore

__all__ = ["TestEnvironment"]

T = TypeVar("T")

_GLANCE_SECONDS: Final = 0.01
_RECORDS_KEPT: Final = 100_000


class TestEnvironment:
    """Runs workflows as the engine does, and waits for no timer.

    While a result is awaited through it, or `skip` runs, the clock moves on whenever nothing else is left to do: a
    run that sleeps for 30 days takes milliseconds. Between such calls time passes as it really does, so a signal sent
    next is never overtaken by a time-out. Runs are replayed after their activations, so code that is not
    deterministic is found here.

    Attributes:
        bus: Where outputs go, unless a publisher was given.
        engine: The engine, for whatever the environment does not offer itself.
        clock: Its clock.
    """

    __test__ = False

    def __init__(
        self,
        *,
        workflows: Iterable[WorkflowFunction] = (),
        activities: Iterable[ActivityFunction] = (),
        store: StateStore | None = None,
        dev_replay: bool = True,
        patience: Duration = 5,
        **options: Any,  # noqa: ANN401 - the fields of EngineOptions, by name
    ) -> None:
        """Describe an environment; it is used as an async context manager.

        Args:
            workflows: The workflows to run.
            activities: The activities they call; `stub` replaces or adds some.
            store: Where runs are kept; in memory by default.
            dev_replay: Replay each run after its activations; a history of over 500 events as it grows by a tenth.
            patience: How long, in real time, to wait for somebody else where nothing is left to do in here.
            options: The other fields of `EngineOptions`.
        """
        self.clock = SkippingClock()
        self.bus = LocalBus(keep=_RECORDS_KEPT)
        self._patience = milliseconds(patience, "patience") / 1000
        self.engine = Engine(
            store or MemoryStore(),
            workflows=workflows,
            activities=activities,
            clock=self.clock,
            dev_replay=dev_replay,
            **{"publisher": self.bus, **options},
        )

    async def __aenter__(self) -> Self:
        """Open the engine."""
        await self.engine.open()
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Close it."""
        await self.engine.close()

    def stub(self, target: ActivityFunction | str, replacement: Callable[..., Any] | object) -> None:
        """Let an activity be played by something else.

        Args:
            target: The activity, or its name.
            replacement: A function to call instead, plain or async; an exception to raise; or a value to return.
        """
        name = target if isinstance(target, str) else ActivityDefinition.of(target).name
        self.engine.replace_activity(ActivityDefinition.of(_as_function(replacement), name=name))

    def now(self) -> datetime:
        """Say what time it is in here."""
        return self.engine.now()

    async def start(self, workflow: WorkflowFunction | str, input: object = None, **options: Any) -> SkippingHandle:  # noqa: ANN401
        """Start a run; the options are those of `Engine.start`."""
        return SkippingHandle(self, await self.engine.start(workflow, input, **options))

    def handle(self, workflow_id: str, run_id: str | None = None) -> SkippingHandle:
        """Get a handle of a run that was started before."""
        return SkippingHandle(self, self.engine.handle(workflow_id, run_id))

    async def execute(self, workflow: WorkflowFunction | str, input: object = None, **options: Any) -> Any:  # noqa: ANN401
        """Start a run and wait for its result, skipping time; the options are those of `Engine.start`."""
        handle = await self.start(workflow, input, **options)
        return await handle.result()

    async def skip(self, duration: Duration) -> None:
        """Let a length of time pass: everything that comes due in it happens, in order, before this returns."""
        end = self.clock.now() + milliseconds(duration, "duration")
        while True:
            await self.engine.settled()
            due = self.clock.next_due()
            if due is None or due > end:
                break
            self.clock.skip_to(due)
        self.clock.skip_to(end)
        await self.engine.settled()

    async def outputs(self, topic: str | None = None) -> list[Record]:
        """Give what the runs have published, once nothing is left to do; by default to all topics."""
        await self.engine.settled()
        return [record for record in self.bus.records if topic is None or record.topic == topic]

    async def settled(self) -> None:
        """Wait until nothing goes on that does not wait for time or for somebody outside."""
        await self.engine.settled()

    async def skipping(self, wanted: Awaitable[T], *, of: str | None = None) -> T:
        """Await something, and skip time whenever nothing else is left to do.

        Args:
            wanted: What to await.
            of: The workflow id whose result it is, if it is one.

        Raises:
            NondeterminismError: That run is stalled, for its code does not do the same again.
            HoldfastError: It is stalled for another reason.
            TimeoutError: Nothing was left to do, and no time to skip to, for as long as `patience`.
        """
        task = asyncio.ensure_future(wanted)
        try:
            await self._skip_until_done(task, of)
            return task.result()
        finally:
            task.cancel()

    async def _skip_until_done(self, task: asyncio.Future[Any], of: str | None) -> None:
        waited = 0.0
        while not task.done():
            settled = asyncio.ensure_future(self.engine.settled())
            await asyncio.wait({task, settled}, return_when=asyncio.FIRST_COMPLETED)
            if not settled.done():
                settled.cancel()
            for _ in range(3):  # what has settled may wake who asked, who may ask for more
                await asyncio.sleep(0)
            due = self.clock.next_due()
            if task.done() or not self.engine.is_settled:
                continue
            if due is not None:
                self.clock.skip_to(due)
                continue
            stands = await self._stands(of)
            if waited < self._patience:
                await asyncio.wait({task}, timeout=_GLANCE_SECONDS)
                waited += _GLANCE_SECONDS
            else:
                message = f"nothing is left to do that could bring what is awaited{stands}"
                raise TimeoutError(message)

    async def _stands(self, workflow_id: str | None) -> str:
        """Say what a run waits for.

        Raises:
            HoldfastError: It is stalled: nothing will come of it.
        """
        if workflow_id is None:
            return ""
        run = await self.engine.describe(workflow_id)
        if run.status is RunStatus.STALLED and run.error is not None:
            message = f"workflow {workflow_id!r} is stalled: {run.error.message}"
            if run.error.type != NondeterminismError.__name__:
                raise HoldfastError(message)
            raise NondeterminismError(message, **run.error.details)
        return f": workflow {workflow_id!r} waits for {', '.join(run.waiting_for) or 'nothing'}"


class SkippingHandle:
    """A run in a test environment: awaiting its result skips time. Everything else is that of its `WorkflowHandle`."""

    def __init__(self, environment: TestEnvironment, handle: WorkflowHandle) -> None:
        """Wrap a handle."""
        self._environment = environment
        self._handle = handle

    async def result(self, *, timeout: Duration | None = None) -> Any:  # noqa: ANN401 - of the workflow's own type
        """Wait for the run to end, skipping time, and give its result."""
        return await self._environment.skipping(self._handle.result(timeout=timeout), of=self._handle.id)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a handle has
        return getattr(self._handle, name)


def _as_function(replacement: object) -> Callable[..., Any]:
    """Give the function that plays an activity."""
    is_error_type = isinstance(replacement, type) and issubclass(replacement, BaseException)
    if callable(replacement) and not is_error_type:
        return replacement

    async def play(_input: Any = None) -> Any:  # noqa: ANN401 - whatever it is called with
        if isinstance(replacement, BaseException) or is_error_type:
            raise replacement  # type: ignore[misc]  # an exception or its class
        return replacement

    return play
