"""The one bridge between threads and the engine: an engine on a thread of its own, with calls that block."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from holdfast.core.errors import StoreError
from holdfast.engine.engine import Engine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence

    from holdfast.core.durations import Duration
    from holdfast.core.history import RunStatus
    from holdfast.engine.handle import WorkflowHandle
    from holdfast.engine.receiving import DeadLetter, DeadLetterPage, HeldMessage
    from holdfast.engine.runs.answers import Resolution
    from holdfast.engine.stats import EngineStats
    from holdfast.engine.views import HistoryEvent, RunDescription, RunPage
    from holdfast.engine.work.gate import Delivery
    from holdfast.ports import StateStore

__all__ = ["BlockingHandle", "EngineThread"]

T = TypeVar("T")

_END = object()
_LEFT_SECONDS: Final = 1.0


class EngineThread:
    """An engine for programs that are not async: any thread may call it, and waits for the answer.

    The arguments are those of `Engine`; every call is the engine's own, and raises what that raises.
    """

    def __init__(self, store: StateStore, **options: Any) -> None:  # noqa: ANN401 - those of Engine
        """Describe an engine; `open` starts its thread."""
        self._engine = Engine(store, **options)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closing = threading.Lock()
        self._submitting = threading.Lock()
        """Held while a call is put on the loop, and while the loop is taken away: no call comes to a loop that ends."""

    @property
    def engine(self) -> Engine:
        """The engine itself; its calls belong to its own thread."""
        return self._engine

    def open(self) -> None:
        """Start the thread, and open the engine on it.

        Raises:
            StoreError: The store cannot be used.
        """
        loop = self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, args=(loop,), name="holdfast-engine", daemon=True)
        self._thread.start()
        try:
            self.run(self._engine.open())
        except BaseException:
            self._stop()
            raise

    @staticmethod
    def _serve(loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        loop.run_forever()
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:  # an activity that will not be cancelled was given up on: the thread does not wait for it
            loop.run_until_complete(asyncio.wait(left, timeout=_LEFT_SECONDS))
        loop.close()

    def close(self) -> None:
        """Close the engine, and end its thread; harmless when that is done already."""
        with self._closing:
            if self._loop is None:
                return
            try:
                self.run(self._engine.close())
            finally:
                self._stop()

    def _stop(self) -> None:
        with self._submitting:
            loop, self._loop = self._loop, None
        if loop is not None and self._thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            self._thread.join()

    def __enter__(self) -> Self:
        """Open it."""
        self.open()
        return self

    def __exit__(self, *_error: object) -> None:
        """Close it."""
        self.close()

    def run(self, call: Coroutine[Any, Any, T], *, timeout: float | None = None) -> T:
        """Run one of the engine's own calls on its thread, and wait for the answer.

        Args:
            call: What the engine's method gave.
            timeout: The most seconds to wait; the call is cancelled then.

        Raises:
            StoreError: The engine is closed, or is closed before the answer is there.
            TimeoutError: There is no answer in time.
        """
        with self._submitting:
            if self._loop is None:
                call.close()
                message = "the engine is closed"
                raise StoreError(message)
            future = asyncio.run_coroutine_threadsafe(call, self._loop)
        try:
            return future.result(timeout)
        except concurrent.futures.CancelledError as error:
            message = "the engine was closed before it answered"
            raise StoreError(message) from error
        except TimeoutError:
            future.cancel()
            raise

    def iterate(self, make: Callable[[], AsyncIterator[T]]) -> Iterator[T]:
        """Iterate, from this thread, over something that is async on the engine's."""
        iterator = make()

        async def step() -> object:
            return await anext(iterator, _END)

        try:
            while (item := self.run(step())) is not _END:
                yield item  # type: ignore[misc]  # the end is filtered out
        finally:
            self.run(iterator.aclose())  # type: ignore[attr-defined]  # the engine's iterators are generators

    # The engine's calls.

    def not_ready(self) -> str:
        """Say why work cannot be taken now; empty where it can."""
        return self._engine.not_ready()

    @property
    def is_stuck(self) -> bool:
        """Whether workflow code has held the engine's thread for over 30 seconds."""
        return self._engine.is_stuck

    def stats(self) -> EngineStats:
        """Count what goes on."""

        async def count() -> EngineStats:
            return self._engine.stats()

        return self.run(count())

    def start(self, workflow: Any, input: object = None, **options: Any) -> BlockingHandle:  # noqa: ANN401
        """Start a run; see `Engine.start`."""
        return BlockingHandle(self, self.run(self._engine.start(workflow, input, **options)))

    def execute(self, workflow: Any, input: object = None, **options: Any) -> Any:  # noqa: ANN401
        """Start a run and wait for its result; see `Engine.execute`."""
        return self.run(self._engine.execute(workflow, input, **options))

    def signal_with_start(self, workflow: Any, input: object = None, **options: Any) -> BlockingHandle:  # noqa: ANN401
        """Send a signal, and start the run first if need be; see `Engine.signal_with_start`."""
        return BlockingHandle(self, self.run(self._engine.signal_with_start(workflow, input, **options)))

    def handle(self, workflow_id: str, run_id: str | None = None) -> BlockingHandle:
        """Get a handle of a run that was started before."""
        return BlockingHandle(self, self._engine.handle(workflow_id, run_id))

    def signal(
        self, workflow_id: str, name: str, payload: object = None, *, id: str | None = None, trace: str | None = None
    ) -> None:
        """Send a signal; see `Engine.signal`."""
        self.run(self._engine.signal(workflow_id, name, payload, id=id, trace=trace))

    def resolve_ref(self, workflow_id: str, ref: str, value: object = None, **options: Any) -> Resolution:  # noqa: ANN401
        """Answer a ref; see `Engine.resolve_ref`."""
        return self.run(self._engine.resolve_ref(workflow_id, ref, value, **options))

    def deliver(self, topic: str, key: str | None, value: bytes, *, id: str | None = None) -> Delivery:
        """Take in a record of a topic; see `Engine.deliver`."""
        return self.run(self._engine.deliver(topic, key, value, id=id))

    def dead_letters(self, *, limit: int = 50, cursor: str | None = None) -> DeadLetterPage:
        """List messages that found no run; see `Engine.dead_letters`."""
        return self.run(self._engine.dead_letters(limit=limit, cursor=cursor))

    def dead_letter(self, number: int) -> DeadLetter:
        """Show a message that found no run; see `Engine.dead_letter`."""
        return self.run(self._engine.dead_letter(number))

    def replay_dead_letter(self, number: int) -> Delivery:
        """Deliver a dead letter again; see `Engine.replay_dead_letter`."""
        return self.run(self._engine.replay_dead_letter(number))

    def drop_dead_letter(self, number: int) -> None:
        """Delete a message that found no run; see `Engine.drop_dead_letter`."""
        self.run(self._engine.drop_dead_letter(number))

    def held_messages(self, *, limit: int = 50) -> Sequence[HeldMessage]:
        """List messages that wait; see `Engine.held_messages`."""
        return self.run(self._engine.held_messages(limit=limit))

    def query(self, workflow_id: str, name: str, input: object = None) -> Any:  # noqa: ANN401
        """Ask a query; see `Engine.query`."""
        return self.run(self._engine.query(workflow_id, name, input))

    def update(
        self, workflow_id: str, name: str, value: object = None, *, id: str | None = None, trace: str | None = None
    ) -> Any:  # noqa: ANN401
        """Ask for a change; see `Engine.update`."""
        return self.run(self._engine.update(workflow_id, name, value, id=id, trace=trace))

    def cancel(self, workflow_id: str, *, reason: str = "") -> None:
        """Ask a run to cancel; see `Engine.cancel`."""
        self.run(self._engine.cancel(workflow_id, reason=reason))

    def terminate(self, workflow_id: str, *, reason: str = "") -> None:
        """End a run here and now; see `Engine.terminate`."""
        self.run(self._engine.terminate(workflow_id, reason=reason))

    def pause(self, workflow_id: str, *, reason: str = "") -> None:
        """Let a run do nothing until it is resumed; see `Engine.pause`."""
        self.run(self._engine.pause(workflow_id, reason=reason))

    def resume(self, workflow_id: str, *, reason: str = "") -> None:
        """Let a run go on; see `Engine.resume`."""
        self.run(self._engine.resume(workflow_id, reason=reason))

    def rerun(self, workflow_id: str, *, from_event: int = 1, reason: str = "") -> BlockingHandle:
        """Run a run again; see `Engine.rerun`."""
        return BlockingHandle(self, self.run(self._engine.rerun(workflow_id, from_event=from_event, reason=reason)))

    def purge(self, workflow_id: str, *, reason: str = "") -> None:
        """Delete a run; see `Engine.purge`."""
        self.run(self._engine.purge(workflow_id, reason=reason))

    def describe(self, workflow_id: str, *, run_id: str | None = None) -> RunDescription:
        """Show a run; see `Engine.describe`."""
        return self.run(self._engine.describe(workflow_id, run_id=run_id))

    def history(self, workflow_id: str, *, run_id: str | None = None) -> list[HistoryEvent]:
        """Give a run's events; see `Engine.history`."""
        return self.run(self._engine.history(workflow_id, run_id=run_id))

    def watch(self, workflow_id: str, *, after: int = 0) -> Iterator[HistoryEvent]:
        """Give a run's events as they come; see `Engine.watch`."""
        return self.iterate(lambda: self._engine.watch(workflow_id, after=after))

    def list(self, **filters: Any) -> RunPage:  # noqa: ANN401 - those of Engine.list
        """List runs; see `Engine.list`."""
        return self.run(self._engine.list(**filters))


