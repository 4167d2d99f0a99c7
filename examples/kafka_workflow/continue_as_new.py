"""A loop that may go round for ever: each iteration is a run of its own, so that its history stays short.

A run is brought back from its history, so one that only loops grows more costly to bring back with each round. Where a
run continues as new it ends, and the next one begins under the same key with the input that it was given and an empty
history. To the outside it is one thread: there is one result, at the end.

Started by ``new:{"maxIterations": 10, "delayMS": 50}``.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, Field

from holdfast import WorkflowContext, workflow

SCHEDULER = "workflow-scheduler"
ITERATION = "temporal-continue-as-new-iteration"


class Loop(BaseModel, frozen=True):
    """Where the loop stands, how often it goes round, and how long each round takes."""

    iteration: int = 0
    max_iterations: int = Field(10, alias="maxIterations")
    delay_ms: int = Field(50, alias="delayMS")


async def wait(ctx: WorkflowContext, loop: Loop) -> None:
    """Wait for the timer of an iteration.

    Raises:
        RuntimeError: Something else has come.
    """
    over = {"type": "timeout", "iteration": loop.iteration}
    address = json.dumps({"ref": "main", "value": over}, separators=(",", ":"))
    ctx.output(SCHEDULER, str(loop.delay_ms or "+0"), key=f"{ctx.thread_key}|{address}")  # a plain 0 calls off
    if await ctx.ref_id("main") != over:
        message = f"unexpected signal at iteration {loop.iteration}"
        raise RuntimeError(message)


@workflow(name="continue-as-new", outputs=[SCHEDULER, ITERATION])
async def continue_as_new(ctx: WorkflowContext, loop: Loop) -> dict[str, Any]:
    """Do one iteration, and leave the others to the runs that follow."""
    if loop.iteration < loop.max_iterations:
        ctx.output_json(ITERATION, {"iteration": loop.iteration})
        await wait(ctx, loop)
        ctx.continue_as_new(loop.model_copy(update={"iteration": loop.iteration + 1}))
    return {"iterations": loop.max_iterations, "status": "completed"}


workflows = [continue_as_new]
