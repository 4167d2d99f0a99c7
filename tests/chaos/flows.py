"""The workflow that is killed over and over: activities that leave a line in a ledger, signals, a child, timers."""

import asyncio
import json
import os
import random
from datetime import timedelta
from pathlib import Path
from typing import Any

from holdfast import ActivityContext, RetryPolicy, WorkflowContext, activity, workflow

FLAKY = 0.2


def note(line: dict[str, Any]) -> None:
    """Append a line to the ledger in one write, with the name of this process, before anything is reported."""
    line = {**line, "by": os.environ.get("HOLDFAST_INSTANCE", "")}
    file = os.open(Path(os.environ["HOLDFAST_CHAOS_LEDGER"]), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(file, json.dumps(line).encode() + b"\n")
    finally:
        os.close(file)


@activity(retry=RetryPolicy(max_attempts=50, initial_interval=0.01, max_interval=0.05))
async def deposit(amount: int, context: ActivityContext) -> int:
    note({"key": context.idempotency_key, "attempt": context.attempt, "run": context.workflow_id})
    await asyncio.sleep(random.uniform(0, 0.02))
    if random.random() < FLAKY:
        raise ConnectionError("try again")
    return amount


@activity(retry=RetryPolicy(max_attempts=50, initial_interval=0.01, max_interval=0.05))
def deposit_on_thread(amount: int, context: ActivityContext) -> int:
    note({"key": context.idempotency_key, "attempt": context.attempt, "run": context.workflow_id})
    return amount


@workflow
async def audit(ctx: WorkflowContext, amount: int) -> int:
    """Count twice what the parent has counted."""
    return await ctx.execute_activity(deposit, amount) + await ctx.execute_activity(deposit_on_thread, amount)


@workflow
async def account(ctx: WorkflowContext, number: int) -> dict[str, Any]:
    """Do a little of everything: the result says what has arrived."""
    first = [await ctx.execute_activity(deposit, amount) for amount in range(3)]
    left = await ctx.receive_signal("left")
    both = await asyncio.gather(ctx.execute_activity(deposit, number), ctx.execute_activity(deposit_on_thread, number))
    await ctx.sleep(timedelta(milliseconds=30))
    child = await ctx.execute_child(audit, number)
    try:
        right = await ctx.receive_signal("right", timeout=timedelta(minutes=5))
    except TimeoutError:
        right = "late"
    extra = 0
    while True:
        try:
            await ctx.receive_signal("left", timeout=0.01)
            extra += 1
        except TimeoutError:
            break
    return {"first": first, "left": left, "both": both, "child": child, "right": right, "extra": extra}