class BlockingHandle:
    """A run from outside, for threads.

    Attributes:
        id: The workflow id.
        run_id: The run that it was made for; empty for whichever run is the newest.
        created: Whether the call that gave this handle made the run, rather than found it.
    """

    def __init__(self, thread: EngineThread, handle: WorkflowHandle) -> None:
        """Wrap a handle of the engine."""
        self.id = handle.id
        self.run_id = handle.run_id
        self.created = handle.created
        self._thread = thread
        self._handle = handle

    def result(self, *, timeout: Duration | None = None) -> Any:  # noqa: ANN401 - of the workflow's own type
        """Wait for the run to end, and give its result."""
        return self._thread.run(self._handle.result(timeout=timeout))

    def status(self) -> RunStatus:
        """Say where the run stands."""
        return self._thread.run(self._handle.status())

    def describe(self) -> RunDescription:
        """Show the run."""
        return self._thread.run(self._handle.describe())

    def signal(self, name: str, payload: object = None, *, id: str | None = None) -> None:
        """Send a signal."""
        self._thread.run(self._handle.signal(name, payload, id=id))

    def resolve_ref(self, ref: str, value: object = None, *, error: object = None, id: str | None = None) -> Resolution:
        """Answer a ref."""
        return self._thread.run(self._handle.resolve_ref(ref, value, error=error, id=id))

    def query(self, name: str, input: object = None) -> Any:  # noqa: ANN401
        """Ask a query."""
        return self._thread.run(self._handle.query(name, input))

    def update(self, name: str, value: object = None, *, id: str | None = None) -> Any:  # noqa: ANN401
        """Ask for a change."""
        return self._thread.run(self._handle.update(name, value, id=id))

    def cancel(self, *, reason: str = "") -> None:
        """Ask the run to cancel."""
        self._thread.run(self._handle.cancel(reason=reason))

    def terminate(self, *, reason: str = "") -> None:
        """End the run here and now."""
        self._thread.run(self._handle.terminate(reason=reason))
