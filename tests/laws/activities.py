"""What the workflows of the corpus call."""

from typing import Any

from holdfast import ActivityContext, NonRetryableError, RetryPolicy, activity
from tests.play import Code


@activity
async def echo(value: Any = None) -> Any:  # noqa: ANN401
    return value


@activity
async def double(number: int) -> int:
    return 2 * number


@activity(retry=RetryPolicy(max_attempts=4, initial_interval=1, max_interval=2))
async def flaky(works_at: int, context: ActivityContext) -> int:
    """Fail until an attempt of a certain number."""
    if context.attempt < works_at:
        message = f"attempt {context.attempt}"
        raise ConnectionError(message)
    return context.attempt


@activity
async def refuse(value: Any = None) -> None:  # noqa: ANN401
    message = f"{value} is refused"
    raise NonRetryableError(message)


@activity
async def undo(step: str) -> str:
    return f"undone {step}"


@activity
async def large(size: int) -> str:
    return "x" * size


ACTIVITIES: tuple[Code, ...] = (echo, double, flaky, refuse, undo, large)
