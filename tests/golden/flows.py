"""Workflows as they were when their golden histories were recorded, and as they are now."""

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


@workflow(name="packing")
async def packing_as_it_was(ctx: WorkflowContext, order: str) -> str:
    await ctx.execute_activity(echo, f"pack {order}")
    await ctx.receive_signal("weighed")
    return str(await ctx.execute_activity(echo, f"seal {order}"))


@workflow(name="packing")
async def packing_as_it_is(ctx: WorkflowContext, order: str) -> str:
    """Labels the parcel too, in runs that had not come by here before the change."""
    await ctx.execute_activity(echo, f"pack {order}")
    if ctx.patched("label"):
        await ctx.execute_activity(echo, f"label {order}")
    await ctx.receive_signal("weighed")
    return str(await ctx.execute_activity(echo, f"seal {order}"))
