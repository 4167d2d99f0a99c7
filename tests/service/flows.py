"""The workflows that the tests of the service run, in process and in processes of their own."""

import asyncio
from dataclasses import dataclass
from typing import Any

from holdfast import ActivityContext, RetryPolicy, WorkflowContext, activity, workflow

Value = Any
"""Any JSON value."""


@dataclass
class Order:
    """What is ordered."""

    sku: str
    quantity: int = 1


@activity
async def price(order: Order) -> int:
    """Look the price up."""
    return order.quantity * 100


@activity(retry=RetryPolicy(max_attempts=1))
def slow(seconds: float, ctx: ActivityContext) -> str:
    """Take a while, on a thread."""
    while seconds > 0 and not ctx.cancelled:
        ctx_wait(0.05)
        seconds -= 0.05
    return "done"


def ctx_wait(seconds: float) -> None:
    """Hold the thread, as an activity does that talks to the world."""
    import time  # noqa: PLC0415 - workflow code in this module must not see it

    time.sleep(seconds)


@workflow
async def quick(ctx: WorkflowContext) -> int:
    """Give 42."""
    return 42


@workflow
async def echo(ctx: WorkflowContext, value: Value) -> Value:
    """Give what it was given."""
    return value


@workflow
async def order(ctx: WorkflowContext, wanted: Order) -> dict[str, Any]:
    """Price an order, and wait for its approval."""
    ctx.set_attributes(sku=wanted.sku, quantity=wanted.quantity)
    quantity = wanted.quantity

    def check(value: int) -> None:
        if value > 10:
            raise ValueError("at most 10")

    def change(value: int) -> int:
        nonlocal quantity
        quantity = value
        return quantity

    def broken() -> None:
        raise RuntimeError("the handler is broken")

    async def when_approved() -> str:
        await ctx.wait_condition(lambda: False)
        return "never"

    ctx.set_query_handler("quantity", lambda: quantity)
    ctx.set_query_handler("times", lambda factor: quantity * factor)
    ctx.set_query_handler("broken", broken)
    ctx.set_update_handler("quantity", change, validator=check)
    ctx.set_update_handler("never", when_approved)
    cents = await ctx.execute_activity(price, wanted)
    approval = await ctx.receive_signal("approval")
    return {"cents": cents, "approval": approval}


@workflow(outputs=["workflow-signals"])
async def tells(ctx: WorkflowContext, workflow_id: str) -> None:
    """Signal a run by way of a topic."""
    ctx.output_json("workflow-signals", {"workflow_id": workflow_id, "signal": "approval", "payload": "told"})


@workflow
async def fails(ctx: WorkflowContext) -> None:
    """Fail."""
    raise ValueError("no\x1b[31m luck\nat all")


@workflow
async def lost(ctx: WorkflowContext) -> Value:
    """Ask for an activity that nobody has registered."""
    return await ctx.execute_activity("nowhere", None)


@workflow
async def works(ctx: WorkflowContext, seconds: float) -> str:
    """Run a slow activity."""
    return str(await ctx.execute_activity(slow, seconds))


@workflow
async def counts(ctx: WorkflowContext, number: int) -> int:
    """Count down, a run for each number."""
    await ctx.receive_signal("next")
    if number > 0:
        ctx.continue_as_new(number - 1)
    return number


@workflow
async def naps(ctx: WorkflowContext) -> str:
    """Sleep for a day."""
    await asyncio.sleep(86_400)
    return "awake"


@workflow
async def asks(ctx: WorkflowContext, count: int = 1) -> list[Value]:
    """Wait for some answers from outside."""
    return [await ctx.ref_id("answer/of the day") for _ in range(count)]
