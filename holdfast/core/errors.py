"""Every error that Holdfast raises, in one tree.

HoldfastError
├── NonRetryableError          raised by an activity: do not try again
├── WorkflowNotFoundError      the caller's fault: no such run, or no such workflow
├── DeadLetterNotFoundError    the caller's fault: no such dead letter
├── WorkflowAlreadyStartedError   a conflict: the id belongs to a run that is open
├── WorkflowOpenError          a conflict: the run has to end first
├── WorkflowFinishedError      a conflict: the run has ended
├── UpdateRejectedError        the caller's fault: unknown update, or the validator said no
├── QueryError                 the caller's fault: unknown query, or the handler raised
├── InvalidIdError             the caller's fault: an id that no store could keep
├── PayloadError               the caller's fault: a value that does not fit its type, JSON or a limit
├── UndeclaredTopicError       seen by workflow code: an output to a topic that its workflow does not declare
├── RequestConflictError       the caller's fault: a request id used again for another request
├── WorkflowFailedError        how a run ended
│   ├── WorkflowCanceledError
│   ├── WorkflowTerminatedError
│   └── WorkflowTimedOutError
├── ActivityError              seen by workflow code: an activity has used up its attempts
├── RefError                   seen by workflow code: whoever was to answer a ref has sent an error
├── AggregateError             seen by workflow code: no branch of ``any`` was fulfilled
├── LlmError                   an activity's: the model, or the way to it, failed; it may work the next time
├── ChildWorkflowError         seen by workflow code: a child run did not complete
├── NondeterminismError        workflow code did what cannot be replayed
├── FencedError                the platform: another process owns the runs now
├── PublishError               the platform: outputs were not published, or perhaps not
├── UnknownProviderError       the caller's fault: no executor or store of that name
└── StoreError                 the platform
    ├── StoreUnavailableError  the outcome of the call is unknown
    ├── UnsupportedOperationError
    └── CorruptDocumentError
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from holdfast.core.failure import FailureInfo

__all__ = [
    "ActivityError",
    "AggregateError",
    "ChildWorkflowError",
    "CorruptDocumentError",
    "DeadLetterNotFoundError",
    "FencedError",
    "HoldfastError",
    "InvalidIdError",
    "LlmError",
    "NonRetryableError",
    "NondeterminismError",
    "PayloadError",
    "PublishError",
    "QueryError",
    "RefError",
    "RequestConflictError",
    "StoreError",
    "StoreUnavailableError",
    "UndeclaredTopicError",
    "UnknownProviderError",
    "UnsupportedOperationError",
    "UpdateRejectedError",
    "WorkflowAlreadyStartedError",
    "WorkflowCanceledError",
    "WorkflowFailedError",
    "WorkflowFinishedError",
    "WorkflowNotFoundError",
    "WorkflowOpenError",
    "WorkflowTerminatedError",
    "WorkflowTimedOutError",
]


class HoldfastError(Exception):
    """The root of every error that Holdfast raises."""


class NonRetryableError(HoldfastError):
    """Raised by an activity to end its retrying at once."""


class WorkflowNotFoundError(HoldfastError):
    """There is no run, or no registered workflow, of that name."""


class DeadLetterNotFoundError(HoldfastError):
    """There is no dead letter of that number: it was dropped, applied after all, or has given way to newer ones."""


class WorkflowAlreadyStartedError(HoldfastError):
    """The id belongs to a run that is still open, or to a finished one that may not be replaced."""

    def __init__(self, message: str, *, workflow_id: str, run_id: str) -> None:
        """Keep which run holds the id."""
        super().__init__(message)
        self.workflow_id = workflow_id
        self.run_id = run_id


class WorkflowOpenError(HoldfastError):
    """The call needs a run that has ended, and this one is still open."""


class WorkflowFinishedError(HoldfastError):
    """The run has ended and takes no more signals, updates or control."""


class UpdateRejectedError(HoldfastError):
    """The run knows no such update, or its validator refused the value; nothing was recorded."""


class QueryError(HoldfastError):
    """The run knows no such query, or its handler raised; the run is as it was."""


class InvalidIdError(HoldfastError):
    """The id does not match ``[A-Za-z0-9_-]{1,64}``."""


class PayloadError(HoldfastError):
    """A value does not fit its declared type, is not JSON, or is over a limit.

    Attributes:
        field: The path of the first field at fault, such as ``items.0.sku``; empty where the value as a whole is.
        faults: The paths of all fields at fault, at most 20, each with what is wrong; empty where no field is.
        too_large: True where a size limit was met.
    """

    def __init__(
        self, message: str, *, field: str = "", faults: Sequence[tuple[str, str]] = (), too_large: bool = False
    ) -> None:
        """Keep the fields at fault beside the message."""
        super().__init__(message)
        self.field = field
        self.faults = tuple(faults)
        self.too_large = too_large


class UndeclaredTopicError(HoldfastError):
    """An output was asked for to a topic that the workflow does not declare; nothing was recorded.

    Attributes:
        topic: The topic.
    """

    def __init__(self, message: str, *, topic: str) -> None:
        """Keep which topic."""
        super().__init__(message)
        self.topic = topic


class RequestConflictError(HoldfastError):
    """The request id was used before, for a request with another body."""


class WorkflowFailedError(HoldfastError):
    """The run did not complete.

    Attributes:
        workflow_id: Whose run it is.
        run_id: Which run.
        failure: The recorded failure, with its chain of causes.
    """

    verb = "failed"

    def __init__(self, workflow_id: str, run_id: str, failure: FailureInfo) -> None:
        """Name the run and the innermost reason in the message."""
        super().__init__(f"workflow {workflow_id!r} {self.verb}: {failure.reason}")
        self.workflow_id = workflow_id
        self.run_id = run_id
        self.failure = failure


class WorkflowCanceledError(WorkflowFailedError):
    """The run was cancelled."""

    verb = "was canceled"


class WorkflowTerminatedError(WorkflowFailedError):
    """The run was ended from outside, without running its clean-up."""

    verb = "was terminated"


class WorkflowTimedOutError(WorkflowFailedError):
    """The run did not end within its time-out."""

    verb = "timed out"


class ActivityError(HoldfastError):
    """An activity has failed for good: its attempts are used up, or it said not to retry.

    Attributes:
        activity: The name of the activity.
        activity_id: The id of the call within its run.
        attempt: The number of the last attempt, from 1.
        cause: What the last attempt failed with; match on ``cause.type``.
    """

    def __init__(self, message: str, *, activity: str, activity_id: str, attempt: int, cause: FailureInfo) -> None:
        """Keep what failed, and how."""
        super().__init__(message)
        self.activity = activity
        self.activity_id = activity_id
        self.attempt = attempt
        self.cause = cause


class RefError(HoldfastError):
    """Whoever was to answer a ref has sent an error.

    Attributes:
        ref: The id of the ref.
        value: What was sent: any JSON value.
        details: The same, as it is recorded of a run that this ends.
    """

    def __init__(self, ref: str, value: object) -> None:
        """Say what was sent."""
        super().__init__(value if isinstance(value, str) else orjson.dumps(value).decode())
        self.ref = ref
        self.value = self.details = value


class AggregateError(HoldfastError):
    """No branch of ``any`` was fulfilled.

    Attributes:
        errors: What each branch was rejected with, in the order of the branches.
    """

    def __init__(self, errors: Sequence[BaseException]) -> None:
        """Name them all."""
        named = "; ".join(f"{type(error).__name__}: {error}".removesuffix(": ") for error in errors)
        super().__init__(f"no branch was fulfilled: {named or 'there was none'}")
        self.errors = tuple(errors)


class LlmError(HoldfastError):
    """A model did not answer, or the way to it failed; the attempt may be made again.

    Attributes:
        component: The conversation component that was asked.
        status: How the sidecar named it, such as ``"UNAVAILABLE"``; empty where it answered nothing of use.
    """

    def __init__(self, message: str, *, component: str, status: str = "") -> None:
        """Keep who was asked, and what came back."""
        super().__init__(message)
        self.component = component
        self.status = status


class ChildWorkflowError(HoldfastError):
    """A child run did not complete.

    Attributes:
        workflow_id: The id of the child.
        cause: What it ended with; ``cause.type`` is the name of the error class a caller of the child would see.
    """

    def __init__(self, message: str, *, workflow_id: str, cause: FailureInfo) -> None:
        """Keep which child, and how it ended."""
        super().__init__(message)
        self.workflow_id = workflow_id
        self.cause = cause


class NondeterminismError(HoldfastError):
    """Workflow code did, or on replay asked for, something that the history cannot reproduce.

    Attributes:
        expected: The recorded command, in words; empty where none was recorded.
        found: What the code asked for now, in words; empty where it asked for nothing.
    """

    def __init__(self, message: str, *, expected: str = "", found: str = "") -> None:
        """Keep both sides of the difference."""
        super().__init__(message)
        self.expected = expected
        self.found = found


class FencedError(HoldfastError):
    """Another process has taken the runs over; this one has stopped and must not write."""


class PublishError(HoldfastError):
    """Records were not published, or perhaps not: a `Publisher` raises it, and the engine tries again.

    Where neither attribute names a record, any record of the call may be missing: the publisher is away.

    Attributes:
        failed: Why records may be missing, by their ids; those of the call that are not named have gone through.
        refused: Why the publisher will not take records, by their ids: they are tried again at long intervals.
    """

    def __init__(
        self, message: str, *, failed: Mapping[str, str] | None = None, refused: Mapping[str, str] | None = None
    ) -> None:
        """Keep what is known of each record."""
        super().__init__(message)
        self.failed = dict(failed or {})
        self.refused = dict(refused or {})


class UnknownProviderError(HoldfastError):
    """No executor or store is registered under that name."""

    def __init__(self, kind: str, name: str, known: Sequence[str]) -> None:
        """List the names that would have worked."""
        super().__init__(f"unknown {kind} {name!r}; known: {', '.join(known) or 'none'}")
        self.name = name


class StoreError(HoldfastError):
    """The store refused a call, or answered what it must not."""


class StoreUnavailableError(StoreError):
    """The store did not answer: whether the call took effect is unknown.

    Attributes:
        retry_after: Seconds the store asked to be left alone, where it said so.
    """

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        """Keep the pause that the store asked for."""
        super().__init__(message)
        self.retry_after = retry_after


class UnsupportedOperationError(StoreError):
    """The backend cannot do what was asked, by its nature or as it is configured."""


class CorruptDocumentError(StoreError):
    """A stored document does not match its checksum or its form."""
