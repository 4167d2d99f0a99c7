"""Work that advances with a timer, and says how far it is to whoever asks.

Each step waits for its own tick. While it does it answers queries, which are records to the same ref as the ticks, so
both are taken in the order in which they come. A tick of another step is ignored.

Started by ``new:{"steps": 10, "tickMS": 1000}``; queried by ``{"type": "getProgress", "reply": "q1"}`` to ``main``.
"""

from __future__ import annotations

import json

from pydantic import BaseModel, Field

from holdfast import WorkflowContext, workflow

SCHEDULER = "workflow-scheduler"
PROGRESS = "temporal-timer-progress-progress"
QUERY_RESULT = "temporal-timer-progress-query-result"


class Work(BaseModel, frozen=True):
    """How many steps there are, how long each takes, and by how much of a hundred each advances."""

    steps: float = 10
    tick_ms: float = Field(1000, alias="tickMS")
    increment: float | None = None


def schedule_tick(ctx: WorkflowContext, step: int, milliseconds: int) -> None:
    """Have the scheduler send the tick of a step."""
    tick = json.dumps({"ref": "main", "value": {"type": "tick", "step": step}}, separators=(",", ":"))
    ctx.output(SCHEDULER, str(milliseconds or "+0"), key=f"{ctx.thread_key}|{tick}")  # a plain 0 calls off


async def wait_for_tick(ctx: WorkflowContext, step: int, progress: float) -> None:
    """Wait for the tick of a step, and answer queries meanwhile."""
    while True:
        match await ctx.ref_id("main"):
            case {"type": "getProgress", "reply": str(reply)}:
                ctx.output_json(QUERY_RESULT, {"reply": reply, "progress": number(progress)}, key=reply)
            case {"type": "tick", "step": ticked} if ticked == step:
                return


def number(value: float) -> float:
    """Write a whole number without a fraction."""
    return int(value) if value == int(value) else value


@workflow(name="timer-progress", outputs=[SCHEDULER, PROGRESS, QUERY_RESULT])
async def timer_progress(ctx: WorkflowContext, work: Work) -> dict[str, float]:
    """Advance step by step, up to a hundred."""
    steps = max(1, int(work.steps))
    increment = 100 / steps if work.increment is None else work.increment
    progress: float = 0
    for step in range(1, steps + 1):
        schedule_tick(ctx, step, max(0, int(work.tick_ms)))
        await wait_for_tick(ctx, step, progress)
        progress = min(100, progress + increment)
        ctx.output_json(PROGRESS, {"step": step, "progress": number(progress)})
    return {"progress": number(progress)}


workflows = [timer_progress]
