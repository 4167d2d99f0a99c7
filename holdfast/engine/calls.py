"""Calls to runs that are there: signals, queries, updates, and control."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from holdfast.core.codec import decode_json, encode
from holdfast.core.errors import CorruptDocumentError, UpdateRejectedError, WorkflowFinishedError
from holdfast.core.failure import FailureInfo
from holdfast.core.history import EventType
from holdfast.core.ids import check_id, check_text
from holdfast.core.refs import check_ref_id
from holdfast.engine.asking import finished_query, run_query
from holdfast.engine.handle import WorkflowHandle
from holdfast.engine.runs.answers import RefAnswer, Resolution
from holdfast.engine.runs.control import Cancel, Pause, Resume, Terminate
from holdfast.engine.runs.items import APPLIED_BEFORE, Look, Signal, Update
from holdfast.engine.runs.starting import Purge, Rerun, Started, cut_history

if TYPE_CHECKING:
    from holdfast.core.codec import Decoder
    from holdfast.core.history import Event
    from holdfast.engine.commits.reader import StoredRun
    from holdfast.engine.engine import Engine
    from holdfast.engine.lifecycle import Parts

__all__ = ["RunCalls"]

_LONGEST_REASON = 1_000


class RunCalls:
    """The half of `Engine` that speaks to runs; the other half opens it, starts runs and looks at them."""

    _parts: Parts

    # Talking to runs.

    async def signal(
        self,
        workflow_id: str,
        name: str,
        payload: object = None,
        *,
        id: str | None = None,
        trace: str | None = None,
    ) -> None:
        """Send a signal to a run; it is durable once this returns.

        Args:
            workflow_id: The run.
            name: The name that the workflow receives it by.
            payload: Any JSON value, dataclass or pydantic model.
            id: Names this signal: sent again under that name it is applied once, and answered the same.
            trace: The W3C trace context of the sender, as in `start`; the history keeps it with the signal.

        Raises:
            WorkflowNotFoundError: There is no such run.
            WorkflowFinishedError: It has ended.
            PayloadError: The payload is not JSON or too large.
        """
        await self._ask(workflow_id, self._signal_item(name, payload, id, trace))

    def _signal_item(self, name: str, payload: object, message_id: str | None, trace: str | None) -> Signal:
        check_text(name, "signal name")
        known = check_text(message_id, "signal id") if message_id is not None else ""
        return Signal(name=name, value=self._encode(payload, f"signal {name!r}"), id=known, trace=trace or "")

    async def resolve_ref(  # noqa: PLR0913 - the answer, and how it is known
        self,
        workflow_id: str,
        ref: str,
        value: object = None,
        *,
        error: object = None,
        id: str | None = None,
        trace: str | None = None,
    ) -> Resolution:
        """Answer a ref of a run; it is durable once this returns.

        Args:
            workflow_id: The run.
            ref: The id of the ref.
            value: What it resolves to: any JSON value, dataclass or pydantic model.
            error: What it raises, as a `RefError`, instead: any JSON value but null.
            id: Names this answer: sent again under that name it counts once.
            trace: The W3C trace context of the sender, as in `start`; the history keeps it with the answer.

        Returns:
            What became of it: the ref may not exist yet, or be answered or cancelled already.

        Raises:
            WorkflowNotFoundError: There is no such run.
            WorkflowFinishedError: It has ended.
            PayloadError: The answer is not JSON or too large, or 1,000 wait for refs that do not exist yet.
            ValueError: There are both, a value and an error.
        """
        check_ref_id(ref)
        if value is not None and error is not None:
            message = "a ref is answered by a value or by an error, not by both"
            raise ValueError(message)
        known = check_text(id, "message id", longest=1_024) if id is not None else ""
        raw = self._encode(value if error is None else error, f"answer to ref {ref!r}")
        answer = RefAnswer(ref=ref, value=raw, rejects=error is not None, id=known, trace=trace or "")
        return cast("Resolution", await self._ask(workflow_id, answer))

    async def query(self, workflow_id: str, name: str, input: object = None) -> Any:  # noqa: ANN401
        """Ask a run for a view of itself: ``status``, ``result``, ``stack``, or a handler of its own.

        A run that has ended, or has left memory, is replayed for it. Nothing is recorded.

        Raises:
            WorkflowNotFoundError: There is no such run.
            QueryError: It has no such query (the message lists those it has), or the handler raised.
        """
        raw = self._encode(input, f"input of query {name!r}")
        try:
            answer = await self._ask(workflow_id, Look(view=lambda run: run_query(run, name, raw)))
        except CorruptDocumentError as error:
            return self._running().looking.query_corrupt(workflow_id, name, error)
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
        trace: str | None = None,
    ) -> Any:  # noqa: ANN401 - any JSON value
        """Ask a run for a validated change, and wait for its reply.

        Args:
            workflow_id: The run.
            name: The update's name.
            value: Any JSON value, dataclass or pydantic model.
            id: Names this update: asked again under that name it is applied once, and answered the same.
            trace: The W3C trace context of who asks, as in `start`; the history keeps it with the update.

        Raises:
            UpdateRejectedError: The run has no such update, its validator refused, or its handler failed.
            WorkflowFinishedError: The run has ended, or ended before it replied.
        """
        parts = self._running()
        check_text(name, "update name")
        update_id = check_text(id, "update id") if id is not None else parts.world.new_id()
        item = Update(name=name, value=self._encode(value, f"update {name!r}"), id=update_id, trace=trace or "")
        replies, key = parts.runtime.replies, (workflow_id, update_id)
        future = replies.add(key)
        try:
            known = await self._ask(workflow_id, item)
            if known is APPLIED_BEFORE:
                known = await parts.looking.reply(workflow_id, update_id)
                future.cancel()
            event: Event | None = known if known is not None or future.cancelled() else await future
        finally:
            replies.leave(key, future)
        if event is None:
            message = f"workflow {workflow_id!r} ended before it replied to update {name!r}"
            raise WorkflowFinishedError(message)
        if event.type is EventType.UPDATE_FAILED:
            raise UpdateRejectedError(FailureInfo.from_json(decode_json(event.value)).message)
        return decode_json(event.value)

    # Control.

    async def cancel(self, workflow_id: str, *, reason: str = "") -> None:
        """Ask a run to cancel: what it awaits raises `CancelToken`, and its clean-up runs. Asking twice is harmless.

        Raises:
            WorkflowNotFoundError: There is no such run.
            WorkflowFinishedError: It has ended.
        """
        await self._ask(workflow_id, Cancel(reason=_reason(reason)))

    async def terminate(self, workflow_id: str, *, reason: str = "") -> None:
        """End a run here and now, without its clean-up.

        Raises:
            WorkflowNotFoundError: There is no such run.
            WorkflowFinishedError: It has ended.
        """
        await self._ask(workflow_id, Terminate(reason=_reason(reason)))

    async def pause(self, workflow_id: str, *, reason: str = "") -> None:
        """Let a run do nothing until it is resumed; it still takes signals.

        Raises:
            WorkflowNotFoundError: There is no such run.
            WorkflowFinishedError: It has ended.
        """
        await self._ask(workflow_id, Pause(reason=_reason(reason)))

    async def resume(self, workflow_id: str, *, reason: str = "") -> None:
        """Let a paused run go on, or try whether a stalled one can.

        Raises:
            WorkflowNotFoundError: There is no such run.
            WorkflowFinishedError: It has ended.
        """
        await self._ask(workflow_id, Resume(reason=_reason(reason)))
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
        definition = parts.world.host.registry.workflow(stored.head["workflow"], stored.head["version"])
        history = cut_history(stored.history, from_event)
        run_id = parts.world.new_id()
        item = Rerun(history=history, of_run=stored.head["run_id"], run_id=run_id, reason=_reason(reason))
        started: Started = await self._ask(workflow_id, item)
        return self._handle_of(started, definition.decode_result)

    async def purge(self, workflow_id: str, *, reason: str = "") -> None:
        """Delete a run that has ended, with its history and all runs before it.

        Raises:
            WorkflowOpenError: It has not ended.
        """
        words = _reason(reason) or "no reason given"
        self._parts.log.info("workflow %r is purged: %s", workflow_id, words, extra={"workflow_id": workflow_id})
        runtime = self._running().runtime
        swept = runtime.sweeper.swept.add(workflow_id)
        try:
            try:
                await self._ask(workflow_id, Purge())
            except CorruptDocumentError as error:
                await runtime.arrivals.overwrite_corrupt(workflow_id, error)
        except BaseException:
            runtime.sweeper.swept.leave(workflow_id, swept)
            raise
        await swept

    # Inside.

    def _running(self) -> Parts:
        return self._parts.require_open()

    async def _ask(self, workflow_id: str, item: Any) -> Any:  # noqa: ANN401 - each item has its own answer
        check_id(workflow_id)
        return await self._running().runtime.ask(workflow_id, item)

    def _encode(self, value: object, what: str) -> bytes:
        return encode(value, what, limit=self._running().world.host.payload_limit)

    def _handle_of(self, started: Started, decode: Decoder) -> WorkflowHandle:
        engine = cast("Engine", self)
        return WorkflowHandle(
            engine, started.workflow_id, started.run_id, follow=True, decode=decode, created=started.created
        )

    async def _stored(self, workflow_id: str, run_id: str | None, *, history: bool) -> StoredRun:
        check_id(workflow_id)
        return await self._running().looking.stored(workflow_id, run_id, history=history)


def _reason(reason: str) -> str:
    return check_text(reason, "reason", longest=_LONGEST_REASON, empty=True)
