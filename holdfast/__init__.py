"""Holdfast: durable workflows as plain async functions."""

from holdfast.core.activities import ActivityContext
from holdfast.core.channel import SignalChannel
from holdfast.core.children import ChildHandle
from holdfast.core.combinators import Settled
from holdfast.core.context import CancelToken, WorkflowContext
from holdfast.core.definitions import activity, workflow
from holdfast.core.errors import (
    ActivityError,
    AggregateError,
    ChildWorkflowError,
    CorruptDocumentError,
    DeadLetterNotFoundError,
    FencedError,
    HoldfastError,
    InvalidIdError,
    LlmError,
    NondeterminismError,
    NonRetryableError,
    PayloadError,
    PublishError,
    QueryError,
    RefError,
    RequestConflictError,
    StoreError,
    StoreUnavailableError,
    UndeclaredTopicError,
    UnknownProviderError,
    UnsupportedOperationError,
    UpdateRejectedError,
    WorkflowAlreadyStartedError,
    WorkflowCanceledError,
    WorkflowFailedError,
    WorkflowFinishedError,
    WorkflowNotFoundError,
    WorkflowOpenError,
    WorkflowTerminatedError,
    WorkflowTimedOutError,
)
from holdfast.core.failure import FailureInfo
from holdfast.core.history import EventType, RunStatus
from holdfast.core.refs import Ref
from holdfast.core.retry import RetryPolicy
from holdfast.core.scopes import CancellationScope
from holdfast.core.threads import thread_id
from holdfast.engine.engine import Engine
from holdfast.engine.handle import WorkflowHandle
from holdfast.engine.lifecycle import EngineOptions
from holdfast.engine.messages.routing import TopicMapping
from holdfast.engine.receiving import DeadLetter, DeadLetterPage, HeldMessage
from holdfast.engine.runs.answers import Resolution
from holdfast.engine.stats import EngineStats
from holdfast.engine.thread import BlockingHandle, EngineThread
from holdfast.engine.views import HistoryEvent, RunDescription, RunPage, RunSummary
from holdfast.engine.work.gate import Delivery
from holdfast.engine.work.hooks import Hooks, compose_hooks

__all__ = [  # noqa: RUF022 - grouped by who needs them, not by letter
    # what workflow and activity functions are written with
    "ActivityContext",
    "CancelToken",
    "CancellationScope",
    "ChildHandle",
    "Ref",
    "RetryPolicy",
    "Settled",
    "SignalChannel",
    "WorkflowContext",
    "activity",
    "workflow",
    # what runs them
    "BlockingHandle",
    "Engine",
    "EngineOptions",
    "EngineStats",
    "EngineThread",
    "Hooks",
    "TopicMapping",
    "WorkflowHandle",
    "compose_hooks",
    "thread_id",
    # what is seen of them
    "DeadLetter",
    "DeadLetterPage",
    "Delivery",
    "EventType",
    "FailureInfo",
    "HeldMessage",
    "HistoryEvent",
    "Resolution",
    "RunDescription",
    "RunPage",
    "RunStatus",
    "RunSummary",
    # errors
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
