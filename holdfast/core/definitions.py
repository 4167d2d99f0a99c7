"""Workflow and activity definitions: plain functions, and what their decorators and annotations declare."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, overload

from holdfast.core.activities import ActivityContext, ActivityOptions
from holdfast.core.codec import Decoder, decoder_for, schema_for
from holdfast.core.errors import PayloadError
from holdfast.core.outputs import declared_topics

if TYPE_CHECKING:
    from collections.abc import Iterable

    from holdfast.core.durations import Duration
    from holdfast.core.retry import RetryPolicy

__all__ = [
    "ActivityDefinition",
    "ActivityFunction",
    "WorkflowDefinition",
    "WorkflowFunction",
    "activity",
    "input_decoder",
    "workflow",
    "workflow_name",
]

F = TypeVar("F", bound=Callable[..., Any])
WorkflowFunction = Callable[..., Awaitable[Any]]
ActivityFunction = Callable[..., Any]

_WORKFLOW = "__holdfast_workflow__"
_ACTIVITY = "__holdfast_activity__"


@dataclass(frozen=True, slots=True)
class _WorkflowMark:
    name: str | None
    version: str
    outputs: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _ActivityMark:
    name: str | None
    options: ActivityOptions


@overload
def workflow(function: F, /) -> F: ...
@overload
def workflow(*, name: str | None = None, version: str = "1", outputs: Iterable[str] = ()) -> Callable[[F], F]: ...
def workflow(
    function: F | None = None, /, *, name: str | None = None, version: str = "1", outputs: Iterable[str] = ()
) -> F | Callable[[F], F]:
    """Declare a workflow; a bare ``async def`` may be registered without it.

    Args:
        function: The function, where the decorator is used without parentheses.
        name: What it is called in histories and requests; the function's own name by default.
        version: Which version of that name this is. A run stays with the version it was started on.
        outputs: The topics that it may publish to; an output to another raises `UndeclaredTopicError`.

    Raises:
        TypeError: The topics are one text and not a list.
        PayloadError: A topic is no text, or empty.
    """
    topics = declared_topics(outputs)

    def mark(target: F) -> F:
        setattr(target, _WORKFLOW, _WorkflowMark(name, version, topics))
        return target

    return mark if function is None else mark(function)


@overload
def activity(function: F, /) -> F: ...
@overload
def activity(
    *,
    name: str | None = None,
    retry: RetryPolicy | None = None,
    timeout: Duration | None = None,
    heartbeat_timeout: Duration | None = None,
    schedule_to_close: Duration | None = None,
) -> Callable[[F], F]: ...
def activity(  # noqa: PLR0913 - each is a named option of the public decorator
    function: F | None = None,
    /,
    *,
    name: str | None = None,
    retry: RetryPolicy | None = None,
    timeout: Duration | None = None,
    heartbeat_timeout: Duration | None = None,
    schedule_to_close: Duration | None = None,
) -> F | Callable[[F], F]:
    """Declare an activity and its defaults, which each call may override; a bare function needs no declaration.

    Args:
        function: The function, where the decorator is used without parentheses.
        name: What it is called in histories; the function's own name by default.
        retry: When a failed attempt is followed by another; three attempts by default.
        timeout: The longest that one attempt may run.
        heartbeat_timeout: The longest silence between two heartbeats.
        schedule_to_close: The longest that a call may take with all its attempts.
    """
    options = ActivityOptions().override(retry, timeout, heartbeat_timeout, schedule_to_close)

    def mark(target: F) -> F:
        setattr(target, _ACTIVITY, _ActivityMark(name, options))
        return target

    return mark if function is None else mark(function)


@dataclass(frozen=True, slots=True)
class WorkflowDefinition:
    """A registered workflow: its function, and what its annotations say about values.

    Attributes:
        takes_input: It has a parameter besides the context.
        decode_input: Gives what its function is called with besides the context, for an input as JSON.
        outputs: The topics that it declares.
    """

    name: str
    version: str
    function: WorkflowFunction
    takes_input: bool
    decode_input: Callable[[bytes], tuple[Any, ...]]
    decode_result: Decoder
    input_schema: dict[str, Any]
    doc: str
    outputs: frozenset[str]

    @classmethod
    def of(cls, function: WorkflowFunction) -> WorkflowDefinition:
        """Read a workflow function.

        Raises:
            TypeError: It is not an ``async def`` that takes a context and at most one input.
        """
        mark: _WorkflowMark = getattr(function, _WORKFLOW, None) or _WorkflowMark(None, "1")
        name = mark.name or _name_of(function)
        if not inspect.iscoroutinefunction(function):
            message = f"workflow {name!r} must be an async def function"
            raise TypeError(message)
        parameters = list(inspect.signature(function).parameters.values())
        if not 1 <= len(_required(parameters)) <= 2 or any(p.kind is p.KEYWORD_ONLY for p in _required(parameters)):  # noqa: PLR2004
            message = f"workflow {name!r} must take (ctx) or (ctx, input), not {inspect.signature(function)}"
            raise TypeError(message)
        inputs = parameters[1:2]
        result = _resolve(function, inspect.signature(function).return_annotation)
        return cls(
            name,
            mark.version,
            function,
            bool(inputs),
            _arguments_decoder(function, inputs, f"input of workflow {name!r}"),
            decoder_for(result, f"result of workflow {name!r}"),
            schema_for(_resolve(function, inputs[0].annotation)) if inputs else {"type": "null"},
            inspect.getdoc(function) or "",
            mark.outputs,
        )


@dataclass(frozen=True, slots=True)
class ActivityDefinition:
    """A registered activity: its function, its defaults, and what its annotations say about values.

    Attributes:
        wants_context: It asks for an `ActivityContext`.
        invoke: Calls the function with its input as JSON, and the context if it wants one.
    """

    name: str
    function: ActivityFunction
    options: ActivityOptions
    is_async: bool
    wants_context: bool
    invoke: Callable[[bytes, ActivityContext | None], Any]
    decode_result: Decoder
    input_words: str
    result_words: str

    @classmethod
    def of(cls, function: ActivityFunction, *, name: str | None = None) -> ActivityDefinition:
        """Read an activity function.

        Args:
            function: The function.
            name: What to call it, whatever it says itself.

        Raises:
            TypeError: It takes more than one input besides its `ActivityContext`.
        """
        mark: _ActivityMark = getattr(function, _ACTIVITY, None) or _ActivityMark(None, ActivityOptions())
        name = name or mark.name or _name_of(function)
        parameters = list(inspect.signature(function).parameters.values())
        contexts = [p.name for p in parameters if _is_context(p.annotation)]
        inputs = [p for p in parameters if p.name not in contexts]
        if len(_required(inputs)) > 1 or len(contexts) > 1:
            message = f"activity {name!r} must take (input) or (input, context: ActivityContext), not more"
            raise TypeError(message)
        input_words, result_words = f"input of activity {name!r}", f"result of activity {name!r}"
        arguments = _arguments_decoder(function, inputs[:1], input_words)
        result = _resolve(function, inspect.signature(function).return_annotation)
        return cls(
            name,
            function,
            mark.options,
            inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None)),  # noqa: B004
            bool(contexts),
            _invoker(function, arguments, contexts[0] if contexts else ""),
            decoder_for(result, result_words),
            input_words,
            result_words,
        )


def _arguments_decoder(
    function: Callable[..., Any], inputs: list[inspect.Parameter], what: str
) -> Callable[[bytes], tuple[Any, ...]]:
    """Make what turns an input as JSON into a function's arguments; null leaves a parameter to its default."""
    if not inputs:
        return _no_arguments(what)
    decode = decoder_for(_resolve(function, inputs[0].annotation), what)
    if inputs[0].default is inspect.Parameter.empty:
        return lambda raw: (decode(raw),)
    return lambda raw: () if raw == b"null" else (decode(raw),)


