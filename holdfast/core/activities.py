"""What an activity is told about itself, and the limits that a call of it may set."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from holdfast.core.durations import Duration, milliseconds
from holdfast.core.retry import RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ActivityContext", "ActivityOptions"]


_DEFAULT_RETRY = RetryPolicy()


@dataclass(frozen=True, slots=True)
class ActivityOptions:
    """How one call of an activity is carried out.

    Attributes:
        retry: When a failed attempt is followed by another.
        timeout_ms: The longest that one attempt may run, from the start of its body; None for no limit.
        heartbeat_ms: The longest silence between two heartbeats of an attempt; None where none are expected.
        schedule_to_close_ms: The longest that the call may take with all its attempts; None for no limit.
        limits_attempts: Whether one attempt has a limit of its own.
    """

    retry: RetryPolicy = _DEFAULT_RETRY
    timeout_ms: int | None = None
    heartbeat_ms: int | None = None
    schedule_to_close_ms: int | None = None
    limits_attempts: bool = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Say once what is asked at every step."""
        object.__setattr__(self, "limits_attempts", self.timeout_ms is not None or self.heartbeat_ms is not None)

    def override(
        self,
        retry: RetryPolicy | None,
        timeout: Duration | None,
        heartbeat_timeout: Duration | None,
        schedule_to_close: Duration | None,
    ) -> ActivityOptions:
        """Give these options with those replaced that a call names."""
        options = self
        if retry is not None:
            options = replace(options, retry=retry)
        if timeout is not None:
            options = replace(options, timeout_ms=milliseconds(timeout, "timeout"))
        if heartbeat_timeout is not None:
            options = replace(options, heartbeat_ms=milliseconds(heartbeat_timeout, "heartbeat_timeout"))
        if schedule_to_close is not None:
            options = replace(options, schedule_to_close_ms=milliseconds(schedule_to_close, "schedule_to_close"))
        return options


class ActivityContext:
    """What an activity may know of its own call: ask for it as the second parameter.

    Attributes:
        workflow_id: The run that called.
        activity_id: The call, within its run.
        attempt: The number of this attempt, from 1.
        idempotency_key: A text that is the same for every attempt of this call, and for no other call.
        timeout: How many seconds this attempt may run, for what it calls in turn; None where there is no limit.
        last_heartbeat: What the attempt before this one told with its last recorded heartbeat, or None.
        traceparent: The W3C ``traceparent`` to send along to other services; empty where the run belongs to no trace.
        tracestate: The ``tracestate`` that goes with it; may be empty.
    """

    __slots__ = (
        "_cancelled",
        "_heartbeat",
        "activity_id",
        "attempt",
        "idempotency_key",
        "last_heartbeat",
        "timeout",
        "traceparent",
        "tracestate",
        "workflow_id",
    )

    def __init__(  # noqa: PLR0913 - all that there is to know of a call
        self,
        workflow_id: str,
        activity_id: str,
        attempt: int,
        idempotency_key: str,
        *,
        timeout: float | None = None,
        last_heartbeat: Any = None,  # noqa: ANN401 - any JSON value
        heartbeat: Callable[[object], None] = lambda _details: None,
        traceparent: str = "",
        tracestate: str = "",
    ) -> None:
        """Make a context; tests of an activity may do so too."""
        self.workflow_id = workflow_id
        self.activity_id = activity_id
        self.attempt = attempt
        self.idempotency_key = idempotency_key
        self.timeout = timeout
        self.last_heartbeat = last_heartbeat
        self.traceparent = traceparent
        self.tracestate = tracestate
        self._heartbeat = heartbeat
        self._cancelled = False

    @property
    def cancelled(self) -> bool:
        """Whether the run no longer wants the result: a ``def`` activity should look now and then, and stop."""
        return self._cancelled

    def cancel(self) -> None:
        """Tell the activity that its result is no longer wanted."""
        self._cancelled = True

    def heartbeat(self, details: Any = None) -> None:  # noqa: ANN401 - any JSON value
        """Say that the attempt is alive, and how far it is; safe to call from any thread.

        Args:
            details: Any JSON value; recorded at most every third of the heartbeat time-out, and given to the next
                attempt as `last_heartbeat`.
        """
        self._heartbeat(details)
