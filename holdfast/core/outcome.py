"""How a run ended, read off its main task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from holdfast.core.codec import encode
from holdfast.core.errors import PayloadError
from holdfast.core.failure import FailureInfo
from holdfast.core.history import Command, EventType

if TYPE_CHECKING:
    from holdfast.core.instance import Instance

__all__ = ["encode_failure", "outcome_of"]

_FAILURE_LIMIT = 64 * 1024


def encode_failure(error: BaseException | FailureInfo) -> bytes:
    """Write a failure in its stored form."""
    failure = error if isinstance(error, FailureInfo) else FailureInfo.of(error)
    return encode(failure.to_json(), "failure", limit=_FAILURE_LIMIT)


def outcome_of(run: Instance) -> Command:
    """Make the command that ends a run whose code has ended.

    What was asked for last counts first: the next run of a `continue_as_new`, then an exit, then the main task.
    """
    if run.next_input is not None:
        return Command(EventType.WORKFLOW_CONTINUED_AS_NEW, run.loop.now_ms, value=run.next_input)
    if run.failure is not None:
        return Command(EventType.WORKFLOW_FAILED, run.loop.now_ms, value=encode_failure(run.failure))
    main = run.main
    assert main is not None  # noqa: S101 - a run ends by its failure, its next input or its main task
    if main.cancelled():
        return _cancelled(run)
    error = main.exception()
    if error is not None:
        return Command(EventType.WORKFLOW_FAILED, run.loop.now_ms, value=encode_failure(error))
    try:
        what = f"result of workflow {run.definition.name!r}"
        return Command(
            EventType.WORKFLOW_COMPLETED,
            run.loop.now_ms,
            value=encode(main.result(), what, limit=run.host.payload_limit),
        )
    except PayloadError as misfit:
        return Command(EventType.WORKFLOW_FAILED, run.loop.now_ms, value=encode_failure(misfit))


def _cancelled(run: Instance) -> Command:
    if run.timed_out:
        failure = FailureInfo("TimeoutError", "the workflow did not end within its time-out")
        return Command(EventType.WORKFLOW_TIMED_OUT, run.loop.now_ms, value=encode_failure(failure))
    failure = FailureInfo("CancelToken", run.cancel_reason or "canceled")
    return Command(EventType.WORKFLOW_CANCELED, run.loop.now_ms, value=encode_failure(failure))