def _no_arguments(what: str) -> Callable[[bytes], tuple[Any, ...]]:
    def refuse_all_but_null(raw: bytes) -> tuple[Any, ...]:
        if raw != b"null":
            message = f"{what}: it takes none"
            raise PayloadError(message)
        return ()

    return refuse_all_but_null


def _invoker(
    function: ActivityFunction, arguments: Callable[[bytes], tuple[Any, ...]], context_name: str
) -> Callable[[bytes, ActivityContext | None], Any]:
    """Make the call of an activity, once, for what it takes."""
    if context_name:
        return lambda raw, context: function(*arguments(raw), **{context_name: context})
    return lambda raw, _context: function(*arguments(raw))


def input_decoder(function: Callable[..., Any], what: str) -> Decoder | None:
    """Make the decoder for the one input of a function; None where it takes no input.

    Raises:
        TypeError: It needs more than one, or the input's annotation cannot be decoded.
    """
    parameters = list(inspect.signature(function).parameters.values())
    if len(_required(parameters)) > 1:
        message = f"{what}: its handler must take one value or none, not {inspect.signature(function)}"
        raise TypeError(message)
    return decoder_for(_resolve(function, parameters[0].annotation), what) if parameters else None


def workflow_name(function: WorkflowFunction) -> str:
    """Give the name that a workflow function is registered under."""
    mark: _WorkflowMark | None = getattr(function, _WORKFLOW, None)
    return (mark.name if mark else None) or _name_of(function)


def _name_of(function: Callable[..., Any]) -> str:
    name: str | None = getattr(function, "__name__", None)
    if name is None or name == "<lambda>":
        message = f"{function!r} has no name of its own: give it one with the decorator"
        raise TypeError(message)
    return name


def _required(parameters: list[inspect.Parameter]) -> list[inspect.Parameter]:
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [p for p in parameters if p.default is p.empty and p.kind not in optional]


def _is_context(annotation: object) -> bool:
    if isinstance(annotation, str):
        return annotation.rpartition(".")[2].strip("'\" ") == ActivityContext.__name__
    return annotation is ActivityContext


def _resolve(function: Callable[..., Any], annotation: Any) -> Any:  # noqa: ANN401 - an annotation is any object
    """Evaluate one annotation, alone: those of other parameters may name what only a type checker imports."""
    if annotation is inspect.Parameter.empty:
        return Any
    target = inspect.unwrap(function)
    target = getattr(target, "__func__", target)
    cells = inspect.getclosurevars(target).nonlocals if inspect.isfunction(target) else {}
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        hints = typing.get_type_hints(
            holder, globalns=getattr(target, "__globals__", {}), localns=dict(cells), include_extras=True
        )
    except NameError as error:
        message = (
            f"the annotation {annotation!r} of {_name_of(function)!r} cannot be resolved ({error}): "
            "import the type at run time and define it at module level"
        )
        raise TypeError(message) from error
    return hints["it"]
