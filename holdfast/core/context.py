"""What a workflow function can ask for: the author's side of the engine."""

from __future__ import annotations

import asyncio
import logging
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, overload

from holdfast.core.activities import ActivityOptions
from holdfast.core.branching import BranchCalls
from holdfast.core.channel import SignalChannel, within
from holdfast.core.children import ChildHandle, ParentClose, start_child
from holdfast.core.codec import decode_json, decoder_for, encode
from holdfast.core.durations import Duration, milliseconds
from holdfast.core.errors import PayloadError
from holdfast.core.history import Command, EventType
from holdfast.core.outside import OutsideCalls

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Coroutine, MutableMapping

    from holdfast.core.instance import Instance
    from holdfast.core.retry import RetryPolicy

__all__ = ["CancelToken", "WorkflowContext"]

T = TypeVar("T")

CancelToken = asyncio.CancelledError
"""What is raised in workflow code that is cancelled: Python's own."""

_ATTRIBUTES_LIMIT = 4 * 1024
_DEFAULT_OPTIONS = ActivityOptions()
_ACTIVITY_STARTED = EventType.ACTIVITY_STARTED  # looking a member up is slow, and this one is needed at each step


class WorkflowContext(OutsideCalls, BranchCalls):
    """The run, as its own code sees it. A workflow function gets it as its first argument.

    Besides these methods, ``asyncio.sleep``, ``gather``, ``wait``, ``wait_for``, ``timeout``, ``TaskGroup``,
    ``Queue``, ``Event``, ``Lock`` and ``shield`` may be used as ever; here they are deterministic and durable.
    """

    __slots__ = ("_logger", "_run")

    def __init__(self, run: Instance) -> None:
        """Speak for a run."""
        self._run = run
        self._logger: logging.LoggerAdapter[logging.Logger] | None = None

    @property
    def workflow_id(self) -> str:
        """The id that the run was started under."""
        return self._run.info.workflow_id

    @property
    def thread_key(self) -> str:
        """The key that it was started under by `ensure_thread` or a record; else the workflow id."""
        return self._run.info.thread

    @property
    def run_id(self) -> str:
        """The id of this run among all that had the workflow id."""
        return self._run.info.run_id

    @property
    def workflow_name(self) -> str:
        """The name of the workflow."""
        return self._run.definition.name

    @property
    def is_replaying(self) -> bool:
        """Whether events are applied that were applied before; for logs and metrics, never for decisions."""
        return self._run.replaying

    @property
    def logger(self) -> logging.LoggerAdapter[logging.Logger]:
        """A logger that knows the run, and is silent while it replays."""
        if self._logger is None:
            self._logger = _RunLogger(self._run)
        return self._logger

    @overload
    async def execute_activity(
        self,
        activity: Callable[..., Coroutine[Any, Any, T]],
        input: object = None,
        *,
        retry: RetryPolicy | None = None,
        timeout: Duration | None = None,
        heartbeat_timeout: Duration | None = None,
        schedule_to_close: Duration | None = None,
        result_type: None = None,
    ) -> T: ...
    @overload
    async def execute_activity(
        self,
        activity: Callable[..., T],
        input: object = None,
        *,
        retry: RetryPolicy | None = None,
        timeout: Duration | None = None,
        heartbeat_timeout: Duration | None = None,
        schedule_to_close: Duration | None = None,
        result_type: None = None,
    ) -> T: ...
    @overload
    async def execute_activity(
        self,
        activity: Callable[..., Any] | str,
        input: object = None,
        *,
        retry: RetryPolicy | None = None,
        timeout: Duration | None = None,
        heartbeat_timeout: Duration | None = None,
        schedule_to_close: Duration | None = None,
        result_type: Any = None,
    ) -> Any: ...
    async def execute_activity(  # noqa: PLR0913 - each is a named option of the public call
        self,
        activity: Callable[..., Any] | str,
        input: object = None,
        *,
        retry: RetryPolicy | None = None,
        timeout: Duration | None = None,
        heartbeat_timeout: Duration | None = None,
        schedule_to_close: Duration | None = None,
        result_type: Any = None,
    ) -> Any:
        """Run an activity outside of the workflow, at least once, and wait for its result.

        Args:
            activity: The function, or the name it is registered under.
            input: Any JSON value, dataclass or pydantic model.
            retry: When a failed attempt is followed by another, instead of the activity's own policy.
            timeout: The longest that one attempt may run, from the start of its body.
            heartbeat_timeout: The longest silence between two heartbeats.
            schedule_to_close: The longest that the call may take with all its attempts.
            result_type: What to decode the result as, instead of the function's annotation.

        Raises:
            ActivityError: Its attempts are used up, or it failed for good; ``cause`` tells how.
            PayloadError: The input has no JSON form or is too large, or the result does not fit its type.
        """
        run = self._run
        loop = run.loop
        if isinstance(activity, str):
            declared = run.host.registry.activity(activity)
            options = declared.options if declared is not None else _DEFAULT_OPTIONS
            name, decode, words = activity, decode_json, f"input of activity {activity!r}"
        else:
            known = run.host.registry.activity_of(activity)
            name, options, decode, words = known.name, known.options, known.decode_result, known.input_words
        if result_type is not None:
            decode = decoder_for(result_type, f"result of activity {name!r}")
        if not (retry is None and timeout is None and heartbeat_timeout is None and schedule_to_close is None):
            options = options.override(retry, timeout, heartbeat_timeout, schedule_to_close)
        raw = encode(input, words, limit=run.host.payload_limit)
        command = Command(_ACTIVITY_STARTED, loop.now_ms, loop.lineage().next_id(), name, raw, None, options)
        answer = run.expect(command, decode)
        try:
            return await answer
        except asyncio.CancelledError:
            if answer.cancelled():
                run.give_up(command, EventType.ACTIVITY_CANCELLED)
            raise

    async def receive_signal(self, name: str, *, timeout: Duration | None = None, type: Any = None) -> Any:
        """Take the oldest signal of a name, waiting for one if there is none.

        Args:
            name: Which signals.
            timeout: The longest to wait.
            type: What to decode the payload as.

        Raises:
            TimeoutError: None came in time.
            PayloadError: The payload does not fit the type; the signal counts as taken.
        """
        decode = decode_json if type is None else decoder_for(type, f"signal {name!r}")
        mailbox = self._run.mailbox(name)
        taken = mailbox.take()
        return decode(await (taken if timeout is None else within(timeout, taken, f"signal {name!r} did not come")))

    def signal_channel(self, name: str, *, type: Any = None) -> SignalChannel:
        """Give the signals of a name as an async iterator that never ends."""
        decode = decode_json if type is None else decoder_for(type, f"signal {name!r}")
        return SignalChannel(self._run, name, decode)

    async def sleep(self, duration: Duration) -> None:
        """Wait by a durable timer."""
        await asyncio.sleep(milliseconds(duration, "duration") / 1000)

    async def wait_condition(self, condition: Callable[[], object], *, timeout: Duration | None = None) -> None:
        """Wait until a condition over the run's own variables holds; it is tried after each event.

        Raises:
            TimeoutError: It did not hold in time.
        """
        if not condition():
            holds = self._run.add_condition(condition)
            await (holds if timeout is None else within(timeout, holds, "the condition did not hold"))

    def set_query_handler(self, name: str, function: Callable[..., Any]) -> None:
        """Answer a query by a plain function that looks at the run and changes nothing.

        Args:
            name: What callers ask for.
            function: Takes the query's input, or nothing; returns any JSON value.
        """
        self._run.handlers.set_query(name, function)

    def set_update_handler(
        self, name: str, function: Callable[..., Any], *, validator: Callable[..., Any] | None = None
    ) -> None:
        """Carry an update out by a function, plain or async, whose return value is the caller's reply.

        Args:
            name: What callers ask for.
            function: Takes the update's value, or nothing.
            validator: Takes the same, before anything is recorded; what it raises is the caller's answer.
        """
        self._run.handlers.set_update(name, function, validator)

    def start_child(
        self,
        workflow: Callable[..., Any] | str,
        input: object = None,
        *,
        id: str | None = None,
        parent_close: ParentClose = "cancel",
    ) -> ChildHandle:
        """Start a child run, after this one's progress is durable.

        Args:
            workflow: The function, or the name it is registered under.
            input: Any JSON value, dataclass or pydantic model.
            id: The child's workflow id; by default one that follows from this run's and the place of the call.
            parent_close: What becomes of the child when this run ends first: ``cancel``, ``terminate`` or ``abandon``.

        Returns:
            A handle whose ``result()`` waits for the child.
        """
        return start_child(self._run, workflow, input, id, parent_close)

    async def execute_child(
        self,
        workflow: Callable[..., Any] | str,
        input: object = None,
        *,
        id: str | None = None,
        parent_close: ParentClose = "cancel",
    ) -> Any:
        """Start a child run and wait for its result; if that wait is cancelled, so is the child.

        Raises:
            ChildWorkflowError: The child failed, was cancelled or terminated, timed out, or its id is taken.
        """
        child = self.start_child(workflow, input, id=id, parent_close=parent_close)
        try:
            return await child.result()
        except asyncio.CancelledError:
            child.cancel()
            raise

    def now(self) -> datetime:
        """Give the time of the event being applied."""
        return datetime.fromtimestamp(self._run.loop.now_ms / 1000, UTC)

    def random(self) -> random.Random:
        """Give a stream of random numbers that is the same on replay; each task has its own."""
        return self._run.random()

    def uuid4(self) -> uuid.UUID:
        """Make a random UUID that is the same on replay."""
        return uuid.UUID(int=self._run.random().getrandbits(128), version=4)

    def patched(self, change_id: str) -> bool:
        """Say whether the run takes the new side of a change to the code.

        True for runs that reach this call for the first time, and then for good; False for those that had passed
        this place before the change was made.
        """
        return self._run.patched(change_id)

    def continue_as_new(self, input: object = None) -> NoReturn:
        """End this run and begin its next one, under the same id with an empty history. Never returns.

        Signals that nobody has taken, open updates, search attributes and the remaining time-out go over to the next
        run. An open update is handled there from its beginning: what its handler has done in this run is done again.
        Where that may not be, wait first, with `wait_condition`, until the handlers that have begun are done.
        """
        run = self._run
        run.check_commands_allowed("continue as new")
        raw = encode(input, f"input of workflow {run.definition.name!r}", limit=run.host.payload_limit)
        run.definition.decode_input(raw)
        run.next_input = raw
        raise _ContinueAsNew

    def set_attributes(self, **attributes: str | float | bool | None) -> None:
        """Set search attributes, by which runs can be listed; None removes one.

        Raises:
            PayloadError: A value is not a plain one, or all of them together are over 4 KiB.
        """
        run = self._run
        merged = {**run.attributes, **attributes}
        merged = {name: value for name, value in merged.items() if value is not None}
        for name, value in merged.items():
            if not isinstance(value, (str, int, float, bool)):
                message = f"search attribute {name!r} must be a text, a number or a bool, not {type(value).__name__}"
                raise PayloadError(message, field=name)
        raw = encode(merged, "search attributes", limit=_ATTRIBUTES_LIMIT)
        run.issue(Command(EventType.ATTRIBUTES_SET, run.loop.now_ms, run.loop.lineage().next_id(), value=raw))
        run.attributes = merged


class _ContinueAsNew(BaseException):
    """Leaves workflow code; not an `Exception`, so that it passes ordinary handlers."""


class _RunLogger(logging.LoggerAdapter[logging.Logger]):
    """Adds who the run is to each record, and drops what was logged before."""

    def __init__(self, run: Instance) -> None:
        super().__init__(run.host.logger, run.info.log_fields(run.definition.name))
        self._run = run

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name is logging's
        return not self._run.silent and super().isEnabledFor(level)

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        kwargs["extra"] = {**(self.extra or {}), **kwargs.get("extra", {})}
        return msg, kwargs
