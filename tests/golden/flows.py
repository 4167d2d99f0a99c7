"""A workflow as it was when its golden history was recorded, and as it is now: the one change that does not fit."""

from holdfast import WorkflowContext, workflow
from tests.laws.activities import echo


@workflow(name="shipping")
async def shipping_as_it_was(ctx: WorkflowContext, order: str) -> str:
    await ctx.execute_activity(echo, f"pack {order}")
    await ctx.sleep(60)
    return str(await ctx.execute_activity(echo, f"ship {order}"))


@workflow(name="shipping")
async def shipping_as_it_is(ctx: WorkflowContext, order: str) -> str:
    """Waits no more before it ships; runs that had begun to wait do not fit."""
    await ctx.execute_activity(echo, f"pack {order}")
    return str(await ctx.execute_activity(echo, f"ship {order}"))
