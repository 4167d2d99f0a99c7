"""The engine: what callers can ask of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from holdfast.core.codec import Decoder, decode_json, encode
from holdfast.core.durations import Duration, milliseconds
from holdfast.core.errors import (
    CorruptDocumentError,
    PayloadError,
    UpdateRejectedError,
    WorkflowFinishedError,
)
from holdfast.core.failure import FailureInfo
from holdfast.core.history import EventType, RunStatus
from holdfast.core.ids import check_id
from holdfast.engine.asking import Filter, failed_run, finished_query, make_start, run_query
from holdfast.engine.control import Cancel, Pause, Resume, Terminate
from holdfast.engine.handle import WorkflowHandle
from holdfast.engine.head import Head
from holdfast.engine.items import Look, Signal, Update
from holdfast.engine.lifecycle import EngineOptions, Parts
from holdfast.engine.starting import OnConflict, Purge, Rerun, Started, cut_history
from holdfast.engine.views import (
    HistoryEvent,
    RunDescription,
    RunPage,
    describe_run,
    instant,
    summary_of,
    waiting_for,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping
    from datetime import datetime

    from holdfast.core.definitions import ActivityDefinition, ActivityFunction, WorkflowFunction
    from holdfast.engine.hooks import Hooks
    from holdfast.engine.lifecycle import EngineStats
    from holdfast.engine.reader import StoredRun
    from holdfast.ports import StateStore

__all__ = ["Engine"]

_MAX_MESSAGE_ID = 256


class Engine:
    """A durable workflow engine over a store.

    Everything it acknowledges is durable when a call returns. It is used as an async context manager; all its calls
    belong to the loop that opened it (`EngineThread` serves other threads).
    """

    def __init__(
        self,
        store: StateStore,
        *,
        workflows: Iterable[WorkflowFunction] = (),
        activities: Iterable[ActivityFunction] = (),
        hooks: Hooks | None = None,
        **options: Any,  # noqa: ANN401 - the fields of EngineOptions, by name
    ) -> None:
        """Describe an engine; opening it starts it.

        Args:
            store: Where runs are kept; the engine opens and closes it.
            workflows: The workflow functions it can run; of several versions of a name, new runs get the last.
            activities: The activity functions it can run.
            hooks: Callbacks for the events of runs.
            options: The fields of `EngineOptions`.

        Raises:
            TypeError: A function cannot be used as what it is given for, or there is no such option.
            ValueError: Two functions claim one name.
        """
        self._parts = Parts(store, workflows, activities, hooks, EngineOptions(**options))

    # Its life.

    async def open(self) -> None:
        """Open the store, take ownership of the runs, and take up what was going on.

        Raises:
            StoreError: The store cannot be used.
        """
        await self._parts.open()

    async def close(self) -> None:
        """Let running activities end for a while, persist, give ownership up and close the store."""
        await self._parts.close()

    async def __aenter__(self) -> Self:
        """Open it."""
        await self.open()
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Close it."""
        await self.close()

    def not_ready(self) -> str:
        """Say why work cannot be taken now; empty where it can."""
        return self._parts.not_ready()

    @property
    def is_stuck(self) -> bool:
        """Whether workflow code has held the engine's thread for over 30 seconds."""
        return self._parts.watchdog.is_stuck

    def stats(self) -> EngineStats:
        """Count what goes on."""
        return self._parts.stats()

    def now(self) -> datetime:
        """Say what time it is for the engine."""
        return instant(self._parts.options.clock.now())

    def replace_activity(self, definition: ActivityDefinition) -> None:
        """Run an activity by another function from now on, or one that was not known; for tests."""
        self._parts.registry.add_activity(definition, replacing=True)

    def observe(self, hooks: Hooks) -> None:
        """Call these hooks too, from now on."""
        self._parts.observe(hooks)

    @property
    def is_settled(self) -> bool:
        """Whether nothing goes on that does not wait for time or for somebody outside."""
        return self._parts.runtime.idle

    async def settled(self) -> None:
        """Wait until that is so."""
        while not self._parts.runtime.idle:  # noqa: ASYNC110 - many parts come to rest, in turns of the loop
            await asyncio.sleep(0)

    # Starting runs.

    async def start(  # noqa: PLR0913 - the public call has these options
        self,
        workflow: WorkflowFunction | str,
        input: object = None,
        *,
        id: str | None = None,
        timeout: Duration | None = None,
        on_conflict: OnConflict = "fail",
        reuse: bool = True,
        request_id: str | None = None,
    ) -> WorkflowHandle:
        """Start a run.

        Args:
            workflow: A registered workflow function, or its name.
            input: Any JSON value, dataclass or pydantic model that fits the workflow's annotation.
            id: The workflow id, ``[A-Za-z0-9_-]{1,64}``; by default one is made.
            timeout: The longest the run, with all that follow it by continue-as-new, may take.
            on_conflict: What to do where the id belongs to an open run: ``fail``, ``use_existing`` or
                ``terminate_existing``.
            reuse: The id may have belonged to a run that has ended.
            request_id: Names this request; the same request again gets the same answer.

        Raises:
            WorkflowNotFoundError: No such workflow is registered.
            WorkflowAlreadyStartedError: The id belongs to an open run, or to any and `reuse` is off.
            RequestConflictError: The request id was used for another request.
            InvalidIdError: The id is not one.
            PayloadError: The input does not fit, is not JSON or is too large.
        """
        parts = self._running()
        start, workflow_id = make_start(
            parts.world,
            workflow,
            input,
            id,
            timeout=timeout,
            on_conflict=on_conflict,
            reuse=reuse,
            request_id=request_id,
        )
        started: Started = await parts.runtime.ask(workflow_id, start)
        return self._handle_of(started, start.definition.decode_result)

    def _handle_of(self, started: Started, decode: Decoder) -> WorkflowHandle:
        return WorkflowHandle(self, started.workflow_id, started.run_id, follow=True, decode=decode)

    async def execute(
        self,
        workflow: WorkflowFunction | str,
        input: object = None,
        **options: Any,  # noqa: ANN401 - those of `start`
    ) -> Any:  # noqa: ANN401 - of the workflow's own type
        """Start a run and wait for its result; the options are those of `start`."""
        handle = await self.start(workflow, input, **options)
        return await handle.result()

    async def signal_with_start(  # noqa: PLR0913 - a start and a signal
        self,
        workflow: WorkflowFunction | str,
        input: object = None,
        *,
        id: str,
        signal: str,
        payload: object = None,
        signal_id: str | None = None,
        timeout: Duration | None = None,
    ) -> WorkflowHandle:
        """Send a signal to the open run of an id, and start one first if there is none: both in one commit."""
        parts = self._running()
        start, workflow_id = make_start(parts.world, workflow, input, id, timeout=timeout, on_conflict="use_existing")
        item = self._signal_item(signal, payload, signal_id)
        started, _ = await asyncio.gather(parts.runtime.ask(workflow_id, start), parts.runtime.ask(workflow_id, item))
        return self._handle_of(started, start.definition.decode_result)

    def handle(self, workflow_id: str, run_id: str | None = None) -> WorkflowHandle:
        """Get a handle of a run that was started before; without a run id, of the newest one."""
        check_id(workflow_id)
        return WorkflowHandle(self, workflow_id, run_id or "", follow=run_id is None)

    # Talking to runs.

    async def signal(
        self,
        workflow_id: str,
        name: str,
        payload: object = None,
        *,
        id: str | None = None,
    ) -> None:
        """Send a signal to a run; it is durable once this returns.

        Args:
            workflow_id: The run.
            name: The name that the workflow receives it by.
            payload: Any JSON value, dataclass or pydantic model.
            id: Names this signal: sent again under that name it is applied once, and answered the same.

        Raises:
            WorkflowNotFoundError: There is no such run.
            WorkflowFinishedError: It has ended.
            PayloadError: The payload is not JSON or too large.
        """
        await self._ask(workflow_id, self._signal_item(name, payload, id))

    def _signal_item(self, name: str, payload: object, message_id: str | None) -> Signal:
        if message_id is not None and not 0 < len(message_id) <= _MAX_MESSAGE_ID:
            message = f"a signal id has 1 to {_MAX_MESSAGE_ID} characters, not {len(message_id)}"
            raise PayloadError(message, field="id")
        return Signal(name=name, value=self._encode(payload, f"signal {name!r}"), id=message_id or "")

    async def query(self, workflow_id: str, name: str, input: object = None) -> Any:  # noqa: ANN401
        """Ask a run for a view of itself: ``status``, ``result``, ``stack``, or a handler of its own.

        A run that has ended, or has left memory, is replayed for it. Nothing is recorded.

        Raises:
            WorkflowNotFoundError: There is no such run.
            QueryError: It has no such query (the message lists those it has), or the handler raised.
        """
        raw = self._encode(input, f"input of query {name!r}")
        answer = await self._ask(workflow_id, Look(view=lambda run: run_query(run, name, raw)))
        if answer is None:
            stored = await self._stored(workflow_id, None, history=True)
            answer = await finished_query(self._running().world, stored, name, raw)
        return decode_json(answer)

    async def update(
        self,
        workflow_id: str,
        name: str,
        value: object = None,
        *,
        id: str | None = None,
    ) -> Any:  # noqa: ANN401 - any JSON value
        """Ask a run for a validated change, and wait for its reply.

        Args:
            workflow_id: The run.
            name: The update's name.
            value: Any JSON value, dataclass or pydantic model.
            id: Names this update: asked again under that name it is applied once, and answered the same.

        Raises:
            UpdateRejectedError: The run has no such update, its validator refused, or its handler failed.
            WorkflowFinishedError: The run has ended, or ended before it replied.
        """
        parts = self._running()
        update_id = id if id is not None else parts.world.new_id()
        item = Update(name=name, value=self._encode(value, f"update {name!r}"), id=update_id)
        waiters = parts.runtime.replies[workflow_id, update_id]
        future = asyncio.get_running_loop().create_future()
        waiters.append(future)
        try:
            known = await self._ask(workflow_id, item)
            event = known if known is not None else await future
        finally:
            if future in waiters:
                waiters.remove(future)
        if event is None:
            message = f"workflow {workflow_id!r} ended before it replied to update {name!r}"
            raise WorkflowFinishedError(message)
        if event.type is EventType.UPDATE_FAILED:
            raise UpdateRejectedError(FailureInfo.from_json(decode_json(event.value)).message)
        return decode_json(event.value)

    # Control.

    async def cancel(self, workflow_id: str, *, reason: str = "") -> None:
        """Ask a run to cancel: what it awaits raises `CancelToken`, and its clean-up runs. Asking twice is harmless."""
        await self._ask(workflow_id, Cancel(reason=reason))

    async def terminate(self, workflow_id: str, *, reason: str = "") -> None:
        """End a run here and now, without its clean-up."""
        await self._ask(workflow_id, Terminate(reason=reason))

    async def pause(self, workflow_id: str, *, reason: str = "") -> None:
        """Let a run do nothing until it is resumed; it still takes signals."""
        await self._ask(workflow_id, Pause(reason=reason))

    async def resume(self, workflow_id: str, *, reason: str = "") -> None:
        """Let a paused run go on, or try whether a stalled one can."""
        await self._ask(workflow_id, Resume(reason=reason))
        self._running().runtime.reload(workflow_id)

    async def rerun(self, workflow_id: str, *, from_event: int = 1, reason: str = "") -> WorkflowHandle:
        """Run a run that has ended again, as a new run of the same id.

        Args:
            workflow_id: The run.
            from_event: The last event to keep; what was asked for up to there and has no answer is asked for again.
            reason: Recorded in the history.

        Raises:
            WorkflowOpenError: It has not ended.
            ValueError: It has no such event.
        """
        parts = self._running()
        stored = await self._stored(workflow_id, None, history=True)
        history = cut_history(stored.history, from_event)
        item = Rerun(history=history, of_run=stored.head["run_id"], run_id=parts.world.new_id(), reason=reason)
        started: Started = await self._ask(workflow_id, item)
        definition = parts.world.host.registry.workflow(stored.head["workflow"], stored.head["version"])
        return self._handle_of(started, definition.decode_result)

    async def purge(self, workflow_id: str, *, reason: str = "") -> None:
        """Delete a run that has ended, with its history and all runs before it.

        Raises:
            WorkflowOpenError: It has not ended.
        """
        self._parts.log.info("workflow %r is purged: %s", workflow_id, reason or "no reason given")
        try:
            await self._ask(workflow_id, Purge())
        except CorruptDocumentError:
            await self._running().purge_corrupt(workflow_id)

    # Looking.

    async def result(
        self,
        workflow_id: str,
        run_id: str,
        *,
        follow: bool = True,
        decode: Decoder | None = None,
        timeout: Duration | None = None,
    ) -> Any:  # noqa: ANN401 - of the workflow's own type
        """Wait for a run to end, and give its result; `WorkflowHandle.result` calls this."""
        wait = None if timeout is None else milliseconds(timeout, "timeout") / 1000
        async with asyncio.timeout(wait):
            while True:
                ended = await self._running().outcome(workflow_id, run_id)
                if ended.status is not RunStatus.CONTINUED_AS_NEW or not follow:
                    break
                run_id = ended.next_run
        if ended.status is RunStatus.COMPLETED:
            return (decode or self._parts.result_decoder(ended))(ended.value)
        raise failed_run(workflow_id, ended)

    async def describe(self, workflow_id: str, *, run_id: str | None = None) -> RunDescription:
        """Show a run: the newest of its id, or an earlier one.

        Raises:
            WorkflowNotFoundError: There is none.
        """

        def view(run: Any) -> RunDescription | None:  # noqa: ANN401 - a Run
            if run_id is not None and run.head.run_id != run_id:
                return None
            return describe_run(run.head, run.status, waiting_for(run), run)

        try:
            found: RunDescription | None = await self._ask(workflow_id, Look(view=view))
        except CorruptDocumentError as error:
            return self._running().describe_corrupt(workflow_id, error)
        if found is not None:
            return found
        stored = await self._stored(workflow_id, run_id, history=False)
        head = Head.decode(stored.head, stored.blobs)
        return describe_run(head, head.status)

    async def history(self, workflow_id: str, *, run_id: str | None = None) -> list[HistoryEvent]:
        """Give all events of a run, the oldest first.

        Raises:
            WorkflowNotFoundError: There is no such run.
        """
        stored = await self._stored(workflow_id, run_id, history=True)
        return [HistoryEvent.of(seq, event) for seq, event in enumerate(stored.history, 1)]

    async def watch(self, workflow_id: str, *, after: int = 0) -> AsyncIterator[HistoryEvent]:
        """Give the events of a run's newest run as they become durable, until it ends.

        Args:
            workflow_id: The run.
            after: The number of the last event that is known already.
        """
        moved = asyncio.Event()
        watchers = self._running().runtime.watchers[workflow_id]
        watchers.add(moved)
        try:
            run_id = ""
            while True:
                moved.clear()
                stored = await self._stored(workflow_id, run_id or None, history=True)
                run_id = stored.head["run_id"]
                for seq, event in enumerate(stored.history[after:], after + 1):
                    yield HistoryEvent.of(seq, event)
                after = max(after, len(stored.history))
                if not RunStatus(stored.head["status"]).is_open:
                    return
                await moved.wait()
        finally:
            watchers.discard(moved)

    async def list(  # noqa: PLR0913 - filters of the public call
        self,
        *,
        status: RunStatus | str | None = None,
        workflow: str | None = None,
        attributes: Mapping[str, object] | None = None,
        text: str | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> RunPage:
        """List runs, the newest first; purged ones only where that status is asked for.

        Args:
            status: Only those that stand so.
            workflow: Only those of that name.
            attributes: Only those with these search attributes.
            text: Only those with this in their id.
            limit: The most to give, up to 1,000.
            cursor: The `next_cursor` of the page before.

        Raises:
            ValueError: The limit, status or cursor is not one.
        """
        wanted = Filter(RunStatus(status) if status is not None else None, workflow, dict(attributes or {}), text)
        if not 1 <= limit <= 1_000:  # noqa: PLR2004 - said in the docstring
            message = f"limit must be between 1 and 1,000, not {limit}"
            raise ValueError(message)
        index = self._running().index
        entries, following = index.page(wanted.matches, limit, cursor)
        return RunPage([summary_of(entry, index.status(entry)) for entry in entries], following)

    # Inside.

    def _running(self) -> Parts:
        return self._parts.require_open()

    async def _ask(self, workflow_id: str, item: Any) -> Any:  # noqa: ANN401 - each item has its own answer
        check_id(workflow_id)
        return await self._running().runtime.ask(workflow_id, item)

    def _encode(self, value: object, what: str) -> bytes:
        return encode(value, what, limit=self._running().world.host.payload_limit)

    async def _stored(self, workflow_id: str, run_id: str | None, *, history: bool) -> StoredRun:
        check_id(workflow_id)
        return await self._running().stored(workflow_id, run_id, history=history)
