"""What the tests of attempts share: an activity that fails, and a workflow that tells what became of its call."""

import asyncio

from holdfast import ActivityContext, ActivityError, WorkflowContext
from tests.play import Anything, Code
from tests.unit.engine.kit import engine_on


def calling(activity: Code, **options: Anything) -> Code:
    """Make a workflow that calls an activity, and gives what became of it."""

    async def run(ctx: WorkflowContext, value: Anything = None) -> Anything:
        try:
            return await ctx.execute_activity(activity, value, **options)
        except ActivityError as error:
            return {"attempt": error.attempt, "type": error.cause.type, "message": error.cause.message}

    return run


class Failing:
    """An activity that fails some times, then returns the number of its attempt."""

    __name__ = "failing"

    def __init__(self, times: int, error: BaseException | None = None) -> None:
        self.times = times
        self.error = error or OSError("down")
        self.at: list[float] = []
        self.attempts: list[int] = []
        self.keys: set[str] = set()

    async def __call__(self, context: ActivityContext) -> int:
        self.at.append(asyncio.get_running_loop().time())
        self.attempts.append(context.attempt)
        self.keys.add(context.idempotency_key)
        if len(self.at) <= self.times:
            raise self.error
        return context.attempt


async def outcome(activity: Code, **options: Anything) -> Anything:
    run = calling(activity, **options)
    async with engine_on(workflows=[run], activities=[activity], dev_replay=True) as engine:
        return await engine.execute(run, id="a")
