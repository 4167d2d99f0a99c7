"""A workflow that tells which trace its activities saw, before and after a signal."""

from holdfast import ActivityContext, WorkflowContext, activity, workflow


@activity
async def see(which: str, context: ActivityContext) -> str:
    """Tell the trace context that would be sent on."""
    return context.traceparent


@activity
def see_on_a_thread(which: str, context: ActivityContext) -> str:
    """Tell it from a thread."""
    return context.traceparent


@workflow
async def watched(ctx: WorkflowContext) -> list[str]:
    """See, wait, see again."""
    before = await ctx.execute_activity(see, "before")
    await ctx.receive_signal("go on")
    return [before, await ctx.execute_activity(see_on_a_thread, "after")]
