"""What two services run on one store: every attempt leaves a line in a ledger, with the name of its process."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from holdfast import ActivityContext, WorkflowContext, activity, workflow
from tests.chaos.flows import note

LOOK_SECONDS = 0.02


def write_down(context: ActivityContext) -> None:
    note({"key": context.idempotency_key, "attempt": context.attempt, "run": context.workflow_id})


@activity
async def step(number: int, context: ActivityContext) -> int:
    write_down(context)
    return number


@activity
def held(path: str, context: ActivityContext) -> int:
    """Hold the thread until there is a file of that name, as an activity does that waits for somebody else."""
    write_down(context)
    while not Path(path).exists():
        threading.Event().wait(LOOK_SECONDS)
    return context.attempt


@workflow
async def told(ctx: WorkflowContext, number: int) -> list[int]:
    """Take a step, wait to be told the next number, take a step with that."""
    first = await ctx.execute_activity(step, number)
    return [first, await ctx.execute_activity(step, await ctx.receive_signal("next", type=int))]


@workflow
async def asleep(ctx: WorkflowContext, seconds: float) -> int:
    """Take a step after a while."""
    await ctx.sleep(seconds)
    return await ctx.execute_activity(step, 1)


@workflow
async def holding(ctx: WorkflowContext, path: str) -> dict[str, Any]:
    """Hold a thread, then take a step."""
    attempt = await ctx.execute_activity(held, path)
    return {"attempt": attempt, "step": await ctx.execute_activity(step, 2)}
