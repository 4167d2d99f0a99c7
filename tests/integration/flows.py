"""A workflow for a service beside a sidecar."""

from __future__ import annotations

from holdfast import WorkflowContext, activity, workflow


@activity
async def doubled(number: int) -> int:
    return 2 * number


@workflow
async def one_step(ctx: WorkflowContext, number: int) -> int:
    return await ctx.execute_activity(doubled, number)
