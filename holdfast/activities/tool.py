"""Functions that a model may ask for, as activities."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast, overload

from holdfast.activities.arguments import Arguments
from holdfast.activities.conversation import LlmTool
from holdfast.core.activities import ActivityContext  # noqa: TC001 - looked at when the activity is registered
from holdfast.core.definitions import activity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from holdfast.core.durations import Duration
    from holdfast.core.retry import RetryPolicy

__all__ = ["ToolActivity", "tool_activity"]

R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class ToolActivity(Protocol[R_co]):
    """An activity that a model may ask for.

    Attributes:
        tool: What the model is told of it; `llm_activity` takes it, or the activity itself.
    """

    tool: LlmTool

    def __call__(self, arguments: dict[str, Any] | str | None, context: ActivityContext) -> R_co:
        """Check arguments, an object or the text that a model wrote, and call the function."""
        ...


@overload
def tool_activity(
    fn: Callable[..., R],
    schema: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    description: str | None = None,
    retry: RetryPolicy | None = None,
    timeout: Duration | None = None,
    heartbeat_timeout: Duration | None = None,
    schedule_to_close: Duration | None = None,
) -> ToolActivity[R]: ...
@overload
def tool_activity(
    fn: None = None,
    schema: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    description: str | None = None,
    retry: RetryPolicy | None = None,
    timeout: Duration | None = None,
    heartbeat_timeout: Duration | None = None,
    schedule_to_close: Duration | None = None,
) -> Callable[[Callable[..., R]], ToolActivity[R]]: ...
def tool_activity(  # noqa: PLR0913 - each is a named option, those of an activity among them
    fn: Callable[..., Any] | None = None,
    schema: Mapping[str, Any] | None = None,
    *,
    name: str | None = None,
    description: str | None = None,
    retry: RetryPolicy | None = None,
    timeout: Duration | None = None,
    heartbeat_timeout: Duration | None = None,
    schedule_to_close: Duration | None = None,
) -> Any:
    """Make an activity that a model may ask for out of a function, plain or async; usable as a decorator too.

    Every parameter is an argument, by its name; one annotated `ActivityContext` gets that instead. The activity takes
    the arguments as an object, or as the text that the model wrote. What does not fit fails for good, with a
    `PayloadError` that names each field: tell it to the model.

    Args:
        fn: The function.
        schema: The JSON Schema of the arguments, checked besides the annotations; by default it is made from these.
            Needs the extra ``tools``.
        name: What the model and the histories call it; the function's own name by default.
        description: What it does; the first paragraph of the function's docstring by default.
        retry: When a failed attempt is followed by another; three attempts by default.
        timeout: The longest that one attempt may run.
        heartbeat_timeout: The longest silence between two heartbeats.
        schedule_to_close: The longest that a call may take with all its attempts.

    Raises:
        TypeError: A parameter cannot be given by name or decoded from JSON, or the function is an activity already.
        ValueError: The schema is none, or has properties that the function does not take.
        InvalidIdError: Models do not take that name.
    """
    options = activity(
        name=name,
        retry=retry,
        timeout=timeout,
        heartbeat_timeout=heartbeat_timeout,
        schedule_to_close=schedule_to_close,
    )

    def make(function: Callable[..., Any]) -> Any:  # noqa: ANN401 - a ToolActivity of what the function returns
        return options(_tool(function, schema, name, description))

    return make if fn is None else make(fn)


def _tool(
    function: Callable[..., Any], schema: Mapping[str, Any] | None, name: str | None, description: str | None
) -> ToolActivity[Any]:
    """Make the function that is registered, with one input and a context, and hang the declaration on it."""
    called = name or str(getattr(function, "__name__", ""))
    if hasattr(function, "__holdfast_activity__"):
        message = f"{called!r} is an activity already: leave its decorator out, and give the options to tool_activity"
        raise TypeError(message)
    taken = Arguments(function, called, schema)

    def call(arguments: dict[str, Any] | str | None, context: ActivityContext) -> Any:  # noqa: ANN401 - the function's own
        given = taken.read(arguments)
        return function(**given, **({taken.context: context} if taken.context else {}))

    async def call_async(arguments: dict[str, Any] | str | None, context: ActivityContext) -> Any:  # noqa: ANN401 - as above
        return await call(arguments, context)

    registered: Any = call_async if _is_async(function) else call
    registered.__name__ = called
    registered.__doc__ = inspect.getdoc(function)
    registered.__annotations__["return"] = taken.result
    registered.tool = LlmTool(called, _summary(function) if description is None else description, taken.schema)
    return cast("ToolActivity[Any]", registered)


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004


def _summary(function: Callable[..., Any]) -> str:
    return " ".join((inspect.getdoc(function) or "").partition("\n\n")[0].split())
