"""The public surface: what `holdfast` exports is all that is meant to be used, importable and documented."""

import dataclasses
import enum
import inspect
import re
from types import ModuleType

import pytest

import holdfast
import holdfast.activities
import holdfast.executors
import holdfast.patterns
import holdfast.publishers
import holdfast.stores
import holdfast.testing
from holdfast.core import errors

NAMES = """
    ActivityContext ActivityError AggregateError BlockingHandle CancelToken CancellationScope ChildHandle
    ChildWorkflowError CorruptDocumentError DeadLetter DeadLetterNotFoundError DeadLetterPage Delivery Engine
    EngineOptions EngineStats EngineThread EventType FailureInfo FencedError HeldMessage HistoryEvent
    HoldfastError Hooks InvalidIdError LlmError NonRetryableError NondeterminismError PayloadError PublishError
    QueryError Ref RefError RequestConflictError Resolution RetryPolicy RunDescription RunPage RunStatus
    RunSummary Settled SignalChannel StoreError StoreUnavailableError TopicMapping UndeclaredTopicError
    UnknownProviderError UnsupportedOperationError UpdateRejectedError WorkflowAlreadyStartedError
    WorkflowCanceledError WorkflowContext WorkflowFailedError WorkflowFinishedError WorkflowHandle
    WorkflowNotFoundError WorkflowOpenError WorkflowTerminatedError WorkflowTimedOutError activity compose_hooks
    thread_id workflow
""".split()  # noqa: SIM905 - a paragraph of names reads better


def test_the_names_are_these_and_no_others() -> None:
    """A name that is added or taken away is a change of the contract: change this list with it, and the change log."""
    assert sorted(holdfast.__all__) == sorted(NAMES)


@pytest.mark.parametrize(
    "module",
    [
        holdfast,
        holdfast.activities,
        holdfast.executors,
        holdfast.patterns,
        holdfast.publishers,
        holdfast.stores,
        holdfast.testing,
        errors,
    ],
)
def test_every_exported_name_can_be_imported_and_is_documented(module: ModuleType) -> None:
    undocumented = []
    for name in module.__all__:
        value = getattr(module, name)
        if not (inspect.getdoc(value) or "").strip():
            undocumented.append(name)

    assert undocumented in ([], ["Factory"])  # an alias is documented where it is defined


def test_a_star_import_gives_exactly_the_exported_names() -> None:
    space: dict[str, object] = {}
    exec("from holdfast import *", space)  # noqa: S102 - what users write

    assert set(space) - {"__builtins__"} == set(holdfast.__all__)


def test_every_error_is_public_and_in_the_tree_of_the_docstring() -> None:
    classes = [value for value in vars(errors).values() if inspect.isclass(value) and issubclass(value, Exception)]

    assert {cls.__name__ for cls in classes} == set(errors.__all__) <= set(holdfast.__all__)
    assert all(issubclass(cls, holdfast.HoldfastError) for cls in classes)
    drawn = set(re.findall(r"\b[A-Z]\w+Error\b", errors.__doc__ or ""))
    assert drawn == set(errors.__all__)


@pytest.mark.parametrize(
    ("child", "parent"),
    [
        ("WorkflowCanceledError", "WorkflowFailedError"),
        ("WorkflowTerminatedError", "WorkflowFailedError"),
        ("WorkflowTimedOutError", "WorkflowFailedError"),
        ("StoreUnavailableError", "StoreError"),
        ("UnsupportedOperationError", "StoreError"),
        ("CorruptDocumentError", "StoreError"),
    ],
)
def test_the_tree_of_errors_has_these_branches(child: str, parent: str) -> None:
    assert issubclass(getattr(holdfast, child), getattr(holdfast, parent))


def test_the_error_of_a_run_names_its_id_and_the_innermost_message() -> None:
    failure = holdfast.FailureInfo("RuntimeError", "outer", None, holdfast.FailureInfo("ValueError", "card declined"))

    texts = [
        str(kind("order-1", "r", failure))
        for kind in (
            holdfast.WorkflowFailedError,
            holdfast.WorkflowCanceledError,
            holdfast.WorkflowTerminatedError,
            holdfast.WorkflowTimedOutError,
        )
    ]

    assert texts == [
        "workflow 'order-1' failed: card declined",
        "workflow 'order-1' was canceled: card declined",
        "workflow 'order-1' was terminated: card declined",
        "workflow 'order-1' timed out: card declined",
    ]


def test_statuses_and_event_names_are_the_documented_ones() -> None:
    assert [status.value for status in holdfast.RunStatus] == [
        "running", "paused", "stalled", "corrupt", "completed", "failed", "canceled", "terminated", "timed_out",
        "continued_as_new", "purged",
    ]  # fmt: skip
    assert {status.value for status in holdfast.RunStatus if status.is_open} == {
        "running",
        "paused",
        "stalled",
        "corrupt",
    }
    seed_names = """workflow_started workflow_completed workflow_failed workflow_canceled activity_started
        activity_completed activity_failed signal_received timer_fired""".split()  # noqa: SIM905
    assert set(seed_names) <= {event.value for event in holdfast.EventType}


def test_public_values_are_frozen() -> None:
    public = [getattr(holdfast, name) for name in holdfast.__all__]
    values = [value for value in public if inspect.isclass(value) and dataclasses.is_dataclass(value)]

    assert values
    assert [value.__name__ for value in values if not value.__dataclass_params__.frozen] == []  # type: ignore[attr-defined]
    assert issubclass(holdfast.EventType, enum.StrEnum)
