"""The engine: what callers can ask of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Self

from holdfast.core.durations import Duration, milliseconds
from holdfast.core.history import RunStatus
from holdfast.core.ids import check_id
from holdfast.engine.asking import Filter, failed_run, make_start
from holdfast.engine.bus import LocalBus
from holdfast.engine.calls import RunCalls
from holdfast.engine.handle import WorkflowHandle
from holdfast.engine.lifecycle import EngineOptions, Parts
from holdfast.engine.messages.timers import SCHEDULER, SCHEDULER_TOPIC
from holdfast.engine.receiving import TopicCalls
from holdfast.engine.runs.starting import SignalledStart
from holdfast.engine.views import (
    HistoryEvent,
    RunDescription,
    RunPage,
    instant,
    summary_of,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from datetime import datetime

    from holdfast.core.codec import Decoder
    from holdfast.core.definitions import ActivityDefinition, ActivityFunction, WorkflowDefinition, WorkflowFunction
    from holdfast.engine.runs.starting import OnConflict, Started
    from holdfast.engine.stats import EngineStats
    from holdfast.engine.work.hooks import Hooks
    from holdfast.ports import Capabilities, StateStore, Tracing

__all__ = ["Engine"]

_LONGEST_REASON = 1_000


class Engine(RunCalls, TopicCalls):
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
        chosen = EngineOptions(**options)
        self._parts = Parts(store, workflows, activities, hooks, chosen)
        if isinstance(chosen.publisher, LocalBus):
            own = [chosen.resume_topic, *(mapping.topic for mapping in chosen.topics)]
            if self._parts.registry.find(SCHEDULER):
                own.append(SCHEDULER_TOPIC)
            chosen.publisher.forward(own, self.deliver)

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
        """Whether something has held the engine's thread for over 30 seconds: the process should be restarted."""
        return self._parts.watchdog.is_stuck

    def stats(self) -> EngineStats:
        """Count what goes on."""
        return self._parts.stats()

    @property
    def capabilities(self) -> Capabilities:
        """What its store can do."""
        return self._parts.store.capabilities

    def now(self) -> datetime:
        """Say what time it is for the engine."""
        return instant(self._parts.options.clock.now())

    def definitions(self) -> Sequence[WorkflowDefinition]:
        """List the workflows that it can run, by name and version."""
        return self._parts.registry.workflows()

    def definition(self, name: str) -> WorkflowDefinition:
        """Give the version of a workflow that new runs get.

        Raises:
            WorkflowNotFoundError: There is none of that name.
        """
        return self._parts.registry.workflow(name)

    def replace_activity(self, definition: ActivityDefinition) -> None:
        """Run an activity by another function from now on, or one that was not known; for tests."""
        self._parts.registry.add_activity(definition, replacing=True)

    def observe(self, hooks: Hooks) -> None:
        """Call these hooks too, from now on."""
        self._parts.observe(hooks)

    def trace_with(self, tracing: Tracing) -> None:
        """Run activities in spans from now on, each as part of its run's trace."""
        self._parts.trace_with(tracing)

    @property
    def is_settled(self) -> bool:
        """Whether nothing goes on that does not wait for time or for somebody outside."""
        return self._parts.runtime.idle

    async def settled(self) -> None:
        """Wait until nothing goes on that does not wait for time or for somebody outside."""
        await self._parts.runtime.settled()

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
        trace: str | None = None,
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
            request_id: Names this request; the same request again gets the same answer. The newest 16 requests of a
                workflow id are known; without an id one that follows from the request's is taken.
            trace: The W3C trace context that the run goes on from: a ``traceparent``, and behind a space the
                ``tracestate`` if there is one. What is not one is ignored. Its activities and children belong to it.

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
            trace=trace,
        )
        started: Started = await parts.runtime.ask(workflow_id, start)
        return self._handle_of(started, start.definition.decode_result)

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
        trace: str | None = None,
    ) -> WorkflowHandle:
        """Send a signal to the open run of an id, and start one first if there is none: both in one commit.

        Args:
            workflow: A registered workflow function, or its name.
            input: What a new run starts with.
            id: The workflow id.
            signal: The name of the signal.
            payload: What the signal carries: any JSON value, dataclass or pydantic model.
            signal_id: Names the signal: sent again under that name it is applied once.
            timeout: The longest a new run may take.
            trace: The W3C trace context of the sender, as in `start`; a new run goes on from it.

        Raises:
            WorkflowNotFoundError: No such workflow is registered.
            InvalidIdError: The id is not one.
            PayloadError: The input or the payload does not fit, is not JSON or is too large.
        """
        parts = self._running()
        start, workflow_id = make_start(
            parts.world, workflow, input, id, timeout=timeout, on_conflict="use_existing", trace=trace
        )
        item = SignalledStart(start=start, signal=self._signal_item(signal, payload, signal_id, trace))
        started: Started = await parts.runtime.ask(workflow_id, item)
        return self._handle_of(started, start.definition.decode_result)

    def handle(self, workflow_id: str, run_id: str | None = None) -> WorkflowHandle:
        """Get a handle of a run that was started before; without a run id, of the newest one."""
        check_id(workflow_id)
        return WorkflowHandle(self, workflow_id, run_id or "", follow=run_id is None)

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
        """Wait for a run to end, and give its result; `WorkflowHandle.result` calls this.

        Args:
            workflow_id: The workflow id.
            run_id: The run.
            follow: Go on to the run that follows by continue-as-new, and so on.
            decode: How to read the result; by default as the workflow is annotated.
            timeout: How long to wait.

        Raises:
            WorkflowFailedError: It failed, or was cancelled, terminated or timed out.
            TimeoutError: It did not end in time; it goes on.
            WorkflowNotFoundError: There is no such run.
        """
        looking = self._running().looking
        wait = None if timeout is None else milliseconds(timeout, "timeout") / 1000
        async with asyncio.timeout(wait):
            while True:
                ended = await looking.outcome(workflow_id, run_id)
                if ended.status is not RunStatus.CONTINUED_AS_NEW or not follow:
                    break
                run_id = ended.next_run
        if ended.status is RunStatus.COMPLETED:
            return (decode or looking.result_decoder(ended))(ended.value)
        raise failed_run(workflow_id, ended)

    async def describe(self, workflow_id: str, *, run_id: str | None = None) -> RunDescription:
        """Show a run: the newest of its id, or an earlier one.

        Raises:
            WorkflowNotFoundError: There is none.
        """
        check_id(workflow_id)
        return await self._running().looking.describe(workflow_id, run_id)

    async def history(self, workflow_id: str, *, run_id: str | None = None) -> list[HistoryEvent]:
        """Give all events of a run, the oldest first.

        Raises:
            WorkflowNotFoundError: There is no such run.
        """
        stored = await self._stored(workflow_id, run_id, history=True)
        return [HistoryEvent.of(seq, event) for seq, event in enumerate(stored.history, 1)]

    def watch(self, workflow_id: str, *, after: int = 0) -> AsyncIterator[HistoryEvent]:
        """Give the events of a run's newest run as they become durable, until it ends.

        Args:
            workflow_id: The run.
            after: The number of the last event that is known already.
        """
        check_id(workflow_id)
        return self._running().looking.watch(workflow_id, after)

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
            attributes: Only those that have all of these search attributes, with these values.
            text: Only those whose id holds each of these words, which spaces part.
            limit: The most to give, from 1 to 1,000.
            cursor: The `next_cursor` of the page before; None for the first page.

        Raises:
            ValueError: The limit, status or cursor is not one.
        """
        wanted = Filter(
            RunStatus(status) if status is not None else None, workflow, dict(attributes or {}), (text or "").split()
        )
        if not 1 <= limit <= 1_000:  # noqa: PLR2004 - said in the docstring
            message = f"limit must be between 1 and 1,000, not {limit}"
            raise ValueError(message)
        index = self._running().index
        entries, following = index.page(wanted.matches, limit, cursor)
        return RunPage([summary_of(entry, index.status(entry)) for entry in entries], following)
