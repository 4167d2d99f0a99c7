"""Let others follow a state without asking for it: each change of it is published, with a version that counts up.

Whoever reads the topic sees the states in their order, and knows by the version whether one was missed. What changes
the state here is the time: the scheduler sends a tick for each turn, and the next one is asked for when it has come.

Started by a record of ``workflow-resume``: ``new:{"initialValue": 0, "iterations": 3, "tickMS": 10}``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from holdfast import WorkflowContext, workflow

SCHEDULER = "workflow-scheduler"
STATES = "temporal-query-subscriptions-state"


@dataclass(frozen=True)
class Settings:
    """Where to count from, how often, and how long to wait before each turn."""

    initialValue: int | float  # noqa: N815 - the field of the record
    iterations: int = 10
    tickMS: int = 50  # noqa: N815 - the field of the record


async def tick(ctx: WorkflowContext, iteration: int, milliseconds: int) -> None:
    """Ask the scheduler for a tick that bears the number of the turn, and wait for it.

    Raises:
        RuntimeError: Something else came for the ref.
    """
    expected = {"type": "tick", "iteration": iteration}
    record = json.dumps({"ref": "main", "value": expected}, separators=(",", ":"))
    ctx.output(SCHEDULER, str(milliseconds), key=f"{ctx.thread_key}|{record}")
    if await ctx.ref_id("main") != expected:
        raise RuntimeError(f"unexpected tick signal at iteration {iteration}")


@workflow(name="query-subscriptions", outputs=[STATES, SCHEDULER])
async def counter(ctx: WorkflowContext, settings: Settings) -> int | float:
    """Count by tens, publish each count, and give back the last."""
    value = settings.initialValue
    ctx.output_json(STATES, {"version": 0, "value": value})
    for iteration in range(settings.iterations):
        await tick(ctx, iteration, settings.tickMS)
        value += 10
        ctx.output_json(STATES, {"version": iteration + 1, "value": value})
    return value


workflows = [counter]
